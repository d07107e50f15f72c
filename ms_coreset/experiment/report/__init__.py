"""The report of a study: one HTML page that needs nothing else, and its figures as PNG files."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.charts import Figure
from ms_coreset.experiment.report.page import page
from ms_coreset.experiment.report.section_report import SectionReport, shared_looks
from ms_coreset.experiment.report.sheets import Sheets
from ms_coreset.experiment.report.study import Study
from ms_coreset.experiment.report.tables import markdown as tables
from ms_coreset.files import atomic_write

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """path: of the page; sections, figures: how many it has."""

    path: Path
    sections: int
    figures: int


def write_report(study: str | os.PathLike, *, output: str | os.PathLike | None = None, data: str | os.PathLike = "data",
                 rate: float | None = None, accuracy: str = "last", sheets: Sequence[str] | None = None,
                 png: bool = False, markdown: str | os.PathLike | None = None, command: str = "report") -> Report:
    """Write the report of a study's folder: what the command ``report`` does, with its defaults.

    Args:
        study: the study's folder
        output: the page; None: report.html in the study's folder
        data: folder of the data sets, for the contact sheets
        rate: of the figures that show one rate; None: in each section the one with most finished runs
        accuracy: to report, of the "last" or of the "best" epoch
        sheets: methods to show images of; None: some of each section, see ``sheets.Sheets``
        png: also write every figure to the folder ``<output without suffix>-figures``
        markdown: also write the tables of accuracy, of bad samples kept and of difficulty to this file, see ``tables``
        command: what to say the page was made with

    Raises:
        MsCoresetError: when the folder is no study, or no section has a finished run at ``rate``.
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
    if png:
        _write_pngs(figures, path.with_name(f"{path.stem}-figures"))
    return Report(path, len(sections), len(figures))


def _write_pngs(figures: Iterable[Figure], folder: Path) -> None:
    for figure in figures:
        stem = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in figure.name)
        with atomic_write(folder / f"{stem}.png") as stream:
            stream.write(figure.canvas.png(figure.title))
