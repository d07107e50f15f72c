"""Locked files: one process at a time holds a lock, and the system frees the locks of a process that ends."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath

_FAR = 2**31 - 2  # the byte locked on Windows: beyond any file's end, since locked bytes can't be read
_TURN = 0.05  # seconds between two tries on Windows, whose own wait gives up after ten seconds


@contextlib.contextmanager
def try_lock(path: FilePath, wait: bool = True) -> Iterator[bool]:
    """Lock the file ``path`` for the block, and yield whether this process has the lock; with ``wait`` it always has.

    The file is made, with its folder, and removed afterwards; on Windows, where an open file can't be removed, it
    stays. Raises ``MsCoresetError`` if the file can't be made.
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
        # Before the lock is released: afterwards the file may belong to another process.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)


def _handle(path: Path, wait: bool) -> int | None:
    """A handle of the locked file, or None if another process has the lock."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder was removed meanwhile
            continue
        if not lock(handle, wait):
            os.close(handle)
            return None
        # A lock on a deleted file does not keep other processes out.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


def lock(handle: int, wait: bool = True) -> bool:
    """Lock the open file ``handle``, a number, until it is closed; return whether that succeeded.

    With ``wait`` it always does, after a wait if need be.
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
