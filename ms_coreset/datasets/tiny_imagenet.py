"""Tiny ImageNet, as published (http://cs231n.stanford.edu/tiny-imagenet-200.zip) or with ``val`` sorted by class."""

from __future__ import annotations

import os
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Loaded, register_dataset
from ms_coreset.datasets.pictures import Scaling
from ms_coreset.datasets.readers.archive import unpack
from ms_coreset.datasets.readers.image_files import FileIndex, ImageFiles, class_folders, load_tree
from ms_coreset.datasets.readers.wordnet import class_names
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

FOLDER, ANNOTATIONS = "tiny-imagenet-200", "val_annotations.txt"
_URL, _MD5 = "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"
_MEAN, _STD = (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)


@register_dataset("TinyImageNet", mean=_MEAN, std=_STD, aliases=["tiny", "Tiny-ImageNet", "tiny-imagenet-200"])
def load_tiny_imagenet(root: Path, train: bool, access: Access) -> Loaded:
    """Tiny ImageNet: 100,000 + 10,000 photographs of 64x64 pixels, 200 classes (248 MB to download).

    The test split is ``val``: the labels of ``test`` were never published. Of two standard deviations in use,
    DeepCore's .2770 .2691 .2821 is that of the pixels; the Moderate repository's .2302 .2265 .2262 is about the mean
    of the deviations within each image.

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(root, train, access, 64)


@register_dataset("TinyImageNet32", mean=_MEAN, std=_STD, aliases=["tiny32"])
def load_tiny_imagenet_32(root: Path, train: bool, access: Access) -> Loaded:
    """Tiny ImageNet resized to 32x32 pixels, as DeepCore uses it.

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(root, train, access, 32)


def _load(root: Path, train: bool, access: Access, size: int) -> tuple[ImageFiles, np.ndarray, list[str]]:
    folder = root / FOLDER
    if not (folder / "train").is_dir():
        _obtain(root, access)
    wnids, scaling = class_folders(folder / "train"), Scaling(size, size)
    if train:
        images, labels, _ = load_tree(folder, ["train"], scaling)
    elif (folder / "val" / ANNOTATIONS).is_file():
        images, labels = _load_annotated(folder / "val", wnids, scaling)
    else:
        images, labels = _load_sorted(folder, wnids, scaling)
    return images, labels, class_names(folder / "words.txt", wnids)


def _obtain(root: Path, access: Access) -> None:
    folder, archive = root / FOLDER, root / f"{FOLDER}.zip"
    if folder.exists():
        raise MsCoresetError(f"{folder / 'train'} is missing: put it there, or move {folder} away to get the published "
                             "set")
    if not archive.is_file():
        access.obtain(_URL, archive, _MD5)
    access.compare("TinyImageNet", {archive: _MD5})
    access.log(f"unpacking {archive}")
    unpack(archive, folder)


def read_annotations(path: Path) -> list[tuple[str, ...]]:
    """Pairs of a file's name and its class, one for each line of val_annotations.txt.

    Raises:
        MsCoresetError: for a line that holds something else, and for a file without lines.
    """
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MsCoresetError(f"can't read {path}: {error}") from error
    if not lines:
        raise MsCoresetError(f"{path} is empty; get the file anew")
    pairs = [tuple(line.split("\t")[:2]) for line in lines]
    for pair, line in zip(pairs, lines, strict=True):
        # What becomes part of a path must be a plain name.
        if len(pair) != 2 or not re.fullmatch(r"\w[\w.-]*", pair[0]) or not re.fullmatch(r"n\d+", pair[1]):
            raise MsCoresetError(f"{path}: {line[:80]!r} is not an image's and a class's name; get the file anew")
    return pairs


def _load_annotated(folder: Path, wnids: list[str], scaling: Scaling) -> tuple[ImageFiles, np.ndarray]:
    """Images and labels of ``val``, sorted by class and name, wherever each file lies.

    A file may lie in ``images`` as published, or in the folder of its class; both are allowed, so a conversion that was
    stopped half-way does no harm.
    """
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    wanted = sorted((wnid, name) for name, wnid in read_annotations(folder / ANNOTATIONS) if wnid in label_of)
    held = {place: _names(folder / place) for place in
            ["images", *wnids, *(os.path.join(wnid, "images") for wnid in wnids)]}
    places = []
    for wnid, name in wanted:
        ways = (wnid, os.path.join(wnid, "images"), "images")
        places.append(next((place for place in ways if name in held[place]), None))
        if places[-1] is None:
            raise MsCoresetError(f"{folder / 'images' / name} is missing, although {ANNOTATIONS} names it: put it "
                                 "there")
    listing = [(place, [name for _, (_, name) in group]) for place, group in
               groupby(zip(places, wanted, strict=True), key=lambda pair: pair[0])]
    labels = np.array([label_of[wnid] for wnid, _ in wanted], np.int64)
    return ImageFiles(FileIndex(folder, listing), scaling), labels


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _load_sorted(folder: Path, wnids: list[str], scaling: Scaling) -> tuple[ImageFiles, np.ndarray]:
    if (folder / "val" / "images").is_dir():
        raise MsCoresetError(f"{folder / 'val' / ANNOTATIONS} is missing: it names the classes of val/images; get it "
                             "anew")
    images, labels, _ = load_tree(folder, ["val"], scaling, wnids)
    return images, labels
