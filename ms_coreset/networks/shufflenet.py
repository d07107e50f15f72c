"""ShuffleNet V2 1x (Ma et al. 2018), as the Moderate repository has it for small images or as torchvision's."""

from collections.abc import Callable
from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import Classifier, choose_variant, conv2d, fill_up, linear

_STEM, _LAST = 24, 1024
_STAGES = ((116, 4), (232, 8), (464, 4))  # channels and blocks, as in table 5 of the paper


class Block(nn.Cell):
    """Two branches, concatenated, whose channels are then shuffled.

    The right branch is a 1x1, a depthwise 3x3 (with the stride) and a 1x1 convolution. With stride 1 it takes half of
    the channels, and the left branch passes the others on. With stride 2 both take all, and the left one is a depthwise
    3x3 and a 1x1 convolution. ReLU follows the 1x1 convolutions only.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.halves = stride == 1
        half = out_channels // 2
        inputs = half if self.halves else in_channels
        left = [] if self.halves else [_depthwise(in_channels, stride), conv2d(in_channels, half, 1)]
        self.store(left, [conv2d(inputs, half, 1), _depthwise(half, stride), conv2d(half, half, 1)])

    def construct(self, x: Tensor) -> Tensor:
        first, second = ops.chunk(x, 2, 1) if self.halves else (x, x)
        return _shuffle(ops.cat([self.left(first), self.right(second)], 1))


class LargeBlock(Block):
    """The block with torchvision's names of weights."""

    def store(self, left: list[nn.Cell], right: list[nn.Cell]) -> None:
        """Store the branches, lists of convolutions."""
        self.branch1 = nn.SequentialCell(_with_norms(left)) if left else nn.Identity()
        self.branch2 = nn.SequentialCell(_with_norms(right))

    def left(self, x: Tensor) -> Tensor:
        return self.branch1(x)

    def right(self, x: Tensor) -> Tensor:
        return self.branch2(x)


class SmallBlock(Block):
    """The block with the Moderate repository's names: conv1, bn1, conv2 ... in both branches."""

    def store(self, left: list[nn.Cell], right: list[nn.Cell]) -> None:
        """Store the branches, lists of convolutions."""
        for place, convolution in enumerate(left + right, 1):
            setattr(self, f"conv{place}", convolution)
            setattr(self, f"bn{place}", nn.BatchNorm2d(convolution.out_channels))
        self.first_right, self.end = len(left) + 1, len(left + right) + 1

    def left(self, x: Tensor) -> Tensor:
        return self._follow(x, range(1, self.first_right))

    def right(self, x: Tensor) -> Tensor:
        return self._follow(x, range(self.first_right, self.end))

    def _follow(self, x: Tensor, places: range) -> Tensor:
        for place in places:
            convolution = getattr(self, f"conv{place}")
            x = getattr(self, f"bn{place}")(convolution(x))
            x = x if _is_depthwise(convolution) else ops.relu(x)
        return x


def _depthwise(channels: int, stride: int) -> nn.Cell:
    return conv2d(channels, channels, 3, stride, 1, groups=channels)


def _is_depthwise(convolution: nn.Cell) -> bool:
    return convolution.group > 1


def _with_norms(convolutions: list[nn.Cell]) -> list[nn.Cell]:
    layers = []
    for convolution in convolutions:
        layers += [convolution, nn.BatchNorm2d(convolution.out_channels)]
        layers += [] if _is_depthwise(convolution) else [nn.ReLU()]
    return layers


def _shuffle(x: Tensor) -> Tensor:
    """Channels of the two halves by turns."""
    size, channels, height, width = x.shape
    return x.reshape(size, 2, channels // 2, height, width).swapaxes(1, 2).reshape(x.shape)


class ShuffleNetV2(Classifier):
    """Convolution, three stages that halve the map, 1x1 convolution, global average pooling, dense."""

    def features(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return self.last(x).mean((2, 3))


class LargeShuffleNet(ShuffleNetV2):
    """The network with a stem of stride 2 and max pooling, and torchvision's names of weights."""

    variant = "imagenet"

    def __init__(self, num_classes: int, in_channels: int, padding: int) -> None:
        super().__init__()
        self.conv1 = nn.SequentialCell(_with_norms([conv2d(in_channels, _STEM, 3, 2, padding)]))
        self.maxpool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
        self.stage2, self.stage3, self.stage4 = _stages(LargeBlock)
        self.conv5 = nn.SequentialCell(_with_norms([conv2d(_STAGES[-1][0], _LAST, 1)]))
        self.fc = linear(_LAST, num_classes)

    @property
    def stages(self) -> tuple[nn.Cell, ...]:
        return self.conv1, self.maxpool, self.stage2, self.stage3, self.stage4

    def last(self, x: Tensor) -> Tensor:
        return self.conv5(x)


class SmallShuffleNet(ShuffleNetV2):
    """The network with a stem of stride 1, and the Moderate repository's names of weights."""

    variant = "cifar"

    def __init__(self, num_classes: int, in_channels: int, padding: int) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, _STEM, 3, 1, padding)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.layer1, self.layer2, self.layer3 = _stages(SmallBlock)
        self.conv2 = conv2d(_STAGES[-1][0], _LAST, 1)
        self.bn2 = nn.BatchNorm2d(_LAST)
        self.fc = linear(_LAST, num_classes)

    @property
    def stages(self) -> tuple[Callable, ...]:
        return self.conv1, self.bn1, ops.relu, self.layer1, self.layer2, self.layer3

    def last(self, x: Tensor) -> Tensor:
        return ops.relu(self.bn2(self.conv2(x)))


def _stages(block: type[nn.Cell]) -> list[nn.Cell]:
    channels, stages = _STEM, []
    for out_channels, count in _STAGES:
        blocks = [block(channels, out_channels, 2)] + [block(out_channels, out_channels, 1) for _ in range(count - 1)]
        stages.append(nn.SequentialCell(blocks))
        channels = out_channels
    return stages


def shufflenet_v2(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
                  seed: int = 0) -> nn.Cell:
    """ShuffleNet V2 of width 1 for images of any size; the embedding has 1024 dimensions.

    Both variants start from torch's default distributions. Departures: the Moderate repository averages over 4x4, and
    so fails at 32 pixels and has 4096 dimensions at 64; here the whole map is averaged, as in the paper. Images below
    32 pixels are padded to 32.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar" (the Moderate repository's) or "imagenet" (torchvision's shufflenet_v2_x1_0), each with its
            names of weights; by default "imagenet" above 64 pixels.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant.
    """
    variant = choose_variant(variant, image_size)
    build = SmallShuffleNet if variant == "cifar" else LargeShuffleNet
    return initialize(build(num_classes, in_channels, 1 + fill_up(image_size)), seed)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a ShuffleNet V2 with these ``shapes``, or None for another network."""
    names = {"cifar": ("conv1.weight", "layer1.0.conv5.weight", "layer3.3.conv3.weight"),
             "imagenet": ("conv1.0.weight", "stage2.0.branch1.0.weight", "stage4.3.branch2.5.weight")}
    for variant, (stem, down, last) in names.items():
        if {stem, down, last, "fc.weight"} <= shapes.keys() and shapes[last][0] == _STAGES[-1][0] // 2:
            return {"arch": "shufflenet_v2", "variant": variant, "in_channels": shapes[stem][1],
                    "num_classes": shapes["fc.weight"][0]}
    return None
