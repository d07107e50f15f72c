"""The two-layer perceptron of DeepCore."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built


class MLP(nn.Module):
    """Flattened image -> fc1 -> ReLU -> fc2 -> ReLU -> fc3 (DeepCore's MLP; its hidden size is 128)."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels * image_size**2, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, width), the input of ``fc3``."""
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc3(self.features(x))


def mlp(num_classes: int, in_channels: int, image_size: int, width: int = 128) -> Built:
    """An MLP with ``width`` hidden units.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        width: units of each hidden layer.

    Returns:
        (network, initial distributions of its layers).
    """
    return MLP(num_classes, in_channels, image_size, width), {}
