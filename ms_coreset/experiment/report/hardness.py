"""How hard the kept samples are."""

from __future__ import annotations

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.difficulty import AGREEMENT
from ms_coreset.experiment.report.markup import (
    MINUS,
    Markup,
    rate_name,
    tag,
)
from ms_coreset.experiment.report.section_report import SectionReport, hints


def hardness(report: SectionReport) -> Markup | None:
    """How hard the kept samples are, and whether the methods' order follows that."""
    found = report.difficulty
    entries = report.ascending_rows(found.of) if found else []
    if found is None or not entries:
        return None
    figure = report.draw_figure("difficulty", f"Difficulty of the kept samples, {rate_name(report.shown_rate)} kept",
                                hints(entries), charts.rows(entries, "mean place: 0 the easiest, 100 the hardest",
                                                            [("all samples", 50)]))
    listed = report.table_by_rate(
        f"Mean place of the kept samples in the order of {found.judge}'s scores (same seed), from the easiest, 0, "
        "to the hardest, 100, ± standard deviation; all samples have 50. tau-b: Kendall's, of the methods' "
        f"places and accuracies: 1 where harder is always better, {MINUS}1 where easier is", found.of, 1,
        further=[[AGREEMENT, *(found.agreement_cell(report.section, rate) for rate in report.section.compared_rates)]])
    return tag("div", tag("h3", "Difficulty of the kept samples"), tag("div", figure, listed, class_="pair"),
               class_="part")
