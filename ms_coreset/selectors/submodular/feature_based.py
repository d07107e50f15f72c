"""Functions of the features themselves: how much of each feature the picks have, with diminishing returns."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import row_blocks as blocks_of
from ms_coreset.rows import take
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.already_selected import Places
from ms_coreset.selectors.catalogue import method
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.memory import BOUND
from ms_coreset.selectors.option_values import OneOf, Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import Maximizer, naive, optimizer
from ms_coreset.selectors.submodular.kernel_methods import Beta, Epsilon, Greedy, is_nested, sharing_of
from ms_coreset.selectors.submodular.pools import maximize_pools
from ms_coreset.selectors.submodular.set_functions import SetFunction

Concave = Callable[[np.ndarray], np.ndarray]
CONCAVE: dict[str, Concave] = {"sqrt": np.sqrt, "log": np.log1p, "sigmoid": lambda x: x / (1 + x)}
_BATCH = 128  # candidates whose gains are computed together
_COPIES = 4  # of a block of amounts, while gains are computed
_GAINS = 4  # of each sample, as was seen
SOURCE = ("Kirchhoff & Bilmes, Submodularity for Data Selection in Machine Translation, EMNLP 2014; Wei et al., "
          "Submodular Subset Selection for Large-Scale Speech Training Data, ICASSP 2014")

ConcaveName = Annotated[str, OneOf(CONCAVE)]


class Amounts:
    """Features as amounts, nowhere negative: a feature that is somewhere negative counts as two, x^+ and (-x)^+.

    Args:
        features: (n, d).
    """

    def __init__(self, features: np.ndarray) -> None:
        self._features = features
        signed = any((features[part] < 0).any() for part in blocks_of(features))
        self.width = features.shape[1]
        self.columns = self.width * (2 if signed else 1)

    def __len__(self) -> int:
        return len(self._features)

    def rows(self, places: np.ndarray | slice) -> np.ndarray:
        """The amounts of some samples, (m, d) or (m, 2 d) float64."""
        rows = np.asarray(self._features[places], np.float64)
        if self.columns == self.width:
            return rows
        return np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], axis=1)

    def blocks(self, m: int) -> list[slice]:
        """Slices that cover the amounts of m samples; of each a few copies fit into a block."""
        return row_blocks.blocks(m, _COPIES * 8 * self.columns)


class FeatureBased:
    """f(S) = sum_d phi(sum_{i in S} x_id) of amounts x, with a concave phi for which phi(0) = 0."""

    monotone = True

    def __init__(self, amounts: Amounts, phi: Concave) -> None:
        self._amounts, self._phi = amounts, phi
        self._sums = np.zeros(amounts.columns)
        self.batch: int | None = _BATCH

    def __len__(self) -> int:
        return len(self._amounts)

    def gains(self, places: np.ndarray) -> np.ndarray:
        now = self._phi(self._sums)
        return np.concatenate([(self._phi(self._amounts.rows(places[part]) + self._sums) - now).sum(axis=1)
                               for part in self._amounts.blocks(len(places))])

    def add(self, place: int) -> None:
        self._sums += self._amounts.rows(np.array([place]))[0]


class SetCoverage:
    """f(S) = sum_d w_d (1 - prod_{i in S} (1 - p_id)), p the amounts, at most 1. All gains are known at any time."""

    batch: int | None = None

    def __init__(self, amounts: Amounts, weights: np.ndarray) -> None:
        self._amounts, self._open = amounts, np.tile(weights, amounts.columns // amounts.width)
        self._gains = self._all_gains()

    def __len__(self) -> int:
        return len(self._amounts)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._gains[places]

    def add(self, place: int) -> None:
        self._open *= 1 - np.minimum(self._amounts.rows(np.array([place]))[0], 1)
        self._gains = self._all_gains()

    def _all_gains(self) -> np.ndarray:
        return np.concatenate([np.minimum(self._amounts.rows(part), 1) @ self._open
                               for part in self._amounts.blocks(len(self))])


def _work(size: Size, options: dict[str, Any]) -> Work:
    base = size.features_of(size.pool) + BOUND * size.pool
    return Work(base, 2 * _GAINS * size.d * size.over_pools(lambda m, k: m))


def _set_coverage_work(size: Size, options: dict[str, Any]) -> Work:
    return Work(size.features_of(size.pool) + 8 * size.pool, 2 * size.d * size.over_pools(lambda m, k: m * k))


@method("feature_based", needs=("features",), takes=("cost",), labels=False, cost="n d, and d per gain", work=_work,
        aliases=("FeatureBased",), nested=is_nested, parallel=sharing_of, source=SOURCE)
def feature_based(evidence: Evidence, request: Request, concave: ConcaveName = "sqrt", greedy: Greedy = "lazy",
                  epsilon: Epsilon = 0.1, beta: Beta = 0.9, already_selected: Places = ()) -> Selection:
    """Samples that together have much of every feature.

    It maximizes f(S) = sum_d phi(sum_{i in S} x_id) greedily, with a concave phi, so that more of what the picks have
    already counts less. f is monotone and submodular; "naive" and "lazy" reach at least 1 - 1/e of the maximum.

    Features are amounts, such as counts of words or activations, and should not be negative; a data set with negative
    features has each of them as two amounts, max(x, 0) and max(-x, 0). No similarity is computed: O(d) memory beside
    the features.

    Args:
        evidence: with ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        concave: phi(x): "sqrt", the root of x; "log", log(1 + x); or "sigmoid", x / (1 + x), which is submodlib's
            inverse.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.
    """
    maximize = optimizer(greedy, epsilon, beta, request.seed)
    return select_by_features(evidence, request, maximize, lambda amounts: FeatureBased(amounts, CONCAVE[concave]),
                              already_selected)


@method("max_coverage", needs=("features",), takes=("cost",), labels=False, cost="n d, and d per gain", work=_work,
        aliases=("MaxCoverage",), nested=is_nested, parallel=sharing_of,
        source="Nemhauser, Wolsey & Fisher, Mathematical Programming 1978; Feige, Journal of the ACM 1998")
def max_coverage(evidence: Evidence, request: Request, threshold: Positive = 1.0, greedy: Greedy = "lazy",
                 epsilon: Epsilon = 0.1, beta: Beta = 0.9, already_selected: Places = ()) -> Selection:
    """Samples that together have enough of as many features as possible.

    It maximizes f(S) = sum_d min(sum_{i in S} x_id, threshold) greedily. With features of 0 and 1, such as the words of
    a text, and a threshold of 1 it is maximum coverage: the number of features that some pick has. f is monotone and
    submodular; "naive" and "lazy" reach at least 1 - 1/e of the maximum. Once all is covered, the lowest places follow.

    Negative features are treated as in ``feature_based``.

    Args:
        evidence: with ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        threshold: how much of a feature is enough, above 0.
        greedy: see ``facility_location``.
        epsilon: see ``facility_location``.
        beta: see ``facility_location``.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.
    """
    maximize = optimizer(greedy, epsilon, beta, request.seed)
    phi = partial(np.minimum, threshold)
    return select_by_features(evidence, request, maximize, lambda amounts: FeatureBased(amounts, phi), already_selected)


@method("set_coverage", needs=("features",), takes=("cost",), labels=False, cost="n d k", work=_set_coverage_work,
        aliases=("SetCover", "ProbabilisticSetCover"), nested=lambda options: not len(options["already_selected"]),
        parallel=lambda options: "" if len(options["already_selected"]) else "rounds",
        source="Iyer et al., Submodular Combinatorial Information Measures with Applications in Machine Learning, "
               "ALT 2021; Nemhauser, Wolsey & Fisher, Mathematical Programming 1978")
def set_coverage(evidence: Evidence, request: Request, weights: Sequence[float] | np.ndarray = (),
                 already_selected: Places = ()) -> Selection:
    """Samples such that every feature probably occurs in one of them.

    It maximizes f(S) = sum_d w_d (1 - prod_{i in S} (1 - p_id)) greedily, with p_id = min(x_id, 1) the chance that
    sample i has the feature d: the expected number of features that the picks have. With features of 0 and 1 it is set
    cover, the number itself. f is monotone and submodular, and the greedy picks reach at least 1 - 1/e of the maximum.
    All gains are kept up to date, n d operations a pick. Once all is covered, the lowest places follow.

    Negative features are treated as in ``feature_based``.

    Args:
        evidence: with ``features``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        weights: (d,), at least 0, what each feature counts in the sum; none: 1 each.
        already_selected: see ``facility_location``.

    Returns:
        The picks, a ``Selection``, with their gains.

    Raises:
        MsCoresetError: for weights that are not d finite numbers of at least 0.
    """
    worth = _weights(weights, require_field(evidence.features).shape[1])
    return select_by_features(evidence, request, naive, lambda amounts: SetCoverage(amounts, worth),
                              already_selected)


def _weights(weights: Sequence[float] | np.ndarray, d: int) -> np.ndarray:
    if not len(weights):
        return np.ones(d)
    worth = np.asarray(weights)
    if worth.shape != (d,) or worth.dtype.kind not in "fiu" or not np.isfinite(worth).all() or (worth < 0).any():
        raise MsCoresetError(f"set_coverage: weights must be {d} finite numbers of at least 0, one for each feature")
    return worth.astype(np.float64)


def select_by_features(evidence: Evidence, request: Request, maximize: Maximizer,
                       function: Callable[[Amounts], SetFunction], already_selected: Places) -> Selection:
    """Maximize a set function of the features over all samples, or within each class.

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.
        maximize: one of the maximizers of ``greedy``.
        function: amounts -> the set function.
        already_selected: see ``facility_location``.

    Returns:
        A ``Selection``: the places already selected, then the picks, with gains where one process chooses.
    """
    def pool(rows: np.ndarray, share: float) -> Callable[[int], SetFunction]:
        amounts = Amounts(take(require_field(evidence.features), rows))
        return lambda k: function(amounts)

    return maximize_pools(evidence, request, maximize, pool, already_selected, rounds=True)
