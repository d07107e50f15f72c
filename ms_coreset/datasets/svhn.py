"""Street View House Numbers, cropped digits, in the files of their publisher (http://ufldl.stanford.edu/housenumbers).

Downloads go to ``<root>/svhn``; files are looked for there and in ``<root>``, where torchvision puts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Loaded, check_labels, register_dataset
from ms_coreset.datasets.readers.matlab import read_matlab
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

_URL = "http://ufldl.stanford.edu/housenumbers"
_MD5 = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    "extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7",
}
_MEAN, _STD = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)


@register_dataset("SVHN", mean=_MEAN, std=_STD)
def load_svhn(root: Path, train: bool, access: Access) -> Loaded:
    """SVHN: 73,257 + 26,032 digits of house numbers, colour, 32x32 pixels, unbalanced classes (246 MB to download).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(["train_32x32.mat"] if train else ["test_32x32.mat"], root, access)


@register_dataset("SVHNextra", mean=_MEAN, std=_STD)
def load_svhn_extra(root: Path, train: bool, access: Access) -> Loaded:
    """SVHN with its easier extra digits: 604,388 to train on, SVHN's 73,257 first (1.6 GB to download; 4 GB of memory).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(["train_32x32.mat", "extra_32x32.mat"] if train else ["test_32x32.mat"], root, access)


def _load(files: Sequence[str], root: Path, access: Access) -> Loaded:
    paths = [_locate(root, file, access) for file in files]
    access.compare("SVHN", {path: _MD5[path.name] for path in paths})
    images, labels = zip(*map(_read, paths), strict=True)
    # Into one contiguous array: the parts are views of MATLAB's order, and SVHNextra's are large.
    whole = np.empty((sum(map(len, images)), 32, 32, 3), np.uint8)
    return np.concatenate(images, out=whole), np.concatenate(labels), tuple("0123456789")


def _locate(root: Path, file: str, access: Access) -> Path:
    found = next((path for path in (root / "svhn" / file, root / file) if path.is_file()), None)
    if found is None:
        found = root / "svhn" / file
        access.obtain(f"{_URL}/{file}", found, _MD5[file])
    return found


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8, a view, and labels (n,) int64 of one file; label 10 stands for the digit 0."""
    arrays = read_matlab(path, ("X", "y"))
    pixels, labels = arrays["X"], arrays["y"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3):
        raise MsCoresetError(f"{path}: 'X' is {pixels.dtype} of shape {pixels.shape}, not uint8 of shape "
                             "(32, 32, 3, n); get the file anew")
    if labels.shape != (pixels.shape[3], 1) or not np.array_equal(labels, np.rint(labels)):
        raise MsCoresetError(f"{path}: 'y' of shape {labels.shape} is not {pixels.shape[3]} whole numbers, one for "
                             "each image; get the file anew")
    return pixels.transpose(3, 0, 1, 2), check_labels(np.where(labels == 10, 0, labels)[:, 0], 10, path)
