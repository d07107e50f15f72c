"""What networks, evidence and coresets were made from, as plain values: what is compared before one is used again."""

from __future__ import annotations

import functools
import types
from collections.abc import Collection, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.device import device_settings
from ms_coreset.kinds import FilePath, Log, Trainable
from ms_coreset.terminal import warn

if TYPE_CHECKING:
    from ms_coreset.coreset import Coreset
    from ms_coreset.datasets.split import Split

_WHOLE_NUMBERS = (np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8)
# What files of before 0.2 do not tell. Where it is missing it is taken to be as it is now, and that is said.
_RECORDED_LATER = ("mean", "std", "network")
# Packages whose classes are known by their names, and are not told apart by their code.
_KNOWN_BY_NAME = ("builtins", "mindspore", "ms_coreset", "pybind11_builtins")
_OF_EVERY_CLASS = ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__")
_DEEPEST = 6  # how far into functions and containers a layer's settings are followed


def tell_missing(found: Mapping[str, Any], wanted: Iterable[str], path: FilePath, log: Log = warn) -> list[str]:
    """The names in ``wanted`` that the file ``path``, which holds ``found``, is too old to tell; ``log`` is told."""
    names = [name for name in wanted if name in _RECORDED_LATER and found.get(name) is None]
    if names:
        log(f"{path} does not tell its {', '.join(names)}: taken to be as now")
    return names


def normalization(split: Split) -> dict[str, list[float]]:
    """The mean and deviation by which a split's images are normalised, as plain values; none without images."""
    if split.images is None:
        return {}
    return {name: [float(value) for value in getattr(split, name)] for name in ("mean", "std")}


def contents_digest(split: Split, weights: np.ndarray | None = None) -> str:
    """Checksum of images (lazy ones: see ``Split.fingerprint``), labels and weights; ``normalization`` stands apart."""
    images = np.array(split.fingerprint()) if split.lazy else split.require_images()
    return array_digest(images, split.labels, *(() if weights is None else (weights,)))


def data_identity(split: Split, given: Iterable[str] = ()) -> dict[str, Any]:
    """What a coreset of ``split`` is chosen by, as plain values.

    Args:
        split: the samples
        given: names of fields of ``split.known``

    Returns:
        Checksums of its images and labels, the normalisation, and checksums of the fields ``given``; of lazy images
            "origin", too, see ``Pictures.origin``.
    """
    origin = {} if split.origin is None else {"origin": split.origin}
    return {"images": None if split.images is None else split.fingerprint(), **origin,
            "labels": array_digest(split.labels) if split.num_classes else None, **normalization(split),
            **{name: array_digest(split.known[name]) for name in given}}


def network_identity(network: Trainable) -> dict[str, Any]:
    """What a network is, its weights apart, as plain values.

    What ``create_network`` made it by, or its class and a checksum of its layers; the framework that computes it,
    unless
    that is MindSpore; and the precision that it computes in, unless that is float32.
    """
    described = getattr(network, "description", None)
    described = described or {"class": _name(type(network)), "layers": layers_digest(network)}
    engine = getattr(network, "coreset_engine", None)
    framework = {} if engine is None else {"framework": engine.name}
    precision = device_settings().get("precision", "float32")
    return {**described, **framework, **({} if precision == "float32" else {"precision": precision})}


def weights_digest(network: Trainable) -> str:
    """Checksum of a network's weights, in their order."""
    return array_digest(*(parameter.asnumpy() for parameter in network.get_parameters()))


def layers_digest(network: Trainable) -> str:
    """Checksum of what a network does with its weights.

    It is of the classes and settings of all its layers, and of the code of those that are neither MindSpore's nor built
    in here.

    Two networks of one class that differ in an activation, which no weight tells, differ in this. Another version of
    Python or MindSpore may give another one.
    """
    if hasattr(network, "layers_text"):  # PyTorch's own account of them
        return array_digest(np.array(network.layers_text()))
    from mindspore import nn

    passing = _bookkeeping(nn.Cell)
    layers, kinds = [], {}
    for place, cell in network.cells_and_names():
        kinds[_name(type(cell))] = type(cell)
        layers.append((place, _name(type(cell)), _settings(cell, passing)))
    code = [(name, _class_code(kind)) for name, kind in sorted(kinds.items())]
    return array_digest(np.frombuffer(repr((layers, code)).encode(errors="backslashreplace"), np.uint8))


def _bookkeeping(cell: type) -> set[str]:
    """Names of what every Cell holds, or comes to hold when it is used: it changes from run to run."""
    methods = [value for value in vars(cell).values() if isinstance(value, types.FunctionType)]
    private = {name for method in methods for name in method.__code__.co_names if name.startswith("_")}
    return {*vars(cell()), *private, "_cell_init_args", "description"}


def _settings(holder: object, left_out: Collection[str] = _OF_EVERY_CLASS) -> list[tuple[str, str]]:
    return sorted((name, _as_text(value)) for name, value in vars(holder).items() if name not in left_out)


def _class_code(kind: type) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a class and those that it is made from hold, but for those of ``_KNOWN_BY_NAME``."""
    return [(_name(base), _settings(base)) for base in kind.__mro__
            if base.__module__.partition(".")[0] not in _KNOWN_BY_NAME]


def _as_text(value: Any, depth: int = 0) -> str:
    """A setting as text that is the same in every process."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if depth == _DEEPEST:
        return _name(type(value))
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        told = [_as_text(entry, depth + 1) for entry in value]
        return repr(sorted(told) if isinstance(value, set | frozenset) else told)
    if isinstance(value, property | staticmethod | classmethod | functools.partial):
        parts = [getattr(value, name, None) for name in ("fget", "__func__", "func", "args", "keywords")]
        return repr([_as_text(part, depth + 1) for part in parts])
    if isinstance(value, types.FunctionType):
        return repr((_name(value), _as_text(value.__code__, depth + 1), _bound_values(value, depth + 1)))
    if isinstance(value, types.CodeType):
        return repr((value.co_code, value.co_names, _as_text(value.co_consts, depth + 1)))
    if isinstance(value, np.ndarray) or hasattr(value, "asnumpy"):
        return array_digest(value if isinstance(value, np.ndarray) else value.asnumpy())
    if type(value).__module__.startswith("mindspore.ops"):
        return str(value)  # a primitive with its attributes
    return _name(value) if hasattr(value, "__qualname__") else _name(type(value))


def _bound_values(function: FunctionType, depth: int) -> list[str]:
    """The values that a function has from where it was made: defaults, and what its closure holds."""
    enclosed = [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]
    return [_as_text(value, depth) for value in (*(function.__defaults__ or ()), *enclosed)]


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}.{value.__qualname__}"


def misfit(coreset: Coreset, split: Split, what: str, may_differ: Collection[str] = ()) -> str | None:
    """Why a coreset is not of the data ``split``, as the end of a sentence that begins with its file.

    By the number of samples, and by the checksums of images and labels as far as its manifest tells them.

    Args:
        coreset: to compare
        split: the data
        what: how the data is called in the sentence
        may_differ: "images", or "labels": those of the same images, which were relabelled; then see ``is_relabeled``

    Returns:
        The end of the sentence; None if it is of the data.
    """
    if coreset.n != len(split):
        return f"is of a data set of {coreset.n} samples, {what} has {len(split)}"
    if "images" not in may_differ and _same_images(coreset, split) is False:
        return f"was chosen from other images than {what} has"
    if not _same_labels(coreset, split.labels) and not ("labels" in may_differ and is_relabeled(coreset, split)):
        return f"was chosen by other labels than {what} has"
    return None


def is_relabeled(coreset: Coreset, split: Split) -> bool:
    """Whether a coreset was chosen by other labels of the same samples, as far as can be told."""
    if _same_labels(coreset, split.labels):
        return False
    if (same := _same_images(coreset, split)) is not None:
        return same
    # Without images, what noise was laid over tells.
    clean = split.labels if split.clean_labels is None else split.clean_labels
    return _same_labels(coreset, clean) or _entry(coreset, "perturbation").get("clean_labels") == array_digest(clean)


def same_samples(first: Coreset, second: Coreset) -> bool:
    """Whether two coresets can be of the same samples, as far as they tell.

    They are if they are of the same images, or if one set of images was made from the other by a perturbation.
    """
    if first.n != second.n:
        return False
    sources = [{value for value in (_entry(each, "data").get("images"), _entry(each, "data").get("origin"),
                                    _entry(each, "perturbation").get("clean_images")) if isinstance(value, str)}
               for each in (first, second)]
    return not all(sources) or bool(sources[0] & sources[1])


def _same_images(coreset: Coreset, split: Split) -> bool | None:
    """Whether a coreset was chosen from the images of ``split``; None where that is not known."""
    known = _entry(coreset, "data")
    if known.get("images") is None or split.images is None:
        return None
    if known["images"] == split.fingerprint():
        return True
    if not split.lazy:
        return False
    # A copy of the files, or another size of the images, has another fingerprint.
    return None if known.get("origin") is None else known["origin"] == split.origin


def _same_labels(coreset: Coreset, labels: np.ndarray) -> bool:
    """Whether a coreset was chosen by these labels, of any type of whole numbers, or does not tell."""
    known = coreset.manifest.get("labels")
    if known is not None:
        labels = labels if coreset.pool is None else labels[coreset.pool]
    else:
        known = _entry(coreset, "data").get("labels")
    return known is None or any(known == array_digest(labels.astype(kind)) for kind in _WHOLE_NUMBERS)


def _entry(coreset: Coreset, name: str) -> dict[str, Any]:
    entry = coreset.manifest.get(name)
    return entry if isinstance(entry, dict) else {}
