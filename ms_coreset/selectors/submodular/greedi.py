"""Set functions maximized by several ranks in two rounds: GreeDi."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.selectors.on_ranks import two_rounds
from ms_coreset.selectors.submodular.greedy import Restricted

if TYPE_CHECKING:
    from ms_coreset.selectors.submodular.greedy import Maximizer
    from ms_coreset.selectors.submodular.set_functions import SetFunction


def value(function: SetFunction, picks: Iterable[int]) -> float:
    """The value f(S) - f({}) of a set function for S = ``picks``, which are added to it."""
    total = 0.0
    for place in picks:
        total += function.gains(np.array([place]))[0]
        function.add(place)
    return total


def greedi(n: int, k: int, seed: int, pool: Callable[[np.ndarray, float], Callable[[int], SetFunction]],
           maximize: Maximizer) -> np.ndarray:
    """Pick k of n places greedily: first on each rank from its part, then from the union of these picks.

    In the last round f sums over rank 0's part, which is drawn at random, and the union; the picks come from the union.
    The result is the best, by this f, of the last round's picks and each rank's own.

    Source: see ``two_rounds``; f over one random part, Mirzasoleiman et al., section 4.5.

    Args:
        n: how many samples.
        k: how many to pick.
        seed: of the random distribution of the samples over the ranks.
        pool: (rows, share) -> a function of k that makes the set function of the samples ``rows``, which are ``share``
            of all.
        maximize: one of the maximizers of ``greedy``.

    Returns:
        (k,) places.
    """
    def pick(rows: np.ndarray, count: int) -> np.ndarray:
        return maximize(pool(rows, len(rows) / n)(count), count).places

    def pick_last(own: np.ndarray, candidates: np.ndarray, picks: list[np.ndarray]) -> np.ndarray:
        ground = np.union1d(own, candidates)
        function, places = pool(ground, len(ground) / n), np.searchsorted(ground, candidates)
        last = places[maximize(Restricted(function(k), places), k).places]
        complete = [np.searchsorted(ground, found) for found in picks if len(found) == k]
        values = [value(function(k), found) for found in (last, *complete)]
        return ground[(last, *complete)[int(np.argmax(values))]]

    return two_rounds(n, k, seed, pick, pick_last)
