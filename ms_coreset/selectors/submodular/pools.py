"""Set functions maximized over all samples, or within each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ms_coreset.distributed import current
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.continued import Continued
from ms_coreset.selectors.submodular.greedi import greedi
from ms_coreset.selectors.submodular.knapsack import spend

if TYPE_CHECKING:
    import numpy as np

    from ms_coreset.evidence import Evidence
    from ms_coreset.selectors.already_selected import Places
    from ms_coreset.selectors.submodular.greedy import Maximizer
    from ms_coreset.selectors.submodular.set_functions import SetFunction


def maximize_pools(evidence: Evidence, request: Request, maximize: Maximizer,
                   pool: Callable[[np.ndarray, float], Callable[[int], SetFunction]], already_selected: Places,
                   rounds: bool = False) -> Selection:
    """Maximize a set function of all samples, or of those of each class.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        maximize: one of the maximizers of ``greedy``.
        pool: (rows, share) -> (most picks) -> the set function of the samples ``rows``; ``share`` is the part of the
            samples that f covers, below 1 in GreeDi only.
        already_selected: see ``facility_location``.
        rounds: whether several ranks maximize it in two rounds, see ``greedi``.

    Returns:
        A ``Selection``: the places already selected, then the picks, with gains where one process chooses.

    Raises:
        MsCoresetError: for places that can't be selected already, and a budget of costs that pays for nothing.
    """
    if evidence.cost is not None:
        return spend(evidence, request, lambda rows: pool(rows, 1.0))
    if rounds and current().size > 1 and not request.balance and not len(already_selected):
        return Selection(pick_by_group(evidence.groups, request,
                                       lambda rows, k: greedi(len(rows), k, request.seed, pool, maximize)))
    course = Continued(already_selected, evidence.groups)
    return course.select(request, lambda rows, k: course.add(rows, k, maximize, pool(rows, 1.0)))
