"""WebDataset's shards: .tar files in which files that follow one another and are named alike make a sample."""

from __future__ import annotations

import functools
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.datasets.family import Columns, Loaded, register_dataset
from ms_coreset.datasets.imagenet import MEAN, STD
from ms_coreset.datasets.readers.image_files import EXTENSIONS, LARGEST_FILE
from ms_coreset.datasets.readers.records import (
    Label,
    Part,
    Read,
    Records,
    chosen_column,
    find_shards,
    load_part,
    the_only,
)
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, reading

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

_LABELS = ("cls", "label", "labels")  # suffixes, or entries of .json
_LARGEST_LABEL = 1 << 20  # bytes of a file that holds a label
Place = tuple[int, int]  # of a file in a shard: where its content begins, and how many bytes it has


@register_dataset("webdataset", mean=MEAN, std=STD, aliases=["wds"], resizable=True, by_path=True, tabular=True)
def load_web_shards(root: Path, train: bool, access: Access, image_size: int | None, columns: Columns) -> Loaded:
    """Your own shards of WebDataset: ``--data`` names a .tar file, or a folder of them; they are not unpacked.

    A folder's shards are told apart by the words in their names, or in folders within it: those of ``test``, or if
    there are none of ``validation``, ``valid`` or ``val``, are the test split, those of ``train`` the training split;
    without this word that is all others. One file is a training split.

    In a shard, files that follow one another and are called alike up to the first point make a sample: ``007.jpg`` and
    ``007.cls``. The image is that with the suffix of images, or with ``columns.image``. The label is what the file with
    the suffix ``columns.label`` holds, a whole number or a text, or the entry of this name in the ``.json`` of the
    sample; without the option ``cls``, ``label`` or ``labels``, whichever is there. The distinct labels, by value, are
    the classes.

    The place of an image is fixed: shards by name, samples in the order of each. It is called ``SHARD/KEY.SUFFIX`` in
    tables. Listing the shards reads their headers and labels; images are read when they are needed.

    Args:
        root: the file or folder.
        train: whether to load the training split, else the test split.
        access: where to log; nothing is fetched.
        image_size: side of the images in pixels, or None.
        columns: suffixes of the images and labels.

    Returns:
        Images, labels and class names; None for the test split of shards without one.

    Raises:
        MsCoresetError: naming the shard, for one that is missing, damaged, compressed, or holds no images.
    """
    shards = find_shards(root, "*.tar", "shard of WebDataset, .tar")
    if not train and not shards[False]:
        return None
    trained = _part(shards[True], root, columns)
    return load_part(trained, None if train else _part(shards[False], root, columns), image_size, access.log)


@dataclass(frozen=True)
class _Sample:
    """A sample's name up to its first point, and where its files are by their suffixes."""

    key: str
    files: dict[str, Place]


class _Images(Records):
    """The images of samples in shards."""

    def __init__(self, shards: Sequence[Path], root: Path, suffix: str, samples: Sequence[Sequence[_Sample]]) -> None:
        self.files = tuple(shards)
        self._shard = np.repeat(np.arange(len(shards)), list(map(len, samples)))
        self._places = np.array([sample.files[suffix] for of_shard in samples for sample in of_shard],
                                np.int64).reshape(-1, 2)
        folder = root if root.is_dir() else root.parent
        self.names = [f"{shard.relative_to(folder).as_posix()}/{sample.key}.{suffix}"
                      for shard, of_shard in zip(shards, samples, strict=True) for sample in of_shard]

    def __len__(self) -> int:
        return len(self._places)

    def read(self, rows: Sequence[int] | np.ndarray) -> list[Read]:
        return [functools.partial(_content, self.files[self._shard[row]], *self._places[row].tolist()) for row in rows]

    def traits(self) -> list[np.ndarray]:
        return [*super().traits(), self._places]


def _content(path: Path, begin: int, size: int) -> bytes:
    if size > LARGEST_FILE:
        raise ValueError(f"more than {LARGEST_FILE:,} bytes")
    with open_file(path) as stream:
        stream.seek(begin)
        return stream.read(size)


def _part(shards: Sequence[Path], root: Path, columns: Columns) -> Part:
    samples = [_samples(path, path.stat().st_mtime_ns) for path in shards]
    counts = Counter(suffix for of_shard in samples for sample in of_shard for suffix in sample.files)
    try:
        image = columns.image or the_only("images", [name for name in counts if f".{name}".endswith(EXTENSIONS)],
                                          counts, "--image-column")
        chosen_column(image, counts, "--image-column")
    except MsCoresetError as error:
        raise MsCoresetError(f"{root}: {error}") from error
    for path, of_shard in zip(shards, samples, strict=True):
        if lacking := next((sample.key for sample in of_shard if image not in sample.files), None):
            raise MsCoresetError(f"{path}: sample {lacking} has no .{image}: each needs an image")
    return Part(_Images(shards, root, image, samples), _labels(shards, samples, counts, columns.label))


@functools.lru_cache(maxsize=1 << 14)
def _samples(path: Path, changed: int) -> tuple[_Sample, ...]:
    """The samples of a shard, as it was at the time ``changed``."""
    found: list[_Sample] = []
    with reading(path, ".tar file that is not compressed, as WebDataset's shards are"), open_file(path) as stream, \
            tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in filter(tarfile.TarInfo.isreg, archive):
            if member.issparse():
                raise ValueError("it has a sparse file")
            folder, name = os.path.split(member.name)
            stem, _, suffix = name.partition(".")
            key = os.path.join(folder, stem)
            if not found or found[-1].key != key:
                found.append(_Sample(key, {}))
            found[-1].files[suffix.lower()] = (member.offset_data, member.size)
    return tuple(sample for sample in found if any(sample.files) and not _is_about_others(sample))


def _is_about_others(sample: _Sample) -> bool:
    """Whether a file is about the archive: WebDataset keeps ``__index__`` and the like, macOS ``._name``."""
    name = os.path.basename(sample.key)
    return not name or name.startswith("__")


def _labels(shards: Sequence[Path], samples: Sequence[Sequence[_Sample]], counts: Counter[str],
            named: str | None) -> list[Label] | None:
    """The label of each sample, None where it has none; None where none has, and none was named."""
    wanted = named or next((name for name in _LABELS if name in counts), None)
    if wanted is not None and wanted in counts:
        texts = _texts(shards, samples, wanted)
        return [None if text is None else _value(text) for text in texts]
    if "json" not in counts:
        if wanted is None:
            return None
        raise MsCoresetError(f"--label-column {wanted}: there is no such suffix, but {', '.join(counts)}")
    entries = [None if text is None else _entries(text) for text in _texts(shards, samples, "json")]
    there = dict.fromkeys(name for entry in entries if entry for name in entry)
    wanted = wanted or next((name for name in _LABELS if name in there), None)
    if wanted is None:
        return None
    chosen_column(wanted, [*counts, *there], "--label-column")
    return [entry.get(wanted) if entry else None for entry in entries]


def _texts(shards: Sequence[Path], samples: Sequence[Sequence[_Sample]], suffix: str) -> Iterator[str | None]:
    """What the files with a suffix hold, of all samples; each shard is read from its beginning to its end."""
    for path, of_shard in zip(shards, samples, strict=True):
        with reading(path, "shard of WebDataset with labels"), open_file(path) as stream:
            for sample in of_shard:
                begin, size = sample.files.get(suffix, (0, -1))
                if size > _LARGEST_LABEL:
                    raise ValueError(f"{sample.key}.{suffix} has {size:,} bytes")
                stream.seek(begin)
                yield None if size < 0 else stream.read(size).decode().strip()


def _value(text: str) -> Label:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text or None


def _entries(text: str) -> dict[str, Label]:
    """The entries of a .json that may be labels."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    entries: Iterable[tuple[str, object]] = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in entries if isinstance(value, int | str)}
