"""The curves by which the rule ``best_window`` has chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from ms_coreset.coreset import Coreset
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.canvas import Canvas
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import Markup, details, table, tag
from ms_coreset.experiment.report.palette import Look

Curve = tuple[list[float], list[float]]  # shares of the ranking at which windows begin, and their accuracies
_MOST = 2000  # windows of a curve: a file must not decide how much is drawn


def window_curves(coresets: Mapping[str, tuple[int, Coreset]], look: Callable[[str], Look],
                  figure: Callable[[str, Canvas], Markup]) -> Markup | None:
    """The part that shows the accuracy of every window against where it begins; None where no coreset tells of any.

    Args:
        coresets: {method: (seed, coreset)}
        look: how a method is drawn
        figure: makes markup of a description and a drawing
    """
    curves = {name: (seed, curve) for name, (seed, coreset) in coresets.items() if (curve := curve_of(coreset))}
    if not curves:
        return None
    series = [Series(name, look(name), [100 * x for x in begin], [100 * y for y in accuracy], [None] * len(begin))
              for name, (_, (begin, accuracy)) in curves.items()]
    drawn = figure("; ".join(_in_words(one) for one in series) + ".",
                   charts.lines(series, "where the window begins, % of the ranking from the highest score on",
                                "accuracy of a window's classifier, %"))
    rows = [[name, seed, f"{100 * x:.4g}", f"{100 * y:.2f}"] for name, (seed, curve) in curves.items()
            for x, y in zip(*curve, strict=True)]
    listed = table("Windows of the first seed: where they begin, in % of the ranking, and how much of all samples a "
                   "linear classifier that is fitted to the window alone labels as they are labelled, in %",
                   ["method", "seed", "begin", "accuracy"], rows)
    return tag("div", tag("h3", "Windows of the ranking"), tag("div", drawn, details("The numbers", listed),
                                                               class_="pair"), class_="part")


def _in_words(series: Series) -> str:
    best = series.ys.index(max(series.ys))
    return f"{series.name}: {series.ys[best]:.2f} % by the window from {series.xs[best]:.4g} % on"


def curve_of(coreset: Coreset) -> Curve | None:
    """What a coreset's manifest tells of the windows, or None where it tells of none, or of what is no curve."""
    told = coreset.manifest.get("windows")
    begin, accuracy = (told.get("begin"), told.get("accuracy")) if isinstance(told, dict) else (None, None)
    if _are_shares(begin) and _are_shares(accuracy) and len(begin) == len(accuracy):
        return begin, accuracy
    return None


def _are_shares(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and 0 < len(values) <= _MOST and all(
        isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1 for value in values)
