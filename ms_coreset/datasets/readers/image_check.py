"""Finds the images of a data set that can't be decoded: tries all once, in threads, and keeps the result in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.json_files import read_json, write_json
from ms_coreset.progress import Progress

if TYPE_CHECKING:
    from ms_coreset.datasets.readers.image_files import StoredImages
    from ms_coreset.datasets.split import Split

_BLOCK = 256
_NAMED = 5
_known: dict[str, dict] = {}  # results of this process by digest, because the file may not be writable


class Check:
    """Finds the image files of a data set that can't be decoded.

    Args:
        parts: split ("train", "test") -> its ``StoredImages``.
        path: file that the result is kept in. It is read from there while names, sizes and times of change are the
            same.

    Attributes:
        broken: split -> {place: why it can't be decoded}.
    """

    def __init__(self, parts: dict[str, StoredImages], path: Path) -> None:
        self._parts, self._path, self._digest = parts, path, _digest_of(parts)
        self._kept = True
        known = _known.get(self._digest) or self._read()
        self.broken = self._find() if known is None else known
        if known is None:
            self._write()
        _known[self._digest] = self.broken

    def require_none(self, name: str) -> None:
        """Check that no image is broken.

        Args:
            name: of the data set.

        Raises:
            MsCoresetError: if any image is broken; it names some of them and the file that lists all.
        """
        if lines := self._lines():
            named = "; ".join(lines[:_NAMED]) + ("; ..." if len(lines) > _NAMED else "")
            raise MsCoresetError(f"{len(lines):,} of {self._total:,} images of {name} can't be used: {named}"
                                 f"{self._list()}; get them anew, delete them, or leave them out with --skip-broken")

    def whole(self, split: Split, part: str) -> tuple[Split, str | None]:
        """A split without its broken images.

        Args:
            split: the split.
            part: which it is, "train" or "test".

        Returns:
            (the split without them, a line for the user that says so, or None if none is broken).

        Raises:
            MsCoresetError: where all images of a class of the training split are broken.
        """
        broken = self.broken.get(part)
        if not broken:
            return split, None
        rest = split.subset(np.setdiff1d(np.arange(len(split)), list(broken)))
        if part == "train" and (lost := np.setdiff1d(split.labels, rest.labels)).size:
            raise MsCoresetError(f"{split.name}: no image of class {split.classes[lost[0]]} can be used"
                                 f"{self._list()}")
        return rest, (f"{len(broken):,} of {len(split):,} images of {split.name}, {part}, can't be used and are left "
                      f"out: places are counted without them{self._list()}")

    def _find(self) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {part: {} for part in self._parts}
        with Progress(self._total, "checking images") as progress:
            for part, images in self._parts.items():
                for begin in range(0, len(images), _BLOCK):
                    places = range(begin, min(begin + _BLOCK, len(images)))
                    faults = zip(places, images.faults(places), strict=True)
                    found[part].update({place: fault for place, fault in faults if fault is not None})
                    progress.update(len(places))
        return found

    def _write(self) -> None:
        listed = [{"part": part, "place": place, "file": self._parts[part].name(place), "why": why}
                  for part, places in self.broken.items() for place, why in places.items()]
        try:
            write_json(self._path, {"images": self._total, "digest": self._digest, "broken": listed})
        except MsCoresetError:  # the data is on a read-only file system
            self._kept = False

    def _read(self) -> dict[str, dict[int, str]] | None:
        """The result in the file; None if there is no file, or it is damaged or of other images.

        Broken images are tried again, because a disk or a network may have failed once.
        """
        try:
            kept = read_json(self._path)
            if kept["digest"] != self._digest:
                return None
            found: dict[str, dict[int, str]] = {part: {} for part in self._parts}
            for entry in kept["broken"]:
                place, images = entry["place"], self._parts[entry["part"]]
                fault = images.fault(place) if type(place) is int and 0 <= place < len(images) else None
                if fault is None:
                    return None
                found[entry["part"]][place] = fault
            return found
        except (MsCoresetError, KeyError, TypeError):
            return None

    def _lines(self) -> list[str]:
        return [f"{self._parts[part].name(place)}: {why}" for part, places in self.broken.items()
                for place, why in places.items()]

    @property
    def _total(self) -> int:
        return sum(map(len, self._parts.values()))

    def _list(self) -> str:
        return f"; all are listed in {self._path}" if self._kept and self._path.exists() else ""


def _digest_of(parts: dict[str, StoredImages]) -> str:
    return array_digest(np.array([f"{part} {images.files_digest()} {images.bits}" for part, images in parts.items()]))
