"""The registry of data sets by name, and the one class that describes a data set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.datasets.overlays import OVERLAYS
from ms_coreset.datasets.pictures import Pictures
from ms_coreset.datasets.readers.image_files import StoredImages
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath
from ms_coreset.registry import Registry

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

DATASETS: Registry[tuple[Family, str]] = Registry("data set")  # name -> (family, overlay letter or "")
# What a loader gives: images, labels and the names of the classes, or a whole split, or None where there is none.
Loaded = tuple[np.ndarray | Pictures, np.ndarray, Sequence[str]] | Split | None


@dataclass(frozen=True)
class Columns:
    """Names of the columns of images and labels in a table; None: found by their types and usual names."""

    image: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Family:
    """One data set without perturbations.

    Attributes:
        name: the registered name.
        mean: per channel, of the training pixels scaled to [0, 1]; None where the loader gives it.
        std: standard deviation, likewise.
        load: ``(root, train, access) -> images, labels, classes``: (n, height, width, channels) uint8 or ``Pictures``,
            (n,) int64, and the names of the classes; or None where there is no such split; or a whole ``Split``.
            ``access`` is a ``download.Access``.
        resizable: whether ``load`` also takes ``image_size``: the side to resize the images to, or None for its
            default.
        by_path: whether the root is the set itself, a file or folder of the user's; its name is then part of the title.
        tabular: whether ``load`` also takes ``columns``, a ``Columns``.
    """

    name: str
    mean: Sequence[float] | None
    std: Sequence[float] | None
    load: Callable[..., Loaded]
    resizable: bool = False
    by_path: bool = False
    tabular: bool = False

    def title(self, root: FilePath) -> str:
        """The set's name in messages and file names."""
        return f"{self.name}-{Path(root).absolute().stem}" if self.by_path else self.name

    def home(self, root: FilePath) -> Path:
        """The folder that holds the overlays of the set."""
        return Path(root).absolute().parent if self.by_path else Path(root)

    def split(self, root: Path, train: bool, access: Access, image_size: int | None = None,
              bits: int | None = None, columns: Columns | None = None) -> Split | None:
        """Load one split.

        Args:
            root: folder that holds the data sets, or the set itself (``by_path``).
            train: whether to load the training split, else the test split.
            access: what the loader may do to get at files.
            image_size: side of the images in pixels, or None for the default.
            bits: bits of the values of deep grey images, or None.
            columns: of images and labels, or None for the default.

        Returns:
            The split, or None where there is none.

        Raises:
            MsCoresetError: when its files are empty, for an ``image_size``, ``bits`` or ``columns`` that the set does
                not take, and for the loader's reasons.
        """
        if image_size is not None and not self.resizable:
            raise MsCoresetError(f"image size {image_size}: {self.name} has images of one size; leave it out")
        named = [name for name in (columns.image, columns.label) if name] if columns else []
        if named and not self.tabular:
            raise MsCoresetError(f"column {named[0]}: {self.name} is no table; leave it out")
        options: dict[str, Any] = {"image_size": image_size} if self.resizable else {}
        options |= {"columns": columns or Columns()} if self.tabular else {}
        loaded = self.load(root, train, access, **options)
        if loaded is None:
            return None
        if bits is not None and (isinstance(loaded, Split) or not isinstance(loaded[0], StoredImages)):
            raise MsCoresetError(f"bits {bits}: {self.name} has no image files; leave it out")
        if isinstance(loaded, Split):
            return loaded
        images, labels, classes = loaded
        if not len(labels):
            raise MsCoresetError(f"{self.name}: its files below {root} hold no images; get them anew")
        images = images.with_bits(bits) if isinstance(images, StoredImages) and bits is not None else images
        mean, std = (() if values is None else values for values in (self.mean, self.std))
        return Split(self.title(root), images, labels, classes=tuple(classes), mean=mean, std=std, train=train)


def register_dataset(name: str, mean: Sequence[float] | None, std: Sequence[float] | None, *,
                     aliases: Iterable[str] = (), resizable: bool = False, by_path: bool = False,
                     tabular: bool = False) -> Callable:
    """Return a decorator that registers a loader as ``name``, and as ``name`` with each overlay's letter.

    The loader's docstring is the data set's description.

    Args:
        name: of the data set.
        mean: per channel, of the training pixels scaled to [0, 1]; None where the loader gives it.
        std: standard deviation, likewise.
        aliases: other names.
        resizable: whether the loader also takes ``image_size``.
        by_path: whether the root is the set itself, a file or folder of the user's.
        tabular: whether the loader also takes ``columns``, the names of the columns of images and labels.

    Returns:
        The decorator; it returns the loader as it is.

    Raises:
        KeyError: by the decorator, for a name that is registered already.
    """
    def register(load: Callable) -> Callable:
        family = Family(name, mean, std, load, resizable, by_path, tabular)
        for letter in ("", *OVERLAYS):
            DATASETS.add(name + letter, (family, letter), [alias + letter for alias in aliases], suffix=letter)
        return load
    return register


def find_dataset(name: str) -> tuple[Family, str, str]:
    """The parts of a name such as ``CIFAR10``, ``cifar10n`` or ``CIFAR10N@b``.

    Args:
        name: of a data set, in any case.

    Returns:
        (family, letter of the overlay or "", its variant or "").

    Raises:
        MsCoresetError: for an unknown name, a variant of clean data, and a variant with characters other than letters,
            digits and ``._+-``.
    """
    base, mark, variant = name.partition("@") if isinstance(name, str) else (name, "", "")
    family, letter = DATASETS[base]
    if mark and not letter:
        raise MsCoresetError(f"{name}: {family.name} is clean; @ names a variant of "
                             f"{', '.join(family.name + letter for letter in OVERLAYS)}")
    if mark and not re.fullmatch(r"[\w.+-]+", variant, re.ASCII):
        raise MsCoresetError(f"{name}: the variant after @ is made of letters, digits and ._+-")
    return family, letter, variant


def canonical_name(name: str) -> str:
    """The registered spelling of a name, its variant as it is typed.

    Raises:
        MsCoresetError: as ``find_dataset``.
    """
    variant = find_dataset(name)[2]
    return DATASETS.canonical(name.partition("@")[0]) + (f"@{variant}" if variant else "")


def check_labels(labels: np.ndarray, num_classes: int, path: Path) -> np.ndarray:
    """The labels of a file as (n,) int64.

    Args:
        labels: (n,) numbers.
        num_classes: labels must be in 0 .. num_classes - 1.
        path: the file, for the message.

    Returns:
        (n,) int64.

    Raises:
        MsCoresetError: naming the file for a label that is out of range.
    """
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise MsCoresetError(f"{path}: label {wrong[0]} is out of range (0 to {num_classes - 1}); get the file anew")
    return labels.astype("int64")
