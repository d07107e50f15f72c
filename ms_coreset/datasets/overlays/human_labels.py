"""Labels that people gave: CIFAR-10N and CIFAR-100N (https://github.com/UCSC-REAL/cifar-10-100n, CC BY-NC 4.0)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.checksums import digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath
from ms_coreset.pickle_files import read_pickle

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

# Data set -> (published file, name of the labels -> key in the file). The first one is the default.
PUBLISHED = {
    "CIFAR10": ("CIFAR-10_human.pt", {"worse": "worse_label", "aggre": "aggre_label", "random1": "random_label1",
                                      "random2": "random_label2", "random3": "random_label3"}),
    "CIFAR100": ("CIFAR-100_human.pt", {"noisy_fine": "noisy_label"}),
}
KINDS = tuple(kind for _, keys in PUBLISHED.values() for kind in keys)
_FOLDERS = ("cifar-n", "")


def read_human_labels(clean: Split, root: FilePath, kind: str | None = None) -> tuple[np.ndarray, dict[str, str]]:
    """Read the published human labels of one kind for the training split ``clean``.

    The file is a pickle, read without running anything in it, in ``<root>/cifar-n`` or ``<root>``.

    Args:
        clean: the training split.
        root: folder that holds the data sets.
        kind: for CIFAR10 "aggre" (the majority of three people), "random1", "random2", "random3" (one of the three) or
            "worse" (a wrong one if there is any; the default); for CIFAR100 "noisy_fine".

    Returns:
        (labels, source): (n,) integers, and a text that says where they come from.

    Raises:
        MsCoresetError: for a data set without human labels, an unknown kind, a file that is missing or damaged, and a
            file whose clean labels differ from those of ``clean`` in any row: the labels follow the order of CIFAR's
            python version.
    """
    if clean.name not in PUBLISHED:
        raise MsCoresetError(f"no labels given by people are published for {clean.name}: only for "
                             f"{', '.join(PUBLISHED)}")
    file, keys = PUBLISHED[clean.name]
    kind = kind or next(iter(keys))
    if kind not in keys:
        raise MsCoresetError(f"unknown human labels {kind!r} of {clean.name}: there are {', '.join(keys)}")
    path = _find(Path(root), file)
    content = read_pickle(path)
    known = _labels(content, "clean_label", path)
    if not np.array_equal(known, clean.labels):
        raise MsCoresetError(f"{path}: its clean labels ({len(known)}) are not those of this {clean.name} "
                             f"({len(clean)}), row for row; it fits the whole set in its python version only")
    return _labels(content, keys[kind], path), {"human": kind, "file": file, "file_md5": digest(path)}


def _find(root: Path, file: str) -> Path:
    for folder in _FOLDERS:
        if (root / folder / file).is_file():
            return root / folder / file
    raise MsCoresetError(f"{root / _FOLDERS[0] / file} is missing: get it from https://github.com/UCSC-REAL/"
                         "cifar-10-100n (folder data; CC BY-NC 4.0) and put it there")


def _labels(content: Any, key: str, path: Path) -> np.ndarray:
    labels = content.get(key) if isinstance(content, dict) else None
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise MsCoresetError(f"{path} holds no labels {key!r}; get the file anew")
    return labels
