"""MobileNetV3 (Howard et al. 2019): DeepCore's and torchvision's."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from torch_ref.networks.initialization import HE, Built, normal, zeros
from torch_ref.networks.layers import Dropout, SqueezeExcitation, Trunked, border, conv_norm, variant_for

# Tables 1 and 2 of the paper, a row as: kernel, expanded size, output, SE, nonlinearity, stride.
LARGE = [
    "3 16 16 - RE 1", "3 64 24 - RE 2", "3 72 24 - RE 1", "5 72 40 SE RE 2", "5 120 40 SE RE 1", "5 120 40 SE RE 1",
    "3 240 80 - HS 2", "3 200 80 - HS 1", "3 184 80 - HS 1", "3 184 80 - HS 1", "3 480 112 SE HS 1",
    "3 672 112 SE HS 1", "5 672 160 SE HS 2", "5 960 160 SE HS 1", "5 960 160 SE HS 1",
]
SMALL = [
    "3 16 16 SE RE 2", "3 72 24 - RE 2", "3 88 24 - RE 1", "5 96 40 SE HS 2", "5 240 40 SE HS 1", "5 240 40 SE HS 1",
    "5 120 48 SE HS 1", "5 144 48 SE HS 1", "5 288 96 SE HS 2", "5 576 96 SE HS 1", "5 576 96 SE HS 1",
]
# Channels in squeeze-excitation, by channels outside: a quarter, made a multiple of 8.
SQUEEZED = {16: 8, 72: 24, 96: 24, 120: 32, 144: 40, 240: 64, 288: 72, 480: 120, 576: 144, 672: 168, 960: 240}


class DenseSE(nn.Module):
    """Squeeze-excitation with dense layers (DeepCore's SELayer)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, SQUEEZED[channels]), nn.ReLU(),
                                nn.Linear(SQUEEZED[channels], channels), nn.Hardsigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class Bneck(nn.Module):
    """A row of the tables, with a shortcut where the shape stays.

    Args:
        variant: "imagenet", torchvision's: the layers are ``block``; or "cifar", DeepCore's: they are ``conv``, in a
            flat list, in which SE goes before the depthwise convolution's nonlinearity if there is an expansion.
    """

    def __init__(self, in_channels: int, row: str, variant: str) -> None:
        super().__init__()
        *sizes, se, nonlinearity, last = row.split()
        kernel, expanded, out_channels, stride = map(int, (*sizes, last))
        activation = {"RE": nn.ReLU, "HS": nn.Hardswish}[nonlinearity]
        self.out_channels = out_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels
        expands = expanded != in_channels
        if variant == "imagenet":
            norm: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}
            layers = [conv_norm(in_channels, expanded, 1, then=activation(), **norm)] if expands else []
            layers.append(conv_norm(expanded, expanded, kernel, stride, groups=expanded, then=activation(), **norm))
            if se == "SE":
                layers.append(SqueezeExcitation(expanded, SQUEEZED[expanded], nn.ReLU(), nn.Hardsigmoid()))
            layers.append(conv_norm(expanded, out_channels, 1, **norm))
            self.block = nn.Sequential(*layers)
        else:
            middle = [DenseSE(expanded) if se == "SE" else nn.Identity(), activation()]
            layers = [*conv_norm(in_channels, expanded, 1, then=activation())] if expands else []
            layers += conv_norm(expanded, expanded, kernel, stride, groups=expanded)
            layers += middle if expands else middle[::-1]
            layers += conv_norm(expanded, out_channels, 1)
            self.conv = nn.Sequential(*layers)
        self.kind = "block" if variant == "imagenet" else "conv"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = getattr(self, self.kind)(x)
        return x + y if self.has_shortcut else y


class MobileNetV3(Trunked):
    """Convolution of stride 2 (16), the rows, 1x1 convolution, mean over the map, dense, h-swish, dropout, dense."""

    def __init__(self, rows: Sequence[str], dimensions: int, num_classes: int, in_channels: int, image_size: int,
                 variant: str, dropout: float) -> None:
        super().__init__()
        large = variant == "imagenet"
        norm: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01} if large else {}
        stem = conv_norm(in_channels, 16, 3, 2, padding=1 + border(image_size), then=nn.Hardswish(), **norm)
        layers, channels = [stem], 16
        for row in rows:
            layers.append(Bneck(channels, row, variant))
            channels = layers[-1].out_channels
        last = conv_norm(channels, 6 * channels, 1, then=nn.Hardswish(), **norm)
        self.set_trunk(nn.Sequential(*layers, last) if large else nn.Sequential(*layers))
        self.conv = nn.Identity() if large else last
        unnamed = [] if large else [nn.Identity()]
        self.classifier = nn.Sequential(nn.Linear(6 * channels, dimensions), nn.Hardswish(), Dropout(dropout), *unnamed,
                                        nn.Linear(dimensions, num_classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, dimensions), the input of the last dense layer."""
        return self.classifier[:-1](self.conv(self.trunk(x)).mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier[-1](self.features(x))


def mobilenet_v3(rows: Sequence[str], dimensions: int, num_classes: int, in_channels: int, image_size: int,
                 variant: str | None = None, dropout: float = 0.2) -> Built:
    """A MobileNetV3; above 64 pixels torchvision's.

    Args:
        rows: the rows of the paper's table, a block each.
        dimensions: inputs of the last dense layer.
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: chance of dropout before the last layer, in [0, 1).

    Returns:
        (network, initial distributions of its layers).
    """
    variant = variant_for(image_size, variant)
    network = MobileNetV3(rows, dimensions, num_classes, in_channels, image_size, variant, dropout)
    return network, {"convolution": HE, "linear": (normal(0.01), zeros)}


mobilenet_v3_small = partial(mobilenet_v3, SMALL, 1024)
mobilenet_v3_large = partial(mobilenet_v3, LARGE, 1280)
