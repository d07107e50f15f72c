"""Any score with any rule, and the cut-off before the rule."""

import functools
from typing import Any

import numpy as np

from torch_ref.drawing import DRAWING
from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, budgets, join
from torch_ref.rules import RULES, spread_over_strata
from torch_ref.scores import score
from torch_ref.selectors import _by_drawing, _in_range, _seen


def by_score(evidence: Evidence, rate: float, balance: bool, seed: int, name: str, rule: str, strata: int = 50,
             mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin", normalize: str = "none",
             **options: Any) -> Picks:
    if rule in DRAWING:
        return _by_drawing(evidence, rate, balance, seed, name, rule, normalize, options)
    values = _in_range(score(name, evidence, **options), evidence.labels, normalize)
    rng = np.random.RandomState(seed)
    hardness = score(cutoff_score, evidence) if mis_ratio else values
    unseen = np.isnan(values) | np.isnan(hardness)
    if rule == "window" and not balance and not mis_ratio and not unseen.any():
        return join([_middle(values, rate)]), None, values
    groups = [(_without_hardest(hardness, _seen(rows, unseen, k), k, mis_ratio), k)
              for rows, k in budgets(evidence.labels, rate, balance)]
    draw = functools.partial(spread_over_strata, strata=strata) if rule == "strata" else RULES[rule]
    return join(draw(values, rows, k, rng) for rows, k in groups), None, values


def _without_hardest(hardness: np.ndarray, rows: np.ndarray, k: int, mis_ratio: float) -> np.ndarray:
    """``rows`` without the int(mis_ratio m) hardest of these m."""
    if not 0 <= mis_ratio < 1:
        raise ValueError(f"mis_ratio is {mis_ratio}, must be at least 0 and below 1")
    hardest = rows[np.argsort(-hardness[rows], kind="stable")[:int(mis_ratio * len(rows))]]
    left = rows[~np.isin(rows, hardest)]
    if k > len(left):
        raise ValueError(f"mis_ratio {mis_ratio} leaves {len(left)} samples, fewer than the {k} to select")
    return left


def _middle(values: np.ndarray, rate: float) -> np.ndarray | list:
    """Ranks round(n (1/2 - rate/2)) to round(n (1/2 + rate/2)), as Moderate's authors' code.

    Departures: nothing where round(rate n) is 0, and the middle one where it is not but both ends meet.
    """
    n = len(values)
    if not round(rate * n):
        return []
    low = min(round(n * (0.5 - rate / 2)), n - 1)
    high = max(round(n * (0.5 + rate / 2)), low + 1)
    return np.argsort(values, kind="stable")[low:high]
