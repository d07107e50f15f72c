"""The state of a recorder after an epoch, in state-<epochs>.npz, from which an interrupted run goes on."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ms_coreset.files import atomic_write, reserve
from ms_coreset.npz import read_npz

_HEADERS = 1000  # bytes, at most, that an archive takes of an array beside its numbers


def write_state(folder: Path, epochs: int, state: dict[str, np.ndarray]) -> None:
    """Write a state.

    The space on disk is reserved first: if the disk became full during writing, zipfile would print another error at
    exit.

    Args:
        folder: of the states.
        epochs: number of epochs that are done.
        state: name -> array.
    """
    with atomic_write(_path(folder, epochs)) as stream:
        reserve(stream, sum(array.nbytes + _HEADERS for array in state.values()))
        np.savez(stream, **state)
        stream.truncate()


def read_state(folder: Path, epochs: int, names: Collection[str]) -> dict[str, np.ndarray] | None:
    """Read a state.

    Args:
        folder: of the states.
        epochs: number of epochs that are done.
        names: of the arrays.

    Returns:
        Name -> array, or None where there is no state after so many epochs, or arrays of it are missing.

    Raises:
        MsCoresetError: for a damaged file, and for one that holds other arrays.
    """
    path = _path(folder, epochs)
    if not path.is_file():
        return None
    state = read_npz(path, names)
    return state if state.keys() == set(names) else None


def drop_states(folder: Path, but: int | None = None) -> None:
    """Remove the states after other numbers of epochs than ``but``."""
    for path in folder.glob("state-*.npz"):
        if but is None or path != _path(folder, but):
            path.unlink(missing_ok=True)


def drop_states_below(folder: Path) -> None:
    """Remove what an interruption has left in the folders of the records of a training, which is finished."""
    for path in folder.glob("*/state-*.npz"):
        path.unlink(missing_ok=True)


def _path(folder: Path, epochs: int) -> Path:
    return folder / f"state-{epochs}.npz"
