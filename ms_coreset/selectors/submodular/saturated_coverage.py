"""Saturated coverage: every sample has as much of similar picks as is enough."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Number, Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    Beta,
    Epsilon,
    Greedy,
    Kernel,
    goes_by_gradients,
    is_nested,
    kernel_bytes,
    needs_of_kernel,
    select_by_kernel,
    sharing_of,
    similarities_work,
)
from ms_coreset.selectors.submodular.similarity import Similarity, each_row

Share = Annotated[float, Number(lambda value: 0 < value <= 1, "above 0 and at most 1")]


class SaturatedCoverage:
    """f(S) = sum_i min(sum_{j in S} s_ij, alpha sum_{j in V} s_ij), s symmetric and nowhere negative.

    gain_j = sum_i min(s_ij, room_i) with room_i = what i still lacks: n operations for a candidate.

    Args:
        similarity: of the pool.
        alpha: the share of its similarity to all that is enough for a sample.
    """

    monotone = True

    def __init__(self, similarity: Similarity, alpha: float) -> None:
        self._similarity, self._room = similarity, alpha * similarity.column_sums()
        self._scratch = np.empty(len(similarity))

    def __len__(self) -> int:
        return len(self._room)

    @property
    def batch(self) -> int | None:
        """How many gains are cheaper together."""
        return self._similarity.batch

    def gains(self, places: np.ndarray) -> np.ndarray:
        gains = np.empty(len(places))
        for i, row in enumerate(each_row(self._similarity, places)):  # row by row, nothing leaves the cache
            gains[i] = np.add.reduce(np.minimum(row, self._room, out=self._scratch))
        return gains

    def add(self, place: int) -> None:
        self._room = np.maximum(self._room - self._similarity.rows(np.array([place]))[0], 0)


def _work(size: Size, options: dict[str, Any]) -> Work:
    return similarities_work(size, options, kernel_bytes(size, options), size.pools)


@method("saturated_coverage", needs=needs_of_kernel, takes=("cost",), cost="n^2 (d + C), and n per gain", work=_work,
        aliases=("SaturatedCoverage",), nested=is_nested, parallel=sharing_of, labels=goes_by_gradients,
        label_columns=goes_by_gradients,
        source="Lin & Bilmes, A Class of Submodular Functions for Document Summarization, ACL 2011, Eq. 4")
def saturated_coverage(evidence: Evidence, request: Request, alpha: Share = 0.1, kernel: Kernel = "gradient",
                       greedy: Greedy = "lazy", epsilon: Epsilon = 0.1, beta: Beta = 0.9,
                       gamma: Positive | None = None, already_selected: Places = ()) -> Selection:
    """Samples to which every sample is similar enough, in sum.

    With V all samples, it maximizes f(S) = sum_{i in V} min(sum_{j in S} s_ij, alpha sum_{j in V} s_ij) greedily: what
    goes beyond the share ``alpha`` of a sample's similarity to all counts for nothing. f is monotone and submodular;
    "naive" and "lazy" reach at least 1 - 1/e of the maximum. Once all samples have enough, the lowest places follow.

    The n x n similarities are held where they fit in the memory of the call, as in ``facility_location``.

    Args:
        evidence: with labels, ``features``, and for the kernel "gradient" ``logits``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        alpha: above 0 and at most 1; at 1 f is the sum of similarities to all.
        kernel: see ``facility_location``.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        gamma: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: as ``facility_location``.
    """
    return select_by_kernel(evidence, request, kernel, optimizer(greedy, epsilon, beta, request.seed),
                            lambda similarity, k, share: SaturatedCoverage(similarity, alpha / share), hold=True,
                            gamma=gamma, already_selected=already_selected)
