"""Perturbed images on disk: written in parts, continued when interrupted, and read as a memory map."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.overlays.places import is_made, lock_path
from ms_coreset.errors import MsCoresetError
from ms_coreset.files import atomic_write
from ms_coreset.json_files import read_json, write_json
from ms_coreset.kinds import Log
from ms_coreset.locks import try_lock
from ms_coreset.npy_files import create_array, open_array
from ms_coreset.progress import Progress

if TYPE_CHECKING:
    from ms_coreset.datasets.pictures import Pictures
    from ms_coreset.datasets.split import Split

SAVE_INTERVAL = 1  # seconds between two notes of how far a run is
_PROBES = 256  # rows whose checksum identifies a file of images without reading all of it


def write_images(path: Path, clean: Split, plan: dict[str, Any],
                 perturb: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], block: int = 128,
                 notes: dict[str, Any] | None = None, force: bool = False) -> None:
    """Write the perturbed images of the split ``clean`` to ``path``, with their kinds and a manifest beside them.

    Args:
        path: of the images, ``.npy``.
        clean: the training split.
        plan: plain values that decide every byte; an interrupted run of the same plan is continued.
        perturb: ``(images, rows) -> images, kinds``: (b, height, width, channels) uint8, (b,) int8, of the samples at
            the places ``rows``, ``block`` of them at a time.
        block: images at a time.
        notes: further plain values for the manifest.
        force: whether to replace images that exist; otherwise they are left if they were made by the same plan.

    Raises:
        MsCoresetError: for images that exist by another plan, and when the files can't be written.
    """
    images = clean.require_images()
    plan = {**plan, "dataset": clean.name, "clean_images": clean.fingerprint()}
    with try_lock(lock_path(path)):
        if is_made(path, plan, force):
            return
        part = _Part(path, clean, plan)
        try:
            with Progress(len(clean), plan["kind"].replace("_", " "), start=part.done) as progress:
                for begin in range(part.done, len(clean), block):
                    rows = np.arange(begin, min(begin + block, len(clean)))
                    part.write(rows, *perturb(np.asarray(images[rows[0]:rows[-1] + 1]), rows))
                    progress.update(len(rows))
        finally:
            part.note()
        part.publish({**plan, **(notes or {})})


def lay_images(clean: Split, name: str, path: Path, log: Log) -> Split:
    """The training split ``clean`` with the images of ``path``; sets ``bad``, ``bad_kinds`` and ``manifest``.

    Images without a manifest, such as the Moderate repository's, are taken as they are, and ``log`` is told.

    Args:
        clean: the training split.
        name: of the perturbed data set.
        path: of the images, ``.npy``.
        log: called with each line for the user.

    Returns:
        The perturbed split.

    Raises:
        MsCoresetError: for images that are damaged, or belong to other data by their manifest.
    """
    images = _open(path, np.uint8, clean.require_images().shape, clean)
    manifest_path = path.with_suffix(".json")
    if manifest_path.exists():
        kinds = np.array(_open(path.with_suffix(".kinds.npy"), np.int8, (len(clean),), clean))
        manifest = _checked_manifest(path, clean, images, kinds)
    else:
        kinds = _differences(clean.require_images(), images).astype(np.int8)
        log(f"{path} has no manifest: taken as it is, {kinds.sum()} of {len(kinds)} images differ from the clean ones")
        manifest = {"kind": "images", "dataset": clean.name, "kinds": ["changed"], "n": len(kinds),
                    "counts": [int(kinds.sum())]}
    # Features and logits of the clean images do not hold for these.
    return dataclasses.replace(clean, name=name, images=images, clean_labels=clean.labels, bad=kinds > 0,
                               bad_kinds=kinds, manifest=manifest, known={})


class _Part:
    """Images and kinds that are being written, beside their final place, with a note of how many rows are done."""

    def __init__(self, path: Path, clean: Split, plan: dict[str, Any]) -> None:
        self._path, self._plan, self._noted = path, plan, time.monotonic()
        hidden = path.with_name(f".{path.stem}.part.npy")
        self._files = {"images": hidden, "kinds": hidden.with_suffix(".kinds.npy"), "note": hidden.with_suffix(".json")}
        self.done = self._count_done(clean)
        if self.done:
            self._images, self._kinds = (open_array(self._files[name], "r+") for name in ("images", "kinds"))
        else:
            with contextlib.suppress(OSError):
                self._files["note"].unlink()
            self._images = create_array(self._files["images"], np.uint8, clean.require_images().shape)
            self._kinds = create_array(self._files["kinds"], np.int8, (len(clean),))

    def write(self, rows: np.ndarray, images: np.ndarray, kinds: np.ndarray) -> None:
        """Store the next rows."""
        self._images[rows[0]:rows[-1] + 1], self._kinds[rows[0]:rows[-1] + 1] = images, kinds
        self.done = int(rows[-1]) + 1
        if time.monotonic() - self._noted > SAVE_INTERVAL:
            self.note()

    def note(self) -> None:
        """Bring the rows to disk, and then the note of how many there are."""
        self._noted = time.monotonic()
        self._images.flush()
        self._kinds.flush()
        write_json(self._files["note"], {"rows": self.done, "plan": self._plan})

    def publish(self, manifest: dict[str, Any]) -> None:
        """Move the files to their final names. The images come last: where they exist, everything does."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        counts = np.bincount(self._kinds, minlength=len(manifest["kinds"]) + 1)[1:]
        write_json(self._path.with_suffix(".json"), {
            **manifest, "n": len(self._kinds), "counts": counts.tolist(), "images": _probe(self._images),
            "samples": array_digest(self._kinds)})
        with atomic_write(self._path.with_suffix(".kinds.npy")) as stream:
            np.save(stream, self._kinds, allow_pickle=False)
        os.replace(self._files["images"], self._path)
        for name in ("note", "kinds"):
            self._files[name].unlink()

    def _count_done(self, clean: Split) -> int:
        try:
            note = read_json(self._files["note"])
            images, kinds = (open_array(self._files[name]) for name in ("images", "kinds"))
            fit = (images.dtype, images.shape, kinds.dtype, kinds.shape) == (
                np.uint8, tuple(clean.require_images().shape), np.int8, (len(clean),))
            rows = note["rows"] if fit and note["plan"] == self._plan else 0
            return rows if isinstance(rows, int) and 0 <= rows <= len(clean) else 0
        except (MsCoresetError, KeyError, TypeError):
            return 0


def _open(path: Path, dtype: type, shape: tuple[int, ...], clean: Split) -> np.memmap:
    """A read-only memory map; raises ``MsCoresetError`` unless it is of this type and shape."""
    try:
        array = open_array(path)
    except MsCoresetError as error:
        raise MsCoresetError(f"{error}; delete {path} to have it made anew") from error
    if array.dtype != dtype or array.shape != tuple(shape):
        raise MsCoresetError(f"{path}: {array.dtype} of shape {array.shape}, but {clean.name} needs {np.dtype(dtype)} "
                             f"of shape {tuple(shape)}; delete {path} to have it made anew")
    return array


def _checked_manifest(path: Path, clean: Split, images: np.ndarray, kinds: np.ndarray) -> dict[str, Any]:
    manifest_path = path.with_suffix(".json")
    manifest = read_json(manifest_path)
    anew = f"delete {path} to have it made anew"
    named = isinstance(manifest, dict) and isinstance(manifest.get("kinds"), list) and all(
        isinstance(kind, str) for kind in manifest["kinds"])
    if not named or manifest.get("clean_images") != clean.fingerprint():
        raise MsCoresetError(f"{path} was made for other data than this {clean.name} (by {manifest_path.name}); {anew}")
    described = (manifest.get("images"), manifest.get("samples")) == (_probe(images), array_digest(kinds))
    if not described or kinds.max() > len(manifest["kinds"]):
        raise MsCoresetError(f"{path} is not what {manifest_path.name} describes; {anew}")
    return manifest


def _probe(images: np.ndarray) -> str:
    """Checksum of some images, evenly spread."""
    return array_digest(np.stack([images[row] for row in np.linspace(0, len(images) - 1, _PROBES).astype(int)]))


def _differences(first: np.ndarray | Pictures, second: np.ndarray, block: int = 512) -> np.ndarray:
    parts = [slice(begin, begin + block) for begin in range(0, len(second), block)]
    return np.concatenate([(np.asarray(first[rows]) != second[rows]).any(axis=(1, 2, 3)) for rows in parts])
