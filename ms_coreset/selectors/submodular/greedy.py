"""Greedy maximizers of set functions: (function, k) -> k places, in pick order.

All pick the lowest place of the best candidates, and go on to k picks even if gains are negative. Gains that differ by
less than ``rules.TIE`` of the first pick's gain count as equal, because later gains are differences of sums of that
size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ms_coreset.selectors.rules import TIE, first_best
from ms_coreset.selectors.submodular.set_functions import SetFunction

Maximizer = Callable[[SetFunction, int], np.ndarray]
NAMES = ("lazy", "naive", "approximate_lazy", "stochastic")


def optimizer(greedy: str, epsilon: float = 0.1, beta: float = 0.9, seed: int = 0) -> Maximizer:
    """The maximizer named ``greedy``.

    Args:
        greedy: one of ``NAMES``.
        epsilon: in (0, 1), of "stochastic".
        beta: in (0, 1], of "approximate_lazy".
        seed: of the random stream of "stochastic", which continues from call to call.

    Returns:
        (function, k) -> k places, in pick order.
    """
    named: dict[str, Maximizer] = {
        "naive": naive, "lazy": lazy, "approximate_lazy": partial(approximate_lazy, beta=beta),
        "stochastic": partial(stochastic, epsilon=epsilon, rng=np.random.RandomState(seed))}
    return named[greedy]


def naive(function: SetFunction, k: int, scale: float = 0.0) -> np.ndarray:
    """Compute the gain of every candidate at every pick.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        scale: size of the numbers whose differences the gains are, by which ties are told; 0: the first pick's gain.

    Returns:
        (k,) places, in pick order.
    """
    left = np.arange(len(function))
    picks = []
    for _ in range(k):
        gains = function.gains(left)
        scale = scale or _size(gains.max())
        best = first_best(gains, scale)
        picks.append(left[best])
        function.add(left[best])
        left = np.delete(left, best)
    return np.array(picks)


def lazy(function: SetFunction, k: int) -> np.ndarray:
    """The picks of ``naive`` with fewer gains (Minoux 1978): an earlier gain is an upper bound of the gain now.

    The gains of candidates are computed from the largest bound down, ``function.batch`` at a time, until no remaining
    bound reaches the best gain less twice the tolerance of ties; so no tie is missed.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.

    Returns:
        (k,) places, in pick order.
    """
    bounds = function.gains(np.arange(len(function)))
    scale = _size(bounds.max())
    picks = [first_best(bounds, scale)]
    while len(picks) < k:
        function.add(picks[-1])
        bounds[picks[-1]] = -np.inf
        picks.append(_best_now(function, bounds, scale))
    return np.array(picks)


def _size(first_gain: float) -> float:
    """Scale of the tolerance for later gains: the first gain, or a tiny number if that is 0."""
    return abs(first_gain) or float(np.finfo(float).tiny)


def _best_now(function: SetFunction, bounds: np.ndarray, scale: float) -> int:
    """The place of the best gain now, given bounds (n,) of all; bounds that were in question become gains."""
    if function.batch is None:
        left = np.flatnonzero(bounds > -np.inf)
        bounds[left] = function.gains(left)
        return first_best(bounds, scale)
    fresh, best = [], -np.inf
    places = _largest(bounds, function.batch)
    places = places[bounds[places] > -np.inf]
    while len(places):
        gains = function.gains(places)
        fresh.append((places, gains))
        best, bounds[places] = max(best, gains.max()), -np.inf  # for now, so as not to come up again
        stale = np.flatnonzero(bounds >= best - 2 * TIE * max(abs(best), scale))
        places = stale[_largest(bounds[stale], max(function.batch, len(stale) // 4))]
    places, gains = map(np.concatenate, zip(*fresh, strict=True))
    bounds[places] = gains
    order = np.argsort(places)
    return int(places[order[first_best(gains[order], scale)]])


def _largest(bounds: np.ndarray, count: int) -> np.ndarray:
    """Places of the ``count`` largest bounds, or of all there are; for one alone, the lowest place of equal ones."""
    if count >= len(bounds):
        return np.arange(len(bounds))
    if count == 1:  # which gains that rise, as they may not, make a difference to
        return np.array([np.argmax(bounds)])
    return np.argpartition(bounds, -count)[-count:]


def approximate_lazy(function: SetFunction, k: int, beta: float) -> np.ndarray:
    """Pick the first candidate, by decreasing bound, whose gain is at least ``beta`` of its bound.

    Each pick's gain is at least about beta times the best gain. Departure from DeepCore: the test is gain >= bound - (1
    - beta) |bound|, which is the same for positive bounds; DeepCore's loop never ends once all bounds are negative.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        beta: in (0, 1].

    Returns:
        (k,) places, in pick order.
    """
    bounds = function.gains(np.arange(len(function)))
    picks, scale = [], _size(bounds.max())
    for _ in range(k):
        place = _confirm(function, bounds, beta, scale)
        picks.append(place)
        function.add(place)
        bounds[place] = -np.inf
    return np.array(picks)


def _confirm(function: SetFunction, bounds: np.ndarray, beta: float, scale: float) -> int:
    while True:
        place = first_best(bounds, scale)
        gain = function.gains(np.array([place]))[0]
        if gain >= bounds[place] - (1 - beta) * abs(bounds[place]):
            return place
        bounds[place] = gain


def stochastic(function: SetFunction, k: int, epsilon: float, rng: np.random.RandomState) -> np.ndarray:
    """For every pick draw max(round(-ln(epsilon) n / k), 1) candidates and take the best.

    For monotone functions the expected value is at least 1 - 1/e - epsilon of the maximum.

    Source: Mirzasoleiman et al., Lazier Than Lazy Greedy, AAAI 2015. Departure: DeepCore draws with epsilon 0.9, for
    which that bound is empty, and assigns its first gains to the wrong candidates.
    which that bound is void, and gives its first gains to the wrong candidates.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        epsilon: in (0, 1).
        rng: the random generator.

    Returns:
        (k,) places, in pick order.
    """
    left = np.arange(len(function))
    size = max(round(-np.log(epsilon) * len(left) / k), 1)
    picks, scale = [], 0.0
    for _ in range(k):
        drawn = np.sort(rng.choice(left, min(size, len(left)), replace=False))
        gains = function.gains(drawn)
        scale = scale or _size(gains.max())
        place = drawn[first_best(gains, scale)]
        picks.append(place)
        function.add(place)
        left = left[left != place]
    return np.array(picks)
