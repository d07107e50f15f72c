"""Quotas: how many samples of each class to keep."""

from collections.abc import Callable
from typing import Any

import numpy as np

from torch_ref.evidence import Evidence, require
from torch_ref.quota import ClassBudgets, pools
from torch_ref.scores import score


def with_quota(evidence: Evidence, rate: float, balance: bool, quota: str, **options: object) -> tuple[float, bool]:
    """(the rate with the budgets of the classes, whether each class is chosen from by itself)."""
    if quota not in QUOTAS:
        raise ValueError(f"unknown quota {quota!r}: there are {', '.join(QUOTAS)}")
    if balance and quota != "proportional":
        raise ValueError(f"balance and quota {quota} contradict each other")
    if not 0 < rate <= 1 or quota == "none":
        return rate, balance
    groups = pools(evidence.labels, True)
    labels, sizes = [int(evidence.labels[rows[0]]) for rows in groups], np.array([len(rows) for rows in groups])
    least = int(options.pop("quota_least", 0))  # type: ignore[call-overload]
    claims = QUOTAS[quota](evidence, groups, **options)
    counts = share_out(claims, sizes, round(rate * len(evidence.labels)), least)
    return ClassBudgets(rate, dict(zip(labels, counts.tolist(), strict=True))), True


def _sizes(evidence: Evidence, groups: list[np.ndarray]) -> np.ndarray:
    return np.array([float(len(rows)) for rows in groups])


def _drop(evidence: Evidence, groups: list[np.ndarray]) -> np.ndarray:
    """n_c (1 - recall_c), the recall of the validation set, or of the samples themselves; 0 of a class without any."""
    judged: Any = evidence if evidence.validation is None else evidence.validation
    require(evidence, "logits")
    right = require(judged, "logits").argmax(dim=1).numpy() == judged.labels
    claims = []
    for rows in groups:
        hits = right[judged.labels == evidence.labels[rows[0]]]
        claims.append(len(rows) * (1 - hits.mean()) if len(hits) else float(len(rows)))
    return np.array(claims)


def _difficulty(evidence: Evidence, groups: list[np.ndarray], quota_score: str = "el2n") -> np.ndarray:
    """n_c times the class's mean score, without the int(0.05 (n_c - 1)) lowest and highest."""
    values, claims = score(quota_score, evidence), []
    for rows in groups:
        cut, ordered = int(0.05 * (len(rows) - 1)), np.sort(values[rows])
        claims.append(len(rows) * ordered[cut:len(rows) - cut].mean())
    if min(claims) < 0:
        raise ValueError(f"{quota_score} is negative in the mean of a class")
    return np.array(claims)


def share_out(claims: np.ndarray, sizes: np.ndarray, k: int, least: int = 0) -> np.ndarray:
    """Whole numbers with sum k, near min(size, max(least, lambda claim)).

    lambda is found by bisection, then the largest remainders decide. If all classes with a positive claim are full, the
    others share the rest by their sizes.

    Args:
        claims: (C,).
        sizes: (C,), samples of each class.
        k: the sum.
        least: least number of each class.

    Returns:
        (C,) whole numbers.
    """
    lowest = np.minimum(least, sizes)
    if lowest.sum() > k:
        raise ValueError(f"quota_least {least} of each class is more than {k}")
    claiming = claims > 0
    exact = np.where(claiming, sizes, lowest).astype(float)
    if exact.sum() > k:
        exact = _level(np.where(claiming, claims, 0), sizes, lowest, k)
    elif not claiming.all():
        exact[~claiming] = _level(sizes[~claiming], sizes[~claiming], lowest[~claiming], k - sizes[claiming].sum())
    exact = np.round(exact, 9)
    whole = np.floor(exact).astype(int)
    order = sorted(range(len(whole)), key=lambda c: (-round(exact[c] - whole[c], 9), c))
    open_ones = [c for c in order if whole[c] < sizes[c]]
    whole[open_ones[:k - whole.sum()]] += 1
    return whole


def _level(claims: np.ndarray, sizes: np.ndarray, lowest: np.ndarray, k: int) -> np.ndarray:
    low, high = 0.0, float(sizes.sum() / claims[claims > 0].min()) + 1
    for _ in range(200):
        middle = (low + high) / 2
        below = np.clip(middle * claims, lowest, sizes).sum() < k
        low, high = (middle, high) if below else (low, middle)
    return np.clip(high * claims, lowest, sizes)


QUOTAS: dict[str, Callable[..., np.ndarray]] = {"none": _sizes, "proportional": _sizes, "drop": _drop,
                                                "difficulty": _difficulty}
