"""CRAIG: weighted samples whose gradients represent those of their class."""

from functools import partial

import numpy as np
import torch

from torch_ref.distances import distances
from torch_ref.evidence import Evidence, check_choice
from torch_ref.gradient_task import VARIANTS, pool_gradients
from torch_ref.quota import Picks, budgets, first_best, join, pools
from torch_ref.submodular import facility_location_gains, maximize


def craig(evidence: Evidence, rate: float, balance: bool, seed: int, greedy: str = "lazy", epsilon: float = 0.1,
          beta: float = 0.9, variant: str = "paper", batch_size: int = 128) -> Picks:
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

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    check_choice("variant", variant, VARIANTS)
    labels, rng = np.asarray(evidence.labels), np.random.RandomState(seed)
    parts, weights = [], []
    for rows, k in budgets(labels, rate, balance):
        similarity = _nearness(pool_gradients(evidence, rows, variant, batch_size), labels[rows])
        picked = maximize(partial(facility_location_gains, similarity), len(rows), k, rng, greedy, epsilon, beta)
        parts.append(rows[picked])
        weights.append(_cluster_sizes(similarity, labels[rows], picked) + float(variant == "deepcore"))
    return join(parts), join(weights, np.float64), None


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
