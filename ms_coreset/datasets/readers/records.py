"""Images that lie encoded in larger files, tables or shards: read by their place, and decoded when they are needed."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.pictures import in_threads
from ms_coreset.datasets.readers.image_files import (
    StoredImages,
    decode,
    default_scaling,
    evenly,
    fault_of,
    in_color,
    own_scaling,
)
from ms_coreset.datasets.split import class_order, tell_order
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    from ms_coreset.datasets.family import Loaded
    from ms_coreset.datasets.pictures import Scaling
    from ms_coreset.kinds import Log

TEST = ("test", "validation", "valid", "val")  # what splits to test on are called; the first there is
_BLOCK = 256  # images whose bytes are in memory at a time
_REMEDY = "get the data anew, or leave it out with --skip-broken"
Read = Callable[[], bytes]
Label = int | str | None  # None: there is none


class Records:
    """The bytes of n images in the order of the data, which is theirs for good: by file, and by place in that.

    Attributes:
        names: (n) what tables call the images, or None where they have no names of their own.
        files: the files that hold them.
    """

    names: list[str] | None = None
    files: Sequence[Path] = ()

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, rows: Sequence[int] | np.ndarray) -> list[Read]:
        """Functions that give the bytes of the images at ``rows``, in that order."""
        raise NotImplementedError

    def where(self, row: int) -> str:
        """The place of an image, for a message."""
        return self.names[row] if self.names else f"image {row}"

    def traits(self) -> list[np.ndarray]:
        """What is known of all images without reading them, such as their sizes in bytes; a copy has the same."""
        return [np.array([path.stat().st_size for path in self.files])]

    @functools.cached_property
    def digest(self) -> str:
        """Checksum of the number, names and ``traits`` of all images, and of the bytes of some."""
        names = "\0".join(self.names or ()).encode(errors="surrogateescape")
        some = b"".join(map(_whatever, self.read(evenly(range(len(self))))))
        return array_digest(np.array(len(self)), *(np.frombuffer(text, np.uint8) for text in (names, some)),
                            *self.traits())

    @functools.cached_property
    def stamps(self) -> np.ndarray:
        """When each of ``files`` was changed."""
        return np.array([path.stat().st_mtime_ns for path in self.files], np.int64)


def _whatever(read: Read) -> bytes:
    """What ``read`` gives; nothing if that fails, about which an error tells when the image is decoded."""
    with contextlib.suppress(OSError, ValueError):
        return read()
    return b""


class RecordImages(StoredImages):
    """The images of ``Records``; see ``StoredImages``. Blocks of them are read together and decoded in threads."""

    _source: Records
    to_label = "name the column of its labels with --label-column"

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, int | np.integer):
            return super().__getitem__(key)
        places = np.arange(len(self))[key]
        pixels = np.empty((len(places), *self.shape[1:]), np.uint8)
        for start in range(0, len(places), _BLOCK):
            pixels[start:start + _BLOCK] = self._pixels(places[start:start + _BLOCK])
        return pixels

    def _pixels(self, places: np.ndarray) -> np.ndarray:
        opened = self._opened(places)

        def make(i: int) -> Image.Image:
            with opened[i] as picture:
                return self.scaling(in_color(picture, self.bits))

        return in_threads(make, (len(places), *self.shape[1:]))

    def faults(self, places: Sequence[int]) -> list[str | None]:
        return [fault_of(picture, self.bits) for picture in self._opened(places)]

    def name(self, place: int) -> str:
        """Where image ``place`` lies, for a message."""
        return self._source.where(int(self._rows[place]))

    def file_names(self) -> list[str] | None:
        """The names of all images, or None of data that give them none."""
        names = self._source.names
        return None if names is None else [names[row] for row in self._rows]

    def files_digest(self) -> str:
        return array_digest(np.array(self.origin), self._source.stamps)

    @functools.cached_property
    def origin(self) -> str:
        """Checksum of what ``Records.digest`` looks at; the whole bytes of all images are never read for it."""
        return array_digest(np.array(self._source.digest), self._rows)

    def _open(self, place: int) -> AbstractContextManager[Image.Image]:
        return self._opened([place])[0]

    def _opened(self, places: Sequence[int] | np.ndarray) -> list[AbstractContextManager[Image.Image]]:
        contents = self._source.read(self._rows[places])
        return [decode(read, self.name(place), _REMEDY) for read, place in zip(contents, places, strict=True)]


@dataclass(frozen=True)
class Part:
    """One split of a table.

    Attributes:
        records: its images.
        labels: (n) of each, or None where the data have none.
        classes: names that whole numbers are places in, from 0; None: the classes are the distinct labels.
    """

    records: Records
    labels: Sequence[Label] | None
    classes: Sequence[str] | None = None


def load_part(train: Part, test: Part | None, image_size: int | None, log: Log) -> Loaded:
    """The images and labels of a split, in the classes and the scaling of the training split.

    Args:
        train: the training split.
        test: the split to load; None: that is the training split.
        image_size: side of the images in pixels; None: their own, if 32 of the training images that are looked at are
            squares of one size up to 64 pixels, else 224.
        log: where to tell of data without labels.

    Returns:
        Images, labels (n,) int64 and names of the classes.

    Raises:
        MsCoresetError: for samples without a label among others, and a test split with classes that are not among those
            of the training split.
    """
    part = test or train
    images = RecordImages(part.records, _scaling(train.records, image_size))
    if train.labels is None:
        if test is None:
            log(f"{len(images):,} images are taken without labels: there is no column of them")
        return images, np.zeros(len(images), np.int64), ()
    values, names = _classes(train, log if test is None else _silent)
    return images, _places(part, values), names


def _silent(line: str) -> None:
    pass


def _scaling(records: Records, image_size: int | None) -> Scaling:
    if image_size is not None:
        return default_scaling(image_size)
    return own_scaling(map(_size, records.read(evenly(range(len(records))))))


def _size(read: Read) -> tuple[int, int] | None:
    """(width, height), or None for a broken image; an error names it when it is decoded."""
    try:
        with decode(read, "") as picture:
            return picture.size
    except MsCoresetError:
        return None


def _classes(part: Part, log: Log) -> tuple[dict[Label, int], tuple[str, ...]]:
    """(value -> label, names of the classes)."""
    if part.classes is not None:
        return {place: place for place in range(len(part.classes))}, tuple(part.classes)
    found: set[Any] = {value for value in part.labels or () if value is not None}
    if all(isinstance(value, int) for value in found):
        values: Sequence[Any] = sorted(found)
    elif all(isinstance(value, str) for value in found):
        values = class_order(found)
        tell_order(values, log)
    else:
        kinds = ", ".join(sorted({type(value).__name__ for value in found}))
        raise MsCoresetError(f"labels must be whole numbers or texts, got {kinds}: name another --label-column")
    numbered = {value: place for place, value in enumerate(values)}
    return numbered, tuple(map(str, numbered))


def _places(part: Part, values: dict[Label, int]) -> np.ndarray:
    """The labels (n,) int64 of a part."""
    labels = part.labels
    if labels is None:
        raise MsCoresetError("the test split has no labels, the training split has: add them, or take it away")
    places = np.array([values.get(label, -1) for label in labels], np.int64)
    if (places < 0).any():
        row = int(np.argmax(places < 0))
        missing = sum(label is None or label == -1 for label in labels)
        raise MsCoresetError(f"{part.records.where(row)}: " + (
            f"{missing:,} of {len(labels):,} samples have no label: leave them out, or name another --label-column"
            if labels[row] in (None, -1) else f"label {labels[row]!r} is none of the {len(values)} classes"))
    return places


def the_only(kind: str, found: Sequence[str], there: Iterable[str], option: str) -> str:
    """The only one of ``found``, names of columns of a kind.

    Raises:
        MsCoresetError: for none or several, with the names that are there and the option that names one.
    """
    if len(found) != 1:
        raise MsCoresetError(f"{'several columns' if found else 'no column'} of {kind}: {option} names one of "
                             f"{', '.join(found or there)}")
    return found[0]


def chosen_column(name: str, there: Iterable[str], option: str) -> str:
    """``name``, which must be there.

    Raises:
        MsCoresetError: if it is not.
    """
    there = list(there)
    if name not in there:
        raise MsCoresetError(f"{option} {name}: there is no such column, but {', '.join(there)}")
    return name


def find_shards(root: Path, pattern: str, what: str) -> dict[bool, list[Path]]:
    """The shards to train on (True) and to test on (False), each sorted by its name.

    A folder's shards are told apart by a word in their names, or by folders of these names: those of ``test`` or else
    ``validation``, ``valid``, ``val`` are the test split, those of ``train`` the training split; without the word
    ``train`` that is all the others.

    Args:
        root: a shard, or the folder of them.
        pattern: of their names, for ``Path.glob``.
        what: they are called in messages.

    Returns:
        The paths.

    Raises:
        MsCoresetError: where there are none, or none to train on.
    """
    if root.is_file():
        return {True: [root], False: []}
    found = sorted(path for path in root.rglob(pattern) if path.is_file()) if root.is_dir() else []
    if not found:
        raise MsCoresetError(f"{root}: no {what} here; --data (root) names one, or the folder of them")
    words = {path: _words(path.relative_to(root)) for path in found}
    tested = next((paths for name in TEST if (paths := [path for path in found if name in words[path]])), [])
    trained = [path for path in found if words[path] & {"train", "training"}]
    trained = trained or [path for path in found if not words[path] & {*TEST}]
    if not trained:
        raise MsCoresetError(f"{root}: all its shards are called test or validation: there is none to train on")
    return {True: trained, False: tested}


def _words(path: Path) -> set[str]:
    """The words in a path, in small letters."""
    text = os.fspath(path).lower()
    return set("".join(letter if letter.isalpha() else " " for letter in text).split())
