"""Training dynamics: what happened to every sample in every epoch, recorded during training."""

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence_checks import as_fields, require_label_columns
from ms_coreset.kinds import FilePath
from ms_coreset.npy_files import create_array, lengthen_array, open_array
from ms_coreset.softmax import log_softmax
from ms_coreset.training.previous import PreviousAnswers
from ms_coreset.training.recorder_state import drop_states, read_state, write_state

_LARGEST = np.finfo(np.float32).max
FIELDS = ("probability", "margin", "logit_margin", "error_norm", "correct", "loss")  # of an epoch by itself
RECORDS = (*FIELDS, "divergence", "validation_loss")
LARGEST_ANSWERS = 1 << 30  # bytes of one epoch's probabilities of all classes that are kept unless asked for


@dataclass(frozen=True)
class TrainingDynamics:
    """Training dynamics: a value per epoch and sample, from the forward pass in training mode before each update.

    All fields are (T, n) arrays for T epochs and n samples, float32 (``correct`` bool), or None if they were not
    recorded. z are the logits, p = softmax(z), and y is the label. A value is NaN (False) in an epoch in which the
    sample was not shown, for example because it was held out. With a single class ``margin`` is p_y, and
    ``logit_margin`` is infinite. Arrays may be of any library, as in ``Evidence``.

    Attributes:
        probability: p_y, in [0, 1].
        margin: p_y - max_{j != y} p_j, in [-1, 1].
        logit_margin: z_y - max_{j != y} z_j.
        error_norm: ||p - onehot(y)||_2, in [0, sqrt(2)].
        correct: argmax z = y.
        loss: -log p_y.
        divergence: sum_c |p_c (ln(p_c + 1e-8) - ln(q_c + 1e-8))|, with q the p of the epoch before; NaN in the first
            epoch.
        validation_loss: -log p_y in evaluation mode after each epoch, for samples held out for validation; NaN for
            others.
        probabilities: p itself, (T, n, C); ``train`` does not record it.

    Raises:
        MsCoresetError: for fields that are not numbers (T, n), T and n the same for all.
    """

    probability: np.ndarray | None = None
    margin: np.ndarray | None = None
    logit_margin: np.ndarray | None = None
    _: KW_ONLY
    error_norm: np.ndarray | None = None
    correct: np.ndarray | None = None
    loss: np.ndarray | None = None
    divergence: np.ndarray | None = None
    validation_loss: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in (*RECORDS, "probabilities") if getattr(self, name) is not None}
        for name, array in as_fields("the training dynamics'", given, ("epochs", "samples"),
                                     {"probabilities": ("classes",)}).items():
            object.__setattr__(self, name, array)

    @property
    def num_samples(self) -> int:
        """The number of samples n."""
        return next((getattr(self, name).shape[1] for name in (*RECORDS, "probabilities")
                     if getattr(self, name) is not None), 0)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "TrainingDynamics":
        """Open the dynamics that ``train`` wrote to ``folder``, memory-mapped.

        Args:
            folder: the folder "dynamics" of a training.

        Returns:
            The dynamics.

        Raises:
            MsCoresetError: if there are none, and for files that are damaged or do not fit together.
        """
        folder = Path(folder)
        found = {name: open_array(folder / f"{name}.npy") for name in RECORDS if (folder / f"{name}.npy").is_file()}
        if not found:
            raise MsCoresetError(f"no training dynamics in {folder}: ms-coreset train records them, and in "
                                 "your own loop mc.Recorder")
        shape = next(iter(found.values())).shape
        for name, array in found.items():
            if array.ndim != 2 or array.shape != shape or array.dtype != _dtype(name):
                raise MsCoresetError(f"{folder / name}.npy: {array.dtype} of shape {array.shape}, not {_dtype(name)} "
                                     f"of shape (epochs, n), {shape} as the others; train anew")
        return cls(**found)


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The ``FIELDS`` of ``TrainingDynamics`` for the logits of a batch.

    Values of logits that lie farther apart than float32 reaches are limited to its range, so that it can hold them.

    Args:
        logits: (B, C).
        labels: (B,).

    Returns:
        Field -> (B,) float64 (``correct`` bool).

    Raises:
        MsCoresetError: for labels that are no columns of the logits.
    """
    return measure_whole(logits, labels)[0]


def measure_whole(logits: np.ndarray, labels: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(``measure``'s dict, the probabilities (B, C))."""
    require_label_columns(labels, logits.shape[1])
    rows = np.arange(len(labels))
    logits = np.asarray(logits, np.float64)
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    error = p.copy()
    error[rows, labels] -= 1
    fields = {"probability": p[rows, labels], "margin": _lead(p, labels, 0),
              "logit_margin": _logit_lead(logits, labels),
              "error_norm": np.linalg.norm(error, axis=1), "correct": logits.argmax(axis=1) == labels,
              "loss": np.minimum(-log_p[rows, labels], _LARGEST)}
    return fields, p


def _logit_lead(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Infinite where there is but one class, else as large as float32 can hold."""
    lead = _lead(logits, labels, -np.inf)
    return lead if logits.shape[1] == 1 else np.clip(lead, -_LARGEST, _LARGEST)


def _lead(values: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    """The label's value minus the largest other one; without others minus ``least``, a lower bound of all values."""
    rows = np.arange(len(labels))
    others = values.copy()
    others[rows, labels] = least
    with np.errstate(over="ignore"):
        return values[rows, labels] - others.max(axis=1)


class FieldRecorder:
    """Writes ``TrainingDynamics`` while training, in memory or as memory-mapped .npy files in a folder.

    With a folder, an interrupted run's epochs are still there when it is resumed: rows of epochs that were not
    finished are written again. What has to be known of the epochs before, beside that, is in state-<epochs>.npz.
    """

    def __init__(self, fields: Sequence[str], epochs: int, n: int, folder: FilePath | None = None,
                 resume: bool = False) -> None:
        require_records(fields)
        self._folder = None if folder is None else Path(folder)
        self._arrays = {name: _array(name, (epochs, n), folder, resume) for name in fields}
        self.extend(epochs)
        self._previous = PreviousAnswers(n) if "divergence" in self._arrays else None

    def record(self, epoch: int, rows: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Note a batch's outcome: logits (B, C) before the update, of samples ``rows`` with ``labels``.

        Returns:
            The losses (B,); None where nothing is recorded, and so nothing was computed.
        """
        if not self._arrays:
            return None
        values, p = measure_whole(logits, labels)
        if self._previous is not None:
            values["divergence"] = self._previous.diverge(epoch, rows, p)
        for name, array in self._arrays.items():
            if name in values:
                array[epoch, rows] = values[name]
        return values["loss"]

    def record_validation(self, epoch: int, rows: np.ndarray, losses: np.ndarray) -> None:
        """Note the losses (B,) after an epoch of held-out samples ``rows``."""
        if "validation_loss" in self._arrays:
            self._arrays["validation_loss"][epoch, rows] = losses

    def flush(self) -> None:
        """Bring what was recorded to disk."""
        for array in self._arrays.values():
            if isinstance(array, np.memmap):
                array.flush()

    def extend(self, epochs: int) -> None:
        """Make room for ``epochs`` epochs, where there is less."""
        self._arrays = {name: self._longer(name, array, epochs) for name, array in self._arrays.items()}

    def _longer(self, name: str, array: np.ndarray, epochs: int) -> np.ndarray:
        had = len(array)
        if had >= epochs:
            return array
        if self._folder is None:
            rest = np.empty((epochs - had, *array.shape[1:]), array.dtype)
            longer = np.concatenate([array, rest])
        else:
            self.flush()
            longer = lengthen_array(self._folder / f"{name}.npy", epochs)
        longer[had:] = _unseen(name)
        return longer

    def keep_state(self, epochs: int) -> None:
        """Write what has to be known to go on after so many epochs; see ``restore``."""
        if self._folder is not None and self._previous is not None:
            write_state(self._folder, epochs, self._previous.state)

    def drop_states(self, but: int) -> None:
        """Remove what was to be known after other numbers of epochs than ``but``."""
        if self._folder is not None:
            drop_states(self._folder, but)

    def restore(self, epochs: int) -> None:
        """Go on after so many epochs. Where nothing is known of them, the next has no divergence."""
        if self._folder is None or self._previous is None:
            return
        state = read_state(self._folder, epochs, tuple(self._previous.state))
        if state is not None:
            self._previous.restore(state)

    def dynamics(self) -> TrainingDynamics:
        """What was recorded so far."""
        return TrainingDynamics(**self._arrays)


def require_records(fields: Sequence[str]) -> None:
    """Raise ``MsCoresetError`` for fields that can't be recorded."""
    unknown = set(map(str, fields)) - set(RECORDS)
    if unknown:
        raise MsCoresetError(f"can't record {', '.join(sorted(unknown))}: there are {', '.join(RECORDS)}")


def default_record(n: int, classes: int, validated: bool) -> tuple[str, ...]:
    """The fields that are recorded of n samples by default.

    All fields are recorded, except for the divergence where the probabilities that it takes are larger than
    ``LARGEST_ANSWERS`` bytes, and for validation losses where no share is held out.

    Args:
        n: number of samples.
        classes: number of classes.
        validated: whether a share is held out for validation.

    Returns:
        Names of fields.
    """
    left_out = {"divergence": 4 * n * classes > LARGEST_ANSWERS, "validation_loss": not validated}
    return tuple(name for name in RECORDS if not left_out.get(name))


def _dtype(name: str) -> np.dtype:
    return np.dtype(np.bool_ if name == "correct" else np.float32)


def _unseen(name: str) -> float | bool:
    """What a field has of a sample that was not seen."""
    return False if name == "correct" else np.nan


def _array(name: str, shape: tuple[int, ...], folder: FilePath | None, resume: bool) -> np.ndarray:
    dtype = _dtype(name)
    if folder is None:
        return np.full(shape, _unseen(name), dtype)
    path = Path(folder) / f"{name}.npy"
    if resume and path.is_file():
        array = open_array(path, "r+")
        if array.shape[1:] == shape[1:] and array.dtype == dtype:  # of as many epochs as were begun
            return array
    array = create_array(path, dtype, shape)
    array[:] = _unseen(name)
    return array
