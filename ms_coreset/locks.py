"""Locked files: one process at a time, and the locks of a process that has ended, however it ended, are free."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath

_FAR = 2**31 - 2  # the byte locked on Windows, where what is locked can't be read: behind the end of any file here
_TURN = 0.05  # seconds between two tries there, where waiting for a lock gives up after ten seconds


@contextlib.contextmanager
def try_lock(path: FilePath, wait: bool = True) -> Iterator[bool]:
    """Yields whether the file ``path`` is locked by this process for the block; with ``wait`` it is, sooner or later.

    The file is made, with its folder, and removed again; on Windows, which removes no open file, it stays. Raises
    ``MsCoresetError`` when the file can't be made.
    """
    try:
        handle = _handle(Path(path), wait)
    except OSError as error:
        raise MsCoresetError(f"can't write {Path(path).parent}: {error.strerror}") from error
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        # Before the lock goes: afterwards the file may be another's.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)


def _handle(path: Path, wait: bool) -> int | None:
    """A handle of the locked file, or None where another process has it."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder went in between
            continue
        if not lock(handle, wait):
            os.close(handle)
            return None
        # A lock on a file that its last owner has deleted keeps nobody away.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


def lock(handle: int, wait: bool = True) -> bool:
    """Whether the open file ``handle``, a number, is now locked, until it is closed.

    With ``wait`` it is, sooner or later.
    """
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(handle, wait)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _lock_on_windows(handle: int, wait: bool) -> bool:
    import msvcrt

    place = os.lseek(handle, 0, os.SEEK_CUR)
    os.lseek(handle, _FAR, os.SEEK_SET)
    try:
        while not _locks_byte(msvcrt, handle):
            if not wait:
                return False
            time.sleep(_TURN)
        return True
    finally:
        os.lseek(handle, place, os.SEEK_SET)


def _locks_byte(msvcrt: Any, handle: int) -> bool:
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except PermissionError:  # another process has it
        return False
    return True
