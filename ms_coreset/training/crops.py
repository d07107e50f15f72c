"""Random resized crops, and the resizing before a test, both by Pillow and on the images' own size."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from PIL import Image

from ms_coreset.datasets.pictures import as_pictures, in_threads

if TYPE_CHECKING:
    import numpy as np

    from ms_coreset.datasets.pictures import Pictures
    from ms_coreset.datasets.split import Split
    from ms_coreset.training.recipe import Recipe

_TRIES = 10
_RATIO = (3 / 4, 4 / 3)
NUMBERS = 2 * _TRIES + 2  # uniform random numbers that a crop is made of: area and ratio of each try, and the place


def crop_box(width: int, height: int, scale: float, numbers: np.ndarray) -> tuple[int, int, int, int]:
    """A random crop of an image of ``width`` x ``height`` pixels.

    It is the first of ten tries that fits. Its area is a share of the image's, uniform in ``scale`` .. 1; its ratio of
    width to height is uniform in logarithm from 3/4 to 4/3; its place is anywhere in the image with equal chance. If
    none fits, it is the largest crop in the middle whose ratio is within these bounds.

    Source: torchvision's RandomResizedCrop (Szegedy et al., Going deeper with convolutions, CVPR 2015). Departure:
    there random numbers are drawn try by try, so their number depends on the image.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        scale: smallest share of the image's area.
        numbers: ``NUMBERS`` random numbers, uniform in [0, 1).

    Returns:
        (left, top, width, height) in pixels.
    """
    lowest, highest = map(math.log, _RATIO)
    for area_number, ratio_number in zip(numbers[:2 * _TRIES:2], numbers[1:2 * _TRIES:2], strict=True):
        area = width * height * (scale + (1 - scale) * area_number)
        ratio = math.exp(lowest + (highest - lowest) * ratio_number)
        cropped = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < cropped[0] <= width and 0 < cropped[1] <= height:
            left, top = (int(number * (whole - part + 1)) for number, whole, part
                         in zip(numbers[-2:], (width, height), cropped, strict=True))
            return left, top, *cropped
    cropped = min(width, round(height * _RATIO[1])), min(height, round(width / _RATIO[0]))
    return (width - cropped[0]) // 2, (height - cropped[1]) // 2, *cropped


def resized_crops(images: np.ndarray | Pictures, rows: np.ndarray, recipe: Recipe, numbers: np.ndarray) -> np.ndarray:
    """Random crops of the originals of ``images`` at ``rows``, resized to the images' size.

    Args:
        images: n images.
        rows: (B,) places.
        recipe: with ``crop_scale``; with ``crop_size``, crops are resized to that first.
        numbers: (B, ``NUMBERS``), uniform in [0, 1).

    Returns:
        (B, size, size, C) uint8.
    """
    scale = recipe.crop_scale
    assert scale is not None  # else there is nothing to crop
    pictures = as_pictures(images).subset(rows)
    size = pictures.scaling.crop

    def make(i: int) -> Image.Image:
        original = pictures.original(i)
        left, top, width, height = crop_box(*original.size, scale, numbers[i])
        cropped = original.crop((left, top, left + width, top + height))
        for side in (recipe.crop_size, size):
            if side is not None:
                cropped = cropped.resize((side, side), Image.Resampling.BILINEAR)
        return cropped

    return in_threads(make, pictures.shape)


def view_for_test(split: Split, recipe: Recipe) -> Split:
    """``split`` as the recipe tests on it.

    Args:
        split: of the images.
        recipe: with ``test_resize``, images are resized to that before the crop to their size.

    Returns:
        The split, or a view of it.
    """
    if recipe.test_resize is None:
        return split
    return dataclasses.replace(split, images=as_pictures(split.require_images()).rescale(recipe.test_resize))
