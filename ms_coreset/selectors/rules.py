"""How a budget is drawn from scores. Equal scores go by the lowest index."""

import numpy as np


TIE = 1e-10  # values nearer than this, relative to the best, differ by rounding: no device may decide by it


def first_best(values):
    """The lowest place whose value is the largest, or nearer to it than rounding can tell (``TIE``)."""
    best = np.max(values)
    return int(np.argmax(values >= best - TIE * abs(best)))


def ascending(scores):
    """Places by rising score; of equal scores the lowest place first."""
    return np.argsort(scores, kind="stable")


def window(scores, k):
    """The k places in the middle of the ranking, ascending: ranks from ``round((n - k) / 2)`` on.

    What balanced Moderate takes of each class.
    """
    low = round((len(scores) - k) / 2)
    return ascending(scores)[low:low + k]


def moderate_window(scores, rate):
    """Moderate's window over a whole data set: ranks ``round(n (0.5 - rate/2))`` to ``round(n (0.5 + rate/2))``.

    Both ends are rounded (half to even), so that it can hold one more or less than ``round(rate n)``.
    Source: Xia et al., ICLR 2023, as their repository computes it. Departure: where both ends meet (rates near 1/n)
    the one sample at the middle is kept instead of none.
    """
    n = len(scores)
    low, high = round(n * (0.5 - rate / 2)), round(n * (0.5 + rate / 2))
    low = min(low, n - 1)
    return ascending(scores)[low:max(high, low + 1)]
