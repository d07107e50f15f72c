"""One run of a study: choose the coreset, or read it from its file, train on it, or by a sampler; and record it."""

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
from ms_coreset.experiment.data_map import DataMap
from ms_coreset.experiment.runs import CURVE, Cell, Run, checksum
from ms_coreset.experiment.store import Claims, Record
from ms_coreset.experiment.sweep import Busy
from ms_coreset.experiment.tally import describe
from ms_coreset.identity import data_identity, misfit, normalization
from ms_coreset.jobs.steps import Steps
from ms_coreset.kinds import FilePath
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request, truncate
from ms_coreset.terminal import complain
from ms_coreset.training.loop import TrainingResult
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.trackers import Hooks, Told

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
        identity: the same with the normalisation
        label: its name in reports
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
        bench: gives data, evidence and trainings: ``load(cell) -> Data``; ``gather(cell, data, needs) -> (Evidence,
            costs)``, costs with "seconds", "peak_mb" and "base_accuracy"; ``train(run, part, weights, folder, data,
            hooks) -> (TrainingResult, costs)``, costs with "seconds", "peak_mb" and "last", the result of ``evaluate``.
            The last two raise ``Busy`` while another process does the same
        runs: all runs of the study, for rankings that serve several rates
        notes: plain values for every record: versions, revision, device
        command: ``run -> the command that repeats it``
        hooks: who is told of epochs and runs
    """

    def __init__(self, folder: FilePath, claims: Claims, bench: Bench, runs: Sequence[Run], notes: Mapping[str, Any],
                 command: Callable[[Run], str], hooks: Hooks) -> None:
        self._folder, self._claims, self._bench = Path(folder), claims, bench
        self._notes, self._command, self._hooks = notes, command, hooks
        self._rates: dict[str, dict[float, Run]] = {}
        choices = [(run, run.choice) for run in runs if run.choice]
        for run, _ in choices:
            self._rates.setdefault(_ranking(run), {})[run.rate] = run
        self._needs = tuple(dict.fromkeys(need for _, choice in choices for need in choice.needs if need != "boundary"))
        self._evidence: tuple[tuple[Cell, tuple[str, ...]], tuple[Evidence, Costs]] | None = None

    def perform(self, run: Run, twin: Record | None = None) -> Record:
        """The record of ``run``, "done" or "failed".

        Args:
            run: the run to do
            twin: a record of equal work, which is recorded a second time instead of doing the run

        Raises:
            Busy: if another process is making what it needs.
        """
        with self._hooks.of_run(describe(run), self._folder) as hooks:
            record = self._record(run, twin, hooks)
            hooks.on_run(record)
        return record

    def _record(self, run: Run, twin: Record | None, hooks: Told) -> Record:
        """See ``perform``."""
        if twin:
            return {**twin, "key": run.key(), **run.place(), "recipe": run.recipe_notes(twin["n"]),
                    "command": self._command(run)}
        record = {"key": run.key(), "work": run.work(), "status": "failed", **run.place(),
                  "variant": run.cell.dataset.partition("@")[2] or None}
        try:
            outcome = {"status": "done", **self._outcome(run, hooks)}
        except Busy:
            raise
        except Exception as error:  # no error may end the other runs
            if not isinstance(error, MsCoresetError):
                complain(*traceback.format_exc().splitlines())
            outcome = {"error": _one_line(error)}
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return {**record, **outcome, **self._notes, "command": self._command(run), "finished": now}

    def clear(self, run: Run) -> None:
        """Remove the checkpoints of a recorded run."""
        shutil.rmtree(self._checkpoints(run), ignore_errors=True)
        with contextlib.suppress(OSError):
            self._checkpoints(run).parent.rmdir()

    def _checkpoints(self, run: Run) -> Path:
        return self._folder / "running" / run.work()

    def _outcome(self, run: Run, hooks: Told) -> dict[str, Any]:
        data = self._bench.load(run.cell)
        if run.choice is None:
            return {**self._trained(run, data.split, None, data, hooks), "k": None, "indices": None, "bad": None,
                    "per_class": None, "base_accuracy": None}
        coreset = self._coreset(run, data)
        places, weights = coreset.sort_by_index()
        trained = self._trained(run, data.split if run.whole else data.whole.subset(places), weights, data, hooks)
        chosen = coreset.manifest["costs"]
        return {**trained, "k": len(coreset), "indices": f"indices/{_file_name(run)}", **_shares(coreset, data.whole),
                **{what: {**chosen[what], **trained[what]} for what in ("seconds", "peak_mb")},
                "base_accuracy": chosen["base_accuracy"]}

    def _trained(self, run: Run, part: Split, weights: np.ndarray | None, data: Data, hooks: Told) -> dict[str, Any]:
        """Train, and tell of it what a record holds."""
        result, costs = self._bench.train(run, part, weights, self._checkpoints(run), data, hooks)
        n = len(data.split)
        return {"label": data.label, "n": n, "data": data.digest, "normalization": normalization(data.split),
                "recipe": run.recipe_notes(n), "updates": result.total("updates"),
                "presented": result.total("presented"), "accuracy": _accuracy(result, costs["last"], run.recipe),
                "learning": _learning(result),
                "seconds": {"train": costs["seconds"]}, "peak_mb": {"train": costs["peak_mb"]}}

    def _coreset(self, run: Run, data: Data) -> Coreset:
        """The coreset from its file, or chosen now, together with those of lower rates that the same ranking serves."""
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
        choice = run.choice
        assert choice is not None  # a sampler has no coreset
        rates = self._rates[_ranking(run)] if choice.nested else {run.rate: run}
        wanted = [(rate, other) for rate, other in sorted(rates.items(), reverse=True)
                  if not (self._folder / "indices" / _file_name(other)).is_file()]
        evidence, costs = self._gather(run.cell, choice, data)
        steps = Steps()
        with steps("select"):
            ranking = choice.choose(evidence, Request(wanted[0][0], run.balance, run.cell.seed))
        costs = {"seconds": {**costs["seconds"], **steps.seconds}, "peak_mb": {**costs["peak_mb"], **steps.peak_mb},
                 "base_accuracy": costs["base_accuracy"]}
        notes = {"costs": costs, "map": self._draw_map(run.cell, evidence, data)}
        for rate, other in wanted:
            try:
                coreset = ranking if rate == wanted[0][0] else truncate(ranking, evidence.groups, rate)
            except MsCoresetError:  # the rate is too low: an error of that run
                if rate == run.rate:
                    raise
                continue
            self._save(coreset, other, data, notes)

    def _draw_map(self, cell: Cell, evidence: Evidence, data: Data) -> str | None:
        """The file, in the study's folder, of the map of the features that were looked at; None without features."""
        name = f"maps/{cell.dataset}-{checksum([cell.pool, cell.pool_seed, cell.seed, cell.arch, cell.base()])}.npz"
        if evidence.features is None:
            return None
        if not (self._folder / name).is_file():
            drawn = DataMap.of(evidence.features, data.split.bad)
            if drawn is None:
                return None
            (drawn if data.places is None else drawn.within(data.places)).save(self._folder / name)
        return name

    def _save(self, coreset: Coreset, run: Run, data: Data, told: Mapping[str, Any]) -> None:
        if data.places is not None:
            coreset = coreset.within(data.places, len(data.whole))
        notes = {"dataset": run.cell.dataset, "pool": run.cell.pool, "pool_seed": run.cell.pool_seed,
                 "arch": run.cell.asked, "perturbation": data.whole.manifest, "data": data_identity(data.whole),
                 **told}
        replace(coreset, manifest={**coreset.manifest, **notes}).save(self._folder / "indices" / _file_name(run))

    def _gather(self, cell: Cell, choice: Choice, data: Data) -> tuple[Evidence, Costs]:
        """(evidence, costs) for a choice: all that methods of the study need, costly fields only if this one does."""
        if not choice.needs:
            return self._bench.gather(cell, data, ())
        needs = self._needs + (("boundary",) if "boundary" in choice.needs else ())
        if self._evidence is None or self._evidence[0] != (cell, needs):
            self._evidence = None  # two at a time would take twice the memory
            self._evidence = ((cell, needs), self._bench.gather(cell, data, needs))
        return self._evidence[1]


def _ranking(run: Run) -> str:
    """Key of a ranking that serves all rates of a method."""
    return checksum({**run.selection(), "rate": None})


def _file_name(run: Run) -> str:
    cell, name = run.cell, run.method.name
    pool = f"-pool{cell.pool}" if cell.pool else ""
    drawn = "" if run.whole else f"{'-balanced' if run.balance else ''}-{run.rate:g}-seed{cell.seed}"
    return f"{cell.dataset}{pool}-{name}{drawn}-{checksum(run.selection())}.npz"


def _accuracy(result: TrainingResult, last: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Test accuracy of the last and of the best epoch, and what chose the best."""
    best = result.best("validation_accuracy" if recipe.validation else "test_accuracy")
    assert best is not None  # in a study every training is tested
    return {"last": last["accuracy"], "best": best.get("test_accuracy"), "best_epoch": best["epoch"],
            "chosen_by": "validation share" if recipe.validation else "test split", "per_class": last["per_class"]}


def _learning(result: TrainingResult) -> dict[str, list] | None:
    """Test accuracy after how many updates, of at most ``CURVE`` epochs; None where no epoch was tested."""
    updates = np.cumsum([entry.get("updates", 0) for entry in result.history]).tolist()
    tested = [(at, round(entry["test_accuracy"], 5)) for at, entry in zip(updates, result.history, strict=True)
              if "test_accuracy" in entry]
    if not tested:
        return None
    shown = np.unique(np.linspace(0, len(tested) - 1, min(CURVE, len(tested))).round().astype(int))
    return {"updates": [tested[i][0] for i in shown], "accuracy": [tested[i][1] for i in shown]}


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
