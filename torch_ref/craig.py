"""CRAIG: weighted samples whose gradients represent those of their class."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.distances import distances
from torch_ref.evidence import Evidence, check_choice
from torch_ref.gradient_task import VARIANTS, of_batches, pool_gradients, whole_batches
from torch_ref.quota import Picks, budgets, first_best, join, pools
from torch_ref.submodular import Ranking, extend, facility_location_gains, maximize, select_beyond


def craig(evidence: Evidence, rate: float, balance: bool, seed: int, greedy: str = "lazy", epsilon: float = 0.1,
          beta: float = 0.9, variant: str = "paper", batch_size: int = 128,
          already_selected: Sequence[int] = (), per_batch: bool = False) -> Picks:
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
        variant: "paper", or "deepcore", which divides gradients by the size of their batch, and adds 1 to the weights;
            or "cords", with s_ij = max d^2 - d_ij^2.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore" and ``per_batch``.
        already_selected: places to which the budget is added; they come first.
        per_batch: pick ceil(k / batch_size) batches by their mean gradients, and keep all their samples; no gains.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; their weights; None; what each added.
    """
    check_choice("variant", variant, (*VARIANTS, "cords"))
    labels, rng = np.asarray(evidence.labels), np.random.RandomState(seed)
    weights = np.zeros(len(labels))
    if per_batch:
        return _by_batches(evidence, rate, balance, variant, batch_size, partial(
            maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        similarity = _nearness(pool_gradients(evidence, rows, variant, batch_size), labels[rows], variant)
        order, gains = extend(partial(facility_location_gains, similarity), len(rows), k, already,
                              partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))
        weights[rows[order]] = _cluster_sizes(similarity, labels[rows], order) + float(variant == "deepcore")
        return order, gains

    indices, gains = select_beyond(labels, rate, balance, already_selected, pick)
    return indices, weights[indices], None, gains


def _by_batches(evidence: Evidence, rate: float, balance: bool, variant: str, batch_size: int,
                pick: Callable[..., list[int]]) -> Picks:
    """Whole batches, whatever their labels, in the order of the samples."""
    parts, weights = [], []
    for rows, k in budgets(evidence.labels, rate, balance):
        means = of_batches(pool_gradients(evidence, rows, "paper", batch_size), batch_size)
        same = np.zeros(len(means), np.int64)
        similarity = _nearness(means, same, variant)
        picked = sorted(pick(partial(facility_location_gains, similarity), len(means), -(-k // batch_size)))
        kept, values = whole_batches(np.array(picked), _cluster_sizes(similarity, same, picked), len(rows), batch_size)
        parts.append(rows[kept])
        weights.append(values + float(variant == "deepcore"))
    return join(parts), join(weights, np.float64), None


def _nearness(pool: torch.Tensor, labels: np.ndarray, variant: str) -> torch.Tensor:
    """Similarities max d - d_ij + 1e-3, of the largest distance in the class; 0 for samples of different classes.

    With the variant "cords" max d^2 - d_ij^2.
    """
    similarity = torch.zeros(len(pool), len(pool), dtype=torch.float64)
    for members in pools(labels, balance=True):
        apart = distances(pool[members], 0.0).square() if variant == "cords" else distances(pool[members])
        margin = 0 if variant == "cords" else 1e-3
        similarity[np.ix_(members, members)] = apart.max() - apart + margin
    return similarity


def _cluster_sizes(similarity: torch.Tensor, labels: np.ndarray, picked: list[int]) -> np.ndarray:
    """How many samples of its class are most similar to each pick; of equally similar picks the lowest counts."""
    counts = dict.fromkeys(picked, 0.0)
    for sample, label in enumerate(labels):
        centers = [pick for pick in sorted(picked) if labels[pick] == label]
        if centers:
            counts[first_best(similarity[sample], np.array(centers))] += 1
    return np.array(list(counts.values()))
