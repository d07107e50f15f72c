"""Pre-activation ResNets (He et al. 2016, "Identity mappings in deep residual networks")."""

from functools import partial
from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import initialize
from ms_coreset.networks.layers import Dropout, choose_variant, conv2d
from ms_coreset.networks.resnet import ResNet, is_residual, recognize_residual, require_width


class PreActivated(nn.Cell):
    """A residual block on the normalised and rectified input: ``branch`` of it plus the shortcut.

    A shortcut that has to change the shape is a 1x1 convolution of the normalised and rectified input, too. Subclasses
    define ``bn1``, ``branch(y)`` and ``downsample``, which is None for an unchanged input.
    """

    def construct(self, x: Tensor) -> Tensor:
        y = ops.relu(self.bn1(x))
        return self.branch(y) + (x if self.downsample is None else self.downsample(y))


class PreActBlock(PreActivated):
    """Two 3x3 convolutions, each after normalisation and ReLU, the second after dropout too."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv2d(in_channels, channels, 3, stride, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = Dropout(dropout)
        self.conv2 = conv2d(channels, channels, 3, 1, 1)
        self.downsample = _shortcut(in_channels, channels, stride)

    def branch(self, y: Tensor) -> Tensor:
        y = ops.relu(self.bn2(self.conv1(y)))
        return self.conv2(self.dropout(y))


class PreActBottleneck(PreActivated):
    """1x1, 3x3 (with the stride) and 1x1 convolutions, each after normalisation and ReLU."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv2d(in_channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv2d(channels, channels, 3, stride, 1)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = conv2d(channels, channels * self.expansion, 1)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def branch(self, y: Tensor) -> Tensor:
        y = self.conv2(ops.relu(self.bn2(self.conv1(y))))
        return self.conv3(ops.relu(self.bn3(y)))


class PreActResNet(ResNet):
    """A ResNet of pre-activation blocks; no normalisation follows its first convolution."""

    normalized_stem = False


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Cell | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.SequentialCell(conv2d(in_channels, out_channels, 1, stride))


def preact_resnet(block: type[nn.Cell], depths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int,
                  width: int = 64, variant: str | None = None, seed: int = 0) -> nn.Cell:
    """A pre-activation ResNet of ``width`` channels in its first stage, for images of any size.

    The embedding has 8 x width dimensions (32 x width for bottlenecks). Weights start as torch's do. Departure from the
    paper, as the networks for CIFAR in PyTorch have it: no normalisation and ReLU after the last block.

    Args:
        block: class of the blocks.
        depths: blocks of each stage.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        width: channels of the first stage, 1 or more.
        variant: "cifar", the usual one for CIFAR (3x3 convolution, stride 1), or "imagenet", the same with ResNet's
            stem for large images (7x7, stride 2, then 3x3 max-pooling); by default "imagenet" from 65 pixels on.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant or a width below 1.
    """
    require_width(width)
    variant = choose_variant(variant, image_size)
    return initialize(PreActResNet(block, depths, num_classes, in_channels, width, variant), seed)


_BLOCKS = {"preact_resnet18": (PreActBlock, (2, 2, 2, 2)), "preact_resnet34": (PreActBlock, (3, 4, 6, 3)),
           "preact_resnet50": (PreActBottleneck, (3, 4, 6, 3))}
preact_resnet18, preact_resnet34, preact_resnet50 = (partial(preact_resnet, *blocks) for blocks in _BLOCKS.values())


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a network of this file with weights of these ``shapes``, or None."""
    if "bn1.gamma" in shapes or "layer1.0.fc1.weight" in shapes or not is_residual(shapes):
        return None
    block = PreActBottleneck if "layer1.0.conv3.weight" in shapes else PreActBlock
    return recognize_residual(shapes, block, _BLOCKS)
