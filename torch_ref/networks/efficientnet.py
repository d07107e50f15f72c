"""EfficientNet-B0 (Tan and Le 2019): the Moderate repository's and torchvision's."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import HE, Built, Scheme, uniform_fan_out, zeros
from torch_ref.networks.layers import Dropout, SqueezeExcitation, Trunked, border, conv_norm, variant_for

# Table 1 of the paper, block by block: stage, expansion, kernel, stride, input channels, output channels.
BLOCKS = [
    (1, 1, 3, 1, 32, 16),
    (2, 6, 3, 2, 16, 24), (2, 6, 3, 1, 24, 24),
    (3, 6, 5, 2, 24, 40), (3, 6, 5, 1, 40, 40),
    (4, 6, 3, 2, 40, 80), (4, 6, 3, 1, 80, 80), (4, 6, 3, 1, 80, 80),
    (5, 6, 5, 1, 80, 112), (5, 6, 5, 1, 112, 112), (5, 6, 5, 1, 112, 112),
    (6, 6, 5, 2, 112, 192), (6, 6, 5, 1, 192, 192), (6, 6, 5, 1, 192, 192), (6, 6, 5, 1, 192, 192),
    (7, 6, 3, 1, 192, 320),
]


class MBConv(nn.Module):
    """torchvision's block."""

    def __init__(self, expansion: int, kernel: int, stride: int, in_channels: int, out_channels: int, *,
                 drop: float) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.block = nn.Sequential(
            *([conv_norm(in_channels, inner, 1, then=nn.SiLU())] if expansion > 1 else []),
            conv_norm(inner, inner, kernel, stride, groups=inner, then=nn.SiLU()),
            SqueezeExcitation(inner, in_channels // 4, nn.SiLU(), nn.Sigmoid()),
            conv_norm(inner, out_channels, 1),
        )
        self.stochastic_depth = Dropout(drop, per="sample")
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        return x + self.stochastic_depth(y) if self.has_shortcut else y


class SmallMBConv(nn.Module):
    """The Moderate repository's block, which keeps, but skips, an expansion that expands nothing."""

    def __init__(self, expansion: int, kernel: int, stride: int, in_channels: int, out_channels: int, *,
                 drop: float) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, kernel, stride, padding=kernel // 2, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.se = SqueezeExcitation(inner, in_channels // 4, nn.SiLU(), nn.Sigmoid())
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.stochastic_depth = Dropout(drop, per="sample")
        self.expands = expansion > 1
        self.conv1.requires_grad_(self.expands)
        self.bn1.requires_grad_(self.expands)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.silu(self.bn1(self.conv1(x))) if self.expands else x
        y = F.silu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.se(y)))
        return x + self.stochastic_depth(y) if self.has_shortcut else y


class EfficientNet(Trunked):
    """torchvision's: stem of stride 2, stages of blocks, 1x1 convolution, mean over the map, dropout, dense."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, dropout: float,
                 drops: Sequence[float]) -> None:
        super().__init__()
        stem = conv_norm(in_channels, 32, 3, 2, padding=1 + border(image_size), then=nn.SiLU())
        stages = [nn.Sequential() for _ in range(7)]
        for (stage, *block), drop in zip(BLOCKS, drops, strict=True):
            stages[stage - 1].append(MBConv(*block, drop=drop))
        self.set_trunk(nn.Sequential(stem, *stages, conv_norm(320, 1280, 1, then=nn.SiLU())))
        self.classifier = nn.Sequential(Dropout(dropout), nn.Linear(1280, num_classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 1280), the input of the dense layer."""
        return self.classifier[0](self.trunk(x).mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier[1](self.features(x))


class SmallEfficientNet(nn.Module):
    """The Moderate repository's: stem of stride 1, blocks, mean over the map, dropout, dense."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, dropout: float,
                 drops: Sequence[float]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, padding=1 + border(image_size), bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        blocks = [SmallMBConv(*block, drop=drop) for (_, *block), drop in zip(BLOCKS, drops, strict=True)]
        self.layers = nn.Sequential(*blocks)
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(320, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 320), the input of ``fc``."""
        x = self.layers(F.silu(self.bn1(self.conv1(x))))
        return self.dropout(x.mean(dim=(2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def efficientnet_b0(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
                    dropout: float = 0.2, stochastic_depth: float | None = None) -> Built:
    """An EfficientNet-B0, above 64 pixels torchvision's.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: chance of dropout before the last layer, in [0, 1).
        stochastic_depth: by default 0.2 in torchvision's. None in the other: its original asks for 0.2, but takes every
            block for the first, which is never skipped.

    Returns:
        (network, initial distributions of its layers).
    """
    large = variant_for(image_size, variant) == "imagenet"
    if stochastic_depth is None:
        stochastic_depth = 0.2 if large else 0.0
    drops = [stochastic_depth * place / len(BLOCKS) for place in range(len(BLOCKS))]
    if large:
        schemes: dict[str, Scheme] = {"convolution": HE, "linear": (uniform_fan_out, zeros)}
        return EfficientNet(num_classes, in_channels, image_size, dropout, drops), schemes
    return SmallEfficientNet(num_classes, in_channels, image_size, dropout, drops), {}
