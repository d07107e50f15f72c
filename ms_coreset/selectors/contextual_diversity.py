"""Contextual diversity: samples whose probabilities are unlike one another."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import divergences
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.farthest_first import farthest_first, short_list_size
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.softmax import log_softmax


def _contextual_diversity_work(size: Size, options: dict[str, Any]) -> Work:
    peak = (16 * size.pool + 32 * short_list_size(size.pool)) * size.columns
    return Work(peak, 4 * size.columns * size.over_pools(lambda m, k: m * k))


@method("contextual_diversity", needs=("logits",), labels=False, cost="n C k", work=_contextual_diversity_work,
        nested=True, aliases=("ContextualDiversity",), parallel="classes",
        source="Agarwal et al., Contextual Diversity for Active Learning, ECCV 2020; DeepCore's form, on softmax rows")
def contextual_diversity(evidence: Evidence, request: Request) -> Selection:
    """k-center over predicted probabilities, with the symmetric Kullback-Leibler divergence as distance.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), computed from logits through log softmax in float64. The first
    center, the greedy order and ties are as in ``k_center``.

    Departures: DeepCore's divergence of saturated samples is NaN, and it picks those first; here the divergence is
    always finite, and equal to DeepCore's if that is finite. The paper compares mixtures of a class's predictions
    within images; this compares the predictions of samples, as DeepCore does.
    always finite, and equal to DeepCore's wherever that is finite. The paper compares mixtures of a class's predictions
    within images; DeepCore compares the samples' predictions, and so does this.

    Args:
        evidence: with labels and ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The picks, a ``Selection``.
    """
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        distributions = divergences.Distributions(log_softmax(take(require_field(evidence.logits), rows)))
        return rows[farthest_first(distributions, k, request.seed)]

    return Selection(pick_by_group(evidence.groups, request, pick))
