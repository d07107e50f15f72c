"""Training that presents what a sampler chooses, epoch by epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers import SAMPLERS, Sampler, Training, Updates, create_sampler
from ms_coreset.samplers.reselect import Reselect
from ms_coreset.selectors.choice import spell_text, split_text
from ms_coreset.training.recorder_state import read_state


@dataclass(frozen=True)
class Sampling:
    """A sampler by its name, for ``train``.

    Attributes:
        name: of a registered sampler that does not narrow batches down (``rho`` does).
        rate: share of the samples that an epoch presents, in (0, 1].
        options: of the sampler.

    Raises:
        MsCoresetError: for an unknown name, a sampler that narrows batches down, and options or a rate out of range.
    """

    name: str
    rate: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", SAMPLERS.canonical(self.name))
        if SAMPLERS[self.name].screens:
            raise MsCoresetError(f"{self.name} narrows batches down, which train does not do: ask it in a loop of your "
                                 "own, mc.create_sampler")
        self.start(np.zeros(1, int), np.zeros(1, int), epochs=1, seed=0)  # options and rate are refused before any work

    @classmethod
    def parse(cls, text: str, rate: float = 1.0) -> Sampling:
        """The sampling of a text such as "infobatch:ratio=0.3,delta=0.8"."""
        name, options = split_text(text)
        return cls(name, rate, options)

    def __str__(self) -> str:
        """All that decides what is presented, apart from the data, the seed and the losses."""
        return self.text + ("" if self.rate == 1 else f" at {self.rate:g}")

    @property
    def text(self) -> str:
        """The text that ``parse`` takes, without the rate."""
        return spell_text(self.name, self.options)

    @property
    def takes_rate(self) -> bool:
        """Whether it can present any share of the samples."""
        return SAMPLERS[self.name].takes_rate

    @property
    def folder_word(self) -> str:
        """The part of a folder's name that identifies a training by it."""
        rate = "" if self.rate == 1 else f"-{self.rate:g}"
        return re.sub("[^A-Za-z0-9.=]+", "-", self.text) + rate

    def size(self, n: int) -> int:
        """The samples of an epoch of n; of samplers whose epochs differ in size, all."""
        return max(1, round(self.rate * n)) if SAMPLERS[self.name].fixed_size else n

    def reselect(self, seed: int) -> Reselect | None:
        """The sampler ``reselect`` with these options, of no data, if it is that one."""
        if self.name != Reselect.name:
            return None
        return Reselect(Training(np.zeros(1, int), 1, rate=self.rate, seed=seed), **self.options)

    def start(self, labels: np.ndarray, rows: np.ndarray, *, epochs: int | Updates, seed: int) -> Presenter:
        """What presents some of the samples ``rows``, ascending places, in a training of so many epochs or updates."""
        sampler = create_sampler(self.name, labels[rows], epochs, rate=self.rate, seed=seed, **self.options)
        return Presenter(sampler, rows, len(labels))


class Presenter:
    """A sampler of the samples ``rows`` of a split, which it knows by their places in the split.

    Args:
        sampler: of these samples.
        rows: ascending places of the samples that are trained on.
        n: samples of the split.

    Attributes:
        listens: whether it wants to be told the losses.
    """

    def __init__(self, sampler: Sampler, rows: np.ndarray, n: int) -> None:
        self._sampler, self._rows, self._n = sampler, rows, n
        self.listens = sampler.listens

    @property
    def is_last(self) -> bool:
        """Whether the epoch that was presented last is the training's last."""
        return self._sampler.is_last

    def present(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(ascending places, (n,) weights of all samples or None for 1) of an epoch."""
        indices, given = self._sampler.begin_epoch(epoch)
        if (given == 1).all():
            return np.sort(self._rows[indices]), None
        weights = np.zeros(self._n)
        weights[self._rows[indices]] = given
        return np.sort(self._rows[indices]), weights

    def report(self, places: np.ndarray, losses: np.ndarray) -> None:
        """Tell the sampler the losses (B,) of a batch before the update."""
        self._sampler.report(np.searchsorted(self._rows, places), losses)

    def state_dict(self) -> dict[str, np.ndarray]:
        """See ``Sampler.state_dict``."""
        return self._sampler.state_dict()

    def restore(self, folder: Path, epochs: int) -> None:
        """Go on after so many epochs.

        Raises:
            MsCoresetError: where there is no state of then.
        """
        state = read_state(folder, epochs, tuple(self.state_dict()))
        if state is None:
            raise MsCoresetError(f"can't resume: there is no state of the sampler after {epochs} epochs in {folder}; "
                                 f"delete {folder.parent} to train anew")
        self._sampler.load_state_dict(state)
