"""The smallest values of each row, told apart by digits that rounding does not reach."""

from __future__ import annotations

import numpy as np


def first_digits(values: np.ndarray, bits: int = 40) -> np.ndarray:
    """Values, each rounded to so many bits: 40 are 12 digits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**bits), exponents - bits)


def smallest_places(values: np.ndarray, k: int, unit: float) -> np.ndarray:
    """Places (b, k), ascending, of the k smallest of each row of values; of equal ones the lowest places.

    Args:
        values: (b, n).
        k: at most n.
        unit: values are counted in units of this size, which rounding does not reach.

    Returns:
        (b, k) places.
    """
    bound = bound_of_smallest(values, k)
    near, place = np.nonzero(values <= (bound + unit)[:, None])
    first = first_of_each(len(values), k, near, place, np.rint(values[near, place] / unit))
    return np.sort(place[first], axis=1)


def first_of_each(b: int, k: int, near: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Which of the candidates (b, k) have the least values in each row, the least first; ``near`` gives their rows."""
    order = np.lexsort((place, value, near))
    first = np.searchsorted(near, np.arange(b))  # np.nonzero goes by rows, and so does the order
    return order[first[:, None] + np.arange(k)]


def bound_of_smallest(values: np.ndarray, k: int) -> np.ndarray:
    """A bound (b,) that is at least the k-th smallest of each row of values (b, n), and near it.

    It is the k-th smallest of the minima of groups of columns: k columns at least are no larger, and few more.
    """
    groups = max(k, 8 * k)
    if values.shape[1] < 2 * groups:
        return np.partition(values, k - 1, axis=1)[:, k - 1]
    rest = values.shape[1] % groups
    minima = values[:, rest:].reshape(len(values), -1, groups).min(axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]
