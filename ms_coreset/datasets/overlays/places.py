"""Paths of overlays, and the checks before one is made or used."""

import os
import re
from pathlib import Path
from typing import Any

from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.identity import tell_missing
from ms_coreset.json_files import read_json
from ms_coreset.kinds import FilePath


def overlay_path(root: FilePath, folder: str, stem: str, variant: str) -> Path:
    """``<root>/<folder>/<stem>[@<variant>].npy``.

    Args:
        root: folder that holds the data sets.
        folder: of the kind of overlay.
        stem: of the file, from the data set's name.
        variant: name of the variant, or "".

    Returns:
        The path.

    Raises:
        MsCoresetError: for a variant that could be a path.
    """
    require_kind("root", root, str, os.PathLike)
    require_kind("variant", variant, str)
    if not re.fullmatch(r"[\w.+-]*", variant, re.ASCII):
        raise MsCoresetError(f"variant {variant!r}: it is made of letters, digits and ._+-")
    return Path(root) / folder / f"{stem}{mark(variant)}.npy"


def lock_path(path: Path) -> Path:
    """The file to lock while the overlay ``path`` is made."""
    return path.with_name(f".{path.stem}.lock")


def mark(variant: str) -> str:
    """What a variant adds to a name: ``@0.35``, or nothing for the variant ""."""
    return f"@{variant}" if variant else ""


def require_clean(split: Split, what: str) -> None:
    """Check that ``split`` is unperturbed training data.

    Args:
        split: to be checked.
        what: the perturbation, for the message.

    Raises:
        MsCoresetError: if it is not.
    """
    require_kind("clean", split, Split)
    if not split.train or split.clean_labels is not None:
        raise MsCoresetError(f"{split.name}: {what} laid over clean training data only; load the base data set")


def is_made(path: Path, wanted: dict[str, Any], force: bool) -> bool:
    """Whether the overlay ``path`` exists, made as ``wanted``.

    Args:
        path: of the overlay.
        wanted: plain values that its manifest must have.
        force: whether a new one is to be made anyway.

    Returns:
        True if it need not be made.

    Raises:
        MsCoresetError: when it exists but was made otherwise, unless ``force``.
    """
    if force or not path.exists():
        return False
    manifest = path.with_suffix(".json")
    made = read_json(manifest) if manifest.exists() else {}
    unknown = tell_missing(made, wanted, manifest) if made else []
    others = [name for name, value in wanted.items() if made.get(name) != value and name not in unknown]
    if others:
        there = f"{others[0]} {made[others[0]]}" if others[0] in made else "made otherwise"
        raise MsCoresetError(f"{path} exists already ({there}, not {wanted[others[0]]}): force a new one, or name "
                             "another beside it, such as NAME@2")
    return True


def missing_error(path: Path, name: str, command: str) -> MsCoresetError:
    """The error for an overlay that does not exist and is not made automatically."""
    return MsCoresetError(f"{path} is missing: make it with ms-coreset {command} --dataset {name}")
