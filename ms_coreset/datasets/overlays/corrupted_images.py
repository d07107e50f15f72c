"""Corrupted images, laid over the clean training split when ``...C`` is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ms_coreset.datasets.overlays.images import lay_images, write_images
from ms_coreset.datasets.overlays.places import mark, missing_error, overlay_path, require_clean
from ms_coreset.datasets.split import Split
from ms_coreset.kinds import FilePath, Log
from ms_coreset.perturbations.corruption import assign_kinds, corrupt_rows, corruption_options

if TYPE_CHECKING:
    import numpy as np


def corruption_path(root: FilePath, base: str, variant: str = "") -> Path:
    """The path of the corrupted images of the clean data set ``base``, below ``root``."""
    return overlay_path(root, "corrupt", base.lower(), variant)


def make_corruption(clean: Split, root: str | os.PathLike, shares: float | dict = 0.3, *, seed: int = 0,
                    mode: str = "paper", random_occlusion: bool = False, force: bool = False,
                    variant: str = "") -> Path:
    """Corrupt images of the training split ``clean`` and write them to disk; see ``mc.corrupt``.

    It writes the images, (n, height, width, channels) uint8, as ``.npy``; the kind of each sample as ``.kinds.npy``;
    and a manifest as ``.json``, beside them. The clean data is only read. An interrupted run is continued and gives the
    same bytes.

    Args:
        clean: an unperturbed training split.
        root: folder that the overlay lies in.
        shares: share of the images to corrupt, evenly by the five kinds, or a dict from kind to its own share.
        seed: of all that is random, 0 to 2**32 - 1.
        mode: "paper" or "repo", see ``mc.corrupt``.
        random_occlusion: whether the covered place is drawn for each image, instead of the same place in all.
        force: whether to replace images that exist.
        variant: name of the variant, or "".

    Returns:
        The path of the images.

    Raises:
        MsCoresetError: if other images exist already and ``force`` is not set, if ``clean`` is a test split or
            perturbed itself, for an option outside its range, and if the files can't be written.
    """
    require_clean(clean, "corruption is")
    clean.require_images()
    options = corruption_options(shares, seed, mode, random_occlusion)
    kinds = assign_kinds(len(clean), options)

    def perturb(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return corrupt_rows(images, kinds[rows], rows, options), kinds[rows]

    path = corruption_path(root, clean.name, variant)
    write_images(path, clean, options, perturb, force=force)
    return path


def apply_corruption(clean: Split, root: FilePath, variant: str, *, log: Log) -> Split:
    """The training split ``clean`` with the corrupted images that lie below ``root``.

    Images without a variant are made with the defaults if they are missing. It sets ``images``, ``clean_labels`` (the
    labels), ``bad``, ``bad_kinds`` and ``manifest``.

    Args:
        clean: the training split.
        root: folder that the overlay lies in.
        variant: name of the variant, or "".
        log: called with each line for the user.

    Returns:
        The perturbed split.

    Raises:
        MsCoresetError: as ``lay_images``, and for a variant that is missing.
    """
    path = corruption_path(root, clean.name, variant)
    name = f"{clean.name}C{mark(variant)}"
    if not path.exists():
        if variant:
            raise missing_error(path, name, "corrupt")
        make_corruption(clean, root)
        log(f"corrupted images {path} were missing: made with ratio 0.3, seed 0")
    return lay_images(clean, name, path, log)
