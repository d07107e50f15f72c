"""VGG (Simonyan and Zisserman 2015) as DeepCore and torchvision have it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from torch_ref.networks.initialization import HE, Built, normal, zeros
from torch_ref.networks.layers import Dropout, Trunked, border, variant_for


class VGG(Trunked):
    """3x3 convolutions, average pooling to ``side`` x ``side``, and what turns that into the last layer's input.

    Args:
        layers: channels of the convolutions in order, with "pool" between them (the paper's table 1).
        hidden: units of the two dense layers before the last, or None for no such layers.
    """

    def __init__(self, layers: Sequence[int | str], num_classes: int, in_channels: int, padding: int, batch_norm: bool,
                 side: int, hidden: int | None, dropout: float) -> None:
        super().__init__()
        self.set_trunk(_convolutions(layers, in_channels, padding, batch_norm))
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.dropout = Dropout(dropout)
        self.deep = hidden is not None
        size = 512 * side * side
        self.classifier = (nn.Linear(size, num_classes) if hidden is None else
                           self._perceptron(size, hidden, hidden, num_classes))

    def _perceptron(self, inputs: int, first: int, second: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, first), nn.ReLU(), self.dropout,
                             nn.Linear(first, second), nn.ReLU(), self.dropout, nn.Linear(second, outputs))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, d), the input of the last linear layer."""
        x = self.avgpool(self.trunk(x)).flatten(1)
        return self.classifier[:-1](x) if self.deep else self.dropout(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = self.classifier[-1] if self.deep else self.classifier
        return last(self.features(x))


def _convolutions(layers: Sequence[int | str], in_channels: int, padding: int, batch_norm: bool) -> nn.Sequential:
    modules = []
    for layer in layers:
        if isinstance(layer, str):
            modules.append(nn.MaxPool2d(2))
            continue
        modules.append(nn.Conv2d(in_channels, layer, 3, padding=padding))
        if batch_norm:
            modules.append(nn.BatchNorm2d(layer))
        modules.append(nn.ReLU())
        in_channels, padding = layer, 1
    return nn.Sequential(*modules)


def vgg(layers: Sequence[int | str], num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
        batch_norm: bool = True, side: int | None = None, dropout: float | None = None) -> Built:
    """A VGG.

    Args:
        layers: channels of the convolutions in order, with "pool" between them (the paper's table 1).
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        batch_norm: whether BatchNorm follows every convolution.
        side: height and width of the map after the average pooling; by default 1 for small images and 7 for large ones.
        dropout: by default 0 for small images and 0.5 for large ones.

    Returns:
        (network, initial distributions of its layers).
    """
    if variant_for(image_size, variant) == "cifar":
        return VGG(layers, num_classes, in_channels, 1 + border(image_size), batch_norm, side or 1, hidden=None,
                   dropout=0.0 if dropout is None else dropout), {}
    network = VGG(layers, num_classes, in_channels, 1, batch_norm, side or 7, hidden=4096,
                  dropout=0.5 if dropout is None else dropout)
    return network, {"convolution": HE, "linear": (normal(0.01), zeros)}


vgg11 = partial(vgg, (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"))
vgg13 = partial(vgg, (64, 64, "pool", 128, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"))
vgg16 = partial(vgg, (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool",
                      512, 512, 512, "pool"))
vgg19 = partial(vgg, (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512, 512, 512, 512, "pool",
                      512, 512, 512, 512, "pool"))
