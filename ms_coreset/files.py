"""Files that are whole or not there: atomic writes, checksums, and pickles that can't run code."""

import contextlib
import hashlib
import json
import os
import pickle
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError

# What NumPy arrays of old and new versions name in their pickles; nothing here runs anything on loading.
_ADMITTED = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


@contextlib.contextmanager
def atomic_write(path, mode="wb", **options):
    """Open a temporary file beside ``path``; on success flush it to disk and rename it, on failure remove it.

    Raises ``MsCoresetError`` when the folder can't be made or written, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
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


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path, value):
    """Write ``value`` as indented JSON, atomically."""
    with atomic_write(path, "w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def read_json(path):
    """Read a JSON file; raises ``MsCoresetError`` naming the file when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except ValueError as error:
        raise MsCoresetError(f"{path} is not JSON: {error}") from error


def reserve(stream, size):
    """Take ``size`` bytes on disk for an open file; raises ``OSError`` when the disk is full.

    Does nothing where the system has no such call (macOS).
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)


def create_array(path, dtype, shape):
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


def digest(path, algorithm="md5"):
    """Hexadecimal checksum of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def array_digest(*arrays):
    """Hexadecimal BLAKE2b checksum (16 bytes) of arrays' types, shapes and contents."""
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(array.data.cast("B") if array.size else b"")
    return total.hexdigest()


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) in _ADMITTED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}; only NumPy arrays and plain containers are admitted")


@contextlib.contextmanager
def _pickled(stream):
    """The pickle in an open file, which may be an archive of torch's with the pickle in it."""
    if not stream.peek(4).startswith(b"PK\3\4"):
        yield stream
        return
    with zipfile.ZipFile(stream) as archive:
        (member,) = (entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
        if member.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError("its pickle is compressed, which torch never does")
        with archive.open(member) as pickled:
            yield pickled


def read_pickle(path):
    """Read a pickle that holds NumPy arrays and plain containers only; anything else is refused, nothing is run.

    Python 2's byte strings (CIFAR's files) come back as ``str``; what torch.save wrote is read, too, but for tensors.
    Raises ``MsCoresetError`` naming the file when it is missing, truncated, or names anything that is not admitted.
    """
    try:
        with open(path, "rb") as stream, _pickled(stream) as pickled:
            return _RestrictedUnpickler(pickled, encoding="latin1").load()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
        raise MsCoresetError(f"{path} is not a whole, harmless pickle: {error}") from error
