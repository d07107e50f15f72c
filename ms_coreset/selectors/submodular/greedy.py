"""Greedy maximizers of set functions: (function, k) -> ``Picks``.

All pick the lowest place of the best candidates, and go on to k picks even if gains are negative. Gains that differ by
less than ``rules.TIE`` of the first pick's gain count as equal, because later gains are differences of sums of that
size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.rules import TIE, first_best
from ms_coreset.selectors.submodular.set_functions import SetFunction


class Picks(NamedTuple):
    """What a maximizer picks.

    Attributes:
        places: (k,), in pick order.
        gains: (k,) float64, what each added to the value at its time.
    """

    places: np.ndarray
    gains: np.ndarray

    @classmethod
    def of(cls, places: list[int], gains: list[float]) -> Picks:
        """Those of lists."""
        return cls(np.array(places, np.int64), np.array(gains, np.float64))


Maximizer = Callable[[SetFunction, int], Picks]
NAMES = ("lazy", "naive", "two_stage", "approximate_lazy", "stochastic", "sample", "modular")
BIDIRECTIONAL = "bidirectional"  # of functions that elements can leave
DRAWING = ("stochastic", "sample", BIDIRECTIONAL)  # what draws at random, more for smaller budgets
_FIRST = 10  # picks of "two_stage" before bounds are looked at, as apricot's default


def optimizer(greedy: str, epsilon: float = 0.1, beta: float = 0.9, seed: int = 0) -> Maximizer:
    """The maximizer named ``greedy``.

    Args:
        greedy: one of ``NAMES``, or ``BIDIRECTIONAL``.
        epsilon: in (0, 1), of "stochastic".
        beta: in (0, 1], of "approximate_lazy" and "sample".
        seed: of the random stream of "stochastic" and "sample", which continues from call to call.

    Returns:
        (function, k) -> k ``Picks``.
    """
    rng = np.random.RandomState(seed)
    named: dict[str, Maximizer] = {
        "naive": naive, "lazy": lazy, "two_stage": two_stage, "modular": modular,
        "approximate_lazy": partial(approximate_lazy, beta=beta),
        "stochastic": partial(stochastic, epsilon=epsilon, rng=rng), "sample": partial(sample, share=beta, rng=rng),
        BIDIRECTIONAL: partial(bidirectional, rng=rng)}
    return named[greedy]


class Restricted:
    """A set function of a pool in which only ``candidates`` (ascending places) may be picked; places count these."""

    def __init__(self, function: SetFunction, candidates: np.ndarray) -> None:
        self._function, self._candidates = function, candidates

    def __len__(self) -> int:
        return len(self._candidates)

    @property
    def batch(self) -> int | None:
        """The function's."""
        return self._function.batch

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._function.gains(self._candidates[places])

    def add(self, place: int) -> None:
        self._function.add(self._candidates[place])


def naive(function: SetFunction, k: int, scale: float = 0.0) -> Picks:
    """Compute the gain of every candidate at every pick.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        scale: size of the numbers whose differences the gains are, by which ties are told; 0: the first pick's gain.

    Returns:
        k ``Picks``.
    """
    left = np.arange(len(function))
    picks, found = [], []
    for _ in range(k):
        gains = function.gains(left)
        scale = scale or size_of_first(gains.max())
        best = first_best(gains, scale)
        picks.append(left[best])
        found.append(gains[best])
        function.add(left[best])
        left = np.delete(left, best)
    return Picks.of(picks, found)


def lazy(function: SetFunction, k: int, scale: float = 0.0) -> Picks:
    """The picks of ``naive`` with fewer gains (Minoux 1978): an earlier gain is an upper bound of the gain now.

    The gains of candidates are computed from the largest bound down, ``function.batch`` at a time, until no remaining
    bound reaches the best gain less twice the tolerance of ties; so no tie is missed.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        scale: see ``naive``.

    Returns:
        k ``Picks``.
    """
    bounds = function.gains(np.arange(len(function)))
    scale = scale or size_of_first(bounds.max())
    picks = [first_best(bounds, scale)]
    gains = [bounds[picks[0]]]
    while len(picks) < k:
        function.add(picks[-1])
        bounds[picks[-1]] = -np.inf
        picks.append(best_now(function, bounds, scale))
        gains.append(bounds[picks[-1]])
    return Picks.of(picks, gains)


def size_of_first(first_gain: float) -> float:
    """Scale of the tolerance for later gains: the first gain, or a tiny number if that is 0."""
    return abs(first_gain) or float(np.finfo(float).tiny)


def best_now(function: SetFunction, bounds: np.ndarray, scale: float) -> int:
    """The place of the best gain now, given bounds (n,) of all; bounds that were in question become gains."""
    if function.batch is None:
        left = np.flatnonzero(bounds > -np.inf)
        bounds[left] = function.gains(left)
        return first_best(bounds, scale)
    if getattr(function, "monotone", False) and bounds.max() <= 0:  # nothing adds anything any more
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


def approximate_lazy(function: SetFunction, k: int, beta: float) -> Picks:
    """Pick the first candidate, by decreasing bound, whose gain is at least ``beta`` of its bound.

    Each pick's gain is at least about beta times the best gain. Departure from DeepCore: the test is gain >= bound - (1
    - beta) |bound|, which is the same for positive bounds; DeepCore's loop never ends once all bounds are negative.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        beta: in (0, 1].

    Returns:
        k ``Picks``.
    """
    bounds = function.gains(np.arange(len(function)))
    picks, gains, scale = [], [], size_of_first(bounds.max())
    for _ in range(k):
        place, gain = _confirm(function, bounds, beta, scale)
        picks.append(place)
        gains.append(gain)
        function.add(place)
        bounds[place] = -np.inf
    return Picks.of(picks, gains)


def _confirm(function: SetFunction, bounds: np.ndarray, beta: float, scale: float) -> tuple[int, float]:
    """(place, gain) of the next pick."""
    while True:
        place = first_best(bounds, scale)
        gain = function.gains(np.array([place]))[0]
        if gain >= bounds[place] - (1 - beta) * abs(bounds[place]):
            return place, gain
        bounds[place] = gain


def stochastic(function: SetFunction, k: int, epsilon: float, rng: np.random.RandomState) -> Picks:
    """For every pick draw max(round(-ln(epsilon) n / k), 1) candidates and take the best.

    For monotone functions the expected value is at least 1 - 1/e - epsilon of the maximum.

    Source: Mirzasoleiman et al., Lazier Than Lazy Greedy, AAAI 2015. Departure: DeepCore draws with epsilon 0.9, for
    which that bound is empty, and assigns its first gains to the wrong candidates.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        epsilon: in (0, 1).
        rng: the random generator.

    Returns:
        k ``Picks``.
    """
    left = np.arange(len(function))
    size = max(round(-np.log(epsilon) * len(left) / k), 1)
    picks, found, scale = [], [], 0.0
    for _ in range(k):
        drawn = np.sort(rng.choice(left, min(size, len(left)), replace=False))
        gains = function.gains(drawn)
        scale = scale or size_of_first(gains.max())
        best = first_best(gains, scale)
        place = drawn[best]
        picks.append(place)
        found.append(gains[best])
        function.add(place)
        left = left[left != place]
    return Picks.of(picks, found)


def two_stage(function: SetFunction, k: int) -> Picks:
    """Ten picks by ``naive``, whose gains are computed together, then the others by ``lazy``: the picks of either."""
    begun = naive(function, min(k, _FIRST))
    if k <= _FIRST:
        return begun
    left = np.setdiff1d(np.arange(len(function)), begun.places)
    rest = lazy(Restricted(function, left), k - _FIRST, size_of_first(begun.gains[0]))
    return Picks(np.concatenate([begun.places, left[rest.places]]), np.concatenate([begun.gains, rest.gains]))


def sample(function: SetFunction, k: int, share: float, rng: np.random.RandomState) -> Picks:
    """The picks of ``lazy`` from a random share of the candidates, at least k of them; f stays that of all.

    Source: apricot's sample greedy, whose draw it repeats.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.
        share: of the candidates, in (0, 1].
        rng: the random generator.

    Returns:
        k ``Picks``.
    """
    n = len(function)
    left_out = rng.choice(n, n - max(int(share * n), k), replace=False)
    candidates = np.setdiff1d(np.arange(n), left_out)
    picks = lazy(Restricted(function, candidates), k)
    return Picks(candidates[picks.places], picks.gains)


def modular(function: SetFunction, k: int) -> Picks:
    """The k candidates of the largest first gains: f is taken for its modular upper bound.

    Source: apricot's modular greedy. Of equal gains the lowest place comes first, there the highest.

    Args:
        function: the set function, of an empty S.
        k: how many to pick.

    Returns:
        k ``Picks``, with their gains at the time.
    """
    bounds = function.gains(np.arange(len(function)))
    places, gains, scale = [], [], size_of_first(bounds.max())
    for _ in range(k):
        places.append(first_best(bounds, scale))
        bounds[places[-1]] = -np.inf
        gains.append(function.gains(np.array(places[-1:]))[0])
        function.add(places[-1])
    return Picks.of(places, gains)


def bidirectional(function: SetFunction, k: int, rng: np.random.RandomState) -> Picks:
    """Double greedy, for functions that are not monotone, stopped after k picks.

    Beside S, which grows, there is a T that begins with all elements. Each, in random order, joins S with the chance a
    / (a + b), a = f(S + j) - f(S) and b = f(T - j) - f(T) where they are above 0, or else leaves T. Without a bound on
    their number the picks of a non-negative submodular f have half of the maximum in expectation; with k there is no
    promise. If all have passed and S has fewer than k, the best gains of the others follow.

    Source: Buchbinder, Feldman, Naor & Schwartz, A Tight Linear Time (1/2)-Approximation for Unconstrained Submodular
    Maximization, FOCS 2012, Algorithm 2; stopped at k as in apricot, whose loop begins anew where this fills up.

    Args:
        function: the set function, of an empty S, that has ``from_all``.
        k: how many to pick.
        rng: the random generator.

    Returns:
        k ``Picks``.

    Raises:
        MsCoresetError: for a function that elements can't leave, such as one that continues a coreset.
    """
    if not hasattr(function, "from_all"):
        raise MsCoresetError("greedy bidirectional begins with all samples: it does not continue a coreset")
    rest, places, gains = function.from_all(), [], []
    for place in rng.permutation(len(function)):
        join, leave = function.gains(np.array([place]))[0], rest.gain_of_leaving(place)
        a, b = max(join, 0.0), max(leave, 0.0)
        if rng.random_sample() * (a + b) <= a:
            places.append(int(place))
            gains.append(join)
            function.add(place)
        else:
            rest.leave(place)
        if len(places) == k:
            return Picks.of(places, gains)
    left = np.setdiff1d(np.arange(len(function)), places)
    more = lazy(Restricted(function, left), k - len(places))
    return Picks(np.concatenate([np.array(places, np.int64), left[more.places]]), np.concatenate([gains, more.gains]))
