"""ShuffleNet V2 1x (Ma et al. 2018): the Moderate repository's and torchvision's."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built
from torch_ref.networks.layers import border, conv_norm, variant_for


def _branch(in_channels: int, channels: int, stride: int, pointwise_first: bool) -> nn.Sequential:
    layers = [*conv_norm(in_channels, channels, 1, then=nn.ReLU())] if pointwise_first else []
    inner = channels if pointwise_first else in_channels
    layers += conv_norm(inner, inner, 3, stride, groups=inner)
    layers += conv_norm(inner, channels, 1, then=nn.ReLU())
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """torchvision's block (figure 3 c and d of the paper)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride, half = stride, out_channels // 2
        self.branch1 = _branch(in_channels, half, stride, pointwise_first=False) if stride == 2 else nn.Sequential()
        self.branch2 = _branch(in_channels if stride == 2 else half, half, stride, pointwise_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (x, x) if self.stride == 2 else x.chunk(2, dim=1)
        return F.channel_shuffle(torch.cat([self.branch1(left), self.branch2(right)], dim=1), 2)


class BasicBlock(nn.Module):
    """The Moderate repository's block of stride 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        right = F.relu(self.bn1(self.conv1(right)))
        right = F.relu(self.bn3(self.conv3(self.bn2(self.conv2(right)))))
        return F.channel_shuffle(torch.cat([left, right], dim=1), 2)


class DownBlock(nn.Module):
    """The Moderate repository's block of stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, 2, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, 2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = F.relu(self.bn3(self.conv3(x)))
        right = F.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return F.channel_shuffle(torch.cat([left, right], dim=1), 2)


class ShuffleNetV2(nn.Module):
    """torchvision's."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(in_channels, 24, 3, 2, padding=1 + border(image_size), then=nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2 = nn.Sequential(InvertedResidual(24, 116, 2), *(InvertedResidual(116, 116, 1) for _ in range(3)))
        self.stage3 = nn.Sequential(InvertedResidual(116, 232, 2), *(InvertedResidual(232, 232, 1) for _ in range(7)))
        self.stage4 = nn.Sequential(InvertedResidual(232, 464, 2), *(InvertedResidual(464, 464, 1) for _ in range(3)))
        self.conv5 = conv_norm(464, 1024, 1, then=nn.ReLU())
        self.fc = nn.Linear(1024, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 1024), the input of ``fc``."""
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.conv5(x).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


class SmallShuffleNetV2(nn.Module):
    """The Moderate repository's, with a mean over the whole map, not over 4x4."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 24, 3, padding=1 + border(image_size), bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = nn.Sequential(DownBlock(24, 116), *(BasicBlock(116) for _ in range(3)))
        self.layer2 = nn.Sequential(DownBlock(116, 232), *(BasicBlock(232) for _ in range(7)))
        self.layer3 = nn.Sequential(DownBlock(232, 464), *(BasicBlock(464) for _ in range(3)))
        self.conv2 = nn.Conv2d(464, 1024, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1024)
        self.fc = nn.Linear(1024, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 1024), the input of ``fc``."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return F.relu(self.bn2(self.conv2(x))).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def shufflenet_v2(num_classes: int, in_channels: int, image_size: int, variant: str | None = None) -> Built:
    """A ShuffleNet V2, above 64 pixels torchvision's.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.

    Returns:
        (network, initial distributions of its layers).
    """
    small = variant_for(image_size, variant) == "cifar"
    return (SmallShuffleNetV2 if small else ShuffleNetV2)(num_classes, in_channels, image_size), {}
