"""How far a sample lies from the center of its cluster, or class."""

import numpy as np
import torch

from torch_ref.distances import distances_to
from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.feature_groups import directions, numbers_of_groups, to_digits, to_places


def prototype(evidence: Evidence, clusters: int | None = None, metric: str = "cosine", groups: str = "clusters",
              cluster_seed: int = 0) -> torch.Tensor:
    """1 - cos(x_i, c) or ||x_i - c||, c the mean of the rows of a cluster, with "cosine" of their directions.

    Source: Sorscher et al., NeurIPS 2022.

    Args:
        evidence: what is known of the samples.
        clusters: how many; None: as many as there are classes.
        metric: "cosine" or "euclidean".
        groups: "clusters", or "labels": the classes.
        cluster_seed: of the clusters.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("metric", metric, ("euclidean", "cosine"))
    features = require(evidence, "features")
    numbers = groups_for(evidence, clusters, metric, groups, cluster_seed)
    apart = torch.zeros(len(features), dtype=torch.float64)
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        apart[rows] = _apart(features[rows], metric)
    return apart


def groups_for(evidence: Evidence, clusters: int | None, metric: str, groups: str, seed: int) -> np.ndarray:
    """(n,) the group of each sample; without a number, there are as many clusters as classes."""
    count = len(np.unique(evidence.labels)) if clusters is None else clusters
    return numbers_of_groups(evidence, groups, count, metric, seed)


def _apart(rows: torch.Tensor, metric: str) -> torch.Tensor:
    if metric == "euclidean":
        center = rows[0] + (rows - rows[0]).mean(dim=0)
        center = center + (rows - center).mean(dim=0)
        return to_digits(distances_to(rows, center))
    rows = directions(rows)
    return (1 - to_places((rows * directions(rows.mean(dim=0)[None])).sum(dim=1))).clamp(min=0)
