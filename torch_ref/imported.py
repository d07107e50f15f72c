"""Scores that were computed elsewhere, for all samples or for some."""

import numpy as np
import torch

from torch_ref.distances import features_in
from torch_ref.evidence import Evidence, check_choice, require


def _give(evidence: Evidence) -> torch.Tensor:
    if evidence.imported is None:
        raise ValueError("evidence lacks imported scores")
    values = torch.tensor(np.array(evidence.imported, np.float64))
    if len(values) != len(evidence.labels) or values.isinf().any():
        raise ValueError("imported scores must be one for each sample, none of them infinite")
    return values


def imported(evidence: Evidence) -> torch.Tensor:
    """The scores as they are; raises ``ValueError`` if one is NaN."""
    values = _give(evidence)
    if values.isnan().any():
        raise ValueError("a sample has no imported score")
    return values


def extrapolated(evidence: Evidence, neighbors: int = 10, metric: str = "euclidean",
                 weighting: str = "mean") -> torch.Tensor:
    """The scores as they are; a sample without one gets the mean of its nearest samples with a score.

    Source: Schmidt et al., Effective Data Pruning through Score Extrapolation, 2025.

    Args:
        evidence: arrays about the n samples.
        neighbors: number of neighbors.
        metric: metric of the features that decides which are nearest; of equally near ones the lowest places.
        weighting: "mean", or "distance": weights e^-d, d the Euclidean distance of the features whatever the metric.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("weighting", weighting, ("mean", "distance"))
    values, rows, features = _give(evidence), features_in(evidence, metric), require(evidence, "features")
    known = (~values.isnan()).nonzero().flatten()
    if len(known) < len(values) and (neighbors < 1 or len(known) < neighbors):
        raise ValueError(f"{len(known)} samples are scored, neighbors is {neighbors}")
    result = values.clone()
    for sample in values.isnan().nonzero().flatten().tolist():
        squares = (rows[known] - rows[sample]).square().sum(dim=1)
        fractions, exponents = torch.frexp(squares)
        digits = torch.ldexp((fractions * 2.0**40).round(), exponents - 40)
        near = known[torch.sort(digits, stable=True).indices[:neighbors]]
        distances = (features[near] - features[sample]).square().sum(dim=1).sqrt()
        weights = torch.softmax(-distances, dim=0) if weighting == "distance" else torch.full_like(distances,
                                                                                                   1 / neighbors)
        result[sample] = (weights * values[near]).sum()
    return result
