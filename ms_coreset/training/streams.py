"""Scores over time that are accumulated during training, so that nothing is kept of single epochs."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence_checks import as_fields
from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath
from ms_coreset.npy_files import open_array
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.scores import cld, dynamic_uncertainty, forgetting, tdds
from ms_coreset.training.dynamics import RECORDS, TrainingDynamics, measure_whole
from ms_coreset.training.previous import PreviousAnswers
from ms_coreset.training.recorder_state import drop_states, read_state, write_state

STREAM = "stream"  # value of ``record`` in place of a list of fields
_FOLDER = "streamed"
Row = dict[str, np.ndarray]  # field of the dynamics -> (n,) of an epoch, NaN (False) where a sample was not seen


@dataclass(frozen=True, kw_only=True)
class StreamedDynamics:
    """Scores over time, (n,) float64 each, accumulated during training, in place of ``TrainingDynamics``.

    Each field is the score of that name with its default options, as computed from the record of all epochs. Other
    scores are not available. A field is None if there were too few epochs, or nothing was held out (``cld``).

    Raises:
        MsCoresetError: for fields that are not numbers (n,), n the same for all.
    """

    dyn_unc: np.ndarray | None = None
    dual: np.ndarray | None = None
    tdds: np.ndarray | None = None
    cld: np.ndarray | None = None
    forgetting: np.ndarray | None = None
    correctness: np.ndarray | None = None
    aum: np.ndarray | None = None
    accumulated_margin: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, array in as_fields("the streamed", self.streamed, ("samples",)).items():
            object.__setattr__(self, name, array)

    @property
    def streamed(self) -> dict[str, Any]:
        """Score -> values (n,), of all scores that are not None."""
        return {field.name: getattr(self, field.name) for field in fields(self)
                if getattr(self, field.name) is not None}

    @property
    def num_samples(self) -> int:
        """The number of samples n."""
        return len(next(iter(self.streamed.values()), ()))

    def save(self, folder: str | os.PathLike) -> None:
        """Write each score to a .npy file below ``folder``.

        Args:
            folder: the folder, which is made if it is missing.

        Raises:
            MsCoresetError: if a file can't be written.
        """
        for name, values in self.streamed.items():
            with atomic_write(Path(folder) / _FOLDER / f"{name}.npy") as stream:
                np.save(stream, values)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "StreamedDynamics":
        """Open what ``save`` wrote.

        Args:
            folder: the folder that was given to ``save``.

        Returns:
            The scores.

        Raises:
            MsCoresetError: if the folder has no scores, and for damaged files.
        """
        paths = {field.name: Path(folder) / _FOLDER / f"{field.name}.npy" for field in fields(cls)}
        found = {name: open_array(path) for name, path in paths.items() if path.is_file()}
        if not found:
            raise MsCoresetError(f"no streamed scores in {folder}: train with --record stream, which adds them up")
        return cls(**found)


def has_stream(folder: FilePath) -> bool:
    """Whether streamed scores lie in ``folder``."""
    return any((Path(folder) / _FOLDER).glob("*.npy"))


def load_dynamics(folder: FilePath) -> "TrainingDynamics | StreamedDynamics":
    """The result of a training in ``folder``: the record of all epochs, or streamed scores.

    Raises:
        MsCoresetError: where there is neither, and for damaged files.
    """
    return StreamedDynamics.load(folder) if has_stream(folder) else TrainingDynamics.load(folder)


def drop_stream(folder: FilePath) -> None:
    """Remove the streamed scores in ``folder``, for a training that starts anew.

    Raises:
        MsCoresetError: when they can't be removed.
    """
    try:
        for path in (Path(folder) / _FOLDER).glob("*.np[yz]"):
            path.unlink()
    except OSError as error:
        raise MsCoresetError(f"can't write to {folder}: {error.strerror}") from error


def has_record(folder: FilePath) -> bool:
    """Whether the record of a training lies in ``folder``, finished or not, of epochs or streamed."""
    folder = Path(folder)
    return any((folder / f"{name}.npy").is_file() for name in RECORDS) or any((folder / _FOLDER).glob("*.np[yz]"))


def drop_record(folder: FilePath) -> None:
    """Remove the record in ``folder``, of epochs or streamed.

    Raises:
        MsCoresetError: when it can't be removed.
    """
    drop_stream(folder)
    try:
        drop_states(Path(folder))
        for name in RECORDS:
            (Path(folder) / f"{name}.npy").unlink(missing_ok=True)
    except OSError as error:
        raise MsCoresetError(f"can't write to {folder}: {error.strerror}") from error


def is_stream(record: Sequence[str] | str | None) -> bool:
    """Whether scores are to be streamed.

    Args:
        record: fields, "stream", or None.

    Returns:
        True for "stream".

    Raises:
        MsCoresetError: for another text, and for fields beside "stream".
    """
    words = (record,) if isinstance(record, str) else tuple(record or ())
    if STREAM not in words and not isinstance(record, str):
        return False
    if words != (STREAM,):
        raise MsCoresetError(f"record {' '.join(words)}: fields of the training dynamics, or {STREAM!r} alone")
    return True


class _Sum:
    """The sum of a field over the epochs, or its mean; see ``record.sum_over_seen`` and ``mean_over_seen``."""

    def __init__(self, n: int, mean: bool = False) -> None:
        self.mean, self.epochs = mean, 0
        self.total, self.count = np.zeros(n), np.zeros(n, np.int32)

    def add(self, values: np.ndarray, seen: np.ndarray) -> None:
        """Add an epoch: values (n,) of the samples that were seen, a mask (n,)."""
        self.epochs += 1
        np.add(self.total, values, out=self.total, where=seen)
        self.count += seen

    def score(self) -> np.ndarray:
        """Score (n,): minus the sum or the mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return -(self.total / self.count if self.mean else self.total * (self.epochs / self.count))


class _Windows:
    """Dyn-Unc, or DUAL: a ring of the label's probability in the last J epochs, and the sum over all windows."""

    def __init__(self, n: int, length: int, dual: bool = False) -> None:
        self.dual, self.epochs = dual, 0
        self.ring = np.full((length, n), np.nan, np.float32)
        self.total, self.count = np.zeros(n), np.zeros(n, np.int32)

    def add(self, probability: np.ndarray) -> None:
        """Add an epoch: the label's probabilities (n,), NaN where a sample was not seen."""
        length, n = self.ring.shape
        self.ring[self.epochs % length] = probability
        self.epochs += 1
        if self.epochs < length:
            return
        oldest_first = (self.epochs + np.arange(length)) % length
        for part in row_blocks.blocks(n, 24 * length):
            window = np.asarray(self.ring[oldest_first, part], np.float64)
            mean, values = (found[0] for found in dynamic_uncertainty.moments(window, length))
            values = values * (1 - mean) if self.dual else values
            known = np.isfinite(values)
            self.total[part] += np.where(known, values, 0)
            self.count[part] += known

    def score(self) -> np.ndarray:
        """Score (n,); see ``dyn_unc`` and ``dual``."""
        with np.errstate(invalid="ignore"):
            return self.total / self.count


def _seen(row: Row) -> np.ndarray:
    return ~np.isnan(row["loss"])


# Score -> what its accumulator is told of an epoch.
_TOLD: dict[str, Callable[[Row], tuple[np.ndarray, ...]]] = {
    "dyn_unc": lambda row: (row["probability"],), "dual": lambda row: (row["probability"],),
    "tdds": lambda row: (row["divergence"],), "cld": lambda row: (row["loss"], row["validation_loss"]),
    "forgetting": lambda row: (row["correct"], _seen(row)), "correctness": lambda row: (row["correct"], _seen(row)),
    "aum": lambda row: (row["logit_margin"], _seen(row)), "accumulated_margin": lambda row: (row["margin"], _seen(row))}


def accumulators(labels: np.ndarray, epochs: int, validated: bool) -> dict[str, Any]:
    """The objects that sum up each score over the epochs, for those scores that are possible.

    Each has ``add`` for an epoch, ``score`` for the end, and in between arrays whose size does not depend on the number
    of epochs.

    Args:
        labels: (n,).
        epochs: number of epochs.
        validated: whether a validation share is held out.

    Returns:
        Score -> accumulator.
    """
    n, window = len(labels), min(dynamic_uncertainty.LENGTH, epochs)
    found: dict[str, Any] = {"forgetting": forgetting.Forgetting(n), "correctness": _Sum(n), "aum": _Sum(n, mean=True),
                             "accumulated_margin": _Sum(n)}
    if epochs >= 2:
        found |= {"dyn_unc": _Windows(n, window), "dual": _Windows(n, window, dual=True)}
    if epochs >= tdds.LEAST:
        found["tdds"] = tdds.Deviations(n, window)
    if epochs > cld.LEAST and validated:
        found["cld"] = cld.Correlations(labels)
    return found


class StreamRecorder:
    """Sums scores up while training, in place of ``dynamics.FieldRecorder``, with the same methods.

    Its size does not depend on the number of epochs. Its result is a ``StreamedDynamics``. With a folder, an
    interrupted run goes on from the state after the epoch of its checkpoint.

    Args:
        labels: (n,).
        epochs: of the training.
        validated: whether a validation share is held out.
        folder: of the states and the result, or None.
        resume: whether to keep what is in the folder.
    """

    def __init__(self, labels: np.ndarray, epochs: int, validated: bool, *, folder: FilePath | None = None,
                 resume: bool = False) -> None:
        self._epochs, self._done = epochs, 0
        self._folder = None if folder is None else Path(folder)
        self._previous = PreviousAnswers(len(labels))
        self._accumulators = accumulators(labels, epochs, validated)
        self._row: Row = {name: np.empty(len(labels), np.bool_ if name == "correct" else np.float32)
                          for name in RECORDS}
        self._begin()
        if self._folder is not None and not resume:
            drop_stream(self._folder)

    def _begin(self) -> None:
        """Clear the values of the epoch."""
        for name, values in self._row.items():
            values[:] = False if name == "correct" else np.nan

    def record(self, epoch: int, rows: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Record a batch.

        Args:
            epoch: number of the epoch.
            rows: (B,) places of the samples.
            logits: (B, C) before the update.
            labels: (B,).

        Returns:
            The losses (B,).
        """
        values, p = measure_whole(logits, labels)
        values["divergence"] = self._previous.diverge(epoch, rows, p)
        for name, found in values.items():
            self._row[name][rows] = found
        return values["loss"]

    def record_validation(self, epoch: int, rows: np.ndarray, losses: np.ndarray) -> None:
        """Record the losses of held-out samples after an epoch.

        Args:
            epoch: number of the epoch.
            rows: (B,) places of the samples.
            losses: (B,).
        """
        self._row["validation_loss"][rows] = losses

    def flush(self) -> None:
        """End the epoch: add its values to the sums."""
        for name, accumulator in self._accumulators.items():
            accumulator.add(*_TOLD[name](self._row))
        self._done += 1
        self._begin()
        if self._done == self._epochs and self._folder is not None:
            self.dynamics().save(self._folder)

    def keep_state(self, epochs: int) -> None:
        """Write the state after ``epochs`` epochs; see ``restore``."""
        if self._folder is not None:
            write_state(self._folder / _FOLDER, epochs, self._state())

    def _state(self) -> dict[str, np.ndarray]:
        """The state by name, from which ``restore`` goes on."""
        state = {f"previous/{name}": value for name, value in self._previous.state.items()}
        for score, accumulator in self._accumulators.items():
            state |= {f"{score}/{name}": np.asarray(value) for name, value in vars(accumulator).items()}
        return state

    def drop_states(self, but: int) -> None:
        """Remove the states after other numbers of epochs than ``but``."""
        if self._folder is not None:
            drop_states(self._folder / _FOLDER, but)

    def restore(self, epochs: int) -> None:
        """Go on after ``epochs`` epochs.

        Raises:
            MsCoresetError: where there is no state of that epoch.
        """
        self._done = epochs
        if self._folder is None or epochs == self._epochs:
            return
        state = read_state(self._folder / _FOLDER, epochs, tuple(self._state()))
        if state is None:
            raise MsCoresetError(f"can't go on with --record stream: nothing was added up in the {epochs} epochs that "
                                 f"{self._folder.parent} has; train anew, or without it")
        self._previous.restore({name: state[f"previous/{name}"] for name in self._previous.state})
        for score, accumulator in self._accumulators.items():
            for name in vars(accumulator):
                value = state[f"{score}/{name}"]
                setattr(accumulator, name, value if value.ndim else value.item())

    def dynamics(self) -> StreamedDynamics:
        """The scores of a training that has ended; before that, without any score."""
        if self._done < self._epochs:
            return StreamedDynamics()
        if self._folder is not None and has_stream(self._folder):
            return StreamedDynamics.load(self._folder)
        return StreamedDynamics(**{name: accumulator.score() for name, accumulator in self._accumulators.items()})
