"""Layers that the network families share.

Names of attributes follow torch and torchvision, so that weights carry over by name (see ``weights``).
"""

import numpy as np
from mindspore import Tensor, nn

from ms_coreset.errors import MsCoresetError

VARIANTS = ("cifar", "imagenet")
SMALL = 32  # side of the images that the "cifar" variants were published for
_DRAWN = {"entry": None, "channel": 2, "sample": 1}  # how many leading dimensions have a draw of their own


def conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, bias=False, groups=1):
    """A convolution with explicit padding. Weights are zero until ``initialise`` draws them."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode="pad", padding=padding, group=groups,
                     has_bias=bias, weight_init="zeros", bias_init="zeros")


def linear(in_features, out_features):
    """A dense layer with bias. Weights are zero until ``initialise`` draws them."""
    return nn.Dense(in_features, out_features, weight_init="zeros", bias_init="zeros")


def choose_variant(variant, image_size, imagenet_from=SMALL * 2 + 1):
    """The variant asked for, or by the size of the images: "imagenet" for ``imagenet_from`` pixels and more.

    Raises ``MsCoresetError`` for one that there is not.
    """
    if variant is None:
        return "imagenet" if image_size >= imagenet_from else "cifar"
    if variant not in VARIANTS:
        raise MsCoresetError(f"unknown variant {variant!r}: there are {', '.join(VARIANTS)}")
    return variant


def fill_up(image_size):
    """Pixels of padding on every side that the first convolution adds, so that small images count as 32 pixels."""
    return max(0, -(-(SMALL - image_size) // 2))


class Classifier(nn.Cell):
    """A network whose logits are the last dense layer of ``features``.

    Subclasses give ``features(x)``, the exact input of the last dense layer (B, d), and ``head``, that layer, and set
    ``variant`` if their family has variants.
    """

    variant = None

    def construct(self, x):
        return self.head(self.features(x))

    @property
    def num_features(self):
        return self.head.in_channels


class Dropout(nn.Cell):
    """In training, zeroes each entry with chance ``p`` and divides the others by 1 - p; else changes nothing.

    The draws come from ``rng``, a NumPy ``RandomState`` that ``reseed`` sets, so that an epoch can be repeated alone
    and on any device. per: "entry"; "channel", whole channels (Dropout2d); or "sample", whole samples, which on a
    residual branch is stochastic depth (Huang et al. 2016).
    """

    def __init__(self, p, per="entry"):
        super().__init__()
        self.p, self.rng, self._drawn = p, np.random.RandomState(0), _DRAWN[per]

    def construct(self, x):
        if not self.training or not self.p:
            return x
        drawn = x.shape[:self._drawn]
        kept = self.rng.random_sample(drawn) >= self.p
        mask = (kept / (1 - self.p)).astype(np.float32).reshape(drawn + (1,) * (x.ndim - len(drawn)))
        return x * Tensor(mask)


def reseed(network, rng):
    """Let all dropout of ``network`` draw from ``rng``, in the order in which the layers are passed."""
    for _, cell in network.cells_and_names():
        if isinstance(cell, Dropout):
            cell.rng = rng
