"""The training loop: batches in, a trained network, its dynamics and its results out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ms_coreset.batches import evaluation_batches, evaluation_size, updates_per_epoch
from ms_coreset.checksums import array_digest
from ms_coreset.datasets.split import Split
from ms_coreset.device import fill_up, mean_cross_entropy
from ms_coreset.distributed import current
from ms_coreset.engines import engine_of
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.errors import MsCoresetError, require_kind, require_network, require_path, require_whole
from ms_coreset.identity import contents_digest, network_identity, normalization, tell_missing
from ms_coreset.kinds import FilePath, Network, Trainable
from ms_coreset.networks.weights import assign, read_checkpoint, write_checkpoint
from ms_coreset.progress import Progress
from ms_coreset.randomness import check_seed, hold_out, stream
from ms_coreset.training.adaptive import Coresets, Reselection
from ms_coreset.training.crops import view_for_test
from ms_coreset.training.dynamics import FieldRecorder, TrainingDynamics, default_record, measure
from ms_coreset.training.parallel import Backward, average_statistics, over_ranks, total_weight
from ms_coreset.training.pipeline import training_batches
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.streams import StreamedDynamics, StreamRecorder, drop_stream, is_stream
from ms_coreset.training.whitening import whiten

if TYPE_CHECKING:
    from mindspore import Parameter, Tensor

    from ms_coreset.distributed import Alone
    from ms_coreset.training.pipeline import Batch

LAST, BEST, CORESETS = "last.ckpt", "best.ckpt", "coresets"  # PyTorch's checkpoints end in .pth


@dataclass
class TrainingResult:
    """The result of ``train``.

    Attributes:
        network: trained, in evaluation mode, with the weights of the last epoch.
        dynamics: ``TrainingDynamics``, or ``StreamedDynamics`` if scores were streamed.
        history: a dict for each epoch: "epoch" (from 1), "loss", "accuracy" (in training mode, augmented), "lr", and
            "test_accuracy" and "validation_accuracy" in epochs with a test.
        coresets: number of epochs done -> the coreset that a reselection chose then.
    """

    network: Network
    dynamics: TrainingDynamics | StreamedDynamics
    history: list = field(default_factory=list)
    coresets: dict = field(default_factory=dict)

    def best(self, key: str) -> dict[str, Any] | None:
        """The entry of ``history`` with the highest ``key``, the earliest of equal ones; None if no epoch has it."""
        tested = [entry for entry in self.history if key in entry]
        return max(tested, key=lambda entry: entry[key], default=None)


def train(network: Network, split: Split, recipe: Recipe, *, seed: int = 0, weights: np.ndarray | None = None,
          record: Sequence[str] | str | None = None, folder: str | os.PathLike | None = None, resume: bool = False,
          test: Split | None = None, save_interval: float = 0,
          reselection: Reselection | None = None) -> TrainingResult:
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
            written to coresets/ below the folder. ``iterations`` of the recipe become epochs beforehand.

    Returns:
        A ``TrainingResult``.

    Raises:
        MsCoresetError: if last.ckpt belongs to another run, if weights do not fit or are given with a reselection, and
            if the loss is no longer finite.
    """
    engine_of(network)  # is there, or it says how to get it
    require_network(network)
    require_kind("split", split, Split)
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
    weights = _check_weights(weights, len(split))
    place = None if folder is None else Path(folder)
    run = _Run(network, split, recipe, seed, weights, record, place, test, save_interval, reselection)
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
                 reselection: Reselection | None = None) -> None:
        self.network, self.split, self.recipe, self.seed = network, split, recipe, seed
        self.ranks = current()
        self.weights, self.folder = weights, folder
        self.test = None if test is None else view_for_test(test, recipe)
        self.rows, self.held_out = hold_out(len(split), recipe.validation, seed)
        self.validation = view_for_test(split.subset(self.held_out), recipe) if len(self.held_out) else None
        self.reselection = reselection
        self.coresets = None
        if reselection is not None:
            self.coresets = Coresets(reselection, split, self.rows, folder and folder / CORESETS)
        self.per_epoch = updates_per_epoch(self.coresets.size if self.coresets else len(self.rows), recipe.batch_size)
        self.epochs = recipe.num_epochs(self.per_epoch)
        if reselection and recipe.iterations:  # coresets may differ in size: epochs are what they have in common
            self.recipe = recipe.override(epochs=self.epochs)
        if reselection and reselection.warm >= self.epochs:
            raise MsCoresetError(f"{reselection.warm} epochs on all samples before the first selection: there are only "
                                 f"{self.epochs} in all")
        if recipe.whiten:
            whiten(network, split, self.rows)
        self._trainer = _trainer_of(network, recipe)
        self._step = _training_step(network, self._trainer, self.ranks)
        validated = self.validation is not None
        self.streamed = is_stream(record)
        all_of_it = default_record(len(split), split.num_classes, validated)
        self.record = all_of_it if record is None or self.streamed else tuple(record)
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
        return self.coresets.count_presentations(epochs) if self.coresets else epochs * len(self.rows)

    def train(self, first: int, progress: Progress) -> None:
        if self.coresets is None:
            self._train_on(self.rows, self.weights, first, self.epochs, progress)
            return
        for begin, end in self.coresets.parts(first, self.epochs):
            rows, weights = self.coresets.presentation(begin, self.network)
            self._train_on(rows, weights, begin, end, progress)

    def _train_on(self, rows: np.ndarray, weights: np.ndarray | None, first: int, end: int, progress: Progress) -> None:
        """Epochs ``first`` to ``end - 1`` on the samples ``rows`` (m,), weighted by ``weights`` (n,) or None."""
        per_epoch = updates_per_epoch(len(rows), self.recipe.batch_size)
        update, sums = first * per_epoch, _Sums()
        batches = training_batches(self.split, rows, self.recipe, self.seed, first, end,
                                   engine_of(self.network).ahead)
        self.network.set_train(True)
        for batch in batches:
            epoch = update // per_epoch
            if update % per_epoch == 0:
                share = () if self.ranks.first else (self.ranks.rank,)
                self._trainer.reseed(stream(self.seed, "dropout", epoch, *share))
            of_batch = None if weights is None else weights[batch.rows]
            loss, logits = self._step(batch, of_batch, self.recipe.learning_rate(update, per_epoch))
            if not np.isfinite(loss):
                raise MsCoresetError(f"training diverged in epoch {epoch + 1} (loss {loss}): use a lower --lr")
            self.recorder.record(epoch, batch.rows, logits, batch.labels)
            sums.add(loss, (logits.argmax(axis=1) == batch.labels).sum(), len(batch.rows))
            progress.update(len(batch.rows), epoch=epoch + 1, loss=sums.loss, accuracy=sums.accuracy)
            update += 1
            if update % per_epoch == 0:
                self._end_epoch(epoch, sums)
                sums = _Sums()
                self.network.set_train(True)

    def _end_epoch(self, epoch: int, sums: _Sums) -> None:
        entry = {"epoch": epoch + 1, "loss": sums.loss, "accuracy": sums.accuracy,
                 "lr": self.recipe.learning_rate(epoch * self.per_epoch, self.per_epoch)}
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
        # Written last: while it tells of fewer epochs than planned, the run counts as unfinished.
        notes = {"run": self._identity(), "epoch": entry["epoch"], "epochs": self.epochs, "history": self.history,
                 "network": description}
        if self.coresets is not None:
            notes["coresets"] = self.coresets.digests()
        write_checkpoint(self._file(folder, LAST), {**self._weights(), **self._trainer.state()}, notes)
        self.recorder.drop_states(but=entry["epoch"])

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
        _require_same({"network": notes.get("network"), **notes["run"]}, self._identity(), path)
        memory = self._trainer.state().keys()
        assign(self.network, {name: array for name, array in arrays.items() if name not in memory}, path)
        self._trainer.restore(arrays)
        self.history = notes["history"]
        if self.coresets is not None:
            self.coresets.restore(notes["coresets"])
        return notes["epoch"]

    def _identity(self) -> dict[str, Any]:
        return {**self.recipe.as_dict(), "seed": self.seed, "samples": len(self.split),
                "reselection": self.reselection and str(self.reselection),
                "network": network_identity(self.network), **normalization(self.split),
                "data": contents_digest(self.split, self.weights)}


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
    """Computes a network's gradients in training mode, updates it by them, and has the optimizer's memory."""

    @property
    def parameters(self) -> Sequence[Any]:
        """What it updates, each with its ``shape``."""

    def backward(self, images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[Any, Any, Sequence[Any]]:
        """(loss, logits, gradients of the parameters) of a batch, as tensors.

        Args:
            images: (B, C, H, W).
            labels: (B,).
            weights: (B,) of the samples, or None for 1.
        """

    def update(self, gradients: Sequence[Any], learning_rate: float) -> None:
        """Update the parameters by these gradients."""

    def reseed(self, rng: np.random.RandomState) -> None:
        """Let dropout draw from ``rng``."""

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""


def _trainer_of(network: Any, recipe: Recipe) -> Trainer:
    by_torch = engine_of(network).name == TORCH
    return network.trainer(recipe) if by_torch else _OfMindSpore(network, recipe)


class _OfMindSpore:
    """A ``Trainer`` of a MindSpore Cell."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        from ms_coreset.training.optimizer import SGD

        optimizer = SGD(list(network.trainable_params()), recipe)
        self._network, self.parameters, self.update = network, optimizer.parameters, optimizer.step
        self.state, self.restore = optimizer.state, optimizer.restore
        self.backward = _backward_of(network, optimizer.parameters)

    def reseed(self, rng: np.random.RandomState) -> None:
        from ms_coreset.networks.layers import reseed

        reseed(self._network, rng)


def _backward_of(network: Network, parameters: list[Parameter]) -> Backward:
    """``Trainer.backward`` of a MindSpore Cell."""
    import mindspore
    from mindspore import Tensor, ops

    # Fused kernels: the mean of a batch, and a loss for each sample. ops.cross_entropy takes ten times as long on CPU.
    mean_loss, losses_of = mean_cross_entropy(), ops.SoftmaxCrossEntropyWithLogits()

    def forward(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = network(images)
        return mean_loss(logits, labels), logits

    def weighted_forward(images: Tensor, targets: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        logits = network(images)
        losses, _ = losses_of(logits, targets)
        return (losses * shares).sum(), logits

    gradient = mindspore.value_and_grad(forward, None, parameters, has_aux=True)
    weighted_gradient = mindspore.value_and_grad(weighted_forward, None, parameters, has_aux=True)

    def backward(images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        if weights is None:
            (loss, logits), gradients = gradient(Tensor(images), Tensor(labels))
        else:
            targets = np.eye(network.head.out_channels, dtype=np.float32)[labels]
            shares = (weights / total_weight(labels, weights)).astype(np.float32)
            (loss, logits), gradients = weighted_gradient(Tensor(images), Tensor(targets), Tensor(shares))
        return loss, logits, gradients

    return backward


def _training_step(network: Network, trainer: Trainer,
                   ranks: Alone) -> Callable[[Batch, np.ndarray | None, float], tuple[float, np.ndarray]]:
    """A function (batch, weights, learning rate) -> (loss, logits before the update) that updates the network.

    On several ranks each goes through its share of the batch; loss, logits and update are of the whole.
    """
    engine, backward = engine_of(network), over_ranks(trainer.backward, network, trainer.parameters, ranks)

    def step(batch: Batch, weights: np.ndarray | None, learning_rate: float) -> tuple[float, np.ndarray]:
        found, answers, gradients = backward(batch.images, batch.labels, weights)
        trainer.update(gradients, learning_rate)
        loss, logits = float(engine.array(found)), engine.array(answers)
        if np.isinf(loss) and weights is None and np.isfinite(logits).all():
            # MindSpore's kernel took the logarithm of a probability below float32's least; its gradient is right.
            loss = float(measure(logits, batch.labels)["loss"].mean())
        return loss, logits

    return step


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

