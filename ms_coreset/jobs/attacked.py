"""Attacked images, which need a network: made by the command ``attack``, or when they are missing."""

import dataclasses
from pathlib import Path
from typing import Any

from ms_coreset.datasets import default_overlay_path, make_attack
from ms_coreset.datasets.family import find_dataset
from ms_coreset.datasets.overlays import attack_path
from ms_coreset.datasets.overlays.places import is_made
from ms_coreset.datasets.split import Split
from ms_coreset.device import current_device, device_settings
from ms_coreset.distributed import first_before_others
from ms_coreset.engines import torch_engine
from ms_coreset.engines.frameworks import TORCH
from ms_coreset.jobs.base_network import base_network
from ms_coreset.jobs.computing import set_up
from ms_coreset.jobs.sources import Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.perturbations.attack import attack_options
from ms_coreset.terminal import note


def training_split(sources: Sources) -> Split:
    """The training split; attacked images that are missing are made first."""
    with first_before_others():
        _make_if_missing(sources)
    return sources.data.load(train=True)


def _make_if_missing(sources: Sources) -> None:
    """Make the attacked images of the data set with the defaults, unless they exist or have a variant.

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
    _make(dataclasses.replace(sources, data=clean, network=network), clean.load(train=True))


def attack(sources: Sources, runtime: Runtime, force: bool, batch_size: int, **options: Any) -> tuple[Split, Path]:
    """The job of the command ``attack``.

    Args:
        sources: the data set to attack, and the network
        runtime: what to compute on
        force: as for ``make_attack``
        batch_size: as for ``make_attack``
        options: of ``attack_options``

    Returns:
        (clean training split, file of the attacked images).
    """
    set_up(runtime, sources.network)
    data, _, variant = sources.data.clean("A")
    clean = data.load(train=True)
    # The error comes before a network is trained; its weights are compared later.
    is_made(attack_path(data.home, clean.name, variant), attack_options(seed=sources.seed, **options), force)
    return clean, _make(dataclasses.replace(sources, data=data), clean, variant, force=force, batch_size=batch_size,
                        **options)


def _device_of(sources: Sources) -> str:
    return torch_engine().device_name if sources.network.framework == TORCH else current_device()


def _make(sources: Sources, clean: Split, variant: str = "", **options: Any) -> Path:
    """Attack the split ``clean`` with the base network of ``sources``; returns the file of the images."""
    device, asked = _device_of(sources), dataclasses.replace(sources, pool=None)
    network, path = base_network(asked, clean, device, Steps())
    notes = {"checkpoint": str(path), "network": getattr(network, "description", None), "device": device,
             **device_settings()}
    return make_attack(clean, network, sources.data.home, seed=sources.seed, variant=variant, notes=notes, **options)
