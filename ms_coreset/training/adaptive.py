"""Training on coresets that the network chooses anew every few epochs."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable
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
from ms_coreset.selectors import METHODS
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

# What no network tells that is still learning: field of ``Evidence`` -> what that is.
_UNTOLD = {"dynamics": "the training dynamics of a whole run", "imported": "scores that were made elsewhere"}


@dataclass(frozen=True)
class Reselection:
    """A coreset that is chosen anew every ``every`` epochs of ``train``, which trains on it instead of all samples.

    A selection takes place before the first epoch (or after ``warm`` epochs on all samples), and then after every
    ``every`` epochs. It uses the features and logits of the current network for all samples that may be trained on
    (evaluation mode, no augmentation). The coreset's weights, if the method gives any, weight the loss. The i-th
    selection, from 0, has the seed of the request plus i, so that ``random`` draws anew each time. Epochs, learning
    rate schedule and the optimizer's memory continue over all selections. Samples that the recipe holds out for
    validation are never chosen.

    Source: Killamsetty et al., GLISTER (AAAI 2021, algorithm 1) and GRAD-MATCH (ICML 2021, algorithm 1), which select
    every few epochs. Departures from their code, CORDS: the first coreset is chosen by the network as it is then, not
    drawn at random; no epochs are skipped after the warm ones.

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
        choice = Choice(method, options, seed)
        return cls(choice.name, choice.needs, choice.choose, request=Request(rate, bool(balance), seed, memory),
                   every=every, warm=warm, options=options)

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


class Coresets:
    """The coresets of one training run, by the number of epochs that were done when each was chosen.

    Args:
        reselection: how they are chosen.
        split: the samples.
        rows: ascending places of those that may be chosen.
        folder: where each is written as epoch-<the first epoch it serves, from 1>.npz, or None.

    Attributes:
        chosen: number of epochs done -> coreset.
    """

    def __init__(self, reselection: Reselection, split: Split, rows: np.ndarray, folder: Path | None = None) -> None:
        self._reselection, self._split, self._rows = reselection, split, rows
        self._folder = None if folder is None else Path(folder)
        self.chosen: dict[int, Coreset] = {}

    @property
    def size(self) -> int:
        """Number of samples of a coreset, from which single methods may depart a little."""
        return max(1, round(self._reselection.request.rate * len(self._rows)))

    def count_presentations(self, epochs: int) -> int:
        """Number of samples that are presented in the first ``epochs`` epochs, as exact as ``size``."""
        warm = min(epochs, self._reselection.warm)
        return warm * len(self._rows) + (epochs - warm) * self.size

    def parts(self, first: int, epochs: int) -> Iterable[tuple[int, int]]:
        """(begin, end) of the runs of epochs from ``first`` to ``epochs`` that present the same samples."""
        choices = range(self._reselection.warm, epochs, self._reselection.every)
        following = [epoch for epoch in choices if epoch > first]
        return itertools.pairwise([first, *following, epochs] if first < epochs else [])

    def presentation(self, epoch: int, network: Network) -> tuple[np.ndarray, np.ndarray | None]:
        """The samples that are presented from ``epoch`` on.

        Args:
            epoch: number of epochs that are done.
            network: is asked if a new coreset is due.

        Returns:
            (rows, weights): ascending places, and (n,) weights of all samples of the split, or None.
        """
        since = epoch - self._reselection.warm
        if since < 0:
            return self._rows, None
        if since % self._reselection.every == 0:
            self._choose(epoch, network)
        coreset = self.chosen[epoch - since % self._reselection.every]
        if coreset.weights is None:
            return np.sort(coreset.indices), None
        weights = np.zeros(len(self._split))
        weights[coreset.indices] = coreset.weights
        return np.sort(coreset.indices), weights

    def _choose(self, epoch: int, network: Network) -> None:
        began, reselection = time.perf_counter(), self._reselection
        seed = reselection.request.seed + (epoch - reselection.warm) // reselection.every
        evidence = self._ask(network)
        coreset = reselection.choose(evidence, dataclasses.replace(reselection.request, seed=seed))
        if len(self._rows) < len(self._split):
            coreset = coreset.within(self._rows, len(self._split))
        self.chosen[epoch] = coreset
        self._write(epoch, coreset)
        former = self.chosen.get(epoch - reselection.every)
        news = "" if former is None else f", {1 - former.keep_mask[coreset.indices].mean():.0%} of them new"
        reselection.log(f"coreset from epoch {epoch + 1} on: {len(coreset):,} samples by {reselection.name}{news} "
                        f"({time.perf_counter() - began:.1f} s)")

    def _ask(self, network: Network) -> Evidence:
        every_sample = len(self._rows) == len(self._split)
        part = self._split if every_sample else self._split.subset(self._rows)
        asked = [name for name in EXTRACTED if name in self._reselection.needs]
        evidence = extract(network, part, asked) if asked else Evidence(labels=part.labels)
        if "boundary" in self._reselection.needs:
            boundary = deepfool_distances(network, part, top_m=self._reselection.top_m)
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
        """Checksums of the coresets, by the number of epochs done, as text; ``restore`` compares with them."""
        return {str(epoch): _digest(self._reselection.of_all(coreset)) for epoch, coreset in self.chosen.items()}

    def restore(self, digests: dict[str, str]) -> None:
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
