"""Batches of normalised images for a network, in order and not augmented, prepared ahead.

One thread prepares them: of mindspore.dataset, or a Python thread where PyTorch computes. The queue is bounded in
bytes. Lazy images of a batch are decoded by several threads. (MindSpore's own worker threads are not used: each would
keep 16 batches, which is gigabytes of photographs.)
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

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


class Source(Protocol):
    """A sequence of batches by their number; each is a tuple of arrays."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int) -> tuple[np.ndarray, ...]: ...


def normalize(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 images (B, C, H, W) to float32 of zero mean and unit deviation: ``(x / 255 - mean) / std``."""
    center, scale = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (mean, std))
    # Into one contiguous array: images are views of other layouts, and working in those is five times slower.
    scaled = np.empty(images.shape, np.float32)
    np.divide(images, np.float32(255), out=scaled)
    np.subtract(scaled, center, out=scaled)
    np.divide(scaled, scale, out=scaled)
    return scaled


Prepare = Callable[[Source, int], Iterator[Batch]]  # as ``ahead``


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
        return normalize(images, self._split.mean, self._split.std), self._split.labels[rows], rows


class _Guarded:
    """A source that keeps the error it raises, and gives empty batches from then on.

    An error raised in a MindSpore thread would reach the user as a RuntimeError of several pages, and in MindSpore's
    log.
    """

    _NOTHING = tuple(np.zeros(0, dtype) for dtype in (np.float32, np.int32, np.int64))

    def __init__(self, source: Source) -> None:
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
    """Number of batches in one pass over n samples, the last partial batch included: ``ceil(n / batch_size)``."""
    return -(-n // batch_size)


def evaluation_batches(split: Split, batch_size: int, start: int = 0, stop: int | None = None,
                       prepare: Prepare | None = None) -> Iterator[Batch]:
    """Iterate over samples ``start .. stop - 1`` of ``split`` in order, ``evaluation_size`` at a time.

    Batches are NumPy arrays, not augmented. Lazy images are decoded ahead.

    Args:
        split: the samples
        batch_size: see ``evaluation_size``
        start: the first sample
        stop: the sample after the last; None: to the end
        prepare: what prepares the batches of lazy images; None: ``ahead``

    Returns:
        An iterator over the batches.
    """
    batch_size = evaluation_size(split, batch_size)
    source = _EvaluationSource(split, batch_size, start, len(split) if stop is None else stop)
    if split.lazy:
        yield from (prepare or ahead)(source, batch_bytes(split, batch_size))
    else:
        yield from (Batch(*source[item]) for item in range(len(source)))


def evaluation_size(split: Split, batch_size: int) -> int:
    """The batch size of ``evaluation_batches``: ``batch_size``, or fewer large lazy images."""
    return min(batch_size, max(1, _LARGEST_EVALUATED // batch_bytes(split, 1))) if split.lazy else batch_size


def batch_bytes(split: Split, batch_size: int) -> int:
    """Bytes of ``batch_size`` images of ``split`` as float32."""
    return 4 * batch_size * int(np.prod(split.require_images().shape[1:]))


def ahead(source: Source, size: int) -> Iterator[Batch]:
    """The batches of ``source``, of ``size`` bytes each, prepared by MindSpore while the earlier ones are used."""
    from mindspore import dataset

    if not len(source):
        return
    guarded = _Guarded(source)
    # One worker thread keeps the order; a batch is one item, so that a sample costs no Python call.
    batches = dataset.GeneratorDataset(guarded, list(Batch._fields), shuffle=False, num_parallel_workers=1,
                                       python_multiprocessing=False)
    with _queue_length(_ready(size)):
        iterator = batches.create_tuple_iterator(num_epochs=1, output_numpy=True)
    for batch in map(Batch._make, iterator):
        if not len(batch.rows):
            assert guarded.error is not None  # nothing else makes a batch empty
            raise guarded.error
        yield batch


def ahead_in_thread(source: Source, size: int) -> Iterator[Batch]:
    """The same batches as ``ahead``, prepared by a Python thread: without MindSpore."""
    ready: queue.Queue[Batch | Exception | None] = queue.Queue(_ready(size))
    left = threading.Event()

    def put(item: Batch | Exception | None) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.1)

    def prepare() -> None:
        try:
            for number in range(len(source)):
                put(Batch(*source[number]))
                if left.is_set():
                    return
            put(None)
        except Exception as error:  # any error is raised again where the batches are used
            put(error)

    threading.Thread(target=prepare, daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        left.set()


def _ready(size: int) -> int:
    """How many batches of ``size`` bytes may wait in the queue."""
    return min(_LONGEST_QUEUE, max(1, QUEUE_BYTES // size))


@contextlib.contextmanager
def _queue_length(batches: int) -> Iterator[None]:
    """Set the queue length of the pipelines that are started in the block."""
    from mindspore import dataset

    former = dataset.config.get_prefetch_size()
    dataset.config.set_prefetch_size(batches)
    try:
        yield
    finally:
        dataset.config.set_prefetch_size(former)
