"""Images that are made when they are indexed: decoded, resized and cropped by Pillow, in several threads."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from PIL import Image

from ms_coreset.checksums import array_digest
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError

# As many as there are processors: Pillow lets go of Python's lock while it decodes and resizes.
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Scaling:
    """Resize the shorter side to ``resize`` pixels (bilinear, antialiased), then cut out the middle square of ``crop``.

    The same as torchvision's Resize and CenterCrop.

    Attributes:
        resize: pixels of the shorter side.
        crop: pixels of the side of the square, 1 .. ``resize``.

    Raises:
        MsCoresetError: unless ``1 <= crop <= resize``.
    """

    resize: int
    crop: int

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise MsCoresetError(f"images resized to {self.resize} pixels can't be cropped to {self.crop}: both must "
                                 "be at least 1, and the crop not larger")

    def __call__(self, picture: Image.Image) -> Image.Image:
        """A Pillow image of any size to one of crop x crop pixels."""
        width, height = picture.size
        # The longer side is cut off, not rounded, as torchvision does.
        longer = int(self.resize * max(width, height) / min(width, height))
        scaled = (self.resize, longer) if width <= height else (longer, self.resize)
        if scaled != picture.size:
            picture = picture.resize(scaled, Image.Resampling.BILINEAR)
        left, top = (round((side - self.crop) / 2) for side in scaled)
        return picture.crop((left, top, left + self.crop, top + self.crop))


class Pictures:
    """n images that stand in for a (n, size, size, channels) uint8 array, and are made when they are indexed.

    ``images[i]``, with a slice or an array of integers or booleans, gives such an array. ``subset`` gives a view and
    makes nothing yet.

    Args:
        rows: (n,) places of the images in their source.
        channels: of an image.
        scaling: a ``Scaling``.
    """

    dtype, ndim = np.dtype(np.uint8), 4
    to_label = "sort its images into a folder for each class"  # what to do where no labels are known

    def __init__(self, rows: np.ndarray, channels: int, scaling: Scaling) -> None:
        self._rows, self._channels, self.scaling = rows, channels, scaling

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (n, size, size, channels)."""
        return len(self), self.scaling.crop, self.scaling.crop, self._channels

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, int | np.integer):
            return as_pixels(self.scaling(self.original(range(len(self))[key])))
        places = np.arange(len(self))[key]
        return in_threads(lambda i: self.scaling(self.original(places[i])), (len(places), *self.shape[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def subset(self, indices: np.ndarray) -> Pictures:
        """A view of the images at ``indices``, in that order."""
        return self._view(self._rows[indices], self.scaling)

    def rescale(self, resize: int) -> Pictures:
        """A view whose originals are resized to ``resize`` pixels before the crop."""
        return self._view(self._rows, Scaling(resize, self.scaling.crop))

    @functools.cached_property
    def digest(self) -> str:
        """Checksum of the images' source and scaling, in hexadecimal."""
        return array_digest(np.array(astuple(self.scaling)), np.array(self._content_digest()))

    @functools.cached_property
    def origin(self) -> str:
        """Checksum of the images' source, independent of scaling and, for files, of their times of change.

        A copy of the files has the same checksum.
        """
        return self._content_digest()

    def file_names(self) -> list[str] | None:
        """The files of all images, or None of images that do not lie in files of their own."""
        return None

    def original(self, place: int) -> Image.Image:
        """The Pillow image that image ``place`` is made from, in its own size."""
        raise NotImplementedError

    def _view(self, rows: np.ndarray, scaling: Scaling) -> Pictures:
        raise NotImplementedError

    def _content_digest(self) -> str:
        raise NotImplementedError


class ArrayPictures(Pictures):
    """Images of an array (n, height, width, 1 or 3) uint8, for transforms by Pillow.

    Args:
        array: the images.
        scaling: a ``Scaling``, or None to keep the size.
        rows: (n,) places in the array, or None for all.

    Raises:
        MsCoresetError: for another number of channels.
    """

    def __init__(self, array: np.ndarray, scaling: Scaling | None = None, rows: np.ndarray | None = None) -> None:
        if array.shape[3] not in (1, 3):
            raise MsCoresetError(f"images of {array.shape[3]} channels can't be resized: only grey (1) and colour (3)")
        size = array.shape[1]
        super().__init__(np.arange(len(array)) if rows is None else rows, array.shape[3],
                         scaling or Scaling(size, size))
        self._array = array

    def original(self, place: int) -> Image.Image:
        pixels = self._array[self._rows[place]]
        return Image.fromarray(pixels[..., 0] if self._channels == 1 else pixels)

    def _view(self, rows: np.ndarray, scaling: Scaling) -> Pictures:
        return ArrayPictures(self._array, scaling, rows)

    def _content_digest(self) -> str:
        return array_digest(self._array[self._rows])


def as_pictures(images: np.ndarray | Pictures) -> Pictures:
    """``images`` as ``Pictures``, whether they are that already or an array."""
    return images if isinstance(images, Pictures) else ArrayPictures(images)


def as_pixels(picture: Image.Image) -> np.ndarray:
    """A Pillow image as (height, width, channels) uint8."""
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def in_threads(make: Callable[[int], Image.Image], shape: tuple[int, ...], workers: int | None = None) -> np.ndarray:
    """An array (n, height, width, channels) uint8 of the Pillow images ``make(0) .. make(n - 1)``.

    Each thread makes a stretch of them, so the result does not depend on the number of threads.

    Args:
        make: place -> Pillow image.
        shape: (n, height, width, channels).
        workers: number of threads, by default ``count_workers()``.

    Returns:
        uint8 array of ``shape``.
    """
    workers = workers or count_workers()
    pixels = np.empty(shape, np.uint8)

    def fill(stretch: np.ndarray) -> None:
        for i in stretch:
            pixels[i] = as_pixels(make(i))

    stretches = np.array_split(np.arange(len(pixels)), workers)
    in_order(fill, stretches, workers)
    return pixels


def in_order(work: Callable[[Any], Any], items: Iterable, workers: int | None = None) -> list:
    """``[work(item) for item in items]``, by several threads.

    Args:
        work: function of one item.
        items: in any number.
        workers: number of threads, by default ``count_workers()``.

    Returns:
        The results, in the order of ``items``.
    """
    return list(_threads(workers or count_workers()).map(work, items))


def count_workers() -> int:
    """How many threads decode: ``WORKERS``, which the ranks of a machine share out among them."""
    return max(1, WORKERS // current().local_size)


@functools.cache
def _threads(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "pictures")
