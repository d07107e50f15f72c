"""Features by which pictures are compared without labels and without a network: random patches, and their colours."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.split import Split
from ms_coreset.extraction.cache import ExtractionStore
from ms_coreset.extraction.random_patches import ROUND_BYTES, Encoder, draw_filters, encode_block, patch_settings
from ms_coreset.locks import try_lock
from ms_coreset.progress import Progress
from ms_coreset.randomness import stream
from ms_coreset.selectors import processors, row_blocks

FILTERS = 32


@processors.host_alone()
def picture_features(splits: Sequence[Split], *, filters: int | None = None, seed: int = 0,
                     cache: str | os.PathLike | None = None) -> list[np.ndarray]:
    """What random patches and the colours tell of each picture: 8 K + 2 channels numbers, whatever its label.

    Steps 1 to 3 of ``patch_evidence``, with K filters drawn from the first split, give g; the features are the roots of
    g, which keep few large numbers from deciding, and the mean colours of the upper and the lower half, scaled so that
    their mean deviation is that of the roots. Of coloured pictures the mirror image has the same features.

    Args:
        splits: with images of one number of channels.
        filters: K, by default 32.
        seed: of the patches.
        cache: folder where they are kept, and continued after an interruption; None: they are not.

    Returns:
        (n, 8 K + 2 channels) float32 of each split.
    """
    settings = patch_settings(splits[0], FILTERS if filters is None else filters, seed)
    images = splits[0].require_images()
    drawn = draw_filters(images, settings["filters"], settings["side"], stream(seed, "patches"))
    encoder = Encoder(drawn, settings["mirrored"])
    source = json.dumps([splits[0].fingerprint(), settings], sort_keys=True)
    stored = [_encoded(split, encoder, _folder(cache, split, source)) for split in splits]
    colors = 2 * images.shape[3]
    deviations = np.concatenate(stored).std(axis=0, dtype=np.float64)
    mean = deviations[-colors:].mean()
    scale = deviations[:-colors].mean() / mean if mean else 1.0
    return [np.concatenate([rows[:, :-colors], np.float32(scale) * rows[:, -colors:]], axis=1) for rows in stored]


def _folder(cache: str | os.PathLike | None, split: Split, source: str) -> Path | None:
    key = array_digest(np.array([source, split.fingerprint()]))
    return None if cache is None else Path(cache) / f"pictures-{key}"


def _encoded(split: Split, encoder: Encoder, folder: Path | None) -> np.ndarray:
    """Roots and colours of the pictures of a split, those that are not in the folder yet made anew."""
    if folder is None:
        return _fill(split, encoder, None)
    with try_lock(folder / ".lock"):
        return _fill(split, encoder, folder)


def _fill(split: Split, encoder: Encoder, folder: Path | None) -> np.ndarray:
    images = split.require_images()
    store = ExtractionStore({"features": (len(split), encoder.size + 2 * images.shape[3])}, folder)
    with Progress(len(split), "pictures", start=store.done) as progress:
        for part in row_blocks.blocks(len(split), int(np.prod(images.shape[1:])), ROUND_BYTES):
            if part.stop <= store.done:
                continue
            pixels = np.asarray(images[part])
            rows = np.empty((len(pixels), store.arrays["features"].shape[1]), np.float32)
            encode_block(pixels, encoder, rows[:, :encoder.size])
            np.sqrt(np.maximum(rows[:, :encoder.size], 0), out=rows[:, :encoder.size])
            middle = pixels.shape[1] // 2
            halves = [half.mean(axis=(1, 2), dtype=np.float64) for half in (pixels[:, :middle], pixels[:, middle:])]
            rows[:, encoder.size:] = np.concatenate(halves, axis=1) / 255
            store.write(np.arange(part.start, part.stop), features=lambda rows=rows: rows)
            progress.update(len(pixels))
    store.finish()
    return np.asarray(store.arrays["features"])
