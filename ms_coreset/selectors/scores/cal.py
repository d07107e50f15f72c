"""CAL: how far a sample's probabilities are from those of its neighbors."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import norms
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.neighbors import neighbor_blocks
from ms_coreset.selectors.option_values import Count, Metric, OneOf, Variant
from ms_coreset.selectors.quota import classes
from ms_coreset.softmax import log_softmax

DIRECTIONS = {"highest": 1, "lowest": -1}


def _cal_work(size: Size, options: dict[str, Any]) -> Work:
    groups = size.groups if options["within_class"] else ((size.n, 1),)
    m = max(samples for samples, _ in groups)
    pairs = sum(times * samples**2 for samples, times in groups)
    features = size.features_of(m) + size.directions_of(m, options["metric"]) + 4 * m * size.d
    return Work(features + 16 * m * size.columns + size.logits_of(m), 2 * pairs * size.d)


@score("cal", needs=EXTRACTED, labels=lambda options: options["within_class"], cost="n^2 d", work=_cal_work,
       parallel=lambda options: "classes" if options["within_class"] else "",
       source="Margatina et al., Active Learning by Acquiring Contrastive Examples, EMNLP 2021; Guo et al., DeepCore")
def cal(evidence: Evidence, neighbors: Count = 10, within_class: bool = True,
        direction: Annotated[str, OneOf(DIRECTIONS)] = "highest", variant: Variant = "paper",
        metric: Metric = "euclidean") -> np.ndarray:
    """How unlike a sample's nearest neighbors' its class probabilities are, s_i = mean_{j in kNN(i)} D(p_i, p_j).

    D(p, q) = 1/2 sum_c (p_c - q_c)(log p_c - log q_c), the mean of both Kullback-Leibler divergences, from log softmax
    and so finite for any logits. Neighbors are nearest in features, Euclidean; of equally near ones, the lowest places.
    A sample is never its own neighbor. Where there are fewer than k others, all of them count.

    Departures from the paper, as in DeepCore: D is symmetric (there KL(p_j || p_i)), and neighbors are sought in the
    pool itself (there among labeled data). DeepCore takes features from an ImageNet ResNet-18; here they are the
    evidence's.

    Args:
        evidence: what is known of the samples.
        neighbors: k, 1 or more.
        within_class: look for neighbors in the sample's class (DeepCore, balanced) or everywhere.
        direction: "highest" keeps the samples that diverge most (the paper); "lowest" returns -s, and so keeps the most
            locally consistent ones (DeepCore's code and the numbers of its table).
        variant: "paper", or "deepcore": the first of the nearest is taken for the sample itself, though it may be a
            duplicate of it (``argsort(distances)[1:k + 1]``); DeepCore itself is this with direction "lowest".
        metric: of the features: "euclidean", or "cosine", which looks at their directions only.

    Returns:
        (n,), at least 0 nats for "highest"; 0 for a class of one sample.
    """
    divergence = np.zeros(len(evidence))
    for rows in classes(require_field(evidence.labels)) if within_class else [np.arange(len(evidence))]:
        if len(rows) > 1:
            log_p = log_softmax(take(require_field(evidence.logits), rows))
            features = norms.rows_in_metric(take(require_field(evidence.features), rows), metric)
            divergence[rows] = _local_divergence(features, log_p, neighbors, variant == "paper")
    return DIRECTIONS[direction] * divergence


def _local_divergence(features: np.ndarray, log_p: np.ndarray, neighbors: int, exclude_self: bool) -> np.ndarray:
    p, k = np.exp(log_p), min(neighbors, len(features) - 1)
    divergence = np.empty(len(features))
    for rows, nearest in neighbor_blocks(features, k, exclude_self):
        # One neighbour of every row at a time: (b, C) numbers, not (b, k, C).
        divergence[rows] = sum(((p[rows] - p[others]) * (log_p[rows] - log_p[others])).sum(axis=1)
                               for others in nearest.T) / (2 * k)
    return divergence
