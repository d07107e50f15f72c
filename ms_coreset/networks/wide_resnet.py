"""Wide ResNets for small images (Zagoruyko and Komodakis 2016); those for ImageNet are in ``resnet``."""

from collections import OrderedDict
from functools import partial
from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import HE, Scheme, initialize, uniform_fan_in, zeros
from ms_coreset.networks.layers import Classifier, choose_variant, fill_up, linear
from ms_coreset.networks.preact_resnet import PreActBlock
from ms_coreset.networks.resnet import stack, stem

_STEM = 16


class WideResNet(Classifier):
    """Three stages of pre-activation blocks with 16, 32 and 64 times ``widening`` channels, average pooling, dense."""

    def __init__(self, depth: int, widening: int, num_classes: int, in_channels: int, image_size: int, variant: str,
                 dropout: float) -> None:
        super().__init__()
        self.variant = variant
        self.conv1, self.pool = stem(in_channels, _STEM, variant, padding=1 + fill_up(image_size))
        channels, per_stage = _STEM, (depth - 4) // 6
        for stage in range(3):
            wide = _STEM * widening << stage
            blocks = stack(PreActBlock, channels, wide, per_stage, stride=1 if stage == 0 else 2, dropout=dropout)
            setattr(self, f"block{stage + 1}", nn.SequentialCell(OrderedDict(layer=blocks)))
            channels = wide
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = linear(channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x))
        x = self.block3(self.block2(self.block1(x)))
        return ops.relu(self.bn1(x)).mean((2, 3))


def wide_resnet(depth: int, widening: int, num_classes: int, in_channels: int, image_size: int,
                variant: str | None = None, dropout: float = 0.0, seed: int = 0) -> nn.Cell:
    """WRN-``depth``-``widening``: 6 n + 4 layers, three stages of n blocks.

    The embedding has 64 x widening dimensions. Convolutions start from He's normal distribution (fan-out), the dense
    layer as torch's with bias 0. Departure: DeepCore pads grey images by 2 and takes 28 and 32 pixels only. Here images
    below 32 pixels are padded to 32, and the last map, of any size, is averaged.

    Args:
        depth: number of layers, 6 n + 4.
        widening: factor of the channels.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar", DeepCore's (3x3 convolution, stride 1), or "imagenet", the same with ResNet's stem for large
            images (7x7, stride 2, then 3x3 max-pooling); by default "imagenet" from 65 pixels on.
        dropout: chance between the two convolutions of a block; the paper has 0.3 where it has any, DeepCore 0.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant and a dropout outside [0, 1).
    """
    variant = choose_variant(variant, image_size)
    network = WideResNet(depth, widening, num_classes, in_channels, image_size, variant, dropout)
    return initialize(network, seed, convolution=HE, dense=Scheme(uniform_fan_in, zeros))


_SIZES = {"wrn16_8": (16, 8), "wrn28_2": (28, 2), "wrn28_10": (28, 10)}
wrn16_8, wrn28_2, wrn28_10 = (partial(wide_resnet, *size) for size in _SIZES.values())


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a wide ResNet with these ``shapes``, or None for another network."""
    if not {"conv1.weight", "block1.layer.0.conv1.weight", "bn1.gamma", "fc.weight"} <= shapes.keys():
        return None
    blocks = {name.split(".")[2] for name in shapes if name.startswith("block1.layer.")}
    size = 6 * len(blocks) + 4, shapes["block1.layer.0.conv1.weight"][0] // _STEM
    arch = next((name for name, known in _SIZES.items() if known == size), None)
    _, in_channels, kernel, _ = shapes["conv1.weight"]
    if arch is None:
        return None
    return {"arch": arch, "variant": "imagenet" if kernel == 7 else "cifar", "in_channels": in_channels,
            "num_classes": shapes["fc.weight"][0]}
