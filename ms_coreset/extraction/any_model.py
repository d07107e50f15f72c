"""Features and logits of any network of PyTorch or MindSpore, of any data, in files that methods choose from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError, require_kind, require_path
from ms_coreset.evidence import EXTRACTED, Evidence
from ms_coreset.extraction.growing import GrowingArrays
from ms_coreset.extraction.models import Model, as_model
from ms_coreset.kinds import FilePath
from ms_coreset.locks import try_lock
from ms_coreset.progress import Progress

DTYPES = ("float32", "float16")
Asked = Callable[[Any, Any], Any]


def extract_from(model: Any, loader: Iterable, folder: FilePath, *, features: str | Asked | None = None,
                 need: Iterable[str] = EXTRACTED, dtype: str = "float32") -> Evidence:
    """Write what any network says of any data to ``features.npy``, ``logits.npy`` and ``labels.npy`` in a folder.

    The network is in evaluation mode, which is restored; batches are asked one by one, in the loader's order, and
    nothing else is kept in memory. The folder is ``--dataset arrays --data FOLDER`` for commands. If the call is
    interrupted, the same call goes on, and the files become the same bytes: the loader gives its batches again, but the
    network is asked only about those that were not noted yet, which is done every second. Until all is done the files
    are hidden in ``.extraction``. A folder that is whole is opened, and no network asked.

    Args:
        model: a ``torch.nn.Module``, on any device, or a ``mindspore.nn.Cell`` that is not compiled to a graph.
        loader: gives n samples in batches: (inputs, labels), (inputs,), or inputs alone, the same each time and in the
            order of the data set. A ``DataLoader`` that does not shuffle, a data set of ``mindspore.dataset`` that was
            made with shuffle=False, or a list. Inputs are tensors or NumPy's, and are brought to the network's device.
            Labels are (B,) whole numbers.
        folder: of the files, which is made.
        features: where they come from. None: the input (B, d) of the last linear layer, whose output has as many
            columns as the logits. A text: the output of the layer of this name, "avgpool" say, its axes after the first
            laid out as one. A function of the network and the inputs: it returns features (B, ...), or (features,
            logits).
        need: "features", "logits" or both; logits, (B, C), are what the network returns, or its ``.logits``.
        dtype: of both, "float32" or "float16".

    Returns:
        ``Evidence`` of the files, which stay in their files; without labels if the loader gives none.

    Raises:
        MsCoresetError: for an unknown layer, a network that does not end with a linear layer, a loader that shuffles or
            gives other batches than before, numbers that ``dtype`` can't hold, and a folder of other weights or
            options.
    """
    require_path("folder", folder)
    need = _needed(need)
    if dtype not in DTYPES:
        raise MsCoresetError(f"dtype {dtype!r}: must be {' or '.join(DTYPES)}")
    _require_order(loader)
    asked = as_model(model)
    made_from = {"weights": _weights_digest(asked), "features": _spell(features), "need": list(need), "dtype": dtype}
    with try_lock(Path(folder) / ".lock"):
        store = GrowingArrays(folder, made_from)
        ask = _answers_by(asked, features, need, dtype)
        with asked.asking():
            _fill(store, loader, ask)
        store.finish()
        arrays = store.arrays()
    return Evidence(arrays.get("labels"), features=arrays.get("features"), logits=arrays.get("logits"))


def _needed(need: Iterable[str]) -> tuple[str, ...]:
    require_kind("need", need, list, tuple, set)
    unknown = set(map(str, need)) - set(EXTRACTED)
    if unknown or not need:
        raise MsCoresetError(f"can't extract {', '.join(sorted(unknown)) or 'nothing'}: there are "
                             f"{', '.join(EXTRACTED)}")
    return tuple(name for name in EXTRACTED if name in need)


def _require_order(loader: Any) -> None:
    """Refuse what is no iterable, and a PyTorch ``DataLoader`` whose rows would not be the data set's."""
    if not isinstance(loader, Iterable):
        raise MsCoresetError(f"loader must give batches when it is iterated over, got {type(loader).__name__}")
    if "Random" in type(getattr(loader, "sampler", None)).__name__:
        raise MsCoresetError("the loader shuffles: rows would be no places in the data set; make it with shuffle=False")
    if getattr(loader, "drop_last", False) is True:
        raise MsCoresetError("the loader leaves out the last samples: make it with drop_last=False")


def _weights_digest(model: Model) -> str:
    weights = dict(model.weights())
    return array_digest(np.array([*weights], str), *weights.values())


def _spell(features: str | Asked | None) -> str | None:
    """What tells where features come from: of a function its name and a checksum of what it does itself."""
    if features is None or isinstance(features, str):
        return features
    code = getattr(features, "__code__", None)
    does = "" if code is None else array_digest(np.frombuffer(code.co_code, np.uint8), np.array(code.co_names, str))
    return f"{getattr(features, '__qualname__', type(features).__name__)}() {does[:8]}".rstrip()


def _fill(store: GrowingArrays, loader: Iterable, ask: Callable[[Any], dict[str, np.ndarray]]) -> None:
    """Add the batches that are not in ``store`` yet."""
    mark, number = "", -1
    with Progress(_length(loader), "extract", "batches", start=store.batches) as progress:
        for number, batch in enumerate(loader):
            inputs, labels = _parts(batch)
            mark = array_digest(np.array(mark), *_first_of(inputs), *labels.values())
            if number < store.batches:
                _require_same(store, number, mark)
            else:
                store.append(mark, {**ask(inputs), **labels})
                progress.update(1)
            if store.whole:
                return
    if number + 1 < max(1, store.batches):
        raise MsCoresetError(f"the loader gives {number + 1} batches"
                             + (f", {store.batches} before" if store.batches else ""))


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # it does not know
        return None


def _require_same(store: GrowingArrays, number: int, mark: str) -> None:
    known = {0: store.first_mark, store.batches - 1: store.mark}
    if known.get(number, mark) != mark:
        raise MsCoresetError("the loader gives other batches than those in the folder: of other data or another size, "
                             "or it shuffles or augments at random; name another folder, or give the same batches")


def _parts(batch: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """(inputs, the labels by their name or nothing) of a batch."""
    if not isinstance(batch, list | tuple):
        return batch, {}
    if len(batch) not in (1, 2):
        raise MsCoresetError(f"a batch of {len(batch)} parts: must be (inputs, labels) or inputs; pick them: "
                             "((x, y) for x, y, *_ in loader)")
    if len(batch) == 1:
        return batch[0], {}
    labels = np.asarray(as_array("labels", batch[1]))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise MsCoresetError(f"labels {labels.dtype} of shape {labels.shape}: must be (B,) whole numbers")
    return batch[0], {"labels": labels.astype(np.int64)}


def _first_of(inputs: Any) -> Iterator[np.ndarray]:
    """The first sample of a batch of tensors or arrays: enough to tell another order from the same."""
    if getattr(inputs, "shape", ()) and len(inputs):
        yield np.asarray(as_array("inputs", inputs[:1]))


def _as_rows(name: str, value: Any, dtype: str) -> np.ndarray:
    """(B, columns) of a tensor, as ``dtype``."""
    rows = np.asarray(as_array(name, value))
    if rows.ndim < 2 or (name == "logits" and rows.ndim > 2) or rows.dtype.kind not in "fiu":
        raise MsCoresetError(f"{name} {rows.dtype} of shape {rows.shape}: must be (B, columns) numbers; a function as "
                             "features= picks them")
    with np.errstate(over="ignore"):
        kept = rows.reshape(len(rows), -1).astype(dtype)
    if not np.isfinite(kept).all():
        reason = f"too large for {dtype}" if np.isfinite(rows).all() else "not finite"
        raise MsCoresetError(f"{name}: there are numbers that are {reason}")
    return kept


# Where features and logits come from

def _answers_by(model: Model, features: str | Asked | None, need: tuple[str, ...],
                dtype: str) -> Callable[[Any], dict[str, np.ndarray]]:
    """A function from inputs to arrays by name, of those that are needed."""
    if callable(features):
        answer = _by_function(model, features, need)
    elif features is None:
        answer = _by_last_linear(model)
    elif features in model.layers and features:
        answer = _by_layer(model, model.layers[features])
    else:
        raise MsCoresetError(f"the network has no layer {features!r}; its layers: "
                             f"{', '.join(name for name in model.layers if name)}")
    return lambda inputs: {name: _as_rows(name, value, dtype) for name, value in answer(model.tensor(inputs)).items()
                           if name in need}


def _by_function(model: Model, function: Asked, need: tuple[str, ...]) -> Callable[[Any], dict[str, Any]]:
    def answer(inputs: Any) -> dict[str, Any]:
        found = function(model.network, inputs)
        found = dict(zip(EXTRACTED, found, strict=False)) if isinstance(found, tuple) else {"features": found}
        if "features" not in found or (need == ("logits",) and "logits" not in found):
            raise MsCoresetError("the function features= must return features, or (features, logits)")
        return found

    return answer


def _by_layer(model: Model, layer: Any) -> Callable[[Any], dict[str, Any]]:
    def answer(inputs: Any) -> dict[str, Any]:
        with _watching([layer]) as passed:
            logits = _logits(model.network(inputs))
        if not passed:
            raise MsCoresetError(f"the network does not use its layer {type(layer).__name__}: name another as features")
        return {"features": passed[-1][1], "logits": logits}

    return answer


def _by_last_linear(model: Model) -> Callable[[Any], dict[str, Any]]:
    linear = [layer for layer in model.layers.values() if model.is_linear(layer)]

    def answer(inputs: Any) -> dict[str, Any]:
        with _watching(linear) as passed:
            logits = _logits(model.network(inputs))
        if not passed or len(passed[-1][0].shape) != 2 or passed[-1][1].shape != logits.shape:
            raise MsCoresetError("the network does not end with a linear layer (B, d) -> (B, C): say where features "
                                 "come from, features= the name of a layer or a function")
        return {"features": passed[-1][0], "logits": logits}

    return answer


def _logits(output: Any) -> Any:
    logits = getattr(output, "logits", output)  # of transformers' models
    if not hasattr(logits, "shape"):
        raise MsCoresetError(f"the network returns a {type(output).__name__}, no tensor: a function as features= picks "
                             "features and logits")
    return logits


@contextlib.contextmanager
def _watching(layers: Iterable[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """A list of the (input, output) of the layers, in the order in which they are computed within the block."""
    passed: list[tuple[Any, Any]] = []

    def note(layer: Any, inputs: tuple, output: Any) -> None:
        passed[:] = [(inputs[0], output)]  # of the last one alone: others would keep their memory

    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()
