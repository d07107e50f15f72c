"""Batches of images for a network: shuffled and augmented for training, in order and as they are for evaluation.

Every random number of an epoch comes from ``RandomState([seed, epoch])`` before the epoch starts, so that an epoch
can be repeated alone (resumed training, another device, torch_ref) and does not depend on the number of workers.
"""

from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """images (B, C, H, W) float32 normalised, labels (B,) int32, rows (B,) int64: places in the split."""

    images: object
    labels: object
    rows: object


class EpochPlan:
    """The order and the augmentation of one epoch over ``n`` samples; see ``recipe`` for the options.

    Drawn in this order: a permutation of n; with cropping, (n, 2) offsets in 0 .. 2 x padding; with mirroring, n
    bits. Row i belongs to the i-th sample presented.
    """

    def __init__(self, n, recipe, seed, epoch):
        rng = np.random.RandomState([seed, epoch])
        self.order = rng.permutation(n)
        self.shift = rng.randint(0, 2 * recipe.crop_padding + 1, size=(n, 2)) if recipe.crop_padding else None
        self.mirror = rng.randint(0, 2, size=n).astype(bool) if recipe.flip else None


def normalise(images, mean, std):
    """uint8 images (B, C, H, W) to float32 of zero mean and unit deviation: ``(x / 255 - mean) / std``."""
    mean, std = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (mean, std))
    # Into one contiguous array: images are views of other layouts, and working in those is five times slower.
    scaled = np.empty(images.shape, np.float32)
    np.divide(images, np.float32(255), out=scaled)
    np.subtract(scaled, mean, out=scaled)
    np.divide(scaled, std, out=scaled)
    return scaled


def augment(images, recipe, shift, mirror):
    """Crop and mirror uint8 images (B, H, W, C) by an epoch's plan; returns (B, C, H, W)."""
    if shift is not None:
        pad, (height, width) = recipe.crop_padding, images.shape[1:3]
        mode = "constant" if recipe.padding_mode == "zeros" else "reflect"
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
        images = windows[np.arange(len(images)), shift[:, 0], shift[:, 1]]
    else:
        images = images.transpose(0, 3, 1, 2)
    if mirror is not None:
        images = np.where(mirror[:, None, None, None], images[..., ::-1], images)
    return images


class _TrainingSource:
    """All batches from ``first_epoch`` on, for mindspore.dataset: item i is batch i mod s of epoch i div s."""

    def __init__(self, split, rows, recipe, seed, first_epoch, epochs):
        self._split, self._rows, self._recipe, self._seed = split, rows, recipe, seed
        self._first = first_epoch
        self._per_epoch = updates_per_epoch(len(rows), recipe.batch_size)
        self._length = self._per_epoch * (epochs - first_epoch)
        self._epoch = self._plan = None

    def __len__(self):
        return self._length

    def __getitem__(self, item):
        epoch, place = self._first + item // self._per_epoch, item % self._per_epoch
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, EpochPlan(len(self._rows), self._recipe, self._seed, epoch)
        part = slice(place * self._recipe.batch_size, (place + 1) * self._recipe.batch_size)
        plan, rows = self._plan, self._rows[self._plan.order[part]]
        shift, mirror = (None if drawn is None else drawn[part] for drawn in (plan.shift, plan.mirror))
        images = augment(self._split.images[rows], self._recipe, shift, mirror)
        return (normalise(images, self._split.mean, self._split.std),
                self._split.labels[rows].astype(np.int32), rows.astype(np.int64))


def updates_per_epoch(n, batch_size):
    """Batches in one pass over n samples, the last partial one included."""
    return -(-n // batch_size)


def training_batches(split, rows, recipe, seed, first_epoch, epochs):
    """Iterate over the batches of epochs ``first_epoch .. epochs - 1`` as NumPy arrays, prefetched by MindSpore.

    rows: (m,) places in ``split`` to train on. One pipeline serves all epochs: starting one costs more than a short
    epoch.
    """
    from mindspore import dataset

    source = _TrainingSource(split, rows, recipe, seed, first_epoch, epochs)
    if not len(source):
        return
    # One worker thread keeps the order; a batch is one item, so that a sample costs no Python call.
    batches = dataset.GeneratorDataset(source, list(Batch._fields), shuffle=False, num_parallel_workers=1,
                                       python_multiprocessing=False)
    for batch in batches.create_tuple_iterator(num_epochs=1, output_numpy=True):
        yield Batch(*batch)


def evaluation_batches(split, batch_size, start=0):
    """Iterate over ``split`` in order from sample ``start``: batches of NumPy arrays, not augmented."""
    for begin in range(start, len(split), batch_size):
        rows = np.arange(begin, min(begin + batch_size, len(split)))
        images = np.asarray(split.images[begin:begin + batch_size]).transpose(0, 3, 1, 2)
        yield Batch(normalise(images, split.mean, split.std), split.labels[rows], rows)
