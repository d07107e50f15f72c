"""Coresets whose last-layer gradients stand for everybody's: GradMatch and Glister."""

from typing import Annotated, Any, NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import EXTRACTED, Evidence, LastLayerGradients, softmax
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.kernels import ResidentGradients, multiply
from ms_coreset.selectors.options import Count, OneOf, Positive, Variant
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import first_best
from ms_coreset.selectors.selection import Selection

_ROUNDING = 1e-9  # of a projection, and more than a tie, relative to the lengths of both


def _gradmatch_work(size: Size, options: dict[str, Any]) -> Work:
    m, k = size.pool, size.k
    return Work(size.gradients_of(m) + 8 * m * k + 24 * k**2, size.factorization)


@method("gradmatch", needs=EXTRACTED, takes=("validation",), label_columns=True, cost="n d k + n k^2",
        work=_gradmatch_work, parallel="classes",
        source="Killamsetty et al., GRAD-MATCH, ICML 2021, eq. 4 and algorithm 2")
def gradmatch(evidence: Evidence, request: Request, lam: Positive = 0.5,
              refill: Annotated[str, OneOf(("projection", "none"))] = "projection", variant: Variant = "paper",
              batch_size: Count = 128) -> Selection:
    """The weighted samples whose summed gradient is nearest the mean gradient, by orthogonal matching pursuit.

    With G_i the last-layer gradients, b the mean of all G_i (or of the validation samples'), minimises
    ||b - sum_{j in S} w_j G_j||^2 + lam ||w||^2: step by step the sample of largest <G_i, r>, r = b - sum_j x_j G_j
    the residual of the least squares over the picks; last the weights w >= 0 by non-negative least squares.
    Balanced, each class for itself, with the mean gradient of its own class. The weights of a class then sum to less
    where b is small beside lam: to ||b||^2 / (||b||^2 + lam / k) if all its gradients are equal, k of them picked. A
    class that the network knows well may hardly count in training, whatever its share of the picks.

    lam: ridge on the weights, above 0, on the scale of single samples' gradients
    refill: "projection": picks whose weight becomes 0 are replaced by the samples of largest <G_i, r> after the
        last fit, with the smallest positive weight; "none": they are left out, and fewer than k can come back
    variant: "paper", or "deepcore": each gradient divided by the size of its batch of ``batch_size`` samples, lam 1
        whatever is given, but 0 after the first pick, weights by non-negative least squares on the normal equations,
        no refill

    Returns indices in pick order, refills last, and weights, float64 and above 0: b is a mean, but they need not sum
    to 1; with a budget of one the weight is 1. Raises ``MsCoresetError`` for another option value, labels that are
    not columns of the logits, and a validation set that does not fit. Memory: n k numbers; nothing is n x n.

    Departures from the paper: signed correlations (as DeepCore, since weights are not negative), the budget is met
    rather than a tolerance, and the refill is not random.
    """
    _require_fitting_validation(evidence)
    weights = np.zeros(len(evidence))

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        task = _task(evidence, rows, request, variant, batch_size)
        target = task.aim.mean()
        if variant == "deepcore":
            picks, found = _match_as_deepcore(task.pool, target, k)
        else:
            picks, found = _match(task.pool, target, k, lam, refill)
        weights[rows[picks]] = found
        return rows[picks]

    indices = pick_by_group(evidence.labels, request, pick)
    return Selection(indices, weights[indices])


class _Pursuit(NamedTuple):
    """picks (k,); lower (k, k), the Cholesky factor L of K_SS + lam I; basis (k, n), L^-1 K_S; solved (k,), L^-1 c_S.

    K is the Gram matrix, c_i = <G_i, b> (n,). The least squares' weights are L^-T solved, and weights x leave the
    correlations c - (x L) basis.
    """

    picks: np.ndarray
    lower: np.ndarray
    basis: np.ndarray
    solved: np.ndarray
    correlations: np.ndarray


def _pursue(pool: ResidentGradients, target: np.ndarray, k: int, lam: float, damp_first: bool = True) -> _Pursuit:
    """Orthogonal matching pursuit of k picks from ``ResidentGradients``, with one column of K each.

    L grows by a row per pick, and with it the basis: a step costs n (d + t), and <G_i, r> falls by a multiple of the
    new basis row. damp_first: use lam for the residual after the first pick too (DeepCore does not).
    """
    squares = pool.gradients.squared_norms()
    picks, free = np.empty(k, np.int64), np.ones(len(pool), bool)
    lower, basis, solved = np.zeros((k, k)), np.zeros((k, len(pool))), np.zeros(k)
    correlations = pool.projections(target)
    residual = seen = correlations.copy()
    for t in range(k):
        j = picks[t] = first_best(np.where(free, seen, -np.inf))
        free[j] = False
        lower[t, :t] = basis[:t, j]
        # The pivot is at least lam but for rounding, which duplicates provoke.
        lower[t, t] = np.sqrt(max(squares[j] + lam - lower[t, :t] @ lower[t, :t], lam))
        column = pool.gram(pool.gradients.take([j]))[0]
        basis[t] = (column - multiply(lower[[t], :t], basis[:t])[0]) / lower[t, t]
        solved[t] = residual[j] / lower[t, t]
        residual = seen = residual - solved[t] * basis[t]
        if t == 0 and not damp_first and squares[j]:
            seen = correlations - column * (correlations[j] / squares[j])
    return _Pursuit(picks, lower, basis, solved, correlations)


def _match(pool: ResidentGradients, target: np.ndarray, k: int, lam: float,
           refill: str) -> tuple[np.ndarray, np.ndarray]:
    """Picks and weights above 0: pursuit, regularised non-negative least squares, refill."""
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
    refills = _largest(left, k - len(picks))
    # Where no weight is positive, all count the same.
    smallest = weights.min() if len(weights) else 1.0
    return np.concatenate([picks, refills]), np.concatenate([weights, np.full(len(refills), smallest)])


def _ridge_nnls(lower: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """x >= 0 that minimises ||A x - b||^2 + lam ||x||^2, that is ||L^T x - L^-1 A^T b||^2."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    unconstrained = solve_triangular(lower, solved, lower=True, trans="T")
    if (unconstrained >= 0).all():
        return unconstrained  # the only minimum lies where it may, and costs far less than the search for it
    return nnls(lower.T, solved, maxiter=30 * len(solved))[0]


def _match_as_deepcore(pool: ResidentGradients, target: np.ndarray, k: int,
                       lam: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Picks and weights above 0 as DeepCore's code finds them; fewer than k where weights come out as 0."""
    from scipy.optimize import nnls

    picks, lower, _, solved, _ = _pursue(pool, target, k, lam, damp_first=False)
    if k == 1:
        return picks, np.ones(1)
    fit = nnls(lower @ lower.T, lower @ solved, maxiter=30 * k)[0]
    return picks[fit > 0], fit[fit > 0]


def _glister_work(size: Size, options: dict[str, Any]) -> Work:
    rounds = options["rounds"]
    operations = size.over_pools(lambda m, k: m * (k if rounds is None else rounds))
    return Work(size.gradients_of(size.pool) + 32 * size.pool * size.columns, 4 * size.d * size.columns * operations)


@method("glister", needs=EXTRACTED, takes=("validation",), label_columns=True, cost="n d C k", work=_glister_work,
        parallel="classes", nested=lambda options: options["rounds"] is None,
        source="Killamsetty et al., GLISTER, AAAI 2021, eq. 7 and algorithm 2")
def glister(evidence: Evidence, request: Request, eta: Positive = 0.1,
            aggregate: Annotated[str, OneOf(("mean", "sum"))] = "mean", rounds: Count | None = None,
            variant: Variant = "paper", batch_size: Count = 128) -> Selection:
    """The samples a training step on which lowers the validation loss most, greedily.

    The gain of a sample is <G_i, h(S)>, h the validation set's mean last-layer gradient after one step of rate eta on
    the picks S: logits z_v - eta (g_0 + G_1 e_v), with [g_0, G_1] their mean or summed gradient. The validation set
    is ``evidence.validation``, else the pool itself; balanced, its samples of the same class.

    eta: rate of the step, above 0
    aggregate: "mean" or "sum" of the picks' gradients; with "sum" (the paper, CORDS) choose eta for the budget, or
        the logits blow up
    rounds: None: the step is taken anew after every pick; r: the ``ceil(k / r)`` best are taken together
    variant: "paper", or "deepcore": the k largest initial gains, no steps (its code never takes them), with each
        gradient divided by the size of its batch of ``batch_size`` samples

    Returns indices in pick order, and as scores the initial gains (n,), high = keep. Raises ``MsCoresetError`` for
    another option value, labels that are not columns of the logits, and a validation set that does not fit.

    Departures from the paper: the plain greedy maximiser, since gains may grow and a lazy one would err; the mean.
    """
    _require_fitting_validation(evidence)
    initial = np.empty(len(evidence))

    def measure(rows: np.ndarray, _: int) -> np.ndarray:
        task = _task(evidence, rows, request, variant, batch_size)
        initial[rows] = task.pool.projections(task.aim.mean())
        return rows

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        if variant == "deepcore":
            return rows[_largest(initial[rows], k)]
        task = _task(evidence, rows, request, variant, batch_size)
        per_round = 1 if rounds is None else -(-k // rounds)
        return rows[_descend(task, initial[rows], k, eta, aggregate, per_round)]

    # At rate 1 the driver visits every class, also those that the budget leaves out.
    pick_by_group(evidence.labels, Request(1.0, request.balance), measure)
    return Selection(pick_by_group(evidence.labels, request, pick), scores=initial)


def _descend(task: "_Task", gains: np.ndarray, k: int, eta: float, aggregate: str, per_round: int) -> np.ndarray:
    """Pick ``per_round`` samples of largest gain, take the step, and again, until there are k."""
    logits = np.asarray(task.held_out.logits, np.float64)
    samples, truth = np.arange(len(logits)), task.held_out.labels
    shift = np.zeros_like(logits)
    projections = _Projections(task.pool, task.aim.mean(), gains)
    picks: list[int] = []
    while True:
        latest = projections.largest(min(per_round, k - len(picks)))
        picks.extend(latest)
        if len(picks) == k:
            return np.array(picks)
        shift += task.aim.logit_shift(task.pool.gradients.take(latest))
        rate = eta / len(picks) if aggregate == "mean" else eta
        errors = softmax(logits - rate * shift)
        errors[samples, truth] -= 1
        projections.turn(task.aim.mean(errors))


class _Projections:
    """Gains <G_i, M> for a direction M (C, d + 1) that turns a little with every pick.

    Those along an earlier M' bound them, |<G_i, M> - <G_i, M'>| <= ||G_i|| ||M - M'||, so that only the samples that
    may be among the best need be projected anew.
    """

    def __init__(self, pool: ResidentGradients, direction: np.ndarray, gains: np.ndarray) -> None:
        self._pool, self._lengths = pool, np.sqrt(pool.gradients.squared_norms())
        self._known_along = self._direction = direction
        self._known, self._free = gains, np.ones(len(pool), bool)

    def turn(self, direction: np.ndarray) -> None:
        """Take another direction."""
        self._direction = direction

    def largest(self, count: int) -> np.ndarray:
        """The ``count`` places of the largest gains, which are not given again."""
        places = self._hopeful(count)
        if len(places) > len(self._pool) // 8:
            self._known, self._known_along = self._pool.projections(self._direction), self._direction
            places = np.flatnonzero(self._free)
            gains = self._known[places]
        else:
            gains = self._pool.projections_of(places, self._direction)
        picks = places[_largest(gains, count)]
        self._free[picks] = False
        return picks

    def _hopeful(self, count: int) -> np.ndarray:
        doubt = self._lengths * np.linalg.norm(self._direction - self._known_along)
        doubt += _ROUNDING * self._lengths * np.linalg.norm(self._direction)
        sure = (self._known - doubt)[self._free]
        least = np.partition(sure, len(sure) - count)[len(sure) - count]
        return np.flatnonzero(self._free & (self._known + doubt >= least))


class _Task(NamedTuple):
    """The pool to pick from; the samples whose mean gradient is aimed at, as gradients and as evidence."""

    pool: ResidentGradients
    aim: ResidentGradients
    held_out: Evidence


def _task(evidence: Evidence, rows: np.ndarray, request: Request, variant: str, batch_size: int) -> "_Task":
    samples = evidence.part(rows, EXTRACTED)
    pool = _resident(samples, variant, batch_size)
    validation = evidence.validation
    if validation is None:
        return _Task(pool, pool, samples)
    label = evidence.labels[rows[0]] if request.balance else None
    held_out = validation.part(_rows_of(label, validation.labels), EXTRACTED)
    return _Task(pool, _resident(held_out, variant, batch_size), held_out)


def _rows_of(label: int | None, labels: np.ndarray) -> np.ndarray:
    """The validation samples of a class, or all of them."""
    if label is None:
        return np.arange(len(labels))
    same = np.flatnonzero(labels == label)
    if not len(same):
        raise MsCoresetError(f"validation has no sample of class {label}: add some, or select with balance=False")
    return same


def _resident(samples: Evidence, variant: str, batch_size: int) -> ResidentGradients:
    gradients = LastLayerGradients.of(samples)
    return ResidentGradients(gradients.divided_by_batch(batch_size) if variant == "deepcore" else gradients)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` places of the largest values, largest first; ties as ``first_best``."""
    values, places = values.copy(), np.empty(count, np.int64)
    for i in range(count):
        places[i] = first_best(values)
        values[places[i]] = -np.inf
    return places


def _require_fitting_validation(evidence: Evidence) -> None:
    if evidence.validation is None:
        return
    for field in EXTRACTED:
        expected, found = (getattr(side, field).shape[1] for side in (evidence, evidence.validation))
        if expected != found:
            raise MsCoresetError(f"validation {field} have {found} columns, must have {expected} like the pool's")
