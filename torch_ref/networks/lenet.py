"""LeNet-5 of DeepCore."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built
from torch_ref.networks.layers import border


class LeNet(nn.Module):
    """conv1 (6) -> ReLU -> pool -> conv2 (16) -> ReLU -> pool -> fc1 120 -> fc2 84 -> fc3 (DeepCore's LeNet-5).

    Kernels are 5x5. DeepCore pads for gray images instead of for small ones: here images below 32 pixels get a
    border that makes them 32, and the first dense layer takes whatever larger ones leave.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        padded = image_size + 2 * border(image_size)
        side = ((padded - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=border(image_size))
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 84), the input of ``fc3``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc3(self.features(x))


def lenet(num_classes: int, in_channels: int, image_size: int) -> Built:
    """A LeNet.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.

    Returns:
        (network, initial distributions of its layers).
    """
    return LeNet(num_classes, in_channels, image_size), {}
