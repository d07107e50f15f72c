"""Layers that the network families share.

Names of attributes follow torch and torchvision, so that weights carry over by name (see ``weights``).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_coreset.device import current_device
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Trainable

VARIANTS = ("cifar", "imagenet")
SMALL = 32  # side of the images that the "cifar" variants were published for
_DRAWN = {"entry": None, "channel": 2, "sample": 1}  # number of leading dimensions with draws of their own


def conv2d(in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int = 1,
           padding: int | tuple[int, ...] = 0, bias: bool = False, groups: int = 1) -> nn.Cell:
    """A convolution with explicit padding. Weights are zero until ``initialize`` draws them."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, pad_mode="pad", padding=padding, group=groups,
                     has_bias=bias, weight_init="zeros", bias_init="zeros")


def linear(in_features: int, out_features: int) -> nn.Cell:
    """A dense layer with bias. Weights are zero until ``initialize`` draws them."""
    return nn.Dense(in_features, out_features, weight_init="zeros", bias_init="zeros")


class _EvenMaxPool(nn.MaxPool2d):
    """Max-pooling over windows side by side, by the adaptive kernel.

    Its windows are the same if they fill the map, and on a CPU its backward pass takes a tenth of the time.
    """

    def construct(self, x: Tensor) -> Tensor:
        height, width = (side // self.kernel_size for side in x.shape[2:])
        filled = x[:, :, :height * self.kernel_size, :width * self.kernel_size]
        return ops.adaptive_max_pool2d(filled if filled.shape != x.shape else x, (height, width))


def max_pool(kernel_size: int, stride: int) -> nn.Cell:
    """Max-pooling without padding; rows and columns that do not fill a window are left out."""
    side_by_side = kernel_size == stride
    return (_EvenMaxPool if side_by_side and current_device() == "CPU" else nn.MaxPool2d)(kernel_size, stride)


def choose_variant(variant: str | None, image_size: int, imagenet_from: int = SMALL * 2 + 1) -> str:
    """The given variant; by default "imagenet" for images of ``imagenet_from`` pixels and more, else "cifar".

    Args:
        variant: "cifar", "imagenet" or None.
        image_size: side of the images in pixels.
        imagenet_from: smallest size for "imagenet".

    Returns:
        "cifar" or "imagenet".

    Raises:
        MsCoresetError: for another variant.
    """
    if variant is None:
        return "imagenet" if image_size >= imagenet_from else "cifar"
    if variant not in VARIANTS:
        raise MsCoresetError(f"unknown variant {variant!r}: there are {', '.join(VARIANTS)}")
    return variant


def fill_up(image_size: int, side: int = SMALL) -> int:
    """Pixels of padding on every side of the first convolution, so that smaller images count as ``side`` pixels."""
    return max(0, -(-(side - image_size) // 2))


def excite(x: Tensor, squeeze: nn.Cell, expand: nn.Cell, activation: Callable = ops.relu,
           gate: Callable = ops.sigmoid) -> Tensor:
    """Squeeze-and-excitation (Hu et al. 2018): x times gate(expand(activation(squeeze(mean of each channel)))).

    Args:
        x: (B, C, H, W).
        squeeze: 1x1 convolution with bias, to fewer channels.
        expand: 1x1 convolution with bias, back to C channels.
        activation: function between the two.
        gate: function after them.

    Returns:
        (B, C, H, W).
    """
    return x * gate(expand(activation(squeeze(x.mean((2, 3), keep_dims=True)))))


def require_side(image_size: int, least: int, network: str,
                 otherwise: str = "; the cifar variant takes smaller ones") -> None:
    """Check the size of images: with fewer than ``least`` pixels a side, pooling would leave nothing.

    Args:
        image_size: side of the images in pixels.
        least: smallest side.
        network: its name, for the message.
        otherwise: end of the message.

    Raises:
        MsCoresetError: for smaller images.
    """
    if image_size < least:
        raise MsCoresetError(f"image_size {image_size}: {network} takes images of {least} pixels and more{otherwise}")


class Classifier(nn.Cell):
    """Base class of networks whose logits are a dense layer of ``features(x)``.

    Subclasses define ``features(x)``, the exact input (B, d) of the last dense layer, and that layer, as the attribute
    ``fc`` or by a property ``head``. They set ``variant`` ("cifar" or "imagenet") if their family has variants.
    """

    variant: str | None = None

    @property
    def head(self) -> nn.Cell:
        """The last dense layer."""
        return self.fc

    def construct(self, x: Tensor) -> Tensor:
        """Compute the logits: the last dense layer of ``features(x)``.

        Args:
            x: (B, channels, height, width) float32, normalised images.

        Returns:
            (B, C) logits.
        """
        return self.head(self.features(x))

    @property
    def num_features(self) -> int:
        """Number d of features."""
        return self.head.in_channels

    def set_trunk(self, trunk: nn.Cell) -> None:
        """Make ``trunk`` the part whose weights are called "features...", as in torchvision's networks.

        The attribute can't be called so, because the method is; it is ``self.trunk``.

        Args:
            trunk: the layers before pooling and the dense layers.
        """
        trunk.update_parameters_name("features.")
        self._cells["features"] = trunk

    @property
    def trunk(self) -> nn.Cell:
        """The part that ``set_trunk`` was given."""
        return self._cells["features"]


class Plain(Classifier):
    """Convolutions, pooling and dense layers one after the other, as in AlexNet and VGG.

    Args:
        variant: "cifar" or "imagenet".
        convolutions: list of layers.
        pooling: list of layers.
        dense: list of layers; the last one is the head.
        name: of the dense layers: weights are called "<name>.<place>.weight", or "<name>.weight" if there is one layer.
    """

    def __init__(self, variant: str, convolutions: list[nn.Cell], pooling: list[nn.Cell], dense: list[nn.Cell],
                 name: str = "classifier") -> None:
        super().__init__()
        self.variant = variant
        self.set_trunk(nn.SequentialCell(convolutions))
        self.pooling = nn.SequentialCell(pooling)
        self._name = name
        setattr(self, name, nn.SequentialCell(dense) if len(dense) > 1 else dense[0])

    @property
    def dense(self) -> list[nn.Cell]:
        dense = self._cells[self._name]
        return dense.cell_list if isinstance(dense, nn.SequentialCell) else [dense]

    @property
    def head(self) -> nn.Cell:
        return self.dense[-1]

    def features(self, x: Tensor) -> Tensor:
        x = self.pooling(self.trunk(x))
        for layer in self.dense[:-1]:
            x = layer(x)
        return x


def same(kernel_size: int | tuple[int, int]) -> int | tuple[int, ...]:
    """Padding that leaves the size of a map as it is, for an odd kernel, k or (height, width)."""
    if isinstance(kernel_size, int):
        return kernel_size // 2
    height, width = kernel_size
    return (height // 2, height // 2, width // 2, width // 2)


def batch_norm(eps: float = 1e-5, momentum: float = 0.1) -> Callable[..., nn.Cell]:
    """A maker of BatchNorm layers; ``momentum`` is the weight of the newest batch, as torch has it."""
    return partial(nn.BatchNorm2d, eps=eps, momentum=1 - momentum)


def conv_norm_layers(in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int = 1,
                     groups: int = 1, activation: nn.Cell | None = None, norm: Callable[..., nn.Cell] = nn.BatchNorm2d,
                     padding: int | tuple[int, ...] | None = None) -> list[nn.Cell]:
    """A list of convolution, normalisation and, where a layer is given, activation; by default map sizes stay."""
    padding = same(kernel_size) if padding is None else padding
    layers = [conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups), norm(out_channels)]
    return layers + ([activation] if activation else [])


def conv_norm(*arguments: Any, **options: Any) -> nn.Cell:
    """The ``conv_norm_layers`` as one cell, whose weights are called "0.weight", "1.gamma" and so on."""
    return nn.SequentialCell(conv_norm_layers(*arguments, **options))


class SqueezeExcitation(nn.Cell):
    """``excite`` with the 1x1 convolutions ``fc1`` and ``fc2``, as torchvision calls them."""

    def __init__(self, channels: int, squeezed: int, activation: Callable, gate: Callable) -> None:
        super().__init__()
        self.fc1 = conv2d(channels, squeezed, 1, bias=True)
        self.fc2 = conv2d(squeezed, channels, 1, bias=True)
        self.activation, self.gate = activation, gate

    def construct(self, x: Tensor) -> Tensor:
        return excite(x, self.fc1, self.fc2, self.activation, self.gate)


class InvertedResidual(nn.Cell):
    """1x1 expansion, depthwise convolution, squeeze-excitation, 1x1 projection (Howard et al. 2019, figure 4).

    Weights are named as torchvision's.

    Args:
        in_channels: channels of the input.
        expanded: channels of the depthwise convolution; if they are ``in_channels`` there is no expansion.
        out_channels: channels of the output.
        kernel_size: of the depthwise convolution.
        stride: of the depthwise convolution.
        activation: a maker of layers.
        squeeze: a ``SqueezeExcitation`` or None.
        norm: a maker of normalisation layers.
        drop: chance that a sample takes only the shortcut in training (stochastic depth), if there is a shortcut: if
            the shape stays.
    """

    def __init__(self, in_channels: int, expanded: int, out_channels: int, kernel_size: int, stride: int,
                 activation: Callable[[], nn.Cell], squeeze: nn.Cell | None = None,
                 norm: Callable[..., nn.Cell] = nn.BatchNorm2d, drop: float = 0.0) -> None:
        super().__init__()
        layers = []
        if expanded != in_channels:
            layers.append(conv_norm(in_channels, expanded, 1, activation=activation(), norm=norm))
        layers.append(conv_norm(expanded, expanded, kernel_size, stride, expanded, activation(), norm))
        layers += [squeeze] if squeeze else []
        layers.append(conv_norm(expanded, out_channels, 1, norm=norm))
        self.block = nn.SequentialCell(layers)
        self.drop = Dropout(drop, per="sample")
        self.shortcut = stride == 1 and in_channels == out_channels

    def construct(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + self.drop(y) if self.shortcut else y


def freeze(cell: nn.Cell) -> nn.Cell:
    """Keep the weights of ``cell`` as they are in training; returns it."""
    for parameter in cell.get_parameters():
        parameter.requires_grad = False
    return cell


class Dropout(nn.Cell):
    """In training, zeroes each entry with chance ``p`` and divides the others by 1 - p; otherwise changes nothing.

    The draws come from ``rng``, a NumPy ``RandomState`` that ``reseed`` sets, so that an epoch can be repeated alone
    and on any device.

    Args:
        p: chance in [0, 1).
        per: "entry"; "channel", whole channels (Dropout2d); or "sample", whole samples, which on a residual branch is
            stochastic depth (Huang et al. 2016).

    Raises:
        MsCoresetError: for a chance outside [0, 1).
    """

    def __init__(self, p: float, per: str = "entry") -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise MsCoresetError(f"dropout {p}: must be at least 0 and below 1")
        self.p, self.rng, self._drawn = p, np.random.RandomState(0), _DRAWN[per]

    def construct(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        drawn = x.shape[:self._drawn]
        kept = self.rng.random_sample(drawn) >= self.p
        mask = (kept / (1 - self.p)).astype(np.float32).reshape(drawn + (1,) * (x.ndim - len(drawn)))
        return x * Tensor(mask)


def reseed(network: Trainable, rng: np.random.RandomState) -> None:
    """Let all dropout layers of ``network`` draw from ``rng``, in the order in which they are passed."""
    for _, cell in network.cells_and_names():
        if isinstance(cell, Dropout):
            cell.rng = rng
