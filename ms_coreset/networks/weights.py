"""Weights on disk: MindSpore's .ckpt, torch's .pth, and .safetensors, recognized by content, not by name.

See ``parameter_names`` for the names of parameters.
"""

import functools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from ms_coreset.device import require_mindspore
from ms_coreset.engines import engine_of, torch_engine
from ms_coreset.engines.frameworks import MEMORY, MINDSPORE
from ms_coreset.errors import MsCoresetError, require_network, require_path
from ms_coreset.files import open_file, reserve
from ms_coreset.kinds import FilePath, Log, Network, Shapes, Trainable
from ms_coreset.networks import create_network, describe
from ms_coreset.networks.libraries import is_of_library
from ms_coreset.networks.mindspore_files import read_entries
from ms_coreset.networks.parameter_names import (
    HEAD,
    from_torch_names,
    is_batch_counter,
    readings,
    shared_prefix,
    to_torch_names,
)
from ms_coreset.networks.torch_files import read_training
from ms_coreset.safetensors_files import read_tensors
from ms_coreset.terminal import warn

Kept = TypeVar("Kept", bound=Trainable)
_HEADLESS = {"num_classes": 0}  # of a description: a network whose file lacks its last layer


def read_weights(path: FilePath, log: Log = warn) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the weights of a network in a checkpoint.

    The file may be a .ckpt of MindSpore, with or without what training keeps beside the network; a state dict of torch,
    alone or in a checkpoint of another program; or a .safetensors; whatever its name. ``parameter_names.readings`` says
    which arrays are the network's. None of these files can run code (see ``torch_files``, ``mindspore_files``,
    ``safetensors_files``).

    Args:
        path: the file.
        log: called with a line for the user if something is left out; by default the ``warning`` of the logger
            ``ms_coreset``.

    Returns:
        (arrays, description): arrays by MindSpore's names, and the arguments of ``create_network`` that rebuild the
        network, as far as the file tells (see ``networks.describe``). "num_classes" is 0 if the last layer is missing.
        For an unknown network: all arrays by their names in the file, and {}.

    Raises:
        MsCoresetError: if the file is missing, damaged, or no checkpoint; it names the file.
    """
    arrays, notes = _read(path, log)
    names, description = _describe(arrays)
    noted = notes.get("network")
    if isinstance(noted, dict) and noted.get("arch") != description.get("arch"):  # one that a user registered
        names, description = next(readings(arrays)), noted
    _tell_of_rest(path, names, arrays, log)
    return {name: arrays[file] for name, file in names.items()}, description


def _read(path: FilePath, log: Log) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays as the file calls them, its notes)."""
    require_path("path", path)
    path = Path(path)
    if not os.path.isfile(path):
        raise MsCoresetError(f"no checkpoint {path}: train one with ms-coreset train, or give another --ckpt")
    kind = _kind_of(path)
    if kind == "mindspore":
        return read_checkpoint(path)
    if kind == "safetensors":
        return read_tensors(path), {}
    state, _, notes = read_training(path, log)
    return state, _mapping(notes, path)


def _kind_of(path: Path) -> str:
    """The kind of a file, by its first bytes."""
    try:
        with open_file(path) as stream:
            head = stream.read(9)
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error
    if head[5:] == b"\0\0\0{":  # after the length of a header below 2^40 bytes
        return "safetensors"
    if head.startswith((b"PK\3\4", b"\x80")):  # an archive, or a pickle
        return "torch"
    if head.startswith(b"\n"):
        return "mindspore"
    raise MsCoresetError(f"{path} is neither a whole .ckpt of MindSpore nor a .pth of torch nor a .safetensors file")


def _describe(arrays: dict[str, np.ndarray],
              recognize: Callable[[Shapes], dict[str, Any]] = describe) -> tuple[dict[str, str], dict[str, Any]]:
    """({parameter's name: name in the file}, description) of a network known here; for others, all arrays and {}."""
    whole, *others = readings(arrays)
    for names in others:
        shapes = {name: arrays[file].shape for name, file in names.items()}
        if described := recognize(shapes):
            return names, described
    for names in others:
        body = {name: file for name, file in names.items() if not name.startswith("fc.")}
        shapes = {name: arrays[file].shape for name, file in body.items()}
        if described := recognize({**shapes, **dict(zip(HEAD, ((1, 1), (1,)), strict=True))}):
            return body, {**described, **_HEADLESS}
    return whole, {}


def _tell_of_rest(path: FilePath, names: dict[str, str], arrays: dict[str, np.ndarray], log: Log) -> None:
    """Tell of arrays of more than one number that are left out, by where they are kept."""
    left = [name for name in arrays.keys() - set(names.values())
            if arrays[name].size > 1 and not is_batch_counter(name)]
    if left:
        shared = shared_prefix(arrays)
        parts = sorted({name.removeprefix(shared).partition(".")[0] for name in left})
        log(f"{path}: {len(names)} of its arrays are taken for the network's; left out: {', '.join(parts)}")


def load_weights(network: Kept, path: str | os.PathLike) -> Kept:
    """Load all weights of a network from a checkpoint.

    Args:
        network: to be filled.
        path: the file: MindSpore's .ckpt, torch's .pth, or .safetensors; see ``read_weights``.

    Returns:
        The network.

    Raises:
        MsCoresetError: if the file is missing or damaged, and if a parameter is missing, left over or of another shape.
    """
    engine_of(network)  # raises if the framework is not installed
    require_network(network, "get_parameters")
    _fill(network, _read(path, warn)[0], path, warn)
    return network


def _fill(network: Trainable, arrays: dict[str, np.ndarray], source: FilePath, log: Log) -> None:
    """``assign`` the ``arrays`` of a file, by the reading of their names that is closest to the network's names."""
    names = _closest_reading(network, arrays)
    assign(network, {name: arrays[file] for name, file in names.items()}, source)
    _tell_of_rest(source, names, arrays, log)


def _closest_reading(network: Trainable, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    wanted = {parameter.name for parameter in network.get_parameters()}
    return min(readings(arrays), key=lambda names: len(wanted ^ names.keys()))


def save_weights(network: Trainable, path: str | os.PathLike) -> None:
    """Write a network's weights as .ckpt (with its description) or .pth (a torch state dict), by the suffix.

    Args:
        network: the network.
        path: of the file.

    Raises:
        MsCoresetError: for another suffix, and if the file can't be written.
    """
    require_path("path", path)
    engine_of(network)
    require_network(network, "get_parameters")
    path = Path(path)
    arrays = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    if path.suffix == ".ckpt":
        write_checkpoint(path, arrays, {"network": getattr(network, "description", None)})
    elif path.suffix in (".pth", ".pt"):
        write_torch(path, arrays)
    else:
        raise MsCoresetError(f"can't save weights as {path}: the name must end in .ckpt or .pth")


def assign(network: Trainable, arrays: dict[str, np.ndarray], source: FilePath) -> None:
    """Set all parameters of ``network`` from ``arrays`` by name.

    Args:
        network: to be filled.
        arrays: parameter's name -> array.
        source: the file, for the message.

    Raises:
        MsCoresetError: if names or shapes differ.
    """
    engine = engine_of(network)
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
        parameter.set_data(engine.tensor(arrays[name].astype(np.float32)))


def read_checkpoint(path: FilePath) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays, by MindSpore's names, and the notes (plain values) of a file by ``write_checkpoint`` or MindSpore.

    Args:
        path: the file.

    Returns:
        (name -> array, notes).

    Raises:
        MsCoresetError: naming the file when it is missing, damaged, or of another kind.
    """
    if Path(path).suffix == ".pth":
        state, memory, told = read_training(path)
        return {**from_torch_names(state), **memory}, _mapping(told, path)
    entries = read_entries(path)
    text = entries.pop("notes", "{}")
    notes = _mapping(text, path) if isinstance(text, str) else {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, np.ndarray)}, notes


def _mapping(notes: str, path: FilePath) -> dict[str, Any]:
    kind = "torch" if Path(path).suffix == ".pth" else "MindSpore"
    try:
        found = json.loads(notes)
    except (ValueError, RecursionError) as error:
        raise MsCoresetError(f"{path} is not a whole {kind} checkpoint: its notes are not JSON") from error
    if not isinstance(found, dict):
        raise MsCoresetError(f"{path} is not a whole {kind} checkpoint: its notes are no mapping")
    return found


def write_checkpoint(path: FilePath, arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    """Write arrays and notes as MindSpore's .ckpt, or torch's .pth, completely or not at all.

    A .pth holds "state_dict" with torch's names, "optimizer" with the arrays of
    ``engines.frameworks.MEMORY``, and "notes" as JSON.

    Args:
        path: of the file; its suffix tells which.
        arrays: MindSpore's name -> array.
        notes: plain values.

    Raises:
        MsCoresetError: when the file can't be written.
    """
    if Path(path).suffix == ".pth":
        memory = {name: array for name, array in arrays.items() if name.startswith(MEMORY)}
        weights = {name: array for name, array in arrays.items() if name not in memory}
        return _write_torch(path, {"state_dict": to_torch_names(weights), "optimizer": memory}, json.dumps(notes))
    mindspore = require_mindspore()
    entries = [{"name": name, "data": mindspore.Tensor(array)} for name, array in arrays.items()]
    text = json.dumps(notes)
    _replace(path, lambda part: mindspore.save_checkpoint(entries, part, append_dict={"notes": text}, crc_check=True),
             _size(arrays) + len(text))


def write_torch(path: FilePath, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays under MindSpore's names as a torch state dict, completely or not at all.

    Args:
        path: of the file.
        arrays: MindSpore's name -> array.

    Raises:
        MsCoresetError: when the file can't be written.
    """
    torch = _torch()
    state = {name: torch.from_numpy(np.array(array)) for name, array in to_torch_names(arrays).items()}
    _replace(path, lambda part: torch.save(state, part), _size(arrays))


def _write_torch(path: FilePath, parts: dict[str, dict[str, np.ndarray]], notes: str) -> None:
    torch = _torch()
    tensors = {part: {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
               for part, arrays in parts.items() if arrays}
    size = sum(map(_size, parts.values())) + len(notes)
    _replace(path, lambda part: torch.save({**tensors, "notes": notes}, part), size)


def _size(arrays: dict[str, np.ndarray]) -> int:
    """Bytes that arrays take in a file, names and headers included, or a little less than that."""
    return sum(array.nbytes + len(name) for name, array in arrays.items())


def _replace(path: FilePath, write: Callable[[str], object], size: int) -> None:
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


def _require_space(folder: str, size: int) -> None:
    """Raise ``OSError`` where ``size`` bytes do not fit: MindSpore would tell of it at length, on stderr."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        reserve(stream, max(size, 1))


def network_from_weights(path: str | os.PathLike, image_size: int, in_channels: int | None = None,
                         *, arch: str | None = None, framework: str = MINDSPORE, log: Log = warn) -> Network:
    """Build the network of a checkpoint and load its weights; see ``read_weights`` for the files.

    Args:
        path: the file.
        image_size: side of the images in pixels, used if the file does not tell.
        in_channels: channels of the images, used if the file does not tell.
        arch: name of the network that the file must hold; None: whichever it holds.
        framework: framework that computes the network, "mindspore" or "torch".
        log: called with a line if arrays of the file are left out, or if the last layer is missing. The network then
            has a last layer of zeros for one class; its features are the same as with the true layer.

    Returns:
        The network.

    Raises:
        MsCoresetError: if the file is missing or damaged, and if it is of another architecture than ``arch``, or of an
            unknown one.
    """
    arrays, notes = _read(path, log)
    if arch is not None and is_of_library(arch) and not notes.get("network"):
        names, description = _describe_as(arch, arrays, image_size, in_channels, framework)
    elif framework == MINDSPORE:
        names, description = _describe(arrays)
    elif notes.get("network"):
        names, description = {}, {}
    else:
        names, description = _describe(arrays, functools.partial(torch_engine().describe, image_size=image_size,
                                                                 arch=arch))
    description = notes.get("network") or description
    found = description.get("arch") if isinstance(description, dict) else None
    if found is None:
        raise MsCoresetError(f"{path} holds weights of no network known here ({_show(arrays)}): known are those of "
                             "list_networks() by torchvision's names, and a library's where --arch says which, such as "
                             "timm:convnext_tiny; any other network's features and logits can be given as arrays")
    if arch is not None and found != arch:
        raise MsCoresetError(f"{path} is a checkpoint of another architecture: {found}, not {arch}")
    options = {"in_channels": in_channels, "num_classes": None, **description, "image_size": image_size,
               "framework": framework}
    if description.items() >= _HEADLESS.items():
        return _without_head(options, {name: arrays[file] for name, file in names.items()}, path, log)
    _require_borne_out(description, arrays, path)
    network = create_network(options.pop("arch"), **options)
    _fill(network, arrays, path, log)
    return network


def _describe_as(arch: str, arrays: dict[str, np.ndarray], image_size: int, in_channels: int | None,
                 framework: str) -> tuple[dict[str, str], dict[str, Any]]:
    """({parameter's name: name in the file}, description) of arrays that a library's network ``arch`` has saved."""
    options = {} if in_channels is None else {"in_channels": in_channels}
    network = create_network(arch, 1, image_size=image_size, framework=framework, **options)
    names = _closest_reading(network, arrays)
    weight = names.get(_head_of(network)[0])
    classes = {} if weight is None else dict(zip(("num_classes",), arrays[weight].shape, strict=False))
    return names, {"arch": arch, **options, **_HEADLESS, **classes}


def _head_of(network: Network) -> tuple[str, str]:
    """Names of the last layer's weight and bias."""
    name = getattr(network, "head_name", "fc")
    return f"{name}.weight", f"{name}.bias"


def _show(arrays: dict[str, np.ndarray]) -> str:
    first = sorted(arrays)[:3]
    return ", ".join(first) + (", ..." if len(first) < len(arrays) else "")


def _without_head(options: dict[str, Any], arrays: dict[str, np.ndarray], path: FilePath, log: Log) -> Network:
    """The network whose ``arrays`` lack the last layer, which is 0 for one class."""
    network = create_network(options.pop("arch"), **{**options, "num_classes": 1})
    head = {parameter.name: np.zeros(parameter.shape, np.float32) for parameter in network.get_parameters()
            if parameter.name in _head_of(network)}
    assign(network, {**arrays, **head}, path)
    log(f"{path} has no last layer: its features serve, logits it has none")
    return network


def _require_borne_out(description: dict[str, Any], arrays: dict[str, np.ndarray], path: FilePath) -> None:
    """Check that the sizes in a file's notes are those of its arrays.

    A network is built by these sizes, and one of a thousand million classes would take all memory.

    Raises:
        MsCoresetError: if they differ.
    """
    sides = {side for array in arrays.values() for side in array.shape}
    for name in ("num_classes", "width"):
        if description.get(name) is not None and (not isinstance(description[name], int)
                                                  or description[name] not in sides):
            raise MsCoresetError(f"{path} is not a whole checkpoint: no array bears out its {name}, "
                                 f"{description[name]!r}")


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MsCoresetError(".pth files need PyTorch: pip install torch") from error
    return torch
