"""Files that are whole or not there: atomic writes, checksums, and pickles that can't run code."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath
from ms_coreset.pickles import Content, Refused, Unpickler

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_LARGEST_YAML, _DEEPEST_YAML = 1 << 20, 50  # bytes of a file, and values in it; how deep they are nested
_SMALL, _EXPANSION = 1 << 28, 200  # bytes, or times its size, that compressed content may stand for
_NO_FILE = "it is no file, but a pipe, a device, or something else without an end"


def open_file(path: FilePath | bytes) -> BufferedReader:
    """``open`` for reading regular files and links to them only: a pipe would block for ever, a device never end.

    Raises ``OSError`` for anything else, a folder too, without a wait.
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
    """Whether an open file says that it is empty and is not, as those that the system makes while they are read."""
    if os.fstat(handle).st_size or not os.read(handle, 1):
        return False
    os.lseek(handle, 0, os.SEEK_SET)
    return not os.fstat(handle).st_size  # else it was written to meanwhile


@contextlib.contextmanager
def reading(path: FilePath, what: str) -> Iterator[None]:
    """Turn what goes wrong in reading the file ``path`` into a ``MsCoresetError`` that names it and ``what`` it is not.

    A damaged file raises whatever its bytes happen to spell.
    """
    try:
        yield
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise MsCoresetError(f"{path} is not a whole {what}: {reason}") from error


def read_file(path: FilePath) -> bytes:
    """The bytes of a regular file; raises ``OSError`` as ``open_file``."""
    with open_file(path) as stream:
        return read_whole(stream)


def read_whole(stream: BufferedReader) -> bytes:
    """The rest of an open file, no more than it said to be there."""
    return stream.read(max(0, os.fstat(stream.fileno()).st_size - stream.tell()))


@contextlib.contextmanager
def atomic_write(path: FilePath, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """Open a temporary file beside ``path``; on success flush it to disk and rename it, on failure remove it.

    What is no file, a device or a pipe (/dev/null, /dev/stdout), is written to and not replaced. Raises
    ``MsCoresetError`` when the folder can't be made or written, or the disk is full.
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
    """Whether ``path`` is there and neither file nor folder, or a name in /dev: a device, a pipe, standard output."""
    path = Path(path)
    return path.exists() and (path.parent == Path("/dev") or not (path.is_file() or path.is_dir()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: FilePath, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    # File names that are not UTF-8 hold lone surrogates; a backslash and their number is how JSON writes them.
    with atomic_write(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def read_json(path: FilePath) -> Any:
    """Read a JSON file; raises ``MsCoresetError`` naming the file when it is missing or not JSON."""
    try:
        return json.loads(read_file(path).decode())
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MsCoresetError(f"{path} is not JSON: {error}") from error


def most_from(stored: int) -> int:
    """How many bytes ``stored`` compressed ones may stand for: what claims more is made to fill memory, or damaged.

    Data of this kind shrinks to a tenth at best; deflate can pretend a thousand times.
    """
    return max(_SMALL, _EXPANSION * stored)


def read_yaml(path: FilePath) -> Any:
    """Read a YAML file of plain values; raises ``MsCoresetError`` naming the file when it can't be had, or is none."""
    try:
        if os.path.getsize(path) > _LARGEST_YAML:
            raise MsCoresetError(f"{path} has more than {_LARGEST_YAML:,} bytes, which no settings do")
        text = read_file(path).decode()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MsCoresetError(f"{path} is not YAML: {error}") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, what: FilePath) -> Any:
    """The plain value of a YAML text; raises ``MsCoresetError`` naming ``what`` it is for a text that is none.

    Nothing but plain values is made, and no more than ``_LARGEST_YAML`` of them, counted as often as aliases repeat
    them: a few lines can spell a thousand million.
    """
    import yaml

    try:
        _require_shallow(yaml, text, what)
        value = yaml.safe_load(text)
        if _count(value, {}) > _LARGEST_YAML:
            raise MsCoresetError(f"{what} repeats itself too often")
    except MsCoresetError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise MsCoresetError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
    return value


def _require_shallow(yaml: ModuleType, text: str, what: FilePath) -> None:
    """Raise ``MsCoresetError`` for values nested so deeply that reading them takes minutes: the time grows with the
    depth of each, and MindSpore raises Python's own limit to ten thousand."""
    depth = 0
    for token in yaml.scan(text):
        name = type(token).__name__
        depth += name.endswith(("SequenceStartToken", "MappingStartToken")) - name.endswith("EndToken")
        if depth > _DEEPEST_YAML:
            raise MsCoresetError(f"{what} is not YAML of settings: its values are nested {depth} deep")


def _count(value: Any, known: dict[int, int | None]) -> int:
    """How many plain values there are in one, itself included; what holds itself is a ``RecursionError``."""
    if not isinstance(value, dict | list | set | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = None
        within = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(entry, known) for entry in within)
    found = known[id(value)]
    if found is None:
        raise RecursionError("it holds itself")
    return found


def reserve(stream: IO, size: int) -> None:
    """Take ``size`` bytes on disk for an open file; raises ``OSError`` when the disk is full.

    Does nothing where the system has no such call (macOS).
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)


def create_array(path: FilePath, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """A new memory-mapped .npy file, its space on disk taken at once.

    Raises ``MsCoresetError`` when it can't be made or the disk is full; found out while writing to the map, a full
    disk would end the process.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with open(path, "r+b") as stream:
            reserve(stream, os.fstat(stream.fileno()).st_size)
        return array
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise MsCoresetError(f"can't write {path}: {error.strerror or error}") from error


def write_rows(array: np.memmap, start: int, values: np.ndarray) -> None:
    """Write ``values`` to the rows from ``start`` on of a memory-mapped .npy file that others write to as well.

    Through the file, not the map: a map writes whole pages, and with them the neighbours' rows as they were.
    Raises ``MsCoresetError`` when it can't be written.
    """
    values = np.ascontiguousarray(values, array.dtype)
    assert array.filename is not None  # of a file that is there
    try:
        with open(array.filename, "r+b") as stream:
            stream.seek(array.offset + start * array.strides[0])
            stream.write(values.data.cast("B"))
    except OSError as error:
        raise MsCoresetError(f"can't write {array.filename}: {error.strerror or error}") from error


def digest(path: FilePath, algorithm: str = "md5") -> str:
    """Hexadecimal checksum of a file's bytes; raises ``MsCoresetError`` naming the file when it can't be read."""
    try:
        with open_file(path) as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error


def array_digest(*arrays: ArrayLike) -> str:
    """Hexadecimal BLAKE2b checksum (16 bytes) of arrays' types, shapes and contents."""
    total = hashlib.blake2b(digest_size=16)
    for given in arrays:
        array = np.ascontiguousarray(given)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.data.cast("B") if array.size else b"")
    return total.hexdigest()


def _pickled(stream: BufferedReader) -> bytes:
    """The pickle in an open file, which may be an archive of torch's with the pickle in it."""
    if not stream.peek(4).startswith(b"PK\3\4"):
        return read_whole(stream)
    with zipfile.ZipFile(stream) as archive:
        found = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        if len(found) != 1:
            raise Refused(f"its archive holds {len(found)} pickles")
        return read_stored(archive, found[0], os.fstat(stream.fileno()).st_size)


def read_stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> bytes:
    """A member of a .zip archive of ``size`` bytes that is not compressed, as torch's never are, its checksum compared.

    Raises ``Refused`` for one that is compressed, or larger than the archive.
    """
    if entry.compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{entry.filename} is compressed, which torch never does")
    if not entry.file_size == entry.compress_size <= size:
        raise Refused(f"{entry.filename} can't be as large as it says ({entry.file_size:,} bytes)")
    return archive.read(entry)


def read_pickle(path: FilePath) -> Any:
    """Read a pickle that holds NumPy arrays and plain containers only; anything else is refused, nothing is run.

    Python 2's byte strings (CIFAR's files) come back as ``str``; what torch.save wrote is read, too, but for tensors.
    Raises ``MsCoresetError`` naming the file when it is missing, truncated, or names anything that is not admitted.
    """
    try:
        with open_file(path) as stream:
            content = _pickled(stream)
        return Unpickler(Content(content)).load()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
        reason = str(error) or type(error).__name__
        raise MsCoresetError(f"{path} is not a whole, harmless pickle: {reason}") from error


def open_array(path: FilePath, mode: str = "r") -> np.memmap:
    """A memory map of an .npy file, read-only or ("r+") writable.

    Raises ``MsCoresetError`` naming the file for one that is missing, no whole .npy file, or of Python objects. It is
    mapped for reading first: NumPy would make a file that is mapped for writing as long as its header claims.
    """
    try:
        open_file(path).close()
        array = np.lib.format.open_memmap(path, mode="r")
        return array if mode == "r" else np.lib.format.open_memmap(path, mode=mode)
    except Exception as error:  # a damaged header raises whatever its text happens to spell
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise MsCoresetError(f"{path} is no whole .npy file: {reason}") from error
