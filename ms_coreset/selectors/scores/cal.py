"""CAL: how far a sample's probabilities are from those of its neighbors."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import norms
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.neighbors import nearest_neighbors, neighbor_blocks, pairs_sought
from ms_coreset.selectors.option_values import Count, Metric, OneOf, Probes, Variant
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.softmax import log_softmax

DIRECTIONS = {"highest": 1, "lowest": -1}


def _cal_work(size: Size, options: dict[str, Any]) -> Work:
    groups = size.groups if options["within_class"] else ((size.n, 1),)
    m = max(samples for samples, _ in groups)
    pairs = sum(times * pairs_sought(samples, options["probes"]) for samples, times in groups)
    features = size.features_of(m) + size.directions_of(m, options["metric"]) + 4 * m * size.d
    features += 24 * m * min(options["neighbors"], m)
    return Work(features + 16 * m * size.columns + size.logits_of(m), 2 * pairs * size.d)


@score("cal", needs=EXTRACTED, labels=lambda options: options["within_class"], cost="n^2 d", work=_cal_work,
       parallel=lambda options: "classes" if options["within_class"] else "",
       source="Margatina et al., Active Learning by Acquiring Contrastive Examples, EMNLP 2021; Guo et al., DeepCore")
def cal(evidence: Evidence, neighbors: Count = 10, within_class: bool = True,
        direction: Annotated[str, OneOf(DIRECTIONS)] = "highest", variant: Variant = "paper",
        metric: Metric = "euclidean", probes: Probes = 0) -> np.ndarray:
    """Divergence of a sample's class probabilities from its neighbors': s_i = mean_{j in kNN(i)} D(p_i, p_j).

    D(p, q) = 1/2 sum_c (p_c - q_c)(log p_c - log q_c), the mean of both Kullback-Leibler divergences, computed from log
    softmax and so finite for any logits. Neighbors are the k nearest samples by Euclidean distance of the features; of
    equally near ones, the lowest places. A sample is never its own neighbor. If there are fewer than k others, all of
    them count.

    Departures from the paper, as in DeepCore: D is symmetric (there KL(p_j || p_i)), and neighbors are sought in the
    pool itself (there among labeled data). DeepCore takes features from an ImageNet ResNet-18; here they are the
    evidence's.

    Args:
        evidence: with labels, ``features`` and ``logits``.
        neighbors: number k of neighbors, 1 or more.
        within_class: whether neighbors are sought in the sample's class (DeepCore, balanced) or among all samples.
        direction: "highest" keeps the samples that diverge most (the paper); "lowest" returns -s, and so keeps the
            samples that agree most with their neighbors (DeepCore's code and the numbers of its table).
        variant: "paper", or "deepcore": the nearest sample is taken for the sample itself, though it may be a duplicate
            of it (``argsort(distances)[1:k + 1]``); DeepCore's code is this with direction "lowest".
        metric: of the features: "euclidean", or "cosine", which compares their directions only.
        probes: 0: the neighbors are exact; otherwise they are sought in this many cells (``neighbors.nearest_among``),
            for large classes. The variant "deepcore" has exact ones only.

    Returns:
        (n,) float64; at least 0 nats for "highest", at most 0 for "lowest"; 0 for a class of one sample.
    """
    divergence = np.zeros(len(evidence))
    for rows in classes(require_field(evidence.labels)) if within_class else [np.arange(len(evidence))]:
        if len(rows) > 1:
            log_p = log_softmax(take(require_field(evidence.logits), rows))
            features, k = take(require_field(evidence.features), rows), min(neighbors, len(rows) - 1)
            if variant == "paper":
                nearest = np.sort(nearest_neighbors(features, k, metric=metric, probes=probes).places, axis=1)
            else:
                found = neighbor_blocks(norms.rows_in_metric(features, metric), k, exclude_self=False)
                nearest = np.concatenate([places for _, places in found])
            divergence[rows] = _local_divergence(log_p, nearest)
    return DIRECTIONS[direction] * divergence


def _local_divergence(log_p: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """The mean D (n,) of rows of log p (n, C) to those at the places ``nearest`` (n, k)."""
    p, total = np.exp(log_p), np.zeros(len(log_p))
    for part in blocks(len(p), 32 * p.shape[1]):
        # One neighbor of every row at a time: (b, C) numbers, not (b, k, C).
        for others in nearest[part].T:
            total[part] += ((p[part] - p[others]) * (log_p[part] - log_p[others])).sum(axis=1)
    return total / (2 * nearest.shape[1])
