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
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        variant: "paper", or "deepcore", which takes the farthest instead of the nearest.
        metric: "euclidean", or "cosine": features at length 1.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    check_choice("variant", variant, ("paper", "deepcore"))
    features = features_in(evidence, metric)
    sign = 1 if variant == "deepcore" else -1

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        # Counted from the mean, far from the origin no digits are lost.
        pool = features[rows] - features[rows].mean(dim=0)
        pool -= pool.mean(dim=0)

        def values_of(picked: list[int]) -> torch.Tensor:
            return sign * distances_to(pool, -pool[picked].sum(dim=0))

        return rows[best_in_turn(values_of, len(rows), k, float(pool.norm(dim=1).max()))]

    return join(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, None
