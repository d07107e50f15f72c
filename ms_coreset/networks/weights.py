"""Weights on disk: MindSpore's .ckpt and torch's .pth, under one set of names.

Parameters are named as in torch and torchvision, but for normalisation layers, where MindSpore says ``gamma``,
``beta``, ``moving_mean``, ``moving_variance`` and torch ``weight``, ``bias``, ``running_mean``, ``running_var``.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError, require_network, require_path
from ms_coreset.files import reserve
from ms_coreset.networks import create_network, describe
from ms_coreset.networks.mindspore_files import read_entries
from ms_coreset.networks.torch_files import read_state

_NORMALISATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
# The CIFAR ResNets of the Moderate, DeepCore and CCS repositories say these where torchvision says those.
_SPELLINGS = {"shortcut": "downsample", "linear": "fc"}


def read_weights(path):
    """Read the weights in a .ckpt or .pth file.

    Returns ``(arrays, description)``: float arrays under MindSpore's names, and what ``create_network`` needs to
    rebuild the network as far as the file tells (see ``networks.describe``). A .pth is a plain state dict, or one under
    "state_dict" or "model_state_dict", with or without DataParallel's "module." before the names. Neither file can run
    code (see ``torch_files``, ``mindspore_files``). Raises ``MsCoresetError`` naming the file when it is missing,
    damaged, or of neither kind.
    """
    require_path("path", path)
    path = Path(path)
    if not os.path.isfile(path):
        raise MsCoresetError(f"no checkpoint {path}: train one with scripts/train.py, or give another --ckpt")
    if path.suffix in (".pth", ".pt"):
        arrays = from_torch_names(read_state(path))
        return arrays, describe(_shapes(arrays))
    if path.suffix == ".ckpt":
        arrays, notes = read_checkpoint(path)
        return arrays, notes.get("network") or describe(_shapes(arrays))
    raise MsCoresetError(f"{path} is neither a .ckpt nor a .pth file")


def load_weights(network: Any, path: str | os.PathLike) -> Any:
    """Put the weights of a .ckpt or .pth file into ``network``, all of them, and return it.

    Raises ``MsCoresetError`` when the file is of another architecture: a parameter is missing, left over or of
    another shape. See ``read_weights`` for the files.
    """
    require_network(network, "get_parameters")
    assign(network, read_weights(path)[0], path)
    return network


def save_weights(network: Any, path: str | os.PathLike) -> None:
    """Write ``network``'s weights as .ckpt (with its description) or .pth (a torch state dict), by the suffix."""
    require_path("path", path)
    require_network(network, "get_parameters")
    path = Path(path)
    arrays = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    if path.suffix == ".ckpt":
        write_checkpoint(path, arrays, {"network": getattr(network, "description", None)})
    elif path.suffix in (".pth", ".pt"):
        write_torch(path, arrays)
    else:
        raise MsCoresetError(f"can't save weights as {path}: the name must end in .ckpt or .pth")


def assign(network, arrays, source):
    """Set all parameters of ``network`` from ``arrays`` by name; ``source`` is named in the error if they differ."""
    from mindspore import Tensor

    parameters = {parameter.name: parameter for parameter in network.get_parameters()}
    missing, left_over = sorted(parameters.keys() - arrays.keys()), sorted(arrays.keys() - parameters.keys())
    if missing or left_over:
        what = f"lacks {missing[0]}" if missing else f"has {left_over[0]}, which the network lacks"
        raise MsCoresetError(f"{source} is a checkpoint of another architecture: it {what}")
    for name, parameter in parameters.items():
        if tuple(arrays[name].shape) != tuple(parameter.shape):
            raise MsCoresetError(f"{source} is a checkpoint of another architecture: {name} is "
                                 f"{tuple(arrays[name].shape)}, the network's {tuple(parameter.shape)}")
    for name, parameter in parameters.items():
        parameter.set_data(Tensor(arrays[name].astype(np.float32)))


def read_checkpoint(path):
    """The arrays and the notes (plain values) of a .ckpt file that ``write_checkpoint`` or MindSpore wrote."""
    entries = read_entries(path)
    text = entries.pop("notes", "{}")
    try:
        notes = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError) as error:
        raise MsCoresetError(f"{path} is not a whole MindSpore checkpoint: its notes are not JSON") from error
    if not isinstance(notes, dict):
        raise MsCoresetError(f"{path} is not a whole MindSpore checkpoint: its notes are no mapping")
    return {name: entry for name, entry in entries.items() if isinstance(entry, np.ndarray)}, notes


def write_checkpoint(path, arrays, notes):
    """Write arrays and notes (plain values) as MindSpore's .ckpt, whole or not at all."""
    import mindspore

    entries = [{"name": name, "data": mindspore.Tensor(array)} for name, array in arrays.items()]
    notes = json.dumps(notes)
    _replace(path, lambda part: mindspore.save_checkpoint(entries, part, append_dict={"notes": notes}, crc_check=True),
             _size(arrays) + len(notes))


def write_torch(path, arrays):
    """Write arrays under MindSpore's names as a torch state dict, whole or not at all."""
    torch = _torch()
    state = {name: torch.from_numpy(np.array(array)) for name, array in to_torch_names(arrays).items()}
    _replace(path, lambda part: torch.save(state, part), _size(arrays))


def _shapes(arrays):
    return {name: tuple(array.shape) for name, array in arrays.items()}


def _size(arrays):
    """Bytes that arrays take in a file, names and headers included, or a little less than that."""
    return sum(array.nbytes + len(name) for name, array in arrays.items())


def _replace(path, write, size):
    """Let ``write(name)`` make a file of about ``size`` bytes in a folder of its own, then move it to ``path``."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            _require_space(folder, size)
            part = Path(folder) / path.name
            write(str(part))
            part.chmod(0o644)  # MindSpore leaves its files read-only
            os.replace(part, path)
    except (OSError, RuntimeError) as error:
        raise MsCoresetError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from error


def _require_space(folder, size):
    """Raise ``OSError`` where ``size`` bytes do not fit: MindSpore would tell of it at length, on stderr."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        reserve(stream, max(size, 1))


def to_torch_names(arrays):
    """MindSpore's names to torch's; normalisation layers get torch's ``num_batches_tracked``."""
    back = {theirs: ours for ours, theirs in _NORMALISATION.items()}
    renamed = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.{back.get(kind, kind)}"] = array
        if kind == "moving_mean":
            renamed[f"{layer}.num_batches_tracked"] = np.zeros((), np.int64)
    return renamed


def from_torch_names(arrays):
    """torch's names to MindSpore's. A layer with a ``running_mean`` is a normalisation layer."""
    arrays = {_respell(name): array for name, array in arrays.items() if not name.endswith("num_batches_tracked")}
    normalisation = {name.rpartition(".")[0] for name in arrays if name.endswith(".running_mean")}
    renamed = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{layer}.{_NORMALISATION[kind]}" if layer in normalisation else name] = array
    return renamed


def _respell(name):
    return ".".join(_SPELLINGS.get(part, part) for part in name.removeprefix("module.").split("."))


def network_from_weights(path: str | os.PathLike, image_size: int, in_channels: int | None = None,
                         arch: str | None = None) -> Any:
    """Build the network that a checkpoint belongs to and load it.

    image_size, in_channels: of the images it is to see, used where the weights don't tell
    arch: what the user takes it for, or None to go by the file

    Raises ``MsCoresetError`` when the file is of another architecture than ``arch``, or of none known here.
    """
    arrays, description = read_weights(path)
    found = description.get("arch") if isinstance(description, dict) else None
    if found is None:
        raise MsCoresetError(f"{path} holds weights of no network known here")
    if arch is not None and found != arch:
        raise MsCoresetError(f"{path} is a checkpoint of another architecture: {found}, not {arch}")
    _require_borne_out(description, arrays, path)
    options = {"in_channels": in_channels, "num_classes": None, **description, "image_size": image_size}
    network = create_network(options.pop("arch"), **options)
    assign(network, arrays, path)
    return network


def _require_borne_out(description, arrays, path):
    """Raise ``MsCoresetError`` unless the sizes that a file's notes give are of its arrays: a network is made by them,
    and one of a thousand million classes would take all memory."""
    sides = {side for array in arrays.values() for side in array.shape}
    for name in ("num_classes", "width"):
        if description.get(name) is not None and (not isinstance(description[name], int)
                                                  or description[name] not in sides):
            raise MsCoresetError(f"{path} is not a whole checkpoint: no array bears out its {name}, "
                                 f"{description[name]!r}")


def _torch():
    try:
        import torch
    except ImportError as error:
        raise MsCoresetError(".pth files need PyTorch: pip install -c constraints.txt -e '.[torch]'") from error
    return torch
