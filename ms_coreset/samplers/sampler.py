"""What a training presents, epoch by epoch: the protocol of samplers, without any framework.

A loop asks ``begin_epoch`` for the samples of an epoch and how their losses are weighted, and tells ``report`` the
losses that it saw::

    sampler = mc.create_sampler("infobatch", labels, 30)
    for epoch in range(30):
        for indices, weights in sampler.begin_epoch(epoch).batches(64):
            losses = ...                         # of each sample, without weights
            step((weights * losses).mean())
            sampler.report(indices, losses)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ms_coreset.arrays import as_array, as_losses, require_places
from ms_coreset.batches import updates_per_epoch
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.randomness import check_seed, stream
from ms_coreset.registry import Registry
from ms_coreset.selectors import option_values

SAMPLERS: Registry[type[Sampler]] = Registry("sampler")


class Updates(NamedTuple):
    """The length of a training that ends after so many updates, whatever an epoch has; the last epoch is cut short.

    Attributes:
        total: of the updates, at least 1.
        batch_size: samples of an update; the last one of an epoch may have fewer.
    """

    total: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.total} updates of {self.batch_size} samples"


class Epoch(NamedTuple):
    """What an epoch presents.

    Attributes:
        indices: (k,) int64, places of the samples in the order in which they are presented, none twice.
        weights: (k,) float64, what each one's loss is multiplied by in a mean over a batch that is divided by the
            number of its samples, not by the sum of the weights.
    """

    indices: np.ndarray
    weights: np.ndarray

    def batches(self, size: int) -> list[Epoch]:
        """The epoch in parts of ``size`` samples, the last one shorter where it does not come out even.

        Raises:
            MsCoresetError: unless ``size`` is a whole number, 1 or more.
        """
        require_whole("size", size)
        return [Epoch(self.indices[first:first + size], self.weights[first:first + size])
                for first in range(0, len(self.indices), size)]

    def part(self, rank: int, ranks: int) -> Epoch:
        """The share of one of several ranks: every ``ranks``-th sample, from place ``rank`` on.

        All ranks have as many, ceil(k / ranks), for which the first samples are presented once more at the end, as
        PyTorch's ``DistributedSampler`` does. Batches of b samples of each rank are together a batch of b ``ranks``.

        Raises:
            MsCoresetError: for a rank that there is not.
        """
        require_whole("ranks", ranks)
        require_whole("rank", rank, 0, ranks - 1)
        size = -(-len(self.indices) // ranks) * ranks
        return Epoch(*(np.resize(array, size)[rank::ranks] for array in self))


@dataclass(frozen=True)
class Training:
    """The training that a sampler is of.

    Attributes:
        labels: (n,) integers, the class of each sample.
        epochs: of the whole training, at least 1; or ``Updates``.
        rate: share of the samples that an epoch presents, in (0, 1].
        seed: of what is drawn.

    Raises:
        MsCoresetError: for values out of range.
    """

    labels: np.ndarray
    epochs: int | Updates
    _: KW_ONLY
    rate: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu":
            raise MsCoresetError(f"labels of shape {labels.shape} and type {labels.dtype}: must be whole numbers, one "
                                 "for each sample")
        object.__setattr__(self, "labels", labels)
        if isinstance(self.epochs, Updates):
            require_whole("updates", self.epochs.total)
            require_whole("batch size of the updates,", self.epochs.batch_size)
        else:
            require_whole("epochs", self.epochs)
        option_values.Number(lambda rate: 0 < rate <= 1, "above 0 and at most 1").check("rate", self.rate)
        check_seed(self.seed)

    @property
    def size(self) -> int:
        """The samples of an epoch: k = round(rate n), half to even, and at least 1."""
        return max(1, round(self.rate * len(self.labels)))


class Sampler(ABC):
    """Which samples each epoch of a training presents.

    Every draw is of a generator of its own. With several ranks, all have the same samplers and give the same epochs:
    the losses that each rank has seen are exchanged when the next epoch begins. So every rank has to begin every epoch.

    Args:
        training: see ``Training``.

    Attributes:
        training: as given.
        losses: (n,) float64, the last loss that was reported of each sample, NaN before.
        skipped: how many losses that were reported were not finite; they leave the former one.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    fixed_size: ClassVar[bool] = True  # whether every epoch presents ``training.size`` samples
    takes_rate: ClassVar[bool] = True  # whether it can present any share of the samples
    listens: ClassVar[bool] = True  # whether it goes by the losses that are reported
    screens: ClassVar[bool] = False  # whether it narrows batches down, see ``screen``
    _kept: ClassVar[tuple[str, ...]] = ()  # further attributes, arrays, that ``state_dict`` has to hold

    def __init__(self, training: Training) -> None:
        self.training = training
        self.losses = np.full(len(self), np.nan)
        self.skipped = 0
        self._rng = stream(training.seed, "sampler")
        self._pending = np.full(len(self), np.nan)
        self._begun = self._updates = 0
        self._epoch = Epoch(np.zeros(0, np.int64), np.zeros(0))
        self._weights: np.ndarray | None = None  # (n,) those of the epoch, made when they are first asked for

    def __len__(self) -> int:
        """The number of samples, n."""
        return len(self.training.labels)

    def begin_epoch(self, epoch: int) -> Epoch:
        """The samples of an epoch, in order, with their weights.

        Args:
            epoch: its number, from 0; epochs are begun in their order. The one that was begun last may be begun again,
                and is the same.

        Returns:
            An ``Epoch``.

        Raises:
            MsCoresetError: for what is no number of an epoch, one out of order, or after the last.
        """
        require_whole("epoch", epoch, 0)
        if epoch == self._begun - 1:
            return self._epoch
        if epoch != self._begun or self.is_last:
            raise MsCoresetError(f"epoch {epoch} of {self.training.epochs}: {self._begun} were begun")
        self.end_epoch()
        indices, weights = self._draw(epoch)
        drawn = Epoch(np.asarray(indices, np.int64), np.ones(len(indices)) if weights is None else weights)
        self._epoch = self._count(drawn)
        self._weights = None
        self._begun += 1
        return self._epoch

    @property
    def is_last(self) -> bool:
        """Whether the epoch that was begun last is the training's last."""
        length = self.training.epochs
        return self._updates >= length.total if isinstance(length, Updates) else self._begun >= length

    def _count(self, drawn: Epoch) -> Epoch:
        """What of an epoch is left to do, whose updates are counted, where the training ends by updates."""
        length = self.training.epochs
        if not isinstance(length, Updates):
            return drawn
        left = (length.total - self._updates) * length.batch_size
        epoch = Epoch(drawn.indices[:left], drawn.weights[:left])
        self._updates += updates_per_epoch(len(epoch.indices), length.batch_size)
        return epoch

    def _ends_after(self, share: float) -> bool:
        """Whether another epoch of all samples ends after more than this share of the training."""
        length = self.training.epochs
        if isinstance(length, Updates):
            return self._updates + updates_per_epoch(len(self), length.batch_size) > share * length.total
        return self._begun + 1 > share * length

    @abstractmethod
    def _draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(indices, weights or None for ones) of an epoch."""

    def report(self, indices: np.ndarray, losses: np.ndarray) -> None:
        """Tell the losses of some samples, as they were before the step.

        Args:
            indices: (b,) places of samples; NumPy, or tensors of torch or MindSpore, as for the losses.
            losses: (b,) numbers, without weights. One that is not finite is counted in ``skipped``.

        Raises:
            MsCoresetError: for other shapes and types, and places that there are not.
        """
        indices, losses = as_losses(indices, losses, len(self))
        finite = np.isfinite(losses)
        if not finite.all():
            self.skipped += int(len(losses) - finite.sum())
            indices, losses = indices[finite], losses[finite]
        self._pending[indices] = losses

    def end_epoch(self) -> None:
        """Bring ``losses`` up to date with what all ranks have seen, on all of them.

        ``begin_epoch`` does it; before a state is saved at an epoch's end it makes all ranks' states the same. Ranks
        are those of ``ms_coreset.distributed.process_group``, each of which has to call it.
        """
        for pending in current().gather(self._pending):
            told = np.isfinite(pending)
            self.losses[told] = pending[told]
        self._pending[:] = np.nan

    def weights_of(self, indices: np.ndarray) -> np.ndarray:
        """What the losses of some samples are multiplied by in the epoch that was begun last.

        Args:
            indices: (b,) places of samples; NumPy, or tensors of torch or MindSpore.

        Returns:
            (b,) float64; 0 for a sample that the epoch does not present.

        Raises:
            MsCoresetError: for places that there are not.
        """
        places = np.asarray(as_array("indices", indices))
        require_places(places, len(self))
        if self._weights is None:
            self._weights = np.zeros(len(self))
            self._weights[self._epoch.indices] = self._epoch.weights
        return self._weights[places]

    def order(self, rank: int = 0, ranks: int = 1) -> Order:
        """What loaders of other libraries call a sampler: the places of the samples, one by one.

        Args:
            rank: of this process, where several train together; see ``Epoch.part``.
            ranks: their number.

        Returns:
            An ``Order``.
        """
        return Order(self, rank, ranks)

    def screen(self, indices: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """The samples of a batch that are to be trained on, of those samplers that have ``screens``.

        Args:
            indices: (B,) places of the batch's samples.
            losses: (B,) their losses as the network is now.

        Returns:
            (b,) some of ``indices``; here all.
        """
        return indices

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on exactly: arrays and numbers.

        Returns:
            A dict with copies, which ``numpy.savez``, ``torch.save`` and ``pickle`` can write.
        """
        _, keys, position, *_ = self._rng.get_state()
        state = {"length": self.training.epochs, "begun": self._begun, "updates": self._updates,
                 "skipped": self.skipped, "rng_keys": keys, "rng_position": position, "indices": self._epoch.indices,
                 "weights": self._epoch.weights, "losses": self.losses, "pending": self._pending,
                 **{name: getattr(self, name) for name in self._kept}}
        return {name: np.copy(value) for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the sampler was that gave ``state``; it had the same ``training`` and options.

        Raises:
            MsCoresetError: for the state of a sampler of other samples, of another kind, or of a training of another
                length.
        """
        own = self.state_dict()
        if not (isinstance(state, Mapping) and own.keys() == state.keys()
                and np.shape(state["losses"]) == self.losses.shape):
            raise MsCoresetError(f"not the state of a sampler {self.name} of {len(self)} samples")
        if not np.array_equal(state["length"], own["length"]):
            raise MsCoresetError(f"the state of a sampler {self.name} of a training of {_spell(state['length'])}, not "
                                 f"of {_spell(own['length'])}")
        self._begun, self._updates = int(state["begun"]), int(state["updates"])
        self.skipped = int(state["skipped"])
        self._rng.set_state(("MT19937", np.asarray(state["rng_keys"], np.uint32), int(state["rng_position"]), 0, 0.0))
        self._epoch, self._weights = Epoch(np.array(state["indices"]), np.array(state["weights"])), None
        self.losses, self._pending = np.array(state["losses"]), np.array(state["pending"])
        for name in self._kept:
            setattr(self, name, np.array(state[name]))


class Order:
    """The places that an epoch presents, for a loader: PyTorch's, Lightning's, and Hugging Face's take it as sampler.

    ::

        order = sampler.order()
        loader = DataLoader(data, batch_size=64, sampler=order)
        for epoch in range(30):
            order.set_epoch(epoch)  # Hugging Face's Trainer does it by itself
            for indices, x, y in loader:
                ...

    Args:
        sampler: whose epochs they are.
        rank: of this process among ``ranks``; see ``Epoch.part``.
        ranks: number of processes.
    """

    def __init__(self, sampler: Sampler, rank: int = 0, ranks: int = 1) -> None:
        self._sampler, self._rank, self._ranks = sampler, rank, ranks
        self._places: np.ndarray | None = None

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, as ``Sampler.begin_epoch``."""
        self._places = self._sampler.begin_epoch(epoch).part(self._rank, self._ranks).indices

    def __len__(self) -> int:
        """The number of places; before the first epoch what one would have that leaves out none."""
        if self._places is not None:
            return len(self._places)
        own = self._sampler
        return -(-(own.training.size if own.fixed_size else len(own)) // self._ranks)

    def __iter__(self) -> Iterator[int]:
        """The places, in their order; raises ``MsCoresetError`` before the first epoch."""
        if self._places is None:
            raise MsCoresetError("no epoch was begun: call set_epoch")
        return iter(self._places.tolist())


def _spell(length: np.ndarray) -> str:
    """The length of a training, as ``state_dict`` has it, in words."""
    return str(Updates(*length)) if np.ndim(length) else f"{length} epochs"


def register_sampler(name: str, *, aliases: Iterable[str] = (),
                     source: str = "") -> Callable[[type[Sampler]], type[Sampler]]:
    """Decorate a subclass of ``Sampler`` so that ``create_sampler`` and commands know it by name.

    Its ``__init__`` takes a ``Training`` and keyword options with defaults.

    Args:
        name: that users type.
        aliases: other spellings.
        source: where it is published.

    Returns:
        The decorator.

    Raises:
        KeyError: for a name that is taken.
    """
    def register(sampler: type[Sampler]) -> type[Sampler]:
        sampler.name, sampler.source = name, source
        return SAMPLERS.add(name, sampler, aliases)

    return register


def create_sampler(name: str, labels: np.ndarray, epochs: int | Updates, *, rate: float = 1.0, seed: int = 0,
                   **options: Any) -> Sampler:
    """The registered sampler ``name`` for a training.

    Args:
        name: see ``list_samplers``.
        labels: (n,) integers, the class of each sample.
        epochs: of the whole training; or ``Updates``, where it ends after so many updates.
        rate: share of the samples that an epoch presents, in (0, 1].
        seed: of what is drawn.
        **options: of the sampler.

    Returns:
        A ``Sampler``.

    Raises:
        MsCoresetError: for an unknown name, options that the sampler does not have, and values out of range.
    """
    kind = SAMPLERS[name]
    option_values.check(kind.name, kind, options)
    return kind(Training(labels, epochs, rate=rate, seed=seed), **options)


def list_samplers(pattern: str = "*") -> list[str]:
    """Names of the registered samplers that match a shell ``pattern``."""
    return SAMPLERS.names(pattern)
