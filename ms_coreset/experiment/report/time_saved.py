"""What choosing saves: the time of some trainings on a coreset, choosing included, against those on all samples."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.charts import Series
from ms_coreset.experiment.report.markup import MISSING, Markup, rate_name, seconds_name, table, tag
from ms_coreset.experiment.report.palette import WHOLE_LOOK
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.study import WHOLE, Run

_TRAININGS = (1, 2, 5, 10, 20, 50, 100)
_TABLED = 10  # trainings whose saving the table tells


@dataclass(frozen=True)
class Saving:
    """Mean seconds of choosing once, of a training on the coreset, and of one on all samples."""

    choose: float
    train: float
    whole: float

    def share(self, trainings: int) -> float:
        """The time of so many trainings, choosing included, as a share of that on all samples."""
        return (self.choose + trainings * self.train) / (trainings * self.whole)

    @property
    def pays_from(self) -> int | None:
        """The least number of trainings that take less time than those on all samples; None where none does."""
        if self.train >= self.whole:
            return None
        return math.floor(self.choose / (self.whole - self.train)) + 1


def time_saved(report: SectionReport) -> Markup | None:
    """A forecast from the measured seconds, where training on all samples was measured, too; else None."""
    whole = [seconds for rate in report.section.rates for seconds in report.section.values(WHOLE, rate, _train)]
    found = {name: saving for name in report.methods_here if (saving := _saving(report, name, whole))}
    if not found:
        return None
    series = [Series(name, report.look(name), list(_TRAININGS), [100 * one.share(m) for m in _TRAININGS],
                     [None] * len(_TRAININGS), report.front(name)) for name, one in found.items()]
    drawn = report.draw_figure(
        "time", f"Time of several trainings, choosing included, {rate_name(report.shown_rate)} kept",
        "; ".join(f"{name}: {100 * one.share(_TABLED):.0f} % of the time on all samples for {_TABLED} trainings"
                  for name, one in found.items()) + ".",
        charts.lines(series, "trainings on one coreset (logarithmic)", "time, % of that on all samples",
                     [("all samples", WHOLE_LOOK, 100)], log=True))
    rows = [[name, seconds_name(one.choose), seconds_name(one.train), seconds_name(one.whole),
             f"{100 * one.share(1):.0f}", f"{100 * one.share(_TABLED):.0f}",
             MISSING if one.pays_from is None else f"{one.pays_from:,}"] for name, one in found.items()]
    listed = table("Forecast from mean seconds: of choosing once (base network, its answers, selection), of a training "
                   "on the coreset and on all samples; the time of 1 and of "
                   f"{_TABLED} trainings, choosing included, in % of that on all samples; from how many trainings on "
                   "it is less", ["method", "choose, s", "train, s", "on all, s", "1, %", f"{_TABLED}, %",
                                  "pays from"], rows)
    return tag("div", tag("h3", "Time saved"), tag("div", drawn, listed, class_="pair"), class_="part")


def _saving(report: SectionReport, method: str, whole: list[float]) -> Saving | None:
    trained = report.section.values(method, report.shown_rate, _train)
    if not whole or not trained or np.mean(whole) <= 0:
        return None
    steps = (report.section.values(method, report.shown_rate, functools.partial(_seconds, step=step))
             for step in ("base", "extract", "select"))
    return Saving(sum(float(np.mean(step)) for step in steps if step), float(np.mean(trained)), float(np.mean(whole)))


def _train(run: Run) -> float | None:
    return run.seconds.get("train")


def _seconds(run: Run, step: str) -> float | None:
    return run.seconds.get(step)
