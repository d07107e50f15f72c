"""What networks, evidence and coresets were made from, as plain values that are compared before these are reused."""

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
# What files of versions before 0.2 lack. It is assumed to be as it is now, and the user is told.
_RECORDED_LATER = ("mean", "std", "network")
# Packages whose classes are compared by name, not by code.
_KNOWN_BY_NAME = ("builtins", "mindspore", "ms_coreset", "pybind11_builtins")
_OF_EVERY_CLASS = ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__")
_DEEPEST = 6  # how far into functions and containers a layer's settings are followed


def tell_missing(found: Mapping[str, Any], wanted: Iterable[str], path: FilePath, log: Log = warn) -> list[str]:
    """The names in ``wanted`` that ``found``, the content of an old file, lacks; ``log`` is told of them."""
    names = [name for name in wanted if name in _RECORDED_LATER and found.get(name) is None]
    if names:
        log(f"{path} does not tell its {', '.join(names)}: taken to be as now")
    return names


def normalization(split: Split) -> dict[str, list[float]]:
    """The mean and deviation that normalise a split's images, as plain values; empty without images."""
    if split.images is None:
        return {}
    return {name: [float(value) for value in getattr(split, name)] for name in ("mean", "std")}


def contents_digest(split: Split, weights: np.ndarray | None = None) -> str:
    """Checksum of images (of lazy ones see ``Split.fingerprint``), labels and weights, without mean and deviation."""
    images = np.array(split.fingerprint()) if split.lazy else split.require_images()
    return array_digest(images, split.labels, *(() if weights is None else (weights,)))


def data_identity(split: Split, given: Iterable[str] = ()) -> dict[str, Any]:
    """What a coreset of ``split`` depends on, as plain values.

    Args:
        split: the samples
        given: names of the fields of ``split.known`` that are used

    Returns:
        Checksums of images and labels, the normalisation, and checksums of the fields ``given``; for lazy images also
        "origin", see ``Pictures.origin``.
            "origin", too, see ``Pictures.origin``.
    """
    origin = {} if split.origin is None else {"origin": split.origin}
    return {"images": None if split.images is None else split.fingerprint(), **origin,
            "labels": array_digest(split.labels) if split.num_classes else None, **normalization(split),
            **{name: array_digest(split.known[name]) for name in given}}


def network_identity(network: Trainable) -> dict[str, Any]:
    """What a network is, apart from its weights, as plain values.

    The arguments of ``create_network``, or its class and a checksum of its layers; the framework, unless that is
    MindSpore; and the precision, unless that is float32.
    """
    described = getattr(network, "description", None)
    described = described or {"class": _name(type(network)), "layers": layers_digest(network)}
    engine = getattr(network, "coreset_engine", None)
    framework = {} if engine is None else {"framework": engine.name}
    precision = device_settings().get("precision", "float32")
    return {**described, **framework, **({} if precision == "float32" else {"precision": precision})}


def weights_digest(network: Trainable) -> str:
    """Checksum of a network's weights, in the order of its parameters."""
    return array_digest(*(parameter.asnumpy() for parameter in network.get_parameters()))


def layers_digest(network: Trainable) -> str:
    """Checksum of a network's layers, apart from the weights.

    It covers the classes and settings of all layers, and the code of those that are neither MindSpore's nor of this
    package. Two networks of one class that differ in an activation, say, have different checksums. Another version of
    Python or MindSpore may give another checksum.
    """
    if hasattr(network, "layers_text"):  # PyTorch's own text of the layers
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
    """Names of the attributes that every Cell has, or gets when it is used: they change from run to run."""
    methods = [value for value in vars(cell).values() if isinstance(value, types.FunctionType)]
    private = {name for method in methods for name in method.__code__.co_names if name.startswith("_")}
    return {*vars(cell()), *private, "_cell_init_args", "description"}


def _settings(holder: object, left_out: Collection[str] = _OF_EVERY_CLASS) -> list[tuple[str, str]]:
    return sorted((name, _as_text(value)) for name, value in vars(holder).items() if name not in left_out)


def _class_code(kind: type) -> list[tuple[str, list[tuple[str, str]]]]:
    """The attributes of a class and its bases, except for bases that are in ``_KNOWN_BY_NAME``."""
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
    """The values bound to a function where it was defined: defaults, and the content of its closure."""
    enclosed = [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]
    return [_as_text(value, depth) for value in (*(function.__defaults__ or ()), *enclosed)]


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}.{value.__qualname__}"


def misfit(coreset: Coreset, split: Split, what: str, may_differ: Collection[str] = ()) -> str | None:
    """Why a coreset does not belong to ``split``, as the end of a sentence that begins with the coreset's file.

    The number of samples is compared, and the checksums of images and labels if the manifest has them.

    Args:
        coreset: to be checked
        split: the data set that it is to be used with
        what: name of the data in the sentence
        may_differ: what may differ: "images", or "labels" (the same images with other labels; see ``is_relabeled``)

    Returns:
        The end of the sentence; None if the coreset belongs to ``split``.
    """
    if coreset.n != len(split):
        return f"is of a data set of {coreset.n} samples, {what} has {len(split)}"
    if "images" not in may_differ and _same_images(coreset, split) is False:
        return f"was chosen from other images than {what} has"
    if not _same_labels(coreset, split.labels) and not ("labels" in may_differ and is_relabeled(coreset, split)):
        return f"was chosen by other labels than {what} has"
    return None


def is_relabeled(coreset: Coreset, split: Split) -> bool:
    """Whether a coreset was chosen with other labels of the same samples, as far as its manifest tells."""
    if _same_labels(coreset, split.labels):
        return False
    if (same := _same_images(coreset, split)) is not None:
        return same
    # Without images, the manifest of the label noise is compared.
    clean = split.labels if split.clean_labels is None else split.clean_labels
    return _same_labels(coreset, clean) or _entry(coreset, "perturbation").get("clean_labels") == array_digest(clean)


def same_samples(first: Coreset, second: Coreset) -> bool:
    """Whether two coresets may be of the same samples, as far as their manifests tell.

    They may if their images are the same, or if one set of images was made from the other by a perturbation.
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
    """Whether a coreset was chosen with these labels (of any integer type); True if its manifest does not tell."""
    known = coreset.manifest.get("labels")
    if known is not None:
        labels = labels if coreset.pool is None else labels[coreset.pool]
    else:
        known = _entry(coreset, "data").get("labels")
    return known is None or any(known == array_digest(labels.astype(kind)) for kind in _WHOLE_NUMBERS)


def _entry(coreset: Coreset, name: str) -> dict[str, Any]:
    entry = coreset.manifest.get(name)
    return entry if isinstance(entry, dict) else {}
