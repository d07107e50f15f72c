"""MindSpore's own files, MindRecord: shards of samples with an index, read by MindSpore."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ms_coreset.datasets.family import Columns, Loaded, register_dataset
from ms_coreset.datasets.imagenet import MEAN, STD
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
from ms_coreset.device import require_mindspore
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import one_line

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

T = TypeVar("T")
_LABELS = ("label", "labels")


@register_dataset("mindrecord", mean=MEAN, std=STD, resizable=True, by_path=True, tabular=True)
def load_mind_records(root: Path, train: bool, access: Access, image_size: int | None, columns: Columns) -> Loaded:
    """Your own files of MindRecord: ``--data`` names one, or a folder of them; MindSpore has to be installed.

    Beside each file lies its index, ``.db``. A folder's files are told apart as shards of WebDataset are: by the words
    train, test, validation, valid and val in their names. The image is the only column of bytes, the label the column
    ``label`` or ``labels``, of whole numbers or texts; ``columns`` names others. The distinct labels, by value, are the
    classes. Images are encoded, as JPEG or PNG say: arrays of pixels are refused.

    The place of an image is fixed: files by name, samples in the order of each. It is called ``FILE/NUMBER`` in tables.
    Listing the samples reads all labels; images are read by their place, a block at a time, when they are needed.

    Args:
        root: the file or folder.
        train: whether to load the training split, else the test split.
        access: where to log; nothing is fetched.
        image_size: side of the images in pixels, or None.
        columns: of the images and labels.

    Returns:
        Images, labels and class names; None for the test split of files without one.

    Raises:
        MsCoresetError: where MindSpore is not installed, for a file that it can't read, and columns that are missing or
            can't be told apart.
    """
    require_mindspore()
    shards = {training: [path for path in paths if path.suffix != ".db"]
              for training, paths in find_shards(root, "*.mindrecord*", "file of MindRecord, .mindrecord").items()}
    if not train and not shards[False]:
        return None
    try:
        trained = _part(shards[True], columns)
        return load_part(trained, None if train else _part(shards[False], columns), image_size, access.log)
    except MsCoresetError as error:
        raise MsCoresetError(f"{root}: {error}") from error


class _Images(Records):
    """The images of files of MindRecord."""

    def __init__(self, files: Sequence[Path], column: str, counts: Sequence[int]) -> None:
        self.files, self._column = tuple(files), column
        self.names = [f"{path.name}/{number}" for path, count in zip(files, counts, strict=True)
                      for number in range(count)]
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self.names or ())

    def read(self, rows: Sequence[int] | np.ndarray) -> list[Read]:
        from mindspore.dataset import MindDataset, SubsetSampler

        with self._turn:
            found = MindDataset(list(map(str, self.files)), [self._column], num_parallel_workers=1,
                                sampler=SubsetSampler(np.asarray(rows).tolist()))
            contents = [image for image, in found.create_tuple_iterator(num_epochs=1, output_numpy=True)]
        return [functools.partial(bytes, content.tobytes()) for content in contents]


def _part(files: Sequence[Path], columns: Columns) -> Part:
    schema: Mapping[str, Mapping[str, Any]] = _read(files[0], lambda reader: reader.schema())
    stored = [name for name, kind in schema.items() if kind.get("type") == "bytes"]
    image = columns.image or the_only("bytes", stored, schema, "--image-column")
    if chosen_column(image, schema, "--image-column") not in stored:
        raise MsCoresetError(f"--image-column {image} holds {schema[image].get('type')}, not bytes of image files")
    label = columns.label or next((name for name in _LABELS if name in schema), None)
    if label is not None and "shape" in schema[chosen_column(label, schema, "--label-column")]:
        raise MsCoresetError(f"--label-column {label} holds arrays, not a number or a text")
    records = _Images(files, image, [_read(path, lambda reader: reader.len()) for path in files])
    return Part(records, None if label is None else [value for path in files for value in _labels(path, label)])


def _labels(path: Path, column: str) -> list[Label]:
    """The values of a column in one file, as numbers and texts of Python."""
    found = _read(path, lambda reader: [sample[column] for sample in reader.get_next()], [column])
    return [value.item() if isinstance(value, np.generic | np.ndarray) else value for value in found]


def _read(path: Path, ask: Callable[[Any], T], columns: list[str] | None = None) -> T:
    """What ``ask`` gets of MindSpore's reader of a file.

    Raises:
        MsCoresetError: for a file that it can't read.
    """
    from mindspore.mindrecord import FileReader

    try:
        reader = FileReader([str(path)], num_consumer=1, columns=columns)
        try:
            return ask(reader)
        finally:
            reader.close()
    except Exception as error:  # MindSpore has many
        raise MsCoresetError(f"{path.name} can't be read by MindSpore: {one_line(error)[:300]}") from error
