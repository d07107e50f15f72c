"""Pre-activation residual networks (He et al. 2016, "Identity mappings in deep residual networks")."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built
from torch_ref.networks.layers import Dropout, variant_for


class PreActBlock(nn.Module):
    """BN - ReLU - 3x3 - BN - ReLU - dropout - 3x3, and a shortcut (figure 1b)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated = F.relu(self.bn1(x))
        y = self.conv1(activated)
        y = self.conv2(self.dropout(F.relu(self.bn2(y))))
        return self.scale(y) + (self.downsample(activated) if self.downsample else x)

    def scale(self, y: torch.Tensor) -> torch.Tensor:
        """What is added to the shortcut."""
        return y


class PreActBottleneck(nn.Module):
    """BN - ReLU - 1x1 - BN - ReLU - 3x3 - BN - ReLU - 1x1, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated = F.relu(self.bn1(x))
        y = self.conv1(activated)
        y = self.conv2(F.relu(self.bn2(y)))
        y = self.conv3(F.relu(self.bn3(y)))
        return y + (self.downsample(activated) if self.downsample else x)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """A 1x1 convolution, or None where the shape stays."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))


class PreActResNet(nn.Module):
    """Four stages of pre-activation blocks of w, 2w, 4w, 8w channels.

    Args:
        stem_norm: whether BN and ReLU follow the first convolution (SENet's do, pre-activation ResNet's do not).
    """

    def __init__(self, block: type[nn.Module], depths: tuple[int, ...], num_classes: int, in_channels: int, width: int,
                 variant: str, stem_norm: bool = False) -> None:
        super().__init__()
        self.large, self.stem_norm = variant == "imagenet", stem_norm
        kernel, stride, padding = (7, 2, 3) if self.large else (3, 1, 1)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, padding, bias=False)
        if stem_norm:
            self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for number, depth in enumerate(depths):
            stage = []
            for place in range(depth):
                stage.append(block(inputs, width * 2**number, 2 if number and not place else 1))
                inputs = width * 2**number * block.expansion
            self.add_module(f"layer{number + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 8 * width * expansion), the input of ``fc``."""
        x = self.conv1(x)
        if self.stem_norm:
            x = F.relu(self.bn1(x))
        if self.large:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def preact_resnet(block: type[nn.Module], depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int,
                  width: int = 64, variant: str | None = None) -> Built:
    """A pre-activation ResNet.

    Args:
        block: the kind of block.
        depths: how many blocks each of the four stages has.
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        width: channels of the first stage.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.

    Returns:
        (network, initial distributions of its layers).
    """
    return PreActResNet(block, depths, num_classes, in_channels, width, variant_for(image_size, variant)), {}


preact_resnet18 = partial(preact_resnet, PreActBlock, (2, 2, 2, 2))
preact_resnet34 = partial(preact_resnet, PreActBlock, (3, 4, 6, 3))
preact_resnet50 = partial(preact_resnet, PreActBottleneck, (3, 4, 6, 3))
