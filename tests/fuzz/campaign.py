"""Runs cases in child processes, and counts what became of them."""

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


class Child:
    """A worker process that is asked one case at a time, and is started anew when one has ended it."""

    def __init__(self, folder, seed, megabytes, seconds, starting):
        self._folder, self._seed, self._megabytes = folder, seed, megabytes
        self._seconds, self._starting = seconds, starting
        self._process, self._starts, self._rest, self._seen = None, 0, b"", set()

    def run(self, target, case):
        """The worker's answer, or what its silence means."""
        if self._process is None:
            self._start()
        # The first case of a target waits for imports, and for whole files.
        patience = self._seconds + (0 if target in self._seen else self._starting)
        self._seen.add(target)
        self._process.stdin.write(f"{target}\t{case}\n".encode())
        self._process.stdin.flush()
        line = self._line(time.monotonic() + patience)
        if line:
            return json.loads(line)
        code = self._stop()
        told = {"target": target, "case": case, "megabytes": 0, "content": None}
        if line is None:
            return {**told, "outcome": "hang", "words": f"no answer in {self._seconds} s"}
        return {**told, "outcome": "crash", "words": f"{_name_exit(code)}; {self._last_words()}"}

    def close(self):
        if self._process is not None:
            self._stop()

    def _start(self):
        folder = self._folder / f"{self._starts}"
        folder.mkdir(parents=True)
        self._starts += 1
        root, module = PACKAGE.parents[1], "tests.fuzz.worker"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(
            [str(root), *filter(None, [os.environ.get("PYTHONPATH")])])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, folder, str(self._seed), str(self._megabytes)], cwd=root, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _stop(self):
        self._process.kill()
        code = self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process, self._rest, self._seen = None, b"", set()
        return code

    def _last_words(self):
        """The end of what the worker printed."""
        log = self._folder / f"{self._starts - 1}" / "log"
        return log.read_text(errors="replace")[-300:] if log.is_file() else ""

    def _line(self, until):
        """The next line of the worker; None when the time is up, "" when the worker has ended."""
        stream = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([stream], [], [], max(0, until - time.monotonic()))[0]:
                return None
            block = os.read(stream, 1 << 16)
            if not block:
                self._process.wait()
                return ""
            self._rest += block
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def _name_exit(code):
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def run(cases, folder, seed=0, megabytes=1024, seconds=20, starting=180):
    """Answers to ``cases``, pairs of a target and a number, in this order.

    megabytes: of address space that a case may take above what its process had before
    seconds: that a case may take; starting: as many more for the first case of a target, which waits for imports
    """
    child = Child(Path(folder), seed, megabytes, seconds, starting)
    try:
        for target, case in cases:
            yield child.run(target, case)
    finally:
        child.close()


def run_in_parallel(cases, folder, workers, **limits):
    """The same by several processes, in the order in which they answer; each takes whole targets."""
    by_target = {}
    for target, case in cases:
        by_target.setdefault(target, []).append((target, case))
    waiting, answers = queue.Queue(), queue.Queue()
    for together in by_target.values():
        waiting.put(together)

    def work(number):
        with contextlib.suppress(queue.Empty):
            while True:
                for told in run(waiting.get_nowait(), Path(folder) / f"{number}-{time.monotonic_ns()}", **limits):
                    answers.put(told)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not answers.empty():
        with contextlib.suppress(queue.Empty):
            yield answers.get(timeout=1)


def shares(targets, cases):
    """How many of ``cases`` each target gets."""
    whole = sum(target.share for target in targets)
    return {target.name: max(1, round(cases * target.share / whole)) for target in targets}
