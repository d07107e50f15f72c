"""A user's own images: a folder of class folders, with or without a test split."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Loaded, register_dataset
from ms_coreset.datasets.imagenet import MEAN, STD
from ms_coreset.datasets.readers.image_files import (
    SAMPLED,
    FileIndex,
    ImageFiles,
    class_folders,
    default_scaling,
    evenly,
    image_names,
    list_images,
    load_tree,
    open_image,
    own_scaling,
)
from ms_coreset.datasets.split import class_order, tell_order
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Log

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

_TRAIN, _TEST = ("train", "training"), ("val", "valid", "validation", "test", "testing")  # the first there is
_PART = "(?:{})(?:[ _-]?(?:set|data|split|images))?"  # also training_set, in any case


@register_dataset("folder", mean=MEAN, std=STD, aliases=["ImageFolder", "image-folder"], resizable=True,
                  by_path=True)
def load_folder(root: Path, train: bool, access: Access, image_size: int | None) -> Loaded:
    """Your own images: ``--data`` names a folder with train/<class>/* and val/<class>/*, or with <class>/* alone.

    ``val`` may also be called valid, validation or test. With <class>/* alone there is no test split. The parts' names
    may be in any case; Training and Testing, train_set and test_set are understood too. The parts may lie in one folder
    that is the only one in the given folder. What archives, file servers and systems leave behind (__MACOSX, @eaDir,
    hidden folders) is passed over. The user is told of what looks wrong: one class only, classes named like parts,
    folders and images that are left aside.

    A folder that holds images and no folders is read without labels.

    Images are resized to ``image_size``. Up to 64 pixels, the shorter side is resized to it and the middle square cut
    out. Above that, ImageNet's margin is kept: resized to 256 for 224. Without ``image_size`` the images keep their
    size if all (of 32 that are looked at) are squares of one size up to 64 pixels, and become 224 otherwise. Mean and
    standard deviation are ImageNet's.

    Args:
        root: the folder of the images.
        train: whether to load the training split, else the test split.
        access: where to log; nothing is fetched.
        image_size: side of the images in pixels, or None.

    Returns:
        Images, labels and class names; None for the test split of a folder without one.

    Raises:
        MsCoresetError: for a folder that is missing, unreadable, or without class folders or images.
    """
    root = _unwrap(root, access.log if train else _silent)
    if not class_folders(root) and (loose := _loose_images(root)):
        return _unlabeled(root, loose, image_size, access.log) if train else None
    trained, tested = _parts(root)
    if trained is None and tested:
        raise MsCoresetError(f"{root} has {tested}, but no folder 'train' beside it")
    if not train and not tested:
        return None
    trained = trained or ""
    scaling = own_scaling(map(_size, _some_of_each_class(root, trained))
                          ) if image_size is None else default_scaling(image_size)
    if tested and not train:
        return load_tree(root, [tested], scaling, class_order(class_folders(root / trained)))
    images, labels, classes = load_tree(root, [trained], scaling)
    _tell_doubts(root, trained, tested, classes, access.log)
    return images, labels, classes


def _unlabeled(root: Path, names: Sequence[str], image_size: int | None, log: Log) -> Loaded:
    """The images in a folder without class folders, as data without labels."""
    log(f"{root} has no class folders: its {len(names):,} images are taken without labels")
    some = [os.path.join(root, name) for name in evenly(names)]
    scaling = own_scaling(map(_size, some)) if image_size is None else default_scaling(image_size)
    return ImageFiles(FileIndex(root, [("", names)]), scaling), np.zeros(len(names), np.int64), ()


def _silent(line: str) -> None:
    pass


def _unwrap(root: Path, log: Log) -> Path:
    """``root``, or the only folder in it if that is no class: it holds several folders, or a part."""
    names = class_folders(root)
    if len(names) != 1 or _is_part(names[0]) or _loose_images(root / names[0]):
        return root
    within = class_folders(root / names[0])
    if len(within) < 2 and not any(map(_is_part, within)):
        return root
    log(f"{root} holds nothing but the folder {names[0]}: that is taken for the data set")
    return root / names[0]


def _parts(root: Path) -> tuple[str | None, str | None]:
    """The folders to train and to test on, below ``root``; None for a part that does not exist.

    A folder that is named like a part but holds no folders counts as a class if folders with other names are beside it.
    """
    names = class_folders(root)
    parts = [name for name in names if _is_part(name)]
    if len(parts) < len(names) and not any(class_folders(root / name) for name in parts):
        return None, None
    trained, tested = (_only(root, parts, kinds) for kinds in (_TRAIN, _TEST))
    return trained and _inner(root, trained), tested and _inner(root, tested)


def _only(root: Path, parts: Sequence[str], kinds: Sequence[str]) -> str | None:
    """The folder that is named like the first of ``kinds`` that has a folder, or None.

    Raises:
        MsCoresetError: for two folders of the same kind.
    """
    for kind in kinds:
        found = [name for name in parts if _is_part(name, (kind,))]
        if len(found) > 1:
            raise MsCoresetError(f"{root} has {' and '.join(found)}: which one is meant? move one elsewhere")
        if found:
            return found[0]
    return None


def _inner(root: Path, part: str) -> str:
    """``part``, or the only folder in it if that is named like a part as well: training_set/training_set."""
    names = class_folders(root / part)
    doubled = len(names) == 1 and _is_part(names[0]) and class_folders(root / part / names[0])
    return os.path.join(part, names[0]) if doubled else part


def _is_part(name: str, kinds: Sequence[str] = _TRAIN + _TEST) -> bool:
    return re.fullmatch(_PART.format("|".join(kinds)), name, re.IGNORECASE) is not None


def _tell_doubts(root: Path, trained: str, tested: str | None, classes: Sequence[str], log: Log) -> None:
    """Log what may be wrong with the tree of folders."""
    place = root / trained
    if len(classes) == 1:
        log(f"{place} has one class, {classes[0]}: --data names the folder that holds a folder for each class")
    if named := list(filter(_is_part, classes)):
        log(f"classes named like parts of a data set: {', '.join(named)}, in {place}")
    if mixed := [f"{name}/{part}" for name in classes for part in class_folders(place / name) if _is_part(part)]:
        log(f"classes hold folders named like parts of a data set ({', '.join(mixed[:4])}): all their images are "
            f"taken; parts hold classes, not the other way round: {mixed[0].partition('/')[2]}/{classes[0]}")
    used = {part.partition(os.sep)[0] for part in (trained, tested) if part}
    if aside := [name for name in class_folders(root) if name not in used] if trained else []:
        log(f"left aside in {root}: {', '.join(aside[:10])}{', ...' if len(aside) > 10 else ''}")
    if loose := _loose_images(place):
        log(f"left aside in {place}: {len(loose):,} images that lie in no class's folder, such as {loose[0]}")
    tell_order(classes, log)


def _loose_images(folder: Path) -> list[str]:
    """Names of the images in ``folder`` itself."""
    with os.scandir(folder) as entries:
        return image_names(entry.name for entry in entries if entry.is_file())


def _some_of_each_class(root: Path, part: str) -> list[str]:
    """Images of a part, at most some more than are looked at, spread over classes."""
    classes = evenly(class_folders(root / part))
    every = ([os.path.join(root, place, file) for place, files in list_images(root, os.path.join(part, name))
              for file in files] for name in classes)
    return [path for paths in every for path in evenly(paths, -(-SAMPLED // len(classes)))]


def _size(path: str) -> tuple[int, int] | None:
    """(width, height), or None for a broken image; an error names it when it is decoded."""
    try:
        with open_image(path) as picture:
            return picture.size
    except MsCoresetError:
        return None
