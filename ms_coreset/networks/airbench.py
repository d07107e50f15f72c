"""A small fast network for 32-pixel images, after Keller Jordan's airbench."""

from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import IDENTITY, initialize
from ms_coreset.networks.layers import Classifier, batch_norm, conv2d, max_pool, require_side

_NORM = batch_norm(momentum=0.4)
_SCALE = 1 / 9  # of the features: small logits at the start, and a smaller step of the last layer


class Group(nn.Cell):
    """3x3 convolution, 2x2 max-pooling, BatchNorm, ReLU; then 3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, padding=1)
        self.pool = max_pool(2, 2)
        self.bn1 = _NORM(channels)
        self.conv2 = conv2d(channels, channels, 3, padding=1)
        self.bn2 = _NORM(channels)

    def construct(self, x: Tensor) -> Tensor:
        x = ops.relu(self.bn1(self.pool(self.conv1(x))))
        return ops.relu(self.bn2(self.conv2(x)))


class Airbench(Classifier):
    """A 2x2 convolution with ReLU, three groups, global max-pooling, and a dense layer without bias.

    The first layer has two filters for each dimension of a patch. With a recipe that says ``whiten`` they are the
    patches' whitening and its negative (``training.whitening``).
    """

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        filters = 2 * 4 * in_channels
        self.whitening = conv2d(in_channels, filters, 2, bias=True)
        self.group1 = Group(filters, width)
        self.group2 = Group(width, 4 * width)
        self.group3 = Group(4 * width, 4 * width)
        for group in (self.group1, self.group2, self.group3):
            group.conv1.scheme = group.conv2.scheme = IDENTITY
        self.fc = nn.Dense(4 * width, num_classes, weight_init="zeros", has_bias=False)

    def features(self, x: Tensor) -> Tensor:
        x = ops.relu(self.whitening(x))
        x = self.group3(self.group2(self.group1(x)))
        return ops.amax(x, (2, 3)) * _SCALE


def airbench(num_classes: int, in_channels: int, image_size: int, width: int = 16, seed: int = 0) -> nn.Cell:
    """Airbench: groups of ``width``, 4 x ``width`` and 4 x ``width`` channels; 4 x ``width`` features.

    Convolutions of the groups begin as the identity: as many filters as there are input channels pass one channel each;
    the others are drawn as in torch. The running statistics of BatchNorm take 0.4 of each batch.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024 (airbench94). Departures: ReLU instead of
    GELU, which costs more on a CPU; a narrower network; BatchNorm's scale is learned, too; the whitening's shift is
    learned until the end; the factor 1/9 is applied to the features, which gives the same logits.
    GELU, which costs more on a CPU; a narrower net; BatchNorm's scale is learnt too; the whitening's shift is learnt to
    the end; the factor 1/9 is on the features, which gives the same logits.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels, 9 or more.
        width: channels of the first group.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for smaller images.
    """
    require_side(image_size, 9, "airbench", "")
    return initialize(Airbench(num_classes, in_channels, width), seed)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for an airbench with weights of these ``shapes``, or None for another network."""
    if not {"whitening.weight", "group3.conv2.weight", "fc.weight"} <= shapes.keys():
        return None
    return {"arch": "airbench", "in_channels": shapes["whitening.weight"][1], "num_classes": shapes["fc.weight"][0],
            "width": shapes["group1.conv1.weight"][0]}
