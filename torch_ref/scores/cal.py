"""CAL: how far a sample's probabilities are from those of its neighbors."""

import numpy as np
import torch

from torch_ref.distances import distances, features_in
from torch_ref.divergences import divergences
from torch_ref.evidence import Evidence, check_choice, log_probabilities
from torch_ref.quota import pools
from torch_ref.scores.uncertainty import VARIANTS


def cal(evidence: Evidence, neighbors: int = 10, within_class: bool = True, direction: str = "highest",
        variant: str = "paper", metric: str = "euclidean") -> torch.Tensor:
    """Mean divergence of a sample's class probabilities from those of its nearest neighbors in feature space.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c). A sample without neighbors has score 0.

    Source: Margatina et al., EMNLP 2021, with DeepCore's symmetric divergence.

    Args:
        evidence: arrays about the n samples.
        neighbors: number of neighbors; all others of a smaller group.
        within_class: whether neighbors are of the same class, or of all.
        direction: "highest" keeps the largest divergence (the paper), "lowest" the smallest (DeepCore): minus the mean.
        variant: "paper", or "deepcore", which leaves out the nearest of all samples, taken to be the sample itself.
        metric: "euclidean", or "cosine": features at length 1.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("direction", direction, ("highest", "lowest"))
    check_choice("variant", variant, VARIANTS)
    features, log_p = features_in(evidence, metric), log_probabilities(evidence)
    means = torch.zeros(len(log_p), dtype=torch.float64)
    for rows in pools(evidence.labels, within_class):
        apart = distances(features[rows], smallest=0)
        if variant == "paper":
            apart.fill_diagonal_(torch.inf)
        first = 1 if variant == "deepcore" else 0
        nearest = np.argsort(apart.numpy(), axis=1, kind="stable")[:, first:first + min(neighbors, len(rows) - 1)]
        if nearest.size:
            means[rows] = divergences(log_p[rows][:, None], log_p[rows[nearest]]).mean(dim=1)
    return -means if direction == "lowest" else means
