"""Read pickle files, torch's archives included, without running code in them."""

from __future__ import annotations

import os
import zipfile
from io import BufferedReader
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, read_whole
from ms_coreset.kinds import FilePath
from ms_coreset.pickles import Content, Refused, Unpickler


def _pickle_in(stream: BufferedReader) -> bytes:
    """The pickle in an open file, or in the torch archive that the file is."""
    if not stream.peek(4).startswith(b"PK\3\4"):
        return read_whole(stream)
    with zipfile.ZipFile(stream) as archive:
        found = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        if len(found) != 1:
            raise Refused(f"its archive holds {len(found)} pickles")
        return read_stored(archive, found[0], os.fstat(stream.fileno()).st_size)


def read_stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> bytes:
    """An uncompressed member of a .zip archive, of ``size`` bytes, its checksum compared; torch compresses none.

    Raises:
        Refused: for a compressed member, and one that is larger than the archive.
    """
    if entry.compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{entry.filename} is compressed, which torch never does")
    if not entry.file_size == entry.compress_size <= size:
        raise Refused(f"{entry.filename} can't be as large as it says ({entry.file_size:,} bytes)")
    return archive.read(entry)


def read_pickle(path: FilePath) -> Any:
    """Read a pickle of NumPy arrays and plain containers; anything else is refused, and nothing is run.

    Python 2's byte strings (in CIFAR's files) become ``str``. Files of torch.save are read if they hold no tensors.

    Raises:
        MsCoresetError: if the file is missing or truncated, or names anything that is not admitted; it names the file.
    """
    try:
        with open_file(path) as stream:
            content = _pickle_in(stream)
        return Unpickler(Content(content)).load()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
        reason = str(error) or type(error).__name__
        raise MsCoresetError(f"{path} is not a whole, harmless pickle: {reason}") from error
