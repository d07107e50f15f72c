"""ResNets (He et al. 2016) and wide ones (Zagoruyko and Komodakis 2016), with CIFAR's stem or ImageNet's."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import HE, initialize
from ms_coreset.networks.layers import Classifier, choose_variant, conv2d, linear

_IMAGENET_FROM = 64  # the Moderate repository takes torchvision's ResNets for Tiny-ImageNet


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv2d(channels, channels, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def construct(self, x: Tensor) -> Tensor:
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return ops.relu(y + self.downsample(x))


class Bottleneck(nn.Cell):
    """1x1, 3x3 (with the stride) and 1x1 convolutions and a shortcut."""

    expansion = 4
    widening = 1  # how many times more channels the 3x3 convolution has

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        inner, out_channels = channels * self.widening, channels * self.expansion
        self.conv1 = conv2d(in_channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv2d(inner, inner, 3, stride, 1)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv2d(inner, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def construct(self, x: Tensor) -> Tensor:
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return ops.relu(y + self.downsample(x))


class WideBottleneck(Bottleneck):
    """A bottleneck whose 3x3 convolution has twice the channels."""

    widening = 2


class ResNet(Classifier):
    """Four stages of blocks with ``width``, 2, 4 and 8 times ``width`` channels, global average pooling, dense."""

    normalized_stem = True  # whether the first convolution is followed by normalisation and ReLU

    def __init__(self, block: type[nn.Cell], depths: tuple[int, ...], num_classes: int, in_channels: int, width: int,
                 variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.conv1, self.pool = stem(in_channels, width, variant)
        self.bn1: nn.Cell = nn.BatchNorm2d(width) if self.normalized_stem else None
        channels = width
        for stage, depth in enumerate(depths):
            blocks = stack(block, channels, width << stage, depth, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", blocks)
            channels = (width << stage) * block.expansion
        self.fc = linear(channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        x = self.pool(ops.relu(self.bn1(x)) if self.normalized_stem else x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def stem(in_channels: int, width: int, variant: str, padding: int = 1) -> tuple[nn.Cell, nn.Cell]:
    """The first convolution and the pooling after it.

    Args:
        in_channels: channels of an image.
        width: channels of the convolution.
        variant: "cifar" or "imagenet".
        padding: of small images, in pixels.

    Returns:
        (convolution, pooling).
    """
    if variant == "imagenet":
        return conv2d(in_channels, width, 7, 2, 3), nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
    return conv2d(in_channels, width, 3, 1, padding), nn.Identity()


def stack(block: type[nn.Cell], in_channels: int, channels: int, depth: int, stride: int, **options: Any) -> nn.Cell:
    """``depth`` blocks of ``channels`` channels each.

    Args:
        block: class of the blocks.
        in_channels: channels of the input.
        channels: of each block.
        depth: number of blocks.
        stride: of the first block.
        options: of the blocks.

    Returns:
        The blocks, as one cell.
    """
    blocks = [block(in_channels, channels, stride, **options)]
    blocks += [block(channels * block.expansion, channels, 1, **options) for _ in range(depth - 1)]
    return nn.SequentialCell(*blocks)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Cell:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell(conv2d(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def require_width(width: int) -> None:
    """Check a width.

    Raises:
        MsCoresetError: for a width below 1.
    """
    if width < 1:
        raise MsCoresetError(f"width {width}: must be at least 1")


def resnet(block: type[nn.Cell], depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int,
           width: int = 64, variant: str | None = None, seed: int = 0) -> nn.Cell:
    """A ResNet of ``width`` channels in its first stage, for images of any size.

    The embedding has 8 x width dimensions (32 x width for bottlenecks); images of 28 and 32 pixels end in a 4x4 map
    that is averaged. Convolutions start from He's normal distribution (fan-out).

    Args:
        block: class of the blocks.
        depths: blocks of each stage.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        width: channels of the first stage, 1 or more.
        variant: "cifar" (3x3 convolution, stride 1) or "imagenet" (7x7, stride 2, then 3x3 max-pooling, as
            torchvision's); by default "imagenet" from 64 pixels on.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant or a width below 1.
    """
    require_width(width)
    variant = choose_variant(variant, image_size, _IMAGENET_FROM)
    return initialize(ResNet(block, depths, num_classes, in_channels, width, variant), seed, convolution=HE)


_BLOCKS = {"resnet18": (BasicBlock, (2, 2, 2, 2)), "resnet34": (BasicBlock, (3, 4, 6, 3)),
           "resnet50": (Bottleneck, (3, 4, 6, 3)), "resnet101": (Bottleneck, (3, 4, 23, 3)),
           "resnet152": (Bottleneck, (3, 8, 36, 3)), "wide_resnet50_2": (WideBottleneck, (3, 4, 6, 3)),
           "wide_resnet101_2": (WideBottleneck, (3, 4, 23, 3))}
resnet18, resnet34, resnet50, resnet101, resnet152, wide_resnet50_2, wide_resnet101_2 = (
    partial(resnet, *blocks) for blocks in _BLOCKS.values())


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a ResNet with weights of these ``shapes``, or None for another network."""
    if "bn1.gamma" not in shapes or "layer1.0.fc1.weight" in shapes or not is_residual(shapes):
        return None
    block = BasicBlock
    if "layer1.0.conv3.weight" in shapes:
        wide = shapes["layer1.0.conv1.weight"][0] == 2 * shapes["conv1.weight"][0]
        block = WideBottleneck if wide else Bottleneck
    return recognize_residual(shapes, block, _BLOCKS)


def is_residual(shapes: Shapes) -> bool:
    """Whether weights of these ``shapes`` belong to four stages of blocks, as in a ``ResNet`` of any kind."""
    return {"conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv2.weight", "fc.weight"} <= shapes.keys()


def recognize_residual(shapes: Shapes, block: type[nn.Cell],
                       networks: Mapping[str, tuple[type, tuple[int, ...]]]) -> dict[str, Any] | None:
    """``create_network``'s arguments for the one of ``networks`` with these ``shapes``.

    Args:
        shapes: parameter's name -> shape.
        block: class of the blocks that the shapes belong to.
        networks: name -> (block, depths).

    Returns:
        The arguments, or None if it is none of them.
    """
    depths = tuple(len({name.split(".")[1] for name in shapes if name.startswith(f"layer{stage}.")})
                   for stage in (1, 2, 3, 4))
    arch = next((name for name, blocks in networks.items() if blocks == (block, depths)), None)
    width, in_channels, kernel, _ = shapes["conv1.weight"]
    if arch is None:
        return None
    return {"arch": arch, "width": width, "variant": "imagenet" if kernel == 7 else "cifar",
            "in_channels": in_channels, "num_classes": shapes["fc.weight"][0]}
