"""How near a sample is to where the network's answer changes."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, log_softmax, required, take
from ms_coreset.selectors import kernels
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work, row_by_row
from ms_coreset.selectors.options import Count, Metric, OneOf, Variant
from ms_coreset.selectors.quota import classes

DIRECTIONS = {"highest": 1, "lowest": -1}


def _cal_work(size: Size, options: dict[str, Any]) -> Work:
    groups = size.groups if options["within_class"] else ((size.n, 1),)
    m = max(samples for samples, _ in groups)
    pairs = sum(times * samples**2 for samples, times in groups)
    features = size.features_of(m) + size.directions_of(m, options["metric"]) + 4 * m * size.d
    return Work(features + 16 * m * size.columns + size.logits_of(m), 2 * pairs * size.d)


@score("cal", needs=EXTRACTED, cost="n^2 d", work=_cal_work,
       parallel=lambda options: "classes" if options["within_class"] else "",
       source="Margatina et al., Active Learning by Acquiring Contrastive Examples, EMNLP 2021; Guo et al., DeepCore")
def cal(evidence: Evidence, neighbors: Count = 10, within_class: bool = True,
        direction: Annotated[str, OneOf(DIRECTIONS)] = "highest", variant: Variant = "paper",
        metric: Metric = "euclidean") -> np.ndarray:
    """How unlike a sample's nearest neighbours' its class probabilities are, s_i = mean_{j in kNN(i)} D(p_i, p_j).

    D(p, q) = 1/2 sum_c (p_c - q_c)(log p_c - log q_c), the mean of both Kullback-Leibler divergences, from log
    softmax and so finite for any logits. Neighbours are nearest in features, Euclidean, of equally near ones the
    lowest places; never the sample itself; all others where there are fewer.

    neighbors: k, 1 or more
    within_class: look for neighbours in the sample's class (DeepCore, balanced) or everywhere
    direction: "highest" keeps the samples that diverge most (the paper); "lowest" returns -s, and so keeps the most
        locally consistent ones (DeepCore's code and the numbers of its table)
    variant: "paper", or "deepcore": the first of the nearest is taken for the sample itself, though it may be a
        duplicate of it (``argsort(distances)[1:k + 1]``); DeepCore itself is this with direction "lowest"
    metric: of the features: "euclidean", or "cosine", which looks at their directions only

    Returns (n,), at least 0 nats for "highest"; 0 for a class of one sample. Departures from the paper, as in
    DeepCore: D is symmetric (there KL(p_j || p_i)), and neighbours are sought in the pool itself (there among labelled
    data). DeepCore takes features from an ImageNet ResNet-18; here they are the evidence's.
    """
    divergence = np.zeros(len(evidence))
    for rows in classes(evidence.labels) if within_class else [np.arange(len(evidence))]:
        if len(rows) > 1:
            log_p = log_softmax(take(required(evidence.logits), rows))
            features = kernels.in_metric(take(required(evidence.features), rows), metric)
            divergence[rows] = _local_divergence(features, log_p, neighbors, variant == "paper")
    return DIRECTIONS[direction] * divergence


def _local_divergence(features: np.ndarray, log_p: np.ndarray, neighbors: int, exclude_self: bool) -> np.ndarray:
    p, k = np.exp(log_p), min(neighbors, len(features) - 1)
    divergence = np.empty(len(features))
    for rows, nearest in kernels.neighbour_blocks(features, k, exclude_self):
        # One neighbour of every row at a time: (b, C) numbers, not (b, k, C).
        divergence[rows] = sum(((p[rows] - p[others]) * (log_p[rows] - log_p[others])).sum(axis=1)
                               for others in nearest.T) / (2 * k)
    return divergence


@score("deepfool", needs=("boundary",), cost="n", work=row_by_row, parallel="samples",
       source="Ducoffe and Precioso, Adversarial Active Learning, 2018; Moosavi-Dezfooli et al., DeepFool, CVPR 2016")
def deepfool(evidence: Evidence) -> np.ndarray:
    """Nearness to the decision boundary, minus the squared length of DeepFool's perturbation, -||r_i||^2.

    Returns (n,), at most 0; high = a small push changes the network's answer = keep. DeepCore's value is the
    opposite number, and it keeps the low ones. The perturbation is found by
    ``ms_coreset.extraction.boundary.deepfool_distances``.
    """
    return -np.asarray(evidence.boundary, np.float64)
