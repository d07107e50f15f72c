"""Prune4ReL: picks whose neighborhoods give as many samples as can be a confident neighbor to be re-labeled by."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import row_wise, take
from ms_coreset.selectors import norms
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Metric, Number, OneOf, Positive
from ms_coreset.selectors.products import QuickProducts
from ms_coreset.selectors.quota import Request, classes, pick_by_group
from ms_coreset.selectors.rules import TIE
from ms_coreset.selectors.selection import Selection
from ms_coreset.softmax import log_softmax, softmax

SOURCE = ("Park et al., Robust Data Pruning under Label Noise via Maximizing Re-labeling Accuracy, NeurIPS 2023")
_LEAST = float(np.finfo(float).tiny)  # a confidence of 0 counts as this, to have a logarithm
_SPENT = 1.5  # of the first class that is used up: a class that gave more ends the turns

Threshold = Annotated[float, Number(lambda value: 0 <= value < 1, "at least 0 and below 1")]


def _largest(logits: np.ndarray) -> np.ndarray:
    return softmax(logits).max(axis=1)


def _entropy(logits: np.ndarray) -> np.ndarray:
    log_p = log_softmax(logits)
    return -np.einsum("ic,ic->i", np.exp(log_p), log_p)


def _margin(logits: np.ndarray) -> np.ndarray:
    p = np.pad(softmax(logits), ((0, 0), (0, 1)))  # of one class alone the lead is the whole
    second, first = np.partition(p, -2, axis=1)[:, -2:].T
    return first - second


_CONFIDENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"max": _largest, "entropy": _entropy, "margin": _margin}
Confidence = Annotated[str, OneOf(_CONFIDENCES)]


def _work(size: Size, options: dict[str, Any]) -> Work:
    """Features at length 1 in both precisions, and a few numbers for each sample."""
    m = size.pool
    peak = size.features_of(m) + size.logits_of(m) + (12 if options["metric"] == "cosine" else 8) * m * size.d + 80 * m
    return Work(peak, 2 * size.d * size.over_pools(lambda m, k: m * k))


@method("prune4rel", needs=EXTRACTED, labels=lambda options: options["turns"], cost="n d k", work=_work, nested=True,
        parallel="classes", aliases=("Prune4ReL",), source=SOURCE)
def prune4rel(evidence: Evidence, request: Request, tau: Threshold = 0.975, eta: Positive = 1.0,
              confidence: Confidence = "max", metric: Metric = "cosine", turns: bool = True) -> Selection:
    """Samples in whose neighborhoods most others are near to confident ones, for learners that re-label.

    With the confidence c_i and the similarity sim_ij = 1/2 + 1/2 cos(x_i, x_j), the picks S maximize

        sum_i tanh(N_i / eta),   N_i = sum_{j in S, sim_ij > tau} sim_ij c_j,

    by a greedy rule: the next pick is argmax tanh((N_i + c_i) / eta) - tanh(N_i / eta), of the samples left. Ties go to
    the lowest place. As the authors' code, unless ``turns`` is false, the classes of the labels take turns: pick t is
    of the class t mod C' of the C' that have samples left, until, after one was used up, a class has given more than
    1.5 times as many. Balanced, each class is pruned by itself.

    The gain is sinh(c / eta) / (cosh((N + c) / eta) cosh(N / eta)), and its logarithm is what is compared: a
    difference of two tanh is 0 in any precision for a dense neighborhood, in the authors' half precision after a few
    picks, and then the lowest place wins. Only gains that a pick changes, those near it, are computed again.

    Other departures from the authors' code: entropy without a term of 1e-6; the order of the picks is kept.

    Args:
        evidence: with labels, ``features`` and ``logits`` after a warm-up (10 epochs in the paper for CIFAR-10N, 30 for
            CIFAR-100N).
        request: rate, balance, seed and memory, see ``quota.Request``.
        tau: how similar a neighbor is at least; the paper has 0.975 for CIFAR-10 and 0.95 for CIFAR-100: cosines above
            0.95 and 0.9. A row of zeros has cosine 0 with all.
        eta: the N at which a sample is as good as served.
        confidence: "max", the highest probability (the paper); or, as in the authors' code, "entropy", which is high
            for the unsure, or "margin", the lead of the likeliest class.
        metric: "cosine"; or "euclidean": sim = 1 / (||x_i - x_j|| + 0.1) - 0.1, 0 to 10, for which the authors' code
            has no threshold, that is ``tau`` 0.
        turns: whether classes take turns where not balanced.

    Returns:
        The picks, a ``Selection``.
    """
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        features = norms.rows_in_metric(take(require_field(evidence.features), rows), metric)
        sure = row_wise(_CONFIDENCES[confidence], take(require_field(evidence.logits), rows))
        served = _Served(sure, eta, _NEARBY[metric](features, tau))
        if not turns or request.balance:
            return rows[[served.pick(slice(None)) for _ in range(k)]]
        return rows[_in_turns(served, classes(require_field(evidence.labels)[rows]), k)]

    return Selection(pick_by_group(evidence.groups, request, pick))


class _Served:
    """How well the m samples are served by the picks so far.

    Args:
        confidences: (m,).
        eta: see ``prune4rel``.
        nearby: place -> (places, similarities) of those similar enough to it.
    """

    def __init__(self, confidences: np.ndarray, eta: float,
                 nearby: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> None:
        self._steps, self._nearby = np.maximum(confidences / eta, _LEAST), nearby
        self._level = np.zeros(len(confidences))  # N / eta
        self._first = _log_sinh(self._steps)
        self._gains = self._log_gains(np.arange(len(confidences)))

    def _log_gains(self, places: np.ndarray) -> np.ndarray:
        level = self._level[places]
        return self._first[places] - _log_cosh(level + self._steps[places]) - _log_cosh(level)

    def pick(self, among: np.ndarray | slice) -> int:
        """The place of the best gain of some places, ascending; it is not picked again."""
        gains = self._gains[among]
        best = int(np.argmax(gains >= gains.max() - TIE))
        place = best if isinstance(among, slice) else int(among[best])
        near, similar = self._nearby(place)
        self._level[near] += similar * self._steps[place]
        left = near[self._gains[near] > -np.inf]
        self._gains[left] = self._log_gains(left)
        self._gains[place] = -np.inf
        return place


def _in_turns(served: _Served, members: list[np.ndarray], k: int) -> list[int]:
    """K places: each class, of ascending ``members``, in its turn."""
    picks: list[int] = []
    waiting, given = list(range(len(members))), np.zeros(len(members), int)
    of_class, first_spent = np.empty(sum(map(len, members)), int), 0
    for label, places in enumerate(members):
        of_class[places] = label
    while len(picks) < k:
        by_turns = not first_spent or given.max() <= _SPENT * first_spent
        among = members[waiting[len(picks) % len(waiting)]] if by_turns else slice(None)
        picks.append(served.pick(among))
        label = of_class[picks[-1]]
        given[label] += 1
        if given[label] == len(members[label]):
            waiting.remove(label)
            first_spent = first_spent or len(members[label])
    return picks


def _log_sinh(x: np.ndarray) -> np.ndarray:
    """Of x above 0."""
    return x + np.log(-np.expm1(-2 * x)) - np.log(2)


def _log_cosh(x: np.ndarray) -> np.ndarray:
    """Of x at least 0, however large."""
    return x + np.log1p(np.exp(-2 * x)) - np.log(2)


def _by_cosine(unit: np.ndarray, tau: float) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Products in float32 find what may be near; those in float64 decide."""
    quick, least = QuickProducts(unit.astype(np.float32)), 2 * tau - 1

    def nearby(place: int) -> tuple[np.ndarray, np.ndarray]:
        products, error = quick.of_rows(np.array([place]))
        maybe = np.flatnonzero(products[0] > least - error - 1e-6)
        similar = 0.5 + 0.5 * np.einsum("ij,j->i", unit[maybe], unit[place])
        near = similar > tau + TIE
        return maybe[near], similar[near]

    return nearby


def _by_distance(rows: np.ndarray, tau: float) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    def nearby(place: int) -> tuple[np.ndarray, np.ndarray]:
        apart = np.maximum(norms.row_distances(rows, rows[place]), 1e-6)
        similar = np.clip(1 / (apart + 0.1) - 0.1, 0, 10)
        near = np.flatnonzero(similar > tau + TIE)
        return near, similar[near]

    return nearby


_NEARBY = {"cosine": _by_cosine, "euclidean": _by_distance}
