"""Evidence without training: random whitened patches of the images, and ridge regression's left-out answers."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from torch_ref.evidence import Evidence
from torch_ref.extraction import Split


def patch_evidence(split: Split, filters: int | None = None, seed: int = 0) -> Evidence:
    """``Evidence`` from ridge regression on patches: the answers to each sample of a fit to all others.

    Args:
        split: any object with ``images`` (n, H, W, C) uint8, ``labels`` (n,) and ``num_classes``.
        filters: by default 500 for color, 150 for gray images, 80 for those below 16 pixels.
        seed: of the patches.

    Returns:
        ``Evidence``, float64. logits: ten times the left-out answers; features: these less their row mean, at length 1
        if there are more than two classes.
    """
    answers, _, _ = ridge_left_out(patch_features(split.images, filters, seed), split.labels, split.num_classes)
    centered = answers - answers.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centered, axis=1, keepdims=True) if split.num_classes > 2 else np.ones((len(answers), 1))
    return Evidence(np.asarray(split.labels), centered / np.where(lengths > 0, lengths, 1), 10 * answers)


def patch_features(images: np.ndarray, filters: int | None = None, seed: int = 0) -> np.ndarray:
    """Soft-thresholded answers of K random filters, averaged over a 2 x 2 grid: (n, 8 K) float64.

    Images of more than 32 pixels are averaged down to 32, by a whole factor. Patches have 6 x 6 pixels, 4 x 4 if images
    have fewer than 16. There are at most 100,000 patches, of at most 10,000 images, in an order of ``RandomState([seed,
    crc32("patches")])``: images first, then places, image by image and row by row. Color images have the sum over both
    mirror images.

    Args:
        images: (n, H, W, C) uint8.
        filters: K; None: as in ``patch_evidence``.
        seed: of the patches.

    Returns:
        (n, 8 K) float64.
    """
    rng = np.random.RandomState([seed, zlib.crc32(b"patches")])
    pixels = torch.as_tensor(np.asarray(images), dtype=torch.float64).permute(0, 3, 1, 2)
    if pixels.shape[2] > 32:
        pixels = functional.interpolate(pixels, size=(32, 32), mode="area")
    channels, small = pixels.shape[1], pixels.shape[2] < 16
    side = 4 if small else 6
    count = filters or (80 if small else 500 if channels > 1 else 150)
    weights, offsets = _filters(pixels, count, side, rng)
    features = _answers(pixels, weights, offsets)
    if channels > 1:
        features = features + _answers(pixels.flip(3), weights, offsets)
    return features.flatten(1).numpy()


def _filters(pixels: torch.Tensor, count: int, side: int,
             rng: np.random.RandomState) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (K, C, side, side) and offsets (K,) of filters."""
    chosen = np.sort(rng.permutation(len(pixels))[:10_000])
    patches = functional.unfold(pixels[chosen], side).transpose(1, 2).flatten(0, 1)  # (places of all, values)
    patches = patches[rng.permutation(len(patches))[:100_000]]
    variance = patches.var(dim=1, correction=0, keepdim=True)
    patches = (patches - patches.mean(dim=1, keepdim=True)) / (variance + 10).sqrt()
    mean = patches.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    whitening = vectors @ torch.diag((values + 0.1) ** -0.5) @ vectors.T
    atoms = (patches[variance[:, 0] > 0][:count] - mean) @ whitening
    atoms = atoms / atoms.norm(dim=1, keepdim=True)
    filters = atoms @ whitening
    offsets = filters @ mean
    filters = filters - filters.mean(dim=1, keepdim=True)
    return filters.reshape(len(filters), -1, side, side), offsets


def _answers(pixels: torch.Tensor, weights: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """(n, 2, 2, 2, K): sign, row and column of the grid, filter."""
    side = weights.shape[2]
    variance = functional.unfold(pixels, side).var(dim=1, correction=0)
    answers = functional.conv2d(pixels, weights)
    answers = answers / (variance + 10).sqrt().reshape(len(pixels), 1, *answers.shape[2:]) - offsets[:, None, None]
    beyond = torch.stack([(answers - 0.25).clamp(min=0), (-answers - 0.25).clamp(min=0)], dim=1)
    rows, columns = ((slice(0, (size + 1) // 2), slice(size // 2, size)) for size in answers.shape[2:])
    grid = [[beyond[:, :, :, row, column].mean(dim=(3, 4)) for column in columns] for row in rows]
    return torch.stack([torch.stack(line, dim=2) for line in grid], dim=2)


def ridge_left_out(features: np.ndarray, labels: np.ndarray, classes: int,
                   *, lambdas: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1)) -> tuple[np.ndarray, float, float]:
    """Ridge regression fitted n times for each lambda, each time without one sample.

    The regression's intercept is not penalized, the penalty is n lambda, and features are centered and scaled by
    statistics of all samples. Of equally accurate lambdas the first is taken.

    Args:
        features: (n, d).
        labels: (n,) in 0 .. C - 1.
        classes: C.
        lambdas: penalties to try.

    Returns:
        (left-out answers (n, C), lambda, left-out accuracy).
    """
    given, truth = torch.as_tensor(np.asarray(features), dtype=torch.float64), torch.as_tensor(np.asarray(labels))
    spread = given.std(dim=0, correction=0) + 1e-3 * given.std(correction=0)
    rows = (given - given.mean(dim=0)) / torch.where(spread > 0, spread, 1.0)
    targets = functional.one_hot(truth, classes).double()
    targets = targets - targets.mean(dim=0)
    best: tuple[np.ndarray, float, float] | None = None
    for penalty in lambdas:
        answers = _answers_without(rows, targets, penalty)
        accuracy = (answers.argmax(dim=1) == truth).double().mean().item()
        if best is None or accuracy > best[2]:
            best = answers.numpy(), penalty, accuracy
    assert best is not None  # there is a lambda
    return best


def _answers_without(rows: torch.Tensor, targets: torch.Tensor, penalty: float) -> torch.Tensor:
    """The answers (n, C) to each sample by the fit to all others: n fits."""
    n, d = rows.shape
    others = 1 - torch.eye(n, dtype=torch.float64)  # a row a fit
    centers, means = (others @ values / max(1, n - 1) for values in (rows, targets))
    known = (rows[None] - centers[:, None]) * others[:, :, None]
    gram = known.transpose(1, 2) @ known + n * penalty * torch.eye(d, dtype=torch.float64)
    weights = torch.linalg.solve(gram, known.transpose(1, 2) @ (targets[None] - means[:, None]))
    return ((rows - centers)[:, None] @ weights)[:, 0] + means
