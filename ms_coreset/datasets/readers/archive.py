"""Unpack published archives, whole or some members of them, and never outside their folder."""

from __future__ import annotations

import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, most_from, open_file
from ms_coreset.kinds import FilePath

_BLOCK = 1 << 20
_END, _END_MARK, _COUNTED_ELSEWHERE = struct.Struct("<4s4H2LH"), b"PK\5\6", 0xFFFF  # of a .zip without a comment


def unpack(archive: Path, folder: FilePath) -> None:
    """Unpack the .zip or .tar.gz ``archive`` as the new ``folder``, whose name its members may begin with.

    The folder gets its name when everything is unpacked.

    Args:
        archive: the file.
        folder: the new folder.

    Raises:
        MsCoresetError: for an archive that is damaged, holds anything but plain files and folders below its own, or
            unpacks to a multiple of its size that no images do; and when the folder exists already or can't be written.
    """
    folder = Path(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part") as place:
            staged = Path(place) / folder.name
            staged.mkdir()
            members = _zip_members if _is_zip(archive) else _tar_members
            for name, stream in members(archive, _Room(archive)):
                _write(stream, staged / _inside(archive, name, folder.name))
            staged.rename(folder)
    except MsCoresetError:
        raise
    except Exception as error:  # a damaged archive raises whatever its bytes happen to spell
        raise MsCoresetError(f"can't unpack {archive} to {folder}: {error}; get the archive anew if it is damaged"
                             ) from error


def _is_zip(archive: Path) -> bool:
    with open_file(archive) as file:
        return zipfile.is_zipfile(file)


def _zip_members(archive: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    with open_file(archive) as file, zipfile.ZipFile(file) as opened:
        _require_all(opened)
        for member in opened.infolist():
            kind = member.external_attr >> 28  # the file type of Unix; 0 where another system packed
            _require_plain(archive, member.filename, kind in (0, 0o4, 0o10))
            if not member.is_dir():
                room.take(member.file_size)
                with opened.open(member) as stream:
                    yield member.filename, stream


def _tar_members(archive: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    with open_file(archive) as file, tarfile.open(archive, "r:gz", fileobj=file) as opened:
        for member in opened:
            _require_plain(archive, member.name, member.isdir() or (member.isreg() and not member.issparse()))
            if not member.isdir():
                room.take(member.size)
                yield member.name, _stream_of(opened, member)
        _read_to_the_end(opened)


def _stream_of(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = opened.extractfile(member)
    assert stream is not None  # of a plain file
    return stream


def _read_to_the_end(opened: tarfile.TarFile) -> None:
    """Read on to the end: gzip compares its checksum there, where nothing else looks."""
    while opened.fileobj.read(_BLOCK):
        pass


class _Room:
    """How many bytes an archive may unpack to: a published archive holds images, which hardly shrink."""

    def __init__(self, archive: Path) -> None:
        self._archive, self._left = archive, most_from(os.path.getsize(archive))

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise MsCoresetError(f"{self._archive} unpacks to more than any archive of images does; get the archive "
                                 "anew")


def _require_all(opened: zipfile.ZipFile) -> None:
    """Check that the directory has as many members as the archive's end counts.

    zipfile does not compare them, and a damaged end hides some members, or all.

    Raises:
        BadZipFile: if it has not.
    """
    assert opened.fp is not None  # only a closed one has none
    opened.fp.seek(-_END.size, os.SEEK_END)
    mark, *_, counted, _, _, _ = _END.unpack(opened.fp.read(_END.size))
    found = len(opened.infolist())
    if not found or (mark == _END_MARK and counted not in (found, _COUNTED_ELSEWHERE)):
        raise zipfile.BadZipFile(f"its directory has {found:,} members")


def _require_plain(archive: Path, name: str, plain: bool) -> None:
    if not plain:
        raise MsCoresetError(f"{archive}: {name} is no plain file; get the archive anew")


def _inside(archive: Path, name: str, top: str) -> Path:
    """The path of a member below the folder; a leading ``top`` is left out."""
    path = PurePosixPath(name)
    parts = path.parts[1:] if path.parts[:1] == (top,) else path.parts
    if path.is_absolute() or ".." in parts or "\\" in name or not parts:
        raise MsCoresetError(f"{archive}: {name} lies outside the archive's folder; get the archive anew")
    return Path(*parts)


def _write(stream: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as target:
        shutil.copyfileobj(stream, target)


def extract(archive: Path, root: Path, members: Iterable[str]) -> None:
    """Extract the named ``members`` of a .tar.gz below ``root``, and nothing else; each must be a plain file.

    The targets are made of ``members`` alone, so nothing inside the archive decides where is written.

    Args:
        archive: the file.
        root: folder to extract to.
        members: names of files in the archive.

    Raises:
        MsCoresetError: for an archive that is damaged, lacks a member, has a link in its place, or unpacks to a
            multiple of its size that no images do.
    """
    try:
        with open_file(archive) as file, tarfile.open(archive, "r:gz", fileobj=file) as tar:
            sources = {member: tar.getmember(member) for member in members}
            _read_to_the_end(tar)
            _Room(archive).take(sum(source.size for source in sources.values()))
            # In the archive's order: going back would decompress it from the start.
            for member, source in sorted(sources.items(), key=lambda item: item[1].offset):
                _extract_one(tar, source, root / member)
    except MsCoresetError:
        raise
    except KeyError as error:
        raise MsCoresetError(f"{archive}: {error.args[0]}; get the archive anew") from error
    except Exception as error:  # a damaged archive raises whatever its bytes happen to spell
        raise MsCoresetError(f"{archive} is damaged: {error}; get the archive anew") from error


def _extract_one(tar: tarfile.TarFile, source: tarfile.TarInfo, target: Path) -> None:
    if not source.isreg() or source.issparse():
        name = str(tar.name)
        raise MsCoresetError(f"{name}: {source.name} is not a plain file; get the archive anew")
    with atomic_write(target) as stream:
        shutil.copyfileobj(_stream_of(tar, source), stream)
