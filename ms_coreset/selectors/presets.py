"""Methods that are a score and a rule: the published pairs by name, and any other pair.

A score of the same name, kept from the top, is a method; ``moderate`` is the centre distance with the middle window,
``ccs`` a score with strata and a hard cut-off.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import numpy as np

from ms_coreset.arrays import plain
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence, warn
from ms_coreset.selectors import shared
from ms_coreset.selectors.catalogue import METHODS, SCORES, Entry, Flag, Needs, method, score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.label_quality import share_to_cut_off
from ms_coreset.selectors.options import AUTO, Count, Named, Number, OrAuto
from ms_coreset.selectors.quota import Request, pick_by_group
from ms_coreset.selectors.rules import RULES, after_cutoff, moderate_window, spread_over_strata
from ms_coreset.selectors.scores.centre_distance import Center, Metric
from ms_coreset.selectors.selection import Selection

RULE_NAMES = (*RULES, "strata")
Share = Annotated[float | str, OrAuto(Number(lambda value: 0 <= value < 1, f"at least 0 and below 1, or {AUTO!r}"))]
ScoreName = Annotated[str, Named(SCORES)]
# DeepCore sorts these the wrong way round when it does not balance, and keeps the most certain samples.
_REVERSED_IN_DEEPCORE = ("least_confidence", "entropy", "margin")


def choose_by(values: np.ndarray, rule: str, request: Request, labels: np.ndarray, hardness: np.ndarray | None = None,
              strata: int = 50, mis_ratio: float = 0.0) -> np.ndarray:
    """Draw ``request`` from scores (n,) by a rule of ``RULE_NAMES``, after the share ``mis_ratio`` of the highest
    hardness (n,), or of the scores, is cut off, of each class if balanced.

    Unbalanced and with nothing cut off, "window" is Moderate's (``rules.moderate_window``). Samples whose score or
    hardness is NaN are never picked, which is warned of. Raises ``MsCoresetError`` where fewer others than are to be
    kept are there.
    """
    if rule not in RULE_NAMES:
        raise MsCoresetError(f"unknown rule {rule!r}: there are {', '.join(RULE_NAMES)}")
    rng = np.random.RandomState(request.seed)
    ranking = values if hardness is None else hardness
    unseen = np.isnan(values) | np.isnan(ranking)
    if unseen.any():
        warn(f"{unseen.sum():,} of {len(values):,} samples are never picked: they have no score, for training did not "
             "show them (such as those held out for validation)")

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        rows = _with_score(rows, unseen, k)
        if mis_ratio:
            rows = rows[after_cutoff(ranking[rows], k, mis_ratio)]
        if rule == "strata":
            return rows[spread_over_strata(values[rows], k, rng, strata)]
        if rule == "window" and not request.balance and not mis_ratio and len(rows) == len(values):
            return rows[moderate_window(values[rows], request.rate)]
        return rows[RULES[rule](values[rows], k, rng)]

    return pick_by_group(labels, request, pick)


def _with_score(rows: np.ndarray, unseen: np.ndarray, k: int) -> np.ndarray:
    """Those of ``rows`` that are not ``unseen`` (n,); raises ``MsCoresetError`` for fewer than k."""
    known = rows[~unseen[rows]]
    if len(known) < k:
        raise MsCoresetError(f"{len(known)} of {len(rows)} samples have a score, fewer than the {k} to keep: at most "
                             f"rate {np.floor(1000 * len(known) / len(rows)) / 1000:g}")
    return known


def _ruled(values: np.ndarray, rule: str, request: Request, labels: np.ndarray, **options: Any) -> Selection:
    """The ``Selection`` by a rule; of several ranks the first ranks, which takes several times the scores' memory."""
    found = current().from_first(lambda: {"indices": choose_by(values, rule, request, labels, **options)})
    return Selection(found["indices"], scores=values)


def by_score(evidence: Evidence, request: Request, score: str, rule: str = "top", **options: Any) -> Selection:
    """Any score with any rule; options are the score's and the rule's, ``RULE_OPTIONS``.

    The cut-off is made only for a ``mis_ratio`` above 0, so that its score is not asked for otherwise; "auto" is
    ``label_quality.share_to_cut_off``.
    """
    entry = SCORES[score]
    of_rule = dict(RULE_OPTIONS.get(rule, {}))
    of_rule |= {name: options.pop(name) for name in of_rule if name in options}
    entry.check_options(options)
    METHODS["ccs"].check_options(of_rule)
    options, of_rule = plain(options), plain(of_rule)
    entry.require(evidence, options)
    cutoff_score = of_rule.pop("cutoff_score", None)
    cutoff = SCORES[cutoff_score] if of_rule.get("mis_ratio") else None
    if cutoff:
        cutoff.require(evidence, {})
        if of_rule["mis_ratio"] == AUTO:
            of_rule["mis_ratio"] = share_to_cut_off(evidence, request)
    values = shared.values(entry, evidence, options)
    hardness = shared.values(cutoff, evidence, {}) if cutoff else None
    return _ruled(values, rule, request, evidence.labels, hardness=hardness, **of_rule)


def needs_of_rule(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that a rule needs with these options: the cut-off score's, where there is a cut-off."""
    if not options.get("mis_ratio"):
        return ()
    return (*SCORES[options["cutoff_score"]].needs, *(("logits",) if options["mis_ratio"] == AUTO else ()))


@method("moderate", needs=lambda options: dict.fromkeys(("features", *needs_of_rule(options))), cost="n d",
        work=SCORES["center_distance"].work, parallel="scores", source="Xia et al., Moderate Coreset, ICLR 2023")
def moderate(evidence: Evidence, request: Request, center: Center = "median", metric: Metric = "euclidean",
             mis_ratio: Share = 0.0, cutoff_score: ScoreName = "loss") -> Selection:
    """The samples whose distance to their class's centre is nearest the median distance, by rank.

    center, metric: see ``center_distance``; "cosine" is ours
    mis_ratio, cutoff_score: ours, after CCS: first the share ``mis_ratio`` of the samples is left out that is highest
        in this score; what it is for is wrong labels. "auto": by how many labels seem to be wrong
        (``label_quality.share_to_cut_off``). The centers are of all samples

    Over everything (the published way), the middle window of the ranking of all distances; it can hold one sample
    more or less than ``round(rate n)`` (``rules.moderate_window``). Balanced or after a cut-off, which is ours, exactly
    ``round(rate n)`` or, of each class, ``round(rate n_c)`` from the middle of the ranking.

    Raises ``MsCoresetError`` when the cut-off leaves fewer than are to be kept.
    """
    return by_score(evidence, request, "center_distance", "window", center=center, metric=metric, mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score)


def _takes_of_score(options: dict[str, Any]) -> tuple[str, ...]:
    """Fields of ``Evidence`` that the strata's score goes by where there are any."""
    return SCORES[options["score"]].takes_for({})


@method("ccs", needs=lambda options: dict.fromkeys((*SCORES[options["score"]].needs, *needs_of_rule(options))),
        takes=_takes_of_score, cost="n T", work=row_by_row, parallel="scores",
        source="Zheng et al., Coverage-centric Coreset Selection, ICLR 2023")
def ccs(evidence: Evidence, request: Request, score: ScoreName = "accumulated_margin", strata: Count = 50,
        mis_ratio: Share = 0.0, cutoff_score: ScoreName = "accumulated_margin") -> Selection:
    """Spread evenly over strata of a score, after a share of the hardest samples is cut off.

    score: any score, for the strata
    strata: number of intervals of equal width
    mis_ratio: share of all samples, highest in ``cutoff_score``, that is never taken (the paper's beta; it grows
        with the share that is dropped, 0.3 for a tenth of CIFAR-10); "auto", which is ours, as in ``moderate``

    See ``rules.after_cutoff`` and ``rules.spread_over_strata``. Departures from the authors' code: the budget is
    ``round(rate n)``, not truncated; too few survivors are an error; intervals are closed at the highest score.
    """
    return by_score(evidence, request, score, "strata", strata=strata, mis_ratio=mis_ratio, cutoff_score=cutoff_score)


RULE_OPTIONS = {"strata": {name: METHODS["ccs"].options[name] for name in ("strata", "mis_ratio", "cutoff_score")},
                "window": {name: METHODS["moderate"].options[name] for name in ("mis_ratio", "cutoff_score")}}


def keep_top(name: str, evidence: Evidence, request: Request, **options: Any) -> Selection:
    """The highest of the score ``name``."""
    return _ruled(shared.values(SCORES[name], evidence, options), "top", request, evidence.labels)


def _register_ranked(entry: Entry, aliases: Iterable[str]) -> None:
    """Make a score a method: its top, with the score's options and documentation."""

    def ranked(evidence: Evidence, request: Request, **options: Any) -> Selection:
        reversed_here = options.get("variant") == "deepcore" and entry.name in _REVERSED_IN_DEEPCORE
        rule = "bottom" if reversed_here and not request.balance else "top"
        return _ruled(shared.values(entry, evidence, options), rule, request, evidence.labels)

    of_method = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("evidence", "request")]
    of_score = list(inspect.signature(entry.function).parameters.values())[1:]
    ranked.__signature__ = inspect.Signature([*of_method, *of_score])  # type: ignore[attr-defined]
    ranked.__doc__ = entry.function.__doc__
    method(entry.name, entry.requirements, f"{entry.cost} + n log n", source=entry.source, aliases=aliases, nested=True,
           takes=entry.takes, parallel="scores", label_columns=entry.label_columns, work=entry.work)(ranked)


def register_score(name: str, needs: Needs = (), cost: str = "", *, source: str = "", aliases: Iterable[str] = (),
                   parallel: str | Callable = "", takes: Needs = (), label_columns: Flag = False,
                   work: Callable | None = None) -> Callable:
    """Decorator for a score of one's own: registered, it is a method of that name, too, which keeps its top."""
    def register(function: Callable) -> Callable:
        score(name, needs, cost, source, aliases, takes, parallel, label_columns, work)(function)
        _register_ranked(SCORES[name], aliases)
        return function
    return register


for _name in SCORES.names():
    if _name not in ("center_distance", "ram_apl"):  # moderate is the former's method; the latter has one of its own
        _register_ranked(SCORES[_name], SCORES.aliases(_name))
