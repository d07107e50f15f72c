"""Which samples stay: scores, rules, set functions over ``Evidence``. It sees no network, data set or file."""

from typing import Any

import numpy as np

from ms_coreset.arrays import plain
from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence

# What these register stands in this order in lists and messages.
# isort: off
from ms_coreset.selectors import baselines, best_window, beta, class_quotas, message_passing
from ms_coreset.selectors import herding, k_center, contextual_diversity, gm_matching, prune4rel, gradmatch, glister
from ms_coreset.selectors import offset
from ms_coreset.selectors import scores, moderate, ccs, d2, top_of_score, ram_apl, submodular
# isort: on
from ms_coreset.selectors import on_ranks, score_and_rule, searches
from ms_coreset.selectors.catalogue import METHODS, QUOTAS, RULES, SCORES
from ms_coreset.selectors.catalogue import method as register_method
from ms_coreset.selectors.catalogue import rule as register_rule
from ms_coreset.selectors.estimate import Estimate, estimate
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.top_of_score import register_score

__all__ = [
    "METHODS",
    "RULES",
    "SCORES",
    "Estimate",
    "Selection",
    "baselines",
    "best_window",
    "beta",
    "ccs",
    "class_quotas",
    "contextual_diversity",
    "d2",
    "describe",
    "estimate",
    "glister",
    "gm_matching",
    "gradmatch",
    "herding",
    "k_center",
    "list_methods",
    "list_rules",
    "list_scores",
    "message_passing",
    "moderate",
    "offset",
    "pick_by_group",
    "prune4rel",
    "ram_apl",
    "register_method",
    "register_rule",
    "register_score",
    "score",
    "scores",
    "select",
    "select_by",
    "submodular",
    "top_of_score",
]


@one_blas_thread
def select(method: str, evidence: Evidence, rate: float, *, balance: bool = False, quota: str | None = None,
           seed: int = 0, memory: int | str | None = None, **options: Any) -> Coreset:
    """Choose the share ``rate`` of the samples that ``evidence`` describes.

    Several ranks (``distributed``) share the work. The manifest then says how they did, and whether one process would
    have chosen the same.

    Args:
        method: one of ``list_methods()``, or an alias, in any case.
        evidence: what is known of the samples.
        rate: in (0, 1]; the budget is ``round(rate n)``, half to even.
        balance: choose ``round(rate n_c)`` of each class instead.
        quota: how many of each class, ``round(rate n)`` in all: "none", "proportional" (to its size), "drop" (DRoP:
            more of classes that are recognized less) or "difficulty" (NUCS); see ``describe("drop")``.
        seed: seed of the call's one random generator.
        memory: bytes that it may use beside the data, a number or a text such as "2G"; by default half of what is free.
            What does not fit is computed in blocks, or computed again, where the method can do so: that is slower, with
            the same result. ``estimate`` says what a call will take.
        **options: options of the method, see ``describe(method)``, and of the quota.

    Returns:
        A ``Coreset``.

    Raises:
        MsCoresetError: for an unknown method or option, a rate outside (0, 1] or one that keeps nothing, and evidence
            that is missing or not finite.
    """
    entry = METHODS[method]
    require_kind("evidence", evidence, Evidence)
    require_kind("balance", balance, bool, np.bool_)
    options, of_quota = class_quotas.apart(quota, options)
    entry.check_options(options)
    options = plain(options)
    request = _request(evidence, rate, balance=balance, seed=seed, memory=memory)
    if of_quota and entry.name == "full":
        raise MsCoresetError(f"full keeps every sample: quota {quota} has no say")
    inner, notes = class_quotas.with_quota(request, of_quota, evidence)
    entry.require(evidence, options)
    with searches.noted() as found:
        selection = on_ranks.choose(entry, evidence, inner, options)
    how = on_ranks.sharing(entry, inner, options)
    notes |= {"neighbors": found} if found else {}
    return _coreset(_noted(selection, notes), entry.name, evidence, request,
                    {**entry.options, **options, **of_quota}, how)


@one_blas_thread
def select_by(score: str, rule: str, evidence: Evidence, *, rate: float, balance: bool = False,
              quota: str | None = None, seed: int = 0, memory: int | str | None = None, **options: Any) -> Coreset:
    """Choose by any score and any rule.

    Args:
        score: one of ``list_scores()``.
        rule: one of ``list_rules()``.
        evidence: what is known of the samples.
        rate: see ``select``.
        balance: see ``select``.
        quota: see ``select``.
        seed: see ``select``.
        memory: see ``select``.
        **options: options of the score and of the rule (see ``describe``), where an option that both have goes to both,
            and of the quota; normalize="class" brings the scores of each class to [0, 1] first.

    Returns:
        A ``Coreset``.

    Raises:
        MsCoresetError: as ``select``.
    """
    require_kind("evidence", evidence, Evidence)
    require_kind("balance", balance, bool, np.bool_)
    require_kind("rule", rule, str)
    options, of_quota = class_quotas.apart(quota, options)
    name = f"{SCORES.canonical(score)}-{RULES.canonical(rule)}"
    request = _request(evidence, rate, balance=balance, seed=seed, memory=memory)
    inner, notes = class_quotas.with_quota(request, of_quota, evidence)
    with searches.noted() as found:
        selection = score_and_rule.by_score(evidence, inner, score, rule, **options)
    notes |= {"neighbors": found} if found else {}
    return _coreset(_noted(selection, notes), name, evidence, request, {**plain(options), **of_quota}, on_ranks.SCORES)


def _request(evidence: Evidence, rate: float, *, balance: bool, seed: int, memory: int | str | None) -> Request:
    """What is asked for; raises ``MsCoresetError`` where it is not to be had of ``evidence``."""
    request = Request(rate, bool(balance), seed, memory)
    if request.balance:
        evidence.require(("labels",), "balance")
    return request


def _noted(selection: Selection, notes: dict[str, Any]) -> Selection:
    return selection._replace(notes={**(selection.notes or {}), **notes})


def _coreset(selection: Selection, name: str, evidence: Evidence, request: Request, options: dict[str, Any],
             how: str) -> Coreset:
    labels = None if evidence.labels is None else array_digest(evidence.labels)
    manifest = {"kept": len(selection.indices), "labels": labels, **on_ranks.notes(how),
                **(selection.notes or {})}
    return Coreset(selection.indices, len(evidence), float(request.rate), method=name,
                   options={**options, "balance": request.balance}, seed=int(request.seed), weights=selection.weights,
                   scores=selection.scores, manifest=manifest)


@one_blas_thread
def score(name: str, evidence: Evidence, **options: Any) -> np.ndarray:
    """The score ``name`` of every sample: (n,) float64, high = keep.

    Args:
        name: one of ``list_scores()``, or an alias.
        evidence: what is known of the samples.
        **options: options of the score, see ``describe(name)``.

    Returns:
        (n,) float64, high = keep.

    Raises:
        MsCoresetError: for an unknown score or option, and for evidence that is missing or not finite.
    """
    entry = SCORES[name]
    require_kind("evidence", evidence, Evidence)
    entry.check_options(options)
    options = plain(options)
    entry.require(evidence, options)
    return on_ranks.values(entry, evidence, options)


def list_methods(pattern: str = "*") -> list[str]:
    """Names of the methods that match a shell ``pattern``.

    Args:
        pattern: such as "el*"; "*": all.

    Returns:
        The names.
    """
    return METHODS.names(pattern)


def list_scores(pattern: str = "*") -> list[str]:
    """Names of the scores that match a shell ``pattern``.

    Args:
        pattern: such as "el*"; "*": all.

    Returns:
        The names.
    """
    return SCORES.names(pattern)


def list_rules(pattern: str = "*") -> list[str]:
    """Names of the rules that match a shell ``pattern``.

    Args:
        pattern: such as "el*"; "*": all.

    Returns:
        The names.
    """
    return RULES.names(pattern)


def describe(name: str) -> dict:
    """What a method, score, rule or quota does, needs and costs.

    Where a method and a rule share a name, as "random" does, the method is described; the rule is like it.

    Args:
        name: of a method, score, rule or quota.

    Returns:
        A dict of name, summary, needs, options, cost, source.

    Raises:
        MsCoresetError: for an unknown name.
    """
    registry = next((registry for registry in (METHODS, SCORES, RULES, QUOTAS) if name in registry), METHODS)
    entry = registry[name]
    return {"name": entry.name, "summary": entry.summary, "needs": entry.all_needs,
            "options": entry.options, "cost": entry.cost, "source": entry.source}
