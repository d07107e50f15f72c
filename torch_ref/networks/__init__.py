"""The networks by name, with weights drawn from a numpy seed.

A file is a family. Its functions give a module, with ``features(x)`` the exact input of the last linear layer, and
how its layers start (``initialisation.initialise``).
"""

import numpy as np

from torch_ref.networks import lenet, mlp, resnet
from torch_ref.networks.initialisation import initialise

_BUILDERS = {
    "mlp": mlp.mlp,
    "lenet": lenet.lenet,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
}
NETWORKS = tuple(_BUILDERS)


def create_network(name, num_classes, in_channels=3, image_size=32, width=None, seed=0, **options):
    """Build a network with weights drawn from ``RandomState(seed)``.

    name: one of ``NETWORKS``, in any case
    width: channels of the first stage (ResNets, default 64) or of the hidden layers (mlp, default 128)
    options: of the family; None stands for its default
        variant: "cifar" or "imagenet", of families that have both

    Returns a module: ``network(x)`` logits (B, num_classes), ``network.features(x)`` the exact input of the last
    linear layer (B, d), for float32 images (B, in_channels, image_size, image_size). Raises ``ValueError`` for an
    unknown name and for an option that the network does not have.
    """
    build = _BUILDERS.get(str(name).lower())
    if build is None:
        raise ValueError(f"unknown network {name!r}: there are {', '.join(NETWORKS)}")
    options = {key: value for key, value in {"width": width, **options}.items() if value is not None}
    try:
        network, schemes = build(num_classes, in_channels, image_size, **options)
    except TypeError as error:
        raise ValueError(f"network {name} and options {options}: {error}") from error
    return initialise(network, np.random.RandomState(seed), **schemes)
