"""The parts of one section, in the order of the page."""

from __future__ import annotations

from ms_coreset.experiment.report.accuracy import accuracy, whole_line
from ms_coreset.experiment.report.bad_samples import bad_samples
from ms_coreset.experiment.report.class_balance import class_balance
from ms_coreset.experiment.report.cost import cost
from ms_coreset.experiment.report.difference import difference
from ms_coreset.experiment.report.gain_curves import gain_curves
from ms_coreset.experiment.report.hardness import hardness
from ms_coreset.experiment.report.learning_curves import learning_curves
from ms_coreset.experiment.report.maps import maps
from ms_coreset.experiment.report.markup import (
    Markup,
    join,
    tag,
)
from ms_coreset.experiment.report.overlap import overlap
from ms_coreset.experiment.report.score_distribution import score_distribution
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.time_saved import time_saved
from ms_coreset.experiment.report.unfinished import unfinished
from ms_coreset.experiment.report.windows import windows


def parts(report: SectionReport) -> Markup:
    """Markup of all parts that there is something to say in."""
    if not report.section.compared:
        return join(whole_line(report), unfinished(report))
    shown: list[Markup | None] = [accuracy(report)]
    if report.rate is not None:
        shown += [difference(report), learning_curves(report), cost(report), time_saved(report), bad_samples(report),
                  class_balance(report), hardness(report), overlap(report), maps(report), score_distribution(report),
                  gain_curves(report), windows(report), report.sheets and report.sheets(report)]
    else:
        shown.append(tag("p", "No finished run at the rate that was asked for: the parts that show one rate are "
                         "left out.", class_="note"))
    vars(report).pop("coresets", None)
    return join(*shown, unfinished(report))
