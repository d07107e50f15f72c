"""Rules: which samples a score keeps."""

from collections.abc import Callable

import numpy as np

from torch_ref.drawing import DRAWING
from torch_ref.quota import join


def _top(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rows[np.argsort(-values[rows], kind="stable")[:k]]


def _bottom(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rows[np.argsort(values[rows], kind="stable")[:k]]


def _window(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Middle k ranks of m, from round((m - k) / 2) on."""
    low = round((len(rows) - k) / 2)
    return rows[np.argsort(values[rows], kind="stable")[low:low + k]]


def _random(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rng.choice(rows, k, replace=False)


def _weighted_random(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw without replacement, in proportion to the height above the lowest value, which is almost never drawn."""
    above = values[rows] - values[rows].min()
    chances = above + 1e-12 * above.max() if above.max() > 0 else np.ones(len(rows))
    return rng.choice(rows, k, replace=False, p=chances / chances.sum())


def spread_over_strata(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState,
                       strata: int) -> np.ndarray:
    """Draw k of ``rows`` from strata of equal width of their values.

    Of S strata the j-th smallest gives min(its size, rest of k // (S - j)) samples, drawn at random; of equal sizes the
    lower values come first. The highest value belongs to the last stratum; equal values are in one stratum.

    Source: Zheng et al., Coverage-centric Coreset Selection, ICLR 2023, algorithm 1.

    Args:
        values: (n,), the scores of all samples.
        rows: (m,) places.
        k: how many to pick.
        rng: the random generator.
        strata: number of strata.

    Returns:
        k places.
    """
    if strata < 1:
        raise ValueError(f"strata is {strata}, must be at least 1")
    stratum = _stratum(values[rows], strata)
    members = [rows[stratum == s] for s in range(strata)]
    budget, rest = np.zeros(strata, int), k
    for j, s in enumerate(np.argsort([len(rows) for rows in members], kind="stable")):
        budget[s] = min(len(members[s]), rest // (strata - j))
        rest -= budget[s]
    return join(rng.choice(members[s], budget[s], replace=False) for s in range(strata) if budget[s])


def _stratum(values: np.ndarray, strata: int) -> np.ndarray:
    above = values - values.min()
    if above.max() == 0:
        return np.zeros(len(values), int)
    # Multiplied first, so that whole numbers on the border of two strata are exact.
    return np.minimum((above * strata / above.max()).astype(int), strata - 1)


RULES: dict[str, Callable[..., np.ndarray]] = {
    "top": _top, "bottom": _bottom, "window": _window, "strata": spread_over_strata, "random": _random,
    "weighted_random": _weighted_random, **DRAWING}
