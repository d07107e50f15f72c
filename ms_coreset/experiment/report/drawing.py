"""Figures that matplotlib draws: as SVG that follows the page's colours, and as PNG or PDF on white.

Text stays text. Every colour is one of ``palette.LIGHT``, and becomes that role's class in a page; where an artist's
``gid`` begins with ``HINT``, a browser shows the rest when the pointer rests on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.markup import Markup, join, tag
from ms_coreset.experiment.report.palette import LIGHT
from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath
from ms_coreset.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

WIDTH = 400  # of a figure, in units that are points on paper and pixels of a page at its natural size
SIZE = 11.5  # of text
HINT = "hint: "
_PER_INCH = 72
_STYLE: dict[str, Any] = {
    "figure.dpi": _PER_INCH, "figure.facecolor": LIGHT["paper"], "savefig.facecolor": "auto",
    "figure.constrained_layout.h_pad": 0.03, "figure.constrained_layout.w_pad": 0.03,
    "font.family": "DejaVu Sans", "font.size": SIZE, "text.color": LIGHT["ink"], "text.parse_math": False,
    "axes.facecolor": "none", "axes.labelcolor": LIGHT["muted"], "axes.labelsize": SIZE, "axes.labelpad": 5,
    "axes.titlelocation": "left", "axes.titlesize": SIZE, "axes.titlecolor": LIGHT["muted"], "axes.titlepad": 7,
    "axes.axisbelow": True, "axes.xmargin": 0.06, "axes.ymargin": 0.07,
    "axes.grid": True, "grid.color": LIGHT["grid"], "grid.linewidth": 1,
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.{what}": value for axis in "xy" for what, value in (
        ("major.size", 0), ("minor.size", 0), ("major.pad", 5), ("labelsize", SIZE), ("color", LIGHT["muted"]))},
    "lines.linewidth": 2, "lines.markersize": 7, "lines.markeredgewidth": 0, "lines.scale_dashes": False,
    "legend.frameon": False, "legend.fontsize": SIZE, "legend.handlelength": 2.2, "legend.borderaxespad": 0.2,
    "path.simplify": False, "svg.fonttype": "none", "svg.hashsalt": "ms_coreset", "pdf.fonttype": 42,
}
_UNDATED = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {}}
_ROLES = {color: role for role, color in reversed(LIGHT.items())}
_ROOM = 52  # letters of a title in a line


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Within it matplotlib draws as a report does, whatever the user's settings are.

    Raises:
        MsCoresetError: where matplotlib is not installed.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise MsCoresetError('a report is drawn by matplotlib: pip install "ms-coreset[report]"') from error
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in scripts that a page's fonts do have
        yield


def new_axes(height: float) -> Axes:
    """Axes in a figure of their own, ``height`` units high."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(WIDTH / _PER_INCH, height / _PER_INCH), layout="constrained").add_subplot()


@dataclass(frozen=True)
class Figure:
    """A drawing with what stands above it and what a screen reader says instead of it. ``name`` is its file's stem."""

    name: str
    title: str
    description: str
    drawing: Drawing

    def svg(self) -> Markup:
        """The drawing as an inline SVG element."""
        self.drawing.patch.set_visible(False)
        root = ElementTree.fromstring(self._drawn("svg"))
        inner = _Inline(hashlib.blake2b(self.name.encode(errors="replace"), digest_size=4).hexdigest()).children(root)
        return tag("svg", inner, viewBox=root.get("viewBox"), role="img",
                   aria_label=f"{self.title}. {self.description}")

    def save(self, folder: FilePath, kind: str) -> None:
        """Write the drawing to ``folder`` as "png", below its title, or "pdf", alone."""
        stem = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.name)
        self.drawing.patch.set_visible(True)
        drawn = self._titled() if kind == "png" else self._drawn(kind)
        with atomic_write(f"{folder}/{stem}.{kind}") as stream:
            stream.write(drawn)

    def _titled(self) -> bytes:
        rows = textwrap.wrap(one_line(self.title), _ROOM)
        height, above = self.drawing.get_figheight(), 20 * len(rows) / _PER_INCH
        self.drawing.set_figheight(height + above)
        title = self.drawing.suptitle("\n".join(rows), x=0.01, ha="left", fontsize=SIZE + 1, fontweight="bold")
        drawn = self._drawn("png")
        title.remove()
        self.drawing.set_figheight(height)
        return drawn

    def _drawn(self, kind: str) -> bytes:
        stream = io.BytesIO()
        with styled():
            self.drawing.savefig(stream, format=kind, dpi=3 * _PER_INCH if kind == "png" else "figure",
                                 metadata=_UNDATED[kind])
        return stream.getvalue()


class _Inline:
    """Turns matplotlib's SVG into the least that a page needs: no style of its own, no name that another figure has.

    Colours become classes of their roles, fonts those of the page; numbers have one digit after the point. Nothing is
    clipped: what is drawn lies within its axes.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._markers: dict[str, str] = {}  # a marker's outline -> its name here
        self._names: dict[str, str] = {}  # matplotlib's name of a marker -> its name here

    def children(self, element: ElementTree.Element) -> Markup:
        return join(*(self._element(child) for child in element))

    def _element(self, element: ElementTree.Element) -> Markup | None:
        name = element.tag.rpartition("}")[2]
        if name in ("metadata", "style", "clipPath"):
            return None
        if name == "defs":
            inner = self.children(element)
            return tag("defs", inner) if inner else None
        if name == "g":
            inner, hint = self.children(element), element.get("id", "").partition(HINT)[2]
            return tag("g", tag("title", hint), inner) if hint and inner else inner
        return self._marker(element) if name == "path" and "id" in element.attrib else self._shape(name, element)

    def _marker(self, element: ElementTree.Element) -> Markup | None:
        """A marker's outline, where the figure has none like it yet."""
        outline, known = _path(element.attrib["d"]), len(self._markers)
        self._names[element.attrib["id"]] = named = self._markers.setdefault(outline, f"{self._prefix}-{known}")
        return _empty("path", id=named, d=outline) if len(self._markers) > known else None

    def _shape(self, name: str, element: ElementTree.Element) -> Markup | None:
        """A path, a ``use`` of a marker, or a text; None for what is not seen."""
        style = dict(entry.split(": ", 1) for entry in re.split("; *", element.get("style", "")) if entry)
        drawn = {what: _number(value) for what, value in element.items() if what in ("x", "y")}
        drawn |= {what: _number(style[what]) for what in ("stroke-width", "stroke-opacity", "fill-opacity", "opacity")
                  if what in style}
        if "stroke-dasharray" in style:
            drawn["stroke-dasharray"] = style["stroke-dasharray"].replace(",", " ")
        if style.get("stroke-linecap") == "round":
            drawn["stroke-linecap"] = "round"
        if not (classes := _classes(style)) or (name == "path" and not element.get("d")):
            return None
        if name == "text":
            return tag(name, element.text, class_=classes, **drawn, **_words(element, style))
        if name == "use":
            target = next(value for what, value in element.items() if what.endswith("href"))
            return _empty(name, class_=classes, href=f"#{self._names[target[1:]]}", **drawn)
        return _empty(name, class_=classes, d=_path(element.attrib["d"]), **drawn)


def _empty(name: str, **attributes: object) -> Markup:
    """An element without content, as short as SVG in a page allows."""
    return Markup(tag(name, **attributes).replace(f"></{name}>", "/>"))


def _classes(style: dict[str, str]) -> str:
    stroke, fill = style.get("stroke", "none"), style.get("fill", "#000000" if "stroke" not in style else "none")
    return " ".join(f"{letter}-{_ROLES.get(color, 'ink')}" for letter, color in (("s", stroke), ("f", fill))
                    if color != "none")


def _words(element: ElementTree.Element, style: dict[str, str]) -> dict[str, str]:
    """What sets a text apart: its anchor, and its size where that is not the page's."""
    found = {}
    if style.get("text-anchor", "start") != "start":
        found["text-anchor"] = style["text-anchor"]
    size = re.search(r"([\d.]+)px", element.get("style", ""))
    if size and float(size[1]) != SIZE:
        found["font-size"] = _number(size[1])
    return found


def _number(text: str) -> str:
    value = float(text)
    return re.sub(r"^(-?)0\.", r"\1.", f"{round(value, 1 if abs(value) >= 2 else 2) + 0.0:g}")


def _path(text: str) -> str:
    """A path's commands without needless spaces; a line of no length, which is a dot, is told in short."""
    rounded = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", lambda found: _number(found[0]), " ".join(text.split()))
    dots = re.sub(r"M (\S+) (\S+) L \1 \2(?= |$)", r"M \1 \2 h 0", rounded)
    return re.sub(r" ?([a-zA-Z]) ?", r"\1", dots)
