"""How much of a set function's value the first picks have: where gains get small, a ranking can be cut."""

from __future__ import annotations

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import Markup, details, rate_name, table, tag
from ms_coreset.experiment.report.section_report import SectionReport

STEPS = np.arange(10, 101, 10)  # % of the picks


def gain_curves(report: SectionReport) -> Markup | None:
    """The share of the value that the first picks have, of methods with gains; None where there are none."""
    curves = {name: (seed, curve) for name, (seed, coreset) in report.first_coresets().items()
              if (curve := curve_of(coreset)) is not None}
    if not curves:
        return None
    series = [Series(name, report.look(name), STEPS.tolist(), curve.tolist(), [None] * len(STEPS))
              for name, (_, curve) in curves.items()]
    title = f"Value of the first picks, {rate_name(report.shown_rate)} kept"
    chart = charts.lines(series, "picks, % of all that are kept", "their value, % of that of all")
    drawn = report.draw_figure("gains", title, "; ".join(
        f"{one.name}: half of the picks have {one.ys[4]:.1f} %" for one in series) + ".", chart)
    rows = [[name, seed, *(f"{share:.1f}" for share in curve)] for name, (seed, curve) in curves.items()]
    listed = table("Value of the first picks of the first seed, in % of that of all: those of highest gain first",
                   ["method", "seed", *(f"{step} %" for step in STEPS)], rows)
    return tag("div", tag("h3", "What picks add"), tag("div", drawn, details("The numbers", listed), class_="pair"),
               class_="part")


def curve_of(coreset: Coreset) -> np.ndarray | None:
    """The value of the picks of highest gain, in % of that of all, at ``STEPS``; None where no value is left of all."""
    if coreset.gains is None or coreset.gains.sum() <= 0:
        return None
    sums = np.cumsum(np.sort(coreset.gains)[::-1])
    counts = np.maximum(1, np.round(STEPS / 100 * len(sums)).astype(int))
    return 100 * sums[counts - 1] / sums[-1]
