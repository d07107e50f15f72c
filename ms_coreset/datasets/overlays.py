"""Perturbations kept on disk beside the clean data, which they are laid over when ``...N`` is loaded."""

import dataclasses
from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import array_digest, atomic_write, read_json, write_json
from ms_coreset.perturbations.label_noise import symmetric_noise


def label_noise_path(root, base):
    """Where the noisy labels of the clean data set ``base`` lie; CIFAR-100's name is the Moderate repository's."""
    stem = {"CIFAR100": "cifar"}.get(base, base.lower())
    return Path(root) / "noisy" / f"{stem}.npy"


def make_label_noise(clean, root, ratio=0.2, seed=0, exact=True, force=False):
    """Write symmetric label noise for the training split ``clean``; see ``symmetric_noise`` for the arguments.

    Writes the noisy labels, (n,) int64 ``.npy`` as the Moderate repository does, and a manifest, ``.json``, beside
    them; returns the labels' path. Raises ``MsCoresetError`` when they are there already and ``force`` is not set,
    when ``clean`` is a test split or noisy itself, and when the files can't be written.
    """
    if not clean.train or clean.clean_labels is not None:
        raise MsCoresetError(f"{clean.name}: label noise is laid over clean training data only; load the base data set")
    path = label_noise_path(root, clean.name)
    if path.exists() and not force:
        raise MsCoresetError(f"{path} exists already: delete it, or force a new one")
    noisy, manifest = symmetric_noise(clean.labels, clean.num_classes, ratio, seed, exact)
    with atomic_write(path) as stream:
        np.save(stream, noisy, allow_pickle=False)
    write_json(path.with_suffix(".json"), {"dataset": clean.name, **manifest})
    return path


def apply_label_noise(clean, root, log):
    """The training split ``clean`` with the noisy labels that lie below ``root``, made with the defaults if missing.

    Sets ``labels``, ``clean_labels``, ``bad`` (the two differ) and ``manifest``. Labels without a manifest, such as
    the Moderate repository's, are taken as they are, with a word to ``log``. Raises ``MsCoresetError`` for labels
    that are damaged, or by their manifest belong to other data.
    """
    path = label_noise_path(root, clean.name)
    if not path.exists():
        # Forced: should another process have made it meanwhile, then from the same seed.
        made = read_json(make_label_noise(clean, root, force=True).with_suffix(".json"))
        log(f"label noise {path} was missing: made with ratio {made['ratio']}, seed {made['seed']}")
    labels = _read_labels(path, clean)
    manifest = _read_manifest(path, clean, labels, log)
    return dataclasses.replace(clean, name=f"{clean.name}N", labels=labels, clean_labels=clean.labels,
                               bad=labels != clean.labels, manifest=manifest)


def _read_labels(path, clean):
    anew = f"delete {path} to have it made anew"
    try:
        # A memory map refuses a file that is shorter than its header claims before anything is allocated.
        stored = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header raises whatever its text happens to spell
        reason = str(error).partition("\n")[0]
        raise MsCoresetError(f"{path} is no whole .npy file of integers: {reason}; {anew}") from error
    if stored.dtype.kind not in "iu" or stored.shape != clean.labels.shape:
        raise MsCoresetError(f"{path}: {stored.dtype} of shape {stored.shape}, but {clean.name} needs integers of "
                             f"shape {clean.labels.shape}; {anew}")
    if not 0 <= stored.min() <= stored.max() < clean.num_classes:
        raise MsCoresetError(f"{path}: labels {stored.min()} to {stored.max()}, but {clean.name} has 0 to "
                             f"{clean.num_classes - 1}; {anew}")
    return np.array(stored, dtype=np.int64)


def _read_manifest(path, clean, labels, log):
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


# Letter after a data set's name -> (where the overlay lies, how it is laid over the clean training split).
OVERLAYS = {"N": (label_noise_path, apply_label_noise)}
