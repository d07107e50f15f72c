"""Coresets that a method chooses anew every few epochs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.samplers.sampler import Sampler, Training, register_sampler
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.option_values import Whole
from ms_coreset.selectors.quota import Request

Choose = Callable[[Evidence, Request], Coreset]


@register_sampler("reselect", aliases=("adaptive",),
                  source="Killamsetty et al., GLISTER, AAAI 2021, and GRAD-MATCH, ICML 2021, algorithm 1 of each")
class Reselect(Sampler):
    """A coreset of about round(rate n) samples, chosen anew every ``every`` epochs by what the network says then.

    The first ``warm`` epochs present all samples. A coreset is chosen before the epoch after them, and then after every
    ``every`` epochs; those in between present the last one. The i-th selection, from 0, has the seed of the training
    plus i (modulo 2**32), so that ``random`` draws anew each time. The coreset's weights w, if the method gives any,
    become w k / sum(w) of its k samples, whose mean is 1.

    Departures from the authors' code, CORDS: the first coreset is chosen by the network as it is then, not drawn at
    random; no epochs are skipped after the warm ones.

    Args:
        training: see ``Training``.
        method: that chooses, as it is typed, "gradmatch"; or a function ``(evidence, request) -> Coreset``.
        every: epochs between two selections.
        warm: epochs on all samples before the first selection.
        balance: whether the same share of every class is chosen.
        memory: what a selection may use beside the data, as for ``select``.
        evidence: a function that gives the ``Evidence`` of all samples in their order by the network as it is when it
            is called, once for each selection; None for methods that need labels alone.

    Attributes:
        choice: the method, unless a function was given.
        request: of the first selection.
        every: as given.
        warm: as given.

    Raises:
        MsCoresetError: for a method or options that there are not, and in ``begin_epoch`` for evidence of other samples
            and as the method.
    """

    fixed_size = listens = False
    _kept = ("_indices", "_coreset_weights")

    def __init__(self, training: Training, method: str | Choose = "random", every: Annotated[int, Whole(1)] = 1,
                 warm: Annotated[int, Whole(0)] = 0, balance: bool = False, memory: int | str | None = None,
                 evidence: Callable[[], Evidence] | None = None) -> None:
        super().__init__(training)
        self.choice: Choice | None = None
        if isinstance(method, str):
            self.choice = Choice.parse(method)
            method = self.choice.choose
        self._choose = method
        self.every, self.warm, self._evidence = every, warm, evidence
        self.request = Request(training.rate, balance, training.seed, memory)
        self._indices, self._coreset_weights = np.zeros(0, np.int64), np.zeros(0)  # weights: none, or of each

    def _draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        since = epoch - self.warm
        if since < 0:
            return self._rng.permutation(len(self)), None
        if since % self.every == 0:
            self._reselect(since // self.every)
        order = self._rng.permutation(len(self._indices))
        return self._indices[order], self._coreset_weights[order] if len(self._coreset_weights) else None

    def _reselect(self, number: int) -> None:
        evidence = Evidence(labels=self.training.labels) if self._evidence is None else self._evidence()
        if len(evidence) != len(self):
            raise MsCoresetError(f"evidence of {len(evidence)} samples: {self.name} is of {len(self)}")
        coreset = self._choose(evidence, replace(self.request, seed=(self.request.seed + number) % 2**32))
        self._indices = np.asarray(coreset.indices, np.int64)
        weights = np.zeros(0) if coreset.weights is None else np.asarray(coreset.weights, np.float64)
        self._coreset_weights = weights * (len(weights) / weights.sum()) if weights.any() else weights
