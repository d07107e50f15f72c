"""ImageNet (ILSVRC 2012), as torchvision lays it out: ``train/<wnid>/*`` and ``val/<wnid>/*``.

It is looked for in ``<root>/imagenet``, then in ``<root>`` itself. A flat ``val`` needs the development kit beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.datasets.family import Loaded, register_dataset
from ms_coreset.datasets.readers.image_files import (
    FileIndex,
    ImageFiles,
    class_folders,
    default_scaling,
    image_names,
    load_tree,
)
from ms_coreset.datasets.readers.matlab import read_structs
from ms_coreset.datasets.readers.wordnet import distinct_names
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import read_file

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access
    from ms_coreset.datasets.pictures import Scaling

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KIT = "ILSVRC2012_devkit_t12"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"


@register_dataset("ImageNet", mean=MEAN, std=STD, aliases=["ImageNet-1k", "ILSVRC2012"], resizable=True)
def load_imagenet(root: Path, train: bool, access: Access, image_size: int | None) -> Loaded:
    """ImageNet: 1,281,167 + 50,000 photographs, resized to 256 and cropped to 224 pixels, 1,000 classes.

    It is not downloaded: it is available from image-net.org only, after registration. The test split is ``val``.
    Classes are the folders that exist, so a part of the set can be used.

    Args:
        root: folder that holds ``imagenet``, or the set itself.
        train: whether to load the training split, else the test split.
        access: where to log; nothing is fetched.
        image_size: side of the images in pixels; None: 224.

    Returns:
        Images, labels and class names.
    """
    folder = _locate(root)
    wnids, scaling = class_folders(folder / "train"), default_scaling(224 if image_size is None else image_size)
    kit = folder / _KIT / "data"
    if train:
        pictures, labels, _ = load_tree(folder, ["train"], scaling)
    elif class_folders(folder / "val"):
        pictures, labels, _ = load_tree(folder, ["val"], scaling, wnids)
    else:
        pictures, labels = _load_flat(folder / "val", kit, wnids, scaling)
    names = distinct_names(wnids, _words(kit)) if (kit / "meta.mat").is_file() else wnids
    return pictures, labels, names


def _locate(root: Path) -> Path:
    for folder in (root / "imagenet", root):
        if (folder / "train").is_dir() and all(re.fullmatch(r"n\d{8}", name) for name in
                                               class_folders(folder / "train")):
            return folder
    raise MsCoresetError(f"{root / 'imagenet' / 'train'} is missing, or its folders are not named like n01440764: "
                         "register at image-net.org, get ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, and "
                         f"unpack them to {root / 'imagenet'}/train/<wnid>/ and .../val/<wnid>/ (or val/ without "
                         f"folders, with {_KIT} beside it); for other images there is --dataset folder")


def _load_flat(folder: Path, kit: Path, wnids: list[str], scaling: Scaling) -> tuple[ImageFiles, np.ndarray]:
    """The images and labels of a ``val`` without class folders, in the order they would have with class folders."""
    names = image_names(entry.name for entry in folder.iterdir())
    numbers = _read_truth(kit / _TRUTH)
    if len(numbers) != len(names):
        raise MsCoresetError(f"{folder} has {len(names):,} images, but {_TRUTH} {len(numbers):,} lines: a part of the "
                             "set needs class folders")
    wnid_of = {number: wnid for number, wnid, _ in _read_synsets(kit / "meta.mat")}
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    labels = np.array([label_of.get(wnid_of.get(number, ""), -1) for number in numbers], np.int64)
    rows = np.argsort(labels, kind="stable")
    rows = rows[labels[rows] >= 0]
    return ImageFiles(FileIndex(folder, [("", names)]), scaling, rows), labels[rows]


def _read_truth(path: Path) -> list[int]:
    try:
        return [int(line) for line in read_file(path).decode("ascii").split()]
    except (OSError, ValueError) as error:
        raise MsCoresetError(f"{path}, which tells the classes of a val without class folders, can't be read: {error}; "
                             f"unpack {_KIT}.tar.gz there") from error


def _words(kit: Path) -> dict[str, str]:
    return {wnid: words for _, wnid, words in _read_synsets(kit / "meta.mat")}


def _read_synsets(path: Path) -> list[tuple[int, str, str]]:
    """(number, wnid, words) of the development kit's classes."""
    try:
        return [(_whole(number), _text(wnid), _text(words)) for number, wnid, words
                in read_structs(path, "synsets", ("ILSVRC2012_ID", "WNID", "words"))]
    except ValueError as error:
        raise MsCoresetError(f"{path} is no whole meta.mat: {error}; unpack {_KIT}.tar.gz anew") from error


def _whole(value: np.ndarray) -> int:
    if not isinstance(value, np.ndarray) or value.size != 1 or value.item() != int(value.item()):
        raise ValueError(f"a class's number is {repr(value)[:40]}")
    return int(value.item())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a class's name is {repr(value)[:40]}")
    return value
