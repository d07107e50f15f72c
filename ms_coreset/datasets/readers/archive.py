"""Unpacking published archives, whole or some members of them, and never outside their folder."""

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write


def unpack(archive, folder):
    """Unpack the .zip or .tar.gz ``archive`` as the new ``folder``, whose name its members may begin with.

    The folder gets its name when all is there. Raises ``MsCoresetError`` for an archive that is damaged, or holds
    anything but plain files and folders below its own; and when the folder is there already or can't be written.
    """
    folder = Path(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part") as place:
            staged = Path(place) / folder.name
            staged.mkdir()
            members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
            for name, stream in members(archive):
                _write(stream, staged / _inside(archive, name, folder.name))
            staged.rename(folder)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise MsCoresetError(f"can't unpack {archive} to {folder}: {error}; get the archive anew if it is damaged"
                             ) from error


def _zip_members(archive):
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = member.external_attr >> 28  # the file type of Unix; 0 where another system packed
            _require_plain(archive, member.filename, kind in (0, 0o4, 0o10))
            if not member.is_dir():
                with opened.open(member) as stream:
                    yield member.filename, stream


def _tar_members(archive):
    with tarfile.open(archive, "r:gz") as opened:
        for member in opened:
            _require_plain(archive, member.name, member.isdir() or (member.isreg() and not member.issparse()))
            if not member.isdir():
                yield member.name, opened.extractfile(member)


def _require_plain(archive, name, plain):
    if not plain:
        raise MsCoresetError(f"{archive}: {name} is no plain file; get the archive anew")


def _inside(archive, name, top):
    """The way to a member below the folder; a leading ``top`` is left out."""
    path = PurePosixPath(name)
    parts = path.parts[1:] if path.parts[:1] == (top,) else path.parts
    if path.is_absolute() or ".." in parts or "\\" in name or not parts:
        raise MsCoresetError(f"{archive}: {name} lies outside the archive's folder; get the archive anew")
    return Path(*parts)


def _write(stream, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as target:
        shutil.copyfileobj(stream, target)


def extract(archive, root, members):
    """Extract the named ``members`` of a .tar.gz below ``root``, and nothing else; each must be a plain file.

    The targets are made of ``members`` alone, so that nothing inside the archive decides where is written. Raises
    ``MsCoresetError`` for an archive that is damaged, or lacks a member, or has a link in its place.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            sources = {member: tar.getmember(member) for member in members}
            # In the archive's order: going back would decompress it from the start.
            for member, source in sorted(sources.items(), key=lambda item: item[1].offset):
                _extract_one(tar, source, root / member)
    except KeyError as error:
        raise MsCoresetError(f"{archive}: {error.args[0]}; get the archive anew") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise MsCoresetError(f"{archive} is damaged: {error}; get the archive anew") from error


def _extract_one(tar, source, target):
    if not source.isreg() or source.issparse():
        raise MsCoresetError(f"{tar.name}: {source.name} is not a plain file; get the archive anew")
    with atomic_write(target) as stream:
        shutil.copyfileobj(tar.extractfile(source), stream)
