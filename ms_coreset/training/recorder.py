"""The recorder for anyone's training loop: what happened to every sample, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ms_coreset.arrays import as_array, as_losses, require_places
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.kinds import FilePath
from ms_coreset.npy_files import open_array
from ms_coreset.training.dynamics import FIELDS, FieldRecorder, TrainingDynamics, require_records
from ms_coreset.training.streams import StreamedDynamics, StreamRecorder, drop_record, has_record, is_stream


class Recorder:
    """Records the training dynamics of any loop, in memory or in a folder, for CCS, DUAL, forgetting and the others.

    ::

        with mc.Recorder(len(labels), folder="dynamics") as recorder:
            for epoch in range(30):
                for indices, x, y in batches:
                    logits = model(x)
                    recorder.record(epoch, indices, logits, y)
                    ...

    What was recorded is ``TrainingDynamics.load("dynamics")``, and a command takes it by ``--dynamics dynamics``. An
    epoch ends when the next one begins, or with the ``with``. A sample that an epoch shows twice keeps the last values;
    one that it does not show has none, NaN.

    Args:
        n: number of samples of the data set; ``indices`` are places in it.
        folder: of the .npy files, (epochs, n) each; None: in memory.
        fields: some of those of ``TrainingDynamics``; None: those of an epoch by itself (``dynamics.FIELDS``).
            "divergence", for TDDS, keeps the epoch before's probabilities (n, C) float32; "validation_loss", for CLD,
            is for ``record_validation``. "stream": no fields, but the scores ``StreamedDynamics``, in memory that does
            not grow with the epochs; CLD is not among them.
        epochs: of the whole training, which "stream" has to know; None: files grow by an epoch at a time.
        resume: keep what is in the folder, and go on.
        overwrite: begin anew over a record that is in the folder.

    Raises:
        MsCoresetError: for unknown fields, "stream" without ``epochs``, files that can't be written, and a folder that
            holds a record with neither ``resume`` nor ``overwrite``, or both.
    """

    def __init__(self, n: int, *, folder: FilePath | None = None, fields: Sequence[str] | str | None = None,
                 epochs: int | None = None, resume: bool = False, overwrite: bool = False) -> None:
        require_whole("n", n)
        if resume and overwrite:
            raise MsCoresetError("resume and overwrite: go on, or begin anew")
        if epochs is not None:
            require_whole("epochs", epochs)
        self._n, self._epochs, self._epoch, self._resume = n, epochs, -1, resume
        self._fields = tuple(FIELDS if fields is None or isinstance(fields, str) else fields)
        self._streams = is_stream(fields)
        if self._streams and epochs is None:
            raise MsCoresetError("fields 'stream': say how many epochs there will be, as epochs=")
        self._closed = False
        require_records(self._fields)
        if folder is not None and not resume:
            _clear(folder, overwrite)
        self._recorder = self._make(folder)

    def _make(self, folder: FilePath | None) -> FieldRecorder | StreamRecorder:
        if self._streams:
            assert self._epochs is not None
            return StreamRecorder(np.zeros(self._n, int), self._epochs, False, folder=folder, resume=self._resume)
        return FieldRecorder(self._fields, self._epochs or self._epochs_in(folder), self._n, folder, self._resume)

    def _epochs_in(self, folder: FilePath | None) -> int:
        """Epochs that files in the folder have, all of them."""
        paths = [Path(folder or ".") / f"{name}.npy" for name in self._fields]
        if folder is None or not self._resume or not all(path.is_file() for path in paths):
            return 0
        arrays = [open_array(path) for path in paths]
        for path, array in zip(paths, arrays, strict=True):
            if array.ndim != 2 or array.shape[1] != self._n:
                raise MsCoresetError(f"can't go on: {path} is of shape {array.shape}, not (epochs, {self._n})")
        return max(map(len, arrays))

    def record(self, epoch: int, indices: Any, logits: Any, labels: Any) -> None:
        """Record a batch, before the network is updated by it.

        Args:
            epoch: its number, from 0; epochs come in their order.
            indices: (B,) places of the samples.
            logits: (B, C), before softmax. All three may be NumPy's, or tensors of torch or MindSpore on any device.
            labels: (B,) whole numbers, columns of the logits.

        Raises:
            MsCoresetError: for an epoch that has ended, arrays that do not fit together, after ``close``, and where
                "stream" goes on after an epoch whose sums are not there.
        """
        rows, values, columns = (np.asarray(as_array(name, given)) for name, given in
                                 (("indices", indices), ("logits", logits), ("labels", labels)))
        self._require_alike(rows, values, columns)
        self._enter(epoch)
        self._recorder.record(epoch, rows, values, columns)

    def record_validation(self, epoch: int, indices: Any, losses: Any) -> None:
        """Record the losses (B,) in evaluation mode of held-out samples, at places ``indices``, after an epoch.

        Raises:
            MsCoresetError: without the field "validation_loss", and as ``record``.
        """
        if self._streams or "validation_loss" not in self._fields:
            raise MsCoresetError("these losses are the field 'validation_loss', which is not among those that are "
                                 "recorded: name it in fields")
        rows, values = as_losses(indices, losses, self._n)
        self._enter(epoch)
        self._recorder.record_validation(epoch, rows, values)

    def _require_alike(self, rows: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> None:
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or logits.ndim != 2 or not (
                len(rows) == len(logits) == len(labels)) or labels.shape != rows.shape:
            raise MsCoresetError(f"indices {rows.dtype} of shape {rows.shape}, logits of shape {logits.shape}, labels "
                                 f"of shape {labels.shape}: must be (B,) whole numbers, (B, C) and (B,)")
        require_places(rows, self._n)

    def _enter(self, epoch: int) -> None:
        """Begin an epoch, and end the one before, unless it is in it already."""
        require_whole("epoch", epoch, 0)
        if self._closed:
            raise MsCoresetError(f"epoch {epoch}: this recorder was closed; one with resume=True goes on in its folder")
        if epoch == self._epoch:
            return
        if epoch < self._epoch or (self._epochs is not None and epoch >= self._epochs):
            raise MsCoresetError(f"epoch {epoch}: {self._epoch} is being recorded"
                                 + (f", of {self._epochs}" if self._epochs is not None else ""))
        if self._epoch >= 0:
            self._end_epoch()
        elif self._resume:
            self._recorder.restore(epoch)
        if isinstance(self._recorder, FieldRecorder):
            self._recorder.extend(epoch + 1)
        self._epoch = epoch

    def _end_epoch(self) -> None:
        self._recorder.flush()
        self._recorder.keep_state(self._epoch + 1)
        self._recorder.drop_states(but=self._epoch + 1)

    def close(self) -> None:
        """End the last epoch, and bring what was recorded to disk; nothing is recorded after it."""
        if self._epoch >= 0:
            self._end_epoch()
        self._epoch, self._closed = -1, True

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.close()

    def dynamics(self) -> TrainingDynamics | StreamedDynamics:
        """What was recorded so far; streamed scores once the last epoch has ended."""
        return self._recorder.dynamics()


def _clear(folder: FilePath, overwrite: bool) -> None:
    """Remove a record that is in the folder, or raise ``MsCoresetError`` unless that is wanted."""
    if not has_record(folder):
        return
    if not overwrite:
        raise MsCoresetError(f"{folder} holds a record: resume=True goes on with it, overwrite=True begins anew")
    drop_record(folder)
