"""Methods that are a score and a rule."""

from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.quota import pick_by_group
from ms_coreset.selectors.rules import moderate_window, window
from ms_coreset.selectors.scores.centre_distance import center_distance
from ms_coreset.selectors.selection import Selection


@method("moderate", needs=("features",), cost="n d", source="Xia et al., Moderate Coreset, ICLR 2023")
def moderate(evidence, request, center="median"):
    """The samples whose distance to their class's centre is nearest the median distance, by rank.

    center: "median" or "mean", see ``center_distance``

    Over everything (the published way), the middle window of the ranking of all distances; it can hold one sample
    more or less than ``round(rate n)`` (``rules.moderate_window``). Balanced, which is ours, exactly
    ``round(rate n_c)`` from the middle of each class's ranking.
    """
    distances = center_distance(evidence, center)

    def pick(rows, k):
        places = window(distances[rows], k) if request.balance else moderate_window(distances[rows], request.rate)
        return rows[places]

    return Selection(pick_by_group(evidence.labels, request, pick), scores=distances)
