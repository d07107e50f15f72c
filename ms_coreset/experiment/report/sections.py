"""What the report says of one section of a study: a part for each question, with its figure and its table."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report import charts
from ms_coreset.experiment.report.canvas import Canvas
from ms_coreset.experiment.report.charts import Figure, Row, Series
from ms_coreset.experiment.report.difficulty import AGREEMENT, Difficulty, difficulty
from ms_coreset.experiment.report.markup import (
    MINUS,
    MISSING,
    Markup,
    counted,
    details,
    joined,
    percent,
    rate_name,
    seconds_name,
    signed,
    table,
    tag,
    time_name,
    with_spread,
)
from ms_coreset.experiment.report.palette import BASELINE_LOOK, GREY_LOOK, WHOLE_LOOK, Look, looks
from ms_coreset.experiment.report.statistics import (
    CONFIDENCE,
    Difference,
    chance_overlap,
    mean_and_deviation,
    mean_overlap,
    paired_difference,
    places,
)
from ms_coreset.experiment.report.study import BASELINE, Run, Section, Study
from ms_coreset.experiment.report.windows import window_curves

Value = Callable[[Run], float | None]  # of a run
LEADERS = 5  # methods that stand out where there are more than ``DISTINCT``
DISTINCT = 8
_BINS, _SHOWN = 32, 6  # bars of a distribution, distributions that are shown at once
_LEAST_SECONDS = 1e-3  # what a clock can tell
_PLACES = {1: "1st", 2: "2nd"}


def leaders(section: Section) -> list[str]:
    """Methods that are drawn in colour: all where they are few, else the best by mean rank over the rates."""
    methods = [name for name in section.compared if name != BASELINE]
    if len(methods) < DISTINCT:
        return methods
    ranks: dict[str, list[int]] = {name: [] for name in methods}
    for rate in section.compared_rates:
        means = {name: _mean(section, name, rate) for name in methods if section.cell(name, rate)}
        for rank, name in enumerate(sorted(means, key=means.__getitem__, reverse=True)):
            ranks[name].append(rank)
    return sorted(methods, key=lambda name: np.mean(ranks[name]))[:LEADERS]


def shared_looks(sections: Sequence[Section]) -> dict[str, Look]:
    """A look for each method that holds throughout the page; those that lead most often get the first colours."""
    leading = Counter(name for section in sections for name in leaders(section))
    every = dict.fromkeys(name for section in sections for name in section.compared if name != BASELINE)
    return looks(sorted(every, key=lambda name: -leading[name]))


def _mean(section: Section, method: str, rate: float) -> float:
    return mean_and_deviation(list(section.accuracies(method, rate).values()))[0]


class SectionReport:
    """The parts of one section.

    number: of the section, in names of figures; rate: of the figures that show one rate, or None for the section's own
    choice; sheets: ``(section report) -> markup`` of the contact sheets

    figures: all that were drawn, after ``parts()`` was called
    """

    def __init__(self, study: Study, section: Section, number: int, all_looks: Mapping[str, Look],
                 rate: float | None = None, sheets: Callable[[SectionReport], Markup | None] | None = None) -> None:
        self.study, self.section, self.number = study, section, number
        self.rate = section.detail_rate(rate)
        self.leaders = leaders(section)
        self._looks, self._sheets = all_looks, sheets
        self.figures: list[Figure] = []
        self.unread: list[str] = []  # a line for each coreset file that could not be read; ``coresets`` fills it

    def parts(self) -> Markup:
        """Markup of all parts that there is something to say in."""
        if not self.section.compared:
            return joined(self._whole_line(), self.unfinished())
        shown: list[Markup | None] = [self.accuracy()]
        if self.rate is not None:
            shown += [self.difference(), self.cost(), self.bad_kept(), self.class_balance(), self.hardness(),
                      self.overlap(), self.scores(), self.windows(), self._sheets and self._sheets(self)]
        else:
            shown.append(tag("p", "No finished run at the rate that was asked for: the parts that show one rate are "
                             "left out.", class_="note"))
        vars(self).pop("coresets", None)
        return joined(*shown, self.unfinished())

    @property
    def shown_rate(self) -> float:
        """The rate of the parts that show one, which are left out where there is none."""
        assert self.rate is not None
        return self.rate

    def look(self, method: str) -> Look:
        """How a method is drawn."""
        if method == BASELINE:
            return BASELINE_LOOK
        return self._looks[method] if method in self.leaders else GREY_LOOK

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
            try:
                coreset = self.study.coreset(run)
                # Only the first seed's scores are shown, and those of all may be more than memory holds.
                found[seed] = replace(coreset, scores=None) if found else coreset
            except MsCoresetError as error:
                self.unread.append(str(error))
        return found

    def _figure(self, name: str, title: str, description: str, canvas: Canvas) -> Markup:
        figure = Figure(f"{self.number}-{name}", title, description, canvas)
        self.figures.append(figure)
        return tag("figure", tag("figcaption", title), canvas.svg(f"{title}. {description}"))

    def _spread_row(self, name: str, shares: Sequence[float], unit: str = "") -> Row:
        """A method's mean share in per cent, with one standard deviation to each side."""
        mean, spread = mean_and_deviation(shares)
        low, high = (None, None) if spread is None else (100 * (mean - spread), 100 * (mean + spread))
        return Row(name, self.look(name), 100 * mean, low, high, [100 * share for share in shares],
                   f"{name}: {with_spread(mean, spread)}{unit}")

    def _ascending(self, value: Value, unit: str = "") -> list[Row]:
        """Rows of a share of the runs at the detail rate, the least first."""
        found = {name: self.section.values(name, self.shown_rate, value) for name in self.methods_here}
        rows = [self._spread_row(name, shares, unit) for name, shares in found.items() if shares]
        return sorted(rows, key=_mean_of)

    def _by_rate(self, caption: str, value: Value, digits: int = 2,
                 style: Callable[[float, float | None, int], str] = with_spread,
                 further: Iterable[Iterable[object]] = ()) -> Markup:
        """A table of a value of the runs: a row a method, a column a rate; ``further`` rows stand below."""
        rows = []
        for name in self.section.compared:
            cells = [self.section.values(name, rate, value) for rate in self.section.compared_rates]
            rows.append([name, *(style(*mean_and_deviation(cell), digits) if cell else MISSING for cell in cells)])
        return table(caption, ["method", *map(rate_name, self.section.compared_rates)], [*rows, *further])

    # accuracy

    def accuracy(self) -> Markup:
        """Accuracy against rate: figure, table, and the whole data's for comparison."""
        section = self.section
        draw = self._accuracy_lines if len(section.compared_rates) > 1 else self._accuracy_rows
        numbers = tag("div", self._accuracy_table(), self._whole_line())
        return tag("div", tag("h3", "Accuracy"), tag("div", draw(section.whole_accuracies()), numbers, class_="pair"),
                   class_="part")

    def _whole_line(self) -> Markup | None:
        values = list(self.section.whole_accuracies().values())
        if not values:
            return None
        return tag("p", f"Trained on all samples: {with_spread(*mean_and_deviation(values))} % (n = {len(values)}).")

    def _accuracy_lines(self, whole: Mapping[int, float]) -> Markup:
        section, rates = self.section, self.section.compared_rates
        series = []
        for name in section.compared:
            here = [rate for rate in rates if section.cell(name, rate)]
            cells = [mean_and_deviation(list(section.accuracies(name, rate).values())) for rate in here]
            means = [100 * mean for mean, _ in cells]
            spreads = [100 * spread if spread else None for _, spread in cells]
            series.append(Series(name, self.look(name), [100 * rate for rate in here], means, spreads,
                                 self.front(name)))
        references = [("all samples", WHOLE_LOOK, 100 * mean_and_deviation(list(whole.values()))[0])] if whole else []
        log = rates[-1] / rates[0] >= 10
        canvas = charts.lines(series, f"share of the data that is kept, %{' (logarithmic)' if log else ''}",
                              "test accuracy, %", references, log)
        described = "; ".join(f"{one.name} " + ", ".join(f"{y:.2f} % at {x:g} %" for x, y in
                                                         zip(one.xs, one.ys, strict=True))
                              for one in series if one.front)
        standing_out = "" if all(one.front for one in series) else f"; the best {LEADERS} by mean rank in colour"
        return self._figure("accuracy", f"Test accuracy against the share kept{standing_out}",
                            f"Mean over seeds, whiskers one standard deviation. {described}.", canvas)

    def _accuracy_rows(self, whole: Mapping[int, float]) -> Markup:
        rate = self.section.compared_rates[0]
        entries = [self._spread_row(name, list(self.section.accuracies(name, rate).values()), " %")
                   for name in self.section.compared]
        entries.sort(key=_mean_of, reverse=True)
        references = [("all samples", 100 * mean_and_deviation(list(whole.values()))[0])] if whole else []
        return self._figure("accuracy", f"Test accuracy, {rate_name(rate)} kept",
                            f"Mean over seeds, whiskers one standard deviation, dots single seeds. {_hints(entries)}",
                            charts.rows(entries, "test accuracy, %", references))

    def _accuracy_table(self) -> Markup:
        section = self.section
        rates, columns = section.compared_rates, []
        for rate in rates:
            columns.append(places({name: _mean(section, name, rate) for name in section.compared
                                   if section.cell(name, rate)}))
        rows = [[name, *(self._accuracy_cell(name, rate, column.get(name))
                         for rate, column in zip(rates, columns, strict=True))] for name in section.compared]
        epoch = {"last": "the last epoch", "best": "the best epoch"}[section.which]
        return table(f"Test accuracy in % after {epoch}, mean ± sample standard deviation; n: seeds; 1st, 2nd: the "
                     "best and second best mean of a column", ["method", *map(rate_name, rates)], rows)

    def _accuracy_cell(self, method: str, rate: float, place: int | None) -> Markup:
        values = list(self.section.accuracies(method, rate).values())
        failed = sum(run.rate == rate and self.section.name_of(run) == method for run in self.section.failed)
        missing = sum((method, rate) == (name, share) for name, share, _ in self.section.missing)
        lacking = ", ".join(f"{number} {what}" for number, what in ((failed, "failed"), (missing, "missing")) if number)
        if not values:
            return joined(MISSING, tag("small", lacking) if lacking else None)
        badge = tag("span", _PLACES[place], class_=f"place place{place}") if place else None
        number = tag("span", with_spread(*mean_and_deviation(values)), class_="number")
        seeds = tag("small", f"n={len(values)} ", tag("span", lacking, class_="lacking") if lacking else None)
        return joined(badge, number, seeds, between=" ")

    # difference to random

    def _difference(self, method: str, rate: float) -> Difference | None:
        return paired_difference(self.section.accuracies(method, rate), self.section.accuracies(BASELINE, rate))

    def difference(self) -> Markup | None:
        """What each method gains over random, paired by seed."""
        heading = tag("h3", "Difference to random")
        others = [name for name in self.section.compared if name != BASELINE]
        if not others:
            return None
        if len(others) == len(self.section.compared):
            return tag("div", heading, tag("p", "This section has no finished run of random, so there is nothing to "
                                           "compare with.", class_="note"), class_="part")
        found = {name: gain for name in others if (gain := self._difference(name, self.shown_rate))}
        rows = [[name, *(self._difference_cell(name, rate) for rate in self.section.compared_rates)] for name in others]
        explained = (f"Accuracy less that of random with the same seed, in percentage points: mean, {CONFIDENCE:.0%} "
                     "confidence interval (Student's t, from two pairs on), pairs of seeds. ▲ or ▼: the interval is "
                     "above or below 0. Intervals are not corrected for their number.")
        listed = table(explained, ["method", *map(rate_name, self.section.compared_rates)], rows)
        return tag("div", heading, tag("div", self._difference_figure(found) if found else None, listed,
                                       class_="pair"), class_="part")

    def _difference_figure(self, found: Mapping[str, Difference]) -> Markup:
        entries = []
        for name, gain in sorted(found.items(), key=lambda item: -item[1].mean):
            low, high = (None if end is None else 100 * end for end in (gain.low, gain.high))
            entries.append(Row(name, self.look(name), 100 * gain.mean, low, high, hint=f"{name}: {_gain_text(gain)}"))
        return self._figure("difference", f"Difference to random, {rate_name(self.shown_rate)} kept",
                            _hints(entries),
                            charts.rows(entries, "percentage points of accuracy", [("random", 0)]))

    def _difference_cell(self, method: str, rate: float) -> str:
        gain = self._difference(method, rate)
        if gain is None:
            return MISSING
        mark = {1: " ▲", -1: " ▼", 0: ""}[gain.decided]
        said = f"n={gain.pairs}, no interval" if gain.low is None else f"n={gain.pairs}"
        interval = None if gain.low is None else tag("span", _interval(gain), class_="interval")
        return joined(tag("span", signed(100 * gain.mean) + mark, class_="number"), tag("small", said), interval,
                      between=" ")

    # cost

    def cost(self) -> Markup | None:
        """Seconds of selection against accuracy, and what else a run cost."""
        points = []
        for name in self.methods_here:
            seconds = self.section.values(name, self.shown_rate, lambda run: run.seconds.get("select"))
            if seconds:
                mean, spread = mean_and_deviation(list(self.section.accuracies(name, self.shown_rate).values()))
                points.append(Series(name, self.look(name), [max(float(np.mean(seconds)), _LEAST_SECONDS)],
                                     [100 * mean], [100 * spread if spread else None], self.front(name)))
        if not points:
            return None
        figure = self._figure("cost", f"Selection time against accuracy, {rate_name(self.shown_rate)} kept",
                              "; ".join(f"{one.name}: {seconds_name(one.xs[0])} s, {one.ys[0]:.2f} %"
                                        for one in points) + ".",
                              charts.scatter(points, "seconds to select (logarithmic)", "test accuracy, %"))
        every_rate = details("Selection time at every rate", self._by_rate(
            "Seconds to select, mean ± standard deviation", lambda run: run.seconds.get("select"), style=_plain_spread))
        return tag("div", tag("h3", "Cost"), tag("div", figure, tag("div", self._cost_table(), every_rate),
                                                 class_="pair"), class_="part")

    def _cost_table(self) -> Markup:
        columns = [("select, s", "seconds", "select"), ("train, s", "seconds", "train"), ("base, s", "seconds", "base"),
                   ("extract, s", "seconds", "extract"), ("select, MB", "peak_mb", "select")]
        rows = []
        for name in self.methods_here:
            cells = [self.section.values(name, self.shown_rate, functools.partial(_measured, what=what, step=step))
                     for _, what, step in columns]
            rows.append([name, *(seconds_name(float(np.mean(cell))) if cell else MISSING for cell in cells)])
        return table(f"Mean seconds and peak memory, {rate_name(self.shown_rate)} kept. base and extract: the network "
                     "that was asked, and its answers. A ranking that serves several rates counts in full at each",
                     ["method", *(header for header, *_ in columns)], rows)

    # bad samples

    def bad_kept(self) -> Markup | None:
        """The share of bad samples in the coresets, where a perturbation is known."""
        entries = self._ascending(_bad_kept, " %")
        if not entries:
            return None
        available = [run.bad["available"] for run in self.section.done if run.bad]
        share = float(np.mean(available))
        figure = self._figure("bad", f"Bad samples among the kept, {rate_name(self.shown_rate)} kept",
                              f"{percent(share)} % of the data is bad. {_hints(entries)}",
                              charts.rows(entries, "share of the kept samples that is bad, %",
                                          [("in the data", 100 * share)], include=[0]))
        listed = self._by_rate(f"Share of bad samples among the kept in %, mean ± standard deviation; "
                               f"{percent(share)} % of the data", _bad_kept)
        return tag("div", tag("h3", "Bad samples kept"), tag("div", figure, tag("div", listed, self._bad_kinds()),
                                                             class_="pair"), class_="part")

    def _bad_kinds(self) -> Markup | None:
        kinds = list(dict.fromkeys(kind for run in self.section.done if run.bad for kind in run.bad.get("kinds") or {}))
        if len(kinds) < 2:
            return None
        rows = []
        for name in self.methods_here:
            cells = [self.section.values(name, self.shown_rate, functools.partial(_kept_of_kind, kind=kind))
                     for kind in kinds]
            rows.append([name, *(with_spread(*mean_and_deviation(cell)) if cell else MISSING for cell in cells)])
        return details("By kind", table(f"Share of each kind among the kept in %, {rate_name(self.shown_rate)} kept",
                                        ["method", *kinds], rows))

    # class balance

    def class_balance(self) -> Markup | None:
        """How evenly the kept samples fall on the classes."""
        counts = {name: np.mean(kept, axis=0) for name in self.methods_here
                  if (kept := _same_length(self.section.values(name, self.shown_rate, lambda run: run.per_class)))}
        if not counts:
            return None
        entries, rows = [], []
        for name, kept in counts.items():
            even = kept.mean() or 1.0
            low, middle, high = kept.min(), np.median(kept), kept.max()
            hint = f"{name}: {low:g} to {high:g} of a class, {even:g} would be even"
            entries.append(Row(name, self.look(name), None, low / even, high / even, list(kept / even), hint))
            rows.append([name, f"{low:.1f}", f"{middle:.1f}", f"{high:.1f}", f"{even:.1f}",
                         f"{(kept == 0).sum()} of {len(kept)}"])
        figure = self._figure("classes", f"Class balance, {rate_name(self.shown_rate)} kept",
                              _hints(entries),
                              charts.rows(entries, "samples kept of a class ÷ mean of the classes", [("even", 1)]))
        listed = table(f"Samples kept of a class, means over seeds, {rate_name(self.shown_rate)} kept",
                       ["method", "fewest", "median", "most", "even share", "classes left out"], rows)
        return tag("div", tag("h3", "Class balance"), tag("div", figure, listed, class_="pair"), class_="part")

    # difficulty

    @functools.cached_property
    def difficulty(self) -> Difficulty | None:
        """The section's ``Difficulty``, or None."""
        return difficulty(self.study, self.section)

    def hardness(self) -> Markup | None:
        """How hard the kept samples are, and whether the methods' order follows that."""
        found = self.difficulty
        entries = self._ascending(found.of) if found else []
        if found is None or not entries:
            return None
        figure = self._figure("difficulty", f"Difficulty of the kept samples, {rate_name(self.shown_rate)} kept",
                              _hints(entries),
                              charts.rows(entries, "mean place: 0 the easiest, 100 the hardest", [("all samples", 50)]))
        listed = self._by_rate(
            f"Mean place of the kept samples in the order of {found.judge}'s scores (same seed), from the easiest, 0, "
            "to the hardest, 100, ± standard deviation; all samples have 50. tau-b: Kendall's, of the methods' "
            f"places and accuracies: 1 where harder is always better, {MINUS}1 where easier is", found.of, 1,
            further=[[AGREEMENT, *(found.agreement_cell(self.section, rate) for rate in self.section.compared_rates)]])
        return tag("div", tag("h3", "Difficulty of the kept samples"), tag("div", figure, listed, class_="pair"),
                   class_="part")

    # overlap

    def overlap(self) -> Markup:
        """How many samples the methods' coresets share."""
        names = list(self.coresets)
        if not names:
            return self._nothing_read("Overlap")
        kept = {name: {seed: np.sort(coreset.indices) for seed, coreset in self.coresets[name].items()}
                for name in names}
        matrix = np.full((len(names), len(names)), np.nan)
        for i, one in enumerate(names):
            for j in range(i + 1):
                value = mean_overlap(kept[one], kept[names[j]])
                matrix[i, j] = matrix[j, i] = np.nan if value is None else value
        chance = (f"two random coresets share about {chance_overlap(self.shown_rate):.3f}" if self.shown_rate < 1
                  else "all samples are kept")
        figure = self._figure("overlap", f"Overlap of the coresets (Jaccard), {rate_name(self.shown_rate)} kept",
                              f"Mean over seeds; {chance}. The table has the numbers.",
                              charts.heatmap(names, matrix, "samples in both ÷ samples in either"))
        rows = [[f"{i + 1}  {name}", *(f"{value:.3f}" if np.isfinite(value) else MISSING for value in matrix[i])]
                for i, name in enumerate(names)]
        listed = table("Jaccard overlap: samples in both coresets over samples in either; mean over the seeds, on the "
                       "diagonal over pairs of seeds of one method", ["method", *range(1, len(names) + 1)], rows)
        said = tag("p", f"Of coresets with the same seed; {chance}. The diagonal compares one method's seeds: 1 means "
                   "that the seed does not matter.")
        return tag("div", tag("h3", "Overlap"), tag("div", figure, tag("div", said, details("The numbers", listed)),
                                                    class_="pair"), self._unread_note(), class_="part")

    def _nothing_read(self, heading: str) -> Markup:
        return tag("div", tag("h3", heading), tag("p", "No coreset file could be read.", class_="note"),
                   self._unread_note(), class_="part")

    def _unread_note(self) -> Markup | None:
        if not self.unread:
            return None
        return tag("div", tag("p", f"{counted(len(self.unread), 'coreset file')} could not be read:", class_="note"),
                   tag("ul", *(tag("li", line) for line in self.unread)))

    # scores

    def scores(self) -> Markup | None:
        """How the scores are distributed, and which of them were kept."""
        first = {name: found for name, found in self.first_coresets().items() if found[1].scores is not None}
        if not first:
            return None
        drawn = [self._score_figure(name, *first[name])
                 for name in sorted(first, key=lambda name: name not in self.leaders)]
        shown, more = drawn[:_SHOWN], drawn[_SHOWN:]
        rows = [self._score_row(name, *first[name]) for name in first]
        listed = table("Scores (high = keep) of the first seed", ["method", "seed", "lowest", "median", "highest",
                                                                  "kept from", "kept median", "kept to"], rows)
        said = tag("p", f"Scores of the first seed, {rate_name(self.shown_rate)} kept; high = keep, but for "
                   "moderate's, which keeps the middle. Methods without scores are not shown.")
        others = details(f"Of {counted(len(more), 'other method')}", tag("div", *more, class_="grid")) if more else None
        return tag("div", tag("h3", "Scores and what was kept of them"), said,
                   tag("div", *shown, class_="grid"), others, details("The numbers", listed),
                   class_="part")

    def _score_figure(self, name: str, seed: int, coreset: Coreset) -> Markup:
        scores, kept = _finite_scores(coreset)
        edges, tails = _edges(scores)
        inside = np.clip(scores, edges[0], edges[-1])
        everything, stayed = (np.histogram(values, edges)[0].tolist() for values in (inside, inside[kept]))
        label = "score" + (" (outermost bars hold the tails)" if tails else "")
        look = self._looks.get(name, BASELINE_LOOK)
        return self._figure(f"scores-{name}", name, f"Scores from {scores.min():.4g} to {scores.max():.4g}, kept from "
                            f"{scores[kept].min():.4g} to {scores[kept].max():.4g}; seed {seed}.",
                            charts.histogram(edges.tolist(), everything, stayed, look, label, "samples"))

    @staticmethod
    def _score_row(name: str, seed: int, coreset: Coreset) -> list[object]:
        scores, kept = _finite_scores(coreset)
        values = (scores.min(), np.median(scores), scores.max(), scores[kept].min(), np.median(scores[kept]),
                  scores[kept].max())
        return [name, seed, *(f"{value:.4g}".replace("-", MINUS) for value in values)]

    def windows(self) -> Markup | None:
        """How good each window of the ranking is, where windows were compared."""
        title = f"Windows of the ranking, {rate_name(self.shown_rate)} kept"
        return window_curves(self.first_coresets(), self.look, functools.partial(self._figure, "windows", title))

    # what is not there

    def unfinished(self) -> Markup | None:
        """Runs that failed, that are missing, and that say the same as a later one."""
        section = self.section
        failed = [[section.name_of(run), rate_name(run.rate), run.seed, run.error or "no reason was written",
                   time_name(run.finished)] for run in section.failed]
        lacking = [[rate_name(rate), ", ".join(map(str, seeds)), ", ".join(names)]
                   for (rate, seeds), names in _gathered(section.missing).items()]
        repeated = [[section.name_of(run), rate_name(run.rate), run.seed, run.key] for run in section.repeated]
        blocks = [
            failed and table("Failed runs", ["method", "rate", "seed", "error", "when"], failed),
            lacking and table("Missing runs: planned, or run with other methods, rates or seeds of this section, "
                              "but not there", ["rate", "seeds", "methods"], lacking),
            repeated and table("Left out: finished runs of the same method, rate and seed as a later one",
                               ["method", "rate", "seed", "key"], repeated),
        ]
        shown = [block for block in blocks if block]
        return tag("div", tag("h3", "Not finished, or left out"), *shown, class_="part words") if shown else None


def _gathered(missing: Iterable[tuple[str, float, int]]) -> dict[tuple[float, tuple[int, ...]], list[str]]:
    """{(rate, seeds): methods} of what is missing, by rate."""
    seeds, methods = defaultdict(list), defaultdict(list)
    for name, rate, seed in missing:
        seeds[rate, name].append(seed)
    for (rate, name), lacking in sorted(seeds.items()):
        methods[rate, tuple(lacking)].append(name)
    return methods


def _hints(entries: Iterable[Row]) -> str:
    return "; ".join(row.hint for row in entries if row.hint) + "."


def _mean_of(row: Row) -> float:
    assert row.value is not None  # those that are sorted are of means
    return row.value


def _interval(gain: Difference) -> str:
    assert gain.low is not None  # whoever calls has looked
    assert gain.high is not None
    return f"[{signed(100 * gain.low)}, {signed(100 * gain.high)}]"


def _gain_text(gain: Difference) -> str:
    interval = "one pair, no interval" if gain.low is None else f"{_interval(gain)}, {gain.pairs} pairs"
    return f"{signed(100 * gain.mean)} points, {interval}"


def _plain_spread(mean: float, deviation: float | None, digits: int) -> str:
    return seconds_name(mean) + ("" if deviation is None else f" ± {seconds_name(deviation)}")


def _measured(run: Run, what: str, step: str) -> float | None:
    return getattr(run, what).get(step)


def _bad_kept(run: Run) -> float | None:
    return run.bad.get("kept") if run.bad else None


def _kept_of_kind(run: Run, kind: str) -> float | None:
    shares = ((run.bad or {}).get("kinds") or {}).get(kind)
    return shares and shares.get("kept")


def _same_length(lists: list[list]) -> list[list]:
    """``lists`` as they are, or none of them where they differ in length."""
    return lists if len({len(one) for one in lists}) == 1 else []


def _finite_scores(coreset: Coreset) -> tuple[np.ndarray, np.ndarray]:
    """(scores of the pool, which of them were kept), without what has no finite score."""
    assert coreset.scores is not None  # whoever calls has looked
    there = np.isfinite(coreset.scores)
    return coreset.scores[there], coreset.keep_mask[there]


def _edges(scores: np.ndarray) -> tuple[np.ndarray, bool]:
    """(borders of the bars, whether values lie outside): the middle 99 % where the tails are much longer, else all."""
    low, high = np.quantile(scores, [0.005, 0.995])
    tails = high > low and scores.max() - scores.min() > 3 * (high - low)
    if not tails:
        low, high = scores.min(), scores.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1), bool(tails)
