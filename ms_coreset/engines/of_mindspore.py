"""MindSpore's engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops

from ms_coreset.batches import Batch, Source, ahead
from ms_coreset.device import mean_cross_entropy
from ms_coreset.engines.frameworks import MINDSPORE


class MindSporeEngine:
    """See ``engines.Engine``."""

    name, suffix = MINDSPORE, ".ckpt"

    def tensor(self, array: np.ndarray) -> Tensor:
        return Tensor(array)

    def array(self, tensor: Tensor) -> np.ndarray:
        return tensor.asnumpy()

    def zeros(self, *shape: int) -> Tensor:
        return ops.zeros(shape)

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        return ops.cat(tensors)

    def asking(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return mindspore.grad(function)

    def mean_cross_entropy(self) -> Callable[[Any, Any], Any]:
        return mean_cross_entropy()

    def layers(self, network: Any) -> Iterator[nn.Cell]:
        return (cell for _, cell in network.cells_and_names())

    def first_convolution(self, network: Any) -> nn.Conv2d | None:
        first = next((cell for cell in self.layers(network) if isinstance(cell, nn.Conv2d | nn.Dense)), None)
        return first if isinstance(first, nn.Conv2d) else None

    def freeze(self, convolution: nn.Conv2d, weight: np.ndarray) -> None:
        convolution.weight.set_data(Tensor(weight))
        convolution.weight.requires_grad = False
        if convolution.has_bias:
            convolution.bias.set_data(Tensor(np.zeros(len(weight), np.float32)))

    def ahead(self, source: Source, size: int) -> Iterator[Batch]:
        return ahead(source, size)


ENGINE = MindSporeEngine()
