"""Layers that the network families share, and their initialisation.

Names of attributes follow torch and torchvision, so that weights carry over by name (see ``weights``).
"""

import numpy as np
from mindspore import Tensor, nn

from ms_coreset.randomness import check_seed


def conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, bias=False):
    """A convolution with explicit padding. Weights are zero until ``initialise`` draws them."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode="pad", padding=padding, has_bias=bias,
                     weight_init="zeros", bias_init="zeros")


def linear(in_features, out_features):
    """A dense layer with bias. Weights are zero until ``initialise`` draws them."""
    return nn.Dense(in_features, out_features, weight_init="zeros", bias_init="zeros")


class Classifier(nn.Cell):
    """A network whose logits are ``self.fc`` or the last layer of ``features``.

    Subclasses give ``features(x)``, the exact input of the last dense layer (B, d), and ``head``, that layer.
    """

    def construct(self, x):
        return self.head(self.features(x))

    @property
    def num_features(self):
        return self.head.in_channels


def uniform_fan_in(rng, shape, fan_in):
    """Uniform in +-1/sqrt(fan_in): torch's default for weights and biases of convolutions and dense layers."""
    bound = 1 / np.sqrt(fan_in)
    return rng.uniform(-bound, bound, size=shape)


def he_normal_fan_out(rng, shape):
    """Normal with variance 2 / (out_channels * k * k) (He et al. 2015, for the backward pass)."""
    return rng.normal(0, np.sqrt(2 / (shape[0] * np.prod(shape[2:]))), size=shape)


def initialise(network, seed, he_convolutions=False):
    """Draw all weights from one ``RandomState(seed)``, in order of definition, and return the network.

    The framework's generator is not used: the same seed gives the same network on every device, and in torch_ref.
    Normalisation layers keep scale 1 and shift 0. he_convolutions: He's normal for convolutions without bias, else
    torch's default for every layer.
    """
    rng = np.random.RandomState(check_seed(seed))
    for _, cell in network.cells_and_names():
        if not isinstance(cell, nn.Conv2d | nn.Dense):
            continue
        shape = cell.weight.shape
        fan_in = int(np.prod(shape[1:]))
        he = he_convolutions and isinstance(cell, nn.Conv2d)
        _assign(cell.weight, he_normal_fan_out(rng, shape) if he else uniform_fan_in(rng, shape, fan_in))
        if cell.has_bias:
            _assign(cell.bias, uniform_fan_in(rng, cell.bias.shape, fan_in))
    return network


def _assign(parameter, values):
    parameter.set_data(Tensor(values.astype(np.float32)))
