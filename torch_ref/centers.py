"""Centers of a class."""

import torch

from torch_ref.distances import distances_to


def geometric_median(rows: torch.Tensor) -> torch.Tensor:
    """The point (d,) with the least sum of distances to the rows, by Weiszfeld's iteration from their mean."""
    start = rows[0] + (rows - rows[0]).mean(dim=0)
    rows, point = rows - start, torch.zeros_like(start)
    for _ in range(5000):
        apart = distances_to(rows, point)
        scale = apart.mean()
        if scale == 0:
            break
        inverse = 1 / apart.clamp(min=1e-8 * scale)
        before, point = point, (rows * inverse[:, None]).sum(dim=0) / inverse.sum()
        if (point - before).norm() <= 1e-6 * scale:
            break
    return start + point
