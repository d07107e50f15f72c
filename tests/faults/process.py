"""A command in a forked process, which may kill itself before one of its file operations."""

import os
import shlex
import signal
import sys
import time
from pathlib import Path

_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_OPERATIONS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "mmap.__new__")


def prepare():
    """Import what the commands need, without MindSpore's having started a thread, which no fork would copy."""
    import mindspore  # noqa: F401
    import sklearn.datasets  # noqa: F401

    import ms_coreset.experiment.bench
    import ms_coreset.experiment.one_run
    import ms_coreset.perturbations.contact_sheet  # noqa: F401

    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("threads have started: forked processes could hang")


class Forked:
    """``command line`` in ``folder``, its output in ``<folder>.log``.

    fatal: it kills itself before its file operation of this number, counted from 1; 0: it never does. It notes in
        ``<folder>.count`` how many there were when it ends by itself.
    """

    def __init__(self, command, line, folder, fatal=0):
        self._log, self._count = Path(f"{folder}.log"), Path(f"{folder}.count")
        self._count.unlink(missing_ok=True)
        self._began = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            _run(command, line, folder, self._log, self._count, fatal)

    def kill_after(self, seconds):
        """Let it run for so long at most, and kill it; whether it was alive."""
        while time.monotonic() < self._began + seconds:
            if self._has_ended():
                return False
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        return self.wait(60) == -signal.SIGKILL

    def wait(self, limit=600):
        """Its exit code, the negative of the signal's number when it was killed; None when it hangs, and is killed."""
        while not self._has_ended():
            if time.monotonic() > self._began + limit:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return None
            time.sleep(0.005)
        self.seconds = time.monotonic() - self._began
        return self._code

    def operations(self):
        return int(self._count.read_text())

    def output(self):
        return self._log.read_text(errors="replace")

    def _has_ended(self):
        if not hasattr(self, "_code"):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return False
            self._code = os.waitstatus_to_exitcode(status)
        return True


def _run(command, line, folder, log, count, fatal):
    """The life of the forked process."""
    code = 99
    try:
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(handle, stream)
        operations = _watch(folder, fatal)

        from ms_coreset.cli import main

        code = main(shlex.split(line), command)
        count.write_text(str(len(operations)))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(folder, fatal):
    """The list of the process's changing operations on files in ``folder``, which grows; the fatal one kills it."""
    root, operations = os.path.realpath(folder) + os.sep, []

    def note(event, values):
        if not _changes(event, values, root):
            return
        operations.append(event)
        if len(operations) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(note)
    return operations


def _changes(event, values, root):
    if event == "open":
        path, _, flags = values
        return bool(flags & _CHANGING) and _inside(path, root)
    return event == "mmap.__new__" or (event in _OPERATIONS and _inside(values[0], root))


def _inside(path, root):
    return isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(root)
