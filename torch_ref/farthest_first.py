"""Farthest-first traversal: each pick is the sample farthest from those before."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from torch_ref.quota import first_best


def farthest_first(distances_from: Callable[[int], torch.Tensor], n: int, k: int, seed: int,
                   centers: Sequence[int] = ()) -> list[int]:
    """Pick k of n positions, each the farthest from ``centers`` (or a random one) and earlier picks; ties go lowest.

    ``distances_from(i)`` returns the distances (n,) to position i. Given centers are the first entries of the result.
    """
    picked = list(centers) or [np.random.RandomState(seed).randint(n)]
    radius = torch.stack([distances_from(i) for i in picked]).amin(dim=0)
    while len(picked) < len(centers) + k:
        picked.append(first_best(radius, np.setdiff1d(np.arange(n), picked)))
        radius = torch.minimum(radius, distances_from(picked[-1]))
    return picked
