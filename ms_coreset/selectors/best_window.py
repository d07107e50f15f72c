"""The rule ``best_window``: the window of the ranking from which a linear classifier learns most."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.catalogue import rule
from ms_coreset.selectors.drawing import pick_on_first, with_score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Number, Positive
from ms_coreset.selectors.quota import Request, budget, group_budgets, pick_by_group
from ms_coreset.selectors.rules import TIE, top
from ms_coreset.selectors.selection import Selection

Pick = Callable[[np.ndarray, int], np.ndarray]  # see ``pick_by_group``
Step = Annotated[float, Number(lambda value: 0.001 <= value <= 1, "at least 0.001 and at most 1")]


def _best_window_work(size: Size, options: dict[str, Any]) -> Work:
    """Memory for A^T A, the same with the penalty, and its factors; weights and sums of the labels."""
    n, d, windows = size.n, size.d, math.ceil(1 / options["step"]) + 1
    peak = 8 * (4 * (d + 1) ** 2 + 3 * (d + 1) * size.columns)
    return Work(peak, 4 * n * d**2 + windows * (2 * d**3 / 3 + 2 * n * d * size.columns))


@rule("best_window", needs=("features",), work=_best_window_work, cost="W (d^3 + n d C) + n d^2 for W windows",
      source="Choi et al., BWS: Best Window Selection Based on Sample Scores for Data Pruning across Broad Ranges, "
             "ICML 2024")
def best_window(values: np.ndarray, evidence: Evidence, request: Request, step: Step = 0.05,
                lam: Positive = 1.0) -> Selection:
    """The window of the ranking from which ridge regression on the features classifies best.

    The ranking goes from the highest score to the lowest. A window is k successive ranks, with k the budget. Windows
    begin at ranks a = 0, step, 2 step, .. (as shares of n); the last one ends with the ranking. With A the features of
    a window and a column of ones, and Y its one-hot labels,

        W = (A^T A + lam I)^-1 A^T Y.

    The rule keeps the window for which argmax [x_i, 1] W = y_i holds for most of all n samples; of equal ones, the
    first. If classes have budgets of their own, a window begins at the same share of each class's ranking.

    The manifest's "windows" lists the beginning of each window, as a share of the ranking, and its accuracy.

    The paper ranks by ``forgetting`` and takes the features of a network after a few epochs. The authors published no
    code; this follows their text. Ours are: the column of ones; the primal form, which gives the same answers; and that
    answers within 1e-10 of each other count as equal and go to the lowest label.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: with labels and ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        step: distance between two windows as a share of the ranking, 0.001 to 1.
        lam: ridge penalty, above 0; 1 as in the paper's kernel ridge regression with a linear kernel.

    Returns:
        The picks, a ``Selection``.
    """
    begin = _beginnings(evidence.groups, request, step)
    picks = {share: _picker(values, share) for share in begin.values()}
    found = current().from_first(lambda: {"accuracy": _accuracies(evidence, request, picks.values(), lam)})
    best = list(picks)[int(np.argmax(found["accuracy"]))]
    notes = {"begin": [first / len(values) for first in begin], "accuracy": found["accuracy"].tolist()}
    return Selection(pick_on_first(values, evidence, request, picks[best]).indices, notes={"windows": notes})


def _accuracies(evidence: Evidence, request: Request, windows: Iterable[Pick], lam: float) -> np.ndarray:
    """Accuracy of ridge regression on each of ``windows``, in their order."""
    labels = np.unique(require_field(evidence.labels), return_inverse=True)[1]
    sums = _WindowSums(require_field(evidence.features), labels)
    return np.array([sums.accuracy(pick_by_group(evidence.groups, request, pick), lam) for pick in windows])


def _beginnings(labels: np.ndarray, request: Request, step: float) -> dict[int, float]:
    """{first rank, summed over the groups: share of the ranking} of all different windows, ascending."""
    sizes = [(len(rows), k) for rows, k in group_budgets(labels, request)]
    found: dict[int, float] = {}
    for i in range(int(np.ceil(1 / step)) + 1):
        share = min(i * step, 1.0)
        found.setdefault(sum(_first_rank(share, n, k) for n, k in sizes), share)
    return found


def _first_rank(share: float, n: int, k: int) -> int:
    """The first rank of the window of k of n that begins at a share of the ranking."""
    return min(budget(share, n), n - k)


def _picker(values: np.ndarray, share: float) -> Pick:
    """A function that picks the window that begins at a share of the ranking, highest score first."""
    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        rows = with_score(rows, values, k)
        first = _first_rank(share, len(rows), k)
        return rows[top(values[rows], first + k)[first:]]

    return pick


class _WindowSums:
    """A^T A of one window after the other, in float64.

    From one window to the next, the samples that leave are subtracted and those that come are added.

    Args:
        features: (n, d).
        labels: (n,) in 0 .. C - 1.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        self._features, self._labels = features, labels
        self._inside = np.zeros(len(labels), bool)
        self._gram = np.zeros((features.shape[1] + 1,) * 2)

    def accuracy(self, window: np.ndarray, lam: float) -> float:
        """The share of all samples for which ridge regression on a window (k,) answers their label."""
        inside = np.zeros(len(self._labels), bool)
        inside[window] = True
        for sign, moved in ((1, inside & ~self._inside), (-1, self._inside & ~inside)):
            for _, rows in self._blocks(np.flatnonzero(moved)):
                self._gram += sign * (rows.T @ rows)
        self._inside = inside
        weights = _solve(self._gram + lam * np.eye(len(self._gram)), self._label_sums(np.flatnonzero(inside)))
        return sum(self._right(places, rows @ weights) for places, rows in self._blocks(np.arange(len(inside)))
                   ) / len(inside)

    def _label_sums(self, window: np.ndarray) -> np.ndarray:
        """A^T Y (d + 1, C): exactly 0 for classes that are not in the window."""
        sums = np.zeros((len(self._gram), self._labels.max() + 1))
        for places, rows in self._blocks(window):
            order = np.argsort(self._labels[places], kind="stable")
            present, firsts = np.unique(self._labels[places][order], return_index=True)
            sums[:, present] += np.add.reduceat(rows[order], firsts, axis=0).T
        return sums

    def _right(self, places: np.ndarray, answers: np.ndarray) -> int:
        likeliest = np.argmax(answers >= answers.max(axis=1, keepdims=True) - TIE, axis=1)
        return int((likeliest == self._labels[places]).sum())

    def _blocks(self, places: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(places (b,), rows (b, d + 1) float64 with a column of ones) of ascending places."""
        for part in row_blocks.blocks(len(places), 8 * len(self._gram)):
            rows = np.ones((len(places[part]), len(self._gram)))
            rows[:, :-1] = take(self._features, places[part])
            yield places[part], rows


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """matrix^-1 right; the least-norm solution if features are so large that ``lam`` is lost in rounding."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(matrix, right, rcond=None)[0]
