"""The kinds of charts a report has, drawn from plain numbers. Widths fit a phone; a page sets them side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.experiment.report.drawing import HINT, SIZE, new_axes, styled
from ms_coreset.experiment.report.markup import MINUS
from ms_coreset.experiment.report.palette import LIGHT, Look
from ms_coreset.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Drawing

_ROW = 19
_TICKS, _APART = 6, 0.085  # ticks that may have names of their own, and how far apart, as a share of the axis
_MARKED = 20  # points of a line that all have markers
_SHADES = (0, 0.25, 0.5, 0.75, 1)  # in the key of a heatmap
_LETTERS = 22  # of a name beside a chart or below it


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


def lines(series: Sequence[Series], x_label: str, y_label: str, references: Sequence[tuple[str, Look, float]] = (),
          log: bool = False) -> Drawing:
    """Lines with whiskers; of many points some have a marker.

    Args:
        series: what is drawn, each with its x and y values and spreads
        x_label: of the x axis
        y_label: of the y axis
        references: (name, look, y) of lines across the whole width
        log: whether the x axis is logarithmic

    Returns:
        The drawing.
    """
    front, gray = [one for one in series if one.front], [one for one in series if not one.front]
    with styled():
        entries = len(front) + len(references) + bool(gray)
        axes = new_axes(310 + _ROW * math.ceil(entries / 2))
        axes.set_xscale("log" if log else "linear")
        others = [_line(axes, one) for one in gray]
        named = [(one.name, _line(axes, one, place - (len(front) - 1) / 2)) for place, one in enumerate(front)]
        named += [(name, axes.axhline(y, color=LIGHT[look.color], linestyle=(0, look.dash), linewidth=1.5,
                                      gid=_hint(name))) for name, look, y in references]
        axes.autoscale_view()
        axes.set_ylim(max(axes.get_ylim()[0], 0))
        axes.set_title(y_label)
        axes.set_xlabel(x_label)
        _set_ticks(axes.xaxis, sorted({x for one in series for x in one.xs}), log)
        _set_ticks(axes.yaxis)
        return _with_legend(axes, [*named, *(("the other methods", one) for one in others[:1])])


def _line(axes: Axes, series: Series, aside: float = 0) -> Artist:
    """A line; its whiskers stand ``aside`` of the place they belong to, so that those of several can be told apart."""
    from matplotlib.transforms import ScaledTranslation

    look, width = series.look, 2 if series.front else 1
    shifted = axes.transData + ScaledTranslation(2.6 * aside / 72, 0, axes.figure.dpi_scale_trans)
    spreads = [spread if spread and series.front else math.nan for spread in series.spreads]
    if np.isfinite(spreads).any():
        axes.errorbar(series.xs, series.ys, spreads, fmt="none", ecolor=LIGHT[look.color], elinewidth=1.2, capsize=2.5,
                      capthick=1.2, transform=shifted)
    every = 1 if len(series.xs) <= _MARKED else math.ceil(len(series.xs) / 6)
    (line,) = axes.plot(series.xs, series.ys, color=LIGHT[look.color], linewidth=width, linestyle=(0, look.dash),
                        transform=shifted, gid=_hint(series.name), markevery=every,
                        **_marks(look, 7 if series.front else 4))
    ends = [(y - spread, y + spread) for y, spread in zip(series.ys, np.nan_to_num(spreads), strict=True)]
    axes.update_datalim([(x, y) for x, pair in zip(series.xs, ends, strict=True) for y in pair])
    return line


def _marks(look: Look, size: float) -> dict[str, Any]:
    """Arguments of ``Axes.plot`` that draw a look's marker."""
    size *= 0.8 if look.marker == "D" else 1  # of which matplotlib counts the sides, not the height
    return {"marker": look.marker, "markersize": size, "markeredgewidth": 1.9 if look.marker in "x+" else 0}


def rows(entries: Sequence[Row], x_label: str, references: Sequence[tuple[str, float]] = (),
         include: Sequence[float] = ()) -> Drawing:
    """A line each: name, value, interval and single values along a common axis.

    Args:
        entries: what is drawn, a line each
        x_label: of the axis
        references: (name, x) of upright lines
        include: values that the axis must reach

    Returns:
        The drawing.
    """
    with styled():
        axes = new_axes(48 + _ROW * (len(entries) + bool(references)))
        for name, x in references:
            axes.axvline(x, color=LIGHT["muted"], linewidth=1.3, linestyle=(0, (4, 3)), gid=_hint(name))
            axes.annotate(name, (x, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points",
                          ha="center", color=LIGHT["muted"], fontsize=SIZE - 1)
        for place, row in enumerate(entries):
            _row(axes, row, place)
        axes.set_ylim(len(entries) - 0.4, -0.6)
        axes.set_yticks(range(len(entries)), [_shorten(row.name) for row in entries], color=LIGHT["ink"])
        axes.grid(False, axis="y")
        axes.update_datalim([(x, 0) for x in include])
        axes.autoscale_view()
        axes.set_xlabel(x_label)
        _set_ticks(axes.xaxis)
        return _drawing(axes)


def _row(axes: Axes, row: Row, y: int) -> None:
    color = LIGHT[row.look.color]
    told: dict[str, Any] = {"gid": _hint(row.hint)}
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=color, linewidth=0.8 if row.value is None else 1.8, **told)
    if row.dots:
        axes.plot(row.dots, [y] * len(row.dots), "o", color=color, alpha=0.5,
                  markersize=5.6 if row.value is None else 4)
    if row.value is not None:
        axes.plot(row.value, y, color=color, linestyle="none", **_marks(row.look, 8), **told)


def scatter(series: Sequence[Series], x_label: str, y_label: str) -> Drawing:
    """Points, the x axis by its logarithm; each ``Series`` has one point."""
    with styled():
        front = sum(one.front for one in series)
        axes = new_axes(270 + _ROW * math.ceil((front + (front < len(series))) / 2))
        axes.set_xscale("log")
        named: dict[str, Artist] = {}
        for one in sorted(series, key=lambda one: one.front):
            axes.errorbar(one.xs, one.ys, [one.spreads[0] or 0], fmt="none", ecolor=LIGHT[one.look.color],
                          elinewidth=1.2)
            (point,) = axes.plot(one.xs, one.ys, color=LIGHT[one.look.color], linestyle="none", gid=_hint(one.name),
                                 **_marks(one.look, 9 if one.front else 6))
            named.setdefault(one.name if one.front else "the other methods", point)
        axes.set_xlim(min(one.xs[0] for one in series) / 1.5, max(one.xs[0] for one in series) * 1.5)
        axes.set_title(y_label)
        axes.set_xlabel(x_label)
        _set_ticks(axes.xaxis, log=True)
        _set_ticks(axes.yaxis)
        return _with_legend(axes, sorted(named.items(), key=lambda entry: entry[0] == "the other methods"))


def heatmap(names: Sequence[str], matrix: np.ndarray, label: str) -> Drawing:
    """A square of cells (m, m) in [0, 1], NaN left empty; columns carry the rows' numbers."""
    from matplotlib.patches import Rectangle

    count = len(names)
    with styled():
        axes = new_axes(56 + max(260 / count, 15 if count > 8 else 30) * count)
        for i, j in np.argwhere(np.isfinite(matrix)):
            value, who = matrix[i, j], f"{names[i]}, {names[j]}"
            axes.add_patch(Rectangle((j - 0.49, i - 0.48), 0.98, 0.96, color=LIGHT["accent"], linewidth=0,
                                     alpha=_shade(value), gid=_hint(f"{who}: {value:.3f}")))
            if count <= 12:
                axes.text(j, i, f"{value:.2f}".lstrip("0") if value < 1 else "1", ha="center", va="center",
                          color=LIGHT["paper" if value > 0.5 else "ink"], fontsize=min(SIZE, 60 / count + 4))
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.grid(False)
        axes.xaxis.tick_top()
        shown = range(0, count, 1 if count <= 20 else 2)
        axes.set_xticks(shown, [str(i + 1) for i in shown])
        axes.set_yticks(range(count), [f"{_shorten(name)}  {i}" for i, name in enumerate(names, 1)],
                        color=LIGHT["ink"])
        key = [Rectangle((0, 0), 1, 1, color=LIGHT["accent"], linewidth=0, alpha=_shade(share)) for share in _SHADES]
        axes.figure.legend(key, [f"{share:g}" for share in _SHADES], title=label, loc="outside lower center",
                           ncols=len(_SHADES))
        return _drawing(axes)


def _shade(value: float) -> float:
    """Opacity of a heatmap's cell."""
    return 0.06 + 0.94 * value


def scatter_map(places: np.ndarray, kept: np.ndarray, bad: np.ndarray | None, labels: tuple[str, str]) -> Drawing:
    """Dots at ``places`` (m, 2), those of the kept (m,) in colour, those of the bad (m,) within a ring."""
    from matplotlib.lines import Line2D

    with styled():
        axes = new_axes(310)
        if bad is not None:
            _dots(axes, places[bad], "alarm", 8)
            _dots(axes, places[bad], "paper", 5.6)
        _dots(axes, places[~kept], "faint", 3)
        _dots(axes, places[kept], "accent", 4)
        axes.autoscale_view()
        axes.set(xlabel=labels[0], title=labels[1], xticks=[], yticks=[])
        looks = [("kept", "accent", 5, 0), ("dropped", "faint", 4, 0), ("bad", "alarm", 7, 1.2)]
        named = [(name, Line2D([], [], marker="o", linestyle="none", color=LIGHT[color], markersize=size,
                               markeredgewidth=rim, markerfacecolor="none" if rim else LIGHT[color]))
                 for name, color, size, rim in looks[:2 if bad is None else 3]]
        return _with_legend(axes, named, 3)


def _dots(axes: Axes, places: np.ndarray, color: str, size: float) -> None:
    """Dots as one line whose round pieces have next to no length, which takes a fifth of a marker's room in a page."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(places):
        return
    ends = places + np.array([1e-6 * np.ptp(places[:, 0]) + 1e-12, 0])
    codes = np.tile([Path.MOVETO, Path.LINETO], len(places))
    path = Path(np.stack([places, ends], axis=1).reshape(-1, 2), codes)
    axes.add_patch(PathPatch(path, fill=False, edgecolor=LIGHT[color], linewidth=size, capstyle="round",
                             snap=False))


def histogram(edges: Sequence[float], everything: Sequence[int], kept: Sequence[int], look: Look, x_label: str,
              y_label: str) -> Drawing:
    """Bars of all counts, and within them those of the kept; edges has one more value than the counts."""
    with styled():
        axes = new_axes(230)
        widths = 0.95 * np.diff(edges)
        named: dict[str, Any] = {}
        for name, counts, color in (("dropped", everything, "faint"), ("kept", kept, look.color)):
            named[name] = axes.bar(edges[:-1], counts, widths, align="edge", color=LIGHT[color])
            for bar, low, high, total, stayed in zip(named[name], edges, edges[1:], everything, kept, strict=False):
                bar.set_gid(_hint(f"{low:.4g} to {high:.4g}: {stayed} of {total} kept"))
        axes.grid(False, axis="x")
        axes.axhline(0, color=LIGHT["muted"], linewidth=1)
        axes.set_ylim(0, max(1, *everything) * 1.04)
        axes.set_title(y_label)
        axes.set_xlabel(x_label)
        _set_ticks(axes.xaxis)
        _set_ticks(axes.yaxis)
        return _with_legend(axes, [(name, named[name]) for name in ("kept", "dropped")])


def _set_ticks(axis: Axis, values: Sequence[float] = (), log: bool = False) -> None:
    """Ticks at ``values`` where those are few and apart, else at round ones; named by plain numbers."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

    places = np.log(values) if log else np.asarray(values)
    gaps = np.diff(places)
    if len(places) == 1 or (1 < len(places) <= _TICKS and gaps.min() >= _APART * gaps.sum()):
        axis.set_major_locator(FixedLocator(list(values)))
    elif log:
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=_TICKS))
    else:
        axis.set_major_locator(MaxNLocator(_TICKS, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", MINUS))


def _with_legend(axes: Axes, entries: Iterable[tuple[str, Artist]], columns: int = 2) -> Drawing:
    """The drawing with names and their looks in columns below the axes."""
    names, artists = zip(*((_shorten(name), artist) for name, artist in entries), strict=True)
    axes.figure.legend(artists, names, loc="outside lower left", ncols=columns)
    return _drawing(axes)


def _drawing(axes: Axes) -> Drawing:
    drawing: Any = axes.figure  # which is no part of another
    return drawing


def _shorten(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= _LETTERS else f"{name[:_LETTERS - 1]}…"


def _hint(text: str | None) -> str | None:
    return text and HINT + one_line(text)
