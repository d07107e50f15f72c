"""Arrays on disk that grow by a batch at a time, of unknown length, and go on when interrupted."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.json_files import read_json, write_json
from ms_coreset.kinds import FilePath
from ms_coreset.npy_files import create_array, lengthen_array, open_array

NOTE = "extraction.json"
_UNDONE = ".extraction"  # folder of what is not whole yet: hidden, so that nobody takes it for features
_SAVE_INTERVAL = 1  # seconds, at least, between two notes of how far it is


class GrowingArrays:
    """Arrays of as many rows as batches bring, .npy files, which are moved to their folder once they are whole.

    Args:
        folder: of the files.
        made_from: what decides on the numbers, plain values by name.

    Attributes:
        batches: number of batches that the files hold.
        mark: that of the last of them, a text, "" before the first; see ``append``.
        first_mark: that of the first.
        whole: whether there are no more to come.

    Raises:
        MsCoresetError: if the folder holds arrays that were made from something else, or a damaged note.
    """

    def __init__(self, folder: FilePath, made_from: dict[str, Any]) -> None:
        self._folder, self._undone, self._made_from = Path(folder), Path(folder) / _UNDONE, made_from
        self.batches, self._rows, self.mark, self.first_mark, self.whole = 0, 0, "", "", False
        self._names: list[str] = []
        self._noted = time.monotonic()
        path = next((path for path in (self._undone / NOTE, self._folder / NOTE) if path.is_file()), None)
        if path is not None:
            self._restore(path)

    def _restore(self, path: Path) -> None:
        note = read_json(path)
        try:
            theirs, numbers, marks = note["made_from"], (note["batches"], note["rows"]), (note["mark"], note["first"])
            names, whole = list(map(str, note["arrays"])), note["whole"]
            if not all(type(number) is int and number >= 0 for number in numbers) or not isinstance(theirs, dict):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise MsCoresetError(f"{path} is damaged: delete {self._folder} to extract anew") from error
        for name, own in self._made_from.items():
            if theirs.get(name) != own:
                raise MsCoresetError(f"{self._folder} holds what was extracted with {name} {theirs.get(name)!r}, not "
                                     f"{own!r}: name another folder, or delete this one")
        (self.batches, self._rows), (self.mark, self.first_mark) = numbers, map(str, marks)
        self._names, self.whole = names, whole is True

    def append(self, mark: str, arrays: dict[str, np.ndarray]) -> None:
        """Add a batch.

        Args:
            mark: of it and all before it.
            arrays: name -> (b, ...) rows; b, the names, and all else are the same for all batches.

        Raises:
            MsCoresetError: for arrays that differ from those of the batches before, and where they can't be written.
        """
        count = len(next(iter(arrays.values())))
        if self.batches and list(arrays) != self._names:
            raise MsCoresetError(f"batch {self.batches} gives {', '.join(arrays)}, those before "
                                 f"{', '.join(self._names)}")
        self._names = list(arrays)
        files = {name: self._grown(name, rows, count) for name, rows in arrays.items()}
        for name, rows in arrays.items():
            files[name][self._rows:self._rows + count] = rows
        self.batches, self._rows, self.mark = self.batches + 1, self._rows + count, mark
        self.first_mark = self.first_mark or mark
        if time.monotonic() - self._noted >= _SAVE_INTERVAL:
            self._save(files)

    def _grown(self, name: str, rows: np.ndarray, count: int) -> np.memmap:
        """The file of an array with room for ``count`` rows more; an interrupted run may have left others."""
        path, shape = self._path(name), (self._rows + count, *rows.shape[1:])
        if len(rows) != count:
            raise MsCoresetError(f"batch {self.batches}: {len(rows)} {name} for {count} samples")
        array = lengthen_array(path, shape[0]) if self._rows else create_array(path, rows.dtype, shape)
        if array.shape[1:] != shape[1:] or array.dtype != rows.dtype:
            raise MsCoresetError(f"batch {self.batches}: {name} {rows.dtype} of shape {rows.shape[1:]} a sample, "
                                 f"before {array.dtype} of shape {array.shape[1:]}")
        return array

    def _save(self, arrays: dict[str, np.memmap]) -> None:
        for array in arrays.values():
            array.flush()
        self._note()

    def _note(self) -> None:
        write_json(self._undone / NOTE, {
            "made_from": self._made_from, "arrays": self._names, "batches": self.batches, "rows": self._rows,
            "mark": self.mark, "first": self.first_mark, "whole": self.whole})
        self._noted = time.monotonic()

    def finish(self) -> None:
        """Move the files to their folder: no more batches come.

        Raises:
            MsCoresetError: where that fails, and where an earlier run had more batches.
        """
        if not self.whole:
            arrays = {name: open_array(self._path(name), "r+") for name in self._names}
            if any(len(array) != self._rows for array in arrays.values()):
                raise MsCoresetError(f"the loader ended after {self._rows} samples, there were more before: delete "
                                     f"{self._folder} to extract anew")
            self.whole = True
            self._save(arrays)
            del arrays  # Windows renames no file that is mapped
        if not self._undone.is_dir():
            return
        try:
            for name in (*(f"{name}.npy" for name in self._names), NOTE):
                if (self._undone / name).is_file():
                    os.replace(self._undone / name, self._folder / name)
        except OSError as error:
            raise MsCoresetError(f"can't write to {self._folder}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            self._undone.rmdir()

    def arrays(self) -> dict[str, np.memmap]:
        """Name -> memory-mapped array, of whole ones."""
        return {name: open_array(self._folder / f"{name}.npy") for name in self._names}

    def _path(self, name: str) -> Path:
        return self._undone / f"{name}.npy"
