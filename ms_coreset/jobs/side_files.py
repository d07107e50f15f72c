"""Files of what the set functions take beside the evidence: costs, and samples to be like or unlike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.npy_files import open_array
from ms_coreset.npz import read_npz
from ms_coreset.selectors import METHODS

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split
    from ms_coreset.jobs.sources import EvidenceSource
    from ms_coreset.selectors.choice import Choice

COST = "cost"
SIDES = ("like", "unlike")


def with_cost(split: Split, path: str) -> Split:
    """A copy of ``split`` with the costs of a file in ``known``.

    Args:
        split: the whole training split
        path: .npy, (n,) numbers above 0

    Raises:
        MsCoresetError: for a file that can't be read, or is of another number of samples.
    """
    if Path(path).suffix.lower() != ".npy":
        raise MsCoresetError(f"{path}: costs are read of .npy, a number for each sample")
    cost = np.array(open_array(path))
    if cost.shape != (len(split),) or cost.dtype.kind not in "fiu":
        raise MsCoresetError(f"{path}: costs must be {len(split)} numbers, one for each sample, got {cost.dtype} of "
                             f"shape {cost.shape}")
    return replace(split, known={**split.known, COST: cost})


def with_sides(evidence: Evidence, split: Split, source: EvidenceSource) -> Evidence:
    """The evidence, with costs that are known of the split, and the samples to be like and unlike.

    Raises:
        MsCoresetError: for files that can't be read.
    """
    like, unlike = (None if path is None else read_side(path) for path in (source.like, source.unlike))
    return replace(evidence, cost=split.known.get(COST), like=like, unlike=unlike)


def read_side(path: str) -> Evidence:
    """The samples of a file: .npy, features (q, d); or .npz of features, and perhaps of labels and logits.

    Raises:
        MsCoresetError: for a file that can't be read, or holds other arrays.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise MsCoresetError(f"{path}: samples to be like or unlike are read of .npy, features, and .npz")
    arrays = {"features": open_array(path)} if suffix == ".npy" else read_npz(path, ("features", "labels", "logits"))
    try:
        return Evidence(**arrays)  # type: ignore[arg-type]
    except MsCoresetError as error:
        raise MsCoresetError(f"{path}: {error}") from error


def require_use(choice: Choice, source: EvidenceSource) -> None:
    """Raise ``MsCoresetError`` where a file is given that the choice has no use for."""
    for name in (COST, *SIDES):
        path = getattr(source, name)
        takes = METHODS[choice.name].takes_for({}) if choice.name in METHODS else ()
        if path is not None and name not in takes:
            suited = ", ".join(other for other in METHODS.names() if name in METHODS[other].takes_for({}))
            raise MsCoresetError(f"--{name} {path} is of no use to {choice.name}: it goes with {suited}")
