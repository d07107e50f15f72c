"""Selections by set functions that go on from places already selected, with the gains of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.selectors.already_selected import AlreadySelected, Places
from ms_coreset.selectors.quota import Request, classes, pick_by_group
from ms_coreset.selectors.selection import Selection
from ms_coreset.selectors.submodular.greedy import Restricted

if TYPE_CHECKING:
    from ms_coreset.selectors.submodular.greedy import Maximizer
    from ms_coreset.selectors.submodular.set_functions import SetFunction

Pick = Callable[[np.ndarray, int], np.ndarray]


class Continued:
    """Maximizes set functions of groups, from the places already selected on; it keeps the gains.

    Args:
        already_selected: places, in the order in which they were picked.
        groups: (n,) the class of each sample.

    Raises:
        MsCoresetError: for places that can't be selected already.
    """

    def __init__(self, already_selected: Places, groups: np.ndarray) -> None:
        self._chosen, self._groups = AlreadySelected(already_selected, len(groups)), groups
        self._gains = np.full(len(groups), np.nan)

    def add(self, rows: np.ndarray, k: int, maximize: Maximizer, function: Callable[[int], SetFunction]) -> np.ndarray:
        """Add k picks to the places of a group that are selected already.

        Args:
            rows: (m,) ascending places of the group.
            k: how many to add; 0 only where places are selected already.
            maximize: a maximizer.
            function: (most picks) -> the set function of the group, of an empty S.

        Returns:
            Places in ``rows``: those already selected, then the k.

        Raises:
            MsCoresetError: where fewer than k are left.
        """
        before = self._chosen.within(rows, k)
        extended = function(k + len(before))
        for place in before:
            self._gains[rows[place]] = extended.gains(np.array([place]))[0]
            extended.add(place)
        if not k:
            return before
        left = np.setdiff1d(np.arange(len(rows)), before)
        places, gains = maximize(Restricted(extended, left) if len(before) else extended, k)
        self._gains[rows[left[places]]] = gains
        return np.concatenate([before, left[places]])

    def select(self, request: Request, add: Pick, by_group: Callable[..., np.ndarray] = pick_by_group) -> Selection:
        """The ``Selection`` of places already selected, then the picks of all groups, with their gains.

        Args:
            request: rate, balance, seed and memory, see ``quota.Request``.
            add: (rows of a group, k) -> its places, as ``self.add`` gives them.
            by_group: ``pick_by_group``, or another way to share the budget.
        """
        def pick(rows: np.ndarray, k: int) -> np.ndarray:
            places = add(rows, k)
            return rows[places[len(places) - k:]]

        indices = self._chosen.before(by_group(self._groups, request, pick))
        for rows in classes(self._groups):  # of which nothing is added
            if np.isnan(self._gains[np.intersect1d(self._chosen.places, rows)]).any():
                add(rows, 0)
        return Selection(indices, gains=self._gains[indices])
