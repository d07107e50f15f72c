"""Inception V3 (Szegedy et al. 2016), as DeepCore has it for small images or as torchvision's.

The parts that GoogLeNet shares are here: ``ConvNorm``, and torchvision's two options.
"""

from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Shapes
from ms_coreset.networks.initialization import TORCH, Scheme, initialize, normal, uniform_fan_in
from ms_coreset.networks.layers import Classifier, Dropout, choose_variant, conv2d, fill_up, freeze, linear, same

_EPS = {"cifar": 1e-5, "imagenet": 1e-3}
_LEAST = 75  # pixels a side, below which torchvision's poolings would leave nothing
_IMAGENET_MEAN, _IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
Layers = dict[str, tuple]  # see ``Mixed``


class ConvNorm(nn.Cell):
    """Convolution ``conv`` without bias, normalisation ``bn`` and ReLU; by default map sizes stay."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int = 1,
                 padding: int | tuple[int, ...] | None = None, *, eps: float = 1e-3) -> None:
        super().__init__()
        padding = same(kernel_size) if padding is None else padding
        self.conv = conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.bn = nn.BatchNorm2d(out_channels, eps=eps)

    def construct(self, x: Tensor) -> Tensor:
        return ops.relu(self.bn(self.conv(x)))


class Mixed(nn.Cell):
    """An Inception module: the outputs of its last layers, concatenated.

    The last layers are those whose output no other layer takes. ``channels`` is how many they have together.

    Args:
        in_channels: channels of the input.
        layers: name -> (name of the layer that it takes, or "x" for the module's input, then a pooling layer, or the
            arguments of a ``ConvNorm`` after its input channels).
        eps: of the BatchNorm layers.
    """

    def __init__(self, in_channels: int, layers: Layers, eps: float) -> None:
        super().__init__()
        channels = {"x": in_channels}
        for name, (source, *layer) in layers.items():
            pools = isinstance(layer[0], nn.Cell)
            channels[name] = channels[source] if pools else layer[0]
            setattr(self, name, layer[0] if pools else ConvNorm(channels[source], *layer, eps=eps))
        self.sources = {name: layer[0] for name, layer in layers.items()}
        self.last = tuple(name for name in layers if name not in self.sources.values())
        self.channels = sum(channels[name] for name in self.last)

    def construct(self, x: Tensor) -> Tensor:
        maps = {"x": x}
        for name, source in self.sources.items():
            maps[name] = getattr(self, name)(maps[source])
        return ops.cat([maps[name] for name in self.last], 1)


def _chain(name: str, *layers: tuple) -> Layers:
    """Layers one after the other, called ``name``_1, ``name``_2 and so on."""
    names = ["x", *(f"{name}_{place}" for place in range(1, len(layers) + 1))]
    return {name: (source, *layer) for source, name, layer in zip(names, names[1:], layers, strict=False)}


def _pool_conv(channels: int, kernel_size: int | tuple[int, int] = 1) -> Layers:
    """Average pooling that leaves the size, then a convolution."""
    pool = nn.SequentialCell(nn.ZeroPad2d(1), nn.AvgPool2d(3, 1))  # MindSpore's own padding is refused on Ascend 910B
    return {"pool": ("x", pool), "branch_pool": ("pool", channels, kernel_size)}


def _module_a(pooled: int, kernel_size: int) -> Layers:
    return {"branch1x1": ("x", 64, 1), **_chain("branch5x5", (48, 1), (64, 5)),
            **_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)), **_pool_conv(pooled, kernel_size)}


def _module_b() -> Layers:
    return {"branch3x3": ("x", 384, 3, 2, 0), **_chain("branch3x3dbl", (64, 1), (96, 3), (96, 3, 2, 0)),
            "pool": ("x", nn.MaxPool2d(3, 2))}


def _module_c(inside: int, small: bool) -> Layers:
    wide, high = (1, 7), (7, 1)
    first, second = (high, wide) if small else (wide, high)
    return {"branch1x1": ("x", 192, 1), **_chain("branch7x7", (inside, 1), (inside, first), (192, second)),
            **_chain("branch7x7dbl", (inside, 1), (inside, high), (inside, wide), (inside, high), (192, wide)),
            **_pool_conv(192)}


def _module_d(pool: type[nn.Cell]) -> Layers:
    return {**_chain("branch3x3", (192, 1), (320, 3, 2, 0)),
            **_chain("branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)), "pool": ("x", pool(3, 2))}


def _module_e() -> Layers:
    def fork(name: str, source: str) -> Layers:
        return {f"{name}a": (source, 384, (1, 3)), f"{name}b": (source, 384, (3, 1))}

    return {"branch1x1": ("x", 320, 1),
            **_chain("branch3x3", (384, 1)), **fork("branch3x3_2", "branch3x3_1"),
            **_chain("branch3x3dbl", (448, 1), (384, 3)), **fork("branch3x3dbl_3", "branch3x3dbl_2"), **_pool_conv(192)}


def _modules(small: bool) -> dict[str, Layers]:
    """The modules by name, in order. The small variant's differences from torchvision's are DeepCore's."""
    kernel_size, pool = (3, nn.AvgPool2d) if small else (1, nn.MaxPool2d)
    return {"Mixed_5b": _module_a(32, kernel_size), "Mixed_5c": _module_a(64, kernel_size),
            "Mixed_5d": _module_a(64, kernel_size), "Mixed_6a": _module_b(), "Mixed_6b": _module_c(128, small),
            "Mixed_6c": _module_c(160, small), "Mixed_6d": _module_c(160, small), "Mixed_6e": _module_c(192, small),
            "Mixed_7a": _module_d(pool), "Mixed_7b": _module_e(), "Mixed_7c": _module_e()}


class Auxiliary(nn.Cell):
    """torchvision's auxiliary classifier, of which only the weights are kept."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(in_channels, 128, 1)
        self.conv1 = ConvNorm(128, 768, 5)
        self.fc = linear(768, num_classes)
        self.fc.scheme = Scheme(normal(0.001), uniform_fan_in)
        freeze(self)


class Inception3(Classifier):
    """Five convolutions, eleven modules with two reductions between them, global average pooling, dropout, dense."""

    def __init__(self, num_classes: int, in_channels: int, padding: int, variant: str, dropout: float, aux: bool,
                 transform_input: bool) -> None:
        super().__init__()
        self.variant = variant
        small, eps = variant == "cifar", _EPS[variant]
        stride, inner, pool = (1, 1, nn.Identity) if small else (2, 0, lambda: nn.MaxPool2d(3, 2))
        self.recenter = recenter if transform_input else nn.Identity()
        self.Conv2d_1a_3x3 = ConvNorm(in_channels, 32, 3, stride, padding, eps=eps)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, padding=inner, eps=eps)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, eps=eps)
        self.maxpool1 = pool()
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1, eps=eps)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, padding=0, eps=eps)
        self.maxpool2 = pool()
        channels = 192
        self.names = tuple(_modules(small))
        for name, layers in _modules(small).items():
            setattr(self, name, Mixed(channels, layers, eps))
            channels = getattr(self, name).channels
            if aux and name == "Mixed_6e":
                self.AuxLogits = Auxiliary(channels, num_classes)
        self.drop = Dropout(dropout)
        self.fc = linear(channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(self.recenter(x))))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.maxpool2(x)
        for name in self.names:
            x = getattr(self, name)(x)
        return self.drop(x.mean((2, 3)))


def recenter(x: Tensor) -> Tensor:
    """Images normalised by ImageNet's mean and deviation, renormalised by mean 0.5 and deviation 0.5.

    This is torchvision's ``transform_input``: its Inception and GoogLeNet weights, which are TensorFlow's, expect the
    latter.

    Args:
        x: (B, 3, height, width).

    Returns:
        (B, 3, height, width).
    """
    scale, shift = _IMAGENET_STD / 0.5, (_IMAGENET_MEAN - 0.5) / 0.5
    return x * _per_channel(scale) + _per_channel(shift)


def _per_channel(values: np.ndarray) -> Tensor:
    return Tensor(values.reshape(3, 1, 1).astype(np.float32))


def require_imagenet(variant: str, in_channels: int, aux: bool, transform_input: bool) -> None:
    """Check that torchvision's options are given only to a network that uses them.

    Args:
        variant: "cifar" or "imagenet".
        in_channels: channels of an image.
        aux: whether the auxiliary classifiers' weights are asked for.
        transform_input: whether images are to be renormalised, see ``recenter``.

    Raises:
        MsCoresetError: if they are given to another network.
    """
    if variant != "imagenet" and (aux or transform_input):
        option = "aux" if aux else "transform_input"
        raise MsCoresetError(f"{option}=True: only the imagenet variant has that option, not variant {variant!r}")
    if transform_input and in_channels != 3:
        raise MsCoresetError(f"transform_input=True: is for images of 3 channels, not {in_channels}")


def inception_v3(num_classes: int, in_channels: int, image_size: int, variant: str | None = None, dropout: float = 0.5,
                 aux: bool = False, transform_input: bool = False, seed: int = 0) -> nn.Cell:
    """Inception V3 for images of any size; the embedding has 2048 dimensions.

    Weights are named as torchvision's. "cifar" starts from torch's default distributions. "imagenet" starts weights
    from N(0, 0.1^2), the auxiliary dense layer's from N(0, 0.001^2), as torchvision, which cuts the distributions off
    at +-2, 20 deviations away; biases start from torch's default. Departures: DeepCore's own names of weights differ;
    images below 32 pixels ("cifar") or 75 pixels ("imagenet") are padded to that size.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        variant: "cifar" (DeepCore's: a stem that does not reduce, 3x3 convolutions after the poolings of the first
            three modules, an average in the last reduction) or "imagenet" (torchvision's); by default "imagenet" above
            64 pixels.
        dropout: chance that an entry of the embedding is zeroed in training.
        aux: whether to keep the weights of torchvision's auxiliary classifier, which a file may hold. They are read and
            written but take no part in training or in any answer ("imagenet" only).
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
    small = variant == "cifar"
    padding = 1 + fill_up(image_size) if small else fill_up(image_size, _LEAST)
    network = Inception3(num_classes, in_channels, padding, variant, dropout, aux, transform_input)
    scheme = TORCH if small else Scheme(normal(0.1), uniform_fan_in)
    return initialize(network, seed, convolution=scheme, dense=scheme)


def recognize(shapes: Shapes) -> dict[str, Any] | None:
    """``create_network``'s arguments for an Inception V3 with these ``shapes``, or None for another network."""
    stem, pooled, head = "Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch_pool.conv.weight", "fc.weight"
    if not {stem, pooled, head, "Mixed_7c.branch1x1.conv.weight"} <= shapes.keys():
        return None
    found = {"arch": "inception_v3", "variant": "cifar" if shapes[pooled][2] == 3 else "imagenet",
             "in_channels": shapes[stem][1], "num_classes": shapes[head][0]}
    return found | ({"aux": True} if "AuxLogits.fc.weight" in shapes else {})
