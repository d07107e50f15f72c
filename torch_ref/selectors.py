"""Selection by the name of a method, or of a score and a rule."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from torch_ref import submodular
from torch_ref.baselines import full, random
from torch_ref.ccs import ccs
from torch_ref.contextual_diversity import contextual_diversity
from torch_ref.craig import craig
from torch_ref.d2 import d2
from torch_ref.disparity import disparity_min, disparity_sum
from torch_ref.evidence import Evidence
from torch_ref.feature_based import feature_based, max_coverage, set_coverage
from torch_ref.glister import glister
from torch_ref.gm_matching import gm_matching
from torch_ref.gradmatch import gradmatch
from torch_ref.herding import herding
from torch_ref.k_center import k_center
from torch_ref.lcmat import lcmat
from torch_ref.mixture import mixture
from torch_ref.moderate import moderate
from torch_ref.prototype import prototype
from torch_ref.prune4rel import prune4rel
from torch_ref.quota import CostShare, Picks
from torch_ref.quotas import with_quota
from torch_ref.ram_apl import ram_apl
from torch_ref.rules import RULES
from torch_ref.score_and_rule import by_score, options_of
from torch_ref.scores import SCORES
from torch_ref.subzero import subzero
from torch_ref.targeted import targeted_facility_location, targeted_graph_cut, targeted_log_determinant


@dataclass(frozen=True)
class Coreset:
    """The result of a selection.

    Attributes:
        indices: (k,) int64 of the kept samples, in pick order.
        weights: (k,) float64, or None.
        scores: (n,) float64, or None.
        gains: (k,) float64, what each pick added to the value of a set function, or None.
    """

    indices: np.ndarray
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None
    _: KW_ONLY
    gains: np.ndarray | None = None


def select(method: str, evidence: Evidence, rate: float, *, balance: bool = False, quota: str | None = None,
           seed: int = 0, **options: Any) -> Coreset:
    """Choose about ``rate * n`` of the n samples by a method.

    Args:
        method: one of ``METHODS``, in any case.
        evidence: any object with the attributes of ``Evidence`` that the method needs.
        rate: share that is kept, in (0, 1].
        balance: whether the rate applies to each class by itself, classes ascending, or to all samples together.
        quota: how many of each class, ``round(rate n)`` in all: one of ``quotas.QUOTAS``, or None.
        seed: seed of the ``RandomState`` that a method draws from.
        **options: of the method, and of the quota.

    Returns:
        A ``Coreset``.

    Raises:
        ValueError: for an unknown method or option, a rate out of range, evidence that is missing or not finite, and
            when nothing would be selected.
    """
    if str(method).lower() not in METHODS:
        raise ValueError(f"unknown method {method!r}: there are {', '.join(METHODS)}")
    choose = METHODS[str(method).lower()]
    rate, balance, options = _with_quota(evidence, rate, balance, quota, options)
    if "kernel" in OPTIONS[str(method).lower()] and evidence.similarity is not None:
        options = {"kernel": "precomputed", **options}
    unknown = options.keys() - OPTIONS[str(method).lower()].keys()
    if unknown:
        raise ValueError(f"method {method} has no option {', '.join(sorted(unknown))}")
    rate = _with_costs(evidence, rate, str(method).lower(), quota, options)
    return _coreset(evidence, rate, lambda: choose(evidence, rate, balance, seed, **options))


def select_by(score: str, rule: str, evidence: Evidence, *, rate: float, balance: bool = False,
              quota: str | None = None, seed: int = 0, **options: Any) -> Coreset:
    """Choose by any score and any rule.

    Args:
        score: name of the score.
        rule: one of ``RULES``.
        evidence: see ``select``.
        rate: see ``select``.
        balance: see ``select``.
        quota: see ``select``.
        seed: see ``select``.
        **options: of the score, of the rule and of the quota.

    Returns:
        A ``Coreset``.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}: there are {', '.join(RULES)}")
    rate, balance, options = _with_quota(evidence, rate, balance, quota, options)
    return _coreset(evidence, rate, lambda: by_score(evidence, rate, balance, seed, score, rule, **options))


def _with_costs(evidence: Evidence, rate: float, method: str, quota: str | None, options: dict[str, Any]) -> float:
    """The rate, or the share of the costs where the evidence has such."""
    if evidence.cost is None:
        return rate
    if (METHODS[method] not in _OF_COSTS or quota or options.get("greedy", "lazy") not in ("lazy", "naive")
            or len(options.get("already_selected", ()))):
        raise ValueError(f"{method} with these options counts samples: it can't keep to costs")
    if not (np.isfinite(evidence.cost) & (np.asarray(evidence.cost) > 0)).all():
        raise ValueError("cost must be above 0, and finite")
    return CostShare(rate, evidence.cost)


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
    indices, weights, scores, *gains = choose()
    if len(indices) == 0:
        raise ValueError(f"rate {rate} of {len(evidence.labels)} samples selects nothing: give a larger rate")
    return Coreset(np.asarray(indices, np.int64), weights, scores, gains=gains[0] if gains else None)


def _top_of(name: str) -> Callable[..., Picks]:
    """The method that keeps the highest of a score."""
    def method(evidence: Evidence, rate: float, balance: bool, seed: int, **options: Any) -> Picks:
        # Unbalanced, DeepCore ranks uncertainty in the wrong direction.
        wrong_way = name in ("least_confidence", "entropy", "margin") and options.get("variant") == "deepcore"
        rule = "bottom" if wrong_way and not balance else "top"
        return by_score(evidence, rate, balance, seed, name, rule, **options)
    return method


_OF_COSTS = (
    submodular.facility_location, submodular.graph_cut, submodular.log_determinant, submodular.saturated_coverage,
    submodular.sum_redundancy, disparity_sum, disparity_min, feature_based, max_coverage, set_coverage,
    targeted_facility_location, targeted_graph_cut, targeted_log_determinant, mixture)
_RANKED = [name for name in SCORES if name not in ("center_distance", "ram_apl", "prototype")]
_OTHERS = (
    random, full, moderate, ccs, d2, prototype, ram_apl, herding, gm_matching, prune4rel, k_center,
    contextual_diversity, craig, lcmat, gradmatch, glister, submodular.facility_location,
    submodular.graph_cut, submodular.log_determinant, subzero, submodular.saturated_coverage,
    submodular.sum_redundancy, disparity_sum, disparity_min, feature_based, max_coverage, set_coverage,
    targeted_facility_location, targeted_graph_cut, targeted_log_determinant, mixture)
METHODS = {name: _top_of(name) for name in _RANKED} | {function.__name__: function for function in _OTHERS}
OPTIONS = {name: {option: default for option, default in options_of(SCORES[name]).items() if option != "seed"}
           for name in _RANKED} | {function.__name__: options_of(function) for function in _OTHERS}
