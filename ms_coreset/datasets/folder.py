"""A user's own images: a folder of class folders, with or without a part to test on."""

import os

import numpy as np

from ms_coreset.datasets.family import register_dataset
from ms_coreset.datasets.imagenet import MEAN, STD
from ms_coreset.datasets.readers.image_files import class_folders, default_scaling, list_images, load_tree, open_image
from ms_coreset.errors import MsCoresetError

_TEST_FOLDERS = ("val", "valid", "validation", "test")
_SAMPLED, _SMALL, _LARGE = 32, 64, 224


@register_dataset("folder", mean=MEAN, std=STD, aliases=["ImageFolder", "image-folder"], resizable=True,
                  by_path=True)
def load_folder(root, train, access, image_size):
    """Your own images: --data names the folder, with train/<class>/* and val/<class>/* (or valid, validation, test),
    or with <class>/* alone, and then no test split.

    Images are resized to ``image_size``: up to 64 pixels the shorter side is, and the middle square cut out; above
    that with ImageNet's margin, 256 for 224. Without it, they keep their size if (of 32 that are looked at) all are
    squares of one size up to 64, and become 224 otherwise. Mean and standard deviation are ImageNet's.
    """
    parted = (root / "train").is_dir()
    tested = next((name for name in _TEST_FOLDERS if (root / name).is_dir()), None)
    if not parted and tested:
        raise MsCoresetError(f"{root} has {tested}, but no folder 'train' beside it")
    if not train and not tested:
        return None
    trained = "train" if parted else ""
    scaling = default_scaling(_common_size(root, trained) if image_size is None else image_size)
    if train:
        return load_tree(root, [trained], scaling)
    return load_tree(root, [tested], scaling, class_folders(root / trained))


def _common_size(root, part):
    """The side of the images if those that are looked at, evenly over classes, are equal small squares; or 224."""
    classes = _evenly(class_folders(root / part), _SAMPLED)
    sizes = set()
    for name in classes:
        paths = [os.path.join(root, place, file) for place, files in list_images(root, os.path.join(part, name))
                 for file in files]
        sizes.update(map(_size, _evenly(paths, -(-_SAMPLED // len(classes)))))
    (width, height), *others = sizes or [(_LARGE, _LARGE)]
    return width if width == height <= _SMALL and not others else _LARGE


def _evenly(items, count):
    """``count`` items from the first to the last, or all if there are fewer."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))] if items else []


def _size(path):
    with open_image(path) as picture:
        return picture.size
