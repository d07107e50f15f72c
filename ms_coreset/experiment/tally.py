"""Progress of a study: its runs, their results, and the time left."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ms_coreset.experiment.runs import Run
from ms_coreset.experiment.store import Record, Store
from ms_coreset.terminal import note, say


def is_open(run: Run, store: Store, retry: bool = False) -> bool:
    """Whether ``run`` is to be done: it is not recorded, or failed and ``retry``."""
    record = store.record_of(run)
    return record is None or (retry and record["status"] == "failed")


class Tally:
    """Prints what is done and what is left.

    pending: the runs to be done
    """

    def __init__(self, runs: Sequence[Run], store: Store, retry: bool) -> None:
        self.pending = [run for run in runs if is_open(run, store, retry)]
        self._total, self._store, self._former = len(runs), store, dict(store.records)
        if len(self.pending) < len(runs):
            note(f"{len(runs) - len(self.pending)} of {len(runs)} runs are done already")

    def begin(self, sizes: Mapping[str, int]) -> None:
        """Begin to measure time, for data sets of these ``sizes`` by name."""
        self._sizes, self._began = sizes, time.monotonic()

    def tell(self, run: Run, record: Record) -> None:
        """Print a line for a recorded run, with the time left by the speed of all processes since this one began."""
        left = [other for other in self.pending if not self._is_new(other)]
        all_work, work_left = sum(map(self._size, self.pending)), sum(map(self._size, left))
        seconds = (time.monotonic() - self._began) * work_left / (all_work - work_left)
        say(f"[{self._total - len(left)}/{self._total}] {describe(run)}: {_outcome(record)}; "
            f"{_duration(seconds)} left")

    def _is_new(self, run: Run) -> bool:
        record = self._store.record_of(run)
        return record is not None and record is not self._former.get(record["key"])

    def _size(self, run: Run) -> int:
        """The work of a run in presented samples, estimated."""
        n = self._sizes[run.cell.dataset]
        kept = max(1, round(run.rate * n))
        return kept * run.epochs(n, kept)


def describe(run: Run) -> str:
    """A run in a few words."""
    cell = run.cell
    networks = cell.arch if cell.arch == run.train_arch else f"{cell.arch} > {run.train_arch}"
    how = f"{run.method.text}{' balanced' if run.balance else ''}" if run.choice else f"sampler {run.method.text}"
    return f"{cell.dataset} {how} {run.rate:g} seed {cell.seed} {networks} {run.protocol}"


def _outcome(record: Record) -> str:
    if record["status"] == "failed":
        return f"failed: {record['error']}"
    bad = f", {record['bad']['kept']:.1%} bad" if record["bad"] else ""
    seconds = record["seconds"]["train"]
    return f"{record['accuracy']['last']:.2%}{bad}" + ("" if seconds is None else f", {seconds:.1f} s")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def list_runs(runs: Sequence[Run], store: Store, folder: Path) -> None:
    """Print the runs with their states."""
    records = map(store.record_of, runs)
    states = [record["status"] if record else "to do" for record in records]
    for run, state in zip(runs, states, strict=True):
        say(f"{state:<7}{describe(run)}")
    trainings = len({run.work() for run, state in zip(runs, states, strict=True) if state == "to do"})
    say(f"{len(runs)} runs: {states.count('done')} done, {states.count('failed')} failed, "
          f"{states.count('to do')} to do ({trainings} trainings); {folder}")
