"""Files of pickles that can't run code, torch's archives too."""

from __future__ import annotations

import os
import zipfile
from io import BufferedReader
from typing import Any

from ms_coreset.files import open_file, read_whole, reading
from ms_coreset.kinds import FilePath
from ms_coreset.pickles import Content, Refused, Unpickler


def _pickle_in(stream: BufferedReader) -> bytes:
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

    Raises:
        Refused: for one that is compressed, or larger than the archive.
    """
    if entry.compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{entry.filename} is compressed, which torch never does")
    if not entry.file_size == entry.compress_size <= size:
        raise Refused(f"{entry.filename} can't be as large as it says ({entry.file_size:,} bytes)")
    return archive.read(entry)


def read_pickle(path: FilePath) -> Any:
    """Read a pickle that holds NumPy arrays and plain containers only; anything else is refused, nothing is run.

    Python 2's byte strings (CIFAR's files) come back as ``str``; what torch.save wrote is read, too, but for tensors.

    Raises:
        MsCoresetError: naming the file when it is missing, truncated, or names anything that is not admitted.
    """
    with reading(path, "whole, harmless pickle"):
        with open_file(path) as stream:
            content = _pickle_in(stream)
        return Unpickler(Content(content)).load()
