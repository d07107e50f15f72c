"""GLISTER: samples whose training step lowers the loss of all samples, or of a validation set."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.gradient_task import GradientTask, largest_first, pose_task, require_fitting_validation
from ms_coreset.selectors.last_layer_gradients import ResidentGradients
from ms_coreset.selectors.option_values import Count, OneOf, Positive, Variant
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.softmax import softmax

_ROUNDING = 1e-9  # of a projection, and more than a tie, relative to the lengths of both


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
    """Samples whose training step lowers the validation loss most, chosen greedily.

    The gain of a sample is <G_i, h(S)>, with G_i its last-layer gradient and h the validation set's mean gradient after
    one step of rate eta on the picks S. With [g_0, G_1] the mean or summed gradient of the picks, the step changes the
    logits z_v of a validation sample with features e_v to z_v - eta (g_0 + G_1 e_v). The validation set is
    ``evidence.validation``, or else the pool itself; balanced, its samples of the same class.

    Departures from the paper: the plain greedy maximizer is used, because gains may grow, for which a lazy one is
    wrong; and the mean gradient is the default.

    Args:
        evidence: with labels, ``features`` and ``logits``; ``validation`` is used if given.
        request: rate, balance, seed and memory, see ``quota.Request``.
        eta: learning rate of the step, above 0.
        aggregate: "mean" or "sum" of the picks' gradients; with "sum" (the paper, CORDS) choose eta by the budget, or
            the logits diverge.
        rounds: None: a step after every pick; r: a step after every ``ceil(k / r)`` picks, those with the largest
            gains.
        variant: "paper", or "deepcore": the k largest initial gains, without steps (its code never takes them), with
            each gradient divided by the size of its batch of ``batch_size`` samples.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore".

    Returns:
        A ``Selection``: places in pick order, and as scores the initial gains (n,), high = keep.

    Raises:
        MsCoresetError: for another option value, labels that are not columns of the logits, and a validation set that
            does not fit.
    """
    require_fitting_validation(evidence)
    initial = np.empty(len(evidence))

    def measure(rows: np.ndarray, _: int) -> np.ndarray:
        task = pose_task(evidence, rows, request, variant, batch_size)
        initial[rows] = task.pool.projections(task.aim.mean())
        return rows

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        if variant == "deepcore":
            return rows[largest_first(initial[rows], k)]
        task = pose_task(evidence, rows, request, variant, batch_size)
        per_round = 1 if rounds is None else -(-k // rounds)
        return rows[_descend(task, initial[rows], k, eta, aggregate, per_round)]

    # At rate 1 the driver visits every class, also those that the budget leaves out.
    pick_by_group(evidence.groups, Request(1.0, request.balance), measure)
    return Selection(pick_by_group(evidence.groups, request, pick), scores=initial)


def _descend(task: "GradientTask", gains: np.ndarray, k: int, eta: float, aggregate: str, per_round: int) -> np.ndarray:
    """Repeat until there are k picks: pick ``per_round`` samples of largest gain, and take the step."""
    logits = np.asarray(task.held_out.logits, np.float64)
    samples, truth = np.arange(len(logits)), require_field(task.held_out.labels)
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
    """Gains <G_i, M> for a direction M (C, d + 1) that changes a little with every pick.

    The gains along an earlier M' bound them, |<G_i, M> - <G_i, M'>| <= ||G_i|| ||M - M'||, so that only the samples
    that may be among the best are projected again.
    """

    def __init__(self, pool: ResidentGradients, direction: np.ndarray, gains: np.ndarray) -> None:
        self._pool, self._lengths = pool, np.sqrt(pool.gradients.squared_norms())
        self._known_along = self._direction = direction
        self._known, self._free = gains, np.ones(len(pool), bool)

    def turn(self, direction: np.ndarray) -> None:
        """Set another direction."""
        self._direction = direction

    def largest(self, count: int) -> np.ndarray:
        """The ``count`` places of the largest gains; later calls do not return them again."""
        places = self._hopeful(count)
        if len(places) > len(self._pool) // 8:
            self._known, self._known_along = self._pool.projections(self._direction), self._direction
            places = np.flatnonzero(self._free)
            gains = self._known[places]
        else:
            gains = self._pool.projections_of(places, self._direction)
        picks = places[largest_first(gains, count)]
        self._free[picks] = False
        return picks

    def _hopeful(self, count: int) -> np.ndarray:
        doubt = self._lengths * np.linalg.norm(self._direction - self._known_along)
        doubt += _ROUNDING * self._lengths * np.linalg.norm(self._direction)
        sure = (self._known - doubt)[self._free]
        least = np.partition(sure, len(sure) - count)[len(sure) - count]
        return np.flatnonzero(self._free & (self._known + doubt >= least))
