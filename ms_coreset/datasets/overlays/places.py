"""Where overlays lie, and what is asked before one is made or used."""

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
    """``<root>/<folder>/<stem>[@<variant>].npy``; raises ``MsCoresetError`` for a variant that could be a path."""
    require_kind("root", root, str, os.PathLike)
    require_kind("variant", variant, str)
    if not re.fullmatch(r"[\w.+-]*", variant, re.ASCII):
        raise MsCoresetError(f"variant {variant!r}: it is made of letters, digits and ._+-")
    return Path(root) / folder / f"{stem}{mark(variant)}.npy"


def lock_path(path: Path) -> Path:
    """The file to lock while the overlay ``path`` is made."""
    return path.with_name(f".{path.stem}.lock")


def mark(variant: str) -> str:
    """What a variant adds to a name: ``@0.35``, or nothing for the one without a name of its own."""
    return f"@{variant}" if variant else ""


def require_clean(split: Split, what: str) -> None:
    """Raise ``MsCoresetError`` unless ``split`` is unperturbed training data."""
    require_kind("clean", split, Split)
    if not split.train or split.clean_labels is not None:
        raise MsCoresetError(f"{split.name}: {what} laid over clean training data only; load the base data set")


def is_made(path: Path, wanted: dict[str, Any], force: bool) -> bool:
    """Whether the overlay ``path`` is there, made as ``wanted``: plain values of its manifest.

    Raises ``MsCoresetError`` when it is there otherwise, unless a new one is forced.
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
    """The error for an overlay that is not there and not made by itself."""
    return MsCoresetError(f"{path} is missing: make it with ms-coreset {command} --dataset {name}")
