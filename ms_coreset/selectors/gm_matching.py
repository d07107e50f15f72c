"""Geometric median matching: picks whose mean approaches the geometric median of their class."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors import centers, norms
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.centers import geometric_median
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Metric, OneOf
from ms_coreset.selectors.quota import Request, pick_within_classes
from ms_coreset.selectors.rules import first_best
from ms_coreset.selectors.selection import Selection

Start = Annotated[str, OneOf(("median", "mean", "random"))]


def _work(size: Size, options: dict[str, Any]) -> Work:
    """The work within each class, balanced or not."""
    operations = sum(times * m * (size.picks(m) + 20) for m, times in size.groups)  # some 20 steps to the median
    return Work(size.features_of(size.largest) + 8 * size.largest * (size.d + 4), 2 * size.d * operations)


@method("gm_matching", needs=("features",), cost="n d k", work=_work, parallel="classes", aliases=("GMMatching",),
        source="Acharya et al., Geometric Median Matching for Robust k-Subset Selection from Noisy Data, ICML 2025")
def gm_matching(evidence: Evidence, request: Request, metric: Metric = "cosine", start: Start = "median") -> Selection:
    """Samples of each class whose mean approaches the geometric median of the class, by herding.

    With mu the geometric median of the class's features, argmin_z sum_i ||x_i - z|| (``centers.geometric_median``), and
    theta = theta_0, each pick is, among the samples x_i that are left, argmax_i <theta, x_i> ("cosine", with x_i and mu
    at length 1) or argmin_i ||x_i - theta|| ("euclidean"). Then theta <- theta + mu - x_i. Ties go to the lowest place.

    Each class is always matched by itself. The paper does not treat the unbalanced case: here the classes then share
    the budget in proportion to their sizes (``quota.proportional``).

    Departures from the authors' code: there theta_0 = mu is the same array, not a copy, so that every step changes mu,
    too; its default start is "random"; a budget that is no multiple of the number of classes is rounded down.

    Args:
        evidence: with labels and ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        metric: "cosine" (the authors' default), or "euclidean".
        start: theta_0: "median", mu itself (the paper); "mean", the mean of the x_i; or "random", one of them, drawn by
            ``RandomState(seed).randint`` anew in each class.

    Returns:
        The picks, a ``Selection``.
    """
    def of_class(places: np.ndarray, k: int) -> np.ndarray:
        features = take(require_field(evidence.features), places)
        center = geometric_median(features)
        if metric == "cosine":
            rows, center = norms.rows_in_metric(features, metric), norms.rows_in_metric(center[None], metric)[0]
        else:  # counted from the center, whatever the origin
            rows, center = np.subtract(features, center, dtype=np.float64), np.zeros_like(center)
        return places[_match(rows, center, _first(rows, center, start, request.seed), metric, k)]

    return Selection(pick_within_classes(require_field(evidence.labels), request, of_class))


def _first(rows: np.ndarray, center: np.ndarray, start: str, seed: int) -> np.ndarray:
    """theta_0."""
    if start == "median":
        return center
    return centers.class_mean(rows) if start == "mean" else rows[np.random.RandomState(seed).randint(len(rows))]


def _match(rows: np.ndarray, center: np.ndarray, theta: np.ndarray, metric: str, k: int) -> list[int]:
    """Places of k of the rows (m, d), in the order of the picks."""
    squares = norms.squared_norms(rows)
    halves = squares / 2 if metric == "euclidean" else np.zeros(len(rows))  # of ||x||^2 - 2 <theta, x>
    gains, drift = rows @ theta - halves, rows @ center
    scale, picks = squares.max(), []
    for _ in range(k):
        pick = first_best(gains, scale)
        picks.append(pick)
        gains += drift - rows @ rows[pick]
        gains[picks] = -np.inf
    return picks
