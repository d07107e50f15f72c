"""Extracted arrays on disk: memory-mapped, keyed by what they depend on, continued when interrupted."""

import contextlib
import json
import time
from pathlib import Path

import numpy as np

from ms_coreset.files import array_digest, create_array, write_json

SAVE_INTERVAL = 20  # seconds between two notes of how far an extraction is


def evidence_key(network, split):
    """Name of the cache entry: a checksum of the weights, the images and the normalisation."""
    weights = array_digest(*(parameter.asnumpy() for parameter in network.get_parameters()))
    transform = array_digest(np.array(split.mean, float), np.array(split.std, float))
    return array_digest(np.array([weights, split.fingerprint(), transform]))


class ExtractionStore:
    """Arrays of n rows that are filled in order: in memory, or as .npy files with a note of how many rows are there.

    arrays: name to array; done: rows that are filled in all of them
    """

    def __init__(self, shapes, folder=None):
        self._folder = None if folder is None else Path(folder)
        self._noted = time.monotonic()
        opened = {name: self._open(name, shape) for name, shape in shapes.items()}
        self.arrays = {name: array for name, (array, _) in opened.items()}
        self.done = min(rows for _, rows in opened.values())

    def write(self, rows, **values):
        """Fill ``rows`` of each array from the function of its name."""
        for name, array in self.arrays.items():
            array[rows] = values[name]()
        self.done = int(rows[-1]) + 1
        if time.monotonic() - self._noted > SAVE_INTERVAL:
            self.finish()

    def finish(self):
        """Bring the arrays to disk, and then the note of how many rows are there."""
        self._noted = time.monotonic()
        if self._folder is None:
            return
        for name, array in self.arrays.items():
            array.flush()
            write_json(self._folder / f"{name}.json", {"rows": self.done, "shape": list(array.shape)})

    def _open(self, name, shape):
        if self._folder is None:
            return np.empty(shape, np.float32), 0
        path = self._folder / f"{name}.npy"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(path.with_suffix(".json").read_text())
            array = np.load(path, mmap_mode="r+")
            if note["shape"] == list(shape) == list(array.shape) and array.dtype == np.float32:
                return array, int(note["rows"])
        with contextlib.suppress(OSError):
            path.with_suffix(".json").unlink()
        return create_array(path, np.float32, shape), 0
