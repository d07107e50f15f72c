"""Neighbors on disk, beside the evidence that they were found in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError, warn
from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath
from ms_coreset.npz import read_npz
from ms_coreset.selectors.searches import Neighbors


class NeighborFiles:
    """A folder with an .npz file for each search; see ``searches.Store``.

    Args:
        folder: of the files; it is made when the first one is written.
    """

    def __init__(self, folder: FilePath) -> None:
        self._folder = Path(folder)

    def load(self, key: str, shape: tuple[int, int]) -> Neighbors | None:
        """The neighbors of the search ``key``, or None where there is no file, or none that is whole, which is said."""
        path = self._folder / f"{key}.npz"
        if not path.exists():
            return None
        try:
            arrays = read_npz(path, Neighbors._fields)
            found = Neighbors(arrays["places"], arrays["distances"], float(arrays["recall"]))
        except (MsCoresetError, KeyError, TypeError, ValueError):
            found = None
        if found is None or not _is_whole(found, shape):
            warn(f"{path} is not whole: the neighbors are sought anew")
            return None
        return found

    def save(self, key: str, found: Neighbors) -> None:
        """Write the neighbors of the search ``key``."""
        with atomic_write(self._folder / f"{key}.npz") as stream:
            np.savez(stream, **found._asdict())


def _is_whole(found: Neighbors, shape: tuple[int, int]) -> bool:
    return (found.places.dtype == np.int64 and found.distances.dtype == np.float64
            and found.places.shape == found.distances.shape == shape and 0 <= found.recall <= 1
            and bool((found.places >= 0).all()))
