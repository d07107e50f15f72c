"""Methods that are a score and a rule: the published pairs by name, and any other pair.

A score of the same name, kept from the top, is a method; ``moderate`` is the centre distance with the middle window,
``ccs`` a score with strata and a hard cut-off.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ms_coreset.arrays import plain
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import shared
from ms_coreset.selectors.catalogue import RULES, SCORES, Entry, Flag, Needs, method, score
from ms_coreset.selectors.drawing import ScoreName, Share, needs_of_cutoff
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.normalization import NORMALIZATION, NORMALIZE, Range, normalize_scores
from ms_coreset.selectors.options import Count
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.scores.centre_distance import Center, Metric
from ms_coreset.selectors.selection import Selection

# DeepCore sorts these the wrong way round when it does not balance, and keeps the most certain samples.
_REVERSED_IN_DEEPCORE = ("least_confidence", "entropy", "margin")


def by_score(evidence: Evidence, request: Request, score: str, rule: str = "top", normalize: Range = "none",
             **options: Any) -> Selection:
    """Any score with any rule; options are the score's and the rule's, and what both have goes to both.

    normalize: see ``normalization.normalize_scores``
    """
    entry, drawn = SCORES[score], RULES[rule]
    NORMALIZATION.check_options({NORMALIZE: normalize})
    of_rule = {name: value for name, value in options.items() if name in drawn.options}
    options = {name: value for name, value in options.items() if name not in of_rule or name in entry.options}
    entry.check_options(options)
    drawn.check_options(of_rule)
    options, of_rule = plain(options), plain(of_rule)
    entry.require(evidence, options)
    drawn.require(evidence, of_rule)
    values = normalize_scores(shared.values(entry, evidence, options), evidence.labels, normalize)
    return drawn.function(values, evidence, request, **of_rule)._replace(scores=values)


@method("moderate", needs=lambda options: dict.fromkeys(("features", *needs_of_cutoff(options))), cost="n d",
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


@method("ccs", needs=lambda options: dict.fromkeys((*SCORES[options["score"]].needs, *needs_of_cutoff(options))),
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


def keep_by(rule: str, name: str, evidence: Evidence, request: Request, **options: Any) -> Selection:
    """What a rule without options draws from the score ``name``."""
    values = shared.values(SCORES[name], evidence, options)
    return RULES[rule].function(values, evidence, request)._replace(scores=values)


def _register_ranked(entry: Entry, aliases: Iterable[str]) -> None:
    """Make a score a method: its top, with the score's options and documentation."""

    def ranked(evidence: Evidence, request: Request, **options: Any) -> Selection:
        reversed_here = options.get("variant") == "deepcore" and entry.name in _REVERSED_IN_DEEPCORE
        return keep_by("bottom" if reversed_here and not request.balance else "top", entry.name, evidence, request,
                       **options)

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
