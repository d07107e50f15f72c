"""What a recorder has to know of the epochs before to go on after an interruption, in state-<epochs>.npz."""

from pathlib import Path

import numpy as np

from ms_coreset.files import atomic_write, open_file, reading


def write_state(folder: Path, epochs: int, state: dict[str, np.ndarray]) -> None:
    """Keep arrays by name, those after so many epochs."""
    with atomic_write(_path(folder, epochs)) as stream:
        np.savez(stream, **state)


def read_state(folder: Path, epochs: int) -> dict[str, np.ndarray] | None:
    """Arrays by name after so many epochs, None where none were kept; raises ``MsCoresetError`` for a damaged file."""
    path = _path(folder, epochs)
    if not path.is_file():
        return None
    with reading(path, "the state of a recorder"), open_file(path) as stream, np.load(stream) as arrays:
        return {name: arrays[name] for name in arrays.files}


def drop_states(folder: Path, but: int | None = None) -> None:
    """Remove those after other numbers of epochs than ``but``."""
    for path in folder.glob("state-*.npz"):
        if but is None or path != _path(folder, but):
            path.unlink(missing_ok=True)


def _path(folder: Path, epochs: int) -> Path:
    return folder / f"state-{epochs}.npz"
