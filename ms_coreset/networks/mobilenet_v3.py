"""MobileNetV3, small and large (Howard et al. 2019), as DeepCore has it for small images or as torchvision's."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mindspore import Tensor, nn

from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import HE, Scheme, initialize, normal, zeros
from ms_coreset.networks.layers import (
    Classifier,
    Dropout,
    InvertedResidual,
    SqueezeExcitation,
    batch_norm,
    choose_variant,
    conv_norm,
    conv_norm_layers,
    fill_up,
    linear,
)

Row = tuple[int, int, int, bool, bool, int]
_STEM = 16
# Rows of tables 1 and 2 of the paper: kernel, channels inside, channels out, squeeze-excitation, h-swish, stride.
_LARGE = ((3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
          (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
          (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
          (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
          (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1))
_SMALL = ((3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
          (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
          (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
          (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1))
_NETWORKS = {"mobilenet_v3_small": (_SMALL, 1024), "mobilenet_v3_large": (_LARGE, 1280)}


class DenseSqueezeExcitation(nn.Cell):
    """DeepCore's squeeze-excitation: dense layers where ``SqueezeExcitation`` has 1x1 convolutions."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc = nn.SequentialCell(linear(channels, squeezed), nn.ReLU(), linear(squeezed, channels), nn.HSigmoid())

    def construct(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class SmallInvertedResidual(nn.Cell):
    """DeepCore's block: ``InvertedResidual``, but squeeze-excitation comes before the activation after an expansion."""

    def __init__(self, in_channels: int, expanded: int, out_channels: int, kernel_size: int | tuple[int, int],
                 stride: int, activation: Callable[[], nn.Cell], squeeze: nn.Cell | None) -> None:
        super().__init__()
        squeeze = squeeze or nn.Identity()
        depthwise = conv_norm_layers(expanded, expanded, kernel_size, stride, expanded)
        project = conv_norm_layers(expanded, out_channels, 1)
        if expanded == in_channels:
            layers = [*depthwise, activation(), squeeze, *project]
        else:
            expand = conv_norm_layers(in_channels, expanded, 1, activation=activation())
            layers = [*expand, *depthwise, squeeze, activation(), *project]
        self.conv = nn.SequentialCell(layers)
        self.shortcut = stride == 1 and in_channels == out_channels

    def construct(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV3(Classifier):
    """Stem of stride 2, inverted residual blocks, 1x1 convolution, global average pooling, two dense layers.

    The embedding is the first dense layer's output after h-swish and dropout.
    """

    def __init__(self, rows: Sequence[Row], dimensions: int, num_classes: int, in_channels: int, padding: int,
                 variant: str, dropout: float) -> None:
        super().__init__()
        self.variant = variant
        small = variant == "cifar"
        block, norm = (_small_block, nn.BatchNorm2d) if small else (_block, batch_norm(eps=1e-3, momentum=0.01))
        cells = [conv_norm(in_channels, _STEM, 3, 2, activation=nn.HSwish(), norm=norm, padding=padding)]
        channels = _STEM
        for row in rows:
            cells.append(block(channels, row, norm))
            channels = row[2]
        inside = rows[-1][1]
        last = conv_norm(channels, inside, 1, activation=nn.HSwish(), norm=norm)
        self.set_trunk(nn.SequentialCell(cells if small else [*cells, last]))
        self.conv = last if small else nn.Identity()
        between = [Dropout(dropout), nn.Identity()] if small else [Dropout(dropout)]
        self.classifier = nn.SequentialCell(linear(inside, dimensions), nn.HSwish(), *between,
                                            linear(dimensions, num_classes))

    @property
    def head(self) -> nn.Cell:
        return self.classifier[-1]

    def features(self, x: Tensor) -> Tensor:
        x = self.conv(self.trunk(x)).mean((2, 3))
        for layer in self.classifier.cell_list[:-1]:
            x = layer(x)
        return x


def _block(in_channels: int, row: Row, norm: Callable[..., nn.Cell]) -> InvertedResidual:
    kernel_size, inside, out_channels, squeezes, h_swish, stride = row
    squeeze = SqueezeExcitation(inside, _squeeze(inside), nn.ReLU(), nn.HSigmoid()) if squeezes else None
    activation = nn.HSwish if h_swish else nn.ReLU
    return InvertedResidual(in_channels, inside, out_channels, kernel_size, stride, activation, squeeze, norm)


def _small_block(in_channels: int, row: Row, norm: Callable[..., nn.Cell]) -> SmallInvertedResidual:
    kernel_size, inside, out_channels, squeezes, h_swish, stride = row
    squeeze = DenseSqueezeExcitation(inside, _squeeze(inside)) if squeezes else None
    activation = nn.HSwish if h_swish else nn.ReLU
    return SmallInvertedResidual(in_channels, inside, out_channels, kernel_size, stride, activation, squeeze)


def _squeeze(channels: int) -> int:
    """A quarter of the channels, rounded to a multiple of 8, but never less than nine tenths of the quarter."""
    quarter = channels // 4
    rounded = max(8, (quarter + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * quarter else rounded


def mobilenet_v3(rows: Sequence[Row], dimensions: int, num_classes: int, in_channels: int, image_size: int,
                 variant: str | None = None, dropout: float = 0.2, seed: int = 0) -> nn.Cell:
    """A MobileNetV3 for images of any size.

    The embedding has 1024 (small) or 1280 dimensions (large). Both variants start convolutions from He's normal
    distribution (fan-out), dense layers from N(0, 0.01^2) and biases from 0. Departure: DeepCore pads grey images to 32
    pixels and refuses other sizes than 28, 32 and 224; here images below 32 pixels are padded, of any channels.

    Args:
        rows: of the paper's table, one for each block.
        dimensions: of the embedding.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar" (DeepCore's, with its names of weights) or "imagenet" (torchvision's, with its names); by
            default "imagenet" above 64 pixels. The shapes are the same. DeepCore's has dense layers in
            squeeze-excitation, which comes before the activation in blocks that expand, and BatchNorm with eps 1e-5 and
            momentum 0.1 where torchvision has 1e-3 and 0.01.
        dropout: chance that an entry of the embedding is zeroed in training.
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant, and for a dropout outside [0, 1).
    """
    variant = choose_variant(variant, image_size)
    network = MobileNetV3(rows, dimensions, num_classes, in_channels, 1 + fill_up(image_size), variant, dropout)
    return initialize(network, seed, convolution=HE, dense=Scheme(normal(0.01), zeros))


mobilenet_v3_small, mobilenet_v3_large = (partial(mobilenet_v3, *network) for network in _NETWORKS.values())


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a MobileNetV3 with these ``shapes``, or None for another network."""
    small = "features.1.conv.0.weight" in shapes
    head = f"classifier.{4 if small else 3}.weight"
    if not {"features.0.0.weight", "classifier.0.weight", head} <= shapes.keys():
        return None
    blocks = {name.split(".")[1] for name in shapes if ".conv." in name or ".block." in name}
    arch = next((arch for arch, (rows, dimensions) in _NETWORKS.items()
                 if (len(rows), dimensions) == (len(blocks), shapes[head][1])), None)
    if arch is None:
        return None
    return {"arch": arch, "variant": "cifar" if small else "imagenet",
            "in_channels": shapes["features.0.0.weight"][1], "num_classes": shapes[head][0]}
