"""What each method gains over random, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Row
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    join,
    rate_name,
    table,
    tag,
    with_sign,
)
from ms_coreset.experiment.report.section_report import SectionReport, hints
from ms_coreset.experiment.report.statistics import (
    CONFIDENCE,
    Difference,
    paired_difference,
)
from ms_coreset.experiment.report.study import BASELINE


def _difference(report: SectionReport, method: str, rate: float) -> Difference | None:
    return paired_difference(report.section.accuracies(method, rate), report.section.accuracies(BASELINE, rate))


def difference(report: SectionReport) -> Markup | None:
    """What each method gains over random, paired by seed."""
    heading = tag("h3", "Difference to random")
    others = [name for name in report.section.compared if name != BASELINE]
    if not others:
        return None
    if len(others) == len(report.section.compared):
        return tag("div", heading, tag("p", "This section has no finished run of random, so there is nothing to "
                                       "compare with.", class_="note"), class_="part")
    found = {name: gain for name in others if (gain := _difference(report, name, report.shown_rate))}
    rates = report.section.compared_rates
    rows = [[name, *(_difference_cell(report, name, rate) for rate in rates)] for name in others]
    explained = (f"Accuracy less that of random with the same seed, in percentage points: mean, {CONFIDENCE:.0%} "
                 "confidence interval (Student's t, from two pairs on), pairs of seeds. ▲ or ▼: the interval is "
                 "above or below 0. Intervals are not corrected for their number.")
    listed = table(explained, ["method", *map(rate_name, rates)], rows)
    return tag("div", heading, tag("div", _difference_figure(report, found) if found else None, listed,
                                   class_="pair"), class_="part")


def _difference_figure(report: SectionReport, found: Mapping[str, Difference]) -> Markup:
    entries = []
    for name, gain in sorted(found.items(), key=lambda item: -item[1].mean):
        low, high = (None if end is None else 100 * end for end in (gain.low, gain.high))
        entries.append(Row(name, report.look(name), 100 * gain.mean, low, high, hint=f"{name}: {_gain_text(gain)}"))
    return report.draw_figure("difference", f"Difference to random, {rate_name(report.shown_rate)} kept",
                              hints(entries),
                              charts.rows(entries, "percentage points of accuracy", [("random", 0)]))


def _difference_cell(report: SectionReport, method: str, rate: float) -> str:
    gain = _difference(report, method, rate)
    if gain is None:
        return MISSING
    mark = {1: " ▲", -1: " ▼", 0: ""}[gain.decided]
    said = f"n={gain.pairs}, no interval" if gain.low is None else f"n={gain.pairs}"
    interval = None if gain.low is None else tag("span", _interval(gain), class_="interval")
    return join(tag("span", with_sign(100 * gain.mean) + mark, class_="number"), tag("small", said), interval,
                between=" ")


def _interval(gain: Difference) -> str:
    assert gain.low is not None  # whoever calls has looked
    assert gain.high is not None
    return f"[{with_sign(100 * gain.low)}, {with_sign(100 * gain.high)}]"


def _gain_text(gain: Difference) -> str:
    interval = "one pair, no interval" if gain.low is None else f"{_interval(gain)}, {gain.pairs} pairs"
    return f"{with_sign(100 * gain.mean)} points, {interval}"
