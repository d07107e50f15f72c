"""Selection of samples from ``Evidence``: methods, scores, rules, quotas. It uses no network, data set or file."""

from typing import Any

import numpy as np

from ms_coreset.arrays import plain
from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence

# Lists and messages name what these register in this order.
# isort: off
from ms_coreset.selectors import baselines, best_window, beta, class_quotas, message_passing
from ms_coreset.selectors import herding, k_center, contextual_diversity, gm_matching, prune4rel, gradmatch, glister
from ms_coreset.selectors import offset
from ms_coreset.selectors import scores, moderate, ccs, d2, top_of_score, prototype, ram_apl, semdedup, submodular
# isort: on
from ms_coreset.selectors import on_ranks, score_and_rule, searches
from ms_coreset.selectors.catalogue import METHODS, RULES, SCORES, find_entry
from ms_coreset.selectors.catalogue import method as register_method
from ms_coreset.selectors.catalogue import rule as register_rule
from ms_coreset.selectors.estimate import Estimate, estimate
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular import knapsack
from ms_coreset.selectors.submodular.kernels import name_of
from ms_coreset.selectors.top_of_score import register_score

__all__ = ["METHODS", "RULES", "SCORES", "Estimate", "Selection", "baselines", "best_window", "beta", "ccs",
           "class_quotas", "contextual_diversity", "d2", "describe", "estimate", "glister", "gm_matching",
           "gradmatch", "herding", "k_center", "list_methods", "list_rules", "list_scores", "message_passing",
           "moderate", "offset", "pick_by_group", "prototype", "prune4rel", "ram_apl", "register_method",
           "register_rule", "register_score", "score", "scores", "select", "select_by", "semdedup", "submodular",
           "top_of_score"]


@one_blas_thread
def select(method: str, evidence: Evidence, rate: float, *, balance: bool = False, quota: str | None = None,
           seed: int = 0, memory: int | str | None = None, **options: Any) -> Coreset:
    """Choose a share ``rate`` of the samples by a method.

    Several ranks (``distributed``) share the work. The coreset's manifest says how, and whether the result is that of
    one process.

    Args:
        method: one of ``list_methods()`` or an alias, in any case.
        evidence: arrays about the n samples; ``describe(method)`` lists the fields that the method needs.
        rate: share to keep, in (0, 1]: ``round(rate n)`` samples, half to even; of evidence with costs, which set
            functions take, the share of all costs that the kept samples may have.
        balance: keep ``round(rate n_c)`` of the n_c samples of each class instead.
        quota: how many of each class to keep, ``round(rate n)`` in all: "none" (classes compete), "proportional" (to
            n_c), "drop" (DRoP: more of classes that the network recognizes less) or "difficulty" (NUCS); see
            ``describe("drop")`` and the others. None: as ``balance`` says.
        seed: of the random generator, 0 to 2**32 - 1.
        memory: bytes that the call may use beside the data, a number or a text such as "2G"; by default half of what is
            free. If more is needed, many methods compute in blocks or compute values again: slower, with the same
            result. ``estimate`` tells beforehand.
        **options: of the method and of the quota; see ``describe(method)``.

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
    options = entry.suited_to(evidence, options)
    entry.check_options(options)
    options = plain(options)
    request = _request(evidence, rate, balance=balance, seed=seed, memory=memory)
    if of_quota and entry.name == "full":
        raise MsCoresetError(f"full keeps every sample: quota {quota} has no say")
    knapsack.require_possible(entry, evidence, options, quota)
    inner, notes = class_quotas.with_quota(request, of_quota, evidence)
    entry.require(evidence, options)
    with searches.collect_notes() as found:
        selection = on_ranks.choose(entry, evidence, inner, options)
    how = on_ranks.sharing(entry, inner, options)
    notes |= {"neighbors": found} if found else {}
    return _coreset(_with_notes(selection, notes), entry.name, evidence, request,
                    {**entry.options, **options, **of_quota}, how)


@one_blas_thread
def select_by(score: str, rule: str, evidence: Evidence, *, rate: float, balance: bool = False,
              quota: str | None = None, seed: int = 0, memory: int | str | None = None, **options: Any) -> Coreset:
    """Choose a share ``rate`` of the samples by any score and any rule.

    Args:
        score: one of ``list_scores()``, which ranks the samples.
        rule: one of ``list_rules()``, which draws the budget from the scores.
        evidence: arrays about the n samples, with the fields that the score and the rule need.
        rate: share to keep, in (0, 1], as for ``select``.
        balance: keep the same share of each class, as for ``select``.
        quota: how many of each class to keep, as for ``select``.
        seed: of the random generator, 0 to 2**32 - 1.
        memory: bytes that the call may use beside the data, as for ``select``.
        **options: of the score, of the rule (an option that both have goes to both) and of the quota; see ``describe``.
            normalize="class" first scales the scores of each class to [0, 1].

    Returns:
        A ``Coreset``.

    Raises:
        MsCoresetError: as ``select``.
    """
    require_kind("evidence", evidence, Evidence)
    require_kind("balance", balance, bool, np.bool_)
    require_kind("rule", rule, str)
    options, of_quota = class_quotas.apart(quota, options)
    if evidence.cost is not None:
        raise MsCoresetError("rules count samples: Evidence(cost=...) goes with the set functions, such as "
                             "facility_location")
    name = f"{SCORES.canonical(score)}-{RULES.canonical(rule)}"
    request = _request(evidence, rate, balance=balance, seed=seed, memory=memory)
    inner, notes = class_quotas.with_quota(request, of_quota, evidence)
    with searches.collect_notes() as found:
        selection = score_and_rule.by_score(evidence, inner, score, rule, **options)
    notes |= {"neighbors": found} if found else {}
    return _coreset(_with_notes(selection, notes), name, evidence, request, {**plain(options), **of_quota},
                    on_ranks.SCORES)


def _request(evidence: Evidence, rate: float, *, balance: bool, seed: int, memory: int | str | None) -> Request:
    """What is asked for; raises ``MsCoresetError`` where it is not to be had of ``evidence``."""
    request = Request(rate, bool(balance), seed, memory)
    if request.balance:
        evidence.require(("labels",), "balance")
    return request


def _with_notes(selection: Selection, notes: dict[str, Any]) -> Selection:
    return selection._replace(notes={**(selection.notes or {}), **notes})


def _coreset(selection: Selection, name: str, evidence: Evidence, request: Request, options: dict[str, Any],
             how: str) -> Coreset:
    labels = None if evidence.labels is None else array_digest(evidence.labels)
    manifest = {"kept": len(selection.indices), "labels": labels, **on_ranks.notes(how),
                **(selection.notes or {})}
    named = {option: name_of(value) if callable(value) else value for option, value in options.items()}
    return Coreset(selection.indices, len(evidence), float(request.rate), method=name,
                   options={**named, "balance": request.balance}, seed=int(request.seed), weights=selection.weights,
                   scores=selection.scores, gains=selection.gains, manifest=manifest)


@one_blas_thread
def score(name: str, evidence: Evidence, **options: Any) -> np.ndarray:
    """Compute the score ``name`` of every sample.

    Args:
        name: one of ``list_scores()`` or an alias, in any case.
        evidence: arrays about the n samples; ``describe(name)`` lists the fields that the score needs.
        **options: options of the score, see ``describe(name)``.

    Returns:
        (n,) float64, high = keep; some scores are NaN for samples that training did not show.

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
    """List the registered methods whose names match a shell pattern.

    Args:
        pattern: such as "el*"; "*" for all.

    Returns:
        Their names, in order of registration.
    """
    return METHODS.names(pattern)


def list_scores(pattern: str = "*") -> list[str]:
    """List the registered scores whose names match a shell pattern.

    Args:
        pattern: such as "el*"; "*" for all.

    Returns:
        Their names, in order of registration.
    """
    return SCORES.names(pattern)


def list_rules(pattern: str = "*") -> list[str]:
    """List the registered rules whose names match a shell pattern.

    Args:
        pattern: such as "el*"; "*" for all.

    Returns:
        Their names, in order of registration.
    """
    return RULES.names(pattern)


def describe(name: str) -> dict:
    """Describe a method, score, rule or quota: what it does, needs and costs.

    If a method and a rule share a name, as "random", the method is described; the rule does the same.

    Args:
        name: of a method, score, rule or quota, in any case.

    Returns:
        A dict: "name"; "summary", a sentence; "needs", fields of ``Evidence``; "options", with their defaults; "cost",
        the order of the work in n samples, d dimensions, C classes, k picks, T epochs; "source", where it is published.

    Raises:
        MsCoresetError: for an unknown name.
    """
    entry = find_entry(name)
    return {"name": entry.name, "summary": entry.summary, "needs": entry.all_needs,
            "options": entry.options, "cost": entry.cost, "source": entry.source}
