"""What several networks need."""

import numpy as np
import torch
from torch import nn


def variant_for(image_size, variant=None, imagenet_from=65):
    """``variant`` if it is "cifar" or "imagenet"; without one, "imagenet" for images of ``imagenet_from`` pixels on."""
    if variant not in (None, "cifar", "imagenet"):
        raise ValueError(f"variant is {variant!r}, must be 'cifar' or 'imagenet'")
    return variant or ("imagenet" if image_size >= imagenet_from else "cifar")


def border(image_size):
    """Zeros that the first convolution adds on each side, so that images below 32 pixels become 32 (or 33)."""
    return max(0, (33 - image_size) // 2)


class Dropout(nn.Module):
    """While training, keeps values with chance 1 - p, divided by that; a NumPy ``RandomState`` ``rng`` decides.

    per: "entry", "channel" (all of a channel or nothing) or "sample"
    """

    def __init__(self, p, per="entry"):
        super().__init__()
        self.p, self.per, self.rng = p, per, np.random.RandomState(0)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        shape = {"entry": x.shape, "channel": x.shape[:2], "sample": x.shape[:1]}[self.per]
        kept = torch.from_numpy(self.rng.random_sample(tuple(shape)) >= self.p)
        return x * kept[(...,) + (None,) * (x.dim() - kept.dim())] / (1 - self.p)


def reseed(network, rng):
    """Let every ``Dropout`` of ``network`` draw from ``rng``."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.rng = rng
