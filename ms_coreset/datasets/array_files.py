"""The user's own arrays in a file or a folder: images, or features and logits of some network, or both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ms_coreset.datasets.family import register_dataset
from ms_coreset.datasets.readers.array_folder import read_folder
from ms_coreset.datasets.split import Split, class_order, tell_order
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Log
from ms_coreset.npy_files import open_array
from ms_coreset.npz import read_npz
from ms_coreset.safetensors_files import map_tensors

if TYPE_CHECKING:
    from ms_coreset.datasets.download import Access

_KEYS = ("labels", "images", "features", "logits", "test_images", "test_labels", "classes", "mean", "std")
_GOES_WITH = {"images": ("labels",), "classes": ("labels",), "test_images": ("images", "test_labels"),
              "test_labels": ("images", "test_images"),
              "mean": ("images",), "std": ("images",)}
_KNOWN = ("features", "logits")
_TEST = ("test_images", "test_labels")
_BLOCK = 1024  # images at a time
Arrays = dict[str, np.ndarray]  # of ``_KNOWN``, ``StoredRows`` also, which are indexed like these


@register_dataset("arrays", mean=None, std=None, by_path=True)
def load_arrays(root: Path, train: bool, access: Access) -> Split | None:
    """Your own arrays, in what ``--data`` names: labels, and images, features or logits; nothing is downloaded.

    * an .npz file of the arrays below, which is read whole;
    * a .safetensors file of them: it is mapped, and rows are read when they are used; bfloat16 then becomes float32;
    * an .npy file of features (n, d), for methods that look at no labels; it is mapped, too;
    * a folder of .npy files, which are mapped: labels*.npy and logits*.npy are those, all others features, in parts
      (n_i, d) that follow one another by name, with numbers by value (``readers.array_folder``).

    The arrays:

    * labels: (n,) whole numbers or texts; without images they may be missing, for methods that look at none. The
      distinct values, sorted, become 0 .. C-1 and name the classes; texts that are all numbers are sorted by value.
    * images: (n, H, H) or (n, H, H, channels) uint8.
    * features: (n, d), and logits: (n, C); they are used as they are, in their own type, and no network is asked.
    * test_images, test_labels: the test split; without them there is none.
    * classes: (C,) texts. Labels are then places in it (numbers), or some of its texts.
    * mean, std: of pixels scaled to [0, 1], one number or one per channel; by default those of the training images.

    Args:
        root: the file or folder.
        train: whether to load the training split, else the test split.
        access: where to log; nothing is fetched.

    Returns:
        A ``Split``, or None for the test split of a file without one.

    Raises:
        MsCoresetError: naming the file when it is missing, damaged, or holds arrays that do not fit together.
    """
    arrays = _read(root, skip=_TEST if train else _KNOWN)
    try:
        return _training_split(arrays, root, access.log) if train else _test_split(arrays, root)
    except MsCoresetError as error:
        raise MsCoresetError(f"{root}: {error}") from error


def _read(root: Path, skip: Sequence[str]) -> Arrays:
    """The arrays of a file or folder by name, without some that would have to be read."""
    if not root.exists():
        raise MsCoresetError(f"{root} is not there: arrays are an .npz or .safetensors file, an .npy file of features, "
                             "or a folder of .npy files, named by --data (root)")
    if root.is_dir():
        return cast("Arrays", read_folder(root))
    if root.suffix == ".npy":
        return {"features": open_array(root)}
    if root.suffix != ".safetensors":
        return read_npz(root, _KEYS, skip=skip)
    arrays = map_tensors(root)
    for name in arrays:
        if name not in _KEYS:
            raise MsCoresetError(f"{root} holds {name[:80]!r}: its arrays may be {', '.join(_KEYS)}")
    return cast("Arrays", {name: array if name in _KNOWN else np.asarray(array) for name, array in arrays.items()})


def _training_split(arrays: Arrays, root: Path, log: Log) -> Split:
    _require_partners(arrays, _TEST)
    if "labels" not in arrays:
        return _unlabeled(arrays, root)
    values, names = _classes(arrays)
    if "classes" not in arrays and values.dtype.kind == "U":
        tell_order(names, log)
    images = _images(arrays, "images") if "images" in arrays else None
    mean, std = ((), ()) if images is None else _color(arrays, images)
    known = {name: _matrix(arrays, name) for name in _KNOWN if name in arrays}
    if "logits" in known and known["logits"].shape[1] != len(names):
        raise MsCoresetError(f"logits have {known['logits'].shape[1]} columns, but there are {len(names)} classes: "
                             "name one for each column in 'classes'")
    labels = _places(arrays["labels"], values, "labels")
    return Split(f"arrays-{root.absolute().stem}", images, labels, classes=names, mean=mean, std=std, known=known)


def _unlabeled(arrays: Arrays, root: Path) -> Split:
    """The split of a file without labels."""
    known = {name: _matrix(arrays, name) for name in _KNOWN if name in arrays}
    n = max(map(len, known.values()), default=0)
    if not n:
        raise MsCoresetError("it holds no 'labels': add them, (n,) whole numbers or texts, or 'features' (n, d) alone")
    return Split(f"arrays-{root.absolute().stem}", None, np.zeros(n, np.int64), classes=(), mean=(), std=(),
                 known=known)


def _test_split(arrays: Arrays, root: Path) -> Split | None:
    _require_partners(arrays)
    if "test_images" not in arrays:
        return None
    values, names = _classes(arrays)
    images, trained_on = _images(arrays, "test_images"), _images(arrays, "images")
    if images.shape[1:] != trained_on.shape[1:]:
        raise MsCoresetError(f"test_images are of shape {images.shape[1:]}, images of {trained_on.shape[1:]}: they "
                             "must be alike")
    labels = _places(_label_values(arrays, "test_labels"), values, "test_labels")
    mean, std = _color(arrays, trained_on)
    return Split(f"arrays-{root.absolute().stem}", images, labels, classes=names, mean=mean, std=std, train=False)


def _require_partners(arrays: Arrays, skipped: Sequence[str] = ()) -> None:
    for key in arrays:
        missing = [partner for partner in _GOES_WITH.get(key, ()) if partner not in (*arrays, *skipped)]
        if missing:
            raise MsCoresetError(f"{key!r} goes with {missing[0]!r}, which is missing")


def _label_values(arrays: Arrays, key: str) -> np.ndarray:
    """Labels as they are in the file, numbers or texts."""
    labels = arrays[key]
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iubU":
        raise MsCoresetError(f"{key} must be (n,) whole numbers or texts, n at least 1, got {labels.dtype} of shape "
                             f"{labels.shape}")
    return labels


def _classes(arrays: Arrays) -> tuple[np.ndarray, tuple[str, ...]]:
    """(values, names): the values in the file that stand for the labels 0 .. C-1, and the names of the classes."""
    labels = _label_values(arrays, "labels")
    if "classes" not in arrays:
        values = np.unique(labels)
        if values.dtype.kind == "U":
            values = np.array(class_order(values.tolist()))
        return values, tuple(map(str, values))
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind not in "iuU" or len(np.unique(names)) != len(names):
        raise MsCoresetError(f"classes must be (C,) texts, each once, got {names.dtype} of shape {names.shape}")
    names = names.astype(str)
    return names if labels.dtype.kind == "U" else np.arange(len(names)), tuple(names.tolist())


def _places(labels: np.ndarray, values: np.ndarray, key: str) -> np.ndarray:
    """The places in ``values`` of ``labels``, int64."""
    if (labels.dtype.kind == "U") != (values.dtype.kind == "U"):
        raise MsCoresetError(f"{key} must be numbers or texts as the labels are, got {labels.dtype}")
    order = np.argsort(values)
    places = order[np.searchsorted(values[order], labels).clip(max=len(values) - 1)]
    wrong = labels[values[places] != labels]
    if len(wrong):
        raise MsCoresetError(f"{key}: {wrong[0]} is none of the {len(values)} classes {values[0]} to {values[-1]}")
    return places.astype(np.int64)


def _images(arrays: Arrays, key: str) -> np.ndarray:
    """Images as (n, H, H, channels) uint8."""
    images = arrays[key]
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or not images[:1].size:
        raise MsCoresetError(f"{key} must be uint8, square and of shape (n, H, H) or (n, H, H, channels), got "
                             f"{arrays[key].dtype} of shape {arrays[key].shape}")
    return np.ascontiguousarray(images)


def _matrix(arrays: Arrays, key: str) -> np.ndarray:
    """A matrix (n, columns) of numbers, as it is stored: a copy in another type could be too large."""
    matrix = arrays[key]
    if matrix.ndim != 2 or not matrix.shape[1] or matrix.dtype.kind not in "fiu":
        raise MsCoresetError(f"{key} must be numbers of shape (n, columns), got {matrix.dtype} of shape {matrix.shape}")
    return matrix


def _color(arrays: Arrays, images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) per channel: those of the file, or of the training images; std is 1 where all pixels are the same."""
    mean, std = _moments(images)
    return _moments_in_file(arrays, "mean", mean), _moments_in_file(arrays, "std", np.where(std > 0, std, 1))


def _moments_in_file(arrays: Arrays, key: str, default: np.ndarray) -> tuple[float, ...]:
    given = arrays.get(key, default)
    if given.dtype.kind not in "fiu" or given.shape not in ((), (1,), default.shape) or not (
            np.isfinite(given).all() and (given <= 1).all() and ((given > 0) if key == "std" else (given >= 0)).all()):
        raise MsCoresetError(f"{key} must be one number or {len(default)}, of pixels scaled to [0, 1], got {given}")
    return tuple(np.broadcast_to(given, default.shape).astype(float).tolist())


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel of pixels scaled to [0, 1], from how often each of 256 values occurs."""
    counts = np.zeros((images.shape[3], 256), np.int64)
    for start in range(0, len(images), _BLOCK):
        for channel, of_value in enumerate(counts):
            of_value += np.bincount(images[start:start + _BLOCK, ..., channel].ravel(), minlength=256)
    values, share = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    return mean, np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
