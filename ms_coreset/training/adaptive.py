"""Training on coresets that the network chooses anew every few epochs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.extraction import extract
from ms_coreset.extraction.deepfool import deepfool_distances
from ms_coreset.kinds import FilePath, Log, Network
from ms_coreset.samplers import Training, Updates
from ms_coreset.samplers.reselect import Reselect
from ms_coreset.selectors import METHODS
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.training.sampling import Presenter

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

# What no network tells that is still learning: field of ``Evidence`` -> what that is.
_UNTOLD = {"dynamics": "the training dynamics of a whole run", "imported": "scores that were made elsewhere"}


@dataclass(frozen=True)
class Reselection:
    """A coreset that is chosen anew every ``every`` epochs of ``train``, which trains on it instead of all samples.

    It is the sampler ``reselect`` in the trainer. A selection uses the features and logits of the current network for
    all samples that may be trained on (evaluation mode, no augmentation). The coreset's weights, if the method gives
    any, weight the loss, whose sum over a batch is divided by theirs. The i-th selection, from 0, has the seed of the
    request plus i. Epochs, learning rate schedule and the optimizer's memory continue over all selections. Samples that
    the recipe holds out for validation are never chosen.

    Attributes:
        name: name of the method.
        needs: fields of ``Evidence`` that the method needs.
        choose: ``(evidence, request) -> Coreset``; see ``by`` for a registered method.
        request: rate, balance, seed and memory, as a ``selectors.quota.Request``.
        every: epochs between two selections, 1 or more.
        warm: epochs on all samples before the first selection.
        options: of the method, as plain values; a run is resumed only with the same options.
        top_m: option of ``deepfool_distances``, for methods that need ``boundary``.
        pool: ascending places of the samples in a larger data set, or None; coresets are then written as of that one.
        n: number of samples of that larger data set.
        log: called with a line for the user about each coreset.

    Raises:
        MsCoresetError: for a method that needs the dynamics of a whole run or imported scores, ``every`` below 1, and
            ``warm`` below 0.
    """

    name: str
    needs: tuple
    choose: Callable[[Evidence, Request], Coreset] = field(compare=False, repr=False)
    _: KW_ONLY
    request: Request
    every: int
    warm: int = 0
    options: dict = field(default_factory=dict)
    top_m: int | None = None
    pool: np.ndarray | None = field(default=None, compare=False, repr=False)
    n: int | None = None
    log: Log = field(default=lambda line: None, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_whole("epochs between two selections,", self.every)
        require_whole("epochs before the first selection,", self.warm, 0)
        for name in _UNTOLD.keys() & set(self.needs):
            raise MsCoresetError(f"{self.name} needs {_UNTOLD[name]}, which a network that is "
                                 f"still learning can't give; every few epochs work: {', '.join(_workable())}")

    @classmethod
    def by(cls, method: str, rate: float, every: int, *, warm: int = 0, balance: bool = False, seed: int = 0,
           memory: int | str | None = None, **options: Any) -> Reselection:
        """Make a ``Reselection`` by a registered method.

        Args:
            method: name of the method.
            rate: share of the samples to choose.
            every: epochs between two selections, 1 or more.
            warm: epochs on all samples before the first selection.
            balance: as for ``select``.
            seed: of the first selection.
            memory: as for ``select``.
            options: of the method.

        Returns:
            The reselection.

        Raises:
            MsCoresetError: as ``select``, and as the class.
        """
        return cls._of(Choice(method, options, seed), Request(rate, bool(balance), seed, memory), every, warm)

    @classmethod
    def of_sampler(cls, sampler: Reselect) -> Reselection:
        """What the sampler ``reselect`` of a method does, in ``train``."""
        assert sampler.choice is not None  # ``Sampling`` names a method
        return cls._of(sampler.choice, sampler.request, sampler.every, sampler.warm)

    @classmethod
    def _of(cls, choice: Choice, request: Request, every: int, warm: int) -> Reselection:
        return cls(choice.name, choice.needs, choice.choose, request=request, every=every, warm=warm,
                   options=choice.options)

    def size(self, n: int) -> int:
        """Number of samples of a coreset of n, from which single methods may depart a little."""
        return max(1, round(self.request.rate * n))

    def of_all(self, coreset: Coreset) -> Coreset:
        """Convert a coreset of the samples to one of the larger data set, if the samples are a pool of one.

        Args:
            coreset: a coreset of the samples.

        Returns:
            A coreset of the larger data set, or ``coreset`` itself without one.
        """
        return coreset if self.pool is None or self.n is None else coreset.within(self.pool, self.n)

    def __str__(self) -> str:
        """All settings that decide which coresets are chosen, apart from the data and the network."""
        options = "".join(f", {name} {value}" for name, value in sorted(self.options.items()))
        return (f"{self.name} at {self.request.rate:g}{' balanced' if self.request.balance else ''} every {self.every} "
                f"epochs{f' after {self.warm}' if self.warm else ''}, seed {self.request.seed}{options}"
                f"{f', top_m {self.top_m}' if self.top_m else ''}")


def _workable() -> list[str]:
    return [name for name in METHODS.names() if not _UNTOLD.keys() & set(METHODS[name].needs)]


def coreset_file(folder: FilePath, epoch: int) -> Path:
    """The file of the coreset that is chosen after ``epoch`` epochs.

    Args:
        folder: of the coresets.
        epoch: number of epochs that are done.

    Returns:
        The path.
    """
    return Path(folder) / f"epoch-{epoch + 1:03d}.npz"


class Coresets(Presenter):
    """Presents coresets by the sampler ``reselect``, for which it asks the network, and writes each to a file.

    Args:
        reselection: how they are chosen.
        split: the samples.
        rows: ascending places of those that may be chosen.
        network: that is asked.
        length: epochs of the training, or its ``Updates``.
        folder: where each is written as epoch-<the first epoch it serves, from 1>.npz, or None.

    Attributes:
        chosen: number of epochs done -> coreset.
    """

    def __init__(self, reselection: Reselection, split: Split, rows: np.ndarray, network: Network,
                 length: int | Updates, folder: Path | None = None) -> None:
        request = reselection.request
        training = Training(split.labels[rows], length, rate=request.rate, seed=request.seed)
        sampler = Reselect(training, self._choose, reselection.every, reselection.warm, evidence=self._ask)
        super().__init__(sampler, rows, len(split))
        self._reselection, self._split, self._network = reselection, split, network
        self._folder = None if folder is None else Path(folder)
        self.chosen: dict[int, Coreset] = {}
        self._epoch, self._began = 0, 0.0  # of the selection that is made

    def present(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(ascending places, (n,) weights of all samples or None for 1) of an epoch; chooses anew if that is due."""
        self._epoch = epoch
        places = np.sort(self._rows[self._sampler.begin_epoch(epoch).indices])
        coreset = self.chosen[max(self.chosen)] if self.chosen else None
        if coreset is None or coreset.weights is None:
            return places, None
        weights = np.zeros(len(self._split))
        weights[coreset.indices] = coreset.weights
        return places, weights

    def _choose(self, evidence: Evidence, request: Request) -> Coreset:
        reselection, epoch = self._reselection, self._epoch
        own = reselection.choose(evidence, dataclasses.replace(reselection.request, seed=request.seed))
        coreset = own if len(self._rows) == len(self._split) else own.within(self._rows, len(self._split))
        self.chosen[epoch] = coreset
        self._write(epoch, coreset)
        former = self.chosen.get(epoch - reselection.every)
        news = "" if former is None else f", {1 - former.keep_mask[coreset.indices].mean():.0%} of them new"
        reselection.log(f"coreset from epoch {epoch + 1} on: {len(coreset):,} samples by {reselection.name}{news} "
                        f"({time.perf_counter() - self._began:.1f} s)")
        return own

    def _ask(self) -> Evidence:
        """What the network says of all samples that may be chosen."""
        self._began = time.perf_counter()
        every_sample = len(self._rows) == len(self._split)
        part = self._split if every_sample else self._split.subset(self._rows)
        asked = [name for name in EXTRACTED if name in self._reselection.needs]
        evidence = extract(self._network, part, asked) if asked else Evidence(labels=part.labels)
        if "boundary" in self._reselection.needs:
            boundary = deepfool_distances(self._network, part, top_m=self._reselection.top_m)
            evidence = dataclasses.replace(evidence, boundary=boundary)
        return evidence

    def _write(self, epoch: int, coreset: Coreset) -> None:
        if self._folder is None:
            return
        if epoch == self._reselection.warm:
            for former in self._folder.glob("epoch-*.npz"):
                former.unlink(missing_ok=True)
        self._reselection.of_all(coreset).save(coreset_file(self._folder, epoch))

    def digests(self) -> dict[str, str]:
        """Checksums of the coresets, by the number of epochs done, as text; ``read`` compares with them."""
        return {str(epoch): _digest(self._reselection.of_all(coreset)) for epoch, coreset in self.chosen.items()}

    def read(self, digests: dict[str, str]) -> None:
        """Read the coresets that an interrupted run has written.

        Args:
            digests: result of ``digests`` in that run.

        Raises:
            MsCoresetError: if a file is missing or changed.
        """
        assert self._folder is not None  # without one nothing can be resumed
        for epoch, digest in digests.items():
            path = coreset_file(self._folder, int(epoch))
            coreset = Coreset.load(path) if path.is_file() else None
            if coreset is None or _digest(coreset) != digest:
                raise MsCoresetError(f"can't resume: {path} is {'changed' if coreset else 'missing'}; delete "
                                     f"{self._folder.parent} to train anew")
            self.chosen[int(epoch)] = self._of_pool(coreset)

    def _of_pool(self, coreset: Coreset) -> Coreset:
        pool = self._reselection.pool
        if pool is None:
            return coreset
        return dataclasses.replace(coreset, indices=np.searchsorted(pool, coreset.indices), n=len(pool),
                                   pool=None if coreset.pool is None else np.searchsorted(pool, coreset.pool),
                                   scores=None if coreset.scores is None else coreset.scores[pool])


def _digest(coreset: Coreset) -> str:
    return array_digest(coreset.indices, *(() if coreset.weights is None else (coreset.weights,)))
