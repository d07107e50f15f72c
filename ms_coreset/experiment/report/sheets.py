"""Contact sheets: the images of each class that a method wants most and least."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets import default_overlay_path, load_dataset
from ms_coreset.datasets.family import find_dataset
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.markup import Markup, join, rate_name, tag
from ms_coreset.experiment.report.study import BASELINE, Run
from ms_coreset.identity import misfit
from ms_coreset.kinds import FilePath

if TYPE_CHECKING:
    from ms_coreset.experiment.report.section_report import SectionReport

SHEETS, CLASSES, PICTURES = 6, 10, 4  # at most: methods of a section, classes of a method, images of a class
SIDE = 36  # of an image, in pixels
BUDGET = 2_500_000  # bytes of all sheets of a page
_GAP, _FRAME = 3, (214, 60, 40)
_DRAWN = ("-strata", "-random", "-weighted_random")


def wanted_order(coreset: Coreset) -> tuple[np.ndarray, bool] | None:
    """The order in which a coreset's method wants the samples, by what it kept; (best first, all of them or only kept).

    By score where samples are kept from one end of it; by nearness to the middle rank of the kept for the middle
    window (``moderate``, ``...-window``); without scores the order of picking, which says nothing of the dropped.
    Returns ``(places, whether the dropped are ordered, too)``, or None where samples are drawn at random.
    """
    if coreset.method in (BASELINE, "full", "ccs") or coreset.method.endswith(_DRAWN):
        return None
    if coreset.scores is None:
        return coreset.indices, False
    places = np.flatnonzero(np.isfinite(coreset.scores))
    ranked = places[np.argsort(coreset.scores[places], kind="stable")]
    kept = np.flatnonzero(coreset.keep_mask[ranked])
    if coreset.method == "moderate" or coreset.method.endswith("-window"):
        away = np.abs(np.arange(len(ranked)) - np.median(kept))
        return ranked[np.argsort(away, kind="stable")], True
    upwards = np.mean(kept) < (len(ranked) - 1) / 2  # some variants keep the low end
    return (ranked if upwards else ranked[::-1]), True


class Sheets:
    """Makes a section's contact sheets while the page has room for them.

    Args:
        root: folder of the data sets
        methods: names to show, or None for the first ``SHEETS``
    """

    def __init__(self, root: FilePath, methods: Sequence[str] | None = None) -> None:
        self._root, self._methods, self._left = root, methods, BUDGET
        self._splits: dict[str, Split] = {}

    def __call__(self, report: SectionReport) -> Markup | None:
        """The sheets of a ``SectionReport``'s detail rate, or a word about why there are none."""
        shown = self._first_coresets(report)
        if not shown and not self._methods:
            return None
        try:
            split = self._split(report.section.first)
        except MsCoresetError as error:
            return self._part(tag("p", f"No contact sheets: {error}", class_="note"))
        if split.images is None:
            return self._part(tag("p", f"No contact sheets: {split.name} has no images.", class_="note"))
        sheets = (self._sheet(split, name, *coreset) for name, coreset in shown.items())
        return self._part(tag("p", self._explanation(report, split, shown)), tag("div", *sheets, class_="grid sheets"))

    @staticmethod
    def _part(*children: object) -> Markup:
        return tag("div", tag("h3", "Most and least wanted images"), *children, class_="part")

    def _first_coresets(self, report: SectionReport) -> dict[str, tuple[int, Coreset]]:
        """{method: (seed, coreset)} of the first seed, for the methods that order samples.

        Unless they are named: those that order the dropped, too, before the others, and those that lead before the
        rest.
        """
        first = {name: found for name, found in report.first_coresets().items() if wanted_order(found[1]) is not None}
        if self._methods is not None:
            named = map(report.section.method_named, self._methods)
            return {name: first[name] for name in named if name in first}
        chosen = sorted(first, key=lambda name: (first[name][1].scores is None, name not in report.leaders))
        return {name: first[name] for name in chosen[:SHEETS]}

    def _explanation(self, report: SectionReport, split: Split, shown: Collection[str]) -> str:
        said = (f"{rate_name(report.shown_rate)} kept, first seed, {PICTURES} of a class, best first. Least wanted: "
                "the last in the method's order; methods without scores have none.")
        if self._methods is None:
            said += " --sheets names other methods to show."
        elif left_out := [name for name in self._methods if report.section.method_named(name) not in shown]:
            said += f" Not in this section, or without an order to show: {', '.join(left_out)}."
        if split.num_classes > CLASSES:
            said += f" The first {CLASSES} of {split.num_classes} classes."
        return said + (" Bad samples are framed in red and counted." if split.bad is not None else "")

    def _split(self, run: Run) -> Split:
        name = run.data_name
        if name not in self._splits:
            self._splits[name] = _load(name, self._root)
        return self._splits[name]

    def _sheet(self, split: Split, name: str, seed: int, coreset: Coreset) -> Markup:
        if (reason := misfit(coreset, split, "the data here")) is not None:
            return tag("p", f"{name}: the coreset {reason}; give the study's data with --data", class_="note")
        if self._left <= 0:
            return tag("p", f"{name}: left out, to keep the page small; name the methods to show", class_="note")
        wanted = wanted_order(coreset)
        assert wanted is not None  # those that want nothing most are not shown
        order, whole = wanted
        rows = []
        for label in range(min(split.num_classes, CLASSES)):
            of_class = order[split.labels[order] == label]
            best = self._strip(split, of_class[:PICTURES], f"most wanted of {split.classes[label]}")
            worst = self._strip(split, of_class[PICTURES:][::-1][:PICTURES],
                                f"least wanted of {split.classes[label]}") if whole else None
            rows.append(tag("tr", tag("th", split.classes[label], scope="row"), tag("td", best),
                            tag("td", worst) if whole else None))
        head = tag("tr", tag("th", "class", scope="col"), tag("th", "most wanted", scope="col"),
                   tag("th", "least wanted", scope="col") if whole else None)
        sheet = tag("table", tag("caption", f"{name}, seed {seed}"), tag("thead", head), tag("tbody", *rows))
        return tag("div", sheet, class_="scroll sheet", tabindex="0", role="region", aria_label=f"{name}: images")

    def _strip(self, split: Split, places: np.ndarray, what: str) -> str:
        """Images side by side as one embedded PNG, bad ones framed."""
        if not len(places):
            return "none"
        bad = np.zeros(len(places), bool) if split.bad is None else split.bad[places]
        png = strip(np.asarray(split.require_images()[np.asarray(places)]), bad)
        self._left -= len(png) * 4 // 3
        counted = None if split.bad is None else tag("small", f"{int(bad.sum())} of {len(places)} bad")
        return join(embedded(png, len(places), f"{what}: samples {', '.join(map(str, places))}"), counted)


def _load(name: str, root: FilePath) -> Split:
    _, letter, _ = find_dataset(name)
    if letter and not default_overlay_path(root, name).exists():  # a report makes no data
        raise MsCoresetError(f"{default_overlay_path(root, name)} is not there; give the folder of the study's data "
                             "with --data")
    split = load_dataset(name, root, train=True, download=False, log=lambda line: None)
    assert split is not None  # a set may lack test samples only
    return split


def strip(images: np.ndarray, framed: np.ndarray, side: int = SIDE) -> bytes:
    """Images side by side as a PNG file, some of them framed."""
    from PIL import Image

    sheet = Image.new("RGBA", ((side + _GAP) * len(images) - _GAP, side), (0, 0, 0, 0))
    for i, (pixels, marked) in enumerate(zip(images, framed, strict=True)):
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
        inner = side - 6 if marked else side
        sampling = Image.Resampling.NEAREST if max(picture.size) < inner else Image.Resampling.LANCZOS
        tile = Image.new("RGB", (side, side), _FRAME)
        tile.paste(picture.resize((inner, inner), sampling), ((side - inner) // 2, (side - inner) // 2))
        sheet.paste(tile, (i * (side + _GAP), 0))
    stream = io.BytesIO()
    sheet.quantize(128, Image.Quantize.FASTOCTREE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def embedded(png: bytes, count: int, alt: str, side: int = SIDE) -> Markup:
    """An image element that holds a ``strip`` of ``count`` images."""
    return tag("img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}",
               width=(side + _GAP) * count - _GAP, height=side, alt=alt)
