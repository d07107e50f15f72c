"""Herding: samples whose mean stays near the mean of all."""

import numpy as np
import torch

from torch_ref.distances import distances_to, features_in
from torch_ref.evidence import Evidence, check_choice
from torch_ref.quota import Picks, best_in_turn, budgets, join


def herding(evidence: Evidence, rate: float, balance: bool, seed: int, variant: str = "paper",
            metric: str = "euclidean") -> Picks:
    """Samples whose running mean stays near the mean of all: pick t minimizes ||t mu - sum_S e - e_i||.

    Source: Welling, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, algorithm 4.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        variant: "paper", or "deepcore", which picks the farthest sample instead of the nearest.
        metric: "euclidean", or "cosine": features at length 1.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    check_choice("variant", variant, ("paper", "deepcore"))
    features = features_in(evidence, metric)
    sign = 1 if variant == "deepcore" else -1

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        # Relative to the mean, so that no digits are lost far from the origin.
        pool = features[rows] - features[rows].mean(dim=0)
        pool -= pool.mean(dim=0)

        def values_of(picked: list[int]) -> torch.Tensor:
            return sign * distances_to(pool, -pool[picked].sum(dim=0))

        return rows[best_in_turn(values_of, len(rows), k, float(pool.norm(dim=1).max()))]

    return join(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, None
