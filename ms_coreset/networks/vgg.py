"""VGG-11/13/16/19 (Simonyan and Zisserman 2015): DeepCore's for small images, torchvision's for large ones."""

import math
from functools import partial
from typing import Any

from mindspore import nn

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import HE, Scheme, initialize, normal, zeros
from ms_coreset.networks.layers import Dropout, Plain, choose_variant, conv2d, fill_up, linear, max_pool, require_side

_CHANNELS = (64, 128, 256, 512, 512)  # of the five stages, each of which ends in 2x2 max-pooling
_DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_SMALLEST = 32  # of smaller images five poolings leave nothing


def vgg(depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
        batch_norm: bool = True, side: int | None = None, dropout: float | None = None, seed: int = 0) -> nn.Cell:
    """A VGG with ``depths`` 3x3 convolutions in its five stages.

    Departure: DeepCore pads grey images by 2 and takes 28 and 32 pixels only. Here images below 32 pixels are padded to
    32. Weights start as torch's do for "cifar"; for "imagenet" as torchvision's: He's normal distribution (fan-out) in
    convolutions, N(0, 0.01^2) in dense layers, biases 0.

    Args:
        depths: convolutions of each stage.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar", DeepCore's (one dense layer; the embedding has 512 dimensions), or "imagenet", torchvision's
            (three dense layers; 4096); by default "imagenet" from 65 pixels on.
        batch_norm: whether batch normalisation follows each convolution, as in torchvision's vgg16_bn and in DeepCore's
            networks; torchvision's vgg16 has none.
        side: pixels per side that the last map is averaged to (default 1 for "cifar", 7 for "imagenet"). The Moderate
            repository's VGG-16 for 64 pixels has 2, and 2048 dimensions.
        dropout: chance before the only dense layer of "cifar" (default 0), before the last two of "imagenet" (default
            0.5).
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant, a side below 1, a dropout outside [0, 1), and images below 32 pixels for
            "imagenet".
    """
    variant = choose_variant(variant, image_size)
    if side is not None and side < 1:
        raise MsCoresetError(f"side {side}: must be at least 1")
    if variant == "cifar":
        convolutions = _convolutions(depths, in_channels, 1 + fill_up(image_size), batch_norm)
        network = _small(num_classes, convolutions, side or 1, 0.0 if dropout is None else dropout)
        return initialize(network, seed)
    require_side(image_size, _SMALLEST, "VGG's imagenet variant")
    convolutions = _convolutions(depths, in_channels, 1, batch_norm)
    network = _large(num_classes, convolutions, side or 7, 0.5 if dropout is None else dropout)
    return initialize(network, seed, convolution=HE, dense=Scheme(normal(0.01), zeros))


def _small(num_classes: int, convolutions: list[nn.Cell], side: int, dropout: float) -> Plain:
    pooling = [nn.AdaptiveAvgPool2d(side), nn.Flatten(), Dropout(dropout)]
    return Plain("cifar", convolutions, pooling, [linear(_CHANNELS[-1] * side**2, num_classes)])


def _large(num_classes: int, convolutions: list[nn.Cell], side: int, dropout: float) -> Plain:
    dense = [linear(_CHANNELS[-1] * side**2, 4096), nn.ReLU(), Dropout(dropout),
             linear(4096, 4096), nn.ReLU(), Dropout(dropout), linear(4096, num_classes)]
    return Plain("imagenet", convolutions, [nn.AdaptiveAvgPool2d(side), nn.Flatten()], dense)


def _convolutions(depths: tuple[int, ...], in_channels: int, padding: int, batch_norm: bool) -> list[nn.Cell]:
    layers: list[nn.Cell] = []
    for channels, depth in zip(_CHANNELS, depths, strict=True):
        for _ in range(depth):
            layers.append(conv2d(in_channels, channels, 3, padding=1 if layers else padding, bias=True))
            layers += [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
            in_channels = channels
        layers.append(max_pool(2, 2))
    return layers


vgg11, vgg13, vgg16, vgg19 = (partial(vgg, depths) for depths in _DEPTHS.values())


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a VGG with weights of these ``shapes``, or None for another network."""
    kernels = [shape for name, shape in shapes.items() if name.startswith("features.") and len(shape) == 4]
    arch = next((name for name, depths in _DEPTHS.items() if [shape[0] for shape in kernels] == _stages(depths)), None)
    dense = ("classifier.6", "classifier.0") if "classifier.6.weight" in shapes else ("classifier", "classifier")
    head, first = (shapes.get(f"{name}.weight") for name in dense)
    if arch is None or head is None or first is None or {shape[2:] for shape in kernels} != {(3, 3)}:
        return None
    return {"arch": arch, "variant": "cifar" if head is first else "imagenet",
            "batch_norm": "features.1.gamma" in shapes, "side": math.isqrt(first[1] // _CHANNELS[-1]),
            "in_channels": kernels[0][1], "num_classes": head[0]}


def _stages(depths: tuple[int, ...]) -> list[int]:
    """The channels of all convolutions, in their order."""
    return [channels for channels, depth in zip(_CHANNELS, depths, strict=True) for _ in range(depth)]
