"""Any score with any rule, and the cut-off before the rule."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from torch_ref.drawing import DRAWING
from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, budgets, join, pools
from torch_ref.rules import RULES, spread_over_strata
from torch_ref.scores import SCORES, score


def by_score(evidence: Evidence, rate: float, balance: bool, seed: int, name: str, rule: str, strata: int = 50,
             mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin", normalize: str = "none",
             **options: Any) -> Picks:
    """(indices, weights, scores) of the score ``name`` with a rule, after the cut-off if there is one."""
    if name in SCORES and "seed" in options_of(SCORES[name]):
        options = {"seed": seed, **options}
    if rule in DRAWING:
        cut_off = {"mis_ratio": mis_ratio, "cutoff_score": cutoff_score}
        options |= {key: value for key, value in cut_off.items() if key in options_of(DRAWING[rule])}
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

    Departures: nothing is kept if round(rate n) is 0; if it is not and both ends meet, the middle sample is kept.
    """
    n = len(values)
    if not round(rate * n):
        return []
    low = min(round(n * (0.5 - rate / 2)), n - 1)
    high = max(round(n * (0.5 + rate / 2)), low + 1)
    return np.argsort(values, kind="stable")[low:high]


def _in_range(values: np.ndarray, labels: np.ndarray, normalize: str) -> np.ndarray:
    """Scores from 0 to 1 within each class, 0 where all of it are equal ("class"); or as they are ("none")."""
    if normalize not in ("none", "class"):
        raise ValueError(f"normalize is {normalize!r}, must be none or class")
    if normalize == "none":
        return values
    found = np.full(len(values), np.nan)
    for rows in pools(labels, True):
        rows = rows[~np.isnan(values[rows])]
        if not len(rows):
            continue
        above = values[rows] - values[rows].min()
        found[rows] = above / above.max() if above.max() > 0 else 0
    return found


def _by_drawing(evidence: Evidence, rate: float, balance: bool, seed: int, name: str, rule: str, normalize: str,
                options: dict[str, Any]) -> Picks:
    """Picks of a rule that also uses the evidence; an option that it shares with the score goes to both."""
    of_score, of_rule = ({key: value for key, value in options.items() if key in options_of(function)}
                         for function in (SCORES[name], DRAWING[rule]))
    if options.keys() - of_score.keys() - of_rule.keys():
        raise ValueError(f"{name} by {rule} has no such option: {', '.join(options)}")
    values = _in_range(score(name, evidence, **of_score), evidence.labels, normalize)
    groups = [(_seen(rows, np.isnan(values), k), k) for rows, k in budgets(evidence.labels, rate, balance)]
    return DRAWING[rule](evidence, values, groups, rate, seed, **of_rule), None, values


def _seen(rows: np.ndarray, unseen: np.ndarray, k: int) -> np.ndarray:
    """The ``rows`` that have a score: others are never picked."""
    seen = rows[~unseen[rows]]
    if len(seen) < k:
        raise ValueError(f"{len(seen)} of {len(rows)} samples have a score, fewer than the {k} to select")
    return seen


def options_of(function: Callable) -> dict[str, Any]:
    """Names and defaults of a function's options."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}
