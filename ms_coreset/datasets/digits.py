"""scikit-learn's handwritten digits: small real images that need no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Loaded, register_dataset

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access


@register_dataset("digits", mean=(0.3054,), std=(0.3758,))
def load_digits(root: Path, train: bool, access: Access) -> Loaded:
    """1,797 handwritten digits of 8x8 pixels (1,437 train, 360 test), part of scikit-learn; nothing is downloaded.

    The values 0..16 become ``round(value * 255 / 16)`` (half to even). The set is published without splits: a fixed
    fifth of each class is the test split, independent of the user's seed.

    Args:
        root: not used: scikit-learn brings the files.
        train: whether to load the training split, else the test split.
        access: not used.

    Returns:
        Images, labels and class names; see ``family.Family``.
    """
    from sklearn.datasets import load_digits as bundled

    data = bundled()
    rows = _test_rows(data.target)
    if train:
        rows = np.setdiff1d(np.arange(len(data.target)), rows)
    images = np.rint(data.images[rows] * 255 / 16).astype(np.uint8)[..., None]
    return images, data.target[rows].astype(np.int64), tuple("0123456789")


def _test_rows(labels: np.ndarray) -> np.ndarray:
    """Ascending rows of the test split: every fifth sample of a shuffled order that is then sorted by class."""
    shuffled = np.random.RandomState(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.sort(by_class[::5])
