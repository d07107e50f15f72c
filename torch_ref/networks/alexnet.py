"""AlexNet (Krizhevsky 2014) as DeepCore and torchvision have it."""

import torch
from torch import nn

from torch_ref.networks.initialization import Built
from torch_ref.networks.layers import Dropout, Trunked, border, variant_for


class SmallAlexNet(Trunked):
    """DeepCore's AlexNet for 28 and 32 pixels; larger maps than 4x4 are averaged to that."""

    def __init__(self, num_classes: int, in_channels: int, image_size: int, dropout: float) -> None:
        super().__init__()
        self.set_trunk(nn.Sequential(
            nn.Conv2d(in_channels, 128, 5, padding=2 + border(image_size)), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(192, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 192, 3, padding=1), nn.ReLU(),
            nn.Conv2d(192, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        ))
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(3072, num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 3072), the input of ``fc``."""
        return self.dropout(self.avgpool(self.trunk(x)).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


class LargeAlexNet(Trunked):
    """torchvision's AlexNet."""

    def __init__(self, num_classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.set_trunk(nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        ))
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(Dropout(dropout), nn.Linear(9216, 4096), nn.ReLU(),
                                        Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
                                        nn.Linear(4096, num_classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, height, width) -> (B, 4096), the input of the last linear layer."""
        return self.classifier[:-1](self.avgpool(self.trunk(x)).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier[-1](self.features(x))


def alexnet(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
            dropout: float | None = None) -> Built:
    """An AlexNet.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.
        dropout: by default 0 for small images and 0.5 for large ones.

    Returns:
        (network, initial distributions of its layers).
    """
    if variant_for(image_size, variant) == "cifar":
        return SmallAlexNet(num_classes, in_channels, image_size, 0.0 if dropout is None else dropout), {}
    return LargeAlexNet(num_classes, in_channels, 0.5 if dropout is None else dropout), {}
