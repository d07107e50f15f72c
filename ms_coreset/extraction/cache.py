"""Extracted arrays on disk: memory-mapped, keyed by what they depend on, continued when interrupted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.distributed import Alone
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import layers_digest, network_identity, normalization, weights_digest
from ms_coreset.json_files import read_json, write_json
from ms_coreset.kinds import FilePath, Trainable
from ms_coreset.npy_files import create_array, open_array, write_rows

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

SAVE_INTERVAL = 20  # seconds between two notes of how far an extraction is
_ALONE = Alone()


def evidence_key(network: Trainable, split: Split) -> str:
    """Name of the cache entry: a checksum of the weights, the architecture, the images and the normalisation.

    Args:
        network: a trained network.
        split: of the images.

    Returns:
        The checksum, as text.
    """
    described = {**network_identity(network), "layers": layers_digest(network), **normalization(split)}
    return array_digest(np.array([weights_digest(network), split.fingerprint(),
                                  json.dumps(described, sort_keys=True, default=str)]))


class ExtractionStore:
    """Arrays of n rows that are filled in order: in memory, or as .npy files with a note of how many rows are filled.

    On several ranks, arrays on disk are shared: each rank fills its part of the next rows in the same files, until
    ``meet``. In memory each rank has arrays of its own, and ``meet`` exchanges what was filled.

    Args:
        shapes: name -> shape, the first number of which is n.
        folder: of the files, or None for arrays in memory.
        ranks: who fills the arrays.

    Attributes:
        arrays: name -> array.
        done: number of rows that are filled in all of them.

    Raises:
        MsCoresetError: on a rank other than 0 that does not see the files in the folder.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]], folder: FilePath | None = None,
                 ranks: Alone = _ALONE) -> None:
        self._folder = None if folder is None else Path(folder)
        self._ranks = ranks
        self._noted = time.monotonic()
        opened = {name: self._open(name, shape) for name, shape in shapes.items()}
        self.arrays = {name: array for name, (array, _) in opened.items()}
        self.done = min(rows for _, rows in opened.values())

    @property
    def on_disk(self) -> bool:
        """Whether the arrays are files."""
        return self._folder is not None

    def write(self, rows: np.ndarray, **values: Callable[..., np.ndarray]) -> None:
        """Fill some rows of each array.

        Args:
            rows: ascending places that follow one another.
            values: name of the array -> function that gives the rows.
        """
        for name, array in self.arrays.items():
            if self._ranks.size > 1 and self.on_disk:
                write_rows(array, int(rows[0]), values[name]())
            else:
                array[rows] = values[name]()
        if self._ranks.size > 1:
            return
        self.done = int(rows[-1]) + 1
        if time.monotonic() - self._noted > SAVE_INTERVAL:
            self.finish()

    def meet(self, own: slice, done: int) -> None:
        """Make the rows before ``done`` complete on all ranks, after each has filled its own.

        Args:
            own: the rows that this rank has filled, a slice.
            done: the number of rows that all ranks together have filled.
        """
        if self._ranks.size > 1 and not self.on_disk:
            for array in self.arrays.values():
                array[self.done:done] = self._ranks.join(array[own])
        self._ranks.wait()
        self.done = done
        if self._folder is not None and self._ranks.size > 1:
            # Opened again: an old map need not show what other machines have written.
            self.arrays = {name: open_array(self._folder / f"{name}.npy", "r+") for name in self.arrays}
        if self._ranks.first:
            self.finish()

    def finish(self) -> None:
        """Bring the arrays to disk, and then the note of how many rows are there."""
        self._noted = time.monotonic()
        if self._folder is None:
            return
        for name, array in self.arrays.items():
            array.flush()
            write_json(self._folder / f"{name}.json", {"rows": self.done, "shape": list(array.shape)})

    def _open(self, name: str, shape: tuple[int, ...]) -> tuple[Any, int]:
        if self._folder is None:
            return np.empty(shape, np.float32), 0
        path = self._folder / f"{name}.npy"
        with contextlib.suppress(MsCoresetError, KeyError, TypeError):
            note = read_json(path.with_suffix(".json"))
            array = open_array(path, "r+")
            whole = note["shape"] == list(shape) == list(array.shape) and array.dtype == np.float32
            if whole and isinstance(note["rows"], int) and 0 <= note["rows"] <= shape[0]:
                return array, note["rows"]
        if not self._ranks.first:
            raise MsCoresetError(f"rank {self._ranks.rank} does not find {path}, which rank 0 has made: its folder "
                                 "must be one that all machines share")
        with contextlib.suppress(OSError):
            path.with_suffix(".json").unlink()
        return create_array(path, np.float32, shape), 0
