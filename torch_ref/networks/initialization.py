"""First weights, from a NumPy ``RandomState``."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

Draw = Callable[[np.random.RandomState, tuple[int, ...], torch.Tensor], np.ndarray]
Scheme = tuple[Draw, Draw]  # of weight and bias
Built = tuple[nn.Module, dict[str, Scheme]]  # a network, and how its layers start


def zeros(rng: np.random.RandomState, shape: tuple[int, ...], weight: torch.Tensor) -> np.ndarray:
    """All zero."""
    return np.zeros(shape)


def uniform_fan_in(rng: np.random.RandomState, shape: tuple[int, ...], weight: torch.Tensor) -> np.ndarray:
    """U(-b, b), b = 1/sqrt(fan_in) of the layer's ``weight``: torch's default distribution."""
    bound = 1 / math.sqrt(weight[0].numel())
    return rng.uniform(-bound, bound, size=shape)


def uniform_fan_out(rng: np.random.RandomState, shape: tuple[int, ...], weight: torch.Tensor) -> np.ndarray:
    """U(-b, b), b = 1/sqrt(outputs)."""
    bound = 1 / math.sqrt(weight.shape[0])
    return rng.uniform(-bound, bound, size=shape)


def he_fan_out(rng: np.random.RandomState, shape: tuple[int, ...], weight: torch.Tensor) -> np.ndarray:
    """N(0, 2/(out_channels k k)) (He et al. 2015, fan-out)."""
    fan_out = weight.shape[0] * weight[0][0].numel()
    return rng.normal(0, math.sqrt(2 / fan_out), size=shape)


def normal(deviation: float) -> Draw:
    """N(0, deviation^2)."""
    return lambda rng, shape, weight: rng.normal(0, deviation, size=shape)


def identity(rng: np.random.RandomState, shape: tuple[int, ...], weight: torch.Tensor) -> np.ndarray:
    """Filter i is 1 at the center of input channel i, 0 elsewhere; filters beyond the inputs as ``uniform_fan_in``."""
    values = uniform_fan_in(rng, shape, weight)
    for i in range(min(shape[0], shape[1])):
        values[i] = 0
        values[i, i, shape[2] // 2, shape[3] // 2] = 1
    return values


# (weight, bias) of a layer
TORCH = (uniform_fan_in, uniform_fan_in)
HE = (he_fan_out, zeros)


@torch.no_grad()
def initialize(network: nn.Module, rng: np.random.RandomState, convolution: Scheme = TORCH,
               linear: Scheme = TORCH) -> nn.Module:
    """Draw the weights of all layers in order of definition, weight before bias.

    A layer's own ``scheme``, if it has one, replaces that of its kind. BatchNorm keeps gamma 1 and beta 0.

    Args:
        network: the network.
        rng: the random generator.
        convolution: initial distributions (weight, bias) of convolutions.
        linear: initial distributions (weight, bias) of linear layers.

    Returns:
        The network.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            scheme = getattr(module, "scheme", convolution if isinstance(module, nn.Conv2d) else linear)
            for parameter, draw in zip((module.weight, module.bias), scheme, strict=True):
                if parameter is not None:
                    parameter.copy_(torch.from_numpy(draw(rng, tuple(parameter.shape), module.weight)))
    return network
