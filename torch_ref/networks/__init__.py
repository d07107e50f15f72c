"""The networks by name, with weights drawn from a numpy seed.

A file is a family. Its functions return a module, with ``features(x)`` the exact input of the last linear layer, and
the initial distributions of its layers (``initialization.initialize``).
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from torch_ref.networks import (
    airbench,
    alexnet,
    efficientnet,
    googlenet,
    inception,
    lenet,
    mlp,
    mobilenet_v3,
    preact_resnet,
    resnet,
    senet,
    shufflenet,
    vgg,
    wide_resnet,
)
from torch_ref.networks.initialization import Built, initialize

_BUILDERS: dict[str, Callable[..., Built]] = {
    "mlp": mlp.mlp,
    "lenet": lenet.lenet,
    "airbench": airbench.airbench,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
    "wide_resnet50_2": resnet.wide_resnet50_2,
    "wide_resnet101_2": resnet.wide_resnet101_2,
    "preact_resnet18": preact_resnet.preact_resnet18,
    "preact_resnet34": preact_resnet.preact_resnet34,
    "preact_resnet50": preact_resnet.preact_resnet50,
    "senet18": senet.senet18,
    "wrn16_8": wide_resnet.wrn16_8,
    "wrn28_2": wide_resnet.wrn28_2,
    "wrn28_10": wide_resnet.wrn28_10,
    "alexnet": alexnet.alexnet,
    "vgg11": vgg.vgg11,
    "vgg13": vgg.vgg13,
    "vgg16": vgg.vgg16,
    "vgg19": vgg.vgg19,
    "mobilenet_v3_small": mobilenet_v3.mobilenet_v3_small,
    "mobilenet_v3_large": mobilenet_v3.mobilenet_v3_large,
    "inception_v3": inception.inception_v3,
    "googlenet": googlenet.googlenet,
    "efficientnet_b0": efficientnet.efficientnet_b0,
    "shufflenet_v2": shufflenet.shufflenet_v2,
}
NETWORKS = tuple(_BUILDERS)


def create_network(name: str, num_classes: int, in_channels: int = 3, *, image_size: int = 32, width: int | None = None,
                   seed: int = 0, **options: Any) -> nn.Module:
    """Build a network with weights drawn from ``RandomState(seed)``.

    Args:
        name: one of ``NETWORKS``, in any case.
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        width: channels of the first stage (ResNets, default 64) or of the hidden layers (mlp, default 128).
        seed: of the weights.
        **options: of the family; None stands for its default. variant: "cifar" or "imagenet", of families that have
            both.

    Returns:
        A module: ``network(x)`` logits (B, num_classes), ``network.features(x)`` the exact input of the last linear
        layer (B, d), for float32 images (B, in_channels, image_size, image_size).

    Raises:
        ValueError: for an unknown name and for an option that the network does not have.
    """
    options = {key: value for key, value in {"width": width, **options}.items() if value is not None}
    network, schemes = build_network(name, num_classes, in_channels, image_size, **options)
    return initialize(network, np.random.RandomState(seed), **schemes)


def build_network(name: str, num_classes: int, in_channels: int, image_size: int, **options: Any) -> Built:
    """A network whose weights are not drawn yet, and its initial distributions; see ``create_network``.

    Args:
        name: the name in the registry.
        num_classes: number of logits.
        in_channels: channels of the images.
        image_size: height and width of the images, in pixels.
        **options: further options, by name.

    Returns:
        (network, initial distributions of its layers).
    """
    build = _BUILDERS.get(str(name).lower())
    if build is None:
        raise ValueError(f"unknown network {name!r}: there are {', '.join(NETWORKS)}")
    try:
        return build(num_classes, in_channels, image_size, **options)
    except TypeError as error:
        raise ValueError(f"network {name} and options {options}: {error}") from error


def options_of(name: str) -> set[str]:
    """Names of the options that a network has."""
    return {*inspect.signature(_BUILDERS[name]).parameters} - {"num_classes", "in_channels", "image_size"}
