"""RS2: another random subset in every epoch."""

import numpy as np

from ms_coreset.samplers.sampler import Sampler, Training, register_sampler
from ms_coreset.selectors.quota import classes, proportional


@register_sampler("rs2", aliases=("RepeatedRandom", "repeated_random"),
                  source="Okanovic et al., Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning, "
                         "ICLR 2024")
class RS2(Sampler):
    """A random subset of k = round(rate n) samples, another one in every epoch.

    Without replacement the subsets are consecutive pieces of permutations of all samples. A piece that reaches beyond
    the end of one permutation is filled up from the next, which leaves out, for later, what the piece has already. So
    after E epochs every sample was presented floor(E k / n) or ceil(E k / n) times, once more or less.

    Departures from the authors' code, in which a piece that reaches beyond the end is one sample short, and is filled
    up from the permutation that it began in.

    Args:
        training: see ``Training``.
        replacement: draw every epoch's subset by itself, without regard to what was presented before.
        stratified: subsets of every class by themselves, as many of each as ``quota.proportional`` gives: the class's
            share of k, and the largest remainders one more.
    """

    listens = False
    _kept = ("_left", "_ends")

    def __init__(self, training: Training, replacement: bool = False, stratified: bool = False) -> None:
        super().__init__(training)
        self._groups = classes(training.labels) if stratified else [np.arange(len(self))]
        self._counts = proportional(training.size, [len(group) for group in self._groups])
        self._replacement = replacement
        # What is left of each group's permutation, end to end: places within the group.
        self._left, self._ends = np.zeros(0, np.int64), np.zeros(len(self._groups), np.int64)

    def _draw(self, epoch: int) -> tuple[np.ndarray, None]:
        left = np.split(self._left, self._ends[:-1])
        pieces = []
        for number, (group, count) in enumerate(zip(self._groups, self._counts, strict=True)):
            if self._replacement:
                places = self._rng.permutation(len(group))[:count]
            else:
                places, left[number] = self._next_piece(left[number], len(group), count)
            pieces.append(group[places])
        self._left, self._ends = np.concatenate(left), np.cumsum([len(part) for part in left])
        indices = np.concatenate(pieces)
        return indices if len(pieces) == 1 else self._rng.permutation(indices), None

    def _next_piece(self, left: np.ndarray, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(the next ``count`` places of the permutations, what is left of the last one)."""
        if len(left) >= count:
            return left[:count], left[count:]
        fresh = self._rng.permutation(size)
        new = np.flatnonzero(~np.isin(fresh, left))[:count - len(left)]
        return np.concatenate([left, fresh[new]]), np.delete(fresh, new)
