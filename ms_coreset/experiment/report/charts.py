"""The kinds of charts a report has, drawn from plain numbers. Widths fit a phone; a page sets them side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ms_coreset.experiment.report.canvas import SIZE, Canvas, Point, shorten, text_width
from ms_coreset.experiment.report.markup import MINUS
from ms_coreset.experiment.report.palette import Look

Entry = tuple[str, Look, bool]  # of a legend: a name with its look, and whether it has a line
WIDTH = 400
_SMALL = SIZE - 1
_ROW = 19


@dataclass(frozen=True)
class Figure:
    """A drawing with what stands above it and what a screen reader says instead of it. ``name`` is its file's stem."""

    name: str
    title: str
    description: str
    canvas: Canvas


@dataclass(frozen=True)
class Series:
    """One method's points: places on both axes, and deviations or None; ``front``: drawn over the others, named."""

    name: str
    look: Look
    xs: list
    ys: list
    spreads: list = field(default_factory=list)
    front: bool = True


@dataclass(frozen=True)
class Row:
    """One line of a ``rows`` chart: a value, its interval or None, and single values to show faintly."""

    name: str
    look: Look
    value: float | None
    low: float | None = None
    high: float | None = None
    dots: list = field(default_factory=list)
    hint: str | None = None


class Scale:
    """Maps ``low .. high`` to the units ``start .. end``, by the logarithm if ``log``."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(x) for x in (self.low, self.high, value)) if self.log else (
            self.low, self.high, value)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, count: int = 6) -> list[float]:
        """Round values within the scale: multiples of 1, 2 or 5 times a power of ten.

        If ``log`` powers of ten, and 3 times those on a short scale.
        """
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1, 3) if self.high < 1000 * self.low else (1,)
            found = [factor * 10.0 ** power for power in powers for factor in factors]
            return [value for value in found if self.low <= value <= self.high]
        step = 10 ** math.floor(math.log10((self.high - self.low) / count))
        step = next(step * factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (step * factor) <= count)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _pad(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """(low, high) around values, with some air."""
    low, high = min(values), max(values)
    air = share * (high - low) or max(abs(high), 1.0) * share
    return low - air, high + air


def _tick_name(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def _grid_y(canvas: Canvas, scale: Scale, left: float, right: float, label: str) -> None:
    for value in scale.ticks():
        canvas.line([(left, scale(value)), (right, scale(value))], "grid")
        canvas.text(left - 6, scale(value) + 4, _tick_name(value), "muted", "end")
    canvas.text(2, 12, label, "muted")


def _grid_x(canvas: Canvas, scale: Scale, top: float, bottom: float, label: str,
            ticks: Sequence[float] | None = None) -> None:
    last = -math.inf
    for value in scale.ticks() if ticks is None else ticks:
        canvas.line([(scale(value), top), (scale(value), bottom)], "grid")
        half = text_width(_tick_name(value)) / 2
        if scale(value) - half > last + 4:  # names that would touch are left out, their lines stay
            canvas.text(scale(value), bottom + 15, _tick_name(value), "muted", "middle")
            last = scale(value) + half
    half = text_width(label) / 2
    middle = max(min((scale.start + scale.end) / 2, WIDTH - half), half)
    canvas.text(middle, bottom + 34, label, "muted", "middle")


def _legend(canvas: Canvas, entries: Sequence[Entry], top: float) -> None:
    """Names with their looks (name, look, whether a line), two a row from ``top`` down."""
    for i, (name, look, with_line) in enumerate(entries):
        x, y = 8 + (i % 2) * (WIDTH / 2), top + (i // 2) * _ROW
        if with_line:
            canvas.line([(x, y - 4), (x + 26, y - 4)], look.color, 2, look.dash)
        canvas.marker(x + 13, y - 4, look.marker, look.color)
        canvas.text(x + 33, y, shorten(name, WIDTH / 2 - 40))


def _legend_height(entries: Sequence[Entry]) -> int:
    return _ROW * math.ceil(len(entries) / 2) + 6


def lines(series: Sequence[Series], x_label: str, y_label: str, references: Sequence[tuple[str, Look, float]] = (),
          log: bool = False) -> Canvas:
    """Lines with whiskers over a few x values that all series share.

    Args:
        series: what is drawn, each with its x and y values and spreads
        x_label: of the x axis
        y_label: of the y axis
        references: (name, look, y) of lines across the whole width
        log: whether the x axis is logarithmic

    Returns:
        The drawing.
    """
    front = [one for one in series if one.front]
    legend = [(one.name, one.look, True) for one in front] + [(name, look, True) for name, look, _ in references]
    gray = next((one for one in series if not one.front), None)
    if gray is not None:
        legend.append(("the other methods", gray.look, True))
    left, right, top, bottom = 46, WIDTH - 14, 24, 270
    canvas = Canvas(WIDTH, bottom + 48 + _legend_height(legend))
    values = [y + sign * (spread or 0) for one in series for y, spread in zip(one.ys, one.spreads, strict=True)
              for sign in ((-1, 1) if one.front else (0,))]
    low, high = _pad(values + [y for *_, y in references])
    y_scale = Scale(max(low, 0), high, bottom, top)
    xs = sorted({x for one in series for x in one.xs})
    x_scale = Scale(xs[0], xs[-1], left + 18, right - 12, log)
    _grid_y(canvas, y_scale, left, right, y_label)
    _grid_x(canvas, x_scale, top, bottom, x_label, xs)
    for name, look, y in references:
        canvas.line([(left, y_scale(y)), (right, y_scale(y))], look.color, 1.5, look.dash, name)
    for one in sorted(series, key=lambda one: one.front):
        place = front.index(one) - (len(front) - 1) / 2 if one.front else 0
        _one_line(canvas, one, x_scale, y_scale, 2.6 * place)
    _legend(canvas, legend, bottom + 52)
    return canvas


def _one_line(canvas: Canvas, series: Series, x_scale: Scale, y_scale: Scale, aside: float) -> None:
    """A line; its whiskers stand ``aside`` of the place they belong to, so that those of several can be told apart."""
    points = [(x_scale(x) + aside, y_scale(y)) for x, y in zip(series.xs, series.ys, strict=True)]
    look = series.look
    canvas.line(points, look.color, 2 if series.front else 1, look.dash, series.name)
    if not series.front:
        for x, y in points:
            canvas.marker(x, y, look.marker, look.color, 2, hint=series.name)
        return
    for (x, y), value, spread in zip(points, series.ys, series.spreads, strict=True):
        if spread:
            ends = y_scale(value - spread), y_scale(value + spread)
            canvas.line([(x, ends[0]), (x, ends[1])], look.color, 1.2)
            for end in ends:
                canvas.line([(x - 2.5, end), (x + 2.5, end)], look.color, 1.2)
        canvas.marker(x, y, look.marker, look.color, hint=series.name)


def rows(entries: Sequence[Row], x_label: str, references: Sequence[tuple[str, float]] = (),
         include: Sequence[float] = ()) -> Canvas:
    """A line each: name, value, interval and single values along a common axis.

    Args:
        entries: what is drawn, a line each
        x_label: of the axis
        references: (name, x) of upright lines
        include: values that the axis must reach

    Returns:
        The drawing.
    """
    widest = max(text_width(row.name) for row in entries)
    left, right, top = min(12 + widest, 150) + 8, WIDTH - 14, 26 if references else 10
    bottom = top + _ROW * len(entries) + 4
    canvas = Canvas(WIDTH, bottom + 42)
    values = [value for row in entries for value in (row.value, row.low, row.high, *row.dots) if value is not None]
    scale = Scale(*_pad([*values, *include, *(x for _, x in references)]), left, right)
    _grid_x(canvas, scale, top, bottom, x_label)
    for name, x in references:
        canvas.line([(scale(x), top - 4), (scale(x), bottom)], "muted", 1.3, (4, 3), name)
        half = text_width(name, _SMALL) / 2
        canvas.text(min(max(scale(x), left + half), right - half), top - 9, name, "muted", "middle", _SMALL)
    for i, row in enumerate(entries):
        _one_row(canvas, row, scale, left, top + _ROW * (i + 0.5) + 2)
    return canvas


def _one_row(canvas: Canvas, row: Row, scale: Scale, left: float, y: float) -> None:
    canvas.text(left - 8, y + 4, shorten(row.name, left - 14), "ink", "end")
    if row.low is not None and row.high is not None:
        width = 0.8 if row.value is None else 1.8
        canvas.line([(scale(row.low), y), (scale(row.high), y)], row.look.color, width, hint=row.hint)
    for value in row.dots:
        canvas.marker(scale(value), y, "circle", row.look.color, 2.8 if row.value is None else 2, 0.5)
    if row.value is not None:
        canvas.marker(scale(row.value), y, row.look.marker, row.look.color, 4, hint=row.hint)


def scatter(series: Sequence[Series], x_label: str, y_label: str) -> Canvas:
    """Points, the x axis by its logarithm; each ``Series`` has one point."""
    legend = [(one.name, one.look, False) for one in series if one.front]
    gray = next((one for one in series if not one.front), None)
    if gray is not None:
        legend.append(("the other methods", gray.look, False))
    left, right, top, bottom = 46, WIDTH - 14, 24, 230
    canvas = Canvas(WIDTH, bottom + 48 + _legend_height(legend))
    xs = [one.xs[0] for one in series]
    x_scale = Scale(min(xs) / 1.5, max(xs) * 1.5, left, right, log=True)
    spans = [one.ys[0] + sign * (one.spreads[0] or 0) for one in series for sign in (-1, 1)]
    y_scale = Scale(*_pad(spans), bottom, top)
    _grid_y(canvas, y_scale, left, right, y_label)
    _grid_x(canvas, x_scale, top, bottom, x_label)
    for one in sorted(series, key=lambda one: one.front):
        x, y, spread = x_scale(one.xs[0]), one.ys[0], one.spreads[0]
        if spread:
            canvas.line([(x, y_scale(y - spread)), (x, y_scale(y + spread))], one.look.color, 1.2)
        canvas.marker(x, y_scale(y), one.look.marker, one.look.color, 4.5 if one.front else 3, hint=one.name)
    _legend(canvas, legend, bottom + 52)
    return canvas


def heatmap(names: Sequence[str], matrix: np.ndarray, label: str) -> Canvas:
    """A square of cells (m, m) in [0, 1], NaN left empty; columns carry the rows' numbers."""
    count = len(names)
    numbered = [f"{name}  {i}" for i, name in enumerate(names, 1)]
    left = min(max(map(text_width, numbered)) + 14, 170)
    side = min((WIDTH - 6 - left) / count, 40)
    height, top = max(side, 15), 22  # rows are as high as their names need
    canvas = Canvas(WIDTH, top + height * count + 44)
    for i in range(count):
        canvas.text(left - 6, top + height * (i + 0.5) + 4, shorten(numbered[i], left - 8), "ink", "end")
        if side > 13 or i % 2 == 0:
            canvas.text(left + side * (i + 0.5), top - 6, i + 1, "muted", "middle", min(SIZE, max(side, 9)))
        for j in range(count):
            _one_cell(canvas, (left + side * j, top + height * i), (side, height), matrix[i][j],
                      f"{names[i]}, {names[j]}")
    _ramp(canvas, left, top + height * count + 12, WIDTH - 6 - left, label)
    return canvas


def _one_cell(canvas: Canvas, corner: Point, size: Point, value: float, who: str) -> None:
    (x, y), (width, height) = corner, size
    if not np.isfinite(value):
        canvas.text(x + width / 2, y + height / 2 + 3, "·", "muted", "middle")
        return
    canvas.box(x + 0.5, y + 0.5, width - 1, height - 1, "accent", 0.06 + 0.94 * value, f"{who}: {value:.3f}")
    if width >= 20:
        canvas.text(x + width / 2, y + height / 2 + 4, f"{value:.2f}".lstrip("0") if value < 1 else "1",
                    "paper" if value > 0.5 else "ink", "middle", min(SIZE, width * 0.42))


def _ramp(canvas: Canvas, x: float, y: float, width: float, label: str) -> None:
    """The key to a heatmap's shades, from 0 to 1."""
    for i in range(20):
        canvas.box(x + i * width / 20, y, width / 20, 7, "accent", 0.06 + 0.94 * i / 19)
    canvas.text(x, y + 22, "0", "muted")
    canvas.text(x + width / 2, y + 22, label, "muted", "middle")
    canvas.text(x + width, y + 22, "1", "muted", "end")


def histogram(edges: Sequence[float], everything: Sequence[int], kept: Sequence[int], look: Look, x_label: str,
              y_label: str) -> Canvas:
    """Bars of all counts, and within them those of the kept; edges has one more value than the counts."""
    left, right, top, bottom = 46, WIDTH - 14, 24, 150
    canvas = Canvas(WIDTH, bottom + 62)
    x_scale = Scale(edges[0], edges[-1], left, right)
    y_scale = Scale(0, max(1, max(everything)) * 1.04, bottom, top)
    _grid_y(canvas, y_scale, left, right, y_label)
    for low, high, total, stayed in zip(edges, edges[1:], everything, kept, strict=False):
        hint = f"{low:.4g} to {high:.4g}: {stayed} of {total} kept"
        for count, color in ((total, "faint"), (stayed, look.color)):
            if count:
                canvas.box(x_scale(low), y_scale(count), x_scale(high) - x_scale(low) - 0.4,
                           bottom - y_scale(count), color, hint=hint)
    canvas.line([(left, bottom), (right, bottom)], "muted")
    for value in x_scale.ticks():
        canvas.text(x_scale(value), bottom + 15, _tick_name(value), "muted", "middle")
    canvas.text((left + right) / 2, bottom + 32, x_label, "muted", "middle")
    for x, color, name in ((left, look.color, "kept"), (left + 70, "faint", "dropped")):
        canvas.box(x, bottom + 45, 11, 11, color)
        canvas.text(x + 16, bottom + 55, name)
    return canvas
