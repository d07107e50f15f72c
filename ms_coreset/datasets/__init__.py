"""Data sets by name: images and labels.

Every module of this package that registers a loader (``family.register_dataset``) is a data set. To add a data set,
add a file.
"""

from __future__ import annotations

import importlib
import numbers
import os
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from ms_coreset.datasets.download import Access
from ms_coreset.datasets.family import DATASETS, Columns, find_dataset, register_dataset
from ms_coreset.datasets.overlays import OVERLAYS, apply_label_noise, make_attack, make_corruption, make_label_noise
from ms_coreset.datasets.readers.image_check import Check
from ms_coreset.datasets.readers.image_files import StoredImages
from ms_coreset.datasets.split import Split, class_balanced_indices
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.kinds import FilePath, Log

if TYPE_CHECKING:
    from ms_coreset.datasets.family import Family

__all__ = ["Split", "apply_label_noise", "class_balanced_indices", "default_overlay_path", "list_datasets",
           "load_dataset", "make_attack", "make_corruption", "make_label_noise", "register_dataset"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def load_dataset(name: str, root: str | os.PathLike = "data", train: bool = True, *, image_size: int | None = None,
                 bits: int | None = None, image_column: str | None = None, label_column: str | None = None,
                 broken: str | None = None, download: bool = True, verify: bool = False,
                 log: Log = Access.log) -> Split | None:
    """Load the training or the test split of a data set.

    Attacked images (a name that ends in ``A``) are never made here, because a network is needed; see ``make_attack``.

    Args:
        name: one of ``list_datasets()``, in any case. A letter after it lays a perturbation over the training split:
            ``N`` label noise over the labels, ``C`` corrupted images, ``A`` attacked images. ``@VARIANT`` after the
            letter says which of several. The test split is always the clean one, under the name of the data set without
            perturbation.
        root: folder that holds the data sets, each laid out as its publisher does. For ``folder`` it is the folder of
            the images, for ``arrays`` the .npz file, for ``hf`` a folder, a file or a name of Hugging Face's hub, for
            ``webdataset`` and ``mindrecord`` a shard or the folder of them.
        train: whether to load the training split, else the test split.
        image_size: side of the images in pixels, for sets of photographs of any size (``ImageNet``, ``folder``); None:
            their default.
        bits: for sets of image files: bits of the values of grey images that are stored in 16 or 32 bits. Without it,
            such an image is refused if its largest value fits 14 bits (see docs/data.md).
        image_column: for ``hf``, ``webdataset`` and ``mindrecord``: the column, or suffix, of the images; None: the
            only one there is.
        label_column: likewise, of the labels.
        broken: what to do with image files that can't be decoded. None: an error names such a file when it is read.
            "refuse": all files of both splits are decoded once now; if some are broken, an error gives their number and
            names a file that lists them. "skip": the same check, but broken files are left out and ``log`` is told;
            places count the remaining images. The result of the check is kept in ``checked/`` beside the data, until
            names, sizes or times of the files change.
        download: whether to fetch published files that are missing.
        verify: whether files that differ from the published ones (by md5) are refused; otherwise they are read, with a
            warning.
        log: called with each line for the user: warnings, downloads, and what was made because it was missing. By
            default it is a warning of the logger ``ms_coreset``, which ``logging`` shows on stderr.

    Returns:
        A ``Split`` with uint8 images, or None for the test split of a set without one.

    Raises:
        MsCoresetError: for an unknown name, another ``broken``, and files that are missing, damaged or refused; the
            message names the file.
    """
    require_kind("root", root, str, os.PathLike)
    require_kind("image_size", image_size, numbers.Integral, type(None))
    family, letter, variant = find_dataset(name)
    if broken not in (None, "refuse", "skip"):
        raise MsCoresetError(f"broken is {broken!r}: must be None, 'refuse' or 'skip'")
    root = Path(root).expanduser()
    columns = Columns(image_column, label_column)
    clean = family.split(root, train, Access(download, verify, log), image_size, bits, columns)
    if broken and clean is not None and isinstance(clean.images, StoredImages):
        clean = _check(family, root, clean, broken == "skip", bits, columns, log)
    if clean is None or not letter or not train:
        return clean
    _, apply = OVERLAYS[letter]
    return apply(clean, family.home(root), variant, log=log)


def _check(family: Family, root: Path, split: Split, skip: bool, bits: int | None, columns: Columns,
           log: Log) -> Split:
    """``split`` after all images of its data set were decoded once, without the broken ones if ``skip``."""
    part = "train" if split.train else "test"
    assert isinstance(split.images, StoredImages)  # as the caller has seen
    parts = {part: split.images, **_other_images(family, root, not split.train, bits, columns)}
    check = Check(dict(sorted(parts.items(), reverse=True)),
                  family.home(root) / "checked" / f"{family.title(root)}.json")
    if not skip:
        check.require_none(split.name)
    split, said = check.whole(split, part)
    if said:
        log(said)
    return split


def _other_images(family: Family, root: Path, train: bool, bits: int | None,
                  columns: Columns) -> dict[str, StoredImages]:
    """The image files of the other split; errors in it are raised when that split is loaded, not here."""
    try:
        other = family.split(root, train, Access(download=False, log=lambda line: None), bits=bits,
                             columns=columns)
    except MsCoresetError:
        return {}
    return {"train" if train else "test": other.images} if other and isinstance(other.images, StoredImages) else {}


def list_datasets(pattern: str = "*") -> list[str]:
    """List the data sets that match a shell pattern, names with an overlay's letter included.

    Args:
        pattern: such as "CIFAR*"; "*" for all.

    Returns:
        The names.
    """
    return DATASETS.names(pattern)


def default_overlay_path(root: FilePath, name: str) -> Path:
    """File that holds the overlay of a perturbed data set, such as ``CIFAR100N`` or ``CIFAR100N@0.35``.

    Args:
        root: folder that holds the data sets.
        name: of the perturbed data set.

    Returns:
        The path of the overlay, below ``root``; the file need not exist.

    Raises:
        MsCoresetError: for an unknown name, or one without an overlay.
    """
    family, letter, variant = find_dataset(name)
    if not letter:
        raise MsCoresetError(f"{family.name} is a data set without overlay: give {family.name}{'/'.join(OVERLAYS)}")
    locate, _ = OVERLAYS[letter]
    root = Path(root).expanduser()
    return locate(family.home(root), family.title(root), variant)
