"""A folder with the files of a coreset alone, laid out as the data set, for programs that read folders."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ms_coreset.coreset import Coreset
from ms_coreset.datasets.readers.image_files import ImageFiles, image_names
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.files import atomic_write, open_file
from ms_coreset.identity import misfit
from ms_coreset.progress import Progress
from ms_coreset.terminal import one_line


@dataclass(frozen=True, kw_only=True)
class KeptFiles:
    """What ``link_kept`` did.

    Attributes:
        folder: where the files are.
        root: the folder of the data set, which their names there are relative to.
        linked: how many links were made.
        copied: how many copies.
        there: how many were there already.
    """

    folder: Path
    root: str
    linked: int
    copied: int
    there: int


def link_kept(coreset: Coreset, split: Split, folder: str | os.PathLike, *, copy: bool = False) -> KeptFiles:
    """Make a folder with the kept files of a data set under the names that they have there.

    They are symbolic links to the files' absolute names, or copies with their times where links can't be made. Nothing
    is ever written over: a file that is there already has to be such a link, or of the same bytes, so that the same
    call again goes on where it was interrupted. No link below ``folder`` is followed.

    Args:
        coreset: what was kept.
        split: the data set, images in files.
        folder: where they are to be, outside the data set; made if it is missing.
        copy: whether to make copies in any case.

    Returns:
        A ``KeptFiles``.

    Raises:
        MsCoresetError: for data that do not lie in files, or are not those that the coreset is of; for a folder within
            the data set, one with images that were not kept, or links to other folders, in it; for a file that is in
            the way; and when a file can't be made.
    """
    require_kind("coreset", coreset, Coreset)
    require_kind("split", split, Split)
    images, folder = split.images, Path(folder)
    if not isinstance(images, ImageFiles):
        raise MsCoresetError(f"{split.name} does not lie in files: there is nothing to link to")
    if (reason := misfit(coreset, split, split.name)) is not None:
        raise MsCoresetError(f"the coreset {reason}: nothing is linked")
    every = images.file_names()
    names = [every[place] for place in coreset.sort_by_index()[0]]
    _require_within(names)
    _require_apart(folder, images.root)
    _require_no_others(folder, {*names})
    made = {"linked": 0, "copied": 0, "there": 0}
    with Progress(len(names), "files") as progress:
        for name in names:
            made[_make(os.path.abspath(os.path.join(images.root, name)), folder / name, copy)] += 1
            progress.update(1)
    return KeptFiles(folder=folder, root=images.root, **made)


def _require_within(names: Collection[str]) -> None:
    """Raise ``MsCoresetError`` for a name that leads out of the data set's folder; a plugin's set may have one."""
    for name in names:
        if os.path.isabs(name) or ".." in PurePosixPath(name).parts:
            raise MsCoresetError(f"{_show(name)} does not lie in the data set's folder: it can't be linked")


def _require_apart(folder: Path, root: str) -> None:
    inner, outer = os.path.realpath(folder), os.path.realpath(root)
    if os.path.commonpath([inner, outer]) == outer:
        raise MsCoresetError(f"{folder} lies in the data set's folder {_show(root)}, of which it would become a part: "
                             "name a folder elsewhere")


def _require_no_others(folder: Path, names: Collection[str]) -> None:
    """Raise ``MsCoresetError`` for an image below ``folder`` that is none of ``names``, and for a link to a folder."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise MsCoresetError(f"{folder} is no folder: name another")
    for place, folders, files in os.walk(folder):
        if links := [name for name in folders if os.path.islink(os.path.join(place, name))]:
            raise MsCoresetError(f"{_show(os.path.join(place, links[0]))} is a link to a folder, through which nothing "
                                 "is written: name an empty folder")
        found = (Path(place, name).relative_to(folder).as_posix() for name in image_names(files))
        if others := [name for name in found if name not in names]:
            raise MsCoresetError(f"{folder} holds {len(others):,} images that were not kept, such as "
                                 f"{_show(others[0])}: name an empty folder")


def _make(source: str, target: Path, copy: bool) -> str:
    """Make a link, or a copy; returns which of ``KeptFiles``' counts it is of."""
    if os.path.lexists(target):
        if not _is_the_same(source, target, copy):
            raise MsCoresetError(f"{_show(target)} is there, and is something else{' than a copy' if copy else ''}: "
                                 "nothing is written over; name an empty folder")
        return "there"
    if not os.path.isfile(source):
        raise MsCoresetError(f"{_show(source)} is gone: the data set has changed")
    with _tell(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        with contextlib.suppress(OSError, NotImplementedError):
            os.symlink(source, target)
            return "linked"
    with _tell(source), open_file(source) as stream, atomic_write(target) as whole:
        shutil.copyfileobj(stream, whole, 1 << 20)
    with _tell(target):
        times = os.stat(source)
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return "copied"


def _is_the_same(source: str, target: Path, copy: bool) -> bool:
    with _tell(target):
        if target.is_symlink():
            return not copy and os.readlink(target) == source
        return target.is_file() and filecmp.cmp(source, target, shallow=False)


@contextlib.contextmanager
def _tell(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MsCoresetError(f"can't link or copy {_show(path)}: {error.strerror or error}") from error


def _show(path: str | Path) -> str:
    return one_line(path)
