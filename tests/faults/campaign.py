"""Kills in chains: a job is killed up to three times in a row, then finishes, and is compared."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .contents import contents, litter
from .jobs import JOBS, grows
from .process import Forked

LONGEST_CHAIN = 3


@dataclass
class Tally:
    """What became of a job's kills."""

    job: str
    by_moment: int = 0
    by_operation: int = 0
    chains: int = 0
    operations: int = 0
    seconds: float = 0.0
    litter: int = 0
    failures: list = field(default_factory=list)

    @property
    def kills(self):
        return self.by_moment + self.by_operation


class Campaign:
    """Kills of some jobs in a folder.

    seed: of the moments
    """

    def __init__(self, names, folder, seed):
        self._folder, self._rng = Path(folder), np.random.RandomState(seed)
        self.tallies = {name: Tally(name) for name in names}
        self._whole = {name: self._run_undisturbed(name) for name in names}

    @property
    def kills(self):
        return sum(tally.kills for tally in self.tallies.values())

    def random(self, kills):
        """At least so many kills, of the jobs in turn; half at a moment, half before an operation. Yields failures."""
        names = list(self.tallies)
        while self.kills < kills:
            name = names[sum(tally.chains for tally in self.tallies.values()) % len(names)]
            tally, fatal = self.tallies[name], []
            for _ in range(self._rng.randint(1, LONGEST_CHAIN + 1)):
                by_operation = self._rng.rand() < 0.5
                fatal.append((self._rng.randint(1, tally.operations + 1), None) if by_operation
                             else (0, self._rng.rand() * tally.seconds))
            yield self._chain(name, fatal)

    def systematic(self):
        """One kill before every file operation of every job. Yields failures."""
        for name, tally in self.tallies.items():
            for number in range(1, tally.operations + 1):
                yield self._chain(name, [(number, None)])

    def _run_undisturbed(self, name):
        job, tally = JOBS[name], self.tallies[name]
        folder = self._begin(name)
        run = Forked(job.command, job.command_line(False), folder)
        if run.wait():
            raise RuntimeError(f"{name} fails undisturbed: {run.output()}")
        tally.operations, tally.seconds = run.operations(), run.seconds
        return contents(folder)

    def _begin(self, name):
        """An empty folder, or for what replaces something one that holds it."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name.endswith("-forced"):
            first = Forked(JOBS["label-noise"].command, JOBS["label-noise"].line, folder)
            if first.wait():
                raise RuntimeError(first.output())
            self._before = contents(folder)
        else:
            self._before = {}
        return folder

    def _chain(self, name, fatal):
        job, tally = JOBS[name], self.tallies[name]
        folder, told = self._begin(name), []
        tally.chains += 1
        known = len(tally.failures)
        for number, seconds in fatal:
            run = Forked(job.command, job.command_line(bool(told)), folder, number)
            told.append(f"operation {number}" if number else f"{seconds:.3f} s")
            killed = run.kill_after(seconds) if seconds is not None else run.wait() == -9
            tally.by_operation += bool(killed and number)
            tally.by_moment += bool(killed and not number)
            self._check(name, folder, told, "half done")
        run = Forked(job.command, job.command_line(True), folder)
        code = run.wait()
        if code:
            tally.failures.append(f"{name}, killed at {', '.join(told)}: then it ended with {code}: "
                                  f"{run.output()[-500:]}")
        self._check(name, folder, told, "at the end")
        tally.litter += len(litter(folder))
        return tally.failures[known:]

    def _check(self, name, folder, told, when):
        """Compare the files in ``folder``: all of them at the end, before it those that must not be seen half done."""
        whole, found = self._whole[name], contents(folder)
        if when == "at the end":
            wrong = [path for path in dict.fromkeys([*whole, *found]) if whole.get(path) != found.get(path)]
        else:
            wrong = [path for path, content in found.items()
                     if not grows(JOBS[name], path) and content not in (whole.get(path), self._before.get(path))]
        if wrong:
            self.tallies[name].failures.append(f"{name}, killed at {', '.join(told)}: {when}, differing: "
                                               f"{', '.join(wrong)}")
