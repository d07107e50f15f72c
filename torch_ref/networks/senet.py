"""Squeeze-and-excitation network (Hu et al. 2018) as the Moderate repository has it."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.networks.initialization import Built
from torch_ref.networks.layers import variant_for
from torch_ref.networks.preact_resnet import PreActBlock, PreActResNet


class SqueezedBlock(PreActBlock):
    """A pre-activation block, each channel of its output times sigmoid(fc2(relu(fc1(its mean))))."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.fc1 = nn.Conv2d(channels, max(channels // 16, 1), 1)
        self.fc2 = nn.Conv2d(max(channels // 16, 1), channels, 1)

    def scale(self, y: torch.Tensor) -> torch.Tensor:
        gate = F.relu(self.fc1(y.mean(dim=(2, 3), keepdim=True)))
        return y * torch.sigmoid(self.fc2(gate))


def senet18(num_classes: int, in_channels: int, image_size: int, width: int = 64, variant: str | None = None) -> Built:
    """A SENet of two blocks a stage.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        width: channels of the first stage.
        variant: "cifar" for small images or "imagenet"; None: chosen by ``image_size``.

    Returns:
        (network, initial distributions of its layers).
    """
    variant = variant_for(image_size, variant)
    return PreActResNet(SqueezedBlock, (2, 2, 2, 2), num_classes, in_channels, width, variant, stem_norm=True), {}
