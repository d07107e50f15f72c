"""GRAD-MATCH: weighted samples whose summed gradient is near the mean gradient of all samples."""

from typing import Annotated, Any, NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.cords_pursuit import Solver, match_as_cords
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.gradient_task import largest_first, pose_task, require_fitting_validation
from ms_coreset.selectors.last_layer_gradients import BatchGradients, ResidentGradients, whole_batches
from ms_coreset.selectors.option_values import AnyVariant, Count, NotNegative, OneOf
from ms_coreset.selectors.products import multiply
from ms_coreset.selectors.quota import Request, group_budgets, pick_by_group
from ms_coreset.selectors.rules import first_best
from ms_coreset.selectors.selection import Selection


def _gradmatch_work(size: Size, options: dict[str, Any]) -> Work:
    m, k = size.pool, size.k
    if options["per_batch"]:
        m, k = (-(-count // options["batch_size"]) for count in (m, k))
        written = 8 * m * size.columns * (size.d + 1)
        return Work(size.gradients_of(size.pool) + written + 8 * m * k + 24 * k**2,
                    size.factorization / options["batch_size"])
    return Work(size.gradients_of(m) + 8 * m * k + 24 * k**2, size.factorization)


@method("gradmatch", needs=EXTRACTED, takes=("validation",), label_columns=True, cost="n d k + n k^2",
        work=_gradmatch_work, parallel=lambda options: "" if options["variant"] == "cords" else "classes",
        source="Killamsetty et al., GRAD-MATCH, ICML 2021, eq. 4 and algorithm 2")
def gradmatch(evidence: Evidence, request: Request, lam: NotNegative = 0.5,
              refill: Annotated[str, OneOf(("projection", "none"))] = "projection", variant: AnyVariant = "paper",
              batch_size: Count = 128, solver: Solver = "v1", per_batch: bool = False) -> Selection:
    """Weighted samples whose summed gradient is near the mean gradient, by orthogonal matching pursuit.

    With G_i the last-layer gradients and b the mean of all G_i (or of those of ``evidence.validation``), it minimizes
    ||b - sum_{j in S} w_j G_j||^2 + lam ||w||^2 greedily. Each step picks the sample with the largest <G_i, r>, where r
    = b - sum_j x_j G_j is the residual of regularized least squares over the picks so far. At the end the weights w >=
    0 are computed by non-negative least squares. Memory: n k numbers; nothing is n x n.

    Balanced, each class is matched by itself, with the mean gradient of its own class. The weights of a class then sum
    to less if b is small compared with lam: to ||b||^2 / (||b||^2 + lam / k) if all its gradients are equal and k of
    them are picked. So a class that the network knows well may count for little in training, whatever its share of the
    picks.

    Departures from the paper: correlations are signed (as in DeepCore, because weights are not negative), the budget is
    met instead of a tolerance, and the refill is not random.

    Args:
        evidence: with labels, ``features`` and ``logits``; ``validation`` is used if given.
        request: rate, balance, seed and memory, see ``quota.Request``.
        lam: ridge penalty on the weights, above 0 (with the variant "cords" also 0), in units of squared gradients of
            single samples.
        refill: "projection": picks with weight 0 are replaced by the samples with the largest <G_i, r> after the last
            fit, which get the smallest positive weight; "none": they are left out, so that fewer than k samples may be
            kept.
        variant: "paper", or "deepcore": each gradient is divided by the size of its batch of ``batch_size`` samples,
            lam is 1 whatever is given, but 0 after the first pick, weights come from non-negative least squares on the
            normal equations, and there is no refill. "cords": the sum of the gradients is matched, by a solver of
            CORDS' code, see ``cords_pursuit.match_as_cords``; unless ``refill`` is "none", samples are drawn at random
            from all that are left, for what is missing in the budget, with weight 1.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore" and ``per_batch``.
        solver: of the variant "cords": "v1", its default on accelerators; "v0", with its option v1=False; "cpu", on a
            CPU; or "nnls".
        per_batch: choose whole batches by their mean gradients (GradMatchPB), the last of them of fewer samples: for a
            budget of k samples ceil(k / batch_size) batches of the pool, all of whose samples are kept, with the weight
            of the batch.

    Returns:
        A ``Selection``: places in pick order, refills last, and weights, float64 and above 0. b is a mean, but the
        weights need not sum to 1; the weight of a single pick is 1. (The sum is matched by "cords", whose weights are
        larger, and may be below 0 with the solver "v0".)

    Raises:
        MsCoresetError: for another option value, labels that are not columns of the logits, and a validation set that
            does not fit.
    """
    require_fitting_validation(evidence)
    if not lam and variant != "cords":
        raise MsCoresetError(f"gradmatch: lam {lam}: must be a finite number above 0, but for the variant cords")
    weights = np.zeros(len(evidence))

    def match(pool: Gradients, aim: Gradients, k: int) -> tuple[np.ndarray, np.ndarray]:
        if variant == "deepcore":
            return _match_as_deepcore(pool, aim.mean(), k)
        if variant == "cords":
            return match_as_cords(pool, aim.mean() * len(aim), k, lam, solver)
        return _match(pool, aim.mean(), k, lam, refill)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        task = pose_task(evidence, rows, request, variant, batch_size)
        if not per_batch:
            picks, found = match(task.pool, task.aim, k)
        else:
            pool, aim = (BatchGradients.of(side.gradients, batch_size) for side in (task.pool, task.aim))
            batches, of_batches = match(pool, aim, -(-k // batch_size))
            picks, found = whole_batches(batches, of_batches, len(rows), batch_size)
        weights[rows[picks]] = found
        return rows[picks]

    indices = pick_by_group(evidence.groups, request, pick)
    if variant == "cords" and refill != "none":
        indices = np.concatenate([indices, _draw_missing(evidence, request, indices)])
        weights[indices[weights[indices] == 0]] = 1
    return Selection(indices, weights[indices])


def _draw_missing(evidence: Evidence, request: Request, indices: np.ndarray) -> np.ndarray:
    """Places drawn at random from all that are left, as many as are missing in the budget."""
    missing = sum(k for _, k in group_budgets(evidence.groups, request)) - len(indices)
    left = np.setdiff1d(np.arange(len(evidence)), indices)
    return np.random.RandomState(request.seed).choice(left, max(0, missing), replace=False)


Gradients = ResidentGradients | BatchGradients


class _Pursuit(NamedTuple):
    """The state of a pursuit after k picks.

    K is the Gram matrix, and c_i = <G_i, b> (n,). The weights x of the least squares are L^-T solved; the correlations
    with their residual are c - (x L) basis.

    Attributes:
        picks: (k,).
        lower: (k, k), the Cholesky factor L of K_SS + lam I.
        basis: (k, n), L^-1 K_S.
        solved: (k,), L^-1 c_S.
    """

    picks: np.ndarray
    lower: np.ndarray
    basis: np.ndarray
    solved: np.ndarray
    correlations: np.ndarray


def _pursue(pool: Gradients, target: np.ndarray, k: int, lam: float, damp_first: bool = True) -> _Pursuit:
    """Orthogonal matching pursuit of k picks from ``ResidentGradients``, with one column of K each.

    L and the basis grow by a row per pick: a step costs n (d + t), and <G_i, r> decreases by a multiple of the new row
    of the basis.

    Args:
        pool: gradients of n samples.
        target: (C, d + 1), b.
        k: how many to pick.
        lam: ridge on the weights.
        damp_first: use lam for the residual after the first pick too (DeepCore does not).
    """
    squares = pool.squared_norms()
    picks, free = np.empty(k, np.int64), np.ones(len(pool), bool)
    lower, basis, solved = np.zeros((k, k)), np.zeros((k, len(pool))), np.zeros(k)
    correlations = pool.projections(target)
    residual = seen = correlations.copy()
    for t in range(k):
        j = picks[t] = first_best(np.where(free, seen, -np.inf))
        free[j] = False
        lower[t, :t] = basis[:t, j]
        # The pivot is at least lam except for rounding errors, which duplicates cause.
        lower[t, t] = np.sqrt(max(squares[j] + lam - lower[t, :t] @ lower[t, :t], lam))
        column = pool.column(j)
        basis[t] = (column - multiply(lower[[t], :t], basis[:t])[0]) / lower[t, t]
        solved[t] = residual[j] / lower[t, t]
        residual = seen = residual - solved[t] * basis[t]
        if t == 0 and not damp_first and squares[j]:
            seen = correlations - column * (correlations[j] / squares[j])
    return _Pursuit(picks, lower, basis, solved, correlations)


def _match(pool: Gradients, target: np.ndarray, k: int, lam: float,
           refill: str) -> tuple[np.ndarray, np.ndarray]:
    """Picks and weights above 0: pursuit, regularized non-negative least squares, refill."""
    pursuit = _pursue(pool, target, k, lam)
    if k == 1:
        return pursuit.picks, np.ones(1)
    fit = _ridge_nnls(pursuit.lower, pursuit.solved)
    kept = fit > 0
    picks, weights = pursuit.picks[kept], fit[kept]
    if refill == "none" or kept.all():
        return picks, weights
    left = pursuit.correlations - (fit @ pursuit.lower) @ pursuit.basis
    left[picks] = -np.inf
    refills = largest_first(left, k - len(picks))
    # If no weight is positive, all are equal.
    smallest = weights.min() if len(weights) else 1.0
    return np.concatenate([picks, refills]), np.concatenate([weights, np.full(len(refills), smallest)])


def _ridge_nnls(lower: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """The x >= 0 that minimizes ||A x - b||^2 + lam ||x||^2, that is ||L^T x - L^-1 A^T b||^2."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    unconstrained = solve_triangular(lower, solved, lower=True, trans="T")
    if (unconstrained >= 0).all():
        return unconstrained  # the unconstrained minimum is feasible, and much cheaper than the search
    return nnls(lower.T, solved, maxiter=30 * len(solved))[0]


def _match_as_deepcore(pool: Gradients, target: np.ndarray, k: int,
                       lam: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Picks and weights above 0 as DeepCore's code computes them; fewer than k if weights become 0."""
    from scipy.optimize import nnls

    picks, lower, _, solved, _ = _pursue(pool, target, k, lam, damp_first=False)
    if k == 1:
        return picks, np.ones(1)
    fit = nnls(lower @ lower.T, lower @ solved, maxiter=30 * k)[0]
    return picks[fit > 0], fit[fit > 0]
