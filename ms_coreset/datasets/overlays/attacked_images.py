"""Attacked images, laid over the clean training split when ``...A`` is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.overlays.images import lay_images, write_images
from ms_coreset.datasets.overlays.places import mark, missing_error, overlay_path, require_clean
from ms_coreset.datasets.split import Split
from ms_coreset.engines import engine_of
from ms_coreset.errors import require_kind, require_network, require_same_classes, require_whole
from ms_coreset.identity import network_identity, normalization, weights_digest
from ms_coreset.kinds import FilePath, Log, Network
from ms_coreset.perturbations.attack import attack_options, attack_rows, on_pixels

if TYPE_CHECKING:
    import numpy as np

# The names under which the Moderate repository writes and reads its own.
_STEMS = {"CIFAR100": "cifar_train", "TinyImageNet": "tiny_img"}


def attack_path(root: FilePath, base: str, variant: str = "") -> Path:
    """The path of the attacked images of the clean data set ``base``, below ``root``."""
    return overlay_path(root, "attack", _STEMS.get(base, base.lower()), variant)


def make_attack(clean: Split, network: Network, root: str | os.PathLike, *, seed: int = 0, batch_size: int = 128,
                force: bool = False, variant: str = "", notes: dict | None = None, **options: Any) -> Path:
    """Attack the images of the training split ``clean`` and write them to disk; see ``mc.attack``.

    It writes the same files as ``make_corruption``. The bytes depend on the network's weights and on the normalisation,
    too.

    Args:
        clean: an unperturbed training split.
        network: the network to attack, in evaluation mode; it takes normalised images, as those of ``create_network``.
        root: folder that the overlay lies in.
        seed: of the attack's random start.
        batch_size: images at a time.
        force: whether to replace images that exist.
        variant: name of the variant, or "".
        notes: further plain values for the manifest, such as the network's file.
        options: further options of ``mc.attack``: attack, eps, alpha, steps, against, random_start.

    Returns:
        The path of the images.

    Raises:
        MsCoresetError: as ``make_corruption``, and for an attack against true labels if the network has another number
            of classes.
    """
    require_clean(clean, "attacks are")
    clean.require_images()
    options = attack_options(seed=seed, **options)
    require_whole("batch_size", batch_size)
    require_kind("notes", notes, dict, type(None))
    engine_of(network)  # raises if the framework is not installed
    require_network(network, "get_parameters")
    if options["against"] == "true" and hasattr(network, "head"):
        require_same_classes(network, clean, "answers")
    logits = on_pixels(network, clean.mean, clean.std)
    plan = {**options, "batch_size": batch_size, "weights": weights_digest(network),
            "network": network_identity(network), **normalization(clean), "clean_labels": array_digest(clean.labels)}

    def perturb(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return attack_rows(logits, images, clean.labels[rows], rows, options, batch_size)

    path = attack_path(root, clean.name, variant)
    write_images(path, clean, plan, perturb, batch_size, notes, force)
    return path


def apply_attack(clean: Split, root: FilePath, variant: str, *, log: Log) -> Split:
    """The training split ``clean`` with the attacked images that lie below ``root``; all of its samples are ``bad``.

    It sets the fields that ``apply_corruption`` sets.

    Args:
        clean: the training split.
        root: folder that the overlay lies in.
        variant: name of the variant, or "".
        log: called with each line for the user.

    Returns:
        The perturbed split.

    Raises:
        MsCoresetError: as ``lay_images``, and for missing images: only the commands make them, because a network is
            needed.
    """
    path = attack_path(root, clean.name, variant)
    name = f"{clean.name}A{mark(variant)}"
    if not path.exists():
        raise missing_error(path, name, "attack")
    return lay_images(clean, name, path, log)
