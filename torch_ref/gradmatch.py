"""GRAD-MATCH: weighted samples whose summed gradient is near the mean gradient of all samples."""

import math

import numpy as np
import torch
from scipy.optimize import nnls

from torch_ref.cords_pursuit import SOLVERS, cords_pursuit
from torch_ref.evidence import Evidence, check_choice
from torch_ref.gradient_task import VARIANTS, judges_of, of_batches, pool_gradients, whole_batches
from torch_ref.quota import Picks, best_in_turn, budgets, join


def gradmatch(evidence: Evidence, rate: float, balance: bool, seed: int, lam: float = 0.5, refill: str = "projection",
              variant: str = "paper", batch_size: int = 128, solver: str = "v1", per_batch: bool = False) -> Picks:
    """Orthogonal matching pursuit of the mean gradient b by weighted gradients of samples.

    Each pick has the largest <G_i, r>, with r the residual of min_x ||sum_S x G - b||^2 + lam ||x||^2. At the end x is
    computed once more with x >= 0. The weight of a single pick is 1. The mean b is that of the samples to choose from,
    or of ``evidence.validation`` (balanced: of those of the same class).

    Source: Killamsetty et al., GRAD-MATCH, ICML 2021, algorithm 2.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        lam: ridge penalty, above 0; at least 0 with the variant "cords".
        refill: "projection": samples with weight 0 are replaced by those with the highest <G_i, r>, which get the
            smallest positive weight; "none": they are left out.
        variant: "paper", or "deepcore", which divides gradients by the size of their batch, has lam = 1 but 0 after the
            first pick, minimizes ||(K_SS + lam I) x - c_S|| at the end, and refills nothing; or "cords", which matches
            the sum by ``cords_pursuit``, and draws what is missing at random, unless refill is "none".
        batch_size: size of the batches of consecutive samples, for the variant "deepcore" and ``per_batch``.
        solver: of the variant "cords".
        per_batch: pick ceil(k / batch_size) batches by their mean gradients, and keep all their samples.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    check_choice("variant", variant, (*VARIANTS, "cords"))
    check_choice("refill", refill, ("projection", "none"))
    check_choice("solver", solver, SOLVERS)
    if not (lam > 0 or (lam == 0 and variant == "cords")):
        raise ValueError(f"lam is {lam}, must be above 0")
    parts, weights, missing = [], [], 0
    for rows, k in budgets(evidence.labels, rate, balance):
        pool = pool_gradients(evidence, rows, variant, batch_size)
        judge, members = judges_of(evidence, rows, balance)
        aim = pool_gradients(judge, members, variant, batch_size)
        if per_batch:
            found = _match(of_batches(pool, batch_size), of_batches(aim, batch_size), math.ceil(k / batch_size), lam,
                           refill, variant, solver)
            kept, values = whole_batches(*found, len(rows), batch_size)
        else:
            kept, values = _match(pool, aim, k, lam, refill, variant, solver)
        parts.append(rows[kept])
        weights.append(values)
        missing += k - len(kept)
    if variant == "cords" and refill != "none" and missing > 0:
        left = np.setdiff1d(np.arange(len(evidence.labels)), join(parts))
        parts.append(np.random.RandomState(seed).choice(left, missing, replace=False))
        weights.append(np.ones(missing))
    return join(parts), join(weights, np.float64), None


def _match(pool: torch.Tensor, aim: torch.Tensor, k: int, lam: float, refill: str, variant: str,
           solver: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of the picks from ``pool``, for the gradients ``aim``."""
    if variant == "cords":
        return cords_pursuit(pool, aim.sum(dim=0), k, lam, solver)
    target = aim.mean(dim=0)
    picked, x = _deepcore_pursuit(pool, target, k) if variant == "deepcore" else _pursuit(pool, target, k, lam)
    kept, values = np.array(picked)[x > 0], x[x > 0]
    if variant == "paper" and refill == "projection":
        return _refill(pool, target, kept, values, k)
    return kept, values


def _pursuit(pool: torch.Tensor, target: torch.Tensor, k: int, lam: float) -> tuple[list[int], np.ndarray]:
    """Picks and x = argmin_{x >= 0} ||sum_S x G - target||^2 + lam ||x||^2."""
    picked = best_in_turn(lambda chosen: pool @ _residual(pool[chosen], target, lam), len(pool), k)
    if k == 1:
        return picked, np.ones(1)
    stacked = torch.cat([pool[picked].T, math.sqrt(lam) * torch.eye(k, dtype=torch.float64)])
    return picked, nnls(stacked.numpy(), torch.cat([target, torch.zeros(k)]).numpy())[0]


def _deepcore_pursuit(pool: torch.Tensor, target: torch.Tensor, k: int) -> tuple[list[int], np.ndarray]:
    """DeepCore's: no lam after a single pick, and non-negative least squares on the normal equations."""
    picked = best_in_turn(lambda chosen: pool @ _residual(pool[chosen], target, float(len(chosen) > 1)), len(pool), k)
    if k == 1:
        return picked, np.ones(1)
    rows = pool[picked]
    return picked, nnls((rows @ rows.T + torch.eye(k, dtype=torch.float64)).numpy(), (rows @ target).numpy())[0]


def _residual(rows: np.ndarray, target: torch.Tensor, lam: float) -> torch.Tensor:
    """The residual target - sum x G, for the x that minimizes ||sum x G - target||^2 + lam ||x||^2."""
    if not len(rows):
        return target
    gram = rows @ rows.T + lam * torch.eye(len(rows), dtype=torch.float64)
    return target - (torch.linalg.pinv(gram, hermitian=True) @ rows @ target) @ rows


def _refill(pool: torch.Tensor, target: torch.Tensor, kept: np.ndarray, weights: np.ndarray,
            k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of k: after those kept, the others of highest <G_i, r>, one after the other."""
    towards = pool @ (target - torch.tensor(weights) @ pool[kept])
    left = np.setdiff1d(np.arange(len(pool)), kept)
    added = left[best_in_turn(lambda _: towards[left], len(left), k - len(kept))]
    smallest = weights.min() if len(weights) else 1.0
    return np.concatenate([kept, added]), np.concatenate([weights, np.full(len(added), smallest)])
