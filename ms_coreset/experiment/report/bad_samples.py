"""The share of bad samples among the kept."""

from __future__ import annotations

import functools

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    details,
    percent,
    rate_name,
    table,
    tag,
    with_spread,
)
from ms_coreset.experiment.report.section_report import SectionReport, hints
from ms_coreset.experiment.report.statistics import (
    mean_and_deviation,
)
from ms_coreset.experiment.report.study import Run


def bad_samples(report: SectionReport) -> Markup | None:
    """The share of bad samples in the coresets, where a perturbation is known."""
    entries = report.ascending_rows(bad_share, " %")
    if not entries:
        return None
    available = [run.bad["available"] for run in report.section.done if run.bad]
    share = float(np.mean(available))
    figure = report.draw_figure("bad", f"Bad samples among the kept, {rate_name(report.shown_rate)} kept",
                                f"{percent(share)} % of the data is bad. {hints(entries)}",
                                charts.rows(entries, "share of the kept samples that is bad, %",
                                            [("in the data", 100 * share)], include=[0]))
    listed = report.table_by_rate(f"Share of bad samples among the kept in %, mean ± standard deviation; "
                                  f"{percent(share)} % of the data", bad_share)
    return tag("div", tag("h3", "Bad samples kept"), tag("div", figure, tag("div", listed, _bad_kinds(report)),
                                                         class_="pair"), class_="part")


def _bad_kinds(report: SectionReport) -> Markup | None:
    kinds = list(dict.fromkeys(kind for run in report.section.done if run.bad for kind in run.bad.get("kinds") or {}))
    if len(kinds) < 2:
        return None
    rows = []
    for name in report.methods_here:
        cells = [report.section.values(name, report.shown_rate, functools.partial(_share_of_kind, kind=kind))
                 for kind in kinds]
        rows.append([name, *(with_spread(*mean_and_deviation(cell)) if cell else MISSING for cell in cells)])
    return details("By kind", table(f"Share of each kind among the kept in %, {rate_name(report.shown_rate)} kept",
                                    ["method", *kinds], rows))


def bad_share(run: Run) -> float | None:
    return run.bad.get("kept") if run.bad else None


def _share_of_kind(run: Run, kind: str) -> float | None:
    shares = ((run.bad or {}).get("kinds") or {}).get(kind)
    return shares and shares.get("kept")
