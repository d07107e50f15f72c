"""Attacked images, which take a network: made as the command ``attack`` is told, or when they are missing."""

import dataclasses

from ms_coreset.datasets import default_overlay_path, make_attack
from ms_coreset.datasets.family import find_dataset
from ms_coreset.device import current_device, device_settings
from ms_coreset.distributed import first_before_others
from ms_coreset.jobs.base_network import base_network
from ms_coreset.jobs.steps import Steps
from ms_coreset.terminal import note


def training_split(sources):
    """The training split; attacked images that are missing are made first."""
    with first_before_others():
        _make_if_missing(sources)
    return sources.data.load(train=True)


def _make_if_missing(sources):
    """Make the attacked images that the data set is of, with the defaults, unless they are there or have a variant.

    The base network of the clean data set is trained first if there is none.
    """
    data = sources.data
    _, letter, variant = find_dataset(data.name)
    path = default_overlay_path(data.root, data.name) if letter == "A" else None
    if path is None or variant or path.exists():
        return
    note(f"attacked images {path} are missing: making them by gsa with eps 8/255 (others: attack --help)")
    network = dataclasses.replace(sources.network, checkpoint=None)
    clean, *_ = data.clean("A")
    make_attacked(dataclasses.replace(sources, data=clean, network=network))


def make_attacked(sources, clean=None, variant="", **options):
    """Attack the training images of ``sources``, a clean data set, by its base network; the path of the result.

    clean: the training split, where it is loaded already; options: of ``make_attack``
    """
    clean = sources.data.load(train=True) if clean is None else clean
    device, asked = current_device(), dataclasses.replace(sources, pool=None)
    network, path = base_network(asked, clean, device, Steps())
    notes = {"checkpoint": str(path), "network": network.description, "device": device, **device_settings()}
    return make_attack(clean, network, sources.data.home, sources.seed, variant=variant, notes=notes, **options)
