"""Where the kept samples lie among all, on the principal components of the features that were looked at."""

from __future__ import annotations

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.data_map import SAMPLES, DataMap
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.markup import Markup, percent, rate_name, tag
from ms_coreset.experiment.report.section_report import SectionReport

_SHOWN = 4  # maps of a section


def maps(report: SectionReport) -> Markup | None:
    """A map for each of the leading methods whose study kept one: which samples were kept, and which are bad."""
    first = report.first_coresets()
    drawn, notes = [], []
    for name in sorted(first, key=lambda name: name not in report.leaders)[:_SHOWN]:
        seed, coreset = first[name]
        try:
            found = report.study.data_map(coreset)
        except MsCoresetError as error:
            notes.append(tag("p", f"{name}: {error}", class_="note"))
            continue
        if found is not None:
            drawn.append(_figure(report, name, seed, coreset, found))
    if not drawn and not notes:
        return None
    said = tag("p", "Principal components of the features that the methods looked at, of the first seed, "
               f"{rate_name(report.shown_rate)} kept; of more than {SAMPLES} samples, {SAMPLES} that were drawn. Bad "
               "samples, where they are known, are within a red ring.")
    return tag("div", tag("h3", "Map of the data"), said, tag("div", *drawn, class_="grid"), *notes, class_="part")


def _figure(report: SectionReport, name: str, seed: int, coreset: Coreset, found: DataMap) -> Markup:
    kept = coreset.keep_mask[found.rows]
    labels = [f"principal component {i}, {percent(share, 1)} % of the variance"
              for i, share in enumerate(found.shares, 1)]
    return report.draw_figure(f"map-{name}", name, f"{_in_words(kept, found.bad)}; seed {seed}.", charts.scatter_map(
        found.places, kept, found.bad, (labels[0], labels[1])))


def _in_words(kept: np.ndarray, bad: np.ndarray | None) -> str:
    said = f"{kept.sum()} of {len(kept)} samples shown are kept"
    return said if bad is None else f"{said}; {(bad & kept).sum()} of {bad.sum()} bad ones"
