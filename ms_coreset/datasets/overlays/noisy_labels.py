"""Noisy labels, laid over the clean training split when ``...N`` is loaded."""

import dataclasses
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.overlays.human_labels import read_human_labels
from ms_coreset.datasets.overlays.places import is_made, lock_path, mark, missing_error, overlay_path, require_clean
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write, read_file
from ms_coreset.json_files import read_json, write_json
from ms_coreset.kinds import FilePath, Log
from ms_coreset.locks import try_lock
from ms_coreset.npy_files import open_array
from ms_coreset.perturbations.label_noise import asymmetric_noise, human_noise, symmetric_noise, target_classes

NOISES = ("symmetric", "asymmetric", "human")
# The names under which the Moderate repository writes and reads its own.
_STEMS = {"CIFAR100": "cifar", "TinyImageNet": "tiny_target"}


def label_noise_path(root: FilePath, base: str, variant: str = "") -> Path:
    """The path of the noisy labels of the clean data set ``base``, below ``root``."""
    return overlay_path(root, "noisy", _STEMS.get(base, base.lower()), variant)


def make_label_noise(clean: Split, root: str | os.PathLike, ratio: float = 0.2, *, seed: int = 0, exact: bool = True,
                     force: bool = False, variant: str = "", noise: str = "symmetric", next_class: bool = False,
                     human: str | None = None) -> Path:
    """Replace labels of the training split ``clean`` by wrong ones and write them to disk.

    It writes the noisy labels, (n,) int64, as ``.npy`` like the Moderate repository, and a manifest as ``.json`` beside
    them. See ``mc.symmetric_noise`` and ``mc.asymmetric_noise``.

    Args:
        clean: an unperturbed training split.
        root: folder that the overlay lies in.
        ratio: share of the labels to replace, 0 to 1. Human labels take neither ``ratio``, ``seed`` nor ``exact``.
        seed: of the draws, 0 to 2**32 - 1.
        exact: whether exactly ``round(ratio * n)`` labels are replaced, instead of each with chance ``ratio``.
        force: whether to replace labels that exist.
        variant: name of the variant, or "".
        noise: "symmetric" (any other class), "asymmetric" (the class it is mistaken for) or "human" (published labels).
        next_class: whether asymmetric noise goes to the next class even if pairs of classes are published for the set.
        human: which of the published human labels, such as "worse"; see ``human_labels.read_human_labels``.

    Returns:
        The path of the labels.

    Raises:
        MsCoresetError: if other labels exist already and ``force`` is not set, if ``clean`` is a test split or noisy
            itself, and if the files can't be written.
    """
    require_clean(clean, "label noise is")
    clean.require_labels("label noise")
    if noise not in NOISES:
        raise MsCoresetError(f"unknown label noise {noise!r}: there are {', '.join(NOISES)}")
    if noise == "symmetric":
        noisy, manifest = symmetric_noise(clean.labels, clean.num_classes, ratio, seed=seed, exact=exact)
    elif noise == "asymmetric":
        targets, what = target_classes(clean.name, clean.classes, next_class)
        noisy, manifest = asymmetric_noise(clean.labels, targets, ratio, seed=seed, exact=exact)
        manifest["pairs"] = what
    else:
        given, source = read_human_labels(clean, root, human)
        noisy, manifest = human_noise(clean.labels, clean.num_classes, given)
        manifest = {**manifest, **source}
    path = label_noise_path(root, clean.name, variant)
    manifest = {"dataset": clean.name, **manifest}
    with try_lock(lock_path(path)):
        if not is_made(path, manifest, force):
            _publish(path, noisy, manifest)
    return path


def _publish(path: Path, noisy: np.ndarray, manifest: dict[str, Any]) -> None:
    """Write both files. The labels come last: where they exist, the manifest beside them belongs to them."""
    buffer = io.BytesIO()
    np.save(buffer, noisy, allow_pickle=False)
    content = buffer.getvalue()
    if path.exists() and read_file(path) != content:
        path.unlink()
    write_json(path.with_suffix(".json"), manifest)
    with atomic_write(path) as stream:
        stream.write(content)


def apply_label_noise(clean: Split, root: FilePath, variant: str, *, log: Log) -> Split:
    """The training split ``clean`` with the noisy labels that lie below ``root``.

    Labels without a variant are made with the defaults if they are missing. It sets ``labels``, ``clean_labels``,
    ``bad`` (the two differ), ``bad_kinds`` and ``manifest``. Labels without a manifest, such as the Moderate
    repository's, are taken as they are, and ``log`` is told.

    Args:
        clean: the training split.
        root: folder that the overlay lies in.
        variant: name of the variant, or "".
        log: called with each line for the user.

    Returns:
        The perturbed split.

    Raises:
        MsCoresetError: for labels that are damaged, or belong to other data by their manifest, and for a variant that
            is missing.
    """
    path = label_noise_path(root, clean.name, variant)
    name = f"{clean.name}N{mark(variant)}"
    if not path.exists():
        if variant:
            raise missing_error(path, name, "label-noise")
        # Forced: if another process has made it meanwhile, it used the same seed.
        made = read_json(make_label_noise(clean, root, force=True).with_suffix(".json"))
        log(f"label noise {path} was missing: made with ratio {made['ratio']}, seed {made['seed']}")
    labels = _read_labels(path, clean)
    manifest = _read_manifest(path, clean, labels, log)
    bad = labels != clean.labels
    return dataclasses.replace(clean, name=name, labels=labels, clean_labels=clean.labels, bad=bad,
                               bad_kinds=bad.astype(np.int8), manifest=manifest)


def _read_labels(path: Path, clean: Split) -> np.ndarray:
    anew = f"delete {path} to have it made anew"
    try:
        # A memory map refuses a file that is shorter than its header claims before anything is allocated.
        stored = open_array(path)
    except MsCoresetError as error:
        raise MsCoresetError(f"{error}; {anew}") from error
    if stored.dtype.kind not in "iu" or stored.shape != clean.labels.shape:
        raise MsCoresetError(f"{path}: {stored.dtype} of shape {stored.shape}, but {clean.name} needs integers of "
                             f"shape {clean.labels.shape}; {anew}")
    if not 0 <= stored.min() <= stored.max() < clean.num_classes:
        raise MsCoresetError(f"{path}: labels {stored.min()} to {stored.max()}, but {clean.name} has 0 to "
                             f"{clean.num_classes - 1}; {anew}")
    return np.array(stored, dtype=np.int64)


def _read_manifest(path: Path, clean: Split, labels: np.ndarray, log: Log) -> dict[str, Any]:
    manifest_path = path.with_suffix(".json")
    anew = f"delete {path} to have it made anew"
    if not manifest_path.exists():
        flipped = int((labels != clean.labels).sum())
        log(f"{path} has no manifest: taken as it is, {flipped} of {len(labels)} labels differ from the clean ones")
        return {"kind": "label_noise", "dataset": clean.name, "ratio_realised": flipped / len(labels),
                "n": len(labels), "num_classes": clean.num_classes, "flipped": flipped}
    manifest = read_json(manifest_path)
    if not isinstance(manifest, dict) or manifest.get("clean_labels") != array_digest(clean.labels):
        raise MsCoresetError(f"{path} was made for other data than this {clean.name} (by {manifest_path.name}); {anew}")
    if manifest.get("noisy_labels") != array_digest(labels):
        raise MsCoresetError(f"{path} is not what {manifest_path.name} describes; {anew}")
    return manifest
