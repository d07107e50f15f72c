"""Networks by name. Every network computes logits, and by ``features(x)`` the input of its last dense layer.

A family is one file. Its functions are registered here by the path of their module, so that listing names does not
import MindSpore. ``register_network`` adds a user's network.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from ms_coreset.device import require_mindspore
from ms_coreset.engines import require_common, torch_engine
from ms_coreset.engines.frameworks import MINDSPORE, TORCH
from ms_coreset.errors import MsCoresetError, require_whole
from ms_coreset.kinds import Network, Shapes
from ms_coreset.networks.libraries import (
    canonical_library_network,
    is_of_library,
    library_builder,
    list_library_networks,
)
from ms_coreset.randomness import check_seed
from ms_coreset.registry import Registry

# Largest sizes of a network: more is a mistake, and would use up the memory before it is noticed.
_LARGEST = {"num_classes": 10**7, "in_channels": 10**4, "image_size": 10**4, "width": 10**5}

# File -> names of its networks, with the spellings of the DeepCore and Moderate repositories.
_FAMILIES: dict[str, dict[str, list[str]]] = {
    "mlp": {"mlp": []},
    "lenet": {"lenet": []},
    "airbench": {"airbench": []},
    "resnet": {"resnet18": [], "resnet34": [], "resnet50": [], "resnet101": [], "resnet152": [],
               "wide_resnet50_2": ["WRN502"], "wide_resnet101_2": ["WRN1012"]},
    "preact_resnet": {"preact_resnet18": ["PreActResNet18"], "preact_resnet34": ["PreActResNet34"],
                      "preact_resnet50": ["PreActResNet50"]},
    "senet": {"senet18": ["senet"]},
    "wide_resnet": {"wrn16_8": ["WRN168"], "wrn28_2": ["WRN282"], "wrn28_10": ["WRN2810"]},
    "alexnet": {"alexnet": []},
    "vgg": {"vgg11": ["vgg11_bn"], "vgg13": ["vgg13_bn"], "vgg16": ["vgg", "vgg16_bn"], "vgg19": ["vgg19_bn"]},
    "mobilenet_v3": {"mobilenet_v3_small": ["MobileNetV3Small"], "mobilenet_v3_large": ["MobileNetV3Large"]},
    "inception": {"inception_v3": ["InceptionV3"]},
    "googlenet": {"googlenet": []},
    "efficientnet": {"efficientnet_b0": ["efficientnet"]},
    "shufflenet": {"shufflenet_v2": ["shufflenet", "shufflenet_v2_x1_0"]},
}
_NETWORKS: Registry[str | Callable] = Registry("network")  # name -> its family's file, or the function itself
for _family, _names in _FAMILIES.items():
    for _name, _aliases in _names.items():
        _NETWORKS.add(_name, _family, _aliases)


def register_network(name: str, aliases: Iterable[str] = ()) -> Callable:
    """Return a decorator that registers a function that builds a network.

    The function is called as ``function(num_classes, in_channels, image_size, seed=seed, **options)``.

    The network that it returns is a ``mc.Classifier``, or has the same members: ``features(x)``, ``head``,
    ``num_features`` and ``variant``.

    Args:
        name: name of the network.
        aliases: other names.

    Returns:
        The decorator; it returns the function as it is.

    Raises:
        KeyError: by the decorator, for a name that is registered already.
    """
    def register(build: Callable) -> str | Callable:
        return _NETWORKS.add(name, build, aliases)
    return register


def list_networks(pattern: str = "*") -> list[str]:
    """List the networks whose names match a shell pattern.

    Args:
        pattern: such as "resnet*"; "*" for all of this package. Those of another library have its name before them, in
            the pattern, too: "timm:vit_*", "torchvision:*", "mindcv:*".

    Returns:
        The names.

    Raises:
        MsCoresetError: for a pattern of a library that is not installed.
    """
    return list_library_networks(pattern) if is_of_library(pattern) else _NETWORKS.names(pattern)


def canonical_network(name: str, framework: str | None = None) -> str:
    """The registered spelling of a network's name.

    Args:
        name: in any spelling.
        framework: that is to compute the network; None: not known yet.

    Returns:
        The name.

    Raises:
        MsCoresetError: for an unknown name, and for a network of a library of the other framework.
    """
    return canonical_library_network(name, framework) if is_of_library(name) else _NETWORKS.canonical(name)


def create_network(name: str, num_classes: int, in_channels: int = 3, *, image_size: int = 32, width: int | None = None,
                   seed: int = 0, framework: str = MINDSPORE, **options: Any) -> Network:
    """Build a network, its weights drawn from NumPy's ``RandomState(seed)``: the same on every device.

    Args:
        name: one of ``list_networks()``, in any case, or one of a library, such as "timm:convnext_atto": those of
            "timm:" and "torchvision:" are PyTorch's, those of "mindcv:" MindSpore's. They have no options.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        width: channels of the first stage (ResNets, default 64) or of the hidden layers (mlp, default 128).
        seed: of the first weights, 0 to 2**32 - 1.
        framework: framework that computes the network, "mindspore" or "torch"; the first weights are the same. Those
            of a library's networks are of the library's own distributions.
        **options: of the family; None stands for the default.

            * variant: "cifar" or "imagenet", for families that were published for small and for large images; by
              default the one for images of ``image_size``.
            * dropout: chance in [0, 1), for families that have dropout.
            * batch_norm, side: of the VGGs, see ``vgg``.

    Returns:
        The network, a MindSpore Cell (or a PyTorch Module): ``network(x)`` computes logits (B, num_classes),
        ``network.features(x)`` features (B, d), for float32 images (B, in_channels, image_size, image_size).

    Raises:
        MsCoresetError: for an unknown name, for an option that the family does not have, for images of a size that it
            can't have, if the framework or the library is not installed, and if the ranks are connected by the other
            framework.
    """
    name = canonical_network(name, framework)
    _require_sizes(num_classes=num_classes, in_channels=in_channels, image_size=image_size,
                   width=1 if width is None else width)
    check_seed(seed)
    options = {key: value for key, value in {"width": width, **options}.items() if value is not None}
    require_common(framework)
    if framework == TORCH and not is_of_library(name):
        return torch_engine().create_network(name, num_classes, in_channels, image_size=image_size, seed=seed,
                                             **options)
    build: Callable[..., Any] = library_builder(name) if is_of_library(name) else _own_builder(name)
    unknown = options.keys() - inspect.signature(build).parameters.keys()
    if unknown:
        raise MsCoresetError(f"network {name} has no option {', '.join(sorted(unknown))}")
    network = build(num_classes, in_channels, image_size, seed=seed, **options)
    options |= {"variant": network.variant} if network.variant else {}
    network.description = {"arch": name, "num_classes": num_classes, "in_channels": in_channels,
                           "image_size": image_size, **options}
    return network


def _own_builder(name: str) -> Callable[..., Any]:
    require_mindspore()
    entry = _NETWORKS[name]
    return entry if callable(entry) else getattr(_family_of(entry), name)


def _require_sizes(**sizes: int) -> None:
    """Raise ``MsCoresetError`` unless all are whole numbers, from 1 to what a network can have."""
    for option, value in sizes.items():
        require_whole(option, value)
        if value > _LARGEST[option]:
            raise MsCoresetError(f"{option} {value}: must be at most {_LARGEST[option]:,}")


def describe(shapes: Shapes) -> dict[str, Any]:
    """The arguments of ``create_network`` for a network with weights of these ``shapes``, by MindSpore's names.

    The image size can't be told from shapes.

    Args:
        shapes: parameter's name -> shape.

    Returns:
        A dict with "arch", "num_classes" and options of the family, as far as shapes tell; empty when the shapes fit no
        family known here.
    """
    found = (_family_of(family).recognize(shapes) for family in _FAMILIES)
    try:
        return next(filter(None, found), {})
    except (IndexError, KeyError, TypeError, ValueError):  # names of a network here, with other shapes
        return {}


def _family_of(family: str) -> ModuleType:
    require_mindspore()
    return importlib.import_module(f"ms_coreset.networks.{family}")
