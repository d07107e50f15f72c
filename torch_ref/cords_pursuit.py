"""CORDS' orthogonal matching pursuit, on gradients that are written out."""

import numpy as np
import torch
from scipy.optimize import nnls

from torch_ref.quota import first_best

SOLVERS = ("v1", "v0", "cpu", "nnls")
NOTHING = 1e-10  # of the length of a row times its number, relative to the target's: it counts as 0


def cords_pursuit(pool: torch.Tensor, target: torch.Tensor, k: int, lam: float,
                  solver: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights other than 0, in pick order, after at most k steps.

    A step takes the row of ``pool`` with the largest product with the residual into a system, whose solution may have
    no number below 0: with "nnls" by constraint, else because the rows of the lowest numbers leave again. A row that
    comes again ends the pursuit; with "v1" it makes one more row of the system instead, whose weight is not used. With
    "v0" a last row that leaves ends it, with the weights that were solved for with this row.

    Args:
        pool: (n, D).
        target: (D,).
        k: number of steps.
        lam: ridge, at least 0, from two rows on.
        solver: one of ``SOLVERS``.

    Returns:
        (positions, weights).
    """
    names: list[int] = []
    rows, x, residual = pool[:0], torch.zeros(0, dtype=pool.dtype), target
    for _ in range(k):
        if not target.norm() or residual.norm() / target.norm() < 1e-4:
            break
        towards = pool @ residual
        best = first_best(towards, np.arange(len(pool)))
        if best in names and solver != "v1":
            break
        names += [] if best in names else [best]
        if len(names) == 1:
            rows, length = pool[best][None], pool[best].square().sum()
            if not length:
                x = torch.zeros(1, dtype=pool.dtype)
                break
            x = (towards[best] / length)[None]
        else:
            names, rows, x, ended = _settle(names, torch.cat([rows, pool[best][None]]), target, lam, solver)
            if ended:
                break
        residual = target - x @ rows
    weights = x[:len(names)].numpy()
    return np.array(names, np.int64)[weights != 0], weights[weights != 0]


def _settle(names: list[int], rows: torch.Tensor, target: torch.Tensor, lam: float,
            solver: str) -> tuple[list[int], torch.Tensor, torch.Tensor, bool]:
    """(names, rows, weights, whether it ends here), without what leaves."""
    x = _solve(rows, target, lam, solver)
    while x.min() < 0:
        out = int(x.argmin())
        names = names[:out] + names[out + 1:]
        rows = torch.cat([rows[:out], rows[out + 1:]])
        if not len(rows) or (solver == "v0" and out == len(rows)):
            return names, rows, x, True
        x = _solve(rows, target, lam, solver)
    return names, rows, x, False


def _solve(rows: torch.Tensor, target: torch.Tensor, lam: float, solver: str) -> torch.Tensor:
    system = rows @ rows.T + lam * torch.eye(len(rows), dtype=rows.dtype)
    if solver == "nnls":
        x = torch.tensor(nnls(system.numpy(), (rows @ target).numpy(), maxiter=30 * len(rows))[0])
    else:
        x = torch.linalg.lstsq(system, (rows @ target)[:, None], driver="gelsd").solution[:, 0]
    return torch.where(x.abs() * rows.norm(dim=1) <= NOTHING * target.norm(), 0, x)
