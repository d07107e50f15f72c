"""Seconds of selection against accuracy, and what else a run cost."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    details,
    rate_name,
    seconds_name,
    table,
    tag,
)
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.statistics import (
    mean_and_deviation,
)
from ms_coreset.experiment.report.study import WHOLE, Run

_LEAST_SECONDS = 1e-3  # what a clock can tell


def cost(report: SectionReport) -> Markup | None:
    """Seconds of selection against accuracy, and what else a run cost."""
    points = _points(report)
    if not points and not any(run.sampler for run in report.section.done):
        return None
    every_rate = details("Selection time at every rate", report.table_by_rate(
        "Seconds to select, mean ± standard deviation", lambda run: run.seconds.get("select"), style=_plain_spread))
    figure = _figure(report, points) if points else None
    return tag("div", tag("h3", "Cost"), tag("div", figure, tag("div", _cost_table(report), every_rate),
                                             class_="pair"), class_="part")


def _points(report: SectionReport) -> list[Series]:
    """Seconds and accuracy of all that took time to choose before the training."""
    points = []
    for name in report.methods_here:
        seconds = report.section.values(name, report.shown_rate, lambda run: run.seconds.get("select"))
        if seconds:
            mean, spread = mean_and_deviation(list(report.section.accuracies(name, report.shown_rate).values()))
            points.append(Series(name, report.look(name), [max(float(np.mean(seconds)), _LEAST_SECONDS)],
                                 [100 * mean], [100 * spread if spread else None], report.front(name)))
    return points


def _figure(report: SectionReport, points: Sequence[Series]) -> Markup:
    return report.draw_figure("cost", f"Selection time against accuracy, {rate_name(report.shown_rate)} kept",
                              "; ".join(f"{one.name}: {seconds_name(one.xs[0])} s, {one.ys[0]:.2f} %"
                                        for one in points) + ".",
                              charts.scatter(points, "seconds to select (logarithmic)", "test accuracy, %"))


def _cost_table(report: SectionReport) -> Markup:
    columns = [("select, s", "seconds", "select"), ("train, s", "seconds", "train"), ("base, s", "seconds", "base"),
               ("extract, s", "seconds", "extract"), ("select, MB", "peak_mb", "select")]
    counts = [("updates", "updates"), ("samples seen", "presented")]
    rows = []
    for name, rate in [*((name, report.shown_rate) for name in report.methods_here), *_whole(report)]:
        cells = [report.section.values(name, rate, functools.partial(_measurement, what=what, step=step))
                 for _, what, step in columns]
        counted = [report.section.values(name, rate, functools.partial(_count, what=what)) for _, what in counts]
        rows.append([name, *(seconds_name(float(np.mean(cell))) if cell else MISSING for cell in cells),
                     *(f"{np.mean(cell):,.0f}" if cell else MISSING for cell in counted)])
    return table(f"Mean seconds and peak memory, {rate_name(report.shown_rate)} kept, and how much was trained. base "
                 "and extract: the network that was asked, and its answers. A ranking that serves several rates counts "
                 "in full at each", ["method", *(header for header, *_ in (*columns, *counts))], rows)


def _whole(report: SectionReport) -> list[tuple[str, float]]:
    """The row of training on all samples, if there is one."""
    return [(WHOLE, rate) for rate in report.section.rates if report.section.cell(WHOLE, rate)]


def _plain_spread(mean: float, deviation: float | None, digits: int) -> str:
    return seconds_name(mean) + ("" if deviation is None else f" ± {seconds_name(deviation)}")


def _count(run: Run, what: str) -> int | None:
    return getattr(run, what)


def _measurement(run: Run, what: str, step: str) -> float | None:
    return getattr(run, what).get(step)
