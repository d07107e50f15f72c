"""CINIC-10 (https://datashare.ed.ac.uk/handle/10283/3192): CIFAR-10's classes, enlarged by ImageNet's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ms_coreset.datasets.family import Loaded, register_dataset
from ms_coreset.datasets.pictures import Scaling
from ms_coreset.datasets.readers.archive import unpack
from ms_coreset.datasets.readers.image_files import class_folders, load_tree
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    import numpy as np

    from ms_coreset.datasets.download import Access
    from ms_coreset.datasets.readers.image_files import ImageFiles

_FOLDER = "CINIC-10"
_URL = f"https://datashare.ed.ac.uk/bitstream/handle/10283/3192/{_FOLDER}.tar.gz"
_MD5 = "6ee4d0c996905fe93221de577967a372"
_MEAN, _STD = (0.47889522, 0.47227842, 0.43047404), (0.24205776, 0.23828046, 0.25874835)


@register_dataset("CINIC10", mean=_MEAN, std=_STD, aliases=["CINIC-10"])
def load_cinic10(root: Path, train: bool, access: Access) -> Loaded:
    """CINIC-10: 90,000 + 90,000 images of 32x32 pixels, 10 classes (688 MB to download).

    ``valid`` is left aside, as in the code of CCS.

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(root, ["train"] if train else ["test"], access)


@register_dataset("CINIC10all", mean=_MEAN, std=_STD, aliases=["CINIC-10-all"])
def load_cinic10_all(root: Path, train: bool, access: Access) -> Loaded:
    """CINIC-10 trained on ``train`` and then ``valid``: 180,000 images, as in the paper of CCS; the same test split.

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    return _load(root, ["train", "valid"] if train else ["test"], access)


def _load(root: Path, parts: Sequence[str], access: Access) -> tuple[ImageFiles, np.ndarray, list[str]]:
    folder = root / _FOLDER
    missing = next((folder / part for part in parts if not (folder / part).is_dir()), None)
    if missing is not None:
        _obtain(root, missing, access)
    return load_tree(folder, parts, Scaling(32, 32), class_folders(folder / parts[0]))


def _obtain(root: Path, missing: Path, access: Access) -> None:
    folder, archive = root / _FOLDER, root / f"{_FOLDER}.tar.gz"
    if folder.exists():
        raise MsCoresetError(f"{missing} is missing: put it there, or move {folder} away to get the published set")
    if not archive.is_file():
        access.obtain(_URL, archive, _MD5)
    access.compare("CINIC10", {archive: _MD5})
    access.log(f"unpacking {archive}")
    unpack(archive, folder)
