"""Centers of a class: mean, median and geometric median."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ms_coreset.selectors import norms, row_blocks
from ms_coreset.selectors.row_blocks import blocks

MEDIAN_THREADS = 2


def class_median(block: np.ndarray) -> np.ndarray:
    """Per-dimension median (d,) float64 of a class's rows (m, d), numbers of any type.

    For an even m it is the mean of the two middle values, as in NumPy (torch's and MindSpore's medians give the lower
    one). It is always computed on the host: a partition there is ten times faster than MindSpore's sort, and exact,
    while Ascend sorts along the last axis only, in float32.
    """
    middle = [(len(block) - 1) // 2, len(block) // 2]

    def of_columns(columns: slice) -> np.ndarray:
        # Along rows that are contiguous it is faster than down the columns.
        ranked = np.array(block[:, columns].T, block.dtype.newbyteorder("="), order="C")
        ranked.partition(middle, axis=1)
        return ranked[:, middle].astype(np.float64).mean(axis=1)  # in its own type the sum of two may overflow

    parts = blocks(block.shape[1], block.dtype.itemsize * len(block), row_blocks.BLOCK_BYTES // 4)
    if len(parts) == 1:
        return of_columns(parts[0])
    with ThreadPoolExecutor(MEDIAN_THREADS) as threads:  # NumPy lets go of the interpreter while it partitions
        return np.concatenate(list(threads.map(of_columns, parts)))


def class_mean(block: np.ndarray) -> np.ndarray:
    """Per-dimension mean (d,) float64 of a class's rows (m, d), exact to rounding of their distances from it.

    Far from the origin a sum loses digits, so the differences of the rows from a first mean are averaged once more.
    """
    parts, total = blocks(len(block), 8 * block.shape[1]), np.zeros(block.shape[1])
    for part in parts:
        total = np.vstack([total, block[part]]).sum(axis=0)  # row after row, whatever the blocks
    mean = total / len(block)
    rest = sum(np.subtract(block[part], mean).sum(axis=0) for part in parts)
    return mean + rest / len(block)


MOST_STEPS = 5000
_NEAREST = 1e-8  # of the mean distance: a nearer row counts as this far
_SETTLED = 1e-6  # of the mean distance: a shorter step ends the search


def geometric_median(block: np.ndarray) -> np.ndarray:
    """The point (d,) float64 of least summed distance to a class's rows (m, d), numbers of any type.

    It is argmin_z sum_i ||x_i - z||, computed by Weiszfeld's iteration from the mean: z <- (sum_i x_i / ||x_i - z||) /
    (sum_i 1 / ||x_i - z||), until a step is shorter than 1e-6 of the mean distance, at most 5,000 steps. Up to half of
    the rows may be outliers: it stays near the others. For an even number of rows on a line the minimum is not unique;
    the start then decides. A constant added to all rows, or a positive factor, has the same effect on the result.

    Source: Weiszfeld, Tohoku Mathematical Journal 1937; Acharya et al., Geometric Median Matching, ICML 2025, whose
    code stops at a step of 1e-5, whatever the scale.
    """
    mean = class_mean(block)
    rows = np.subtract(block, mean, dtype=np.float64)
    point = np.zeros(block.shape[1])
    for _ in range(MOST_STEPS):
        distances = norms.row_distances(rows, point)
        scale = distances.mean()
        if not scale:  # one row, or all alike
            break
        shares = 1 / np.maximum(distances, _NEAREST * scale)
        following = shares / shares.sum() @ rows
        moved, point = np.linalg.norm(following - point), following
        if moved <= _SETTLED * scale:
            break
    return mean + point
