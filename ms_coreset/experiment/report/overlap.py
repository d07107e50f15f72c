"""How many samples the methods' coresets share."""

from __future__ import annotations

import numpy as np

from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    count,
    details,
    rate_name,
    table,
    tag,
)
from ms_coreset.experiment.report.section_report import SectionReport
from ms_coreset.experiment.report.statistics import (
    chance_overlap,
    mean_overlap,
)


def overlap(report: SectionReport) -> Markup:
    """How many samples the methods' coresets share."""
    names = list(report.coresets)
    if not names:
        return _nothing_read(report, "Overlap")
    kept = {name: {seed: np.sort(coreset.indices) for seed, coreset in report.coresets[name].items()}
            for name in names}
    matrix = np.full((len(names), len(names)), np.nan)
    for i, one in enumerate(names):
        for j in range(i + 1):
            value = mean_overlap(kept[one], kept[names[j]])
            matrix[i, j] = matrix[j, i] = np.nan if value is None else value
    chance = (f"two random coresets share about {chance_overlap(report.shown_rate):.3f}" if report.shown_rate < 1
              else "all samples are kept")
    figure = report.draw_figure("overlap", f"Overlap of the coresets (Jaccard), {rate_name(report.shown_rate)} kept",
                                f"Mean over seeds; {chance}. The table has the numbers.",
                                charts.heatmap(names, matrix, "samples in both ÷ samples in either"))
    rows = [[f"{i + 1}  {name}", *(f"{value:.3f}" if np.isfinite(value) else MISSING for value in matrix[i])]
            for i, name in enumerate(names)]
    listed = table("Jaccard overlap: samples in both coresets over samples in either; mean over the seeds, on the "
                   "diagonal over pairs of seeds of one method", ["method", *range(1, len(names) + 1)], rows)
    said = tag("p", f"Of coresets with the same seed; {chance}. The diagonal compares one method's seeds: 1 means "
               "that the seed does not matter.")
    return tag("div", tag("h3", "Overlap"), tag("div", figure, tag("div", said, details("The numbers", listed)),
                                                class_="pair"), _unread_note(report), class_="part")


def _nothing_read(report: SectionReport, heading: str) -> Markup:
    return tag("div", tag("h3", heading), tag("p", "No coreset file could be read.", class_="note"),
               _unread_note(report), class_="part")


def _unread_note(report: SectionReport) -> Markup | None:
    if not report.unread:
        return None
    return tag("div", tag("p", f"{count(len(report.unread), 'coreset file')} could not be read:", class_="note"),
               tag("ul", *(tag("li", line) for line in report.unread)))
