"""k-center: every sample near one that is picked."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import distances, norms
from ms_coreset.selectors.already_selected import AlreadySelected, Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.farthest_first import farthest_first, short_list_size
from ms_coreset.selectors.on_ranks import two_rounds
from ms_coreset.selectors.option_values import Metric
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection


def _k_center_work(size: Size, options: dict[str, Any]) -> Work:
    features = size.features_of(size.pool) + size.directions_of(size.pool, options["metric"])
    listed = 8 * size.d * short_list_size(size.pool)
    return Work(features + listed, 2 * size.d * size.over_pools(lambda m, k: m * k))


@method("k_center", needs=("features",), labels=False, cost="n d k", work=_k_center_work,
        aliases=("kCenterGreedy", "k_center_greedy"), nested=lambda options: not len(options["already_selected"]),
        parallel=lambda options: "" if len(options["already_selected"]) else "rounds",
        source="Sener & Savarese, Active Learning for Convolutional Neural Networks, ICLR 2018, Algorithm 1")
def k_center(evidence: Evidence, request: Request, already_selected: Places = (),
             metric: Metric = "euclidean") -> Selection:
    """Samples such that every sample is near one of them, by farthest-first traversal.

    Each pick is argmax_i min_{j in S} ||f_i - f_j||, ties to the lowest place. The radius, the largest distance of a
    sample to its nearest pick, is at most twice the smallest possible. Distances are computed from features minus their
    mean, in float64: neither a constant added to all features nor a positive factor changes the picks. The first center
    is drawn by ``RandomState(seed).randint(pool size)``, anew in each class if balanced, so that classes of equal size
    begin at the same place (DeepCore's indices). Only the distance to the nearest pick is stored: O(n) memory beside
    the features.

    Args:
        evidence: with labels and ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        already_selected: places that are in the coreset from the start and replace the random center (balanced, in the
            classes that have one). As in DeepCore the budget counts only what is **added**: the result is these places,
            then the new ones.
        metric: "euclidean", or "cosine", which uses f_i / ||f_i|| in place of f_i; adding a constant then does change
            the picks.

    Returns:
        The picks, a ``Selection``.

    Raises:
        MsCoresetError: for places that are out of range or repeated, and if fewer samples are left than the budget.
    """
    chosen = AlreadySelected(already_selected, len(evidence))

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        centers = chosen.within(rows, k)
        if current().size > 1 and not request.balance:
            return two_rounds(len(rows), k, request.seed, farthest, lambda own, candidates, picks: candidates[
                farthest(candidates, k)])
        return rows[farthest(rows, k, centers)]

    def farthest(rows: np.ndarray, k: int, centers: Sequence[int] | np.ndarray = ()) -> list[int]:
        points = distances.Points(norms.rows_in_metric(take(require_field(evidence.features), rows), metric))
        return farthest_first(points, k, request.seed, centers)

    return Selection(chosen.before(pick_by_group(evidence.groups, request, pick)))

