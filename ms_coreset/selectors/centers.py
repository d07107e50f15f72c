"""Where the middle of a class lies."""

import numpy as np

from ms_coreset.selectors import kernels

MOST_STEPS = 5000
_NEAREST = 1e-8  # of the mean distance: a row that is nearer counts as that far
_SETTLED = 1e-6  # of the mean distance: what a step moves the point less than ends the search


def geometric_median(block: np.ndarray) -> np.ndarray:
    """The point (d,) float64 whose summed distance to a class's rows (m, d), numbers of any type, is the least.

    argmin_z sum_i ||x_i - z||, by Weiszfeld's steps from the mean: z <- (sum_i x_i / ||x_i - z||) / (sum_i 1 /
    ||x_i - z||), until a step is shorter than 1e-6 of the mean distance, 5,000 at most. Up to half of the rows may lie
    anywhere, and it stays near the others. Of rows on a line, of which an even number has no single answer, the start
    decides. Adding a constant to all rows, or multiplying them by a positive number, does the same to it.

    Source: Weiszfeld, Tohoku Mathematical Journal 1937; Acharya et al., Geometric Median Matching, ICML 2025, whose
    code stops at a step of 1e-5, whatever the scale.
    """
    mean = kernels.class_mean(block)
    rows = np.subtract(block, mean, dtype=np.float64)
    point = np.zeros(block.shape[1])
    for _ in range(MOST_STEPS):
        distances = kernels.row_distances(rows, point)
        scale = distances.mean()
        if not scale:  # one row, or all alike
            break
        shares = 1 / np.maximum(distances, _NEAREST * scale)
        following = shares / shares.sum() @ rows
        moved, point = np.linalg.norm(following - point), following
        if moved <= _SETTLED * scale:
            break
    return mean + point
