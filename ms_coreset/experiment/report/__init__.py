"""The report of a study: one HTML page that needs nothing else, and its figures as PNG files."""

from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.page import page
from ms_coreset.experiment.report.sections import SectionReport, shared_looks
from ms_coreset.experiment.report.sheets import Sheets
from ms_coreset.experiment.report.study import Study
from ms_coreset.experiment.report.tables import markdown as tables
from ms_coreset.files import atomic_write

__all__ = ["write_report"]


def write_report(folder, output, data="data", which="last", rate=None, sheets=None, png=False, markdown=None,
                 command="report"):
    """Write the report of a study's folder to ``output``.

    data: folder of the data sets, for the contact sheets
    which: the accuracy to report, of the "last" or of the "best" epoch
    rate: of the figures that show one rate; None: in each section the one with most finished runs
    sheets: methods to show images of; None: some of each section, see ``sheets.Sheets``
    png: also write every figure to the folder ``<output without suffix>-figures``
    markdown: also write the tables of accuracy, of bad samples kept and of difficulty to this file, see ``tables``
    command: what to say the page was made with

    Returns ``(sections, figures)`` counts. Raises ``MsCoresetError`` when the folder is no study, or no section has a
    finished run at ``rate``.
    """
    study, output = Study.read(folder, which), Path(output)
    sections = study.sections()
    if rate is not None and all(section.detail_rate(rate) is None for section in sections):
        known = sorted({rate for section in sections for rate in section.compared_rates})
        raise MsCoresetError(f"rate {rate}: no method's finished run kept this share; there are "
                             + (", ".join(f"{rate:g}" for rate in known) or "none"))
    every_look, contact = shared_looks(sections), Sheets(data, sheets)
    reports = [SectionReport(study, section, number, every_look, rate, contact)
               for number, section in enumerate(sections, 1)]
    written = page(study, reports, command)
    with atomic_write(output, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(written)
    figures = [figure for report in reports for figure in report.figures]
    if markdown:
        with atomic_write(markdown, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(tables(sections, [report.difficulty for report in reports]))
    if png:
        _write_pngs(figures, output.with_name(f"{output.stem}-figures"))
    return len(sections), len(figures)


def _write_pngs(figures, folder):
    for figure in figures:
        stem = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in figure.name)
        with atomic_write(folder / f"{stem}.png") as stream:
            stream.write(figure.canvas.png(figure.title))
