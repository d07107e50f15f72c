"""Farthest-first traversal: each pick is the sample farthest from those before."""

from collections.abc import Sequence

import numpy as np

from ms_coreset.selectors import divergences
from ms_coreset.selectors.distances import Points
from ms_coreset.selectors.rules import TIE, first_best

SHORTEST = 256  # least number of samples on the short list


def farthest_first(space: Points | divergences.Distributions, k: int, seed: int,
                   centers: Sequence[int] | np.ndarray = ()) -> list[int]:
    """Farthest-first traversal: each pick is the farthest from ``centers`` (or a random one) and the earlier picks.

    Distances to the nearest pick only decrease. So a short list of the samples that were farthest is updated with every
    pick. The others can't have become farther, and are updated only when the farthest of the list is no farther than
    they were: then for all picks since, in one product of matrices, which is many times faster than one vector after
    another.

    Args:
        space: ``distances.Points`` or ``divergences.Distributions``.
        k: how many to pick.
        seed: of the random generator.
        centers: places that count as picked from the start.

    Returns:
        k places of ``space``, in pick order.
    """
    nearest = np.full(len(space), np.inf)
    since = list(centers) or [np.random.RandomState(seed).randint(len(space))]
    picks = [] if len(centers) else list(since)
    while True:
        np.minimum(nearest, space.to_nearest(np.array(since)), out=nearest)
        nearest[since] = -np.inf
        if len(picks) >= k:
            return picks[:k]
        since = _from_short_list(space, nearest, k - len(picks))
        picks.extend(since)


def short_list_size(n: int) -> int:
    """Number of n samples that are on the short list, whose distances to the picks are always up to date."""
    return min(n, max(SHORTEST, n // 16, 1))


def _from_short_list(space: Points | divergences.Distributions, nearest: np.ndarray, k: int) -> list[int]:
    """The next picks, at least one and at most k, as far as the farthest by ``nearest`` (n,) can tell."""
    first = first_best(nearest)
    size = short_list_size(len(space))
    places = np.sort(np.argpartition(-nearest, size - 1)[:size])
    outside = np.delete(nearest, places).max(initial=-np.inf)
    if first not in places:
        return [first]
    listed, distances = space.among(places), nearest[places].copy()
    picks, place = [], int(np.searchsorted(places, first))
    while True:
        picks.append(places[place])
        if len(picks) == k:
            return picks
        np.minimum(distances, listed.distances_to(place), out=distances)
        distances[place] = -np.inf
        place = first_best(distances)
        # A sample outside may tie with it, or be farther.
        if distances[place] * (1 - 2 * TIE) <= outside:
            return picks
