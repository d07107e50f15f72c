"""Moderate: samples at a middle distance from their class's center."""

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import SCORES, method
from ms_coreset.selectors.drawing import ScoreName, Share, needs_of_cutoff
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.score_and_rule import by_score
from ms_coreset.selectors.scores.center_distance import Center, Metric
from ms_coreset.selectors.selection import Selection


@method("moderate", needs=lambda options: dict.fromkeys(("features", *needs_of_cutoff(options))), cost="n d",
        work=SCORES["center_distance"].work, parallel="scores", source="Xia et al., Moderate Coreset, ICLR 2023")
def moderate(evidence: Evidence, request: Request, center: Center = "median", metric: Metric = "euclidean",
             mis_ratio: Share = 0.0, cutoff_score: ScoreName = "loss") -> Selection:
    """Samples whose distance to their class's center is near the median distance, by rank.

    With d_i = ||f_i - c_{y_i}||_2 (``center_distance``) and all samples in one ranking, as published, it keeps the
    ranks ``round(n (0.5 - rate/2))`` to ``round(n (0.5 + rate/2))``, which can be one sample more or less than
    ``round(rate n)`` (``rules.moderate_window``). Balanced or after a cut-off, both of which are ours, it keeps exactly
    ``round(rate n)`` samples, or ``round(rate n_c)`` of each class, from the middle of the ranking.

    Args:
        evidence: with labels and ``features``, and what ``cutoff_score`` needs if there is a cut-off.
        request: rate, balance, seed and memory, see ``quota.Request``.
        center: "median", "mean" or "geometric_median" of the class, see ``center_distance``.
        metric: "euclidean", or "cosine", which is ours, see ``center_distance``.
        mis_ratio: ours, after CCS, against wrong labels: share of the samples, those with the highest ``cutoff_score``,
            that is left out first, in [0, 1). "auto": as many as labels seem to be wrong
            (``label_quality.share_to_cut_off``). The centers are those of all samples.
        cutoff_score: name of the score of the cut-off.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: if the cut-off leaves fewer samples than are to be kept.
    """
    return by_score(evidence, request, "center_distance", "window", center=center, metric=metric, mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score)
