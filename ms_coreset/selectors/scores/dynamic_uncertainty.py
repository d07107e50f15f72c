"""Dyn-Unc and DUAL: how much the probability of the label varies during training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Epochs, Window
from ms_coreset.selectors.scores.record import mean_over_seen, record_of

LENGTH = 10  # of a window, in both papers


@score("dyn_unc", needs=("dynamics",), labels=False, cost="n T J", work=row_by_row, parallel="samples",
       aliases=("DynUnc",),
       source="He et al., Large-scale Dataset Pruning with Dynamic Uncertainty, CVPR Workshops 2024")
def dyn_unc(evidence: Evidence, window: Window | None = None, epochs: Epochs | None = None) -> np.ndarray:
    """Standard deviation of the label's probability in a window of J epochs, mean over all windows.

    U_i = mean_k std(p_k(i), .., p_{k+J-1}(i)), k = 0 .. T-J, with p_t(i) the probability of the label in epoch t of T,
    and the standard deviation that divides by J - 1. The mean leaves out windows in which the sample was not seen in
    every epoch.

    Departure from the authors' code: that leaves out the window that ends with the last epoch. (Other public codes
    divide by J, or take windows of J - 1 epochs.)

    Args:
        evidence: with labels and ``dynamics``.
        window: J, at least 2; by default the paper's 10, or all epochs if there are fewer.
        epochs: see ``forgetting``.

    Returns:
        (n,) float64 in [0, 1); high = uncertain = keep; NaN if no window is left.

    Raises:
        MsCoresetError: for a window that is longer than the epochs.
    """
    return _mean_over_windows(evidence, "dyn_unc", window, epochs, lambda mean, deviation: deviation)


@score("dual", needs=("dynamics",), labels=False, cost="n T J", work=row_by_row, parallel="samples",
       source="Cho et al., Lightweight Dataset Pruning without Full Training via Example Difficulty and Prediction "
              "Uncertainty, ICML 2025")
def dual(evidence: Evidence, window: Window | None = None, epochs: Epochs | None = None) -> np.ndarray:
    """Uncertainty times difficulty in a window of J epochs, mean over all windows.

    D_i = mean_k std(p_k(i), .., p_{k+J-1}(i)) (1 - mean(p_k(i), .., p_{k+J-1}(i))), with p_t(i) the probability of the
    label. Windows and the standard deviation are as in ``dyn_unc``.

    Args:
        evidence: with labels and ``dynamics``.
        window: J, see ``dyn_unc``.
        epochs: which epochs count, see ``forgetting``; the paper takes the first 30 of 200 (ImageNet: 60 of 90) and
            needs no longer training.

    Returns:
        (n,) float64 in [0, 1); high = uncertain and difficult = keep; NaN if no window is left.

    Raises:
        MsCoresetError: as ``dyn_unc``.
    """
    return _mean_over_windows(evidence, "dual", window, epochs, lambda mean, deviation: deviation * (1 - mean))


def _mean_over_windows(evidence: Evidence, name: str, window: int | None, epochs: Any,
                       value: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The mean (n,) over windows of ``value(means, deviations)`` of the label's probability in them."""
    probability, _ = record_of(evidence, name, "probability", epochs)
    length = length_of(window, len(probability), name)

    def of(part: slice) -> np.ndarray:
        windows = value(*moments(np.asarray(probability[:, part], np.float64), length))
        return mean_over_seen(windows, np.isfinite(windows))

    return np.concatenate([of(part) for part in row_blocks.blocks(probability.shape[1], 8 * len(probability))])


def length_of(window: int | None, epochs: int, name: str, least: int = 2) -> int:
    """The length J of a score's windows.

    Args:
        window: J; None: ``LENGTH``, or all epochs where fewer are there.
        epochs: how many there are.
        name: of the score, for messages.
        least: the smallest J.

    Returns:
        J.

    Raises:
        MsCoresetError: for fewer than ``least``, and more than there are epochs.
    """
    length = min(LENGTH, epochs) if window is None else window
    if not least <= length <= epochs:
        wrong = f"of {length} epochs is too short: at least {least}" if least <= epochs and length < least else (
            f"of {max(length, least)} epochs is longer than the {epochs} that there are")
        raise MsCoresetError(f"{name}: a window {wrong}")
    return length


def moments(values: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations, (T - J + 1, n) each, of the windows of J = ``length`` rows of values (T, n)."""
    count = len(values) - length + 1
    mean, squares = np.zeros((2, count, values.shape[1]))
    for first in range(length):
        mean += values[first:first + count]
    mean /= length
    for first in range(length):
        squares += (values[first:first + count] - mean) ** 2
    return mean, np.sqrt(squares / (length - 1))
