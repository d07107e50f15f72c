"""ZCore: coverage of random planes of the feature space, less redundancy."""

import numpy as np
import torch

from torch_ref.evidence import Evidence


def zcore(evidence: Evidence, draws: int | None = None, neighbors: int = 1000, exponent: float = 4.0,
          seed: int = 0) -> torch.Tensor:
    """Gains of samples that are nearest to random points of random planes, less what their neighbors there lose.

    Source: Griffin et al., Zero-Shot Coreset Selection, 2024.

    Args:
        evidence: what is known of the samples; only ``features`` are used.
        draws: how many; None: 10 n, at most a million.
        neighbors: how many share the loss of 1, in proportion to distance^-exponent.
        exponent: above 0.
        seed: of ``numpy.random.default_rng``.

    Returns:
        (n,) float64 in [0, 1], high = keep.
    """
    x = torch.tensor(np.array(evidence.features, np.float64))
    if not torch.isfinite(x).all():
        raise ValueError("features hold NaN or infinite values: all must be finite")
    narrow = np.asarray(evidence.features).dtype == np.float32
    x = x[:, x.amin(dim=0) < x.amax(dim=0)]
    n, d = x.shape
    totals = torch.zeros(n, dtype=torch.float64)
    low, middle, high = x.numpy().min(axis=0, initial=np.inf), np.median(x.numpy(), axis=0), x.numpy().max(
        axis=0, initial=-np.inf)
    rng, left = np.random.default_rng(seed), (draws or min(10**6, 10 * n)) if d else 0
    while left > 0:
        keys = rng.random((min(32, left), d), dtype=np.float32)
        planes = np.argsort(keys, axis=1, kind="stable")[:, :2]
        points = rng.triangular(low[planes], middle[planes], high[planes])
        points = torch.tensor(points.astype(np.float32) if narrow else points).double()
        for plane, point in zip(planes, points, strict=True):
            _draw(totals, x[:, plane], point, min(neighbors, n - 2), exponent)
        left -= len(keys)
    spread = totals.max() - totals.min()
    return (totals - totals.min()) / (spread if spread > 0 else 1.0)


def _draw(totals: torch.Tensor, flat: torch.Tensor, point: torch.Tensor, neighbors: int, exponent: float) -> None:
    """Add one draw to the totals (n,); losses are rounded to 36 binary places, to be the same in any order."""
    winner = int((flat - point).abs().sum(dim=1).argmin())
    totals[winner] += 1
    if neighbors < 1:
        return
    apart = (flat - flat[winner]).abs().sum(dim=1)
    apart[winner] = torch.inf
    ranked = torch.sort(apart, stable=True)
    near, apart = ranked.indices[:neighbors], ranked.values[:neighbors]
    if apart[0] == 0:
        totals[near[0]] -= 1
    else:
        shares = (apart[0] / apart) ** exponent
        totals[near] -= (shares / shares.sum() * 2.0**36).round() / 2.0**36
