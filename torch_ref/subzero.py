"""SubZeroCore: facility location by cosines, weighted by how typical the density of a place is."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.distances import cosine_similarities
from torch_ref.evidence import Evidence, require
from torch_ref.quota import Picks
from torch_ref.submodular import Ranking, extend, maximize, select_beyond


def subzero(evidence: Evidence, rate: float, balance: bool, seed: int, gamma: float = 0.6, greedy: str = "lazy",
            epsilon: float = 0.1, beta: float = 0.9, already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_i max_{j in S} w_j cos(x_i, x_j), w_j = exp(-(rho_j - mean)^2 / (2 std^2)), see ``radii``.

    Source: Moser et al., SubZeroCore, arXiv 2509.21748.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        gamma: chance that a random choice has one of the neighbors of a sample, above 0 and below 1.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    if not 0 < gamma < 1:
        raise ValueError(f"gamma is {gamma}, must be above 0 and below 1")
    features, rng = require(evidence, "features"), np.random.RandomState(seed)

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        cosines = 2 * cosine_similarities(features[rows]) - 1
        weights = weights_of(radii(cosines, neighbors_for(len(rows), k + len(already), gamma)))
        return extend(partial(_gains, cosines * weights), len(rows), k, already,
                      partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains


def neighbors_for(n: int, k: int, gamma: float) -> int:
    """The least K with 1 - prod_{i=1..K} (n - k - i) / (n - i) >= gamma."""
    log_of_product = 0.0
    for i in range(1, n):
        if n - k - i <= 0:
            return i
        log_of_product += math.log((n - k - i) / (n - i))
        if 1 - math.exp(log_of_product) >= gamma - 1e-12:
            return i
    return 1


def radii(cosines: torch.Tensor, k: int) -> torch.Tensor:
    """1 - cosine with the k-th nearest other sample, (n,); 0 for a single one."""
    if len(cosines) == 1:
        return torch.zeros(1, dtype=torch.float64)
    others = cosines.clone().fill_diagonal_(-torch.inf)
    return 1 - others.sort(dim=1, descending=True).values[:, k - 1]


def weights_of(radii: torch.Tensor) -> torch.Tensor:
    deviation = radii.std(correction=0)
    return torch.exp(-(radii - radii.mean()).square() / (2 * (1 if deviation < 1e-12 else deviation.square())))


def _gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """sum_i max(s_ij, max_{m in S} s_im) - sum_i max_{m in S} s_im of every j; an empty S covers by -1."""
    covered = similarity[:, picked].amax(dim=1) if picked else torch.full((len(similarity),), -1.0).double()
    return (similarity - covered[:, None]).clamp(min=0).sum(dim=0)
