"""ResNet-18/34/50 (He et al. 2016) with CIFAR's stem or ImageNet's."""

from functools import partial

from mindspore import nn, ops

from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.blocks import Classifier, choose_variant, conv2d, linear
from ms_coreset.networks.initialisation import HE, initialise

_IMAGENET_FROM = 64  # the Moderate repository takes torchvision's ResNets for Tiny-ImageNet


class BasicBlock(nn.Cell):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, in_channels, channels, stride, downsample):
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv2d(channels, channels, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def construct(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return ops.relu(y + self.downsample(x))


class Bottleneck(nn.Cell):
    """1x1, 3x3 (with the stride) and 1x1 convolutions and a shortcut."""

    expansion = 4

    def __init__(self, in_channels, channels, stride, downsample):
        super().__init__()
        self.conv1 = conv2d(in_channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv2d(channels, channels, 3, stride, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv2d(channels, channels * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.downsample = downsample

    def construct(self, x):
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return ops.relu(y + self.downsample(x))


class ResNet(Classifier):
    """Four stages of blocks with ``width``, 2, 4 and 8 times ``width`` channels, global average pooling, dense."""

    def __init__(self, block, depths, num_classes, in_channels, width, variant):
        super().__init__()
        self.variant = variant
        large = variant == "imagenet"
        self.conv1 = conv2d(in_channels, width, 7, 2, 3) if large else conv2d(in_channels, width, 3, 1, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1) if large else nn.Identity()
        channels = width
        for stage, depth in enumerate(depths):
            blocks, channels = _stage(block, channels, width << stage, depth, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", blocks)
        self.fc = linear(channels, num_classes)

    @property
    def head(self):
        return self.fc

    def features(self, x):
        x = self.pool(ops.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def _stage(block, in_channels, channels, depth, stride):
    blocks = []
    for place in range(depth):
        step = stride if place == 0 else 1
        blocks.append(block(in_channels, channels, step, _shortcut(in_channels, channels * block.expansion, step)))
        in_channels = channels * block.expansion
    return nn.SequentialCell(*blocks), in_channels


def _shortcut(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell(conv2d(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def resnet(block, depths, num_classes, in_channels, image_size, width=64, variant=None, seed=0):
    """A ResNet of ``width`` channels in its first stage, for images of any size.

    variant: "cifar" (3x3 convolution, stride 1) or "imagenet" (7x7, stride 2, then 3x3 max-pooling, as torchvision's);
        by default "imagenet" from 64 pixels on

    The embedding has 8 x width dimensions (32 x width for bottlenecks); images of 28 and 32 pixels end in a 4x4 map
    that is averaged. Raises ``MsCoresetError`` for another variant or a width below 1.
    """
    if width < 1:
        raise MsCoresetError(f"width {width}: must be at least 1")
    variant = choose_variant(variant, image_size, _IMAGENET_FROM)
    return initialise(ResNet(block, depths, num_classes, in_channels, width, variant), seed, convolution=HE)


_BLOCKS = {"resnet18": (BasicBlock, (2, 2, 2, 2)), "resnet34": (BasicBlock, (3, 4, 6, 3)),
           "resnet50": (Bottleneck, (3, 4, 6, 3)), "resnet101": (Bottleneck, (3, 4, 23, 3)),
           "resnet152": (Bottleneck, (3, 8, 36, 3))}
resnet18, resnet34, resnet50, resnet101, resnet152 = (partial(resnet, *blocks) for blocks in _BLOCKS.values())


def recognise(shapes):
    """What ``create_network`` needs for a ResNet with weights of these ``shapes``, or None for another network."""
    if not {"conv1.weight", "bn1.gamma", "layer4.0.conv1.weight", "fc.weight"} <= shapes.keys():
        return None
    block = Bottleneck if "layer1.0.conv3.weight" in shapes else BasicBlock
    depths = tuple(len({name.split(".")[1] for name in shapes if name.startswith(f"layer{stage}.")})
                   for stage in (1, 2, 3, 4))
    arch = next((name for name, blocks in _BLOCKS.items() if blocks == (block, depths)), None)
    width, in_channels, kernel, _ = shapes["conv1.weight"]
    return arch and {"arch": arch, "width": width, "variant": "imagenet" if kernel == 7 else "cifar",
                     "in_channels": in_channels, "num_classes": shapes["fc.weight"][0]}
