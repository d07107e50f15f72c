"""Folders of image files: one folder per class, read as torchvision's ImageFolder reads them, decoded when needed."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from ms_coreset.checksums import array_digest, digest
from ms_coreset.datasets.pictures import Pictures, Scaling, in_order
from ms_coreset.datasets.split import class_order
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.files import open_file, read_whole
from ms_coreset.kinds import FilePath
from ms_coreset.terminal import one_line

T = TypeVar("T")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SAMPLED = 32  # images that the size of all is told by
_SMALL, _LARGE = 64, 224
_BLOCK = 1 << 16  # pixels
LARGEST_FILE = 1 << 30  # bytes
_MOST_PIXELS = 1 << 26  # of an image: 200 MB in colour, 800 while a deep one is scaled, for each thread
# What a file may be, whatever its name says: no format that Pillow hands to another program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What cameras, discs and archives leave beside a user's own folders, in small letters.
_LEFTOVERS = {"__macosx", "@eadir", "#recycle", "@recycle", "@tmp", "$recycle.bin", "system volume information",
              "lost+found", "__pycache__"}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


class FileIndex:
    """The names of many files, stored compactly: each has its folder's number, and a part of one long byte string.

    Args:
        root: the folder that the names are relative to.
        listing: pairs of a folder, relative to the root, and the names in it.
    """

    def __init__(self, root: FilePath, listing: Sequence[tuple[str, Sequence[str]]]) -> None:
        self._root = os.fsencode(root)
        encoded = [(os.fsencode(folder), [os.fsencode(name) for name in names]) for folder, names in listing]
        self._folders = [folder for folder, _ in encoded]
        self._folder_of = np.repeat(np.arange(len(encoded), dtype=np.int32), [len(names) for _, names in encoded])
        lengths = np.fromiter((len(name) for _, names in encoded for name in names), np.int64, len(self._folder_of))
        self._ends = np.cumsum(lengths)
        self._names = b"".join(itertools.chain.from_iterable(names for _, names in encoded))

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def root(self) -> str:
        """The folder that the names are relative to."""
        return os.fsdecode(self._root)

    def relative(self, row: int) -> bytes:
        """A file's name below the root, as bytes."""
        start = self._ends[row - 1] if row else 0
        return os.path.join(self._folders[self._folder_of[row]], self._names[start:self._ends[row]])

    def path(self, row: int) -> bytes:
        """A file's whole name, as bytes."""
        return os.path.join(self._root, self.relative(row))


class StoredImages(Pictures):
    """Images that are stored as the bytes of image files, in colour; see ``Pictures``.

    Args:
        source: where the bytes are.
        scaling: how the images are scaled.
        rows: (n,) places in the source, or None for all.
        bits: how many bits the values of deep grey images have, where the files don't tell; see ``in_color``.

    Raises:
        MsCoresetError: naming the image, when it is decoded, for one that is damaged, no image, has values that
            ``in_color`` refuses, or has more than 67 million pixels (which may be an attack on memory).
    """

    def __init__(self, source: Any, scaling: Scaling, rows: np.ndarray | None = None, bits: int | None = None) -> None:
        super().__init__(np.arange(len(source)) if rows is None else rows, 3, scaling)
        if bits is not None:
            require_whole("bits", bits, 8, 31)
        self._source, self.bits = source, bits

    def original(self, place: int) -> Image.Image:
        with self._open(place) as picture:
            return in_color(picture, self.bits)

    def with_bits(self, bits: int) -> Self:
        """A view of the same images, whose deep ones have values of ``bits`` bits."""
        return type(self)(self._source, self.scaling, self._rows, bits)

    def name(self, place: int) -> str:
        """Where image ``place`` lies in the source, for a message."""
        raise NotImplementedError

    def files_digest(self) -> str:
        """Checksum of the source that also tells the times of change, never of pixels."""
        raise NotImplementedError

    def fault(self, place: int) -> str | None:
        """Why image ``place`` can't be decoded, or None; JPEG files are decoded at an eighth of their size."""
        return fault_of(self._open(place), self.bits)

    def faults(self, places: Sequence[int]) -> list[str | None]:
        """The ``fault`` of each of these images."""
        return in_order(self.fault, places)

    def _open(self, place: int) -> AbstractContextManager[Image.Image]:
        raise NotImplementedError

    def _view(self, rows: np.ndarray, scaling: Scaling) -> Self:
        return type(self)(self._source, scaling, rows, self.bits)

    def _content_digest(self) -> str:
        return self.files_digest() if self.bits is None else f"{self.files_digest()} {self.bits} bits"


class ImageFiles(StoredImages):
    """The images of a ``FileIndex``; see ``StoredImages``."""

    _source: FileIndex

    def _open(self, place: int) -> AbstractContextManager[Image.Image]:
        return open_image(self._source.path(self._rows[place]))

    def name(self, place: int) -> str:
        """The file of image ``place``, below the root, for a message."""
        return _show(self._source.relative(self._rows[place]))

    @property
    def root(self) -> str:
        """The folder that ``file_names`` are relative to."""
        return self._source.root

    def file_names(self) -> list[str]:
        """The files of all images, below the root, with "/" between folders."""
        return [os.fsdecode(self._source.relative(row)).replace(os.sep, "/") for row in self._rows]

    @property
    def sizes(self) -> np.ndarray:
        """(n,) bytes of each file."""
        return self._stamps[:, 0]

    def bytes_digest(self, place: int) -> str:
        """Checksum of the bytes of the file of image ``place``."""
        return digest(os.fsdecode(self._source.path(self._rows[place])), "blake2b")

    def files_digest(self) -> str:
        """Checksum of the names below the root, the sizes and the times of change, never of pixels.

        Decoding a million images takes an hour or so, and this is asked before each use of a cache. An image that
        changes and keeps all three is taken for the old one; a copy with other times is taken for a new one.
        """
        return array_digest(self._name_bytes(), self._stamps)

    @functools.cached_property
    def origin(self) -> str:
        """Checksum of the names below the root and the sizes."""
        return array_digest(self._name_bytes(), self._stamps[:, 0])

    def _name_bytes(self) -> np.ndarray:
        return np.frombuffer(b"\0".join(map(self._source.relative, self._rows)), np.uint8)

    @functools.cached_property
    def _stamps(self) -> np.ndarray:
        """(n, 2): bytes of each file, and when it was changed."""
        return np.fromiter(map(self._stamp, self._rows), np.dtype((np.int64, 2)), len(self))

    def _stamp(self, row: int) -> tuple[int, int]:
        try:
            status = os.stat(self._source.path(row))
        except OSError as error:
            raise _read_error(error) from error
        return status.st_size, status.st_mtime_ns


def open_image(path: str | bytes) -> AbstractContextManager[Image.Image]:
    """The Pillow image of a file, as a context manager; see ``decode``."""
    return decode(lambda: read_content(path), _show(path))


@contextlib.contextmanager
def decode(read: Callable[[], bytes], name: str,
           remedy: str = "get the file anew, or delete it") -> Iterator[Image.Image]:
    """The Pillow image that bytes are, as a context manager.

    Args:
        read: gives the bytes.
        name: of the image, for messages.
        remedy: what to do about one that can't be decoded.

    Yields:
        The image.

    Raises:
        MsCoresetError: for whatever goes wrong with the image, here or in the block.
    """
    try:
        # From memory: a damaged length then asks for no more than there is, and a file that is cut short does no harm.
        with Image.open(io.BytesIO(read()), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels, more than {_MOST_PIXELS:,}")
            yield picture
    except UnknownRange as error:
        raise MsCoresetError(f"{name} can't be brought to 8 bits: {error}") from error
    except Exception as error:  # a damaged file raises whatever its bytes happen to spell
        raise MsCoresetError(f"{name} can't be read as an image: {_reason(error)}; {remedy}") from error


def fault_of(opened: AbstractContextManager[Image.Image], bits: int | None) -> str | None:
    """Why an image that ``decode`` gives can't be used, or None; a JPEG file is decoded at an eighth of its size."""
    try:
        with opened as picture:
            picture.draft(picture.mode, (1, 1))
            in_color(picture, bits)
    except MsCoresetError as error:
        return one_line(_reason(error.__cause__))
    return None


def _reason(error: BaseException | None) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text has an address in memory
        return "it is none of " + ", ".join(_FORMATS)
    return str(error).partition("\n")[0] or type(error).__name__


class UnknownRange(ValueError):
    """A deep image whose values do not tell which value is black and which is white."""


def in_color(picture: Image.Image, bits: int | None = None) -> Image.Image:
    """A Pillow image in RGB of 8 bits: as Pillow converts it, but deep grey images are scaled: round(255 x / white).

    Images of the modes "I", "I;16" and its kin, and "F" are scaled; Pillow would cut them off at 255. White is the same
    for all files of a kind, never an image's own largest value:

    * Whole numbers: 65,535 for 16 bits, and for 32 bits with values up to that; 4,095 for 12 bits, 32,767 for 16 bits
      with a sign, where the file (TIFF) says so; ``2^bits - 1`` with ``bits``. PGM files say what white is.
    * Real numbers: 1 where all lie in [0, 1], and 255 where all lie in [0, 255].

    Whole numbers whose largest would fit 14 bits, in a file that says no more than 16 or 32, may be a picture of 8, 10,
    12 or 14 bits, or a dark one: they are refused until ``bits`` is given. A file that says that white is zero is
    inverted.

    Departure from torchvision's ImageFolder: it cuts off. The same as there: transparency is dropped, the rotation that
    a camera notes in EXIF is not carried out, and of colour in 16 bits the high 8 are taken.

    Args:
        picture: a Pillow image of any mode.
        bits: how many bits deep whole numbers have, or None.

    Returns:
        A Pillow image of mode "RGB".

    Raises:
        UnknownRange: for whole numbers as above, for values below 0, above white, or not finite, and for signed 8 bits.
    """
    tags = getattr(picture, "tag_v2", {})
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == 2
    if not picture.mode.startswith("I") and picture.mode != "F":
        if signed:
            raise UnknownRange("its values have a sign; save it in 8 bits without")
        return picture.convert("RGB")
    values = np.asarray(picture)
    if not np.isfinite(values).all():
        raise UnknownRange("some of its values are not finite; save it in 8 bits")
    lowest, highest = values.min(), values.max()
    if picture.mode == "F":
        white = 1 if highest <= 1 else 255
    else:
        white = _white(picture.format, tags.get(_BITS_PER_SAMPLE, (16,))[0] - signed, highest, bits)
    if lowest < 0 or highest > white:
        raise UnknownRange(f"its values go from {lowest:g} to {highest:g}, not from 0 to {white:,}; save it in 8 or "
                           "16 bits")
    gray = _scale(values, white)
    return Image.fromarray(255 - gray if tags.get(_PHOTOMETRIC) == 0 else gray).convert("RGB")


def _scale(values: np.ndarray, white: int) -> np.ndarray:
    """``round(255 x / white)`` in uint8, by blocks: float64 of all would take eight times the image."""
    gray = np.empty(values.size, np.uint8)
    flat = values.reshape(-1)
    for begin in range(0, values.size, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        gray[part] = np.rint(255 * (flat[part].astype(np.float64) / white))
    return gray.reshape(values.shape)


def _white(form: str | None, stored: int, highest: float, bits: int | None) -> int:
    """The value of white in a file of whole numbers of ``stored`` bits, the largest of which is ``highest``."""
    if form == "PPM" or stored < 16:
        return 65535 if form == "PPM" else 2**stored - 1
    if bits is not None:
        return 2**bits - 1
    if 0 < highest < 1 << 14:
        used = next(used for used in (8, 10, 12, 14) if highest < 1 << used)
        raise UnknownRange(f"it has {stored} bits, but its largest value is {highest:,}, which fits {used}: are all "
                           f"such images of {used} bits (--bits {used} says so), or is this a dark one (--bits 16)?")
    return 65535


def read_content(path: str | bytes) -> bytes:
    """The bytes of an image file; raises ``ValueError`` for one of more than ``LARGEST_FILE``."""
    with open_file(path) as stream:
        if os.fstat(stream.fileno()).st_size > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE:,} bytes")
        return read_whole(stream)


def default_scaling(size: int) -> Scaling:
    """Scaling to ``size`` pixels: up to 64 by resizing alone, above that with ImageNet's margin (256 for 224)."""
    return Scaling(size if size <= 64 else round(size * 256 / 224), size)


def own_scaling(sizes: Iterable[tuple[int, int] | None]) -> Scaling:
    """Scaling for images of these (width, height): to their own size if it is one small square, or to 224 pixels."""
    (width, height), *others = set(filter(None, sizes)) or [(_LARGE, _LARGE)]
    return default_scaling(width if width == height <= _SMALL and not others else _LARGE)


def evenly(items: Sequence[T], count: int = SAMPLED) -> list[T]:
    """``count`` items from the first to the last, or all if there are fewer."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))] if items else []


def load_tree(root: FilePath, parts: Sequence[str], scaling: Scaling,
              classes: list[str] | None = None) -> tuple[ImageFiles, np.ndarray, list[str]]:
    """Images, labels and classes of the folders ``parts``, one after the other, as torchvision's ImageFolder.

    The classes are the names of the folders in the first part; the images of each are those below its folder. All are
    sorted as text. Departures: hidden files and folders, and those of ``_LEFTOVERS``, are passed over; where all
    classes are named by numbers, labels count them by value (``class_order``), while the images' places stay those of
    ImageFolder.

    Args:
        root: folder of the data set.
        parts: names of folders in it.
        scaling: how the images are scaled.
        classes: the names that the labels count through, by default the folders'.

    Returns:
        (images, labels (n,) int64, class names).

    Raises:
        MsCoresetError: for a folder that can't be read, has no class folders, has one without images, or has one that
            ``classes`` lacks.
    """
    listings = [_class_listings(root, part) for part in parts]
    classes = class_order(listings[0]) if classes is None else classes
    listing, labels = [], []
    for part, found in zip(parts, listings, strict=True):
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise MsCoresetError(f"{os.path.join(root, part, unknown[0])}: there is no such class among the "
                                 f"{len(classes)} to train on")
        number = {name: label for label, name in enumerate(classes)}
        for name, places in found.items():
            listing += places
            labels += [number[name]] * sum(len(names) for _, names in places)
    return ImageFiles(FileIndex(root, listing), scaling), np.array(labels, np.int64), classes


def _class_listings(root: FilePath, part: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Of each class folder of root/part, by name, what ``list_images`` gives."""
    found = {name: list_images(root, os.path.join(part, name)) for name in class_folders(os.path.join(root, part))}
    if not found:
        folder = Path(root, part)
        raise MsCoresetError(f"{folder} has no class folders" + (
            ": each class's images belong in a folder of their own" if _has_images(folder) else
            f", and no images either ({' '.join(EXTENSIONS)})"))
    empty = next((name for name, places in found.items() if not places), None)
    if empty is not None:
        raise MsCoresetError(f"{os.path.join(root, part, empty)} holds no images ({' '.join(EXTENSIONS)}): delete "
                             "the folder, or put some there")
    return found


def _has_images(folder: Path) -> bool:
    return any(name.lower().endswith(EXTENSIONS) for name in os.listdir(folder))


def class_folders(folder: FilePath) -> list[str]:
    """Names of the folders in ``folder``, sorted, without hidden ones and ``_LEFTOVERS``.

    Raises:
        MsCoresetError: if the folder can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not _is_passed_over(entry.name))
    except OSError as error:
        raise _read_error(error) from error


def list_images(root: FilePath, folder: str) -> list[tuple[str, list[str]]]:
    """Pairs (folder relative to ``root``, sorted names of its images), for all folders below root/folder."""
    found = ((os.path.relpath(place, root), image_names(names)) for place, names in _walk(os.path.join(root, folder)))
    return sorted((place, names) for place, names in found if names)


def image_names(names: Iterable[str]) -> list[str]:
    """The names that belong to images and are not hidden, sorted."""
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
    """Pairs of a folder and its files' names, links followed, each folder once."""
    def fail(error: OSError) -> NoReturn:
        raise _read_error(error)

    seen = set()
    for place, folders, names in os.walk(top, followlinks=True, onerror=fail):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not _is_passed_over(name)]
        yield place, names


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVERS


def _read_error(error: OSError) -> MsCoresetError:
    return MsCoresetError(f"can't read {_show(error.filename)}: {error.strerror}")


def _show(path: str | bytes) -> str:
    """A file's name for a message of one line, whatever its bytes."""
    name = os.fsencode(path).decode(errors="backslashreplace")
    return name if name.isprintable() else name.encode("unicode_escape").decode()
