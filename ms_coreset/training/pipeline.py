"""Batches of images for training a network: shuffled and augmented.

Every random number of an epoch comes from ``RandomState([seed, epoch])`` before the epoch starts, so that an epoch
can be repeated alone (resumed training, another device, torch_ref) and does not depend on the number of workers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from ms_coreset.batches import Batch, Prepare, ahead, batch_bytes, normalize, updates_per_epoch
from ms_coreset.distributed import current
from ms_coreset.randomness import stream
from ms_coreset.training.crops import NUMBERS, resized_crops
from ms_coreset.training.recipe import ALTERNATE

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split
    from ms_coreset.training.recipe import Recipe

class EpochPlan:
    """The order and the augmentation of one epoch over ``n`` samples; see ``recipe`` for the options.

    Drawn in this order: a permutation of n; with cropping, (n, 2) offsets in 0 .. 2 x padding; with resized crops, (n,
    22) numbers in [0, 1) (see ``crops.crop_box``); with mirroring, n bits. Row i belongs to the i-th sample presented.
    Alternate mirroring draws its n bits once for all epochs, from a stream of its own, one for each of the n samples in
    their order; in every second epoch they are inverted.

    Args:
        n: number of samples.
        recipe: with the options of cropping and mirroring.
        seed: of the training.
        epoch: number of the epoch, from 0.
    """

    def __init__(self, n: int, recipe: Recipe, seed: int, epoch: int) -> None:
        rng = np.random.RandomState([seed, epoch])
        self.order = rng.permutation(n)
        self.shift = rng.randint(0, 2 * recipe.crop_padding + 1, size=(n, 2)) if recipe.crop_padding else None
        self.crop = rng.random_sample((n, NUMBERS)) if recipe.crop_scale is not None else None
        self.mirror = None
        if recipe.flip == ALTERNATE:
            first = stream(seed, "flip").randint(0, 2, size=n)[self.order]
            self.mirror = (first + epoch) % 2 == 1
        elif recipe.flip:
            self.mirror = rng.randint(0, 2, size=n).astype(bool)


def augment(images: np.ndarray, recipe: Recipe, shift: np.ndarray | None, mirror: np.ndarray | None) -> np.ndarray:
    """Crop and mirror images by an epoch's plan.

    Args:
        images: (B, H, W, C) uint8.
        recipe: with the options of padding.
        shift: (B, 2) offsets of the crops, or None.
        mirror: (B,) which images are mirrored, or None.

    Returns:
        (B, C, H, W) uint8.
    """
    if shift is None and mirror is None:
        return images.transpose(0, 3, 1, 2)
    height, width = images.shape[1:3]
    padded = images
    if shift is not None:
        pad = recipe.crop_padding
        mode: Literal["constant", "reflect"] = "constant" if recipe.padding_mode == "zeros" else "reflect"
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode)
    corners = [(0, 0)] * len(images) if shift is None else shift.tolist()
    mirror = np.zeros(len(images), bool) if mirror is None else mirror
    # Image by image: indexing the whole batch at once, pixel by pixel, takes three times as long.
    changed = np.empty_like(images)
    for image, source, (top, left), mirrored in zip(changed, padded, corners, mirror.tolist(), strict=True):
        window = source[top:top + height, left:left + width]
        image[:] = window[:, ::-1] if mirrored else window
    return changed.transpose(0, 3, 1, 2)


class _TrainingSource:
    """All batches from ``first_epoch`` on, for mindspore.dataset: item i is batch i mod s of epoch i div s."""

    def __init__(self, split: Split, rows: np.ndarray, recipe: Recipe, seed: int, first_epoch: int,
                 epochs: int) -> None:
        self._pictures = split.require_images()
        self._split, self._rows, self._recipe, self._seed = split, rows, recipe, seed
        self._first = first_epoch
        self._per_epoch = updates_per_epoch(len(rows), recipe.batch_size)
        self._length = self._per_epoch * (epochs - first_epoch)
        self._plan = functools.lru_cache(1)(self._draw_plan)
        self._ranks = current()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, place = self._first + item // self._per_epoch, item % self._per_epoch
        plan = self._plan(epoch)
        part = slice(place * self._recipe.batch_size, (place + 1) * self._recipe.batch_size)
        rows = self._rows[plan.order[part]]
        share = self._ranks.part(len(rows))
        return (self._images(plan, rows[share], slice(part.start + share.start, part.start + share.stop)),
                self._split.labels[rows].astype(np.int32), rows.astype(np.int64))

    def _images(self, plan: EpochPlan, rows: np.ndarray, part: slice) -> np.ndarray:
        """The images at ``rows``, which are presented at ``part`` of the epoch, as the plan has them."""
        if not len(rows):
            return np.zeros(0, np.float32)
        shift, crop, mirror = (None if drawn is None else drawn[part]
                               for drawn in (plan.shift, plan.crop, plan.mirror))
        pictures = self._pictures
        images = pictures[rows] if crop is None else resized_crops(pictures, rows, self._recipe, crop)
        images = augment(images, self._recipe, shift, mirror)
        return normalize(images, self._split.mean, self._split.std)

    def _draw_plan(self, epoch: int) -> EpochPlan:
        return EpochPlan(len(self._rows), self._recipe, self._seed, epoch)


def training_batches(split: Split, rows: np.ndarray, recipe: Recipe, seed: int, first_epoch: int,
                     epochs: int, prepare: Prepare = ahead) -> Iterator[Batch]:
    """Iterate over the batches of epochs ``first_epoch .. epochs - 1`` as NumPy arrays, prefetched by ``prepare``.

    One pipeline serves all epochs: starting one costs more than a short epoch.

    Args:
        split: of the images.
        rows: (m,) places in ``split`` to train on.
        recipe: batch size and augmentation.
        seed: of the training.
        first_epoch: number of the first epoch, from 0.
        epochs: number of epochs of the whole training.
        prepare: prefetches the batches of a source.

    Yields:
        Batches.
    """
    source = _TrainingSource(split, rows, recipe, seed, first_epoch, epochs)
    yield from prepare(source, batch_bytes(split, recipe.batch_size))
