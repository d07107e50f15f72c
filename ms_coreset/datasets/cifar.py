"""CIFAR-10 and CIFAR-100, in the python layout of their publisher (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Loaded, check_labels, register_dataset
from ms_coreset.datasets.readers.archive import extract
from ms_coreset.errors import MsCoresetError
from ms_coreset.pickle_files import read_pickle

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access


@dataclass(frozen=True)
class Layout:
    """Where a set lies below the root, and the md5 sums of its files, as published."""

    name: str
    num_classes: int
    folder: str
    train: dict
    test: dict
    meta: dict
    label_key: str
    names_key: str
    archive: str
    archive_md5: str

    @property
    def url(self) -> str:
        return f"https://www.cs.toronto.edu/~kriz/{self.archive}"


CIFAR10 = Layout(
    name="CIFAR10", num_classes=10, folder="cifar-10-batches-py", label_key="labels", names_key="label_names",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    archive="cifar-10-python.tar.gz", archive_md5="c58f30108f718f92721af3b95e74349a")

CIFAR100 = Layout(
    name="CIFAR100", num_classes=100, folder="cifar-100-python", label_key="fine_labels", names_key="fine_label_names",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    archive="cifar-100-python.tar.gz", archive_md5="eb9058c3a382ffc7106e4002c42a8d85")


@register_dataset("CIFAR10", mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616), aliases=["CIFAR-10"])
def load_cifar10(root: Path, train: bool, access: Access) -> Loaded:
    """CIFAR-10: 50,000 + 10,000 photographs of 32x32 pixels, 10 classes (170 MB to download).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(CIFAR10, root, train, access)


@register_dataset("CIFAR100", mean=(0.50707, 0.48654, 0.44091), std=(0.26733, 0.25643, 0.27615), aliases=["CIFAR-100"])
def load_cifar100(root: Path, train: bool, access: Access) -> Loaded:
    """CIFAR-100: 50,000 + 10,000 photographs of 32x32 pixels, 100 (fine) classes (169 MB to download).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(CIFAR100, root, train, access)


def _load(layout: Layout, root: Path, train: bool, access: Access) -> Loaded:
    """Images, labels and class names: as many rows as the files hold, so a part of the set can be used too."""
    folder = root / layout.folder
    batches = layout.train if train else layout.test
    published = {folder / member: md5 for member, md5 in (batches | layout.meta).items()}
    if not all(path.is_file() for path in published):
        _unpack(layout, root, access)
    access.compare(layout.name, published)
    classes = _read_names(layout, folder)
    images, labels = zip(*(_read_batch(layout, folder / member) for member in batches), strict=True)
    return _to_nhwc(np.concatenate(images)), np.concatenate(labels), classes


def _to_nhwc(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _read_batch(layout: Layout, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Planar pixels (n, 3072) uint8 and labels (n,) int64 of one file."""
    data, labels = _read_fields(path, "data", layout.label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise MsCoresetError(f"{path}: 'data' is not uint8 of shape (n, 3072); get the file anew")
    if not isinstance(labels, list) or set(map(type, labels)) - {int} or len(labels) != len(data):
        raise MsCoresetError(f"{path}: {layout.label_key!r} is not a list of {len(data)} integers, one for each image; "
                             "get the file anew")
    return data, check_labels(np.array(labels), layout.num_classes, path)


def _read_names(layout: Layout, folder: Path) -> list[str]:
    (member,) = layout.meta
    (names,) = _read_fields(folder / member, layout.names_key)
    if not isinstance(names, list) or set(map(type, names)) - {str} or len(names) != layout.num_classes:
        raise MsCoresetError(f"{folder / member}: {layout.names_key!r} is not a list of {layout.num_classes} names; "
                             "get the file anew")
    return names


def _read_fields(path: Path, *keys: str) -> list:
    entries = read_pickle(path)
    missing = [key for key in keys if not isinstance(entries, dict) or key not in entries]
    if missing:
        raise MsCoresetError(f"{path} holds no {missing[0]!r}: it is not one of this set's files; get the file anew")
    return [entries[key] for key in keys]


def _unpack(layout: Layout, root: Path, access: Access) -> None:
    """Extract the files that the set's folder lacks from the published archive, which is fetched if need be."""
    members = [f"{layout.folder}/{member}" for member in layout.train | layout.test | layout.meta]
    missing = [member for member in members if not (root / member).is_file()]
    archive = root / layout.archive
    # Files of a part of the set must not be filled up with the whole set's.
    if len(missing) < len(members) and not archive.is_file():
        raise MsCoresetError(f"{root / missing[0]} is missing: put it there, or move {root / layout.folder} away "
                             "to get the published set")
    if not archive.is_file():
        access.obtain(layout.url, archive, layout.archive_md5)
    extract(archive, root, missing)
