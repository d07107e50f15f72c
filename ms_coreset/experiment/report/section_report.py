"""What the parts of a section share: whose coresets there are, how a method is drawn, figures and tables by rate."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.charts import Row
from ms_coreset.experiment.report.difficulty import Difficulty, difficulty
from ms_coreset.experiment.report.drawing import Figure
from ms_coreset.experiment.report.markup import (
    MISSING,
    Markup,
    rate_name,
    table,
    tag,
    with_spread,
)
from ms_coreset.experiment.report.palette import BASELINE_LOOK, GRAY_LOOK, Look, looks
from ms_coreset.experiment.report.statistics import (
    mean_and_deviation,
)
from ms_coreset.experiment.report.study import BASELINE, Run, Section, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Value = Callable[[Run], float | None]  # of a run
LEADERS = 5  # methods that stand out where there are more than ``DISTINCT``
DISTINCT = 8


def leaders(section: Section) -> list[str]:
    """Methods that are drawn in colour: all where they are few, else the best by mean rank over the rates."""
    methods = [name for name in section.compared if name != BASELINE]
    if len(methods) < DISTINCT:
        return methods
    ranks: dict[str, list[int]] = {name: [] for name in methods}
    for rate in section.compared_rates:
        means = {name: mean_accuracy(section, name, rate) for name in methods if section.cell(name, rate)}
        for rank, name in enumerate(sorted(means, key=means.__getitem__, reverse=True)):
            ranks[name].append(rank)
    return sorted(methods, key=lambda name: np.mean(ranks[name]))[:LEADERS]


def shared_looks(sections: Sequence[Section]) -> dict[str, Look]:
    """A look for each method that holds throughout the page; those that lead most often get the first colours."""
    leading = Counter(name for section in sections for name in leaders(section))
    every = dict.fromkeys(name for section in sections for name in section.compared if name != BASELINE)
    return looks(sorted(every, key=lambda name: -leading[name]))


def mean_accuracy(section: Section, method: str, rate: float) -> float:
    return mean_and_deviation(list(section.accuracies(method, rate).values()))[0]


class SectionReport:
    """The parts of one section.

    figures: all that were drawn, after ``parts()`` was called

    Args:
        number: of the section, in names of figures
        rate: of the figures that show one rate, or None for the section's own choice
        sheets: ``(section report) -> markup`` of the contact sheets
    """

    def __init__(self, study: Study, section: Section, number: int, all_looks: Mapping[str, Look],
                 rate: float | None = None, sheets: Callable[[SectionReport], Markup | None] | None = None) -> None:
        self.study, self.section, self.number = study, section, number
        self.rate = section.detail_rate(rate)
        self.leaders = leaders(section)
        self.all_looks, self.sheets = all_looks, sheets
        self.figures: list[Figure] = []
        self.unread: list[str] = []  # a line for each coreset file that could not be read; ``coresets`` fills it

    @property
    def shown_rate(self) -> float:
        """The rate of the parts that show one, which are left out where there is none."""
        assert self.rate is not None
        return self.rate

    def look(self, method: str) -> Look:
        """How a method is drawn."""
        if method == BASELINE:
            return BASELINE_LOOK
        return self.all_looks[method] if method in self.leaders else GRAY_LOOK

    def front(self, method: str) -> bool:
        """Whether a method is drawn in a look of its own."""
        return method == BASELINE or method in self.leaders

    @functools.cached_property
    def methods_here(self) -> list[str]:
        """Methods with a finished run at the detail rate."""
        return [name for name in self.section.compared if self.section.cell(name, self.shown_rate)]

    @functools.cached_property
    def coresets(self) -> dict[str, dict[int, Coreset]]:
        """{method: {seed: Coreset}} at the detail rate, of the files that could be read; scores of the first only."""
        return {name: found for name in self.methods_here if (found := self._read(name))}

    def first_coresets(self) -> dict[str, tuple[int, Coreset]]:
        """{method: (seed, Coreset)} of the first seed that could be read."""
        return {name: next(iter(seeds.items())) for name, seeds in self.coresets.items()}

    def _read(self, method: str) -> dict[int, Coreset]:
        found: dict[int, Coreset] = {}
        for seed, run in self.section.cell(method, self.shown_rate).items():
            if run.sampler:  # it has no coreset
                continue
            try:
                coreset = self.study.coreset(run)
                # Only the first seed's scores are shown, and those of all may be more than memory holds.
                found[seed] = replace(coreset, scores=None) if found else coreset
            except MsCoresetError as error:
                self.unread.append(str(error))
        return found

    def draw_figure(self, name: str, title: str, description: str, drawing: Drawing) -> Markup:
        figure = Figure(f"{self.number}-{name}", title, description, drawing)
        self.figures.append(figure)
        return tag("figure", tag("figcaption", title), figure.svg())

    def spread_row(self, name: str, shares: Sequence[float], unit: str = "") -> Row:
        """A method's mean share in per cent, with one standard deviation to each side."""
        mean, spread = mean_and_deviation(shares)
        low, high = (None, None) if spread is None else (100 * (mean - spread), 100 * (mean + spread))
        return Row(name, self.look(name), 100 * mean, low, high, [100 * share for share in shares],
                   f"{name}: {with_spread(mean, spread)}{unit}")

    def ascending_rows(self, value: Value, unit: str = "") -> list[Row]:
        """Rows of a share of the runs at the detail rate, the least first."""
        found = {name: self.section.values(name, self.shown_rate, value) for name in self.methods_here}
        rows = [self.spread_row(name, shares, unit) for name, shares in found.items() if shares]
        return sorted(rows, key=mean_of_row)

    def table_by_rate(self, caption: str, value: Value, digits: int = 2,
                      style: Callable[[float, float | None, int], str] = with_spread,
                      further: Iterable[Iterable[object]] = ()) -> Markup:
        """A table of a value of the runs: a row a method, a column a rate; ``further`` rows stand below."""
        rows = []
        for name in self.section.compared:
            cells = [self.section.values(name, rate, value) for rate in self.section.compared_rates]
            rows.append([name, *(style(*mean_and_deviation(cell), digits) if cell else MISSING for cell in cells)])
        return table(caption, ["method", *map(rate_name, self.section.compared_rates)], [*rows, *further])

    @functools.cached_property
    def difficulty(self) -> Difficulty | None:
        """The section's ``Difficulty``, or None."""
        return difficulty(self.study, self.section)



def hints(entries: Iterable[Row]) -> str:
    return "; ".join(row.hint for row in entries if row.hint) + "."


def mean_of_row(row: Row) -> float:
    assert row.value is not None  # those that are sorted are of means
    return row.value
