"""Residual networks (He et al. 2016)."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import HE, Built
from torch_ref.networks.layers import variant_for


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016, figure 5 right).

    The stride is on the 3x3 convolution, as in torchvision (the paper has it on the first 1x1).
    """

    expansion = 4
    factor = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        narrow, out_channels = channels * self.factor, channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


class DoubledBottleneck(Bottleneck):
    """A bottleneck half as narrow, of "wide ResNet-50-2" (Zagoruyko and Komodakis 2016, section 3.4)."""

    factor = 2


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """Residual network with torchvision's names (He et al. 2016, table 1), for images of any size.

    Args:
        block: class of the blocks.
        depths: number of blocks in each of the four stages, which have w, 2w, 4w and 8w channels.
        variant: "cifar" (3x3, stride 1, no pooling) or "imagenet" (7x7, stride 2, 3x3 max pooling of stride 2).
    """

    def __init__(self, block: type[nn.Module], depths: tuple[int, ...], num_classes: int, in_channels: int, width: int,
                 variant: str) -> None:
        super().__init__()
        self.pooled_stem = variant == "imagenet"
        kernel, stride, padding = (7, 2, 3) if self.pooled_stem else (3, 1, 1)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        outputs = width * block.expansion
        self.layer1 = _stage(block, depths[0], width, width, stride=1)
        self.layer2 = _stage(block, depths[1], outputs, 2 * width, stride=2)
        self.layer3 = _stage(block, depths[2], 2 * outputs, 4 * width, stride=2)
        self.layer4 = _stage(block, depths[3], 4 * outputs, 8 * width, stride=2)
        self.fc = nn.Linear(8 * outputs, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 8 * width * expansion), the input of ``fc``."""
        x = F.relu(self.bn1(self.conv1(x)))
        if self.pooled_stem:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def _stage(block: type[nn.Module], depth: int, in_channels: int, channels: int, stride: int) -> nn.Sequential:
    first = block(in_channels, channels, stride)
    others = [block(channels * block.expansion, channels, 1) for _ in range(depth - 1)]
    return nn.Sequential(first, *others)


def resnet(block: type[nn.Module], depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int,
           width: int = 64, variant: str | None = None) -> Built:
    """A ResNet; from 64 pixels on with ImageNet's stem (as the Moderate repository has it for Tiny-ImageNet).

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
    variant = variant_for(image_size, variant, imagenet_from=64)
    return ResNet(block, depths, num_classes, in_channels, width, variant), {"convolution": HE}


resnet18 = partial(resnet, BasicBlock, (2, 2, 2, 2))
resnet34 = partial(resnet, BasicBlock, (3, 4, 6, 3))
resnet50 = partial(resnet, Bottleneck, (3, 4, 6, 3))
resnet101 = partial(resnet, Bottleneck, (3, 4, 23, 3))
resnet152 = partial(resnet, Bottleneck, (3, 8, 36, 3))
wide_resnet50_2 = partial(resnet, DoubledBottleneck, (3, 4, 6, 3))
wide_resnet101_2 = partial(resnet, DoubledBottleneck, (3, 4, 23, 3))
