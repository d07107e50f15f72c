"""ZCore: how well a sample covers random planes of the feature space, and how little others crowd it there."""

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.randomness import check_seed
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Count, Number, Positive, Whole
from ms_coreset.selectors.processors import side_by_side

MOST_DRAWS = 1_000_000  # unless more are asked for
DRAWN_TOGETHER = 32  # draws whose random numbers follow one another, as in the authors' code
_UNIT = 2.0**-36  # shares are counted in it: sums of whole numbers are the same in any order
_TASK = 512  # draws that one thread does at a time

Draws = Annotated[int, Whole(1), Number(lambda value: value <= 2**26, f"at most {2**26:,}")]


def _draws_of(draws: int | None, n: int) -> int:
    return draws or min(MOST_DRAWS, 10 * n)


def _work(size: Size, options: dict[str, Any]) -> Work:
    """The columns one after the other, all draws, and some distances for every thread."""
    draws = _draws_of(options["draws"], size.n)
    return Work(size.types[0].itemsize * size.n * size.d + 48 * size.n + 24 * draws, 8.0 * draws * size.n)


@score("zcore", needs=("features",), labels=False, cost="n m for m draws", work=_work, aliases=("ZCore", "zero_shot"),
       source="Griffin, Marks & Corso, Zero-Shot Coreset Selection via Iterative Subspace Sampling, 2024")
def zcore(evidence: Evidence, draws: Draws | None = None, neighbors: Count = 1000, exponent: Positive = 4.0,
          seed: int = 0) -> np.ndarray:
    """How often a sample is nearest to a random point of a random plane, less how redundant it is in those planes.

    For each draw, two different features a, b are drawn, and a point q, each coordinate from the triangular
    distribution of that feature's least, median and greatest value. With the distance |x_a - q_a| + |x_b - q_b|, the
    nearest sample j gains 1, and by the same distance v from j its nearest others lose 1 together:

        s_i <- s_i - v_i^-p / sum_l v_l^-p;   if one is at v = 0, the first of these loses all of it.

    Then s is brought to [0, 1]. No label is looked at. The paper concatenates the features of several networks.

    Features that are the same for all samples are left out (in the authors' code they end in an error); where one is
    left, the planes are lines. Ties go to the lowest place. Shares are rounded to 2^-36, so that neither the order of
    the draws nor the number of ranks or threads makes a difference; in the authors' code each process begins with
    random scores.

    Args:
        evidence: with ``features``.
        draws: m; None: 10 for each sample, at most 1,000,000, as the authors' code.
        neighbors: how many others share the loss; at most n - 2.
        exponent: p, above 0.
        seed: of NumPy's ``default_rng``; methods and rules give it theirs.

    Returns:
        (n,) float64 in [0, 1]; 0 for all where no feature differs.
    """
    features = require_field(evidence.features)
    n, ranks = len(features), current()
    live = _differing(features)
    if not len(live):
        return np.zeros(n)
    columns = np.empty((len(live), n), features.dtype)
    for part in _row_parts(features):
        columns[:, part] = features[part][:, live].T
    mine = ranks.part(_draws_of(draws, n), DRAWN_TOGETHER)
    places, points = _draw(columns, mine, check_seed(seed))
    counts = np.sum(ranks.gather(_counts(columns, places, points, min(neighbors, n - 2), exponent)), axis=0)
    lowest, highest = counts.min(), counts.max()
    return (counts - lowest) / max(1, highest - lowest)


def _differing(features: np.ndarray) -> np.ndarray:
    """The columns, ascending, in which not all rows are equal."""
    parts = _row_parts(features)
    lowest = np.min([features[part].min(axis=0) for part in parts], axis=0)
    highest = np.max([features[part].max(axis=0) for part in parts], axis=0)
    return np.flatnonzero(lowest < highest)


def _row_parts(features: np.ndarray) -> list[slice]:
    return row_blocks.blocks(len(features), features.dtype.itemsize * features.shape[1])


def _draw(columns: np.ndarray, part: slice, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The features (m, 2) and points (m, 2) of one part of all draws; with one feature (m, 1)."""
    found = list(_blocks_of_draws(columns, part, seed))
    if not found:
        return np.empty((0, 1), np.int64), np.empty((0, 1))
    places, points = map(np.concatenate, zip(*found, strict=True))
    return places, points


def _blocks_of_draws(columns: np.ndarray, part: slice, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    ends = np.array([(column.min(), np.median(column.astype(np.float64)), column.max()) for column in columns]).T
    for begin in range(0, part.stop, DRAWN_TOGETHER):
        keys = rng.random((min(DRAWN_TOGETHER, part.stop - begin), len(columns)), dtype=np.float32)
        places = _two_smallest(keys)
        points = rng.triangular(*(end[places] for end in ends))
        if begin >= part.start:
            yield places, points.astype(np.float32 if columns.dtype == np.float32 else np.float64)


def _two_smallest(keys: np.ndarray) -> np.ndarray:
    """(b, 2) columns of the least and the next of each row, of equal ones the lowest; (b, 1) where there is one."""
    first = keys.argmin(axis=1)
    if keys.shape[1] == 1:
        return first[:, None]
    keys[np.arange(len(keys)), first] = np.inf
    return np.stack([first, keys.argmin(axis=1)], axis=1)


def _counts(columns: np.ndarray, places: np.ndarray, points: np.ndarray, neighbors: int, exponent: float) -> np.ndarray:
    """What the samples gain and lose by these draws: (n,) int64, in units of ``_UNIT``."""
    total, lock = np.zeros(columns.shape[1], np.int64), threading.Lock()

    def add(part: slice) -> None:
        own = np.zeros_like(total)
        for place, point in zip(places[part], points[part], strict=True):
            _count(own, columns[place], point, neighbors, exponent)
        with lock:
            np.add(total, own, out=total)

    side_by_side(add, [(part,) for part in row_blocks.blocks(len(places), 1, _TASK)])
    return total


def _count(counts: np.ndarray, plane: np.ndarray, point: np.ndarray, neighbors: int, exponent: float) -> None:
    """One draw: the plane (2, n), and a point of it (2,)."""
    nearest = int(np.argmin(_apart(plane, point)))
    counts[nearest] += round(1 / _UNIT)
    apart = _apart(plane, plane[:, nearest])
    apart[nearest] = np.inf
    closest = int(np.argmin(apart))
    if neighbors < 1:
        return
    if apart[closest] == 0:
        counts[closest] -= round(1 / _UNIT)
        return
    near = np.flatnonzero(apart <= np.partition(apart, neighbors - 1)[neighbors - 1])
    near = near[np.argsort(apart[near], kind="stable")[:neighbors]]
    shares = (apart[closest] / apart[near]) ** exponent
    counts[near] -= np.rint(shares / (shares.sum() * _UNIT)).astype(np.int64)


def _apart(plane: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Distances (n,) float64, of summed absolute differences, of the rows of a plane from a point of it."""
    apart = np.abs(np.subtract(plane[0], point[0], dtype=np.float64))
    for column, value in zip(plane[1:], point[1:], strict=True):
        apart += np.abs(np.subtract(column, value, dtype=np.float64))
    return apart
