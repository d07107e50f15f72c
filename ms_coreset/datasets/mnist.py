"""MNIST and its kin, as IDX files, plain or compressed (http://yann.lecun.com/exdb/mnist describes the format).

Files are looked for in ``<root>/<name>/raw``, where torchvision puts them, and in ``<root>/<name>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ms_coreset.datasets.family import Loaded, check_labels, register_dataset
from ms_coreset.datasets.readers.idx import read_idx
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    import numpy as np

    from ms_coreset.datasets.download import Access

# The published files: images and labels to train on, then those to test on.
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
_QMNIST_MD5 = {
    "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
    "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
    "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
    "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
}
_FASHION_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                    "Ankle boot")


@register_dataset("MNIST", mean=(0.1307,), std=(0.3081,))
def load_mnist(root: Path, train: bool, access: Access) -> Loaded:
    """MNIST: 60,000 + 10,000 handwritten digits of 28x28 pixels (12 MB to download).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    url = "https://ossci-datasets.s3.amazonaws.com/mnist"
    return *_load("MNIST", url, _MNIST_MD5, root, train, access), tuple("0123456789")


@register_dataset("FashionMNIST", mean=(0.2861,), std=(0.3530,), aliases=["Fashion-MNIST"])
def load_fashion_mnist(root: Path, train: bool, access: Access) -> Loaded:
    """Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28x28 pixels, 10 classes (31 MB to download).

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    return *_load("FashionMNIST", url, _FASHION_MD5, root, train, access), _FASHION_CLASSES


@register_dataset("QMNIST", mean=(0.1308,), std=(0.3088,))
def load_qmnist(root: Path, train: bool, access: Access) -> Loaded:
    """QMNIST: MNIST's 60,000 training digits, and the whole test set of 60,000, 28x28 pixels (20 MB to download).

    A label in its files is a row of eight integers: the class, the writer, and where the digit comes from.

    Args:
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    url = "https://raw.githubusercontent.com/facebookresearch/qmnist/master"
    return *_load("QMNIST", url, _QMNIST_MD5, root, train, access, label_columns=8), tuple("0123456789")


def _load(name: str, url: str, md5: dict[str, str], root: Path, train: bool, access: Access,
          label_columns: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels.

    Args:
        name: of the set and its folder.
        url: where its files are published.
        md5: name of a file -> its sum.
        root: folder that holds the data sets.
        train: whether to load the training split, else the test split.
        access: what may be done to get at the files.
        label_columns: for labels that are rows of 32-bit integers, how many a row has (the class is the first); None
            for labels that are bytes.
    """
    archives = list(md5)[:2] if train else list(md5)[2:]
    paths = [_locate(root / name, archive, f"{url}/{archive}", md5[archive], access) for archive in archives]
    access.compare(name, {path: md5[path.name] for path in paths if path.name in md5})  # no sum of a plain file
    images = read_idx(paths[0], (28, 28))
    labels = read_idx(paths[1], (label_columns,), code=12)[:, 0] if label_columns else read_idx(paths[1], ())
    if len(images) != len(labels):
        raise MsCoresetError(f"{paths[0]} has {len(images)} images but {paths[1].name} {len(labels)} labels; "
                             "get both anew")
    return images[..., None], check_labels(labels, 10, paths[1])


def _locate(folder: Path, archive: str, url: str, md5: str, access: Access) -> Path:
    """A file of the set, plain before compressed; fetched as published if there is none."""
    plain = archive.removesuffix(".gz")
    candidates = [place / name for place in (folder / "raw", folder) for name in (plain, archive)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        found = folder / "raw" / archive
        access.obtain(url, found, md5)
    return found
