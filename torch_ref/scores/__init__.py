"""Scores of single samples, by name."""

import inspect
from typing import Any

import numpy as np

from torch_ref.evidence import Evidence
from torch_ref.imported import extrapolated, imported
from torch_ref.scores.aum import accumulated_margin, aum
from torch_ref.scores.cal import cal
from torch_ref.scores.center_distance import center_distance
from torch_ref.scores.cld import cld
from torch_ref.scores.deepfool import deepfool
from torch_ref.scores.dynamic_uncertainty import dual, dyn_unc
from torch_ref.scores.el2n import el2n
from torch_ref.scores.eva import eva
from torch_ref.scores.forgetting import correctness, forgetting
from torch_ref.scores.grand import grand
from torch_ref.scores.loss import loss
from torch_ref.scores.prototype import prototype
from torch_ref.scores.ram_apl import ram_apl
from torch_ref.scores.semdedup import semdedup
from torch_ref.scores.tdds import tdds
from torch_ref.scores.uncertainty import entropy, least_confidence, margin
from torch_ref.scores.zcore import zcore

SCORES = {function.__name__: function for function in (
    center_distance, least_confidence, entropy, margin, grand, el2n, loss, forgetting, correctness, aum,
    accumulated_margin, dyn_unc, dual, tdds, cld, eva, prototype, semdedup, ram_apl, cal, deepfool, imported,
    extrapolated, zcore)}


def score(name: str, evidence: Evidence, **options: Any) -> np.ndarray:
    """The score ``name`` of all samples, (n,) float64.

    Args:
        name: of the score.
        evidence: arrays about the n samples.
        **options: of the score.

    Returns:
        (n,) float64, high = keep; scores over time are NaN for samples that training did not show.

    Raises:
        ValueError: for an unknown name or option, what the score raises, and when it is infinite, or NaN for another
            reason.
    """
    if str(name).lower() not in SCORES:
        raise ValueError(f"unknown score {name!r}: there are {', '.join(SCORES)}")
    function = SCORES[str(name).lower()]
    unknown = options.keys() - inspect.signature(function).parameters.keys()
    if unknown:
        raise ValueError(f"score {name} has no option {', '.join(sorted(unknown))}")
    values = np.asarray(function(evidence, **options), np.float64)
    over_time = "epochs" in inspect.signature(function).parameters or name in ("eva", "el2n")
    if np.isinf(values).any() or (np.isnan(values).any() and not over_time):
        raise ValueError(f"{name} is not finite for every sample")
    return values
