"""A study's accuracy, updates and seconds, share of bad samples and difficulty as Markdown tables, for a README."""

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ms_coreset.experiment.report.difficulty import AGREEMENT, Difficulty
from ms_coreset.experiment.report.markup import MISSING, percent, rate_name, with_spread
from ms_coreset.experiment.report.page import titles
from ms_coreset.experiment.report.statistics import mean_and_deviation
from ms_coreset.experiment.report.study import WHOLE, Run, Section
from ms_coreset.terminal import one_line

Column = tuple[str, Section, float]  # its head, and the section and the rate that it is of


def markdown(sections: Sequence[Section], difficulties: Sequence[Difficulty | None]) -> str:
    """Tables of a study's sections as Markdown: test accuracy, bad samples kept, and difficulty of the samples kept.

    Where samplers are compared, updates and seconds follow on accuracy.
    Accuracy and bad samples are in %, mean ± sample standard deviation over the seeds. A row is a method. For one
    section a column is a rate; for several sections there is a table for every rate, and a column is a section.

    Args:
        sections: of the study
        difficulties: of each section, None for a section without

    Returns:
        The Markdown.
    """
    rates = sorted({rate for section in sections for rate in section.compared_rates})
    names = _short_titles(sections)
    if len(sections) == 1:
        (section,) = sections
        columns = {"": [(rate_name(rate), section, rate) for rate in rates]}
    else:
        columns = {f", {rate_name(rate)} kept": [(name, section, rate) for name, section in
                                                 zip(names, sections, strict=True)] for rate in rates}
    judged = {section: found for section, found in zip(sections, difficulties, strict=True) if found}
    parts = []
    for kept, cells in columns.items():
        parts.append(_table(f"Test accuracy, %{kept}", cells, _accuracy, [*_base_row(cells), *_whole_row(cells)]))
        sampled = [cell for cell in cells if any(run.sampler for run in cell[1].done)]
        if sampled:
            parts.append(_table(f"Updates, and seconds to choose and to train{kept}", sampled, _effort,
                                _whole_effort(sampled)))
        bad = [cell for cell in cells if any(run.bad for run in cell[1].done)]
        if bad:
            parts.append(_table(f"Bad samples in the coreset, %{kept}", bad, _bad_share, [_bad_row(bad)]))
        ranked = [cell for cell in cells if cell[1] in judged]
        if ranked:
            parts.append(_difficulty_table(kept, ranked, judged))
    return "\n\n".join(parts) + "\n"


def _short_titles(sections: Sequence[Section]) -> list[str]:
    """What a section is called where the data alone tells them apart, else all that does."""
    names = [section.first.shown_name for section in sections]
    return names if len(set(names)) == len(names) else titles(sections)


def _table(caption: str, columns: Sequence[Column], value: Callable[[Section, str, float], str],
           further: Iterable[list[str]]) -> str:
    methods = dict.fromkeys(method for _, section, _ in columns for method in section.compared)
    rows = [[method, *(value(section, method, rate) for _, section, rate in columns)] for method in methods]
    head = ["method", *(name for name, _, _ in columns)]
    return f"{_escape(caption)}:\n\n{pipe_table(head, [*rows, *further])}"


def pipe_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of texts."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


def _escape(text: str) -> str:
    """A text that neither HTML nor Markdown's own signs break out of: one line, of printable characters."""
    return re.sub(r"[\\`*\[\]|~]", r"\\\g<0>", html.escape(one_line(text), quote=False))


def _spread(values: Sequence[float], digits: int = 1) -> str:
    return with_spread(*mean_and_deviation(values), digits) if values else MISSING


def _accuracy(section: Section, method: str, rate: float) -> str:
    return _spread(list(section.accuracies(method, rate).values()))


def _effort(section: Section, method: str, rate: float) -> str:
    """Mean updates, and mean seconds of all steps as far as they were measured."""
    updates = section.values(method, rate, lambda run: run.updates)
    seconds = section.values(method, rate, _all_seconds)
    counted = f"{np.mean(updates):,.0f}" if updates else MISSING
    return f"{counted}; {np.mean(seconds):,.1f} s" if seconds else counted


def _all_seconds(run: Run) -> float | None:
    found = [value for value in run.seconds.values() if value is not None]
    return sum(found) if found else None


def _whole_effort(columns: Sequence[Column]) -> list[list[str]]:
    found = [next((_effort(section, WHOLE, rate) for rate in section.rates if section.cell(WHOLE, rate)), MISSING)
             for _, section, _ in columns]
    return [["trained on all", *found]] if any(cell != MISSING for cell in found) else []


def _bad_share(section: Section, method: str, rate: float) -> str:
    return _spread([run.bad["kept"] for run in section.cell(method, rate).values() if run.bad])


def _difficulty_table(kept: str, columns: Sequence[Column], judged: Mapping[Section, Difficulty]) -> str:
    def place(section: Section, method: str, rate: float) -> str:
        return _spread(section.values(method, rate, judged[section].of))

    judges = ", ".join(dict.fromkeys(judged[section].judge for _, section, _ in columns))
    agreement = [AGREEMENT, *(judged[section].agreement_cell(section, rate) for _, section, rate in columns)]
    return _table(f"Difficulty of the coreset, mean place from the easiest sample, 0, to the hardest, 100, by {judges}"
                  f"{kept}", columns, place, [agreement])


def _whole_row(columns: Sequence[Column]) -> list[list[str]]:
    found = [list(section.whole_accuracies().values()) for _, section, _ in columns]
    return [["trained on all", *map(_spread, found)]] if any(found) else []


def _base_row(columns: Sequence[Column]) -> list[list[str]]:
    """The networks that chose, where any did, on the same test split."""
    found = [list({run.seed: run.base_accuracy for run in section.done
                   if run.base_accuracy is not None and run.method != WHOLE}.values()) for _, section, _ in columns]
    return [["base network", *map(_spread, found)]] if any(found) else []


def _bad_row(columns: Sequence[Column]) -> list[str]:
    return ["in the data", *(percent(next(run.bad["available"] for run in section.done if run.bad), 1)
                             for _, section, _ in columns)]
