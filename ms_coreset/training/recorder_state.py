"""What a recorder has to know of the epochs before to go on after an interruption, in state-<epochs>.npz."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ms_coreset.files import atomic_write, reserve
from ms_coreset.npz import read_npz

_HEADERS = 1000  # bytes, at most, that an archive takes of an array beside its numbers


def write_state(folder: Path, epochs: int, state: dict[str, np.ndarray]) -> None:
    """Keep arrays by name, those after so many epochs.

    The space on disk is taken first: of a disk that is full in between, zipfile tells on stderr once more in the end.
    """
    with atomic_write(_path(folder, epochs)) as stream:
        reserve(stream, sum(array.nbytes + _HEADERS for array in state.values()))
        np.savez(stream, **state)
        stream.truncate()


def read_state(folder: Path, epochs: int, names: Collection[str]) -> dict[str, np.ndarray] | None:
    """The arrays of these ``names`` after so many epochs, or None where they were not kept.

    Raises ``MsCoresetError`` for a damaged file, and for one that holds others.
    """
    path = _path(folder, epochs)
    if not path.is_file():
        return None
    state = read_npz(path, names)
    return state if state.keys() == set(names) else None


def drop_states(folder: Path, but: int | None = None) -> None:
    """Remove those after other numbers of epochs than ``but``."""
    for path in folder.glob("state-*.npz"):
        if but is None or path != _path(folder, but):
            path.unlink(missing_ok=True)


def drop_states_below(folder: Path) -> None:
    """Remove what an interruption has left in the folders of the records of a training, which is finished."""
    for path in folder.glob("*/state-*.npz"):
        path.unlink(missing_ok=True)


def _path(folder: Path, epochs: int) -> Path:
    return folder / f"state-{epochs}.npz"
