"""How samples lie relative to the means of the classes."""

import numpy as np
import torch


def ranks_and_misses(features: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks by distance to the own class's mean, and whether another mean is nearer.

    Args:
        features: (n, d).
        labels: (n,).

    Returns:
        (rank / n_c by the distance to the own class's mean, from 0; 1 if another class's mean is nearer, else 0), (n,)
        each.
    """
    x, y = torch.tensor(np.asarray(features, np.float64)), torch.tensor(np.asarray(labels, np.int64))
    groups = y.unique()
    means = torch.stack([x[y == label][0] + (x[y == label] - x[y == label][0]).mean(dim=0) for label in groups])
    squares = torch.stack([(x - mean).square().sum(dim=1) for mean in means], dim=1)
    own = squares[torch.arange(len(y)), torch.searchsorted(groups, y)]
    ranks = torch.zeros(len(y), dtype=torch.float64)
    for label in groups:
        rows = torch.nonzero(y == label).flatten()
        ranks[rows[own[rows].sort(stable=True).indices]] = torch.arange(len(rows)).double() / len(rows)
    return ranks, (squares.min(dim=1).values < own - 1e-12 * own).double()
