"""Sieve streaming: at most k samples of a stream that passes once."""

import math
from collections.abc import Callable

import numpy as np
import torch

from torch_ref.quota import TIE, first_best

Value = Callable[[list[int]], float]


def sieve(value: Value, n: int, k: int, epsilon: float = 0.1) -> list[int]:
    """The best of the sets that guesses of the maximum fill.

    Source: Badanidiyuru et al., KDD 2014, Algorithm 3.

    Args:
        value: f of a list of positions, in the order in which they pass; f of none is 0.
        n: how many pass.
        k: how many to pick at most.
        epsilon: in (0, 1).

    Returns:
        Positions, ascending.
    """
    sets: dict[int, list[int]] = {}
    largest = 0.0
    for place in range(n):
        largest = max(largest, value([place]))
        if largest <= 0:
            continue
        first = math.ceil(math.log(largest) / math.log1p(epsilon) - 1e-9)
        last = math.floor(math.log(2 * k * largest) / math.log1p(epsilon) + 1e-9)
        sets = {number: sets.get(number, []) for number in range(first, last + 1)}
        for number, chosen in sets.items():
            worth = value(chosen)
            gain = value([*chosen, place]) - worth
            wanted = (1 + epsilon) ** number / 2 - worth
            if len(chosen) < k and gain > TIE * largest and gain >= wanted / (k - len(chosen)) * (1 - 1e-9):
                chosen.append(place)
    values = np.array([value(chosen) for chosen in sets.values()])
    return list(sets.values())[first_best(values, np.arange(len(values)))]


def concave_value(x: torch.Tensor, phi: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    """sum_d phi(sum_{i in S} x_id) of amounts."""
    return lambda chosen: float(phi(x[chosen].sum(dim=0)).sum())


def cover_value(similarity: torch.Tensor) -> Value:
    """sum_i max_{j in S} s_ij of similarities (n, r) to r samples that stand for all."""
    return lambda chosen: float(similarity[chosen].amax(dim=0).sum()) if chosen else 0.0
