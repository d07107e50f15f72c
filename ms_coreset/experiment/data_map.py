"""A map of a study's data: where some of the samples lie on the two principal components of their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath
from ms_coreset.npz import read_npz

SAMPLES = 600  # of a map: more would hide one another, and make a page large
_NAMES = ("rows", "places", "shares", "bad")


@dataclass(frozen=True)
class DataMap:
    """Where m samples of a data set lie.

    Attributes:
        rows: (m,) indices of the samples, ascending.
        places: (m, 2) float32, their principal components.
        shares: (2,) the shares of the variance that these explain, in [0, 1].
        bad: (m,) bool, which samples are known to be bad; None where that is not known.
    """

    rows: np.ndarray
    places: np.ndarray
    shares: np.ndarray
    bad: np.ndarray | None = None

    @classmethod
    def of(cls, features: Any, bad: np.ndarray | None = None) -> DataMap | None:
        """The map of ``SAMPLES`` samples that are drawn, always the same ones, or of all where they are fewer.

        Args:
            features: (n, d)
            bad: (n,) bool, or None

        Returns:
            The map; None for fewer than three samples, for d < 2, and where a feature is not finite.
        """
        from sklearn.decomposition import PCA

        n = len(features)
        rows = np.sort(np.random.RandomState(0).permutation(n)[:SAMPLES])
        shown = np.asarray(features[rows], np.float64)
        if len(rows) < 3 or shown.shape[1] < 2 or not np.isfinite(shown).all() or not np.ptp(shown, axis=0).any():
            return None
        components = PCA(2, svd_solver="full")
        places = components.fit_transform(shown).astype(np.float32)
        return cls(rows, places, components.explained_variance_ratio_, None if bad is None else bad[rows])

    def within(self, places: np.ndarray) -> DataMap:
        """The map of a pool as one of the whole data, in which the pool's samples are at ``places``."""
        return DataMap(places[self.rows], self.places, self.shares, self.bad)

    def save(self, path: FilePath) -> None:
        """Write it as .npz; raises ``MsCoresetError`` when that fails."""
        arrays = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        with atomic_write(path) as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: FilePath, n: int) -> DataMap:
        """Read the map of a data set of n samples; raises ``MsCoresetError`` where it is none."""
        what = "whole map of a study's data"
        arrays = read_npz(path, _NAMES, most=dict.fromkeys(_NAMES, SAMPLES * 16 + 1024), what=what)
        rows, places, shares = (arrays.get(name, np.empty(0)) for name in _NAMES[:3])
        found = cls(rows, places, shares, arrays.get("bad"))
        m = len(found.rows)
        fits = (found.rows.dtype.kind == "i" and found.rows.shape == (m,) and found.places.shape == (m, 2)
                and found.shares.shape == (2,) and all(array.dtype.kind == "f" and np.isfinite(array).all()
                                                       for array in (found.places, found.shares))
                and (found.bad is None or (found.bad.dtype == bool and found.bad.shape == (m,))))
        if not m or not fits or found.rows.min() < 0 or found.rows.max() >= n:
            raise MsCoresetError(f"{path} is not a {what}")
        return found
