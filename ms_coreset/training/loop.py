"""The training loop: batches in, a trained network, its dynamics and its results out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ms_coreset.batches import batch_bytes, evaluation_batches, evaluation_size, queue_length, updates_per_epoch
from ms_coreset.checksums import array_digest
from ms_coreset.datasets.split import Split
from ms_coreset.device import fill_up
from ms_coreset.distributed import current
from ms_coreset.engines import engine_of
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.errors import MsCoresetError, require_kind, require_network, require_path, require_whole
from ms_coreset.identity import contents_digest, network_identity, normalization, tell_missing
from ms_coreset.kinds import FilePath, Network, Trainable
from ms_coreset.networks.weights import assign, read_checkpoint, write_checkpoint
from ms_coreset.progress import Progress
from ms_coreset.randomness import check_seed, hold_out, stream
from ms_coreset.samplers import Updates
from ms_coreset.softmax import cross_entropy
from ms_coreset.training.adaptive import Coresets, Reselection
from ms_coreset.training.crops import view_for_test
from ms_coreset.training.dynamics import FieldRecorder, TrainingDynamics, default_record, measure
from ms_coreset.training.parallel import OverRanks, average_statistics
from ms_coreset.training.pipeline import training_batches
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.recorder_state import drop_states, write_state
from ms_coreset.training.sampling import Presenter, Sampling
from ms_coreset.training.streams import StreamedDynamics, StreamRecorder, drop_stream, is_stream
from ms_coreset.training.whitening import whiten

if TYPE_CHECKING:
    from ms_coreset.distributed import Alone
    from ms_coreset.training.pipeline import Batch

LAST, BEST, CORESETS, SAMPLER = "last.ckpt", "best.ckpt", "coresets", "sampler"  # PyTorch's checkpoints end in .pth


@dataclass
class TrainingResult:
    """The result of ``train``.

    Attributes:
        network: trained, in evaluation mode, with the weights of the last epoch.
        dynamics: ``TrainingDynamics``, or ``StreamedDynamics`` if scores were streamed.
        history: a dict for each epoch: "epoch" (from 1), "loss", "accuracy" (in training mode, augmented), "lr",
            "presented" (samples), "updates", and "test_accuracy" and "validation_accuracy" in epochs with a test.
        coresets: number of epochs done -> the coreset that a reselection chose then.
    """

    network: Network
    dynamics: TrainingDynamics | StreamedDynamics
    history: list = field(default_factory=list)
    coresets: dict = field(default_factory=dict)

    def total(self, key: str) -> int | None:
        """The sum of "presented" or "updates" over all epochs; None where an older version trained some of them."""
        found = [entry.get(key) for entry in self.history]
        return None if None in found else sum(found)

    def best(self, key: str) -> dict[str, Any] | None:
        """The entry of ``history`` with the highest ``key``, the earliest of equal ones; None if no epoch has it."""
        tested = [entry for entry in self.history if key in entry]
        return max(tested, key=lambda entry: entry[key], default=None)


def train(network: Network, split: Split, recipe: Recipe, *, seed: int = 0, weights: np.ndarray | None = None,
          record: Sequence[str] | str | None = None, folder: str | os.PathLike | None = None, resume: bool = False,
          test: Split | None = None, save_interval: float = 0,
          reselection: Reselection | None = None, sampling: Sampling | None = None,
          on_epoch: Callable[[dict[str, Any]], None] | None = None) -> TrainingResult:
    """Train a network on a split by a recipe, and record what happens to every sample.

    Several ranks (``distributed``) share every batch, see ``parallel.over_ranks``; rank 0 alone writes files and has
    the dynamics. Dropout then draws for each share by itself.

    Args:
        network: the network, which is trained in place.
        split: the samples.
        recipe: optimizer, schedule, augmentation and length of the training.
        seed: of order and augmentation (``pipeline.EpochPlan``), dropout and the validation share, 0 to 2**32 - 1.
        weights: (n,) weights of the samples, or None. The loss of a batch is sum_i w_i l_i / sum_i w_i, as in DeepCore,
            with l_i the cross entropy, and 0 if all weights of a batch are 0 (0 / 0 in DeepCore).
        record: fields of ``TrainingDynamics`` to record. None: all, but the divergence only if the probabilities that
            it needs, 4 n C bytes, take at most a gigabyte. "stream": nothing of single epochs, only the sums for scores
            over time, see ``StreamedDynamics``.
        folder: folder to write to, or None. last.ckpt has weights, optimizer and history after an epoch, which is all
            that ``resume`` needs, because random numbers follow from seed and epoch. dynamics/ has the record.
            best.ckpt has the weights of the epoch with the highest accuracy on the validation share, or of the last
            epoch without one.
        resume: whether to continue from last.ckpt, to the same result as an uninterrupted run.
        test: a split to test on every ``recipe.eval_every`` epochs, or None; it does not choose the best epoch.
        save_interval: seconds between two writings of last.ckpt, which is also written with best.ckpt; 0: after every
            epoch.
        reselection: a ``mc.Reselection``, to train on coresets that the network chooses anew every few epochs; they are
            written to coresets/ below the folder. It is the sampler ``reselect``.
        sampling: a ``Sampling``: a sampler chooses what each epoch presents, and is told the losses. The loss of a
            batch is then sum w_i l_i / B, with its weights. With ``iterations`` of the recipe the training ends after
            exactly so many updates, by which the learning rate's schedule goes, and in which an epoch of milestones is
            one of round(rate n) samples; else the schedule goes by epochs, whatever their sizes.
        on_epoch: called after every epoch, when its files are written, with a copy of its entry of
            ``TrainingResult.history``; by rank 0 alone. Epochs that ``resume`` finds done are not told again.

    Returns:
        A ``TrainingResult``.

    Raises:
        MsCoresetError: if last.ckpt belongs to another run, if weights do not fit or are given with a reselection, and
            if the loss is no longer finite.
    """
    engine_of(network)  # is there, or it says how to get it
    require_network(network)
    require_kind("split", split, Split)
    split.require_labels("training")
    require_kind("recipe", recipe, Recipe)
    require_kind("test", test, Split, type(None))
    require_kind("record", record, list, tuple, str, type(None))
    if folder is not None:
        require_path("folder", folder)
    elif resume:
        raise MsCoresetError("resume: a run goes on from last.ckpt in its folder: give folder, too")
    check_seed(seed)
    if weights is not None and reselection is not None:
        raise MsCoresetError("weights and reselection: a coreset that is chosen anew brings its own weights, if any")
    if sampling is not None and (weights is not None or reselection is not None):
        raise MsCoresetError(f"{sampling.name} and {'weights' if reselection is None else 'reselection'}: a sampler "
                             "chooses what each epoch presents by itself")
    if sampling is not None and (sampler := sampling.reselect(seed)):
        reselection, sampling = Reselection.of_sampler(sampler), None
    weights = _check_weights(weights, len(split))
    place = None if folder is None else Path(folder)
    run = _Run(network, split, recipe, seed, weights, record, place, test, save_interval, reselection,
               sampling, on_epoch)
    first = run.restore(place) if resume and place is not None else 0
    run.open_recorder(first)
    with Progress(run.images(run.epochs), f"train {_name(network)}", start=run.images(first)) as progress:
        run.train(first, progress)
    run.ranks.wait()  # until what rank 0 has written is there
    network.set_train(False)
    return TrainingResult(network, run.recorder.dynamics(), run.history, run.coresets.chosen if run.coresets else {})


def predict(network: Trainable, split: Split, batch_size: int = 512) -> np.ndarray:
    """Predict the class of each sample: argmax of the logits, in evaluation mode.

    Several ranks share the samples, and all return the whole result.

    Args:
        network: a trained network.
        split: n samples.
        batch_size: images at a time, 1 or more.

    Returns:
        (n,) int64.

    Raises:
        MsCoresetError: for arguments of another type, and a ``batch_size`` below 1.
    """
    engine_of(network)  # is there, or it says how to get it
    require_network(network)
    require_kind("split", split, Split)
    require_whole("batch_size", batch_size)
    answers = [logits.argmax(axis=1) for _, logits in _logits(network, split, batch_size)]
    return current().join(np.concatenate([np.empty(0, np.int64), *answers]))


def _logits(network: Trainable, split: Split, batch_size: int = 512) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(labels (B,), logits (B, C)) of this rank's share of the samples, in evaluation mode."""
    network.set_train(False)
    together = evaluation_size(split, batch_size)
    engine, own = engine_of(network), current().part(len(split), together)
    for batch in evaluation_batches(split, batch_size, own.start, own.stop, engine.ahead):
        with engine.asking():
            logits = engine.array(network(engine.tensor(fill_up(batch.images, together))))
        yield split.labels[batch.rows], logits[:len(batch.rows)]


def evaluate(network: Trainable, split: Split, recipe: Recipe | None = None) -> dict:
    """Accuracy of a network on a split, overall and for each class, in [0, 1].

    Args:
        network: a trained network.
        split: the samples.
        recipe: a recipe whose ``test_resize`` is used, or None.

    Returns:
        A dict: "accuracy"; "samples", their number; "per_class": name of the class -> accuracy, or None for a class
        without samples.

    Raises:
        MsCoresetError: for arguments of another type.
    """
    require_kind("split", split, Split)
    require_kind("recipe", recipe, Recipe, type(None))
    correct = predict(network, split if recipe is None else view_for_test(split, recipe)) == split.labels
    per_class = {name: float(correct[split.labels == label].mean()) if (split.labels == label).any() else None
                 for label, name in enumerate(split.classes)}
    return {"accuracy": float(correct.mean()), "samples": len(split), "per_class": per_class}


def checkpoint_file(folder: FilePath, name: str) -> Path:
    """The path of a checkpoint in the folder of a training: MindSpore's .ckpt, unless there is one of PyTorch's, .pth.

    Args:
        folder: of one training, by one framework.
        name: ``BEST`` or ``LAST``.

    Returns:
        The path.
    """
    path = Path(folder) / name
    of_torch = path.with_suffix(".pth")
    return of_torch if of_torch.is_file() else path


def is_finished(folder: FilePath) -> bool:
    """Whether ``folder`` holds the result of training that ended: best.ckpt, and no last.ckpt of fewer epochs."""
    last = checkpoint_file(folder, LAST)
    if not checkpoint_file(folder, BEST).is_file():
        return False
    if not last.is_file():
        return True
    notes = read_checkpoint(last)[1]
    return notes.get("epoch") == notes.get("epochs")


def data_digest(split: Split, weights: np.ndarray | None = None) -> str:
    """Checksum of the training data: images, labels, weights, and the mean and deviation that normalise images.

    Args:
        split: the samples; for lazy images see ``Split.fingerprint``.
        weights: (n,), or None.

    Returns:
        The checksum, as text.
    """
    numbers = [np.array(values) for values in normalization(split).values()]
    return array_digest(np.array(contents_digest(split, weights)), *numbers)


class _Run:
    """One training run's state; its methods are the steps of ``train``."""

    def __init__(self, network: Network, split: Split, recipe: Recipe, seed: int, weights: np.ndarray | None,
                 record: Sequence[str] | str | None, folder: Path | None, test: Split | None, save_interval: float = 0,
                 reselection: Reselection | None = None, sampling: Sampling | None = None,
                 on_epoch: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._on_epoch = on_epoch
        self.network, self.split, self.recipe, self.seed = network, split, recipe, seed
        self.ranks = current()
        self.weights, self.folder = weights, folder
        self.test = None if test is None else view_for_test(test, recipe)
        self.rows, self.held_out = hold_out(len(split), recipe.validation, seed)
        self.validation = view_for_test(split.subset(self.held_out), recipe) if len(self.held_out) else None
        self.reselection, self.sampling = reselection, sampling
        sized = reselection or sampling
        self.per_epoch = updates_per_epoch(sized.size(len(self.rows)) if sized else len(self.rows), recipe.batch_size)
        self.epochs = recipe.num_epochs(self.per_epoch)
        self._done = 0  # updates before the epoch of a sampler
        length = Updates(recipe.iterations, recipe.batch_size) if recipe.iterations else self.epochs
        self.coresets = None
        if reselection is not None:
            self.coresets = Coresets(reselection, split, self.rows, network, length, folder and folder / CORESETS)
        self.sampler: Presenter | None = self.coresets
        if sampling is not None:
            self.sampler = sampling.start(split.labels, self.rows, epochs=length, seed=seed)
        warm = updates_per_epoch(len(self.rows), recipe.batch_size) * (reselection.warm if reselection else 0)
        if reselection and (warm >= recipe.iterations if recipe.iterations else reselection.warm >= self.epochs):
            raise MsCoresetError(f"{reselection.warm} epochs on all samples before the first selection: there are only "
                                 f"{length} in all")
        if recipe.whiten:
            whiten(network, split, self.rows)
        self._trainer = _trainer_of(network, recipe, self.ranks, sampling is not None)
        validated = self.validation is not None
        self.streamed = is_stream(record)
        all_of_it = default_record(len(split), split.num_classes, validated)
        self.record = all_of_it if record is None or self.streamed else tuple(record)
        if self.streamed and sized is not None and recipe.iterations:
            raise MsCoresetError(f"record stream: how many epochs {sized.name} makes of {recipe.iterations} updates "
                                 "is not known beforehand: give epochs instead")
        if "validation_loss" in self.record and not validated:
            raise MsCoresetError("record validation_loss: the recipe holds nothing out: give it a validation share")
        self.recorder: FieldRecorder | StreamRecorder = FieldRecorder((), 0, 0)
        self.history: list[dict[str, Any]] = []
        self._save_interval, self._saved = save_interval, time.monotonic()

    def open_recorder(self, first: int) -> None:
        """Record from the epoch ``first`` on."""
        folder = self.folder and self.folder / "dynamics"
        if self.streamed and self.ranks.first:
            self.recorder = StreamRecorder(self.split.labels, self.epochs, self.validation is not None, folder=folder,
                                           resume=first > 0)
        else:
            if folder and not first and self.ranks.first:
                drop_stream(folder)
            self.recorder = FieldRecorder(self.record if self.ranks.first else (), self.epochs, len(self.split), folder,
                                     first > 0)
        if first:
            self.recorder.restore(first)
            self.recorder.drop_states(but=first)

    def images(self, epochs: int) -> int:
        """How many are presented in the first so many epochs."""
        if self.reselection is None:
            return epochs * len(self.rows)
        warm = min(epochs, self.reselection.warm)
        return warm * len(self.rows) + (epochs - warm) * self.reselection.size(len(self.rows))

    def train(self, first: int, progress: Progress) -> None:
        if self.sampler is None:
            self._train_on(self.rows, self.weights, first, self.epochs, progress)
        else:
            self._train_by(self.sampler, first, progress)

    def _train_by(self, sampler: Presenter, epoch: int, progress: Progress) -> None:
        """From ``epoch`` to the end of the training, whose epochs are not known before if it ends by updates."""
        while epoch < self.epochs:
            rows, weights = sampler.present(epoch)
            self.epochs = epoch + 1 if sampler.is_last else max(self.epochs, epoch + 2)
            if isinstance(self.recorder, FieldRecorder):
                self.recorder.extend(self.epochs)
            self._done = sum(entry["updates"] for entry in self.history)
            self._train_on(rows, weights, epoch, epoch + 1, progress)
            epoch += 1

    def _learning_rate(self, update: int, per_epoch: int) -> float:
        """The learning rate of an update, counted from 0 as if all epochs had ``per_epoch``."""
        if self.sampler is None or not self.recipe.iterations:
            return self.recipe.learning_rate(update, per_epoch)
        return self.recipe.learning_rate(self._done + update % per_epoch, self.per_epoch, self.recipe.iterations)

    def _train_on(self, rows: np.ndarray, weights: np.ndarray | None, first: int, end: int, progress: Progress) -> None:
        """Epochs ``first`` to ``end - 1`` on the samples ``rows`` (m,), weighted by ``weights`` (n,) or None."""
        per_epoch = updates_per_epoch(len(rows), self.recipe.batch_size)
        update, sums = first * per_epoch, _Sums()
        batches = training_batches(self.split, rows, self.recipe, self.seed, first, end,
                                   engine_of(self.network).ahead)
        self.network.set_train(True)
        unread, together = _Unread(self.network), steps_between_reads(self.network, self.split, self.recipe)
        for batch in batches:
            epoch = update // per_epoch
            if update % per_epoch == 0:
                share = () if self.ranks.first else (self.ranks.rank,)
                self._trainer.reseed(stream(self.seed, "dropout", epoch, *share))
            of_batch = None if weights is None else weights[batch.rows]
            unread.add(batch, weights is not None,
                       self._trainer.step(batch, of_batch, self._learning_rate(update, per_epoch)))
            update += 1
            if len(unread) < together and update % per_epoch:
                continue
            for places, labels, loss, logits in unread.read():
                if not np.isfinite(loss):
                    raise MsCoresetError(f"training diverged in epoch {epoch + 1} (loss {loss}): use a lower --lr")
                losses = self.recorder.record(epoch, places, logits, labels)
                if self.sampler is not None and self.sampler.listens:
                    self.sampler.report(places, cross_entropy(logits, labels) if losses is None else losses)
                sums.add(loss, (logits.argmax(axis=1) == labels).sum(), len(places))
                progress.update(len(places), epoch=epoch + 1, loss=sums.loss, accuracy=sums.accuracy)
            if update % per_epoch == 0:
                self._end_epoch(epoch, sums, len(rows))
                sums = _Sums()
                self.network.set_train(True)

    def _end_epoch(self, epoch: int, sums: _Sums, presented: int) -> None:
        entry = {"epoch": epoch + 1, "loss": sums.loss, "accuracy": sums.accuracy,
                 "lr": self._learning_rate(epoch * self.per_epoch, self.per_epoch), "presented": presented,
                 "updates": updates_per_epoch(presented, self.recipe.batch_size)}
        average_statistics(self.network, self.ranks)
        due = (epoch + 1) % self.recipe.eval_every == 0 or epoch + 1 == self.epochs
        if self.test is not None and due:
            entry["test_accuracy"] = _accuracy(self.network, self.test)
        if self.validation is not None and (due or "validation_loss" in self.record):
            accuracy, losses = _validate(self.network, self.validation)
            self.recorder.record_validation(epoch, self.held_out, losses)
            entry |= {"validation_accuracy": accuracy} if due else {}
        self.history.append(entry)
        self.recorder.flush()
        if self.folder is not None and self.ranks.first:
            self._save(self.folder, entry)
        if self._on_epoch is not None and self.ranks.first:
            self._on_epoch(dict(entry))

    def _save(self, folder: Path, entry: dict[str, Any]) -> None:
        best = max((old.get("validation_accuracy", -1) for old in self.history[:-1]), default=-1)
        improved = entry.get("validation_accuracy", -1) > best
        description = getattr(self.network, "description", None)
        if improved if self.validation is not None else entry["epoch"] == self.epochs:
            write_checkpoint(self._file(folder, BEST), self._weights(), {"network": description})
        elif time.monotonic() - self._saved < self._save_interval:
            return
        self._saved = time.monotonic()
        if entry["epoch"] < self.epochs:
            self.recorder.keep_state(entry["epoch"])
            if self.sampler is not None:
                write_state(folder / SAMPLER, entry["epoch"], self.sampler.state_dict())
        # Written last: while it tells of fewer epochs than planned, the run counts as unfinished.
        notes = {"run": self._identity(), "epoch": entry["epoch"], "epochs": self.epochs, "history": self.history,
                 "network": description}
        if self.coresets is not None:
            notes["coresets"] = self.coresets.digests()
        write_checkpoint(self._file(folder, LAST), {**self._weights(), **self._trainer.state()}, notes)
        self.recorder.drop_states(but=entry["epoch"])
        if self.sampler is not None:
            drop_states(folder / SAMPLER, but=entry["epoch"])

    def _file(self, folder: Path, name: str) -> Path:
        return (folder / name).with_suffix(engine_of(self.network).suffix)

    def _weights(self) -> dict[str, np.ndarray]:
        return {parameter.name: parameter.asnumpy() for parameter in self.network.get_parameters()}

    def restore(self, folder: Path) -> int:
        """Take up last.ckpt and return the number of epochs it has."""
        path = self._file(folder, LAST)
        if not path.is_file():
            return 0
        arrays, notes = read_checkpoint(path)
        _require_notes(notes, path)
        # Checkpoints of before 0.2 have no network among what is compared, but beside it.
        _require_same({"network": notes.get("network"), "amp": False, "sampler": None, **notes["run"]},
                      {"amp": self.recipe.amp, **self._identity()}, path)
        memory = self._trainer.state().keys()
        assign(self.network, {name: array for name, array in arrays.items() if name not in memory}, path)
        self._trainer.restore(arrays)
        self.history = notes["history"]
        if self.sampler is not None:
            self.epochs = notes["epochs"]  # of a training that ends by updates, as far as it was known
        if self.sampler is not None and notes["epoch"] < self.epochs:
            self.sampler.restore(folder / SAMPLER, notes["epoch"])
        if self.coresets is not None:
            self.coresets.read(notes["coresets"])
        return notes["epoch"]

    def _identity(self) -> dict[str, Any]:
        return {**self.recipe.as_dict(), "seed": self.seed, "samples": len(self.split),
                "reselection": self.reselection and str(self.reselection),
                "sampler": self.sampling and str(self.sampling),
                "network": network_identity(self.network), **normalization(self.split),
                "data": contents_digest(self.split, self.weights)}


class _Unread:
    """Losses and logits of updates that are still on the device, until they are read together."""

    def __init__(self, network: Network) -> None:
        self._array = engine_of(network).array
        self._waiting: list[tuple[np.ndarray, np.ndarray, bool, Any, Any]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, batch: Batch, weighted: bool, made: tuple[Any, Any]) -> None:
        """Keep what ``Trainer.step`` gave for a batch."""
        self._waiting.append((batch.rows, batch.labels, weighted, *made))

    def read(self) -> Iterator[tuple[np.ndarray, np.ndarray, float, np.ndarray]]:
        """(rows, labels, loss, logits) of each batch, in their order; none of them is kept."""
        waiting, self._waiting = self._waiting, []
        for rows, labels, weighted, loss, logits in waiting:
            value, logits = float(self._array(loss)), self._array(logits)
            if np.isinf(value) and not weighted and np.isfinite(logits).all():
                # The kernel took the logarithm of a probability below float32's least; its gradient is right.
                value = float(measure(logits, labels)["loss"].mean())
            yield rows, labels, value, logits


def steps_between_reads(network: Network, split: Split, recipe: Recipe) -> int:
    """After how many updates their losses and logits are read: an accelerator works on meanwhile, a CPU can't."""
    on_host = engine_of(network).device_name == "CPU"
    return 1 if on_host else queue_length(batch_bytes(split, recipe.batch_size))


class _Sums:
    """Running mean of loss and accuracy over the samples of an epoch."""

    def __init__(self) -> None:
        self._loss, self._correct, self._n = 0.0, 0, 0

    def add(self, loss: float, correct: int, n: int) -> None:
        self._loss, self._correct, self._n = self._loss + loss * n, self._correct + int(correct), self._n + n

    @property
    def loss(self) -> float:
        return float(self._loss / self._n)

    @property
    def accuracy(self) -> float:
        return float(self._correct / self._n)


class Trainer(Protocol):
    """Updates a network batch by batch, and has the optimizer's memory."""

    def step(self, batch: Batch, weights: np.ndarray | None, learning_rate: float) -> tuple[Any, Any]:
        """Update the network in training mode.

        Args:
            batch: of images and labels.
            weights: (B,) of the samples, or None for 1.
            learning_rate: of this update.

        Returns:
            (loss, logits before the update), tensors on the device.
        """

    def reseed(self, rng: np.random.RandomState) -> None:
        """Let dropout draw from ``rng``."""

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""


def _trainer_of(network: Any, recipe: Recipe, ranks: Alone, of_samples: bool) -> Trainer:
    if engine_of(network).name == TORCH:
        return OverRanks(network.trainer(recipe, of_samples), network, ranks, of_samples)
    from ms_coreset.training.step import MindSporeTrainer

    return MindSporeTrainer(network, recipe, ranks, of_samples)


def _accuracy(network: Network, split: Split) -> float:
    return float((predict(network, split) == split.labels).mean())


def _validate(network: Network, split: Split) -> tuple[float, np.ndarray]:
    """(accuracy, (n,) losses) in evaluation mode."""
    found = [measure(logits, labels) for labels, logits in _logits(network, split)]
    correct, losses = (current().join(np.concatenate([np.empty(0, kind), *(values[name] for values in found)]))
                       for name, kind in (("correct", bool), ("loss", np.float64)))
    return float(correct.mean()), losses


def _check_weights(weights: Any, n: int) -> np.ndarray | None:
    if weights is None:
        return None
    weights = np.asarray(weights)
    numbers = weights.dtype.kind in "iuf" and weights.shape == (n,) and np.isfinite(weights).all()
    if not numbers or (weights < 0).any() or not weights.any():
        raise MsCoresetError(f"weights must be {n} finite numbers of at least 0, not all 0")
    return weights.astype(np.float64)


def _require_notes(notes: dict[str, Any], path: Path) -> None:
    """Raise ``MsCoresetError`` unless the notes of a checkpoint are those of a training."""
    kinds = {"run": dict, "epoch": int, "history": list}
    if not all(isinstance(notes.get(name), kind) for name, kind in kinds.items()) or notes["epoch"] < 0 or not all(
            isinstance(entry, dict) for entry in notes["history"]):
        raise MsCoresetError(f"can't resume from {path}: it holds no notes of a training; delete it to train anew")


def _require_same(found: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    unknown = tell_missing(found, wanted, path)
    for name, value in wanted.items():
        if found.get(name) != value and name not in unknown:
            raise MsCoresetError(f"can't resume from {path}: {name} was {found.get(name)}, is {value} now; "
                                 f"delete {path.parent} to train anew, or give the former options")


def _name(network: Network) -> str:
    return (getattr(network, "description", None) or {}).get("arch", type(network).__name__)

