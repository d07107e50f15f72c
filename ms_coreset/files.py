"""Files: only regular ones are read, and they are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath

_SMALL, _EXPANSION = 1 << 28, 200  # bytes, or times its size, that compressed content may stand for
_NO_FILE = "it is no file, but a pipe, a device, or something else without an end"


def open_file(path: FilePath | bytes) -> BufferedReader:
    """Open a regular file, or a link to one, for reading: a pipe would block for ever, a device never end.

    Raises:
        OSError: for anything else, folders included, at once.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    # Without a wait for the other end of a pipe; to a regular file it makes no difference.
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(os.fstat(handle).st_mode) or _is_endless(handle):
            raise OSError(errno.EINVAL, _NO_FILE, path)
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_endless(handle: int) -> bool:
    """Whether an open file claims to be empty and is not, like files that the system generates while they are read."""
    if os.fstat(handle).st_size or not os.read(handle, 1):
        return False
    os.lseek(handle, 0, os.SEEK_SET)
    return not os.fstat(handle).st_size  # otherwise it was written to meanwhile


@contextlib.contextmanager
def reading(path: FilePath, what: str) -> Iterator[None]:
    """Turn any error while the file ``path`` is read into a ``MsCoresetError``: it is not ``what``.

    A damaged file can raise any exception.
    """
    try:
        yield
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise MsCoresetError(f"{path} is not a whole {what}: {reason}") from error


def read_file(path: FilePath) -> bytes:
    """The content of a regular file as bytes; raises ``OSError`` like ``open_file``."""
    with open_file(path) as stream:
        return read_whole(stream)


def read_whole(stream: BufferedReader) -> bytes:
    """The rest of an open file, at most as many bytes as its size."""
    return stream.read(max(0, os.fstat(stream.fileno()).st_size - stream.tell()))


@contextlib.contextmanager
def atomic_write(path: FilePath, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """Open a temporary file beside ``path``; on success flush it to disk and rename it, on failure remove it.

    Devices and pipes (/dev/null, /dev/stdout) are written to and not replaced. Raises ``MsCoresetError`` if the folder
    can't be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        if is_device(path):
            with open(path, mode, **options) as stream:
                yield stream
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, mode, **options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise MsCoresetError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def is_device(path: FilePath) -> bool:
    """Whether ``path`` exists and is neither file nor folder, or is in /dev: a device, a pipe, standard output."""
    path = Path(path)
    return path.exists() and (path.parent == Path("/dev") or not (path.is_file() or path.is_dir()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def most_from(stored: int) -> int:
    """Largest number of bytes that ``stored`` compressed bytes may unpack to: more is damaged or an attack.

    Data of this kind shrinks to a tenth at best; deflate can reach a thousandth.
    """
    return max(_SMALL, _EXPANSION * stored)


def reserve(stream: IO, size: int) -> None:
    """Take ``size`` bytes on disk for an open file; raises ``OSError`` when the disk is full.

    Does nothing where the system has no such call (macOS).
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)
