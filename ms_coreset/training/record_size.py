"""The memory and disk space that recording will take, known before a training starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.selectors.memory import as_text
from ms_coreset.selectors.scores.dynamic_uncertainty import LENGTH
from ms_coreset.training.dynamics import RECORDS, default_record
from ms_coreset.training.streams import is_stream

_ROW = 4 * (len(RECORDS) - 1) + 1  # bytes of a sample's values of one epoch
_SUMS = 12 * 3 + 7  # a sum and a number of epochs of each of three scores, and what forgetting counts
_OF_WINDOWS = 12 * 2 + 16  # the same of Dyn-Unc and DUAL, and TDDS's two sums
_CORRELATIONS = 68


@dataclass(frozen=True)
class RecordSize:
    """Bytes that recording takes.

    Attributes:
        memory: bytes of memory during the whole training.
        disk: bytes of the files at the end, or while an interrupted run could continue, whichever is more.
    """

    memory: int
    disk: int

    def __str__(self) -> str:
        return f"{as_text(self.memory)} of memory, {as_text(self.disk)} of files"


def estimate_record(n: int, *, classes: int, epochs: int, record: Sequence[str] | str | None = None,
                    validated: bool = True, folder: bool = True) -> RecordSize:
    """Estimate the memory and disk space that recording n samples takes; see ``train``.

    Args:
        n: number of samples, 1 or more.
        classes: columns of the logits.
        epochs: number T of epochs of the training.
        record: what is recorded, as in ``train``: fields, "stream", or None for the default.
        validated: whether a validation share is held out.
        folder: whether the records are files, which are memory-mapped and take no memory; otherwise they are in memory.

    Returns:
        A ``RecordSize``. Each field takes 4 n T bytes of files (``correct`` n T). The divergence, which compares with
        the epoch before, also takes 4 n C bytes of memory, and as many of files, from which an interrupted run
        continues. Streamed scores take about 300 n bytes besides the divergence's, whatever T, in memory and in files.

    Raises:
        MsCoresetError: for sizes below 1, and for unknown fields.
    """
    for name, value in (("n", n), ("classes", classes), ("epochs", epochs)):
        require_whole(name, value)
    before = 4 * n * classes + 4 * n
    if is_stream(record):
        memory = before + _stream_bytes(n, epochs, validated)
        return RecordSize(memory, memory if folder else 0)
    fields = default_record(n, classes, validated) if record is None else tuple(record)
    unknown = set(map(str, fields)) - set(RECORDS)
    if unknown:
        raise MsCoresetError(f"can't record {', '.join(sorted(unknown))}: there are {', '.join(RECORDS)}")
    arrays = sum(n * epochs * (1 if name == "correct" else 4) for name in fields)
    held = before if "divergence" in fields else 0
    return RecordSize(held, arrays + held) if folder else RecordSize(arrays + held, 0)


def _stream_bytes(n: int, epochs: int, validated: bool) -> int:
    """Bytes of an epoch's values, and of the sums that they are added to."""
    window = min(LENGTH, epochs)
    return n * (_ROW + _SUMS + 4 * (3 * window - 1) + _OF_WINDOWS + (_CORRELATIONS if validated else 0))
