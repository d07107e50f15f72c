"""What ``duplicates`` found, as files: a table, a page with the pictures, and what is left as a coreset."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset import __version__
from ms_coreset.experiment.report.markup import Markup, count, join, tag
from ms_coreset.experiment.report.page import document, facts
from ms_coreset.experiment.report.sheets import BUDGET, embedded, strip
from ms_coreset.files import atomic_write
from ms_coreset.jobs.duplicates import NEAR, Duplicates
from ms_coreset.selectors.near_duplicates import EUCLIDEAN
from ms_coreset.tables import write_table

GROUPS, PICTURES, SIDE = 60, 6, 64  # at most: groups of a section, pictures of a group; pixels of a picture


@dataclass(frozen=True, kw_only=True)
class DuplicatesFiles:
    """What ``write_duplicates`` wrote.

    Attributes:
        table: every member of every group, .csv.
        page: the groups with their pictures, .html.
        kept: the training samples that are left, a coreset's .npz.
    """

    table: Path
    page: Path
    kept: Path


def write_duplicates(found: Duplicates, save: str | os.PathLike = "duplicates", *, name: str | None = None,
                     command: str = "mc.duplicates", loading: Mapping[str, Any] | None = None) -> DuplicatesFiles:
    """Write what was found to a folder: ``<name>.csv``, ``<name>.html`` and ``<name>-kept.npz``.

    Args:
        found: what ``duplicates`` found.
        save: the folder.
        name: of the files, by default the training split's.
        command: what to say it was found with.
        loading: the options by which ``coreset show`` loads the data set again, "dataset" and others by their names.

    Returns:
        The ``DuplicatesFiles``.

    Raises:
        MsCoresetError: when they can't be written, and where nothing would be left.
    """
    stem = Path(save) / (name or found.train.name)
    files = DuplicatesFiles(table=stem.with_name(f"{stem.name}.csv"), page=stem.with_name(f"{stem.name}.html"),
                            kept=stem.with_name(f"{stem.name}-kept.npz"))
    kept = found.kept
    kept.manifest.update({"command": command, "loading": dict(loading or {})})
    kept.save(files.kept)
    write_table(files.table, found.table())
    with atomic_write(files.page, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(document(f"{found.train.name}: duplicates", _body(found, files, command)))
    return files


def _body(found: Duplicates, files: DuplicatesFiles, command: str) -> Markup:
    sheets = _Sheets(found)
    both, equal = ~(found.leaks | found.conflicts), found.equal
    near = (f"a distance of at most {found.threshold:g}" if found.metric == EUCLIDEAN else
            f"a {'whitened ' if found.metric == 'whitened' else ''}cosine of at least {found.threshold:g}")
    parts = [("Training and test samples", found.leaks, "The test split tells less than it seems to where the network "
              "has trained on the same pictures."),
             ("Different labels", found.conflicts & ~found.leaks, "At most one of the labels is right."),
             ("The same", both & equal, "Of the same bytes, pixels or features."),
             ("Nearly the same", both & ~equal, f"Groups hang together by pairs of {near}: the first and the last of "
              "a large group need not be alike.")]
    total = sum(map(len, found.splits))
    members = found.groups.members
    lead = (f"{count(len(found.groups), 'group')} with {len(members):,} of {total:,} samples; "
            f"{len(found.dropped):,} of {len(found.train):,} training samples could be dropped.")
    told = facts([
        ("data", found.train.name), ("training samples", f"{len(found.train):,}"),
        ("test samples", "not looked at" if found.test is None else f"{len(found.test):,}"),
        ("compared", found.compared), ("near", near),
        ("groups across the splits", f"{int(found.leaks.sum()):,}"),
        ("groups of different labels", f"{int(found.conflicts.sum()):,}" if found.labels is not None
         else "no labels are known"),
        ("every member", files.table.name), ("what is left", files.kept.name)])
    return join(tag("header", tag("h1", f"Duplicates in {found.train.name}"), tag("p", lead, class_="lead"), told),
                *(sheets(title, np.flatnonzero(which), said) for title, which, said in parts),
                tag("section", tag("h2", "How to repeat it"),
                    tag("pre", f"{command}\nms_coreset {__version__}, Python {platform.python_version()}, numpy "
                               f"{np.__version__}")))


class _Sheets:
    """Makes the page's sections while it has room for pictures."""

    def __init__(self, found: Duplicates) -> None:
        self._found, self._left, self._each = found, BUDGET, found.groups.each()
        self._dropped = set(found.dropped.tolist())
        groups = found.groups
        self._row = {place: row for row, place in enumerate(groups.members.tolist())}

    def __call__(self, title: str, groups: np.ndarray, said: str) -> Markup | None:
        if not len(groups):
            return None
        nearness = {number: self._doubt(number) for number in groups.tolist()}
        shown = sorted(nearness, key=lambda number: (-nearness[number], number))[:GROUPS]
        rows = [self._group(number) for number in shown]
        more = "" if len(groups) <= GROUPS else f" The first {GROUPS} of {len(groups):,} groups; all are in the table."
        head = tag("tr", *(tag("th", word, scope="col") for word in ("group", "pictures", "samples")))
        sheet = tag("table", tag("thead", head), tag("tbody", *rows))
        return tag("section", tag("h2", f"{title}: {count(len(groups), 'group')}"),
                   tag("p", f"{said} Least alike first; dropped ones are framed in red.{more}"),
                   tag("div", sheet, class_="scroll sheet words", tabindex="0", role="region", aria_label=title))

    def _doubt(self, number: int) -> float:
        """How unlike the least alike member of a group is: larger is less alike."""
        rows = [self._row[place] for place in self._each[number].tolist()]
        nearness = self._found.groups.nearness[rows]
        return float(nearness.max() if self._found.metric == EUCLIDEAN else -nearness.min())

    def _group(self, number: int) -> Markup:
        places = self._each[number].tolist()
        shown = places[:PICTURES]
        more = [] if len(places) <= PICTURES else [tag("li", f"and {len(places) - PICTURES:,} more")]
        return tag("tr", tag("th", str(number), scope="row"), tag("td", self._pictures(shown)),
                   tag("td", tag("ul", *(tag("li", self._said(place)) for place in shown), *more)))

    def _pictures(self, places: Sequence[int]) -> str | Markup:
        samples = [self._found.place(place) for place in places]
        if any(split.images is None for split, _ in samples):
            return "no pictures"
        if self._left <= 0:
            return "left out, to keep the page small"
        images = np.stack([np.asarray(split.require_images()[row]) for split, row in samples])
        png = strip(images, np.array([place in self._dropped for place in places]), SIDE)
        self._left -= len(png) * 4 // 3
        return embedded(png, len(places), ", ".join(map(self._found.name, places)), SIDE)

    def _said(self, place: int) -> str:
        found, row = self._found, self._row[place]
        split, at = found.place(place)
        label = "" if split.known_labels is None else f", {split.classes[split.labels[at]]}"
        kind = found.kinds[row]
        how = f"{found.groups.nearness[row]:.3g} to" if kind == NEAR else f"same {kind} as"
        state = "" if not split.train else ", dropped" if place in self._dropped else ", kept"
        return f"{found.name(place)}{label}: {how} {found.name(int(found.groups.mates[row]))}{state}"
