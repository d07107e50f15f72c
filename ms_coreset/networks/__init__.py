"""Networks by name. Every one gives logits, and ``features(x)``: the input of its last dense layer.

A family is one file; its functions are registered here by where they are, so that listing names does not import
MindSpore.
"""

import importlib
import inspect

from ms_coreset.errors import MsCoresetError
from ms_coreset.registry import Registry

_NETWORKS = Registry("network")
for _family, _names in {"mlp": ["mlp"], "lenet": ["lenet"], "resnet": ["resnet18", "resnet34", "resnet50"]}.items():
    for _name in _names:
        _NETWORKS.add(_name, _family)


def list_networks(pattern="*"):
    """Names of the networks that match a shell ``pattern``."""
    return _NETWORKS.names(pattern)


def canonical_network(name):
    """The registered spelling of a network's name; raises ``MsCoresetError`` for an unknown one."""
    return _NETWORKS.canonical(name)


def create_network(name, num_classes, in_channels=3, image_size=32, width=None, seed=0, **options):
    """Build a network with weights drawn from ``RandomState(seed)``.

    name: one of ``list_networks()``, in any case
    width: channels of the first stage (ResNets, default 64) or of the hidden layers (mlp, default 128)
    options: of the family, such as ``stem="imagenet"`` for ResNets

    Returns a Cell: ``network(x)`` logits (B, num_classes), ``network.features(x)`` embeddings (B, d), for float32
    images (B, in_channels, image_size, image_size). Raises ``MsCoresetError`` for an unknown name and for a size or
    option that the family does not have.
    """
    name = _NETWORKS.canonical(name)
    build = getattr(importlib.import_module(f"ms_coreset.networks.{_NETWORKS[name]}"), name)
    options = {key: value for key, value in options.items() if value is not None}
    unknown = options.keys() - inspect.signature(build).parameters.keys()
    if unknown:
        raise MsCoresetError(f"network {name} has no option {', '.join(sorted(unknown))}")
    network = build(num_classes, in_channels, image_size, width=width, seed=seed, **options)
    network.description = {"arch": name, "num_classes": num_classes, "in_channels": in_channels,
                           "image_size": image_size, "width": width, **options}
    return network
