"""The default recipe of a data set, and the recipe that a ``NetworkSource`` describes."""

import math

from ms_coreset.datasets.family import find_dataset
from ms_coreset.jobs.sources import NetworkSource
from ms_coreset.networks import canonical_network
from ms_coreset.training.recipe import Recipe, load_recipe

# The default recipe of a data set: (with an accelerator, on a CPU).
_RECIPES = {"digits": ("digits", "digits"), "MNIST": ("mnist", "mnist"), "QMNIST": ("mnist", "mnist"),
            "FashionMNIST": ("mnist", "mnist"), "SVHN": ("svhn", "mnist"), "SVHNextra": ("svhn", "mnist"),
            "CIFAR100": ("moderate", "laptop-100"), "TinyImageNet": ("tiny", "lenet"),
            "ImageNet": ("imagenet", "lenet")}
# For other data sets: the first whose images are not larger.
_RECIPES_BY_SIZE = {16: ("moderate", "lenet"), 32: ("moderate", "laptop"), 64: ("tiny", "lenet"),
                    math.inf: ("imagenet", "lenet")}
_OF_AIRBENCH = ("laptop", "laptop-100")  # their learning rate and whitening suit that network only: others take lenet's


def recipe_of(network: NetworkSource, dataset: str, device: str, image_size: int = 32,
              arch: str | None = None) -> Recipe:
    """The recipe that ``network`` describes; by default that of the data set, or of its image size.

    Args:
        network: name, file or ``Recipe``, and fields that replace the recipe's
        dataset: name of the data set
        device: name of the device; on a CPU the default may differ
        image_size: in pixels
        arch: the network that it is for, if ``network`` names none

    Returns:
        The ``Recipe``.
    """
    if isinstance(network.recipe, Recipe):
        return network.recipe
    family, *_ = find_dataset(dataset)
    by_size = next(recipes for size, recipes in _RECIPES_BY_SIZE.items() if image_size <= size)
    default = _RECIPES.get(family.name, by_size)[device == "CPU"]
    if default in _OF_AIRBENCH and canonical_network(arch or network.arch or "airbench") != "airbench":
        default = "lenet"
    recipe = load_recipe(network.recipe or default, **network.overrides)
    canonical_network(recipe.arch, network.framework)  # raises for an unknown network before anything is done with it
    return recipe
