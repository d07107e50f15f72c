"""The networks by name: an MLP, LeNet and ResNets, with weights drawn from a numpy seed."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Flattened image -> fc1 -> ReLU -> fc2 -> ReLU -> fc3 (DeepCore's MLP; its hidden size is 128)."""

    def __init__(self, num_classes, in_channels, image_size, width):
        super().__init__()
        self.fc1 = nn.Linear(in_channels * image_size**2, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, num_classes)

    def features(self, x):
        """(B, channels, height, width) -> (B, width), the input of ``fc3``."""
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, x):
        return self.fc3(self.features(x))


# image size: (kernel, padding of conv1, padding of conv2, side of the last feature map)
_LENET_SHAPES = {8: (3, 1, 1, 2), 28: (5, 2, 0, 5), 32: (5, 0, 0, 5)}


class LeNet(nn.Module):
    """conv1 (6) -> ReLU -> pool -> conv2 (16) -> ReLU -> pool -> fc1 120 -> fc2 84 -> fc3 (DeepCore's LeNet-5).

    Kernels are 5x5, on images of 32 pixels, or of 28 with padding 2 in the first layer. DeepCore pads for grey
    images instead of for small ones, and has no variant for 8 pixels: there kernels are 3x3 with padding 1.
    """

    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        if image_size not in _LENET_SHAPES:
            raise ValueError(f"lenet takes images of {', '.join(map(str, _LENET_SHAPES))} pixels, not {image_size}")
        kernel, padding1, padding2, side = _LENET_SHAPES[image_size]
        self.conv1 = nn.Conv2d(in_channels, 6, kernel, padding=padding1)
        self.conv2 = nn.Conv2d(6, 16, kernel, padding=padding2)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def features(self, x):
        """(B, channels, height, width) -> (B, 84), the input of ``fc3``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, x):
        return self.fc3(self.features(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016, figure 5 right).

    The stride is on the 3x3 convolution, as in torchvision (the paper has it on the first 1x1).
    """

    expansion = 4

    def __init__(self, in_channels, channels, stride):
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


def _shortcut(in_channels, out_channels, stride):
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """Residual network with torchvision's names (He et al. 2016, table 1), for images of any size.

    block, depths: the kind of block, and how many in each of the four stages, of w, 2w, 4w, 8w channels
    stem: "cifar" (3x3, stride 1, no pooling) or "imagenet" (7x7, stride 2, 3x3 max pooling of stride 2)
    """

    def __init__(self, block, depths, num_classes, in_channels, width, stem):
        super().__init__()
        if stem not in ("cifar", "imagenet"):
            raise ValueError(f"stem is {stem!r}, must be 'cifar' or 'imagenet'")
        self.pooled_stem = stem == "imagenet"
        kernel, stride, padding = (7, 2, 3) if self.pooled_stem else (3, 1, 1)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        outputs = width * block.expansion
        self.layer1 = _stage(block, depths[0], width, width, stride=1)
        self.layer2 = _stage(block, depths[1], outputs, 2 * width, stride=2)
        self.layer3 = _stage(block, depths[2], 2 * outputs, 4 * width, stride=2)
        self.layer4 = _stage(block, depths[3], 4 * outputs, 8 * width, stride=2)
        self.fc = nn.Linear(8 * outputs, num_classes)

    def features(self, x):
        """(B, channels, height, width) -> (B, 8 * width * expansion), the input of ``fc``."""
        x = F.relu(self.bn1(self.conv1(x)))
        if self.pooled_stem:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


def _stage(block, depth, in_channels, channels, stride):
    first = block(in_channels, channels, stride)
    others = [block(channels * block.expansion, channels, 1) for _ in range(depth - 1)]
    return nn.Sequential(first, *others)


_RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}

NETWORKS = ("mlp", "lenet", *_RESNETS)


def create_network(name, num_classes, in_channels=3, image_size=32, width=None, stem="cifar", seed=0):
    """Build a network with weights drawn from ``RandomState(seed)``.

    name: one of ``NETWORKS``, in any case
    width: channels of the first stage (ResNets, default 64) or of the hidden layers (mlp, default 128)
    stem: of ResNets, see ``ResNet``; the others have none and ignore it

    Returns a module: ``network(x)`` logits (B, num_classes), ``network.features(x)`` the exact input of the last
    linear layer (B, d), for float32 images (B, in_channels, image_size, image_size). Raises ``ValueError`` for an
    unknown name or stem, and for a size or width that the network does not have.
    """
    network = _build(str(name).lower(), num_classes, in_channels, image_size, width, stem)
    return initialise(network, np.random.RandomState(seed))


def _build(name, num_classes, in_channels, image_size, width, stem):
    if name == "mlp":
        return MLP(num_classes, in_channels, image_size, 128 if width is None else width)
    if name == "lenet" and width is not None:
        raise ValueError(f"lenet has no width (got {width})")
    if name == "lenet":
        return LeNet(num_classes, in_channels, image_size)
    if name in _RESNETS:
        return ResNet(*_RESNETS[name], num_classes, in_channels, 64 if width is None else width, stem)
    raise ValueError(f"unknown network {name!r}: there are {', '.join(NETWORKS)}")


@torch.no_grad()
def initialise(network, rng):
    """Draw the weights of all layers from a numpy ``RandomState``, in order of definition, weight before bias.

    Linear layers, and convolutions with a bias: U(-b, b), b = 1/sqrt(fan_in), which is torch's default distribution.
    Convolutions without one, which BatchNorm follows: N(0, 2/(out_channels k k)) (He et al. 2015, fan-out), as in
    torchvision's ResNets. BatchNorm keeps gamma 1 and beta 0 and draws nothing. Returns the network.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            _fill(module.weight, rng.normal(0, math.sqrt(2 / fan_out), size=tuple(module.weight.shape)))
        elif isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in (module.weight, module.bias):
                _fill(parameter, rng.uniform(-bound, bound, size=tuple(parameter.shape)))
    return network


def _fill(parameter, values):
    parameter.copy_(torch.from_numpy(values))
