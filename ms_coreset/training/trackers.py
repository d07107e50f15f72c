"""Who is told of every epoch and run of training: functions of the user's, TensorBoard, Weights & Biases, MindInsight.

An epoch is told by its entry of ``TrainingResult.history``, a run by what its result file or its record in a study
holds; both have "run", what the run is called.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ms_coreset.device import require_mindspore
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import one_line

Hook = Callable[[dict[str, Any]], None]
_NO_NUMBERS = ("history", "per_class", "recipe", "epoch")  # of a record: what is no result, or is told by epochs


class Tracker(Protocol):
    """Keeps the numbers of one run; made with the run's name and a folder."""

    def add(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Keep numbers by name as those of an epoch."""

    def close(self, record: Mapping[str, Any]) -> None:
        """End the run, which ``record`` tells of as plain values; empty for one that broke off."""


class TensorBoard:
    """Writes TensorBoard's files to folder/tensorboard/<run>, by the package ``tensorboard`` alone."""

    needs = "tensorboard"

    def __init__(self, run: str, folder: Path) -> None:
        summary = importlib.import_module("tensorboard.summary")
        self._writer = summary.Writer(os.fspath(folder / "tensorboard" / _file_name(run)))

    def add(self, numbers: Mapping[str, float], epoch: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, epoch)

    def close(self, record: Mapping[str, Any]) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Writes a run of Weights & Biases to folder/wandb; nothing is sent unless the environment's WANDB_MODE says so."""

    needs = "wandb"

    def __init__(self, run: str, folder: Path) -> None:
        wandb = importlib.import_module("wandb")
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project=os.environ.get("WANDB_PROJECT", "ms-coreset"), name=run, dir=os.fspath(folder),
                               mode=os.environ.get("WANDB_MODE", "offline"),
                               settings=wandb.Settings(silent=True, console="off"))

    def add(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(numbers), step=epoch)

    def close(self, record: Mapping[str, Any]) -> None:
        self._run.config.update({name: record[name] for name in ("recipe", "seed", "command") if name in record})
        self._run.finish()


class MindInsight:
    """Writes MindInsight's summary to folder/mindinsight/<run>, by MindSpore's ``SummaryRecord``."""

    needs = "mindspore"

    def __init__(self, run: str, folder: Path) -> None:
        self._mindspore = require_mindspore()
        place = folder / "mindinsight" / _file_name(run)
        place.mkdir(parents=True, exist_ok=True)
        self._summary = self._mindspore.SummaryRecord(os.fspath(place))

    def add(self, numbers: Mapping[str, float], epoch: int) -> None:
        for name, value in numbers.items():
            self._summary.add_value("scalar", name, self._mindspore.Tensor(value, self._mindspore.float32))
        self._summary.record(epoch)

    def close(self, record: Mapping[str, Any]) -> None:
        self._summary.close()


TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mindinsight": MindInsight}


@dataclass(frozen=True)
class Hooks:
    """Who is told of epochs and runs.

    Attributes:
        on_epoch: called with the entry of every epoch, or None
        on_run: called with the record of every run, or None
        track: of ``TRACKERS``, which get the numbers in both

    Raises:
        MsCoresetError: for another tracker, and one that is not installed.
    """

    on_epoch: Hook | None = None
    on_run: Hook | None = None
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.track:
            if name not in TRACKERS:
                raise MsCoresetError(f"track {name!r}: must be one of {', '.join(TRACKERS)}")
            try:
                importlib.import_module(TRACKERS[name].needs)
            except ImportError as error:
                raise MsCoresetError(f"track {name}: this needs {TRACKERS[name].needs} (pip install "
                                     f"{TRACKERS[name].needs}): {one_line(error)}") from error

    @contextlib.contextmanager
    def of_run(self, run: str, folder: Path) -> Iterator[Told]:
        """What tells of one run, called ``run``; trackers write below ``folder``, from the first that is told on."""
        told = Told(self, run, folder)
        try:
            yield told
        finally:
            told.close({})


class Told:
    """Tells of one run; see ``Hooks.of_run``. Of several ranks the first tells."""

    def __init__(self, hooks: Hooks, run: str, folder: Path) -> None:
        self._hooks, self._run, self._folder = hooks, run, folder
        self._open: list[Tracker] | None = None
        self._epoch = 0

    def on_epoch(self, entry: Mapping[str, Any]) -> None:
        """Tell of an epoch."""
        self._epoch = entry["epoch"]
        self._add(_numbers(entry))
        if self._hooks.on_epoch and current().first:
            self._hooks.on_epoch({"run": self._run, **entry})

    def on_run(self, record: Mapping[str, Any]) -> None:
        """Tell of the end of the run."""
        self._add({f"run/{name}": value for name, value in _numbers(record).items()})
        self.close(record)
        if self._hooks.on_run and current().first:
            self._hooks.on_run({"run": self._run, **record})

    def close(self, record: Mapping[str, Any]) -> None:
        """End the trackers that are open."""
        trackers, self._open = self._open or [], []
        for tracker in trackers:
            tracker.close(record)

    def _add(self, numbers: Mapping[str, float]) -> None:
        if self._open is None:
            kinds = [TRACKERS[name] for name in self._hooks.track] if current().first else []
            self._open = [kind(self._run, self._folder) for kind in kinds]
        for tracker in self._open:
            tracker.add(numbers, self._epoch)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in plain values by their names, such as "last/accuracy" of {"last": {"accuracy": 0.5}}."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name not in _NO_NUMBERS:
            found |= {f"{name}/{within}": number for within, number in _numbers(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in _NO_NUMBERS:
            found[name] = float(value)
    return found


def _file_name(run: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", run)
