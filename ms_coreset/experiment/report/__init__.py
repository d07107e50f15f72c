"""The report of a study: one self-contained HTML page, and its figures as files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.page import page
from ms_coreset.experiment.report.section_report import SectionReport, shared_looks
from ms_coreset.experiment.report.sheets import Sheets
from ms_coreset.experiment.report.study import Study
from ms_coreset.experiment.report.tables import markdown as tables
from ms_coreset.files import atomic_write

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        path: file of the page.
        sections: number of sections.
        figures: number of figures.
    """

    path: Path
    sections: int
    figures: int


def write_report(study: str | os.PathLike, *, output: str | os.PathLike | None = None, data: str | os.PathLike = "data",
                 rate: float | None = None, accuracy: str = "last", sheets: Sequence[str] | None = None,
                 png: bool = False, pdf: bool = False, markdown: str | os.PathLike | None = None,
                 command: str = "report") -> Report:
    """Write the report of a study's folder: like the command ``report``, with its defaults.

    Args:
        study: the study's folder
        output: file of the page; None: report.html in the study's folder
        data: folder of the data sets, for the contact sheets
        rate: rate of the figures that show a single rate; None: in each section the rate with most finished runs
        accuracy: which test accuracy to report, of the "last" or of the "best" epoch
        sheets: methods to show images of; None: some of each section, see ``sheets.Sheets``
        png: whether every figure is also written to the folder ``<output without suffix>-figures``, below its title
        pdf: whether every figure is also written there for papers, without a title
        markdown: file for the tables of accuracy, of bad samples kept and of difficulty, see ``tables``; None: none
        command: the command that the page names as its origin

    Returns:
        A ``Report``.

    Raises:
        MsCoresetError: if the folder is no study, if no section has a finished run at ``rate``, and where matplotlib
            is not installed.
    """
    found, path = Study.read(study, accuracy), Path(output or Path(study) / "report.html")
    sections = found.sections()
    if rate is not None and all(section.detail_rate(rate) is None for section in sections):
        known = sorted({rate for section in sections for rate in section.compared_rates})
        raise MsCoresetError(f"rate {rate}: no method's finished run kept this share; there are "
                             + (", ".join(f"{rate:g}" for rate in known) or "none"))
    every_look, contact = shared_looks(sections), Sheets(data, sheets)
    reports = [SectionReport(found, section, number, every_look, rate, contact)
               for number, section in enumerate(sections, 1)]
    written = page(found, reports, command)
    with atomic_write(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(written)
    figures = [figure for report in reports for figure in report.figures]
    if markdown:
        with atomic_write(markdown, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(tables(sections, [report.difficulty for report in reports]))
    folder = path.with_name(f"{path.stem}-figures")
    for kind in [kind for kind, wanted in (("png", png), ("pdf", pdf)) if wanted]:
        for figure in figures:
            figure.save(folder, kind)
    return Report(path, len(sections), len(figures))
