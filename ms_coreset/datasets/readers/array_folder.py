"""Arrays that were written in parts, as .npy files in one folder."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.npy_files import open_array
from ms_coreset.stored_rows import JoinedRows, StoredRows

_DIGITS = re.compile(r"(\d+)", re.ASCII)
_BY_NAME = ("labels", "logits")  # what files are that are called so; all others are features


def read_folder(folder: Path) -> dict[str, np.ndarray | StoredRows]:
    """The arrays of a folder's .npy files: labels, in memory; logits and features, which stay in the files.

    Files named labels*.npy and logits*.npy are the parts of those, all other .npy files are the parts of the features.
    The parts of an array follow one another by their names, in which numbers count by value: part-2 before part-10.
    Hidden files, other files, and folders are passed over.

    Raises:
        MsCoresetError: naming a file that is damaged, or differs from the first part in type or width; and for a folder
            without .npy files.
    """
    paths: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.npy"), key=natural_order):
        if not path.name.startswith("."):
            paths[next((name for name in _BY_NAME if path.name.startswith(name)), "features")].append(path)
    if not paths:
        raise MsCoresetError(f"{folder} holds no .npy files: put features there, (n_i, d) each, such as part-000.npy")
    return {name: _labels(parts) if name == "labels" else _rows(name, parts) for name, parts in paths.items()}


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """What files are sorted by: their names, with numbers by value."""
    parts = _DIGITS.split(path.name)
    parts[1::2] = map(int, parts[1::2])
    return parts, path.name


def _labels(paths: list[Path]) -> np.ndarray:
    parts = [open_array(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if part.ndim != 1 or (part.dtype.kind == "U") != (parts[0].dtype.kind == "U"):
            raise MsCoresetError(f"{path} must be labels (n,), of numbers or of texts as {paths[0].name}, got "
                                 f"{part.dtype} of shape {part.shape}")
    return np.concatenate(parts)


def _rows(name: str, paths: list[Path]) -> np.ndarray | StoredRows:
    parts = [open_array(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if part.ndim != 2:
            raise MsCoresetError(f"{path} must be a part (n, columns) of the {name}, got {part.dtype} of shape "
                                 f"{part.shape}")
    return parts[0] if len(parts) == 1 else StoredRows(name, JoinedRows(name, parts, paths))
