"""Which samples are alike: groups of equal and of nearly equal rows of features."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.rows import take
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.neighbors import close_pairs
from ms_coreset.selectors.norms import rows_in_metric
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.products import gram, multiply
from ms_coreset.selectors.row_blocks import blocks

WHITENED, COSINE, EUCLIDEAN = "whitened", "cosine", "euclidean"
THRESHOLDS = {WHITENED: 0.7, COSINE: 0.99, EUCLIDEAN: None}  # a distance has the features' unit: there is no default
DIRECTIONS, FEW_DIRECTIONS = 256, 32  # of whitened features, at most, and where samples are few
RIDGE, LARGEST_RIDGE = 0.001, 0.05  # of the largest variance; 2 / n between the two
LEAST = 0.5  # cosine that is no threshold, nor less: a row of zeros has it with all others
_PAIRS = 50  # a sample, beyond which a threshold calls everything alike
_FEW = 100_000  # pairs that are never too many


@dataclass(frozen=True)
class Groups:
    """Samples that are alike, m of n, in groups of two or more.

    Attributes:
        members: (m,) places, by group, and ascending in each.
        numbers: (m,) the group of each, counted from 0 in the order of their first members.
        mates: (m,) the place that is most like each; of equally like ones the lowest.
        nearness: (m,) how like it is: the cosine, or for "euclidean" the distance.
        equal: (m,) whether the two have the same key.
    """

    members: np.ndarray
    numbers: np.ndarray
    _: KW_ONLY
    mates: np.ndarray
    nearness: np.ndarray
    equal: np.ndarray

    def __len__(self) -> int:
        return 0 if not len(self.numbers) else int(self.numbers[-1]) + 1

    def each(self) -> list[np.ndarray]:
        """The places of each group."""
        return np.split(self.members, np.flatnonzero(np.diff(self.numbers)) + 1) if len(self.members) else []


def threshold_of(metric: str, threshold: float | None) -> float:
    """The threshold that is meant; raises ``MsCoresetError`` for one that can't be, and an unknown metric."""
    if metric not in THRESHOLDS:
        raise MsCoresetError(f"metric {metric!r}: must be one of {', '.join(THRESHOLDS)}")
    found = THRESHOLDS[metric] if threshold is None else threshold
    if found is None:
        raise MsCoresetError(f"metric {metric}: give the threshold, the largest distance of samples that are alike")
    far = metric == EUCLIDEAN
    if isinstance(found, bool) or not isinstance(found, int | float | np.number) or not (
            0 <= found < np.inf if far else LEAST < found <= 1):
        raise MsCoresetError(f"threshold {found}: must be {'0 or more' if far else f'above {LEAST}, and at most 1,'} "
                             f"with metric {metric}")
    return float(found)


@one_blas_thread
def near_duplicates(features: np.ndarray, keys: np.ndarray, *, metric: str = WHITENED,
                    threshold: float | None = None) -> Groups:
    """Groups of samples that are alike: the connected components of all pairs that are equal or near.

    Equal are samples of one key; near, those whose features have a cosine of at least ``threshold``, or a Euclidean
    distance of at most that. All pairs are looked at, exactly (``close_pairs``), without an n x n matrix.

    "whitened" is the cosine of features less their mean, along their 256 directions of largest variance v, each divided
    by sqrt(v + r v_1), r = 2 / n in [0.001, 0.05]; of fewer samples along n / 2 directions, but at least 32, or n - 1.
    What most samples have in common then counts little, and about 0 is what unrelated ones have; ours. Semantic
    deduplication takes the plain cosine (Abbas et al., SemDeDup, 2023).

    Args:
        features: (n, d) finite numbers.
        keys: (n,) whole numbers, the same for samples that are equal.
        metric: "whitened", "cosine" or "euclidean".
        threshold: by default 0.7 whitened, 0.99 cosine.

    Returns:
        ``Groups``.

    Raises:
        MsCoresetError: for an unknown metric or a threshold that can't be meant, and when more than 50 pairs a sample
            are alike.
    """
    threshold = threshold_of(metric, threshold)
    first, of_key = np.unique(keys, return_index=True, return_inverse=True)[1:]
    left, right, nearness = _near_pairs(features, np.sort(first), metric, threshold)
    copies = np.flatnonzero(first[of_key] != np.arange(len(keys)))
    same = np.full(len(copies), 0.0 if metric == EUCLIDEAN else 1.0)
    equal = np.arange(len(left) + len(copies)) >= len(left)
    return _group(len(keys), np.concatenate([left, first[of_key[copies]]]), np.concatenate([right, copies]),
                    np.concatenate([nearness, same]), equal, farther=metric == EUCLIDEAN)


def whitened(features: np.ndarray) -> np.ndarray:
    """Rows (n, d) along their directions of largest variance, with nearly equal variances; see ``near_duplicates``."""
    center = class_mean(features)
    largest = max(float(np.abs(features[part] - center).max()) for part in blocks(len(features), 8 * len(center)))
    unit = largest or 1.0  # squares stay finite
    total = sum(gram((features[part] - center) / unit) for part in blocks(len(features), 8 * len(center)))
    values, vectors = np.linalg.eigh(total / len(features))
    count = min(DIRECTIONS, max(len(features) // 2, min(FEW_DIRECTIONS, len(features) - 1), 1))
    values, vectors = (array[..., ::-1][..., :count] for array in (values, vectors))
    ridge = min(max(2 / len(features), RIDGE), LARGEST_RIDGE)
    kept = values > RIDGE**3 * values[0]
    scaled = vectors[:, kept] / np.sqrt(values[kept] + ridge * values[0]) if kept.any() else vectors[:, :1]
    rows = np.empty((len(features), scaled.shape[1]))
    for part in blocks(len(features), 8 * len(center)):
        rows[part] = multiply((features[part] - center) / unit, scaled)
    return rows


def _near_pairs(features: np.ndarray, places: np.ndarray, metric: str,
                threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of some places that are near, and how near each is."""
    rows = np.asarray(take(features, places))
    if len(rows) < 2:
        return places[:0], places[:0], np.empty(0)
    if metric == EUCLIDEAN:
        radius, told = threshold, lambda distances: distances
    else:
        rows = rows_in_metric(whitened(rows) if metric == WHITENED else rows, COSINE)
        radius, told = float(np.sqrt(2 - 2 * threshold)), _cosine
    found, many = [], max(_FEW, _PAIRS * len(rows))
    for left, right, distances in close_pairs(rows, radius):
        # A row of zeros has no direction: the distance to others is 1, that to its like 0.
        found.append((places[left], places[right], told(distances)))
        many -= len(left)
        if many < 0:
            raise MsCoresetError(f"threshold {threshold:g} of {metric} calls more than {_PAIRS} pairs a sample alike: "
                                 f"give {'a smaller' if metric == EUCLIDEAN else 'one nearer to 1'}")
    left, right, nearness = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return left, right, nearness


def _cosine(distances: np.ndarray) -> np.ndarray:
    return 1 - distances**2 / 2


def _group(n: int, left: np.ndarray, right: np.ndarray, nearness: np.ndarray, equal: np.ndarray,
             farther: bool) -> Groups:
    """The groups that pairs make, and of each member the mate that is most like it."""
    from scipy.sparse import coo_array  # scipy takes longer to load than --help may
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), np.int8), (left, right)), (n, n))
    component = connected_components(graph, directed=False)[1]
    one, other = np.concatenate([left, right]), np.concatenate([right, left])
    far = np.concatenate([nearness, nearness]) * (1 if farther else -1)
    equal = np.concatenate([equal, equal])
    order = np.lexsort((other, far, ~equal, one))
    members, best = np.unique(one[order], return_index=True)
    best = order[best]
    heads, numbers = np.unique(component[members], return_inverse=True)
    first = np.full(len(heads), n)
    np.minimum.at(first, numbers, members)
    numbers = np.argsort(np.argsort(first))[numbers]
    by_group = np.lexsort((members, numbers))
    members, numbers, best = members[by_group], numbers[by_group], best[by_group]
    return Groups(members, numbers, mates=other[best], nearness=np.abs(far[best]), equal=equal[best])
