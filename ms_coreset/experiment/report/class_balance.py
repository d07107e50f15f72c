"""How evenly the kept samples fall on the classes."""

from __future__ import annotations

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Row
from ms_coreset.experiment.report.markup import (
    Markup,
    rate_name,
    table,
    tag,
)
from ms_coreset.experiment.report.section_report import SectionReport, hints


def class_balance(report: SectionReport) -> Markup | None:
    """How evenly the kept samples fall on the classes."""
    counts = {name: np.mean(kept, axis=0) for name in report.methods_here
              if (kept := _same_length(report.section.values(name, report.shown_rate, lambda run: run.per_class)))}
    if not counts:
        return None
    entries, rows = [], []
    for name, kept in counts.items():
        even = kept.mean() or 1.0
        low, middle, high = kept.min(), np.median(kept), kept.max()
        hint = f"{name}: {low:g} to {high:g} of a class, {even:g} would be even"
        entries.append(Row(name, report.look(name), None, low / even, high / even, list(kept / even), hint))
        rows.append([name, f"{low:.1f}", f"{middle:.1f}", f"{high:.1f}", f"{even:.1f}",
                     f"{(kept == 0).sum()} of {len(kept)}"])
    figure = report.draw_figure("classes", f"Class balance, {rate_name(report.shown_rate)} kept",
                                hints(entries),
                                charts.rows(entries, "samples kept of a class ÷ mean of the classes", [("even", 1)]))
    listed = table(f"Samples kept of a class, means over seeds, {rate_name(report.shown_rate)} kept",
                   ["method", "fewest", "median", "most", "even share", "classes left out"], rows)
    return tag("div", tag("h3", "Class balance"), tag("div", figure, listed, class_="pair"), class_="part")


def _same_length(lists: list[list]) -> list[list]:
    """``lists`` as they are, or none of them where they differ in length."""
    return lists if len({len(one) for one in lists}) == 1 else []
