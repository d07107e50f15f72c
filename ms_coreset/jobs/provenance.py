"""Provenance: what a coreset was chosen from, and how a repetition of the selection differs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.checksums import digest
from ms_coreset.coreset import Coreset
from ms_coreset.evidence import Evidence
from ms_coreset.jobs.base_network import training_notes
from ms_coreset.jobs.out_of_fold import FoldEvidence
from ms_coreset.jobs.patch_evidence import base_of_patches
from ms_coreset.terminal import note
from ms_coreset.training.recipe import Recipe

_ARRAYS = ("indices", "weights", "scores", "pool", "gains")
_SETTINGS = ("n", "rate", "method", "options", "seed")
# Notes that are compared. Checksums cover what others say of the data and the network.
_COMPARED = ("versions", "revision", "device", "precision", "data", "base", "recipe")


def base_of(checkpoint: Path | None, evidence: Evidence) -> dict[str, Any]:
    """Notes on what gave the evidence.

    Args:
        checkpoint: the network's file, or None without a network
        evidence: the gathered evidence

    Returns:
        The base network's file, checksum and seed, and its recipe as far as they are known; files and checksums of
        all networks where each was asked about a fold; or the random patches' settings.
    """
    if checkpoint is not None:
        seed, recipe = _training_of(checkpoint)
        return {"checkpoint": str(checkpoint), "base": {"network": digest(checkpoint), "seed": seed}, "recipe": recipe}
    if isinstance(evidence, FoldEvidence):
        seed, recipe = _training_of(evidence.checkpoints[0])
        return {"checkpoint": None, "checkpoints": [str(path) for path in evidence.checkpoints],
                "base": {"networks": [digest(path) for path in evidence.checkpoints], "seed": seed}, "recipe": recipe}
    return {"checkpoint": None, **base_of_patches(evidence)}


def _training_of(checkpoint: Path) -> tuple[int | None, dict[str, Any] | None]:
    """(seed, recipe) by which a network was trained, each None where it is not known."""
    trained = training_notes(checkpoint).get("run", {})
    recipe = {field.name: trained[field.name] for field in dataclasses.fields(Recipe) if field.name in trained}
    return trained.get("seed"), recipe or None


def tell_changes(former: Coreset | None, notes: Mapping[str, Any]) -> None:
    """Tell the user which of ``notes`` differ from the repeated coreset ``former``: "data images: A, now B"."""
    if not former:
        return
    for name in [name for name in _COMPARED if name in notes]:
        then, now = _flat(name, former.manifest.get(name)), _flat(name, notes[name])
        for key in dict.fromkeys([*then, *now]):
            if then.get(key) != now.get(key):
                note(f"{key}: {then.get(key, 'not recorded')}, now {now.get(key)}")


def _flat(name: str, value: Any) -> dict[str, Any]:
    return {f"{name} {key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}


def changed_arrays(former: Coreset, coreset: Coreset) -> list[str]:
    """Lines about arrays that differ between two coresets; empty if all are equal, byte for byte."""
    lines = [f"{name}: {getattr(former, name)}, now {getattr(coreset, name)}" for name in _SETTINGS
             if getattr(former, name) != getattr(coreset, name)]
    for name in _ARRAYS:
        then, now = getattr(former, name), getattr(coreset, name)
        if not _same(then, now):
            lines.append(f"{name}: {_tell(name, then, now)}")
    return lines


def _same(then: np.ndarray | None, now: np.ndarray | None) -> bool:
    if then is None or now is None:
        return then is now
    return then.dtype == now.dtype and then.shape == now.shape and then.tobytes() == now.tobytes()


def _tell(name: str, then: np.ndarray | None, now: np.ndarray | None) -> str:
    if then is None or now is None:
        return "there were none" if then is None else "there are none now"
    if name in ("indices", "pool"):
        return f"{len(np.intersect1d(then, now)):,} of {len(then):,} samples are the same"
    if then.shape != now.shape:
        return f"{then.shape}, now {now.shape}"
    return f"differ by up to {np.nanmax(np.abs(then - now)):.3g}"
