"""GoogLeNet (Szegedy et al. 2015), as the Moderate repository has it for small images or as torchvision's."""

from typing import Any

from mindspore import Tensor, nn, ops

from ms_coreset.kinds import Shapes
from ms_coreset.networks.inception import ConvNorm, recenter, require_imagenet
from ms_coreset.networks.initialization import Scheme, initialize, normal, uniform_fan_in
from ms_coreset.networks.layers import Classifier, Dropout, choose_variant, conv2d, fill_up, freeze, linear

# Table 1 of the paper: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after pooling.
_MODULES = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
            "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
            "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
            "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)}
_DROPOUT = {"cifar": 0.0, "imagenet": 0.2}


class Inception(nn.Cell):
    """Four branches on the same input, concatenated: 1x1; 1x1 and 3x3; 1x1 and "5x5"; pooling and 1x1.

    The "5x5" convolution is one of 3x3 in torchvision, and two of 3x3 in the Moderate repository. The names of weights
    begin with ``prefix``: they are torchvision's for "branch", the Moderate repository's for "b".
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], prefix: str) -> None:
        super().__init__()
        only, reduced3, out3, reduced5, out5, pooled = widths
        small = prefix == "b"
        unit = _conv_with_bias if small else _unit
        pool = nn.MaxPool2d(3, 1, pad_mode="pad", padding=1)
        branches = (unit(in_channels, only, 1),
                    unit(in_channels, reduced3, 1) + unit(reduced3, out3, 3),
                    unit(in_channels, reduced5, 1) + unit(reduced5, out5, 3) + (unit(out5, out5, 3) if small else []),
                    [pool, *unit(in_channels, pooled, 1)])
        self.names = tuple(f"{prefix}{place}" for place in range(1, 5))
        for name, layers in zip(self.names, branches, strict=True):
            setattr(self, name, nn.SequentialCell(layers) if len(layers) > 1 else layers[0])
        self.channels = only + out3 + out5 + pooled

    def construct(self, x: Tensor) -> Tensor:
        return ops.cat([getattr(self, name)(x) for name in self.names], 1)


def _unit(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Cell]:
    return [ConvNorm(in_channels, out_channels, kernel_size)]


def _conv_with_bias(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Cell]:
    return [conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=True),
            nn.BatchNorm2d(out_channels), nn.ReLU()]


class Auxiliary(nn.Cell):
    """torchvision's auxiliary classifier, of which only the weights are kept."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, 128, 1)
        self.fc1 = linear(2048, 1024)
        self.fc2 = linear(1024, num_classes)
        freeze(self)


class SmallGoogLeNet(Classifier):
    """One 3x3 convolution, nine modules with two poolings between them, global average pooling, dense."""

    variant = "cifar"

    def __init__(self, num_classes: int, in_channels: int, padding: int, dropout: float) -> None:
        super().__init__()
        self.pre_layers = nn.SequentialCell(conv2d(in_channels, 192, 3, padding=padding, bias=True),
                                            nn.BatchNorm2d(192), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, pad_mode="pad", padding=1)
        channels = 192
        for name, widths in _MODULES.items():
            setattr(self, _small_name(name), Inception(channels, widths, "b"))
            channels = getattr(self, _small_name(name)).channels
        self.drop = Dropout(dropout)
        self.fc = linear(channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.pre_layers(x)
        for name in _MODULES:
            x = self.pool(x) if name in ("4a", "5a") else x
            x = getattr(self, _small_name(name))(x)
        return self.drop(x.mean((2, 3)))


def _small_name(name: str) -> str:
    """The Moderate repository's: a3 for 3a."""
    return name[::-1]


class GoogLeNet(Classifier):
    """Three convolutions, nine modules, four poolings between them, global average pooling, dropout, dense."""

    variant = "imagenet"

    def __init__(self, num_classes: int, in_channels: int, padding: int, dropout: float, aux: bool,
                 transform_input: bool) -> None:
        super().__init__()
        self.recenter = recenter if transform_input else nn.Identity()
        self.conv1 = ConvNorm(in_channels, 64, 7, 2, padding)
        self.conv2 = ConvNorm(64, 64, 1)
        self.conv3 = ConvNorm(64, 192, 3)
        self.pool = nn.MaxPool2d(3, 2, pad_mode="pad", ceil_mode=True)
        self.last_pool = nn.MaxPool2d(2, 2, pad_mode="pad", ceil_mode=True)
        channels = 192
        for name, widths in _MODULES.items():
            setattr(self, f"inception{name}", Inception(channels, widths, "branch"))
            channels = getattr(self, f"inception{name}").channels
        if aux:
            self.aux1 = Auxiliary(512, num_classes)
            self.aux2 = Auxiliary(528, num_classes)
        self.drop = Dropout(dropout)
        self.fc = linear(channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(self.recenter(x)))
        x = self.pool(self.conv3(self.conv2(x)))
        pools = {"4a": self.pool, "5a": self.last_pool}
        for name in _MODULES:
            x = pools[name](x) if name in pools else x
            x = getattr(self, f"inception{name}")(x)
        return self.drop(x.mean((2, 3)))


def googlenet(num_classes: int, in_channels: int, image_size: int, variant: str | None = None,
              dropout: float | None = None, aux: bool = False, transform_input: bool = False, seed: int = 0) -> nn.Cell:
    """GoogLeNet with BatchNorm for images of any size; the embedding has 1024 dimensions.

    "cifar" starts from torch's default distributions. "imagenet" starts weights from N(0, 0.01^2), as torchvision,
    which cuts it off at +-2, 200 deviations away; biases start from torch's default. Departures: the Moderate
    repository's average over 8x8 is one over the whole map, so that 64 pixels work; images below 32 pixels are padded
    to 32.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar" (the Moderate repository's, with its names of weights: a stem of one convolution that does not
            reduce, biases, two 3x3 convolutions for the paper's 5x5) or "imagenet" (torchvision's, with its names: one
            3x3 convolution for the 5x5, BatchNorm with eps 1e-3); by default "imagenet" above 64 pixels.
        dropout: chance that an entry of the embedding is zeroed in training; by default 0 ("cifar") or 0.2
            ("imagenet").
        aux: whether to keep the weights of torchvision's two auxiliary classifiers, which a file may hold. They are
            read and written but take no part in training or in any answer ("imagenet" only).
        transform_input: whether to take images normalised by ImageNet's mean and deviation, and pass them on as
            torchvision's pretrained weights expect them ("imagenet" only; a file does not tell).
        seed: of the first weights.

    Returns:
        The network.

    Raises:
        MsCoresetError: for another variant, and for an option that the variant does not have.
    """
    variant = choose_variant(variant, image_size)
    require_imagenet(variant, in_channels, aux, transform_input)
    dropout = _DROPOUT[variant] if dropout is None else dropout
    if variant == "cifar":
        return initialize(SmallGoogLeNet(num_classes, in_channels, 1 + fill_up(image_size), dropout), seed)
    network = GoogLeNet(num_classes, in_channels, 3 + fill_up(image_size), dropout, aux, transform_input)
    scheme = Scheme(normal(0.01), uniform_fan_in)
    return initialize(network, seed, convolution=scheme, dense=scheme)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for a GoogLeNet with weights of these ``shapes``, or None for another network."""
    names = {"cifar": ("pre_layers.0.weight", "b5.b3.6.weight"),
             "imagenet": ("conv1.conv.weight", "inception5b.branch4.1.conv.weight")}
    variant = next((variant for variant, marks in names.items() if {*marks, "fc.weight"} <= shapes.keys()), None)
    if variant is None:
        return None
    found = {"arch": "googlenet", "variant": variant, "in_channels": shapes[names[variant][0]][1],
             "num_classes": shapes["fc.weight"][0]}
    return found | ({"aux": True} if "aux1.fc2.weight" in shapes else {})
