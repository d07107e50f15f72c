"""Moderate: the samples at a middle distance from their class's center."""

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
    """The samples whose distance to their class's center is nearest the median distance, by rank.

    Over everything (the published way), it is the middle window of the ranking of all distances, which can hold one
    sample more or less than ``round(rate n)`` (``rules.moderate_window``). Balanced or after a cut-off, both of which
    are ours, it holds exactly ``round(rate n)`` or, of each class, ``round(rate n_c)`` from the middle of the ranking.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        center: see ``center_distance``.
        metric: see ``center_distance``; "cosine" is ours.
        mis_ratio: ours, after CCS, against wrong labels: this share of the samples, the highest in ``cutoff_score``, is
            left out first. "auto": chosen by how many labels seem to be wrong (``label_quality.share_to_cut_off``). The
            centers are those of all samples.
        cutoff_score: the score of the cut-off.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: when the cut-off leaves fewer samples than are to be kept.
    """
    return by_score(evidence, request, "center_distance", "window", center=center, metric=metric, mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score)
