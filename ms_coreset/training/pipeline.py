"""Batches of images for a network: shuffled and augmented for training, in order and as they are for evaluation.

Every random number of an epoch comes from ``RandomState([seed, epoch])`` before the epoch starts, so that an epoch
can be repeated alone (resumed training, another device, torch_ref) and does not depend on the number of workers.

Batches are prepared ahead by one thread of mindspore.dataset, whose queue is bounded in bytes; images that have to be
decoded are shared out among several threads within a batch. (Of MindSpore's own worker threads, each would keep 16
batches: gigabytes of photographs.)
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import stream
from ms_coreset.training.crops import NUMBERS, resized_crops
from ms_coreset.training.recipe import ALTERNATE

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split
    from ms_coreset.training.recipe import Recipe

QUEUE_BYTES = 256 << 20  # of batches that wait to be used
_LARGEST_EVALUATED = 64 << 20  # bytes in a batch of lazy images
_LONGEST_QUEUE = 16


class Batch(NamedTuple):
    """images (B, C, H, W) float32 normalised, labels (B,) int32, rows (B,) int64: places in the split.

    In training on several ranks, images are this rank's share of the batch, labels and rows the whole batch's.
    """

    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


class EpochPlan:
    """The order and the augmentation of one epoch over ``n`` samples; see ``recipe`` for the options.

    Drawn in this order: a permutation of n; with cropping, (n, 2) offsets in 0 .. 2 x padding; with resized crops,
    (n, 22) numbers in [0, 1) (see ``crops.crop_box``); with mirroring, n bits. Row i belongs to the i-th sample
    presented. Alternate mirroring draws its n bits once for all epochs, from a stream of its own, one for each of the
    n samples in their order; in every second epoch they are turned round.
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


def normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 images (B, C, H, W) to float32 of zero mean and unit deviation: ``(x / 255 - mean) / std``."""
    centre, scale = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (mean, std))
    # Into one contiguous array: images are views of other layouts, and working in those is five times slower.
    scaled = np.empty(images.shape, np.float32)
    np.divide(images, np.float32(255), out=scaled)
    np.subtract(scaled, centre, out=scaled)
    np.divide(scaled, scale, out=scaled)
    return scaled


def augment(images: np.ndarray, recipe: Recipe, shift: np.ndarray | None, mirror: np.ndarray | None) -> np.ndarray:
    """Crop and mirror uint8 images (B, H, W, C) by an epoch's plan; returns (B, C, H, W)."""
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
        return normalise(images, self._split.mean, self._split.std)

    def _draw_plan(self, epoch: int) -> EpochPlan:
        return EpochPlan(len(self._rows), self._recipe, self._seed, epoch)


class _EvaluationSource:
    """Batches of samples ``start .. stop - 1`` of ``split`` in order, for mindspore.dataset."""

    def __init__(self, split: Split, batch_size: int, start: int, stop: int) -> None:
        self._pictures = split.require_images()
        self._split, self._batch_size, self._start, self._stop = split, batch_size, start, stop

    def __len__(self) -> int:
        return updates_per_epoch(max(0, self._stop - self._start), self._batch_size)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        begin = self._start + item * self._batch_size
        end = min(begin + self._batch_size, self._stop)
        rows = np.arange(begin, end)
        images = np.asarray(self._pictures[begin:end]).transpose(0, 3, 1, 2)
        return normalise(images, self._split.mean, self._split.std), self._split.labels[rows], rows


class _Guarded:
    """A source that keeps its user error and gives empty batches from then on.

    Raised in a thread of MindSpore, it would come out as a RuntimeError of several pages, and in its log, too.
    """

    _NOTHING = tuple(np.zeros(0, dtype) for dtype in (np.float32, np.int32, np.int64))

    def __init__(self, source: _TrainingSource | _EvaluationSource) -> None:
        self._source = source
        self.error: MsCoresetError | None = None

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, item: int) -> tuple[np.ndarray, ...]:
        if self.error is None:
            try:
                return self._source[item]
            except MsCoresetError as error:
                self.error = error
        return self._NOTHING


def updates_per_epoch(n: int, batch_size: int) -> int:
    """Batches in one pass over n samples, the last partial one included."""
    return -(-n // batch_size)


def training_batches(split: Split, rows: np.ndarray, recipe: Recipe, seed: int, first_epoch: int,
                     epochs: int) -> Iterator[Batch]:
    """Iterate over the batches of epochs ``first_epoch .. epochs - 1`` as NumPy arrays, prefetched by MindSpore.

    rows: (m,) places in ``split`` to train on. One pipeline serves all epochs: starting one costs more than a short
    epoch.
    """
    source = _TrainingSource(split, rows, recipe, seed, first_epoch, epochs)
    yield from _ahead(source, _batch_bytes(split, recipe.batch_size))


def evaluation_batches(split: Split, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
    """Iterate over samples ``start .. stop - 1`` of ``split`` (to its end) in order: batches of NumPy arrays, not
    augmented, of ``evaluated_together`` samples. Lazy images are decoded ahead.
    """
    batch_size = evaluated_together(split, batch_size)
    source = _EvaluationSource(split, batch_size, start, len(split) if stop is None else stop)
    if split.lazy:
        yield from _ahead(source, _batch_bytes(split, batch_size))
    else:
        yield from (Batch(*source[item]) for item in range(len(source)))


def evaluated_together(split: Split, batch_size: int) -> int:
    """The batch size of ``evaluation_batches``: of lazy images fewer if they are large."""
    return min(batch_size, max(1, _LARGEST_EVALUATED // _batch_bytes(split, 1))) if split.lazy else batch_size


def _batch_bytes(split: Split, batch_size: int) -> int:
    return 4 * batch_size * int(np.prod(split.require_images().shape[1:]))


def _ahead(source: _TrainingSource | _EvaluationSource, batch_bytes: int) -> Iterator[Batch]:
    """The batches of ``source``, prepared by MindSpore while the earlier ones are used."""
    from mindspore import dataset

    if not len(source):
        return
    guarded = _Guarded(source)
    # One worker thread keeps the order; a batch is one item, so that a sample costs no Python call.
    batches = dataset.GeneratorDataset(guarded, list(Batch._fields), shuffle=False, num_parallel_workers=1,
                                       python_multiprocessing=False)
    with _queue_length(min(_LONGEST_QUEUE, max(1, QUEUE_BYTES // batch_bytes))):
        iterator = batches.create_tuple_iterator(num_epochs=1, output_numpy=True)
    for batch in map(Batch._make, iterator):
        if not len(batch.rows):
            assert guarded.error is not None  # nothing else makes a batch empty
            raise guarded.error
        yield batch


@contextlib.contextmanager
def _queue_length(batches: int) -> Iterator[None]:
    """Let pipelines that are started in the block keep so many batches ready."""
    from mindspore import dataset

    former = dataset.config.get_prefetch_size()
    dataset.config.set_prefetch_size(batches)
    try:
        yield
    finally:
        dataset.config.set_prefetch_size(former)
