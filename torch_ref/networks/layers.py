"""Parts that several networks share."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def variant_for(image_size: int, variant: str | None = None, imagenet_from: int = 65) -> str:
    """``variant`` if it is "cifar" or "imagenet"; None: "imagenet" for images of ``imagenet_from`` pixels and more."""
    if variant not in (None, "cifar", "imagenet"):
        raise ValueError(f"variant is {variant!r}, must be 'cifar' or 'imagenet'")
    return variant or ("imagenet" if image_size >= imagenet_from else "cifar")


def border(image_size: int, least: int = 32) -> int:
    """Zeros that the first convolution adds on each side, so that smaller images have ``least`` pixels.

    If the difference is odd they have a pixel more.

    Args:
        image_size: height and width of the images, in pixels.
        least: the size that they become.

    Returns:
        Pixels.
    """
    return max(0, (least + 1 - image_size) // 2)


class Trunked(nn.Module):
    """A module whose convolutions, ``trunk``, have the weights "features...", as torchvision calls them.

    ``features`` itself is the method that gives the last layer's input.
    """

    def set_trunk(self, trunk: nn.Module) -> None:
        """Register the convolutions."""
        self._modules["features"] = trunk

    @property
    def trunk(self) -> nn.Module:
        return self._modules["features"]


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int | None = None,
              groups: int = 1, eps: float = 1e-5, momentum: float = 0.1,
              then: nn.Module | None = None) -> nn.Sequential:
    """Convolution (by default the map keeps its size), BatchNorm, and the module ``then``, if any, as a Sequential."""
    padding = (kernel - 1) // 2 if padding is None else padding
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(out_channels, eps, momentum)]
    return nn.Sequential(*layers) if then is None else nn.Sequential(*layers, then)


class SqueezeExcitation(nn.Module):
    """Channels times gate(fc2(inner(fc1(their means)))), with 1x1 convolutions fc1 and fc2 (Hu et al. 2018, eq. 3)."""

    def __init__(self, channels: int, squeezed: int, inner: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.inner, self.gate = inner, gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = F.adaptive_avg_pool2d(x, 1)
        return self.gate(self.fc2(self.inner(self.fc1(means)))) * x


class Dropout(nn.Module):
    """While training, keeps values with chance 1 - p, divided by that; a NumPy ``RandomState`` ``rng`` decides.

    Args:
        p: chance that a value becomes 0.
        per: "entry", "channel" (all of a channel or nothing) or "sample".
    """

    def __init__(self, p: float, per: str = "entry") -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout is {p}, must be in [0, 1)")
        self.p, self.per, self.rng = p, per, np.random.RandomState(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        shape = {"entry": x.shape, "channel": x.shape[:2], "sample": x.shape[:1]}[self.per]
        kept = torch.from_numpy(self.rng.random_sample(tuple(shape)) >= self.p).to(x.device)
        return x * kept[(...,) + (None,) * (x.dim() - kept.dim())] / (1 - self.p)


def reseed(network: nn.Module, rng: np.random.RandomState) -> None:
    """Let every ``Dropout`` of ``network`` draw from ``rng``."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.rng = rng
