"""Scores of single samples, by name."""

import inspect
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from torch_ref.centers import geometric_median
from torch_ref.distances import distances, features_in
from torch_ref.divergences import divergences
from torch_ref.evidence import Evidence, check_choice, log_probabilities, require
from torch_ref.imported import extrapolated, imported
from torch_ref.last_layer_gradients import batch_sizes, errors, gradients, one_hot
from torch_ref.over_classes import ranks_and_misses
from torch_ref.over_time import divergence, loss_correlation, temporal_dual_depth
from torch_ref.quota import pools
from torch_ref.scores.aum import accumulated_margin, aum
from torch_ref.scores.cal import cal
from torch_ref.scores.center_distance import center_distance
from torch_ref.scores.deepfool import deepfool
from torch_ref.scores.dynamic_uncertainty import dual, dyn_unc
from torch_ref.scores.el2n import el2n, runs_of
from torch_ref.scores.eva import eva
from torch_ref.scores.forgetting import correctness, forgetting
from torch_ref.scores.grand import grand
from torch_ref.scores.loss import loss
from torch_ref.scores.training_dynamics import Epochs, record_of
from torch_ref.scores.uncertainty import entropy, least_confidence, margin


def _sum_of_seen(recorded: torch.Tensor) -> torch.Tensor:
    """Sums (n,) of the columns of (T, n); of one with gaps as if these were its mean."""
    return recorded.nansum(dim=0) * (len(recorded) / recorded.isfinite().sum(dim=0).double())


def tdds(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """How much the divergence of successive answers varies in windows of J epochs, each weighing a tenth of the next.

    Of ``evidence.dynamics.divergence``, or of ``probabilities``. Source: Zhang et al., CVPR 2024.
    """
    if getattr(evidence.dynamics, "divergence", None) is not None:
        divergences = record_of(evidence, "divergence", epochs)[1:]
    else:
        answers = record_of(evidence, "probabilities", epochs).numpy()
        pairs = [divergence(before, after) for before, after in pairwise(answers)]
        divergences = torch.stack(pairs) if pairs else torch.empty(0, answers.shape[1])
    epochs_there = len(divergences) + 1
    window = window or min(10, epochs_there)
    if window < 3 or window > epochs_there:
        raise ValueError(f"a window of {window} of {epochs_there} epochs")
    return temporal_dual_depth(divergences, window)


def cld(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Correlation of a sample's loss differences with those of held-out samples of its class; see ``over_time``."""
    losses, held_out = (record_of(evidence, field, epochs).numpy() for field in ("loss", "validation_loss"))
    if len(losses) < 4 or not np.isfinite(held_out).any():
        raise ValueError(f"{len(losses)} epochs, {np.isfinite(held_out).any(axis=0).sum()} held-out samples")
    return loss_correlation(losses, held_out, np.asarray(evidence.labels))


def _mean_of_whole(windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of values (n,) of windows; those without a value, in which a sample was not seen, are left out."""
    total = sum(window.nan_to_num(0.0) for window in windows)
    return total / sum(window.isfinite().double() for window in windows)


def ram_apl(evidence: Evidence, kept: float = 0.5, a: float = 0.2, kappa: float = 1.0) -> torch.Tensor:
    """-(W RAM + (1 - W) APL), means over runs, W = a + (1 - a) / (1 + exp(kappa (kept - 0.5))); see ``over_classes``.

    Source: Wan et al., ICML 2025.
    """
    found = [ranks_and_misses(require(run, "features").numpy(), evidence.labels) for run in runs_of(evidence)]
    ranks, misses = (torch.stack(values).mean(dim=0) for values in zip(*found, strict=True))
    weight = a + (1 - a) / (1 + math.exp(kappa * (kept - 0.5)))
    return -(weight * ranks + (1 - weight) * misses)


SCORES = {function.__name__: function for function in (
    center_distance, least_confidence, entropy, margin, grand, el2n, loss, forgetting, correctness, aum,
    accumulated_margin, dyn_unc, dual, tdds, cld, eva, ram_apl, cal, deepfool, imported, extrapolated)}


def score(name: str, evidence: Evidence, **options: Any) -> np.ndarray:
    """The score ``name`` of all samples, (n,) float64.

    NaN of samples that training did not show, for scores over time. Raises ``ValueError`` for an unknown name or
    option, what the score raises, and when it is infinite, or NaN for another reason.
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
