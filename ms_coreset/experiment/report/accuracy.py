"""Accuracy against the rate: figure, table, and the whole data's for comparison."""

from __future__ import annotations

from collections.abc import Mapping

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    join,
    rate_name,
    table,
    tag,
    with_spread,
)
from ms_coreset.experiment.report.palette import WHOLE_LOOK
from ms_coreset.experiment.report.section_report import LEADERS, SectionReport, hints, mean_accuracy, mean_of_row
from ms_coreset.experiment.report.statistics import (
    mean_and_deviation,
    places,
)

_PLACES = {1: "1st", 2: "2nd"}


def accuracy(report: SectionReport) -> Markup:
    """Accuracy against rate: figure, table, and the whole data's for comparison."""
    section = report.section
    draw = _accuracy_lines if len(section.compared_rates) > 1 else _accuracy_rows
    figure = draw(report, section.whole_accuracies())
    numbers = tag("div", _accuracy_table(report), whole_line(report))
    return tag("div", tag("h3", "Accuracy"), tag("div", figure, numbers, class_="pair"), class_="part")


def whole_line(report: SectionReport) -> Markup | None:
    values = list(report.section.whole_accuracies().values())
    if not values:
        return None
    return tag("p", f"Trained on all samples: {with_spread(*mean_and_deviation(values))} % (n = {len(values)}).")


def _accuracy_lines(report: SectionReport, whole: Mapping[int, float]) -> Markup:
    section, rates = report.section, report.section.compared_rates
    series = []
    for name in section.compared:
        here = [rate for rate in rates if section.cell(name, rate)]
        cells = [mean_and_deviation(list(section.accuracies(name, rate).values())) for rate in here]
        means = [100 * mean for mean, _ in cells]
        spreads = [100 * spread if spread else None for _, spread in cells]
        series.append(Series(name, report.look(name), [100 * rate for rate in here], means, spreads,
                             report.front(name)))
    references = [("all samples", WHOLE_LOOK, 100 * mean_and_deviation(list(whole.values()))[0])] if whole else []
    log = rates[-1] / rates[0] >= 10
    canvas = charts.lines(series, f"share of the data that is kept, %{' (logarithmic)' if log else ''}",
                          "test accuracy, %", references, log)
    described = "; ".join(f"{one.name} " + ", ".join(f"{y:.2f} % at {x:g} %" for x, y in
                                                     zip(one.xs, one.ys, strict=True))
                          for one in series if one.front)
    standing_out = "" if all(one.front for one in series) else f"; the best {LEADERS} by mean rank in colour"
    return report.draw_figure("accuracy", f"Test accuracy against the share kept{standing_out}",
                              f"Mean over seeds, whiskers one standard deviation. {described}.", canvas)


def _accuracy_rows(report: SectionReport, whole: Mapping[int, float]) -> Markup:
    rate = report.section.compared_rates[0]
    entries = [report.spread_row(name, list(report.section.accuracies(name, rate).values()), " %")
               for name in report.section.compared]
    entries.sort(key=mean_of_row, reverse=True)
    references = [("all samples", 100 * mean_and_deviation(list(whole.values()))[0])] if whole else []
    return report.draw_figure("accuracy", f"Test accuracy, {rate_name(rate)} kept",
                              f"Mean over seeds, whiskers one standard deviation, dots single seeds. {hints(entries)}",
                              charts.rows(entries, "test accuracy, %", references))


def _accuracy_table(report: SectionReport) -> Markup:
    section = report.section
    rates, columns = section.compared_rates, []
    for rate in rates:
        columns.append(places({name: mean_accuracy(section, name, rate) for name in section.compared
                               if section.cell(name, rate)}))
    rows = [[name, *(_accuracy_cell(report, name, rate, column.get(name))
                     for rate, column in zip(rates, columns, strict=True))] for name in section.compared]
    epoch = {"last": "the last epoch", "best": "the best epoch"}[section.which]
    return table(f"Test accuracy in % after {epoch}, mean ± sample standard deviation; n: seeds; 1st, 2nd: the "
                 "best and second best mean of a column", ["method", *map(rate_name, rates)], rows)


def _accuracy_cell(report: SectionReport, method: str, rate: float, place: int | None) -> Markup:
    values = list(report.section.accuracies(method, rate).values())
    failed = sum(run.rate == rate and report.section.name_of(run) == method for run in report.section.failed)
    missing = sum((method, rate) == (name, share) for name, share, _ in report.section.missing)
    lacking = ", ".join(f"{number} {what}" for number, what in ((failed, "failed"), (missing, "missing")) if number)
    if not values:
        return join(MISSING, tag("small", lacking) if lacking else None)
    badge = tag("span", _PLACES[place], class_=f"place place{place}") if place else None
    number = tag("span", with_spread(*mean_and_deviation(values)), class_="number")
    seeds = tag("small", f"n={len(values)} ", tag("span", lacking, class_="lacking") if lacking else None)
    return join(badge, number, seeds, between=" ")
