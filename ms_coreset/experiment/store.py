"""The results of a study on disk, and claims of work: safe for several processes and their sudden ends."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.runs import Run
from ms_coreset.files import open_file, read_whole
from ms_coreset.kinds import FilePath
from ms_coreset.locks import lock, try_lock
from ms_coreset.selectors.choice import canonical

RUNS = "runs.jsonl"
Record = dict[str, Any]  # of a run, as plain values


class Store:
    """``runs.jsonl`` of a study's folder: a JSON object a line, only ever appended to.

    A last line without its end, left by a process that was stopped while it wrote, is ignored and overwritten. Of
    several records with one key the latest counts.
    """

    def __init__(self, folder: FilePath) -> None:
        self.path = Path(folder) / RUNS
        self.records: dict[str, Record] = {}
        self._typed: dict[str, dict[str, dict[str, Any]]] = {}
        self._read = self._line = 0
        self.refresh()

    def refresh(self) -> None:
        """Read what any process has appended since; raises ``MsCoresetError`` for a line that is no record."""
        try:
            with open_file(self.path) as stream:
                stream.seek(self._read)
                fresh = read_whole(stream)
        except FileNotFoundError:
            return
        except OSError as error:
            raise MsCoresetError(f"can't read {self.path}: {error.strerror}") from error
        *lines, torn = fresh.split(b"\n")
        for line in lines:
            self._line += 1
            if line.strip():
                record = self._parse(line)
                self.records[record["key"]] = record
                if isinstance(record.get("options"), dict) and isinstance(record.get("method"), str):
                    spellings = self._typed.setdefault(record["method"], {})
                    spellings.setdefault(json.dumps(record["options"], sort_keys=True), record["options"])
        self._read += len(fresh) - len(torn)

    def record_of(self, run: Run) -> Record | None:
        """The latest record of a ``runs.Run``, or None.

        Records of versions before 0.2 are found, too; there, two spellings of an option made two runs.
        """
        if run.key() in self.records:
            return self.records[run.key()]
        for options in self._typed.get(run.method.name, {}).values():
            if canonical(run.method.name, options) == run.options:
                former = dataclasses.replace(run, typed=options).key()
                if former in self.records:
                    return self.records[former]
        return None

    def append(self, record: Record) -> None:
        """Append a record, whole or not at all, and wait until it is on disk.

        Raises:
            MsCoresetError: when it can't be written.
        """
        line = json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Not O_APPEND: a torn last line is to be overwritten, and the lock keeps others away.
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            with os.fdopen(handle, "r+b", buffering=0) as stream:
                lock(stream.fileno())
                end = _end_of_lines(stream)
                stream.truncate(end)
                stream.seek(end)
                self._write(stream, line, end)
        except OSError as error:
            raise MsCoresetError(f"can't write {self.path}: {error.strerror}") from error
        self.refresh()

    @staticmethod
    def _write(stream: FileIO, line: bytes, end: int) -> None:
        try:
            while line:
                line = line[stream.write(line):]
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(end)
            raise

    def _parse(self, line: bytes) -> Record:
        try:
            record = json.loads(line)
            if isinstance(record["key"], str) and isinstance(record["status"], str):
                return record
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise MsCoresetError(f"{self.path}, line {self._line}: no record of a run; delete the line to have it run anew")


def _end_of_lines(stream: FileIO) -> int:
    """Where the last whole line of an open file ends."""
    end = stream.seek(0, os.SEEK_END)
    block = 1 << 16
    while end:
        start = max(0, end - block)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class Claims:
    """Claims of work, each by one process at a time, as locked files in a folder.

    The kernel holds the locks and frees those of a process that ends in any way.
    """

    def __init__(self, folder: FilePath) -> None:
        self._folder = Path(folder)

    @contextlib.contextmanager
    def claim(self, name: str, wait: bool = False) -> Iterator[bool]:
        """Claim ``name`` for the block, and yield whether this process has the claim; with ``wait`` it always has."""
        try:
            with try_lock(self._folder / f"{name}.lock", wait) as mine:
                yield mine
        finally:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
