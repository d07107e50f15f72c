"""k-means: groups of rows around their means."""

import zlib
from typing import NamedTuple

import numpy as np
import torch

from torch_ref.distances import unit_rows

TIE = 1e-10


class Clusters(NamedTuple):
    """Clusters by their first members.

    Attributes:
        labels: (n,) int64 array, 0 .. K - 1; row 0 is in cluster 0.
        centers: (K, d).
        distances: (n,), of each row to its center; with "cosine" of rows at length 1.
    """

    labels: np.ndarray
    centers: torch.Tensor
    distances: torch.Tensor


def k_means(rows: torch.Tensor, k: int, metric: str = "euclidean", seed: int = 0, starts: int = 4) -> Clusters:
    """The best of several runs of Lloyd's algorithm, by the sum of squared distances.

    Each run begins with k-means++ (Arthur and Vassilvitskii, SODA 2007) by ``RandomState([seed, crc32("k-means"),
    run])``: the first center is ``randint(n)``; for each further one 2 + floor(ln k) rows are drawn with probability
    proportional to D^2, and the one is taken that leaves the least sum of D^2. Lloyd's steps end when no center moves
    farther than 1e-4 of the root mean square distance from the mean of all, or after 100. A center without rows goes
    to the row that is farthest from its own, of those that are not alone. Spherical k-means (Dhillon and Modha, 2001)
    for "cosine": rows and centers have length 1.

    Args:
        rows: (n, d) float64.
        k: number of clusters.
        metric: "euclidean" or "cosine".
        seed: of the draws.
        starts: number of runs.

    Returns:
        The clusters, fewer than k where fewer rows differ.
    """
    points = unit_rows(rows) if metric == "cosine" else rows
    runs = []
    for run in range(starts):
        draws = np.random.RandomState([seed, zlib.crc32(b"k-means"), run])
        centers = _lloyd(points, _seed(points, k, draws), metric == "cosine")
        runs.append((_squares(points, centers).min(dim=1).values.sum().item(), centers))
    least = min(inertia for inertia, _ in runs)
    best = next(centers for inertia, centers in runs if inertia <= least * (1 + 1e-9))
    labels = _nearest(points, best)
    order = list(dict.fromkeys(labels.tolist()))
    names = {label: name for name, label in enumerate(order)}
    apart = (points - best[labels]).square().sum(dim=1).sqrt()
    return Clusters(np.array([names[label] for label in labels.tolist()]), best[order], apart)


def _seed(points: torch.Tensor, k: int, draws: np.random.RandomState) -> torch.Tensor:
    """Centers by k-means++."""
    chosen = [int(draws.randint(len(points)))]
    nearest = _squares(points, points[chosen])[:, 0]
    while len(chosen) < k and nearest.max() > 0:
        shares = nearest.cumsum(dim=0)
        targets = torch.tensor(draws.random_sample(2 + int(np.log(k)))) * shares[-1]
        candidates = torch.searchsorted(shares, targets, right=True)
        left = torch.minimum(nearest[:, None], _squares(points, points[candidates]))
        sums = left.sum(dim=0)
        first = int((sums <= sums.min() * (1 + TIE)).nonzero()[0])
        chosen.append(int(candidates[first]))
        nearest = left[:, first]
    return points[chosen]


def _lloyd(points: torch.Tensor, centers: torch.Tensor, spherical: bool) -> torch.Tensor:
    """Centers that have settled."""
    size = (points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    for _ in range(100):
        labels = _fill(points, centers, _nearest(points, centers))
        moved = centers.clone()
        for place in range(len(centers)):
            if (labels == place).any():
                mean = points[labels == place].mean(dim=0)
                mean = unit_rows(mean[None])[0] if spherical else mean
                moved[place] = mean if mean.any() or not spherical else centers[place]
        shift, centers = (moved - centers).square().sum(dim=1).sqrt().max(), moved
        if shift <= 1e-4 * size:
            break
    return _move_empty(points, centers)


def _move_empty(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """The centers, those without rows moved to the rows that ``_filled`` gives them."""
    before = _nearest(points, centers)
    after = _fill(points, centers, before)
    centers = centers.clone()
    for row in (before != after).nonzero()[:, 0]:
        centers[after[row]] = points[row]
    return centers


def _fill(points: torch.Tensor, centers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The labels, a row in each cluster that was empty."""
    labels = labels.clone()
    apart = (points - centers[labels]).square().sum(dim=1)
    for place in range(len(centers)):
        if not (labels == place).any():
            sizes = labels.bincount(minlength=len(centers))
            allowed = (sizes[labels] > 1) & (apart > 0)
            if not allowed.any():
                break
            farthest = torch.where(allowed, apart, -1.0)
            row = int((farthest >= farthest.max() * (1 - TIE)).nonzero()[0])
            labels[row], apart[row] = place, 0.0
    return labels


def _nearest(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """The first of the nearest centers, (n,)."""
    squares = _squares(points, centers)
    return (squares <= squares.min(dim=1, keepdim=True).values * (1 + TIE)).to(torch.int8).argmax(dim=1)


def _squares(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """Squared distances (n, K)."""
    return torch.stack([(points - center).square().sum(dim=1) for center in centers], dim=1)
