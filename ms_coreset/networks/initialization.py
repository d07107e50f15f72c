"""First weights, drawn from a NumPy seed: the same on every device, and in torch_ref."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mindspore import Parameter, Tensor, nn

from ms_coreset.randomness import check_seed

Draw = Callable[[np.random.RandomState, tuple[int, ...], tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Scheme:
    """The initial distributions of weights and biases of a kind of layer.

    Attributes:
        weight: function (rng, shape, shape of the layer's weight) -> array.
        bias: likewise.
    """

    weight: Draw
    bias: Draw


def zeros(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
    """All zero; draws nothing."""
    return np.zeros(shape)


def uniform_fan_in(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +-1/sqrt(fan_in): torch's default for weights and biases of convolutions and dense layers."""
    bound = 1 / np.sqrt(np.prod(weight_shape[1:]))
    return rng.uniform(-bound, bound, size=shape)


def uniform_fan_out(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +-1/sqrt(number of outputs)."""
    bound = 1 / np.sqrt(weight_shape[0])
    return rng.uniform(-bound, bound, size=shape)


def he_normal_fan_out(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 2 / (out_channels * k * k) (He et al. 2015, for the backward pass)."""
    return rng.normal(0, np.sqrt(2 / (weight_shape[0] * np.prod(weight_shape[2:]))), size=shape)


def normal(deviation: float) -> Draw:
    """Normal with mean 0 and this standard deviation."""
    def draw(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(0, deviation, size=shape)
    return draw


def identity(rng: np.random.RandomState, shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> np.ndarray:
    """The first filters pass one input channel each, at the kernel's center; others are as in ``uniform_fan_in``."""
    weight = uniform_fan_in(rng, shape, weight_shape)
    passed = min(shape[:2])
    weight[:passed] = 0
    weight[np.arange(passed), np.arange(passed), shape[2] // 2, shape[3] // 2] = 1
    return weight


TORCH = Scheme(uniform_fan_in, uniform_fan_in)
HE = Scheme(he_normal_fan_out, zeros)
IDENTITY = Scheme(identity, zeros)


def initialize(network: nn.Cell, seed: int, convolution: Scheme = TORCH, *, dense: Scheme = TORCH) -> nn.Cell:
    """Draw all weights of a network from one ``RandomState(seed)``.

    The weights are drawn in order of definition, each layer's weight before its bias. The framework's own generator is
    not used: the same seed gives the same network on every device. Normalization layers keep scale 1 and shift 0. A
    convolution or dense layer with an attribute ``scheme`` is drawn by that one.

    Args:
        network: a MindSpore Cell, which is changed.
        seed: of the draws, 0 to 2**32 - 1.
        convolution: ``Scheme`` of convolutions, by default torch's: weights and biases uniform in +-1/sqrt(fan_in).
        dense: ``Scheme`` of dense layers, by default the same.

    Returns:
        The network.
    """
    rng = np.random.RandomState(check_seed(seed))
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.Conv2d | nn.Dense):
            scheme = getattr(cell, "scheme", convolution if isinstance(cell, nn.Conv2d) else dense)
            shape = cell.weight.shape
            _assign(cell.weight, scheme.weight(rng, shape, shape))
            if cell.has_bias:
                _assign(cell.bias, scheme.bias(rng, cell.bias.shape, shape))
    return network


def _assign(parameter: Parameter, values: np.ndarray) -> None:
    parameter.set_data(Tensor(values.astype(np.float32)))
