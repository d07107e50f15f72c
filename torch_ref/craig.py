"""CRAIG: weighted samples whose gradients represent those of their class."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.distances import distances
from torch_ref.evidence import Evidence, check_choice
from torch_ref.gradient_task import VARIANTS, pool_gradients
from torch_ref.quota import Picks, first_best, pools
from torch_ref.submodular import Ranking, extend, facility_location_gains, maximize, select_beyond


def craig(evidence: Evidence, rate: float, balance: bool, seed: int, greedy: str = "lazy", epsilon: float = 0.1,
          beta: float = 0.9, variant: str = "paper", batch_size: int = 128,
          already_selected: Sequence[int] = ()) -> Picks:
    """Medoids of the gradients of each class, weighted by the number of samples that they represent.

    Facility location with s_ij = max d - d_ij + 1e-3 within a class, d_ij = ||G_i - G_j||, and 0 between classes. A
    pick's weight is the number of samples of its class that are most similar to it.

    Source: Mirzasoleiman et al., ICML 2020, algorithm 1.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.
        variant: "paper", or "deepcore", which divides gradients by the size of their batch, and adds 1 to the weights.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; their weights; None; what each added.
    """
    check_choice("variant", variant, VARIANTS)
    labels, rng = np.asarray(evidence.labels), np.random.RandomState(seed)
    weights = np.zeros(len(labels))

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        similarity = _nearness(pool_gradients(evidence, rows, variant, batch_size), labels[rows])
        order, gains = extend(partial(facility_location_gains, similarity), len(rows), k, already,
                              partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))
        weights[rows[order]] = _cluster_sizes(similarity, labels[rows], order) + float(variant == "deepcore")
        return order, gains

    indices, gains = select_beyond(labels, rate, balance, already_selected, pick)
    return indices, weights[indices], None, gains


def _nearness(pool: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """Similarities max d - d_ij + 1e-3, of the largest distance in the class; 0 for samples of different classes."""
    similarity = torch.zeros(len(pool), len(pool), dtype=torch.float64)
    for members in pools(labels, balance=True):
        apart = distances(pool[members])
        similarity[np.ix_(members, members)] = apart.max() - apart + 1e-3
    return similarity


def _cluster_sizes(similarity: torch.Tensor, labels: np.ndarray, picked: list[int]) -> np.ndarray:
    """How many samples of its class are most similar to each pick; of equally similar picks the lowest counts."""
    counts = dict.fromkeys(picked, 0.0)
    for sample, label in enumerate(labels):
        centers = [pick for pick in sorted(picked) if labels[pick] == label]
        if centers:
            counts[first_best(similarity[sample], np.array(centers))] += 1
    return np.array(list(counts.values()))
