"""How far a sample lies from the prototype of its cluster, or class."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import centers, norms
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.feature_groups import (
    CLUSTERS,
    Groups,
    Seed,
    clusters_work,
    goes_by_labels,
    group_numbers,
    group_sizes,
    sharing_of_groups,
    whole_units,
)
from ms_coreset.selectors.neighbors import first_digits
from ms_coreset.selectors.option_values import Count, Metric
from ms_coreset.selectors.quota import classes


def _work(size: Size, options: dict[str, Any]) -> Work:
    clusters = min(options["clusters"] or size.classes, size.n)
    peak, operations = clusters_work(size, options, clusters, options["metric"])
    largest = max(samples for samples, _ in group_sizes(size, options, clusters))
    doubles = 8 * largest * size.d if options["metric"] == "cosine" else 0
    return Work(max(peak, size.features_of(largest) + doubles), operations + 2 * size.n * size.d)


FACTS: dict[str, Any] = {
    "needs": ("features",), "cost": "n d K for K clusters, a hundred times or so", "work": _work,
    "labels": lambda options: goes_by_labels(options) or options["clusters"] is None,
    "source": "Sorscher et al., Beyond neural scaling laws: beating power law scaling via data pruning, NeurIPS 2022"}


@score("prototype", **FACTS, parallel=sharing_of_groups, aliases=("prototypes",))
def prototype(evidence: Evidence, clusters: Count | None = None, metric: Metric = "cosine",
              groups: Groups = CLUSTERS, cluster_seed: Seed = 0) -> np.ndarray:
    """How far a sample lies from its prototype, the center of its cluster: 1 - cos(x_i, c), or ||x_i - c||.

    Clusters are those of ``k_means.k_means`` on the features, spherical with "cosine"; c is the mean of a cluster's
    rows, with "cosine" of their directions x_i / ||x_i||. A zero vector has cosine 0 with all. Cosines are rounded to
    40 binary places and distances to 40 binary digits, so that two samples that are a cluster are as far from c.

    The paper clusters SwAV features of ImageNet into as many clusters as there are classes, and finds that their number
    matters little. It keeps the hardest, far from c (the top), where there are many samples, and the easiest (the rule
    "bottom") where there are few of each class, or few are kept.

    Departures from the classes of DeepCore in the code of RS2: theirs keeps round(rate m) of each cluster of m, which
    may sum to another number than ``round(rate n)``, and with "cosine" compares with the mean of the features as given,
    of Euclidean clusters.

    Args:
        evidence: with ``features``.
        clusters: how many; None: as many as there are classes, which takes labels to count.
        metric: "cosine", or "euclidean".
        groups: "clusters", for which labels don't matter, or "labels": each class is a cluster.
        cluster_seed: of the clusters.

    Returns:
        (n,) float64, at least 0; high = far = hard = keep.

    Raises:
        MsCoresetError: for more clusters than samples.
    """
    return distances_from_centers(evidence, prototype_groups(evidence, clusters, metric, groups, cluster_seed), metric)


def prototype_groups(evidence: Evidence, clusters: int | None, metric: str, groups: str, seed: int) -> np.ndarray:
    """(n,) the group of each sample, with options of ``prototype``."""
    if clusters is None:
        clusters = len(np.unique(require_field(evidence.labels)))
    return group_numbers(evidence, groups, clusters, metric, seed)


def distances_from_centers(evidence: Evidence, numbers: np.ndarray, metric: str) -> np.ndarray:
    """(n,) float64, how far each sample is from the center of its group, whose number ``numbers`` gives."""
    distances = np.empty(len(evidence))
    for rows in classes(numbers):
        distances[rows] = _from_center(take(require_field(evidence.features), rows), metric)
    return distances


def _from_center(block: np.ndarray, metric: str) -> np.ndarray:
    if metric == "euclidean":
        return first_digits(norms.row_distances(block, centers.class_mean(block)))
    rows = norms.unit_length(np.array(block, np.float64))
    center = norms.unit_length(rows.mean(axis=0)[None])[0]
    return np.maximum(1 - whole_units(np.einsum("ij,j->i", rows, center)), 0)
