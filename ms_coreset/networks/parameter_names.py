"""Names of parameters in files: torch's, MindSpore's and other libraries', and the prefixes before them.

Parameters are named as in torch and torchvision, except for normalization layers, where MindSpore says ``gamma``,
``beta``, ``moving_mean``, ``moving_variance`` and torch ``weight``, ``bias``, ``running_mean``, ``running_var``.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

# What networks, or their state dicts, are kept under; averaged weights come last: the plain ones are preferred, but for
# torchvision's, whose own training tests and publishes "model_ema".
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model_ema", "model", "net", "network", "module",
            "weights", "params", "checkpoint", "_orig_mod", "backbone", "encoder_q", "online_network", "encoder",
            "base_encoder", "feature_extractor", "resnet", "student", "state_dict_ema", "ema_state_dict", "ema_model",
            "ema", "params_ema", "teacher")
_NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_SPELLINGS: tuple[dict[str, str], ...] = (  # theirs: torchvision's
    {},
    {"shortcut": "downsample", "linear": "fc"},  # the CIFAR ResNets of Moderate, DeepCore and CCS
    {"down_sample": "downsample", "classifier": "fc"},  # mindcv
)
HEAD = ("fc.weight", "fc.bias")
_HEADS = ("fc", "head", "linear", "classifier")
_DEEPEST = 4  # wrappers around a network, beside what all names share
V = TypeVar("V")


def readings(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, str]]:
    """Ways to interpret the arrays of a file as those of one network, the plainest first.

    Args:
        arrays: name in the file -> array.

    Yields:
        {MindSpore's name of a parameter: its name in the file}. First come all arrays, as they are called; then those
        without what training keeps beside a network, without the prefix that all names share, and in the spelling of
        each library known here; then only those below one of ``WRAPPERS``.
    """
    names = {name: name for name in arrays}
    yield from_torch_names(names)
    yield from _narrower(_without_prefix(_without_training(names, arrays)))


def _narrower(names: dict[str, str], deep: int = 0) -> Iterator[dict[str, str]]:
    yield from map(from_torch_names, _spell(names))
    parts = {name.partition(".")[0] for name in names} if deep < _DEEPEST else set()
    for part in filter(parts.__contains__, WRAPPERS):
        below = {name.removeprefix(f"{part}."): file for name, file in names.items() if name.startswith(f"{part}.")}
        yield from _narrower(_head_beside(names, part) | _without_prefix(below), deep + 1)


def _without_training(names: dict[str, str], arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """``names`` without what training keeps beside a network: counters, numbers of no layer, and copies of parameters.

    Optimizers and averages keep copies of each parameter, under the parameter's name below one of their own, such as
    "moments.".
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        first, _, rest = name.partition(".")
        groups.setdefault(first, []).append(rest)
    copies = {first for first, rests in groups.items() if all(rest in names for rest in rests)}
    counters = {first for first, rests in groups.items() if rests == [""] and arrays[first].size == 1}
    return {name: file for name, file in names.items() if name.partition(".")[0] not in copies | counters}


def shared_prefix(names: Iterable[str]) -> str:
    """The layers that all names begin with, with a dot at the end, or "" if they share none."""
    layers = [name.split(".")[:-1] for name in names]
    ends = zip(min(layers, default=()), max(layers, default=()), strict=False)  # of all, in the order of their parts
    return "".join(f"{one}." for one, _ in itertools.takewhile(lambda both: both[0] == both[1], ends))


def _without_prefix(names: dict[str, str]) -> dict[str, str]:
    shared = shared_prefix(names)
    return {name.removeprefix(shared): file for name, file in names.items()}


def _head_beside(names: dict[str, str], part: str) -> dict[str, str]:
    """A single dense layer at the end of a network that lies below ``part``, itself beside it."""
    beside: dict[str, list[str]] = {}
    for name, file in names.items():
        layer, _, kind = name.rpartition(".")
        if not name.startswith(f"{part}.") and layer.rpartition(".")[2] in _HEADS and kind in ("weight", "bias"):
            beside.setdefault(f"fc.{kind}", []).append(file)
    return {name: files[0] for name, files in beside.items() if len(files) == 1}


def _spell(names: dict[str, str]) -> Iterator[dict[str, str]]:
    """``names`` in the spelling of each library."""
    for table in _SPELLINGS:
        spelled = {".".join(table.get(part, part) for part in name.split(".")): file for name, file in names.items()}
        if table == {} or spelled.keys() != names.keys():
            yield _with_plain_head(spelled)


def _with_plain_head(names: dict[str, str]) -> dict[str, str]:
    """``names`` with "fc." for "fc.1.", where the head is a sequence with one dense layer, say after dropout."""
    places = {name.rpartition(".")[0] for name in names if name.startswith("fc.")}
    place = next(iter(places)) if len(places) == 1 else "fc"
    return {name.replace(f"{place}.", "fc.", 1) if name.startswith("fc.") else name: file
            for name, file in names.items()}


def to_torch_names(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays renamed from MindSpore's names to torch's; normalization layers get torch's ``num_batches_tracked``.

    A layer with a ``beta`` or a ``moving_mean`` is a normalization layer; a ``gamma`` alone is a scale, in torch, too.
    """
    back = {theirs: ours for ours, theirs in _NORMALIZATION.items()}
    normalization = {name.rpartition(".")[0] for name in arrays if name.endswith((".beta", ".moving_mean"))}
    renamed = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.{back.get(kind, kind)}" if layer in normalization else name] = array
        if kind == "moving_mean":
            renamed[f"{layer}.num_batches_tracked"] = np.zeros((), np.int64)
    return renamed


def from_torch_names(arrays: dict[str, V]) -> dict[str, V]:
    """Arrays renamed from torch's names to MindSpore's; MindSpore's names stay.

    A layer with a ``running_mean`` is a normalization layer.
    """
    arrays = {name: array for name, array in arrays.items() if not is_batch_counter(name)}
    normalization = {name.rpartition(".")[0] for name in arrays if name.endswith(".running_mean")}
    renamed = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.{_NORMALIZATION.get(kind, kind)}" if layer in normalization else name] = array
    return renamed


def is_batch_counter(name: str) -> bool:
    """Whether this is torch's counter of batches, for an averaging that is not used here."""
    return name.endswith("num_batches_tracked")
