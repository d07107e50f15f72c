"""Disparity: samples unlike one another."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.option_values import Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import Picks, naive
from ms_coreset.selectors.submodular.kernel_methods import (
    Kernel,
    goes_by_gradients,
    needs_of_kernel,
    select_by_kernel,
    sharing_by_class,
    work_by_picks,
)
from ms_coreset.selectors.submodular.set_functions import SetFunction
from ms_coreset.selectors.submodular.similarity import Rows, RowsAhead

_SCALE = 1.0  # of 1 - s_ij, by which ties are told


def _is_nested(options: dict[str, Any]) -> bool:
    return not len(options["already_selected"])


class DisparitySum:
    """f(S) = sum_{i < j in S} (1 - s_ij)."""

    batch: int | None = None

    def __init__(self, similarity: Rows) -> None:
        self._rows, self._away = RowsAhead(similarity), np.zeros(len(similarity))

    def __len__(self) -> int:
        return len(self._away)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._away[places]

    def add(self, place: int) -> None:
        self._away += 1 - self._rows.row(place, self._away)


class DisparityMin:
    """f(S) = min_{i != j in S} (1 - s_ij), 0 where S has less than two."""

    batch: int | None = None

    def __init__(self, similarity: Rows) -> None:
        self._rows, self._nearest = RowsAhead(similarity), np.full(len(similarity), np.inf)
        self._value, self._picks = 0.0, 0

    def __len__(self) -> int:
        return len(self._nearest)

    def gains(self, places: np.ndarray) -> np.ndarray:
        if not self._picks:
            return np.zeros(len(places))
        least = self._nearest[places]
        return least if self._picks == 1 else np.minimum(least, self._value) - self._value

    def add(self, place: int) -> None:
        gains = self.gains(np.arange(len(self)))
        self._value += gains[place]
        self._picks += 1
        np.minimum(self._nearest, 1 - self._rows.row(place, gains), out=self._nearest)


@method("disparity_sum", needs=needs_of_kernel, takes=("cost",), cost="n (d + C) k", work=work_by_picks,
        nested=_is_nested, aliases=("DisparitySum",), parallel=sharing_by_class, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source="Dasgupta, Kumar & Ravi, Summarization Through Submodularity and Dispersion, ACL 2013; Ravi, "
               "Rosenkrantz & Tayi, Heuristic and Special Case Algorithms for Dispersion Problems, 1994")
def disparity_sum(evidence: Evidence, request: Request, kernel: Kernel = "gradient",
                  gamma: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples that are unlike one another, in the sum over their pairs.

    It maximizes f(S) = sum_{i < j in S} (1 - s_ij) greedily, by the gain sum_{i in S} (1 - s_ij). All samples tie for
    the first pick, which is the lowest place.

    f is supermodular: gains rise as S grows, so that bounds of earlier gains hold for nothing, and every gain is kept
    up to date, a row of similarities a pick. For a metric in place of 1 - s_ij the greedy picks would reach half of
    the maximum (Birnbaum & Goldman, Algorithmica 2009); 1 - s_ij, a squared distance of directions, is none.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: see ``facility_location``; similarities may be below 0.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    return _select(evidence, request, kernel, DisparitySum, gamma, already_selected)


@method("disparity_min", needs=needs_of_kernel, takes=("cost",), cost="n (d + C) k", work=work_by_picks,
        nested=_is_nested, aliases=("DisparityMin",), parallel=sharing_by_class, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source="Dasgupta, Kumar & Ravi, Summarization Through Submodularity and Dispersion, ACL 2013; Ravi, "
               "Rosenkrantz & Tayi, Heuristic and Special Case Algorithms for Dispersion Problems, 1994")
def disparity_min(evidence: Evidence, request: Request, kernel: Kernel = "gradient",
                  gamma: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples of which no two are alike: their least distance is large.

    It maximizes f(S) = min_{i != j in S} (1 - s_ij), 0 where S has less than two samples, greedily. All samples tie for
    the first pick, which is the lowest place. Each further one is the sample farthest from its nearest pick, as in
    ``k_center``. f is not submodular, and gains after the second pick are not positive.

    By the chord of two directions, the root of 4 (1 - s_ij), which is a metric, f is at least half of the maximum, so
    that in 1 - s_ij it is at least a fourth (Ravi, Rosenkrantz & Tayi; Tamir 1991).

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        kernel: see ``facility_location``; similarities may be below 0.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    return _select(evidence, request, kernel, DisparityMin, gamma, already_selected)


def _select(evidence: Evidence, request: Request, kernel: Any, of: type[DisparitySum] | type[DisparityMin],
            gamma: float | None, already_selected: Places) -> Selection:
    def maximize(function: SetFunction, k: int) -> Picks:
        return naive(function, k, _SCALE)

    return select_by_kernel(evidence, request, kernel, maximize, lambda similarity, k, share: of(similarity),
                            gamma=gamma, already_selected=already_selected, signed=True)
