"""D2 pruning: hard samples in dense places, spread out."""

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import SCORES, method
from ms_coreset.selectors.drawing import ScoreName, Share, cutoff_needs_labels
from ms_coreset.selectors.message_passing import (
    SOURCE,
    Density,
    Discount,
    Scale,
    is_nested,
    needs_of,
    work,
)
from ms_coreset.selectors.option_values import Count, NotNegative, Probes
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.score_and_rule import by_score
from ms_coreset.selectors.selection import Selection


@method("d2", needs=lambda options: tuple(dict.fromkeys((*SCORES[options["score"]].needs, *needs_of(options)))),
        takes=lambda options: SCORES[options["score"]].takes_for({}), cost="n^2 d + n k", work=work,
        labels=lambda options: SCORES[options["score"]].needs_labels({}) or cutoff_needs_labels(options),
        nested=is_nested, parallel="scores", aliases=("D2Pruning", "d2_pruning"), source=SOURCE)
def d2(evidence: Evidence, request: Request, score: ScoreName = "forgetting", neighbors: Count = 5,
       gamma: NotNegative = 0.1, density: Density = "sum", discount: Discount = "weighted", symmetric: bool = True,
       scale: Scale = "none", mis_ratio: Share = 0.0, cutoff_score: ScoreName = "accumulated_margin",
       probes: Probes = 0) -> Selection:
    """Hard samples in dense places, spread out: a score is summed over neighbors, and taken back around every pick.

    Sample i and each of its nearest neighbors by Euclidean distance of the features are joined, at distance d_ij. With
    the score s >= 0, densities begin as

        g_i = s_i + sum_j e^{-d_ij} max(s_j, 1e-7)   ("sum"),   or   s_i sum_j e^{-d_ij} max(s_j, 1e-7)   ("product").

    The next pick is i = argmax g, and for all j joined to it g_j <- g_j - e^{-gamma d_ij} g_i. Ties go to the lowest
    place. Where a score is below 0, the lowest is subtracted from all.

    The paper joins samples within each class (``balance=True``), takes ``forgetting`` as the score for CIFAR and AUM
    for ImageNet, and tunes ``mis_ratio`` for each rate (0.4 where a tenth of CIFAR-10 is kept).

    Features of large norm are so far apart that e^{-d} is 0: then no message arrives, and the highest scores are kept,
    with a warning; scale="median" is the remedy.

    Departures from the authors' code: what was picked leaves the ranking, where there it gets the lowest density less
    1; a sample itself is left out of its neighbors by its index, so that duplicates are neighbors.

    Args:
        evidence: with ``features``, and what the score needs.
        request: rate, balance, seed and memory, see ``quota.Request``.
        score: the score that is passed on, any one.
        neighbors: how many nearest ones a sample is joined to, or all others of a smaller group.
        gamma: how fast what a pick takes back falls with the distance, at least 0.
        density: how it begins, see above.
        discount: "weighted", as above, or "absolute": all of g_i is subtracted from g_j.
        symmetric: whether j is joined to i, too, if i is one of the nearest to j (the authors' code for CIFAR); if not,
            a sample hears and lowers its own nearest ones only (their code for ImageNet).
        scale: ours: "median" divides all distances by the median one between nearest neighbors; "none": as they are.
        mis_ratio: this share of the samples, the highest in ``cutoff_score``, is left out first, see ``ccs``.
        cutoff_score: the score of the cut-off.
        probes: 0: the nearest ones exactly; otherwise they are sought in so many of sqrt(n) cells, see
            ``neighbors.nearest_among``.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: when the cut-off leaves fewer samples than are to be kept.
    """
    return by_score(evidence, request, score, "d2", neighbors=neighbors, gamma=gamma, density=density,
                    discount=discount, symmetric=symmetric, scale=scale, mis_ratio=mis_ratio, cutoff_score=cutoff_score,
                    probes=probes)
