"""What is done otherwise outside Linux, on stand-ins for what macOS and Windows offer."""

import os
import struct
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest

from ms_coreset.experiment.store import Store
from ms_coreset.jobs import steps
from ms_coreset.locks import try_lock

fcntl = pytest.importorskip("fcntl", reason="the stand-ins are for systems that have no need of them")

class Msvcrt:
    """Windows' locks of bytes, as far as they are used; in this process, too, one open file keeps the others out."""

    LK_NBLCK = 2

    def __init__(self):
        self.bytes = set()

    def locking(self, handle, mode, count):
        assert mode == self.LK_NBLCK
        place = os.lseek(handle, 0, os.SEEK_CUR)
        self.bytes.add((place, count))
        wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, count, 0)
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, wanted)
        except BlockingIOError as error:
            raise PermissionError(error.errno, error.strerror) from error


@pytest.fixture
def windows(monkeypatch):
    """A system without ``fcntl`` and ``resource``, and with ``msvcrt``."""
    found = Msvcrt()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "msvcrt", found)
    return found


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="the stand-in takes Linux's locks")
class TestLocksOfWindows:
    def test_one_at_a_time(self, tmp_path, windows):
        path = tmp_path / "folder" / "a.lock"
        for _ in range(2):
            with try_lock(path, wait=False) as mine, try_lock(path, wait=False) as others:
                assert (mine, others) == (True, False)

    def test_who_waits_has_it_when_it_is_free(self, tmp_path, windows):
        path, seen = tmp_path / "a.lock", []

        def wait():
            with try_lock(path) as mine:
                seen.append(mine)

        waiting = threading.Thread(target=wait)
        with try_lock(path):
            waiting.start()
            waiting.join(0.3)
            assert not seen
        waiting.join(30)
        assert seen == [True]

    def test_records_of_several_are_whole_and_can_be_read_meanwhile(self, tmp_path, windows):
        def write(name):
            for place in range(20):
                Store(tmp_path).append({"key": f"{name}{place}", "status": "done"})

        writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(Store(tmp_path).records) == 60
        ((place, count),) = windows.bytes  # Windows lets nobody else read it: no byte of the file
        assert count == 1 and place > os.path.getsize(tmp_path / "runs.jsonl")


def without_proc(path, *_):
    raise FileNotFoundError(path)


@pytest.mark.parametrize(("platform", "most"), [("darwin", 3 << 20), ("freebsd14", 3 << 10)])
def test_peaks_are_in_the_system_s_unit(platform, most, monkeypatch):
    import resource

    monkeypatch.setattr(steps, "open", without_proc, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=most))
    with (step := steps.Steps())("select"):
        pass
    assert step.peak_mb == {"select": 3}


def test_peaks_on_windows(monkeypatch, windows):
    monkeypatch.setattr(steps, "open", without_proc, raising=False)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(
        memory_info=lambda: SimpleNamespace(peak_wset=5 << 20)))
    with (step := steps.Steps())("select"):
        pass
    assert step.peak_mb == {"select": 5}
