"""How the networks learned from the coresets: test accuracy against the updates made."""

from __future__ import annotations

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import Markup, rate_name, table, tag
from ms_coreset.experiment.report.palette import WHOLE_LOOK
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.study import WHOLE

Curve = tuple[list[int], list[float]]  # updates, and the test accuracies after them
_REACHED = 0.95  # the share of its last accuracy that tells how soon a network had learned


def learning_curves(report: SectionReport) -> Markup | None:
    """Test accuracy while the networks trained, at the detail rate and on all samples; None where no run tells it."""
    found = {name: curve for name in report.methods_here if (curve := _curve(report, name, report.shown_rate))}
    if not found:
        return None
    whole = next((curve for rate in report.section.rates if (curve := _curve(report, WHOLE, rate))), None)
    series = [Series(name, report.look(name), updates, [100 * share for share in shares], [None] * len(updates),
                     report.front(name)) for name, (updates, shares) in found.items()]
    if whole:
        series.append(Series("all samples", WHOLE_LOOK, whole[0], [100 * share for share in whole[1]],
                             [None] * len(whole[0])))
    drawn = report.draw_figure("learning", f"Test accuracy while training, {rate_name(report.shown_rate)} kept",
                               "Mean over seeds. " + "; ".join(map(_in_words, series)) + ".",
                               charts.lines(series, "updates (logarithmic)", "test accuracy, %", log=True))
    rows = [[one.name, f"{one.xs[-1]:,}", f"{one.ys[-1]:.2f}", f"{_soon(one):,}", f"{max(one.ys):.2f}"]
            for one in series]
    listed = table(f"Mean learning curves over the seeds, {rate_name(report.shown_rate)} kept: updates, test accuracy "
                   f"in % after the last, updates after which {_REACHED:.0%} of that was reached, and the highest",
                   ["method", "updates", "last", f"{_REACHED:.0%} after", "highest"], rows)
    return tag("div", tag("h3", "Learning curves"), tag("div", drawn, listed, class_="pair"), class_="part")


def _curve(report: SectionReport, method: str, rate: float) -> Curve | None:
    """The mean curve of the runs that were tested after the same updates as the first."""
    told = report.section.values(method, rate, lambda run: run.learning)
    if not told:
        return None
    alike = [one["accuracy"] for one in told if one["updates"] == told[0]["updates"]]
    return told[0]["updates"], np.mean(alike, axis=0).tolist()


def _soon(series: Series) -> int:
    """The first of the updates after which the accuracy is near its last."""
    return next(x for x, y in zip(series.xs, series.ys, strict=True) if y >= _REACHED * series.ys[-1])


def _in_words(series: Series) -> str:
    return f"{series.name}: {series.ys[-1]:.2f} % after {series.xs[-1]:,} updates"
