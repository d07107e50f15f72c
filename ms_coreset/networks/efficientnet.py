"""EfficientNet-B0 (Tan and Le 2019), as the Moderate repository has it for small images or as torchvision's."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import HE, TORCH, Scheme, initialize, uniform_fan_out, zeros
from ms_coreset.networks.layers import (
    Classifier,
    Dropout,
    InvertedResidual,
    SqueezeExcitation,
    choose_variant,
    conv2d,
    conv_norm,
    fill_up,
    freeze,
    linear,
    same,
)

_STEM, _LAST = 32, 1280
# Table 1 of the paper: expansion, kernel, stride, channels, blocks.
_STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3),
           (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))
_STOCHASTIC_DEPTH = {"cifar": 0.0, "imagenet": 0.2}


class SmallBlock(nn.Cell):
    """The Moderate repository's block: ``InvertedResidual`` with other names.

    In blocks without expansion the repository defines an expansion and does not use it. These weights are kept here but
    not trained.
    """

    def __init__(self, in_channels: int, expanded: int, out_channels: int, kernel_size: int,
                 stride: int, squeeze: nn.Cell, drop: float) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, expanded, 1)
        self.bn1 = nn.BatchNorm2d(expanded)
        self.conv2 = conv2d(expanded, expanded, kernel_size, stride, same(kernel_size), groups=expanded)
        self.bn2 = nn.BatchNorm2d(expanded)
        self.se = squeeze
        self.conv3 = conv2d(expanded, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.drop = Dropout(drop, per="sample")
        self.shortcut = stride == 1 and in_channels == out_channels
        self.expands = expanded != in_channels
        if not self.expands:
            freeze(self.conv1)
            freeze(self.bn1)

    def construct(self, x: Tensor) -> Tensor:
        y = ops.silu(self.bn1(self.conv1(x))) if self.expands else x
        y = self.se(ops.silu(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        return x + self.drop(y) if self.shortcut else y


class SmallEfficientNet(Classifier):
    """Stem of stride 1, blocks, global average pooling of 320 channels, dropout, dense."""

    variant = "cifar"

    def __init__(self, num_classes: int, in_channels: int, padding: int, dropout: float,
                 stochastic_depth: float) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, _STEM, 3, padding=padding)
        self.bn1 = nn.BatchNorm2d(_STEM)
        stages = _stages(_small_block, stochastic_depth)
        self.layers = nn.SequentialCell([block for blocks in stages for block in blocks])
        self.drop = Dropout(dropout)
        self.fc = linear(_STAGES[-1][3], num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.layers(ops.silu(self.bn1(self.conv1(x))))
        return self.drop(x.mean((2, 3)))


class EfficientNet(Classifier):
    """Stem of stride 2, blocks, 1x1 convolution to 1280 channels, global average pooling, dropout, dense."""

    variant = "imagenet"

    def __init__(self, num_classes: int, in_channels: int, padding: int, dropout: float,
                 stochastic_depth: float) -> None:
        super().__init__()
        stem = conv_norm(in_channels, _STEM, 3, 2, activation=nn.SiLU(), padding=padding)
        last = conv_norm(_STAGES[-1][3], _LAST, 1, activation=nn.SiLU())
        stages = [nn.SequentialCell(blocks) for blocks in _stages(_block, stochastic_depth)]
        self.set_trunk(nn.SequentialCell([stem, *stages, last]))
        self.classifier = nn.SequentialCell(Dropout(dropout), linear(_LAST, num_classes))

    @property
    def head(self) -> nn.Cell:
        return self.classifier[-1]

    def features(self, x: Tensor) -> Tensor:
        return self.classifier[0](self.trunk(x).mean((2, 3)))


def _stages(block: Callable[..., nn.Cell], stochastic_depth: float) -> list[list[nn.Cell]]:
    """Lists of blocks; the chance to skip a block grows in equal steps from 0 to almost ``stochastic_depth``."""
    chances = iter(stochastic_depth * np.arange(16) / 16)
    channels, stages = _STEM, []
    for expansion, kernel_size, stride, out_channels, count in _STAGES:
        stage = []
        for place in range(count):
            stage.append(block(channels, expansion * channels, out_channels, kernel_size, 1 if place else stride,
                               float(next(chances))))
            channels = out_channels
        stages.append(stage)
    return stages


def _block(in_channels: int, expanded: int, out_channels: int, kernel_size: int, stride: int,
           drop: float) -> InvertedResidual:
    return InvertedResidual(in_channels, expanded, out_channels, kernel_size, stride, nn.SiLU,
                            _squeeze(in_channels, expanded), drop=drop)


def _small_block(in_channels: int, expanded: int, out_channels: int, kernel_size: int, stride: int,
                 drop: float) -> SmallBlock:
    return SmallBlock(in_channels, expanded, out_channels, kernel_size, stride, _squeeze(in_channels, expanded), drop)


def _squeeze(in_channels: int, expanded: int) -> SqueezeExcitation:
    return SqueezeExcitation(expanded, in_channels // 4, nn.SiLU(), nn.Sigmoid())


def efficientnet_b0(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
                    dropout: float = 0.2, stochastic_depth: float | None = None, seed: int = 0) -> nn.Cell:
    """EfficientNet-B0 for images of any size.

    The embedding has 320 (cifar) or 1280 (imagenet) dimensions. "cifar" starts from torch's default distributions.
    "imagenet" starts convolutions from He's normal distribution (fan-out), the dense layer from U(-b, b),
    b = 1/sqrt(classes), and biases from 0. Departure: images below 32 pixels are padded to 32.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar" (the Moderate repository's: first convolution of stride 1, no convolution after the blocks) or
            "imagenet" (torchvision's, with its names of weights); by default "imagenet" above 64 pixels.
        dropout: chance that an entry of the embedding is zeroed in training.
        stochastic_depth: block b of 16 is skipped with this chance times b / 16 in training. By default 0.2 as in
            torchvision, and 0 in the small variant, whose original means to have 0.2 but never counts its blocks.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant, and for a chance outside [0, 1).
    """
    variant = choose_variant(variant, image_size)
    stochastic_depth = _STOCHASTIC_DEPTH[variant] if stochastic_depth is None else stochastic_depth
    build, schemes = ((SmallEfficientNet, {"convolution": TORCH, "dense": TORCH}) if variant == "cifar" else
                      (EfficientNet, {"convolution": HE, "dense": Scheme(uniform_fan_out, zeros)}))
    network = build(num_classes, in_channels, 1 + fill_up(image_size), dropout, stochastic_depth)
    return initialize(network, seed, **schemes)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for an EfficientNet-B0 with these ``shapes``, or None for another network."""
    names = {"cifar": ("conv1.weight", "layers.15.conv3.weight", "layers.0.se.fc1.weight", "fc.weight"),
             "imagenet": ("features.0.0.weight", "features.7.0.block.3.0.weight", "features.1.0.block.1.fc1.weight",
                          "classifier.1.weight")}
    expected = (_STEM, _STAGES[-1][3])
    for variant, (stem, last, squeeze, head) in names.items():
        if {stem, last, squeeze, head} <= shapes.keys() and (shapes[stem][0], shapes[last][0]) == expected:
            return {"arch": "efficientnet_b0", "variant": variant, "in_channels": shapes[stem][1],
                    "num_classes": shapes[head][0]}
    return None
