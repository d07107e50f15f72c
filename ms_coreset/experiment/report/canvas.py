"""A drawing as a list of strokes, written as SVG that follows the page's colours, or as a PNG on white."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ms_coreset.experiment.report.markup import MINUS, MISSING, Markup, escape, join, tag
from ms_coreset.experiment.report.palette import LIGHT

if TYPE_CHECKING:
    from PIL import Image

Point = tuple[float, float]
Points = Sequence[Point]
SIZE = 11.5  # of text, in the drawing's units, which are pixels of a page at its natural size
_ANCHORS = {"start": "l", "middle": "m", "end": "r"}
# Pillow's own font has no glyph for these.
_PLAIN = str.maketrans({MINUS: "-", MISSING: "-", "÷": "/"})
_SIDES = {"triangle": (3, -90), "down": (3, 90), "pentagon": (5, -90), "diamond": (4, 0), "square": (4, 45)}
_STRETCH = {"triangle": 1.25, "down": 1.25, "square": 1.2, "diamond": 1.25, "pentagon": 1.15}


def text_width(text: str, size: float = SIZE) -> float:
    """About how wide a text is."""
    return 0.56 * size * len(text)


def shorten(text: str, width: float, size: float = SIZE) -> str:
    """``text``, or its start and "…" where it is wider than ``width``."""
    room = max(4, int(width / (0.56 * size)))
    return text if len(text) <= room else text[:room - 1] + "…"


def _outline(shape: str, x: float, y: float, radius: float) -> list[Point]:
    """Corners of a marker of straight sides."""
    sides, first = _SIDES[shape]
    radius *= _STRETCH[shape]
    angles = [math.radians(first + 360 * i / sides) for i in range(sides)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


class Canvas:
    """Strokes on ``width`` by ``height`` units, x to the right and y down; colours are roles of ``palette.LIGHT``.

    ``hint``: text that a browser shows when the pointer rests on the stroke.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._strokes: list[tuple[Any, ...]] = []  # the kind, and what it is drawn with

    def line(self, points: Points, color: str = "ink", width: float = 1.0, dash: Sequence[float] = (),
             hint: str | None = None) -> None:
        """A line through points (x, y)."""
        self._strokes.append(("line", points, color, width, dash, hint))

    def area(self, points: Points, color: str, opacity: float = 1.0, hint: str | None = None) -> None:
        """A filled polygon."""
        self._strokes.append(("area", points, color, opacity, hint))

    def box(self, x: float, y: float, width: float, height: float, color: str, opacity: float = 1.0,
            hint: str | None = None) -> None:
        """A filled rectangle."""
        self.area([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color, opacity, hint)

    def text(self, x: float, y: float, text: str | int, color: str = "ink", anchor: str = "start", size: float = SIZE,
             bold: bool = False) -> None:
        """Text whose baseline begins, has its middle or ends at (x, y)."""
        self._strokes.append(("text", x, y, text, color, anchor, size, bold))

    def marker(self, x: float, y: float, shape: str, color: str, radius: float = 3.5, opacity: float = 1.0,
               hint: str | None = None) -> None:
        """One of ``palette.MARKERS`` at (x, y)."""
        if shape in _SIDES:
            return self.area(_outline(shape, x, y, radius), color, opacity, hint)
        if shape == "circle":
            return self._strokes.append(("disc", x, y, radius, color, opacity, hint))
        arms = [(radius, 0), (0, radius)] if shape == "plus" else [(radius, radius), (radius, -radius)]
        for dx, dy in arms:
            self.line([(x - dx, y - dy), (x + dx, y + dy)], color, 1.9, hint=hint)
        return None

    def svg(self, description: str) -> Markup:
        """The drawing as an inline SVG element that a screen reader calls ``description``."""
        drawn = join(*(getattr(self, f"_svg_{kind}")(*stroke) for kind, *stroke in self._strokes))
        return Markup(f'<svg viewBox="0 0 {self.width} {_short(self.height)}" role="img" '
                      f'aria-label="{escape(description)}">{drawn}</svg>')

    def png(self, title: str = "", scale: int = 3) -> bytes:
        """The drawing below its title as the bytes of a PNG, ``scale`` pixels a unit."""
        from PIL import Image

        parts = [part._pixels(scale) for part in ((_heading(title, self.width), self) if title else (self,))]
        whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
        above = 0
        for part in parts:
            whole.paste(part, (0, above))
            above += part.height
        stream = io.BytesIO()
        whole.save(stream, "PNG", optimize=True)
        return stream.getvalue()

    def _pixels(self, scale: int) -> Image.Image:
        from PIL import Image

        fine = scale * 2  # Pillow draws without smoothing: twice as large, then halved
        image = Image.new("RGB", (round(self.width * fine), round(self.height * fine)), LIGHT["paper"])
        for kind, *stroke in self._strokes:
            getattr(self, f"_png_{kind}")(_Pen(image, fine), *stroke)
        return image.resize((round(self.width * scale), round(self.height * scale)), Image.Resampling.LANCZOS)

    @staticmethod
    def _svg_line(points: Points, color: str, width: float, dash: Sequence[float], hint: str | None) -> Markup:
        return tag("path", _hint(hint), class_=f"s-{color}", d=_path(points), stroke_width=_short(width),
                   stroke_dasharray=" ".join(map(str, dash)) or None)

    @staticmethod
    def _svg_area(points: Points, color: str, opacity: float, hint: str | None) -> Markup:
        return tag("path", _hint(hint), class_=f"f-{color}", d=_path(points) + "Z", fill_opacity=_faint(opacity))

    @staticmethod
    def _svg_disc(x: float, y: float, radius: float, color: str, opacity: float, hint: str | None) -> Markup:
        return tag("circle", _hint(hint), class_=f"f-{color}", cx=_short(x), cy=_short(y), r=_short(radius),
                   fill_opacity=_faint(opacity))

    @staticmethod
    def _svg_text(x: float, y: float, text: str | int, color: str, anchor: str, size: float, bold: bool) -> Markup:
        return tag("text", text, class_=f"f-{color}", x=_short(x), y=_short(y),
                   text_anchor=None if anchor == "start" else anchor, font_size=None if size == SIZE else _short(size),
                   font_weight="600" if bold else None)

    @staticmethod
    def _png_line(pen: _Pen, points: Points, color: str, width: float, dash: Sequence[float],
                  hint: str | None) -> None:
        for piece in _dashes(points, dash) if dash else [points]:
            pen.draw.line(pen.scale_points(piece), LIGHT[color], max(1, round(width * pen.scale)), joint="curve")

    @staticmethod
    def _png_area(pen: _Pen, points: Points, color: str, opacity: float, hint: str | None) -> None:
        pen.fill("polygon", pen.scale_points(points), color, opacity)

    @staticmethod
    def _png_disc(pen: _Pen, x: float, y: float, radius: float, color: str, opacity: float, hint: str | None) -> None:
        pen.fill("ellipse", pen.scale_points([(x - radius, y - radius), (x + radius, y + radius)]), color, opacity)

    @staticmethod
    def _png_text(pen: _Pen, x: float, y: float, text: str | int, color: str, anchor: str, size: float,
                  bold: bool) -> None:
        from PIL import ImageFont

        pen.draw.text((x * pen.scale, y * pen.scale), str(text).translate(_PLAIN), LIGHT[color],
                      ImageFont.load_default(size * pen.scale), _ANCHORS[anchor] + "s",
                      stroke_width=round(pen.scale * 0.25) if bold else 0)


class _Pen:
    """Where a PNG's strokes go, and how many pixels a unit has."""

    def __init__(self, image: Image.Image, scale: int) -> None:
        from PIL import ImageDraw

        self.image, self.scale, self.draw = image, scale, ImageDraw.Draw(image, "RGBA")

    def scale_points(self, points: Points) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def fill(self, shape: str, points: Points, color: str, opacity: float) -> None:
        red, green, blue = (int(LIGHT[color][i:i + 2], 16) for i in (1, 3, 5))
        getattr(self.draw, shape)(points, (red, green, blue, round(255 * opacity)))


def _heading(title: str, width: float) -> Canvas:
    """A title as a drawing of its own, in as many lines as it takes."""
    rows = textwrap.wrap(title, int((width - 8) / text_width("x", 13)))
    canvas = Canvas(width, 20 * len(rows) + 6)
    for i, row in enumerate(rows):
        canvas.text(4, 20 * i + 18, row, size=13, bold=True)
    return canvas


def _hint(hint: str | None) -> Markup | None:
    return tag("title", hint) if hint else None


def _faint(opacity: float) -> str | None:
    return None if opacity == 1 else _short(opacity, 2)


def _short(number: float, digits: int = 1) -> str:
    return f"{round(float(number), digits):g}"


def _path(points: Points) -> str:
    return "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points)


def _dashes(points: Points, dash: Sequence[float]) -> list[list[Point]]:
    """The pieces of a line that a pattern of dash and gap lengths leaves."""
    pattern = list(dash) * (1 + len(dash) % 2)
    piece, place, left, pieces = [points[0]], 0, pattern[0], []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length, gone = math.hypot(x1 - x0, y1 - y0), 0.0
        while length - gone > left:
            gone += left
            corner = (x0 + (x1 - x0) * gone / length, y0 + (y1 - y0) * gone / length)
            if place % 2 == 0:
                pieces.append([*piece, corner])
            place = (place + 1) % len(pattern)
            piece, left = [corner], pattern[place]
        left -= length - gone
        piece.append((x1, y1))
    return pieces + ([piece] if place % 2 == 0 and len(piece) > 1 else [])
