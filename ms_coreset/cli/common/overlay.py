"""What the commands that make perturbations share."""

import argparse

import numpy as np

from ms_coreset.cli.common.options import add, load_split
from ms_coreset.datasets.family import find_dataset
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import say

ABOUT_NAMES = """The training images are perturbed, the test split stays clean, and so do the files of the data set.
NAME and NAME{letter} mean the same; NAME{letter}@VARIANT makes another one beside it, which train, select and score
find under that name."""


def add_overlay_options(group):
    """--force and --preview."""
    add(group, "--force", action="store_true", help="replace what is there already")
    add(group, "--preview", metavar="FILE", help="draw clean and perturbed samples side by side (PNG)")


def clean_split(arguments, letter):
    """(clean training split, name of the perturbed one, its variant, folder that holds the overlays)."""
    family, given, variant = find_dataset(arguments.dataset)
    if given not in ("", letter):
        raise MsCoresetError(f"{arguments.dataset}: this command makes {family.name}{letter}")
    arguments.dataset = family.name
    name = f"{family.name}{letter}" + (f"@{variant}" if variant else "")
    return load_split(arguments, train=True), name, variant, family.home(arguments.data)


def draw_preview(arguments, clean, name, rows_of):
    """Draw --preview, if it is asked for, of the perturbed data set ``name``: a band for each kind of perturbation.

    rows_of: (clean part, perturbed part) -> rows of a ``contact_sheet.Band``
    """
    if not arguments.preview:
        return
    from ms_coreset.perturbations.contact_sheet import COLUMNS, Band, write_contact_sheet

    perturbed = load_split(argparse.Namespace(**{**vars(arguments), "dataset": name}), train=True)
    names = perturbed.manifest.get("kinds") or [perturbed.manifest["kind"]]
    bands = []
    for code, kind in enumerate(names, start=1):
        chosen = np.flatnonzero(perturbed.bad_kinds == code)
        if len(chosen):
            # Spread over the data, which may be sorted by class.
            shown = np.unique(chosen[np.linspace(0, len(chosen) - 1, COLUMNS).astype(int)])
            before, after = (split.subset(shown) for split in (clean, perturbed))
            title = f"{name}: {kind.replace('_', ' ')}, {len(chosen):,} of {len(clean):,} samples"
            bands.append(Band(title, rows_of(before, after), _captions(before, after)))
    if not bands:
        raise MsCoresetError(f"nothing to draw in {arguments.preview}: no sample of {name} is perturbed")
    write_contact_sheet(arguments.preview, bands)
    say(f"  drew  {arguments.preview}")


def _captions(before, after):
    pairs = zip(before.labels, after.labels, strict=True)
    return [before.classes[old] if old == new else f"{before.classes[old]}\n> {after.classes[new]}"
            for old, new in pairs]
