"""The curves by which the rule ``best_window`` has chosen."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from ms_coreset.coreset import Coreset
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import Markup, details, rate_name, table, tag
from ms_coreset.experiment.report.section_report import SectionReport

Curve = tuple[list[float], list[float]]  # shares of the ranking at which windows begin, and their accuracies
_MOST = 2000  # windows of a curve: a file must not decide how much is drawn


def windows(report: SectionReport) -> Markup | None:
    """How good each window of the ranking is, where windows were compared: accuracy against where it begins."""
    curves = {name: (seed, curve) for name, (seed, coreset) in report.first_coresets().items()
              if (curve := curve_of(coreset))}
    if not curves:
        return None
    series = [Series(name, report.look(name), [100 * x for x in begin], [100 * y for y in accuracy],
                     [None] * len(begin))
              for name, (_, (begin, accuracy)) in curves.items()]
    title = f"Windows of the ranking, {rate_name(report.shown_rate)} kept"
    chart = charts.lines(series, "where the window begins, % from the highest score on",
                         "accuracy of a window's classifier, %")
    drawn = report.draw_figure("windows", title, "; ".join(_in_words(one) for one in series) + ".", chart)
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
