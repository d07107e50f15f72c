"""One run of a study: the coreset chosen, or taken from its file, the network trained on it, and the record of both."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.coreset import Coreset
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.experiment.runs import Cell, Run, checksum
from ms_coreset.experiment.store import Claims, Record
from ms_coreset.experiment.sweep import Busy
from ms_coreset.identity import data_identity, misfit, normalization
from ms_coreset.jobs.steps import Steps
from ms_coreset.kinds import FilePath
from ms_coreset.selectors.quota import Request, truncate
from ms_coreset.terminal import complain
from ms_coreset.training.loop import TrainingResult
from ms_coreset.training.recipe import Recipe

if TYPE_CHECKING:
    from ms_coreset.experiment.bench import Bench

Costs = dict[str, Any]  # "seconds", "peak_mb" and what else was measured, as plain values


@dataclass(frozen=True)
class Data:
    """A data set of a study.

    Attributes:
        whole: the training split
        places: (m,) of the pool in it, or None
        split: the pool, or the whole
        test: the clean test split
        digest: checksum of the images and labels of ``split``
        identity: of its normalisation, too
        label: what it is to be called
    """

    whole: Split
    places: np.ndarray | None
    split: Split
    test: Split
    digest: str
    identity: str
    label: str


class Work:
    """Carries out the runs of a study in its folder.

    Args:
        bench: where data and evidence come from: ``load(cell) -> Data``, ``gather(cell, data, needs) -> (Evidence,
            costs)``, with "seconds", "peak_mb" and "base_accuracy" in the costs; raises ``Busy`` while another process
            is at it, ``train(run, part, weights, folder, data) -> (TrainingResult, costs)``, with "seconds", "peak_mb"
            and "last", what ``evaluate`` gives, in the costs; likewise
        runs: all of the study, for rankings that serve several rates
        notes: plain values for every record: versions, revision, device
        command: ``run -> the command that repeats it``
    """

    def __init__(self, folder: FilePath, claims: Claims, bench: Bench, runs: Sequence[Run], notes: Mapping[str, Any],
                 command: Callable[[Run], str]) -> None:
        self._folder, self._claims, self._bench = Path(folder), claims, bench
        self._notes, self._command = notes, command
        self._rates: dict[str, dict[float, Run]] = {}
        for run in runs:
            self._rates.setdefault(_ranking(run), {})[run.rate] = run
        self._needs = tuple(dict.fromkeys(need for run in runs for need in run.method.needs if need != "boundary"))
        self._evidence: tuple[tuple[Cell, tuple[str, ...]], tuple[Evidence, Costs]] | None = None

    def perform(self, run: Run, twin: Record | None = None) -> Record:
        """The record of ``run``, "done" or "failed".

        Args:
            run: what is done
            twin: a record of the same work, which is listed a second time instead of being done again

        Raises:
            Busy: when another process is making what it needs.
        """
        if twin:
            return {**twin, "key": run.key(), **run.place(), "recipe": run.recipe_notes(twin["n"]),
                    "command": self._command(run)}
        record = {"key": run.key(), "work": run.work(), "status": "failed", **run.place(),
                  "variant": run.cell.dataset.partition("@")[2] or None}
        try:
            outcome = {"status": "done", **self._outcome(run)}
        except Busy:
            raise
        except Exception as error:  # whatever it is, it must not end the other runs
            if not isinstance(error, MsCoresetError):
                complain(*traceback.format_exc().splitlines())
            outcome = {"error": _one_line(error)}
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return {**record, **outcome, **self._notes, "command": self._command(run), "finished": now}

    def clear(self, run: Run) -> None:
        """Remove the checkpoints of a run that is recorded."""
        shutil.rmtree(self._checkpoints(run), ignore_errors=True)
        with contextlib.suppress(OSError):
            self._checkpoints(run).parent.rmdir()

    def _checkpoints(self, run: Run) -> Path:
        return self._folder / "running" / run.work()

    def _outcome(self, run: Run) -> dict[str, Any]:
        data = self._bench.load(run.cell)
        coreset = self._coreset(run, data)
        places, weights = coreset.ascending()
        part = data.split if run.whole else data.whole.subset(places)
        result, costs = self._bench.train(run, part, weights, self._checkpoints(run), data)
        chosen = coreset.manifest["costs"]
        return {"label": data.label, "n": len(data.split), "k": len(coreset), "data": data.digest,
                "normalization": normalization(data.split),
                "recipe": run.recipe_notes(len(data.split)), "indices": f"indices/{_file_name(run)}",
                "accuracy": _accuracy(result, costs["last"], run.recipe), **_shares(coreset, data.whole),
                "seconds": {**chosen["seconds"], "train": costs["seconds"]},
                "peak_mb": {**chosen["peak_mb"], "train": costs["peak_mb"]}, "base_accuracy": chosen["base_accuracy"]}

    def _coreset(self, run: Run, data: Data) -> Coreset:
        """From its file, or chosen, with those of lower rates that the same ranking serves."""
        path = self._folder / "indices" / _file_name(run)
        if not path.is_file():
            with self._claims.claim(_ranking(run)) as mine:
                if not mine:
                    raise Busy
                if not path.is_file():
                    self._choose(run, data)
        coreset = Coreset.load(path)
        if (reason := misfit(coreset, data.whole, data.whole.name)) is not None:
            raise MsCoresetError(f"{path} {reason}: delete it to have it chosen anew")
        return coreset

    def _choose(self, run: Run, data: Data) -> None:
        rates = self._rates[_ranking(run)] if run.method.nested else {run.rate: run}
        wanted = [(rate, other) for rate, other in sorted(rates.items(), reverse=True)
                  if not (self._folder / "indices" / _file_name(other)).is_file()]
        evidence, costs = self._gather(run, data)
        steps = Steps()
        with steps("select"):
            ranking = run.method.choose(evidence, Request(wanted[0][0], run.balance, run.cell.seed))
        costs = {"seconds": {**costs["seconds"], **steps.seconds}, "peak_mb": {**costs["peak_mb"], **steps.peak_mb},
                 "base_accuracy": costs["base_accuracy"]}
        for rate, other in wanted:
            try:
                coreset = ranking if rate == wanted[0][0] else truncate(ranking, evidence.groups, rate)
            except MsCoresetError:  # too low a rate, which is its own run's failure
                if rate == run.rate:
                    raise
                continue
            self._save(coreset, other, data, costs)

    def _save(self, coreset: Coreset, run: Run, data: Data, costs: Costs) -> None:
        if data.places is not None:
            coreset = coreset.within(data.places, len(data.whole))
        notes = {"dataset": run.cell.dataset, "pool": run.cell.pool, "pool_seed": run.cell.pool_seed,
                 "arch": run.cell.asked, "perturbation": data.whole.manifest, "data": data_identity(data.whole),
                 "costs": costs}
        replace(coreset, manifest={**coreset.manifest, **notes}).save(self._folder / "indices" / _file_name(run))

    def _gather(self, run: Run, data: Data) -> tuple[Evidence, Costs]:
        """(evidence, costs) for a run: all that the study's methods need, but what is dear only for those that ask."""
        if not run.method.needs:
            return self._bench.gather(run.cell, data, ())
        needs = self._needs + (("boundary",) if "boundary" in run.method.needs else ())
        if self._evidence is None or self._evidence[0] != (run.cell, needs):
            self._evidence = None  # two at a time would take twice the memory
            self._evidence = ((run.cell, needs), self._bench.gather(run.cell, data, needs))
        return self._evidence[1]


def _ranking(run: Run) -> str:
    """Name of what serves all rates of a method."""
    return checksum({**run.selection(), "rate": None})


def _file_name(run: Run) -> str:
    cell, name = run.cell, run.method.name
    pool = f"-pool{cell.pool}" if cell.pool else ""
    drawn = "" if run.whole else f"{'-balanced' if run.balance else ''}-{run.rate:g}-seed{cell.seed}"
    return f"{cell.dataset}{pool}-{name}{drawn}-{checksum(run.selection())}.npz"


def _accuracy(result: TrainingResult, last: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What the last epoch and the best one reached on the test split, and what chose the best."""
    best = result.best("validation_accuracy" if recipe.validation else "test_accuracy")
    assert best is not None  # in a study every training is tested
    return {"last": last["accuracy"], "best": best.get("test_accuracy"), "best_epoch": best["epoch"],
            "chosen_by": "validation share" if recipe.validation else "test split", "per_class": last["per_class"]}


def _shares(coreset: Coreset, whole: Split) -> dict[str, Any]:
    """The shares of bad samples and the classes' sizes, as records hold them."""
    summary = coreset.summary(whole)
    bad = None
    if summary["bad_kept"] is not None:
        kinds = {kind: {"available": available, "kept": kept}
                 for kind, (available, kept) in summary["bad_by_kind"].items()}
        bad = {"available": summary["bad_available"], "kept": summary["bad_kept"], "kinds": kinds}
    per_class = np.bincount(whole.labels[coreset.indices], minlength=whole.num_classes)
    return {"bad": bad, "per_class": per_class.tolist()}


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, MsCoresetError) else f"{type(error).__name__}: {text}"
