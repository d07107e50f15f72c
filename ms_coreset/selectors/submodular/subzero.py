"""SubZeroCore: facility location by cosines, where samples of a typical density weigh most."""

from typing import Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import take
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.continued import Continued
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.kernel_methods import (
    Beta,
    Epsilon,
    Greedy,
    kernel_bytes,
    sharing_by_class,
    similarities_work,
)
from ms_coreset.selectors.submodular.similarity import Cosine, Dense, as_matrices, blocks

NARROWEST = 1e-12  # standard deviation of radii that counts as one; below it is rounding
LEAST = -1.0  # cosine
_GAINS = 7  # of each sample, as was seen
_SLACK = 1e-12  # what rounding may leave of an equation between probabilities


def _work(size: Size, options: dict[str, Any]) -> Work:
    by_features = {**options, "kernel": "features"}
    work = similarities_work(size, by_features, kernel_bytes(size, by_features), size.pools)
    rows = 2 * size.d * size.over_pools(lambda m, k: m**2)
    return work._replace(operations=rows * _GAINS) if work.note else work


@method("subzero", needs=("features",), labels=False, cost="n^2 d, and n per gain", work=_work,
        aliases=("SubZeroCore",), parallel=sharing_by_class,
        source="Moser et al., SubZeroCore: A Submodular Approach with Zero Training for Coreset Selection, 2025, "
               "arXiv 2509.21748")
def subzero(evidence: Evidence, request: Request, gamma: Epsilon = 0.6, greedy: Greedy = "lazy", epsilon: Epsilon = 0.1,
            beta: Beta = 0.9, already_selected: Places = ()) -> Selection:
    """Samples such that every sample has a similar one among them, those in typically dense places first.

    Maximizes f(S) = sum_i max_{j in S} w_j cos(x_i, x_j) greedily, with

        w_j = exp(-(rho_j - mu)^2 / (2 sigma^2)),

    rho_j = 1 - cos(x_j, its K-th nearest other sample), mu and sigma its mean and standard deviation (over n). So
    outliers weigh little, and so do the densest places. K is the least number for which k samples drawn at random have,
    with probability gamma, one of the K nearest of a sample among them:

        1 - prod_{i=1..K} (n - k - i) / (n - i) >= gamma.

    n and k are those of the pool: of all samples, whose labels are then not looked at, or of each class.

    Where nothing is picked, a sample counts as covered by -1, the least cosine: the first pick has the largest sum of
    w_j cos(x_i, x_j), negative ones included, as in the text. A small w_j then makes a negative cosine better, which
    the text does not treat. A zero vector has cosine 0 with all. A sigma below 1e-12 counts as 1, so that equal radii
    weigh 1, and so does a sample without others.

    The authors published no code, so this follows their text. The n x n similarities are held where they fit in the
    memory of the call, see ``facility_location``.

    Args:
        evidence: with ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        gamma: above 0 and below 1.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        already_selected: see ``facility_location``; k counts them.

    Returns:
        The picks, a ``Selection``, with their gains.
    """
    maximize = optimizer(greedy, epsilon, beta, request.seed)

    course = Continued(already_selected, evidence.groups)

    def add(rows: np.ndarray, k: int) -> np.ndarray:
        given = Cosine.of_features(take(require_field(evidence.features), rows))
        similarity, = as_matrices([given], request.memory_bytes)

        def function(most: int) -> WeightedCover:
            return WeightedCover(similarity, density_weights(radii(similarity, neighborhood(len(rows), most, gamma))))

        return course.add(rows, k, maximize, function)

    return course.select(request, add)


def neighborhood(n: int, k: int, gamma: float) -> int:
    """K: how many nearest others of a sample there must be for k of n to have one of them with probability gamma.

    Args:
        n: samples.
        k: how many of them are drawn at random, 1 to n.
        gamma: above 0 and below 1.

    Returns:
        A number from 1 to n - k, or 1.
    """
    if k == n:
        return 1
    missed, neighbors = 1.0, 0
    while missed > 1 - gamma + _SLACK:
        neighbors += 1
        missed *= max(n - k - neighbors, 0) / (n - neighbors)
    return neighbors


def radii(similarity: Cosine | Dense, k: int) -> np.ndarray:
    """1 - the k-th largest cosine of each element with another, (n,); 0 where there are no others."""
    n = len(similarity)
    found = np.zeros(n)
    for block in blocks(np.arange(n), 4 * n) if n > 1 else ():
        rows = similarity.rows(block)
        rows[np.arange(len(block)), block] = -np.inf
        found[block] = 2 - 2 * np.partition(rows, n - k, axis=1)[:, n - k]
    return found


def density_weights(radii: np.ndarray) -> np.ndarray:
    """exp(-(rho - mu)^2 / (2 sigma^2)) of radii (n,), with their mean and standard deviation."""
    sigma = radii.std()
    return np.exp(-((radii - radii.mean()) / (sigma if sigma >= NARROWEST else 1.0)) ** 2 / 2)


class WeightedCover:
    """f(S) = sum_i max_{j in S} w_j cos_ij, -n for the empty S; see ``set_functions``.

    Args:
        similarity: 0.5 + 0.5 cos_ij.
        weights: (n,), the w_j, from 0 to 1.
    """

    def __init__(self, similarity: Cosine | Dense, weights: np.ndarray) -> None:
        self._similarity, self._weights = similarity, weights
        self._covered, self._picks = np.full(len(weights), LEAST), 0
        self.batch: int | None = similarity.batch

    def __len__(self) -> int:
        return len(self._weights)

    def gains(self, places: np.ndarray) -> np.ndarray:
        if not self._picks and len(places) == len(self):
            sums = 2 * self._similarity.column_sums() - len(self)
            return (self._weights * sums)[places] - self._covered.sum()
        totals = [np.maximum(self._worth(block), self._covered).sum(axis=1) for block in blocks(places, 4 * len(self))]
        return np.concatenate(totals) - self._covered.sum()

    def add(self, place: int) -> None:
        np.maximum(self._covered, self._worth(np.array([place]))[0], out=self._covered)
        self._picks += 1

    def _worth(self, places: np.ndarray) -> np.ndarray:
        """(b, n) w_j cos_ij of some candidates j."""
        rows = self._similarity.rows(places)
        rows *= 2
        rows -= 1
        rows *= self._weights[places, None]
        return rows
