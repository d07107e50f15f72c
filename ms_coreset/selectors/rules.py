"""The arithmetic of rules: how a budget is drawn from scores. Of equal scores the lowest index comes first."""

import numpy as np

from ms_coreset.errors import MsCoresetError

TIE = 1e-10  # values nearer than this, relative to the best, count as equal: rounding must not decide

_FAR = 1e280  # sums of a million of these, times strata, are finite


def first_best(values: np.ndarray, scale: float = 0.0) -> int:
    """The lowest place whose value is the largest up to rounding errors.

    Values count as the largest within ``TIE`` times the largest value, or times ``scale`` if that is larger.

    Args:
        values: (n,).
        scale: magnitude of the numbers whose differences the values are.

    Returns:
        The place.
    """
    best = np.max(values)
    return int(np.argmax(values >= best - TIE * max(abs(best), scale)))


def ascending(scores: np.ndarray) -> np.ndarray:
    """Places by rising score; of equal scores the lowest place first."""
    return np.argsort(scores, kind="stable")


def top(scores: np.ndarray, k: int, rng: np.random.RandomState | None = None) -> np.ndarray:
    """Places of the k highest, highest first."""
    return ascending(-scores)[:k]


def bottom(scores: np.ndarray, k: int, rng: np.random.RandomState | None = None) -> np.ndarray:
    """Places of the k lowest, lowest first."""
    return ascending(scores)[:k]


def uniform(scores: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw k places with equal chances, independent of the scores."""
    return rng.choice(len(scores), k, replace=False)


def weighted_random(scores: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw k places without replacement, with chances that grow linearly with the score.

    The chance of i is proportional to s_i - min_j s_j + 1e-12 (max_j s_j - min_j s_j); all chances are equal if all
    scores are.

    Args:
        scores: (n,).
        k: how many to pick.
        rng: the random generator.

    Returns:
        (k,) places.
    """
    scores = within_reach(scores)
    spread = scores.max() - scores.min()
    chances = scores - scores.min() + (1e-12 * spread or 1.0)
    return rng.choice(len(scores), k, replace=False, p=chances / chances.sum())


def within_reach(scores: np.ndarray) -> np.ndarray:
    """The scores, or the scores times 2^-100 (which is exact) if differences and sums of them could overflow."""
    return scores * 2.0**-100 if np.fmax.reduce(np.abs(scores)) > _FAR else scores


def window(scores: np.ndarray, k: int, rng: np.random.RandomState | None = None) -> np.ndarray:
    """The k places in the middle of the ranking, ascending: ranks from ``round((n - k) / 2)`` on.

    Balanced Moderate takes this window of each class.

    Args:
        scores: (n,) numbers.
        k: how many to pick.
        rng: not used.

    Returns:
        (k,) places.
    """
    low = round((len(scores) - k) / 2)
    return ascending(scores)[low:low + k]


def moderate_window(scores: np.ndarray, rate: float) -> np.ndarray:
    """Moderate's window over a whole data set: ranks ``round(n (0.5 - rate/2))`` to ``round(n (0.5 + rate/2))``.

    Both ends are rounded (half to even), so that the window may hold one more or less than ``round(rate n)``.

    Source: Xia et al., ICLR 2023, as their repository computes it. Departure: if both ends meet (rates near 1/n), the
    sample in the middle is kept instead of none.
    one sample at the middle is kept instead of none.

    Args:
        scores: (n,) numbers.
        rate: share of the samples to keep, in (0, 1].

    Returns:
        Places.
    """
    n = len(scores)
    low, high = round(n * (0.5 - rate / 2)), round(n * (0.5 + rate / 2))
    low = min(low, n - 1)
    return ascending(scores)[low:max(high, low + 1)]


def stratum_of(scores: np.ndarray, strata: int) -> np.ndarray:
    """The stratum of each score, 0 .. strata - 1: intervals of equal width from the lowest to the highest.

    The highest score belongs to the last stratum; if all scores are equal, all are in the first. Departure from CCS,
    which ends the last interval at 1.0001 times the highest score, and loses that score if it is negative.

    Args:
        scores: (n,) numbers.
        strata: number of intervals, 1 or more.

    Returns:
        (n,) integers.
    """
    scores = within_reach(scores)
    low, high = scores.min(), scores.max()
    if low == high:
        return np.zeros(len(scores), int)
    # Multiplied first, so that whole numbers on the border of two strata are exact.
    return np.minimum(((scores - low) * strata / (high - low)).astype(int), strata - 1)


def stratum_budgets(sizes: np.ndarray, k: int) -> np.ndarray:
    """Number to keep of each stratum: as even as the sizes allow, k in all (fewer only if there are fewer samples).

    The strata take their share by rising size (of equal sizes, the first): the j-th of S, from 0, gets min(size, left
    // (S - j)).

    Source: Zheng et al., CCS, ICLR 2023, Algorithm 1, as their repository computes it.

    Args:
        sizes: (S,), samples of each stratum.
        k: the sum.

    Returns:
        (S,) whole numbers.
    """
    budgets, left = np.zeros(len(sizes), int), k
    for place, stratum in enumerate(np.argsort(sizes, kind="stable")):
        budgets[stratum] = min(sizes[stratum], left // (len(sizes) - place))
        left -= budgets[stratum]
    return budgets


def after_cutoff(hardness: np.ndarray, k: int, mis_ratio: float) -> np.ndarray:
    """The places that are left, ascending, after the int(mis_ratio n) with the highest hardness are cut off.

    Source: Zheng et al., CCS, ICLR 2023, Algorithm 1.

    Args:
        hardness: (n,).
        k: how many must be left at least.
        mis_ratio: in [0, 1).

    Returns:
        Places.

    Raises:
        MsCoresetError: when fewer than k are left.
    """
    left = np.sort(top(hardness, len(hardness))[int(mis_ratio * len(hardness)):])
    if len(left) < k:
        raise MsCoresetError(f"mis_ratio {mis_ratio} leaves {len(left)} samples, fewer than the {k} to keep")
    return left


def spread_over_strata(scores: np.ndarray, k: int, rng: np.random.RandomState, strata: int = 50) -> np.ndarray:
    """Draw k places spread evenly over strata of the scores, at random within each.

    Source: Zheng et al., CCS, ICLR 2023, Algorithm 1.

    Args:
        scores: (n,) numbers.
        k: how many to pick.
        rng: the random generator.
        strata: number of intervals, 1 or more.

    Returns:
        (k,) places as they are drawn, strata ascending.
    """
    groups = stratum_of(scores, strata)
    budgets = stratum_budgets(np.bincount(groups, minlength=strata), k)
    return np.concatenate([rng.choice(np.flatnonzero(groups == stratum), budget, replace=False)
                           for stratum, budget in enumerate(budgets) if budget])
