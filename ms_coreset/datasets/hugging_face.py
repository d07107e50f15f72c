"""Data sets of Hugging Face's library: saved ones, Parquet, folders of images, and those of its hub."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.datasets.family import Columns, Loaded, register_dataset
from ms_coreset.datasets.imagenet import MEAN, STD
from ms_coreset.datasets.readers.image_files import read_content
from ms_coreset.datasets.readers.records import (
    TEST,
    Label,
    Part,
    Read,
    Records,
    chosen_column,
    load_part,
    the_only,
)
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import one_line

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access
    from ms_coreset.kinds import FilePath

_LABELS = ("label", "labels")  # what columns of labels are called that say no classes


@register_dataset("hf", mean=MEAN, std=STD, aliases=["huggingface"], resizable=True, by_path=True, tabular=True)
def load_hugging_face(root: Path, train: bool, access: Access, image_size: int | None, columns: Columns) -> Loaded:
    """Your own data set of Hugging Face's ``datasets``, which ``--data`` names; nothing of it is copied into memory.

    * a folder of ``save_to_disk``, of one split or several;
    * a .parquet file, or a folder of them, with the splits' names in theirs: ``train-00000.parquet``;
    * a folder of images as its ``imagefolder`` reads it;
    * else a name on its hub, such as ``cifar10``, which is fetched, or taken from the library's cache.

    The training split is ``train``, or the only one; the test split ``test``, or, if that is missing or has no labels,
    ``validation``. Without both there is none. Images are those of the only column of images; labels of the only column
    of classes, ``ClassLabel``, which names them, or of one called label or labels, of whole numbers or texts. Images
    come in colour, scaled as those of a folder, and are decoded when they are needed. An image's place is its row, so
    that ``Coreset.to_hf`` takes the split as it is.

    Args:
        root: the folder or file, or the name.
        train: whether to load the training split, else the test split.
        access: whether to fetch, and where to log.
        image_size: side of the images in pixels, or None.
        columns: of the images and labels.

    Returns:
        Images, labels and class names; None for the test split of data without one.

    Raises:
        MsCoresetError: where ``datasets`` is not installed, for data that it can't read, and columns that are missing
            or can't be told apart.
    """
    splits = _splits(root, access)
    try:
        trained = _part(_training(splits), columns, root)
        if train:
            return load_part(trained, None, image_size, access.log)
        tested = _tested(splits, columns, root)
        return None if tested is None else load_part(trained, tested, image_size, access.log)
    except MsCoresetError as error:
        raise MsCoresetError(f"{root}: {error}") from error


class _Table(Records):
    """The images of one split, a ``datasets.Dataset``."""

    def __init__(self, split: Any, column: str, root: Path) -> None:
        from datasets import Image

        self._column = column
        self._split = split.select_columns([column]).with_format(None).cast_column(column, Image(decode=False))
        self.files = tuple(Path(entry["filename"]) for entry in split.cache_files)
        self._paths = self._stored("path").to_pylist()
        self.names = _names(self._paths, root)

    def __len__(self) -> int:
        return len(self._split)

    def read(self, rows: Sequence[int] | np.ndarray) -> list[Read]:
        return [_reader(image or {}) for image in self._split[np.asarray(rows).tolist()][self._column]]

    def where(self, row: int) -> str:
        return f"row {row}" + (f", {self._paths[row]}" if self._paths[row] else "")

    def traits(self) -> list[np.ndarray]:
        from pyarrow import compute

        sizes = compute.binary_length(self._stored("bytes")).to_pylist()
        return [np.array([_stat(path)[0] if size is None else size
                          for size, path in zip(sizes, self._paths, strict=True)], np.int64)]

    @functools.cached_property
    def stamps(self) -> np.ndarray:
        inside = self._stored("bytes").null_count == 0
        return np.array([_stat(path)[1] for path in (self.files if inside else self._paths)], np.int64)

    def _stored(self, field: str) -> Any:
        """The bytes or the paths of all images as an array of Arrow, which stays in its file."""
        from pyarrow import compute

        return compute.struct_field(self._split.with_format("arrow")[:][self._column], field)


def _reader(image: Mapping[str, Any]) -> Read:
    """A function that gives the bytes of an image, which are in the table or in a file; none of one that is missing."""
    if image.get("bytes") is not None or not image.get("path"):
        return functools.partial(bytes, image.get("bytes") or b"")
    return functools.partial(read_content, image["path"])


def _stat(path: FilePath | None) -> tuple[int, int]:
    """(bytes, time of change) of a file; -1 of one that is missing, about which an error tells when it is decoded."""
    try:
        status = os.stat(path or "")
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _names(paths: Sequence[str | None], root: Path) -> list[str] | None:
    """What images are called by their paths, below ``root`` where they lie there; None if not each has its own."""
    if None in paths or len({*paths}) < len(paths):
        return None
    below = os.path.join(root.absolute(), "")
    return [path.removeprefix(below).replace(os.sep, "/") for path in paths if path is not None]


def _splits(root: Path, access: Access) -> Mapping[str, Any]:
    """The splits by their names, as ``datasets`` has them."""
    try:
        import datasets
    except ImportError as error:
        raise MsCoresetError(f"{root}: this needs Hugging Face's datasets (pip install datasets): {one_line(error)}"
                             ) from error
    if not root.exists() and not access.download and not datasets.config.HF_HUB_OFFLINE:
        raise MsCoresetError(f"{root} is not there, and nothing may be fetched; the environment's HF_HUB_OFFLINE=1 "
                             "takes a name from the library's cache")
    try:
        found = _open(root, datasets)
    except Exception as error:  # the library has no error of its own for data that it can't read
        raise MsCoresetError(f"{root} can't be read by Hugging Face's datasets: {one_line(error)[:300]}") from error
    return found if isinstance(found, dict) else {"train": found}


def _open(root: Path, datasets: Any) -> Any:
    if not root.exists():
        return datasets.load_dataset(os.fspath(root))
    if root.is_file():
        return datasets.load_dataset("parquet", data_files=os.fspath(root))
    if any((root / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return datasets.load_from_disk(os.fspath(root))
    kind = "parquet" if next(root.rglob("*.parquet"), None) else "imagefolder"
    return datasets.load_dataset(kind, data_dir=os.fspath(root))


def _training(splits: Mapping[str, Any]) -> Any:
    if "train" in splits:
        return splits["train"]
    if len(splits) > 1:
        raise MsCoresetError(f"there is no split train, but {', '.join(splits)}: save the one to choose from by itself")
    return next(iter(splits.values()))


def _tested(splits: Mapping[str, Any], columns: Columns, root: Path) -> Part | None:
    """The split to test on: the first there is that has labels, or None."""
    parts = [_part(splits[name], columns, root) for name in TEST if name in splits and len(splits) > 1]
    return next((part for part in parts if {*(part.labels or ())} - {None, -1}), None)


def _part(split: Any, columns: Columns, root: Path) -> Part:
    from datasets import ClassLabel, Image

    features, there = split.features, list(split.features)
    of_images, of_classes = ([name for name, feature in features.items() if isinstance(feature, kind)]
                             for kind in (Image, ClassLabel))
    image = columns.image or the_only("images", of_images, there, "--image-column")
    if chosen_column(image, there, "--image-column") not in of_images:
        raise MsCoresetError(f"--image-column {image} holds {one_line(features[image])[:80]}: cast it to "
                             "datasets.Image()")
    label = columns.label or _label_column(of_classes, there)
    if label is None:
        return Part(_Table(split, image, root), None)
    named = features[chosen_column(label, there, "--label-column")]
    labels: list[Label] = split.select_columns([label]).with_format("arrow")[:][label].to_pylist()
    return Part(_Table(split, image, root), labels, named.names if isinstance(named, ClassLabel) else None)


def _label_column(of_classes: Sequence[str], there: Sequence[str]) -> str | None:
    if of_classes:
        return the_only("classes", of_classes, there, "--label-column")
    return next((name for name in _LABELS if name in there), None)
