"""Registers every score as a method of the same name, which keeps the highest scores."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import SCORES, SEED, Entry, Flag, Needs, method, score
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.score_and_rule import keep_by
from ms_coreset.selectors.selection import Selection

# Unbalanced, DeepCore sorts these in the wrong direction and keeps the most certain samples.
_REVERSED_IN_DEEPCORE = ("least_confidence", "entropy", "margin")


def _register_top(entry: Entry, aliases: Iterable[str]) -> None:
    """Register a score as a method: its highest scores, with the score's options and documentation."""

    def top(evidence: Evidence, request: Request, **options: Any) -> Selection:
        reversed_here = options.get("variant") == "deepcore" and entry.name in _REVERSED_IN_DEEPCORE
        return keep_by("bottom" if reversed_here and not request.balance else "top", entry.name, evidence, request,
                       **options)

    of_method = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("evidence", "request")]
    of_score = [parameter for parameter in list(inspect.signature(entry.function).parameters.values())[1:]
                if parameter.name != SEED]  # which is the request's
    top.__signature__ = inspect.Signature([*of_method, *of_score])  # type: ignore[attr-defined]
    top.__doc__ = entry.function.__doc__
    method(entry.name, entry.requirements, f"{entry.cost} + n log n", source=entry.source, aliases=aliases, nested=True,
           takes=entry.takes, parallel="scores", labels=entry.labels, label_columns=entry.label_columns,
           work=entry.work)(top)


def register_score(name: str, needs: Needs = (), cost: str = "", *, source: str = "", aliases: Iterable[str] = (),
                   parallel: str | Callable = "", takes: Needs = (), labels: Flag = True,
                   label_columns: Flag = False, work: Callable | None = None) -> Callable:
    """Return a decorator that registers a score, and a method of the same name that keeps the highest scores.

    Args:
        name: the name to register it under.
        needs: fields of ``Evidence`` that it needs beside labels, or a function of the options that returns them.
        cost: order of the work beyond extraction, as a text in n samples, d dimensions, C classes, k picks.
        source: authors, title and place of publication.
        aliases: other names for it.
        parallel: how several ranks share it, see ``catalogue.Entry``.
        takes: fields of ``Evidence`` that it uses if they are given, see ``catalogue.Entry``.
        labels: whether it looks at labels, see ``catalogue.Entry``.
        label_columns: whether it compares labels with logits, see ``catalogue.Entry``.
        work: what it takes, for ``estimate``, see ``catalogue.Entry``.

    Returns:
        The decorator; it returns the function unchanged.
    """
    def register(function: Callable) -> Callable:
        score(name, needs, cost, source, aliases, takes, parallel, label_columns, work, labels=labels)(function)
        _register_top(SCORES[name], aliases)
        return function
    return register


for _name in SCORES.names():
    if _name not in ("center_distance", "prototype", "ram_apl", "semdedup"):  # moderate, and methods of their own
        _register_top(SCORES[_name], SCORES.aliases(_name))
