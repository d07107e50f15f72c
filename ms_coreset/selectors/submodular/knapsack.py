"""Set functions maximized within a budget of costs: of files' sizes, of what labels cost, in place of a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import require_field
from ms_coreset.selectors.quota import Request, classes
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import Picks, best_now, size_of_first

if TYPE_CHECKING:
    from ms_coreset.evidence import Evidence
    from ms_coreset.selectors.catalogue import Entry
    from ms_coreset.selectors.submodular.set_functions import SetFunction

SOURCE = ("costs: Leskovec et al., Cost-effective Outbreak Detection in Networks, KDD 2007; Khuller, Moss & Naor, "
          "The Budgeted Maximum Coverage Problem, Information Processing Letters 1999")
_SLACK = 1e-9  # of the budget, that sums of costs may be above it by rounding


class PerCost:
    """A set function whose gains are divided by what the candidates cost."""

    def __init__(self, function: SetFunction, cost: np.ndarray) -> None:
        self._function, self._cost = function, cost

    def __len__(self) -> int:
        return len(self._cost)

    @property
    def batch(self) -> int | None:
        """The function's."""
        return self._function.batch

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._function.gains(places) / self._cost[places]

    def add(self, place: int) -> None:
        self._function.add(place)


def knapsack(function: Callable[[int], SetFunction], cost: np.ndarray, budget: float) -> Picks:
    """Pick greedily by the gain for the cost, and once more by the gain alone, and return the picks of larger value.

    Each pick is the best of those that the rest of the budget still pays for, until it pays for none. For a monotone
    submodular function the value is at least (1 - 1/e) / 2 of the maximum (Leskovec et al.).

    Args:
        function: (most picks) -> the set function, of an empty S.
        cost: (n,), above 0.
        budget: what the picks may cost together.

    Returns:
        ``Picks``, perhaps none.
    """
    cheapest = np.cumsum(np.sort(cost))
    most = int((cheapest <= budget * (1 + _SLACK)).sum())
    if not most:
        return Picks.of([], [])
    by_cost = within(PerCost(function(most), cost), cost, budget)
    by_cost = by_cost._replace(gains=by_cost.gains * cost[by_cost.places])
    by_gain = within(function(most), cost, budget)
    return by_gain if by_gain.gains.sum() > by_cost.gains.sum() * (1 + _SLACK) else by_cost


def within(function: SetFunction, cost: np.ndarray, budget: float) -> Picks:
    """The best gain each time of what the rest of the budget pays for; ties as in ``greedy``."""
    bounds = function.gains(np.arange(len(function)))
    scale, left = size_of_first(bounds[cost <= budget * (1 + _SLACK)].max()), budget * (1 + _SLACK)
    places: list[int] = []
    gains: list[float] = []
    while True:
        bounds[cost > left] = -np.inf
        if not (bounds > -np.inf).any():
            return Picks.of(places, gains)
        place = best_now(function, bounds, scale)
        places.append(place)
        gains.append(bounds[place])
        function.add(place)
        left -= cost[place]
        bounds[place] = -np.inf


def require_possible(entry: Entry, evidence: Evidence, options: dict[str, Any], quota: str | None) -> None:
    """Check that a method can keep to a budget of costs, where the evidence has such.

    Raises:
        MsCoresetError: if it can not, saying why.
    """
    if evidence.cost is None:
        return
    if "cost" not in entry.takes_for(options):
        raise MsCoresetError(f"{entry.name} counts samples: Evidence(cost=...) goes with the set functions, such as "
                             "facility_location")
    for name, value, allowed in (("quota", quota, not quota),
                                 ("greedy", options.get("greedy"), options.get("greedy", "lazy") in ("lazy", "naive")),
                                 ("already_selected", "of some places", not len(options.get("already_selected", ()))),
                                 ("ranks", current().size, current().size == 1)):
        if not allowed:
            raise MsCoresetError(f"{entry.name}: {name} {value} does not go with Evidence(cost=...)")


def spend(evidence: Evidence, request: Request,
          pool: Callable[[np.ndarray], Callable[[int], SetFunction]]) -> Selection:
    """Maximize a set function of all samples, or of each class, for the share ``request.rate`` of their cost.

    Args:
        evidence: with ``cost``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        pool: rows -> (most picks) -> the set function of these samples.

    Returns:
        The picks, a ``Selection``, with gains, and notes of what they cost.

    Raises:
        MsCoresetError: if the budget pays for no sample.
    """
    cost, indices, gains = np.asarray(require_field(evidence.cost), np.float64), [], []
    for rows in classes(evidence.groups) if request.balance else [np.arange(len(evidence))]:
        picks = knapsack(pool(rows), cost[rows], float(request.rate) * cost[rows].sum())
        indices.append(rows[picks.places])
        gains.append(picks.gains)
    chosen = np.concatenate(indices)
    if not len(chosen):
        raise MsCoresetError(f"rate {request.rate} of a cost of {cost.sum():.6g} pays for no sample: the cheapest "
                             f"costs {cost.min():.6g}")
    return Selection(chosen, gains=np.concatenate(gains),
                     notes={"cost": float(cost[chosen].sum()), "cost_of_all": float(cost.sum())})
