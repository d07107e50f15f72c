"""airbench's network, narrow, for a CPU."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built, identity, zeros


class Group(nn.Module):
    """conv1 3x3 -> max pool 2 -> bn1 -> ReLU -> conv2 3x3 -> bn2 -> ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, momentum=0.4)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, momentum=0.4)
        self.conv1.scheme = self.conv2.scheme = (identity, zeros)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(F.max_pool2d(self.conv1(x), 2)))
        return F.relu(self.bn2(self.conv2(x)))


class Airbench(nn.Module):
    """whitening 2x2 -> ReLU -> group1 (w) -> group2 (4w) -> group3 (4w) -> global max / 9 -> fc without bias."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(in_channels, 8 * in_channels, 2)
        self.group1 = Group(8 * in_channels, width)
        self.group2 = Group(width, 4 * width)
        self.group3 = Group(4 * width, 4 * width)
        self.fc = nn.Linear(4 * width, num_classes, bias=False)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 4 width), the input of ``fc``."""
        x = self.group3(self.group2(self.group1(F.relu(self.whitening(x)))))
        return x.flatten(2).amax(2) / 9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


def airbench(num_classes: int, in_channels: int, image_size: int, width: int = 16) -> Built:
    """An ``Airbench`` for images of at least 9 pixels.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        width: channels of the first group.

    Returns:
        (network, initial distributions of its layers).
    """
    if image_size < 9:
        raise ValueError(f"image_size is {image_size}, must be at least 9")
    return Airbench(num_classes, in_channels, width), {}
