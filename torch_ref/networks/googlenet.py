"""GoogLeNet (Szegedy et al. 2015): the Moderate repository's and torchvision's."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.inception import BasicConv2d, recenter, refuse_options
from torch_ref.networks.initialization import Built, normal, uniform_fan_in
from torch_ref.networks.layers import Dropout, border, variant_for

# Table 1 of the paper: input, 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, after pooling.
MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def _same_max() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=1, padding=1)


class Inception(nn.Module):
    """torchvision's module: 3x3 convolutions where the paper has 5x5."""

    def __init__(self, in_channels: int, only: int, reduce3: int, three: int, reduce5: int, five: int,
                 pooled: int) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, only, 1)
        self.branch2 = nn.Sequential(BasicConv2d(in_channels, reduce3, 1), BasicConv2d(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(in_channels, reduce5, 1), BasicConv2d(reduce5, five, 3, padding=1))
        self.branch4 = nn.Sequential(_same_max(), BasicConv2d(in_channels, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


def _conv_with_bias(*widths_and_kernels: int) -> nn.Sequential:
    """Convolutions with bias, each with BatchNorm and ReLU: channels, then kernel and channels by turns."""
    layers = []
    for place in range(0, len(widths_and_kernels) - 2, 2):
        inputs, kernel, outputs = widths_and_kernels[place:place + 3]
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers


class SmallInception(nn.Module):
    """The Moderate repository's module: two 3x3 convolutions where the paper has one of 5x5."""

    def __init__(self, in_channels: int, only: int, reduce3: int, three: int, reduce5: int, five: int,
                 pooled: int) -> None:
        super().__init__()
        self.b1 = nn.Sequential(*_conv_with_bias(in_channels, 1, only))
        self.b2 = nn.Sequential(*_conv_with_bias(in_channels, 1, reduce3, 3, three))
        self.b3 = nn.Sequential(*_conv_with_bias(in_channels, 1, reduce5, 3, five, 3, five))
        self.b4 = nn.Sequential(_same_max(), *_conv_with_bias(in_channels, 1, pooled))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.b1(x), self.b2(x), self.b3(x), self.b4(x)], dim=1)


class InceptionAux(nn.Module):
    """An auxiliary classifier's weights, which do nothing here."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.requires_grad_(False)


class GoogLeNet(nn.Module):
    """torchvision's; poolings count a window that hangs over the edge."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, dropout: float, aux: bool,
                 transform_input: bool) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(in_channels, 64, 7, 2, 3 + border(image_size))
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        for name, widths in MODULES.items():
            self.add_module(f"inception{name}", Inception(*widths))
        if aux:
            self.aux1 = InceptionAux(512, num_classes)
            self.aux2 = InceptionAux(528, num_classes)
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 1024), the input of ``fc``."""
        x = recenter(x) if self.transform_input else x
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.inception3b(self.inception3a(x))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = self.inception4e(self.inception4d(self.inception4c(self.inception4b(self.inception4a(x)))))
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        x = self.inception5b(self.inception5a(x))
        return self.dropout(x.mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


class SmallGoogLeNet(nn.Module):
    """The Moderate repository's."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, dropout: float) -> None:
        super().__init__()
        self.pre_layers = nn.Sequential(nn.Conv2d(in_channels, 192, 3, padding=1 + border(image_size)),
                                        nn.BatchNorm2d(192), nn.ReLU())
        for name, widths in MODULES.items():
            self.add_module(name[::-1], SmallInception(*widths))
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 1024), the input of ``fc``."""
        x = self.b3(self.a3(self.pre_layers(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.e4(self.d4(self.c4(self.b4(self.a4(x)))))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.b5(self.a5(x))
        return self.dropout(x.mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def googlenet(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
              dropout: float | None = None, aux: bool = False, transform_input: bool = False) -> Built:
    """A GoogLeNet, above 64 pixels torchvision's.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: by default 0.2 in torchvision's, none in the other.
        aux: whether there are the auxiliary classifier's weights, which do nothing here.
        transform_input: whether pixels (p - mean) / std, of ImageNet, become (p - 0.5) / 0.5 first.

    Returns:
        (network, initial distributions of its layers).
    """
    variant = variant_for(image_size, variant)
    refuse_options(variant, in_channels, aux, transform_input)
    if variant == "cifar":
        return SmallGoogLeNet(num_classes, in_channels, image_size, dropout or 0.0), {}
    dropout = 0.2 if dropout is None else dropout
    scheme = (normal(0.01), uniform_fan_in)
    return (GoogLeNet(num_classes, in_channels, image_size, dropout, aux, transform_input),
            {"convolution": scheme, "linear": scheme})
