"""AlexNet (Krizhevsky 2014, "One weird trick ..."): DeepCore's for small images, torchvision's for large ones."""

from typing import Any

from mindspore import nn

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import Dropout, Plain, choose_variant, conv2d, fill_up, linear, max_pool, require_side

_SMALLEST = 63  # of smaller images torchvision's poolings leave nothing


def alexnet(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
            dropout: float | None = None, seed: int = 0) -> nn.Cell:
    """AlexNet: five convolutions, three of them followed by max-pooling, and no normalisation.

    Departure: DeepCore pads grey images by 2 and takes 28 and 32 pixels only. Here images below 32 pixels are padded to
    32, and the last map of larger ones is averaged to 4x4. Weights start as torch's do.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar", DeepCore's (5x5 convolution, stride 1, and one dense layer; the embedding has 3072
            dimensions), or "imagenet", torchvision's (11x11, stride 4, and three dense layers; 4096); by default
            "imagenet" from 65 pixels on.
        dropout: chance before the dense layers: before the only one of "cifar" (default 0), before the first two of
            "imagenet" (default 0.5).
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant, a dropout outside [0, 1), and images below 63 pixels for "imagenet".
    """
    variant = choose_variant(variant, image_size)
    if variant == "cifar":
        network = _small(num_classes, in_channels, fill_up(image_size), 0.0 if dropout is None else dropout)
    else:
        require_side(image_size, _SMALLEST, "alexnet's imagenet variant")
        network = _large(num_classes, in_channels, 0.5 if dropout is None else dropout)
    return initialize(network, seed)


def _small(num_classes: int, in_channels: int, padding: int, dropout: float) -> Plain:
    convolutions = _convolutions(in_channels, (128, 192, 256, 192, 192), (5, 1, 2 + padding), pool=(2, 2))
    pooling = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), Dropout(dropout)]
    return Plain("cifar", convolutions, pooling, [linear(192 * 4**2, num_classes)], name="fc")


def _large(num_classes: int, in_channels: int, dropout: float) -> Plain:
    convolutions = _convolutions(in_channels, (64, 192, 384, 256, 256), (11, 4, 2), pool=(3, 2))
    dense = [Dropout(dropout), linear(256 * 6**2, 4096), nn.ReLU(),
             Dropout(dropout), linear(4096, 4096), nn.ReLU(), linear(4096, num_classes)]
    return Plain("imagenet", convolutions, [nn.AdaptiveAvgPool2d(6), nn.Flatten()], dense)


def _convolutions(in_channels: int, channels: tuple[int, ...], first: tuple[int, int, int],
                  pool: tuple[int, int]) -> list[nn.Cell]:
    """The five convolutions with ReLU.

    Args:
        in_channels: channels of an image.
        channels: of each convolution.
        first: kernel, stride and padding of the first.
        pool: window and stride of the max-pooling.
    """
    kernels = (first, (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
    layers = []
    for out_channels, kernel, pooled in zip(channels, kernels, (True, True, False, False, True), strict=True):
        layers += [conv2d(in_channels, out_channels, *kernel, bias=True), nn.ReLU()]
        layers += [max_pool(*pool)] if pooled else []
        in_channels = out_channels
    return layers


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for an AlexNet with weights of these ``shapes``, or None for another network."""
    first = shapes.get("features.0.weight", ())
    kinds: dict[tuple[int, ...], tuple[str, str]] = {(5, 5): ("cifar", "fc.weight"),
                                                     (11, 11): ("imagenet", "classifier.6.weight")}
    variant, head = kinds.get(first[2:], ("", ""))
    if not {head, "features.3.weight", "features.10.weight"} <= shapes.keys():
        return None
    return {"arch": "alexnet", "variant": variant, "in_channels": first[1], "num_classes": shapes[head][0]}
