"""A first convolution that whitens the patches of the training images, and then is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ms_coreset.batches import normalize
from ms_coreset.engines import engine_of
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import Trainable

if TYPE_CHECKING:
    from ms_coreset.datasets.split import Split

SAMPLES = 5000
_EPS = 5e-4  # added to the variances: what is below is noise
_TOGETHER = 100  # images


def whiten(network: Trainable, split: Split, rows: np.ndarray) -> None:
    """Make the first convolution of ``network`` whiten patches of the first ``SAMPLES`` of the samples ``rows``.

    With S = V E V^T the second moments of the k x k patches of normalised images, filter j is v_j / sqrt(e_j + 5e-4)
    for the largest e_j. These are half of the filters; the other half are the same with the opposite sign. The sign of
    an eigenvector is chosen so that its entry of largest size is positive. A bias becomes 0. The weights are frozen,
    the bias is not.

    Source: Jordan's airbench, after Page ("How to train your ResNet 8: bag of tricks"); Coates & Ng, 2012.

    Args:
        network: is changed.
        split: of the images.
        rows: places of the training samples.

    Raises:
        MsCoresetError: for a network that does not begin with a convolution of all channels, or has more than twice as
            many filters as there are numbers in a patch.
    """
    layer = _first_convolution(network, split.in_channels)
    filters, channels, side, _ = layer.weight.shape
    half = filters // 2
    moments = _second_moments(split, rows[:SAMPLES], side)
    values, vectors = np.linalg.eigh(moments)
    values, vectors = values[::-1][:half], vectors.T[::-1][:half]
    vectors *= np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1))
    weight = (vectors / np.sqrt(values + _EPS)[:, None]).reshape(half, channels, side, side)
    engine_of(network).freeze(layer, np.concatenate([weight, -weight]).astype(np.float32))


def _first_convolution(network: Trainable, channels: int) -> Any:
    first = engine_of(network).first_convolution(network)
    if first is None or first.weight.shape[1] != channels:
        raise MsCoresetError("recipe: whiten is true, but the network does not begin with a convolution")
    filters, _, *kernel = first.weight.shape
    most = 2 * channels * int(np.prod(kernel))
    if filters % 2 or filters > most or kernel[0] != kernel[1]:
        raise MsCoresetError(f"recipe: whiten is true, but the network's first convolution has {filters} filters of "
                             f"{kernel[0]} x {kernel[1]}: they must be square, of an even number, at most {most}")
    return first


def _second_moments(split: Split, rows: np.ndarray, side: int) -> np.ndarray:
    """(d, d) float64: the mean of p p^T over all patches p, of d = C side^2 numbers, of the images ``rows``."""
    pictures, total = split.require_images(), np.zeros(())
    patches = 0
    for start in range(0, len(rows), _TOGETHER):
        images = np.asarray(pictures[rows[start:start + _TOGETHER]]).transpose(0, 3, 1, 2)
        images = normalize(images, split.mean, split.std)
        windows = sliding_window_view(images, (side, side), (2, 3))  # type: ignore[call-overload]  # typed for one axis
        windows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * side * side).astype(np.float64)
        total, patches = total + windows.T @ windows, patches + len(windows)
    return total / patches
