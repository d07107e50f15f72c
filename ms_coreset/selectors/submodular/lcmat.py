"""LCMat: samples whose gradients and curvatures of the loss stand for those of their class."""

from dataclasses import replace
from typing import Any

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import row_blocks
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.memory import BOUND
from ms_coreset.selectors.option_values import Count, NotNegative, Positive
from ms_coreset.selectors.quota import Request, pick_within_classes
from ms_coreset.selectors.rules import TIE
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.continued import Continued
from ms_coreset.selectors.submodular.greedy import lazy
from ms_coreset.selectors.submodular.kernel_methods import (
    gradients_of,
    sharing_by_class,
    similarities_work,
)
from ms_coreset.selectors.submodular.set_functions import FacilityLocation
from ms_coreset.selectors.submodular.similarity import Cosine, GradientDistance, Nearness, as_matrices

_ROUNDING = 1e-12  # of a mean square: variances below are what is left of equal numbers


def _work(size: Size, options: dict[str, Any]) -> Work:
    """Of the largest class, balanced or not: gradients, their distances, and the curvatures that differ most."""
    within = replace(size, balance=True)
    m, columns = within.pool, min(options["dims"], size.columns * (size.d + 1))
    base = within.gradients_of(m) + BOUND * m + 8 * m * columns + 32 * size.columns * (size.d + 1)
    work = similarities_work(within, {"greedy": "lazy", "epsilon": 0.1}, base, within.groups)
    return work._replace(operations=work.operations + 2 * columns * sum(times * n**2 for n, times in size.groups))


@method("lcmat", needs=EXTRACTED, label_columns=True, cost="sum of n_c^2 (d + C + K)", work=_work,
        parallel=sharing_by_class, aliases=("LCMat", "lcmat_s"),
        source="Shin et al., Loss-Curvature Matching for Dataset Selection and Condensation, AISTATS 2023")
def lcmat(evidence: Evidence, request: Request, eps: NotNegative = 0.05, dims: Count = 100,
          reach: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples of each class to one of which every other is near, in gradient and curvature of its loss.

    With the gradient G_i by the last layer's bias and weights, and the diagonal H_i of the Hessian there, p_c (1 - p_c)
    and p_c (1 - p_c) x^2,

        d_ij = ||G_i - G_j|| + eps ||H_i - H_j||_1,

    of H only the K columns that vary most within the class (of equal ones the first, by class, the bias before the
    weights). The picks minimize sum_i min_{j in S} d_ij greedily: it is facility location with s_ij = max d - d_ij.
    Distances of gradients below 1e-6 count as that.

    Classes are always matched by themselves. The paper does not treat the unbalanced case: here the classes then share
    the budget in proportion to their sizes (``quota.proportional``).

    Departures from the authors' code: it has a ``reach`` of 10, so that features of large norm leave nothing to compare
    and the first samples of each class are kept; it averages the loss over a batch, so that gradients of a smaller last
    batch weigh more; and it does not switch the network to evaluation. What it calls AdaCore divides by 0 wherever a
    feature is 0: that is not here.

    Args:
        evidence: with labels, ``features`` and ``logits`` after a warm-up (10 epochs in the paper).
        request: rate, balance, seed and memory, see ``quota.Request``.
        eps: weight of the curvature, at least 0; 0: of gradients alone.
        dims: K.
        reach: distances above it count as it; None: all as they are.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: for labels that are no columns of logits.
    """
    course = Continued(already_selected, require_field(evidence.labels))

    def add(rows: np.ndarray, k: int) -> np.ndarray:
        distance = CurvatureDistance(gradients_of(evidence, rows), eps, dims, reach or np.inf)
        held, = as_matrices([distance], request.memory_bytes)
        return course.add(rows, k, lazy, lambda _: FacilityLocation(held.nearness()))

    return course.select(request, add, pick_within_classes)


class CurvatureDistance:
    """d_ij = ||G_i - G_j|| + eps ||H_i - H_j||_1, at most ``reach``; see ``lcmat``."""

    batch = Cosine.batch

    def __init__(self, gradients: LastLayerGradients, eps: float, dims: int, reach: float = np.inf) -> None:
        self._apart, self._reach = GradientDistance(gradients), reach
        self._bent = eps * curvatures(gradients, dims) if eps else np.empty((len(gradients), 0))
        self.width = self._apart.width

    def __len__(self) -> int:
        return len(self._apart)

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        from scipy.spatial.distance import cdist  # scipy takes longer to load than --help may

        found = self._apart.rows(places, columns)
        if self._bent.shape[1]:
            found += cdist(self._bent[places], self._bent[columns], "cityblock")
        return np.minimum(found, self._reach, out=found)

    def nearness(self) -> Nearness:
        """The similarities of these distances."""
        return Nearness(self)


def curvatures(gradients: LastLayerGradients, dims: int) -> np.ndarray:
    """The columns (m, K) of the Hessian's diagonal that vary most over the samples.

    With u = p (1 - p), which is |g| (1 - |g|) of the errors g, the columns are u_c, and u_c x_j^2: their variances
    follow from products of u and x^2, and of their squares, without the C (d + 1) columns.

    Args:
        gradients: of the samples.
        dims: K, at most; all columns where there are fewer.

    Returns:
        (m, K) float64.
    """
    bent = np.abs(gradients.errors)
    bent *= 1 - bent
    first, second = np.zeros((2, bent.shape[1], gradients.features.shape[1] + 1))
    for part in row_blocks(gradients.features, bent):
        squares = _squares(gradients.features[part])
        first += bent[part].T @ squares
        second += np.square(bent[part]).T @ np.square(squares)
    variances = second / len(bent) - np.square(first / len(bent))
    variances[variances <= _ROUNDING * second / len(bent)] = 0
    label, column = np.divmod(_largest(variances.ravel(), min(dims, variances.size)), variances.shape[1])
    return np.concatenate([bent[part][:, label] * _squares(gradients.features[part])[:, column]
                           for part in row_blocks(gradients.features, bent)])


def _squares(features: np.ndarray) -> np.ndarray:
    """(b, d + 1): 1, and the features squared."""
    return np.square(np.insert(np.asarray(features, np.float64), 0, 1, axis=1))


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the ``count`` largest values, ascending; of those that rounding can't tell apart, the lowest."""
    edge = np.partition(values, -count)[-count]
    margin = TIE * abs(edge)
    surely, equal = np.flatnonzero(values > edge + margin), np.flatnonzero(np.abs(values - edge) <= margin)
    return np.sort(np.concatenate([surely, equal[:count - len(surely)]]))
