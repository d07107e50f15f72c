"""Wide residual networks (Zagoruyko and Komodakis 2016) as DeepCore has them."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import HE, Built, uniform_fan_in, zeros
from torch_ref.networks.layers import border, variant_for
from torch_ref.networks.preact_resnet import PreActBlock


class Group(nn.Module):
    """Blocks one after the other, called ``layer``."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """16 channels, then three groups of ``n`` blocks of 16k, 32k and 64k channels, BN, ReLU (table 1)."""

    def __init__(self, n: int, k: int, num_classes: int, in_channels: int, image_size: int, variant: str,
                 dropout: float) -> None:
        super().__init__()
        self.large = variant == "imagenet"
        kernel, stride, padding = (7, 2, 3) if self.large else (3, 1, 1 + border(image_size))
        self.conv1 = nn.Conv2d(in_channels, 16, kernel, stride, padding, bias=False)
        self.block1 = _group(n, 16, 16 * k, 1, dropout)
        self.block2 = _group(n, 16 * k, 32 * k, 2, dropout)
        self.block3 = _group(n, 32 * k, 64 * k, 2, dropout)
        self.bn1 = nn.BatchNorm2d(64 * k)
        self.fc = nn.Linear(64 * k, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 64 k), the input of ``fc``."""
        x = self.conv1(x)
        if self.large:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.block3(self.block2(self.block1(x)))
        return F.relu(self.bn1(x)).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def _group(n: int, in_channels: int, channels: int, stride: int, dropout: float) -> Group:
    others = [PreActBlock(channels, channels, 1, dropout) for _ in range(n - 1)]
    return Group(PreActBlock(in_channels, channels, stride, dropout), *others)


def wide_resnet(depth: int, k: int, num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
                dropout: float = 0.0) -> Built:
    """WRN-depth-k, with depth = 6n + 4.

    Args:
        depth: 6n + 4, the number of layers.
        k: factor of the widths.
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: chance of dropout between the two convolutions of a block, in [0, 1).

    Returns:
        (network, initial distributions of its layers).
    """
    variant = variant_for(image_size, variant)
    network = WideResNet((depth - 4) // 6, k, num_classes, in_channels, image_size, variant, dropout)
    return network, {"convolution": HE, "linear": (uniform_fan_in, zeros)}


wrn16_8 = partial(wide_resnet, 16, 8)
wrn28_2 = partial(wide_resnet, 28, 2)
wrn28_10 = partial(wide_resnet, 28, 10)
