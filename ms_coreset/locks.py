"""Locked files: one process at a time, and the locks of a process that has ended, however it ended, are free."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath


@contextlib.contextmanager
def locked(path: FilePath, wait: bool = True) -> Iterator[bool]:
    """Yields whether the file ``path`` is locked by this process for the block; with ``wait`` it is, sooner or later.

    The file is made, with its folder, and removed again. Where the system knows no such locks every process has it.
    Raises ``MsCoresetError`` when the file can't be made.
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
        if not _lock(handle, wait):
            os.close(handle)
            return None
        # A lock on a file that its last owner has deleted keeps nobody away.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
