"""Which samples stay: the methods, by name."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from torch_ref import geometry, gradient, submodular
from torch_ref.drawing import DRAWING
from torch_ref.extraction import Evidence
from torch_ref.pools import Picks, budgets, joined, pools
from torch_ref.quotas import with_quota
from torch_ref.scores import SCORES, score


@dataclass(frozen=True)
class Coreset:
    """indices: (k,) int64 of the kept samples, in pick order; weights: (k,); scores: (n,); float64, or None."""

    indices: np.ndarray
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None


def select(method: str, evidence: Evidence, rate: float, *, balance: bool = False, quota: str | None = None,
           seed: int = 0, **options: Any) -> Coreset:
    """Choose about ``rate * n`` of the n samples.

    method: one of ``METHODS``, in any case
    evidence: any object with the attributes of ``Evidence`` that the method needs
    rate: share that is kept, in (0, 1]
    balance: apply the rate in each class by itself, classes ascending; else to all samples together
    quota: how many of each class, ``round(rate n)`` in all: one of ``quotas.QUOTAS``, or None
    seed: of the ``RandomState`` that a method draws from
    options: of the method, and of the quota

    Returns a ``Coreset``. Raises ``ValueError`` for an unknown method or option, a rate out of range, evidence that
    is missing or not finite, and when nothing would be selected.
    """
    if str(method).lower() not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    choose = METHODS[str(method).lower()]
    rate, balance, options = _with_quota(evidence, rate, balance, quota, options)
    unknown = options.keys() - OPTIONS[str(method).lower()].keys()
    if unknown:
        raise ValueError(f"method {method} has no option {', '.join(sorted(unknown))}")
    return _coreset(evidence, rate, lambda: choose(evidence, rate, balance, seed, **options))


def select_by(score: str, rule: str, evidence: Evidence, *, rate: float, balance: bool = False,
              quota: str | None = None, seed: int = 0, **options: Any) -> Coreset:
    """Choose by any score and one of ``RULES``; options are the score's, and the rule's where it has any.

    The rest is as in ``select``.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}: there are {', '.join(RULES)}")
    rate, balance, options = _with_quota(evidence, rate, balance, quota, options)
    return _coreset(evidence, rate, lambda: _by_score(evidence, rate, balance, seed, score, rule, **options))


def _with_quota(evidence: Evidence, rate: float, balance: bool, quota: str | None,
                options: dict[str, Any]) -> tuple[float, bool, dict[str, Any]]:
    """(rate, balance, options that are not the quota's)."""
    if quota is None:
        return rate, balance, options
    own = {name: value for name, value in options.items() if name in ("quota_score", "quota_least")}
    others = {name: value for name, value in options.items() if name not in own}
    return *with_quota(evidence, rate, balance, quota, **own), others


def _coreset(evidence: Evidence, rate: float, choose: Callable[[], Picks]) -> Coreset:
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate}, must be above 0 and at most 1")
    indices, weights, scores = choose()
    if len(indices) == 0:
        raise ValueError(f"rate {rate} of {len(evidence.labels)} samples selects nothing: give a larger rate")
    return Coreset(np.asarray(indices, np.int64), weights, scores)


def full(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """Every sample, in data set order, whatever the rate."""
    return np.arange(len(evidence.labels)), None, None


def random(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """A uniform sample without replacement: ``choice(members, round(rate * m))`` of each pool of m members.

    DeepCore's ``Uniform``: one ``RandomState(seed)`` serves all classes, in ascending order. A class whose budget
    is 0 draws nothing.
    """
    rng = np.random.RandomState(seed)
    drawn = [rng.choice(rows, k, replace=False) for rows, k in budgets(evidence.labels, rate, balance)]
    return joined(drawn), None, None


def moderate(evidence: Evidence, rate: float, balance: bool, seed: int, center: str = "median",
             metric: str = "euclidean", mis_ratio: float = 0.0, cutoff_score: str = "loss") -> Picks:
    """The samples whose distance to their class's centre is in the middle of the ranking (Xia et al., ICLR 2023).

    mis_ratio, cutoff_score: not the paper's: first the share ``mis_ratio`` of the highest in this score is left out
    """
    return _by_score(evidence, rate, balance, seed, "center_distance", "window", mis_ratio=mis_ratio,
                     cutoff_score=cutoff_score, center=center, metric=metric)


def ccs(evidence: Evidence, rate: float, balance: bool, seed: int, score: str = "accumulated_margin", strata: int = 50,
        mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin") -> Picks:
    """Evenly from strata of a score, without the hardest (Zheng et al., ICLR 2023, algorithm 1). See ``_strata``."""
    return _by_score(evidence, rate, balance, seed, score, "strata", strata=strata, mis_ratio=mis_ratio,
                     cutoff_score=cutoff_score)


def ram_apl(evidence: Evidence, rate: float, balance: bool, seed: int, a: float = 0.2, kappa: float = 1.0) -> Picks:
    """The highest of the score ``ram_apl``, of which the rate is the share that is kept (Wan et al., ICML 2025)."""
    return _by_score(evidence, rate, balance, seed, "ram_apl", "top", kept=rate, a=a, kappa=kappa)


def _by_score(evidence: Evidence, rate: float, balance: bool, seed: int, name: str, rule: str, strata: int = 50,
              mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin", normalize: str = "none",
              **options: Any) -> Picks:
    if rule in DRAWING:
        return _by_drawing(evidence, rate, balance, seed, name, rule, normalize, options)
    values = _in_range(score(name, evidence, **options), evidence.labels, normalize)
    rng = np.random.RandomState(seed)
    hardness = score(cutoff_score, evidence) if mis_ratio else values
    unseen = np.isnan(values) | np.isnan(hardness)
    if rule == "window" and not balance and not mis_ratio and not unseen.any():
        return joined([_middle(values, rate)]), None, values
    groups = [(_without_hardest(hardness, _seen(rows, unseen, k), k, mis_ratio), k)
              for rows, k in budgets(evidence.labels, rate, balance)]
    draw = functools.partial(_strata, strata=strata) if rule == "strata" else RULES[rule]
    return joined(draw(values, rows, k, rng) for rows, k in groups), None, values


def _in_range(values: np.ndarray, labels: np.ndarray, normalize: str) -> np.ndarray:
    """"class": from 0 to 1 within each class, 0 where all of it are equal; "none": as they are."""
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
    """By a rule that looks at the evidence, too; what it and the score both have as an option goes to both."""
    of_score, of_rule = ({key: value for key, value in options.items() if key in _options(function)}
                         for function in (SCORES[name], DRAWING[rule]))
    if options.keys() - of_score.keys() - of_rule.keys():
        raise ValueError(f"{name} by {rule} has no such option: {', '.join(options)}")
    values = _in_range(score(name, evidence, **of_score), evidence.labels, normalize)
    groups = [(_seen(rows, np.isnan(values), k), k) for rows, k in budgets(evidence.labels, rate, balance)]
    return DRAWING[rule](evidence, values, groups, rate, seed, **of_rule), None, values


def _seen(rows: np.ndarray, unseen: np.ndarray, k: int) -> np.ndarray:
    """Those of ``rows`` that have a score: others are never picked."""
    seen = rows[~unseen[rows]]
    if len(seen) < k:
        raise ValueError(f"{len(seen)} of {len(rows)} samples have a score, fewer than the {k} to select")
    return seen


def _without_hardest(hardness: np.ndarray, rows: np.ndarray, k: int, mis_ratio: float) -> np.ndarray:
    """``rows`` without the int(mis_ratio m) hardest of these m."""
    if not 0 <= mis_ratio < 1:
        raise ValueError(f"mis_ratio is {mis_ratio}, must be at least 0 and below 1")
    hardest = rows[np.argsort(-hardness[rows], kind="stable")[:int(mis_ratio * len(rows))]]
    left = rows[~np.isin(rows, hardest)]
    if k > len(left):
        raise ValueError(f"mis_ratio {mis_ratio} leaves {len(left)} samples, fewer than the {k} to select")
    return left


def _top(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rows[np.argsort(-values[rows], kind="stable")[:k]]


def _bottom(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rows[np.argsort(values[rows], kind="stable")[:k]]


def _window(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """k ranks of m, from round((m - k) / 2) on."""
    low = round((len(rows) - k) / 2)
    return rows[np.argsort(values[rows], kind="stable")[low:low + k]]


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


def _random(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    return rng.choice(rows, k, replace=False)


def _weighted_random(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Without replacement, in proportion to how far a value is above the lowest, which is all but never drawn."""
    above = values[rows] - values[rows].min()
    chances = above + 1e-12 * above.max() if above.max() > 0 else np.ones(len(rows))
    return rng.choice(rows, k, replace=False, p=chances / chances.sum())


def _strata(values: np.ndarray, rows: np.ndarray, k: int, rng: np.random.RandomState, strata: int) -> np.ndarray:
    """k of ``rows``, whose values are cut into equal widths.

    Of S strata the j-th smallest gives min(its size, what is left of k // (S - j)), ties to the lower values; each
    gives a random sample. The highest value belongs to the last stratum; equal values are one stratum.
    Source: Zheng et al., Coverage-centric Coreset Selection, ICLR 2023, algorithm 1.
    """
    if strata < 1:
        raise ValueError(f"strata is {strata}, must be at least 1")
    stratum = _stratum(values[rows], strata)
    members = [rows[stratum == s] for s in range(strata)]
    budget, rest = np.zeros(strata, int), k
    for j, s in enumerate(np.argsort([len(rows) for rows in members], kind="stable")):
        budget[s] = min(len(members[s]), rest // (strata - j))
        rest -= budget[s]
    return joined(rng.choice(members[s], budget[s], replace=False) for s in range(strata) if budget[s])


def _stratum(values: np.ndarray, strata: int) -> np.ndarray:
    above = values - values.min()
    if above.max() == 0:
        return np.zeros(len(values), int)
    # Multiplied first, so that whole numbers on the border of two strata are exact.
    return np.minimum((above * strata / above.max()).astype(int), strata - 1)


def _ranked(name: str) -> Callable[..., Picks]:
    """The method that keeps the highest of a score."""
    def method(evidence: Evidence, rate: float, balance: bool, seed: int, **options: Any) -> Picks:
        # DeepCore ranks uncertainty the wrong way round when it does not balance.
        wrong_way = name in ("least_confidence", "entropy", "margin") and options.get("variant") == "deepcore"
        rule = "bottom" if wrong_way and not balance else "top"
        return _by_score(evidence, rate, balance, seed, name, rule, **options)
    return method


def _options(function: Callable) -> dict[str, Any]:
    """Names and defaults of a function's options."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


RULES: dict[str, Callable[..., np.ndarray]] = {
    "top": _top, "bottom": _bottom, "window": _window, "strata": _strata, "random": _random,
    "weighted_random": _weighted_random, **DRAWING}

_RANKED = [name for name in SCORES if name not in ("center_distance", "ram_apl")]
_OTHERS = (
    random, full, moderate, ccs, ram_apl, geometry.herding, geometry.gm_matching, geometry.k_center,
    geometry.contextual_diversity, gradient.craig, gradient.gradmatch, gradient.glister, submodular.facility_location,
    submodular.graph_cut, submodular.log_determinant)
METHODS = {name: _ranked(name) for name in _RANKED} | {function.__name__: function for function in _OTHERS}
OPTIONS = {name: _options(SCORES[name]) for name in _RANKED} | {function.__name__: _options(function)
                                                                for function in _OTHERS}
