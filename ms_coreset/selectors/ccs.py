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
    """Spread evenly over strata of a score, after a share of the hardest samples is cut off.

    See ``rules.after_cutoff`` and ``rules.spread_over_strata``.

    Departures from the authors' code: the budget is ``round(rate n)``, not truncated; too few survivors are an error;
    intervals are closed at the highest score.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        score: the score that the strata are cut from, any one.
        strata: number of intervals of equal width.
        mis_ratio: share of all samples, highest in ``cutoff_score``, that is never taken (the paper's beta; it grows
            with the share that is dropped, 0.3 for a tenth of CIFAR-10); "auto", which is ours, as in ``moderate``.
        cutoff_score: the score of the cut-off.

    Returns:
        The picks, a ``Selection``.
    """
    return by_score(evidence, request, score, "strata", strata=strata, mis_ratio=mis_ratio, cutoff_score=cutoff_score)
