"""Orthogonal matching pursuit as CORDS' code computes it, with what its solvers do and others do not."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ms_coreset.selectors.last_layer_gradients import BatchGradients, ResidentGradients
from ms_coreset.selectors.option_values import OneOf
from ms_coreset.selectors.rules import first_best

SOLVERS = ("v1", "v0", "cpu", "nnls")
TOLERANCE = 1e-4  # of the residual's length, relative to the target's
NOTHING = 1e-10  # of the length of x_i G_i, relative to the target's: rounding leaves as much of a weight of 0

Solver = Annotated[str, OneOf(SOLVERS)]


def match_as_cords(pool: ResidentGradients | BatchGradients, target: np.ndarray, k: int, lam: float,
                   solver: str) -> tuple[np.ndarray, np.ndarray]:
    """Picks and their weights, which are not 0; fewer than k where a solver stops before.

    Each step picks the largest <G_i, r>, of all samples, solves (K_SS + lam I) x = c_S (without lam after the first
    pick), and takes negative x_i out, the least one first, until none is left. It ends when the residual r is 1e-4 of
    the target. The solvers differ in this:

    * "cpu" (OrthogonalMP_REG): it ends at a sample that is picked already.
    * "v0" (OrthogonalMP_REG_Parallel): so does this; and when the pick itself is taken out it ends with the x before.
    * "v1" (OrthogonalMP_REG_Parallel_V1): a sample that is picked again counts twice in the system, its second x is
      lost.
    * "nnls" (OrthogonalMP_REG_NNLS): x by non-negative least squares; none is taken out.

    Departure: an x_i of which ||x_i G_i|| is 1e-10 of the target counts as 0, where CORDS' code goes by the sign that
    rounding gives it.

    Args:
        pool: gradients of n samples.
        target: (C, d + 1), the sum that is matched.
        k: how many steps.
        lam: ridge on the weights, at least 0.
        solver: one of ``SOLVERS``.

    Returns:
        (places, weights), in pick order.
    """
    pursuit = _Pursuit(pool, target, lam, solver)
    for _ in range(k):
        if pursuit.misfit() < TOLERANCE or not pursuit.step():
            break
    picks = np.array(pursuit.picks, np.int64)
    weights = pursuit.weights[:len(picks)]
    return picks[weights != 0], weights[weights != 0]


class _Pursuit:
    """The state of a pursuit.

    Attributes:
        picks: places, each once.
        weights: of the picks, and then of what is picked again, or was taken out last.
    """

    def __init__(self, pool: ResidentGradients | BatchGradients, target: np.ndarray, lam: float, solver: str) -> None:
        self._pool, self._lam, self._solver = pool, lam, solver
        self._correlations, self._size = pool.projections(target), float(np.sum(np.square(target)))
        self._gram: dict[int, np.ndarray] = {}  # columns of K of the samples that were ever picked
        self.picks: list[int] = []
        self._rows: list[int] = []
        self.weights = np.empty(0)

    def misfit(self) -> float:
        """The residual's length over the target's; 0 without a target."""
        if not self._size:
            return 0.0
        square = self._size - 2 * self.weights @ self._correlations[self._rows] + (
            self.weights @ self._system(0.0) @ self.weights)
        return float(np.sqrt(max(square, 0.0) / self._size))

    def step(self) -> bool:
        """Make one step; returns whether it is not the last."""
        left = self._correlations - sum((weight * self._gram[place] for weight, place in
                                         zip(self.weights, self._rows, strict=True)), np.zeros(len(self._pool)))
        place = first_best(left)
        if place in self.picks and self._solver != "v1":
            return False
        if place not in self.picks:
            self.picks.append(place)
        if place not in self._gram:
            self._gram[place] = self._pool.column(place)
        if len(self.picks) == 1:
            own = self._gram[place][place]
            self._rows, self.weights = [place], np.array([left[place] / own if own else 0.0])
            return bool(own)
        self._rows.append(place)
        return self._solve()

    def _solve(self) -> bool:
        from scipy.optimize import nnls

        if self._solver == "nnls":
            self._take(nnls(self._system(self._lam), self._correlations[self._rows], maxiter=30 * len(self._rows))[0])
            return True
        self._solve_freely()
        while self.weights.min() < 0:
            worst = int(np.argmin(self.weights))
            del self.picks[worst:worst + 1], self._rows[worst]
            if not self._rows or (self._solver == "v0" and worst == len(self._rows)):
                return False
            self._solve_freely()
        return True

    def _solve_freely(self) -> None:
        from scipy.linalg import lstsq  # scipy takes longer to load than --help may

        self._take(lstsq(self._system(self._lam), self._correlations[self._rows])[0])

    def _take(self, weights: np.ndarray) -> None:
        lengths = np.sqrt([self._gram[place][place] for place in self._rows])
        self.weights = np.where(np.abs(weights) * lengths <= NOTHING * self._size**0.5, 0, weights)

    def _system(self, lam: float) -> np.ndarray:
        """K_SS + lam I."""
        rows = np.array([self._gram[place][self._rows] for place in self._rows]).reshape(2 * (len(self._rows),))
        return rows + lam * np.eye(len(rows))
