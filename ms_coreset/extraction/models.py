"""Any network of PyTorch or MindSpore, as extraction asks it: the operations in which the two differ."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.device import require_mindspore
from ms_coreset.errors import MsCoresetError


class Model(Protocol):
    """A network of either framework.

    Attributes:
        network: of the framework, a module or a cell.
        layers: name -> layer, in the order in which the network has them.
    """

    network: Any
    layers: dict[str, Any]

    def is_linear(self, layer: Any) -> bool:
        """Whether a layer is linear (dense)."""

    def weights(self) -> Iterable[tuple[str, np.ndarray]]:
        """(name, numbers) of all parameters and running statistics."""

    def tensor(self, value: Any) -> Any:
        """An array or a tensor as a tensor on the network's device; anything else as it is."""

    def asking(self) -> AbstractContextManager[None]:
        """A context of evaluation mode, without gradients; the mode is restored afterwards."""


class _OfTorch:
    """A ``torch.nn.Module``; see ``Model``."""

    def __init__(self, network: Any) -> None:
        import torch

        self._torch, self.network, self.layers = torch, network, dict(network.named_modules())
        self._device = next((tensor.device for _, tensor in self._tensors()), torch.device("cpu"))

    def is_linear(self, layer: Any) -> bool:
        return isinstance(layer, self._torch.nn.Linear)

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, tensor in self._tensors():
            yield name, np.asarray(as_array(name, tensor))

    def _tensors(self) -> Iterator[tuple[str, Any]]:
        return itertools.chain(self.network.named_parameters(), self.network.named_buffers())

    def tensor(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = self._torch.from_numpy(np.ascontiguousarray(value))
        return value.to(self._device) if isinstance(value, self._torch.Tensor) else value

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        modes = [(layer, layer.training) for layer in self.layers.values()]
        self.network.eval()
        try:
            with self._torch.no_grad():
                yield
        finally:
            for layer, mode in modes:
                layer.training = mode


class _OfMindSpore:
    """A ``mindspore.nn.Cell``, which is not compiled to a graph; see ``Model``."""

    def __init__(self, network: Any) -> None:
        self._mindspore = require_mindspore()
        self.network, self.layers = network, dict(network.cells_and_names())

    def is_linear(self, layer: Any) -> bool:
        return isinstance(layer, self._mindspore.nn.Dense)

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, parameter in self.network.parameters_dict().items():
            yield name, parameter.asnumpy()

    def tensor(self, value: Any) -> Any:
        return self._mindspore.Tensor(value) if isinstance(value, np.ndarray) else value

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        modes = [(layer, layer.training) for layer in self.layers.values()]
        self.network.set_train(False)
        try:
            yield
        finally:
            for layer, mode in modes:
                layer.training = mode


def as_model(network: Any) -> Model:
    """A network of either framework, told by its class.

    Raises:
        MsCoresetError: for anything that is neither a ``torch.nn.Module`` nor a ``mindspore.nn.Cell``, and for a cell
            where MindSpore can't be used.
    """
    homes = {kind.__module__.partition(".")[0] for kind in type(network).__mro__
             if kind.__name__ in ("Module", "Cell")}
    kind = _OfTorch if "torch" in homes else _OfMindSpore if "mindspore" in homes else None
    if kind is None:
        raise MsCoresetError(f"model must be a torch.nn.Module or a mindspore.nn.Cell, got {type(network).__name__}")
    return kind(network)
