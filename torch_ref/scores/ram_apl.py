"""Ranks by the class's mean and nearer means, over several networks: RAM-APL."""

import math

import torch

from torch_ref.evidence import Evidence, require
from torch_ref.over_classes import ranks_and_misses
from torch_ref.scores.el2n import runs_of


def ram_apl(evidence: Evidence, kept: float = 0.5, a: float = 0.2, kappa: float = 1.0) -> torch.Tensor:
    """-(W RAM + (1 - W) APL), means over runs, W = a + (1 - a) / (1 + exp(kappa (kept - 0.5))); see ``over_classes``.

    Source: Wan et al., ICML 2025.

    Args:
        evidence: arrays about the n samples.
        kept: share of the samples that is to be kept.
        a: lower bound of W, in [0, 1].
        kappa: how fast W decreases with ``kept``, above 0.

    Returns:
        (n,) float64, high = keep.
    """
    found = [ranks_and_misses(require(run, "features").numpy(), evidence.labels) for run in runs_of(evidence)]
    ranks, misses = (torch.stack(values).mean(dim=0) for values in zip(*found, strict=True))
    weight = a + (1 - a) / (1 + math.exp(kappa * (kept - 0.5)))
    return -(weight * ranks + (1 - weight) * misses)
