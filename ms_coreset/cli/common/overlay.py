"""What the commands that make perturbations share."""

from collections.abc import Callable

import numpy as np

from ms_coreset.cli.common.common_options import Group, add
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.sources import DataSource
from ms_coreset.perturbations.contact_sheet import COLUMNS, Band, write_contact_sheet
from ms_coreset.terminal import say

ABOUT_NAMES = """The training images are perturbed, the test split stays clean, and so do the files of the data set.
NAME and NAME{letter} mean the same; NAME{letter}@VARIANT makes another one beside it, which train, select and score
find under that name."""


def add_overlay_options(group: Group) -> None:
    """--force and --preview."""
    add(group, "--force", action="store_true", help="replace what is there already")
    add(group, "--preview", metavar="FILE", help="draw clean and perturbed samples side by side (PNG)")


def draw_preview(path: str | None, clean: Split, data: DataSource,
                 rows_of: Callable[[np.ndarray, np.ndarray], list]) -> None:
    """Draw the perturbed data set if ``path`` is given: a band for each kind of perturbation.

    Args:
        path: where to draw it, or None: nothing is drawn
        clean: the split before it was perturbed
        data: the perturbed data set, a ``DataSource``
        rows_of: (clean images, perturbed images) -> rows of a ``contact_sheet.Band``
    """
    if not path:
        return
    name, perturbed = data.name, data.load(train=True)
    names = perturbed.manifest.get("kinds") or [perturbed.manifest["kind"]]
    bands = []
    for code, kind in enumerate(names, start=1):
        chosen = np.flatnonzero(perturbed.bad_kinds == code)
        if len(chosen):
            # Spread over the data, which may be sorted by class.
            shown = np.unique(chosen[np.linspace(0, len(chosen) - 1, COLUMNS).astype(int)])
            before, after = (split.subset(shown) for split in (clean, perturbed))
            title = f"{name}: {kind.replace('_', ' ')}, {len(chosen):,} of {len(clean):,} samples"
            rows = rows_of(*(np.asarray(part.require_images()) for part in (before, after)))
            bands.append(Band(title, rows, _captions(before, after)))
    if not bands:
        raise MsCoresetError(f"nothing to draw in {path}: no sample of {name} is perturbed")
    write_contact_sheet(path, bands)
    say(f"  drew  {path}")


def _captions(before: Split, after: Split) -> list[str]:
    pairs = zip(before.labels, after.labels, strict=True)
    return [before.classes[old] if old == new else f"{before.classes[old]}\n> {after.classes[new]}"
            for old, new in pairs]
