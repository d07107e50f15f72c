"""Coverage-centric coreset selection (CCS): strata of a score, after a hard cut-off."""

from typing import Any

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import SCORES, method
from ms_coreset.selectors.drawing import ScoreName, Share, cutoff_needs_labels, needs_of_cutoff
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Count
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.score_and_rule import by_score
from ms_coreset.selectors.selection import Selection


def _takes_of_score(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that the strata's score uses if they are there."""
    return SCORES[options["score"]].takes_for({})


@method("ccs", needs=lambda options: dict.fromkeys((*SCORES[options["score"]].needs, *needs_of_cutoff(options))),
        takes=_takes_of_score,
        labels=lambda options: SCORES[options["score"]].needs_labels({}) or cutoff_needs_labels(options),
        cost="n T", work=row_by_row, parallel="scores",
        source="Zheng et al., Coverage-centric Coreset Selection, ICLR 2023")
def ccs(evidence: Evidence, request: Request, score: ScoreName = "accumulated_margin", strata: Count = 50,
        mis_ratio: Share = 0.0, cutoff_score: ScoreName = "accumulated_margin") -> Selection:
    """Samples spread evenly over strata of a score, after a cut-off of the hardest samples.

    The int(mis_ratio n) of n samples (of each class, if balanced) with the highest ``cutoff_score`` are cut off. The
    range of the score of the others is divided into intervals of equal width, the strata. They share the budget evenly:
    by rising size, the j-th of S strata (from 0) gets min(size, left // (S - j)). Within a stratum samples are drawn
    uniformly.

    Departures from the authors' code: the budget is ``round(rate n)``, not truncated; if fewer samples than the budget
    survive the cut-off, that is an error; the last stratum ends at the highest score (theirs at 1.0001 times it, which
    loses it if it is negative).

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        score: name of the score of the strata, any of ``mc.list_scores()``.
        strata: number of intervals S, 1 or more.
        mis_ratio: share of all samples to cut off, in [0, 1): the paper's beta, which grows with the share that is
            dropped (0.3 to keep a tenth of CIFAR-10). "auto", which is ours: see ``moderate``.
        cutoff_score: name of the score of the cut-off; its highest values are cut off.

    Returns:
        The picks, a ``Selection``.
    """
    return by_score(evidence, request, score, "strata", strata=strata, mis_ratio=mis_ratio, cutoff_score=cutoff_score)
