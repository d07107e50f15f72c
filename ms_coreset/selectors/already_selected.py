"""Places that are in a coreset from the start: a coreset that is continued."""

from collections.abc import Sequence

import numpy as np

from ms_coreset.errors import MsCoresetError

Places = Sequence[int] | np.ndarray


class AlreadySelected:
    """Places that a method adds its picks to. The budget counts only what is added, as in DeepCore.

    Args:
        places: of the samples, in the order in which they were picked.
        n: how many samples there are.

    Raises:
        MsCoresetError: for places that are out of range or repeated, or no whole numbers.
    """

    def __init__(self, places: Places, n: int) -> None:
        self.places = _check_places(places, n)

    def within(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Where the places lie among ``rows``, ascending places of a group, to which k are to be added.

        Args:
            rows: (m,).
            k: how many are added.

        Returns:
            Places in ``rows``, in the order in which they were picked.

        Raises:
            MsCoresetError: where fewer than k are left.
        """
        chosen = np.searchsorted(rows, self.places[np.isin(self.places, rows)])
        if k > len(rows) - len(chosen):
            raise MsCoresetError(f"already_selected holds {len(chosen)} of {len(rows)} samples: fewer are left than "
                                 f"the {k} to add: lower the rate")
        return chosen

    def before(self, picks: np.ndarray) -> np.ndarray:
        """The places, and then the picks that were added."""
        return np.concatenate([self.places, picks])


def _check_places(places: Places, n: int) -> np.ndarray:
    places = np.asarray(places)
    if not places.size:
        return np.empty(0, np.int64)
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise MsCoresetError("already_selected must be a list of places, whole numbers")
    if not 0 <= places.min() <= places.max() < n or len(np.unique(places)) != len(places):
        raise MsCoresetError(f"already_selected must be places from 0 to {n - 1}, each once")
    return places.astype(np.int64)
