"""Folders of image files: a class a folder, read as torchvision's ImageFolder reads them, decoded when needed."""

import contextlib
import functools
import io
import itertools
import os

import numpy as np
from PIL import Image

from ms_coreset.datasets.pictures import Pictures, Scaling
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import array_digest

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_LARGEST_FILE = 1 << 30  # bytes
_MOST_PIXELS = 1 << 26  # of an image: 200 MB in colour, for each thread that decodes one
# What a file may be, whatever its name says: no format that Pillow hands to another program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class FileIndex:
    """The names of many files, compactly: of each its folder's number, and a stretch of one long byte string.

    root: the folder that the names are relative to
    listing: pairs of a folder, relative to the root, and the names in it
    """

    def __init__(self, root, listing):
        self._root = os.fsencode(root)
        listing = [(os.fsencode(folder), [os.fsencode(name) for name in names]) for folder, names in listing]
        self._folders = [folder for folder, _ in listing]
        self._folder_of = np.repeat(np.arange(len(listing), dtype=np.int32), [len(names) for _, names in listing])
        lengths = np.fromiter((len(name) for _, names in listing for name in names), np.int64, len(self._folder_of))
        self._ends = np.cumsum(lengths)
        self._names = b"".join(itertools.chain.from_iterable(names for _, names in listing))

    def __len__(self):
        return len(self._ends)

    def relative(self, row):
        """A file's name below the root, as bytes."""
        start = self._ends[row - 1] if row else 0
        return os.path.join(self._folders[self._folder_of[row]], self._names[start:self._ends[row]])

    def path(self, row):
        """A file's whole name, as bytes."""
        return os.path.join(self._root, self.relative(row))


class ImageFiles(Pictures):
    """The images of a ``FileIndex``, in colour; see ``Pictures``.

    Raises ``MsCoresetError`` naming the file, when it is decoded, for one that is damaged, no image, or of more than 67
    million pixels, which an attack on memory may have.
    """

    def __init__(self, index, scaling, rows=None):
        super().__init__(np.arange(len(index)) if rows is None else rows, 3, scaling)
        self._index = index

    def original(self, place):
        with open_image(self._index.path(self._rows[place])) as picture:
            return picture.convert("RGB")

    def _view(self, rows, scaling):
        return ImageFiles(self._index, scaling, rows)

    def _content_digest(self):
        """Of the names below the root, the sizes and the times of change, never of pixels.

        Decoding a million images takes an hour or so, and this is asked before each use of a cache. An image that
        changes and keeps all three is taken for the old one; a copy with other times for a new one.
        """
        return array_digest(self._name_bytes(), self._stamps)

    @functools.cached_property
    def origin(self):
        """Checksum of the names below the root and the sizes."""
        return array_digest(self._name_bytes(), self._stamps[:, 0])

    def _name_bytes(self):
        return np.frombuffer(b"\0".join(map(self._index.relative, self._rows)), np.uint8)

    @functools.cached_property
    def _stamps(self):
        """(n, 2): bytes of each file, and when it was changed."""
        return np.fromiter(map(self._stamp, self._rows), np.dtype((np.int64, 2)), len(self))

    def _stamp(self, row):
        try:
            status = os.stat(self._index.path(row))
        except OSError as error:
            raise _unreadable(error) from error
        return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def open_image(path):
    """The Pillow image of a file; what goes wrong with it, here or in the block, raises ``MsCoresetError``."""
    try:
        # From memory: a damaged length then asks for no more than there is, and a file that is cut short does no harm.
        with Image.open(io.BytesIO(_content(path)), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels, more than {_MOST_PIXELS:,}")
            yield picture
    except Exception as error:  # a damaged file raises whatever its bytes happen to spell
        reason = str(error).partition("\n")[0]
        raise MsCoresetError(f"{_shown(path)} can't be read as an image: {reason}; get the file anew, or delete "
                             "it") from error


def _content(path):
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size > _LARGEST_FILE:
            raise ValueError(f"more than {_LARGEST_FILE:,} bytes")
        return stream.read()


def default_scaling(size):
    """To ``size`` pixels: small ones (to 64) by resizing alone, others with ImageNet's margin of 256 to 224."""
    return Scaling(size if size <= 64 else round(size * 256 / 224), size)


def load_tree(root, parts, scaling, classes=None):
    """(images, labels, classes) of the folders ``parts`` of ``root``, one after the other, as torchvision's
    ImageFolder has each.

    The classes are the names of the folders in the first part, sorted; each one's images are those below it, sorted
    by folder and name. Departure: hidden files and folders are passed over.

    classes: the names that the labels count through, by default the folders'

    Raises ``MsCoresetError`` for a folder that can't be read, has no class folders, or one without images, or one
    that ``classes`` lacks.
    """
    listing, labels = [], []
    for part in parts:
        found = _class_listings(root, part)
        classes = list(found) if classes is None else classes
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise MsCoresetError(f"{os.path.join(root, part, unknown[0])}: there is no such class among the "
                                 f"{len(classes)} to train on")
        number = {name: label for label, name in enumerate(classes)}
        for name, places in found.items():
            listing += places
            labels += [number[name]] * sum(len(names) for _, names in places)
    return ImageFiles(FileIndex(root, listing), scaling), np.array(labels, np.int64), classes


def _class_listings(root, part):
    """Of each class folder of root/part, by name, what ``list_images`` gives."""
    found = {name: list_images(root, os.path.join(part, name)) for name in class_folders(os.path.join(root, part))}
    if not found:
        raise MsCoresetError(f"{os.path.join(root, part)} has no class folders: each class's images belong in a "
                             "folder of their own")
    empty = next((name for name, places in found.items() if not places), None)
    if empty is not None:
        raise MsCoresetError(f"{os.path.join(root, part, empty)} holds no images ({' '.join(EXTENSIONS)}): delete "
                             "the folder, or put some there")
    return found


def class_folders(folder):
    """Names of the folders in ``folder``, sorted, without hidden ones; raises ``MsCoresetError`` if unreadable."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(error) from error


def list_images(root, folder):
    """Pairs of a folder, relative to ``root``, and the sorted names of the images in it, of all below root/folder."""
    found = ((os.path.relpath(place, root), image_names(names)) for place, names in _walk(os.path.join(root, folder)))
    return sorted((place, names) for place, names in found if names)


def image_names(names):
    """The names that are of images and not hidden, sorted."""
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def _walk(top):
    """Pairs of a folder and its files' names, links followed, each folder once."""
    def fail(error):
        raise _unreadable(error)

    seen = set()
    for place, folders, names in os.walk(top, followlinks=True, onerror=fail):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield place, names


def _unreadable(error):
    return MsCoresetError(f"can't read {_shown(error.filename)}: {error.strerror}")


def _shown(path):
    """A file's name for a message of one line, whatever its bytes."""
    name = os.fsencode(path).decode(errors="backslashreplace")
    return name if name.isprintable() else name.encode("unicode_escape").decode()
