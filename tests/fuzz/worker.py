"""The child process: takes numbers of cases on its standard input, and tells what became of each.

    python -m tests.fuzz.worker FOLDER SEED MEGABYTES

A line in is ``target<TAB>case``, a line out a JSON object. What the cases themselves print goes elsewhere.
"""

import contextlib
import importlib
import json
import os
import resource
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np

from . import corpus, outcomes

_scratch = Path()


def scratch_file(name):
    """A place for a file of the moment."""
    return _scratch / name


def random(seed, target, case):
    """The stream of a case, whatever was drawn before."""
    return np.random.RandomState([seed, zlib.crc32(target.encode()), case])


class Limits:
    """So much memory above what the process has when the imports are done."""

    def __init__(self, megabytes):
        self._bytes = megabytes << 20

    def set(self, room):
        """room: so many times as much, for what reserves addresses that it does not use."""
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (size + room * self._bytes, hard))

    def forbids(self, megabytes):
        """Whether so much resident memory is more than a case may take."""
        return megabytes << 20 > self._bytes

    @contextlib.contextmanager
    def lift(self):
        """For imports and for the making of files, which are not what is tried."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Peak:
    """Resident megabytes at most since the last call, above what there was then."""

    def __init__(self):
        self._before = 0

    def reset(self):
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def megabytes(self):
        return max(0, self._read("VmHWM") - self._before) >> 10

    @staticmethod
    def _read(name):
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])


class FileCases:
    """The cases of a reader, in a folder of its own that is put in order after each."""

    def __init__(self, reader, folder, limits):
        self._reader, self._limits = reader, limits
        self._guard = folder / zlib.crc32(reader.name.encode()).to_bytes(4, "big").hex()
        self._root = self._guard / "deep" / "root"
        self._canary = self._guard / "canary"
        self._root.mkdir(parents=True)
        with limits.lift():
            reader.build(self._root)
            self._whole = self._files()
            self._right = outcomes.checksum(reader.read(self._root))
            self._tidy()

    def run(self, rng):
        """(outcome, words, the file's content)."""
        with self._limits.lift():
            (file, content), sealed = self._reader.harm(rng, self._whole, self._canary)
        return self.replay(file, content, sealed)

    def replay(self, file, content, sealed):
        """The same for a file of this content in the place of a whole one; sealed: whether checksums tell all of it."""
        with self._limits.lift():
            place = self._root / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.write_bytes(content)
        try:
            outcome, words = self._read(sealed)
        finally:
            elsewhere = self._elsewhere()
            with self._limits.lift():
                self._tidy()
        if elsewhere is not None:
            return "reached outside", elsewhere, content
        return outcome, words, content

    def _read(self, sealed):
        try:
            value = self._reader.read(self._root)
            wrong = outcomes.implausible(value)
            found = outcomes.checksum(value)
        except Exception as error:
            return outcomes.of_error(error)
        if wrong is not None:
            return "wrong answer", wrong
        if found == self._right:
            return outcomes.SAME, ""
        return ("wrong answer", "the checksum was not looked at") if sealed else (outcomes.OTHER, "")

    def _elsewhere(self):
        """What lies above the folder and does not belong there."""
        return next((entry.name for folder in (self._guard, self._guard / "deep") for entry in folder.iterdir()
                     if entry.name not in ("deep", "root")), None)

    def _files(self):
        return {str(path.relative_to(self._root)): path.read_bytes() for path in sorted(self._root.rglob("*"))
                if path.is_file()}

    def _tidy(self):
        for folder in (self._guard, self._guard / "deep"):
            for entry in folder.iterdir():
                if entry.name not in ("deep", "root"):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for path in sorted(self._root.rglob("*"), reverse=True):
            name = str(path.relative_to(self._root))
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif name not in self._whole:
                path.unlink()
        for name, content in self._whole.items():
            path = self._root / name
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


class Worker:
    """Runs cases of any target."""

    def __init__(self, folder, seed, megabytes):
        from .targets import TARGETS

        self._targets, self._open = TARGETS, {}
        self._folder, self._seed, self._limits, self._peak = folder, seed, Limits(megabytes), Peak()

    def run(self, target, case):
        """What became of a case, as plain values."""
        if target not in self._open:
            entry = self._targets[target]
            for name in entry.imports:
                importlib.import_module(name)
            self._open[target] = entry.cases(self._folder, self._limits)
            self._limits.set(entry.room)
        self._peak.reset()
        cases = self._open[target]
        if isinstance(case, str):
            outcome, words, content = cases.replay(**corpus.entry(case))
        else:
            outcome, words, content = cases.run(random(self._seed, target, case))
        megabytes = self._peak.megabytes()
        if outcome in outcomes.GOOD and self._limits.forbids(megabytes):
            outcome, words = "memory", f"{megabytes} MB; {words}"
        return {"target": target, "case": case, "outcome": outcome, "words": str(words)[:600], "megabytes": megabytes,
                "content": content if outcome in outcomes.BAD else None}


def _answer(stream, told):
    content = told.pop("content", None)
    if isinstance(content, bytes):
        told["content"] = content[:20_000].hex()
    elif content is not None:
        told["content"] = str(content)[:2000]
    stream.write(json.dumps(told) + "\n")
    stream.flush()


def main():
    global _scratch
    folder, seed, megabytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    orders = os.fdopen(os.dup(0), "r")
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _scratch = folder
    os.chdir(folder)
    worker = Worker(folder, seed, megabytes)
    for line in orders:
        target, case = line.rstrip("\n").split("\t")
        _answer(answers, worker.run(target, int(case) if case.isdecimal() else case))


if __name__ == "__main__":
    main()
