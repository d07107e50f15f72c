"""k-center: every sample near one that is picked."""

from collections.abc import Sequence

import numpy as np

from torch_ref.distances import distances_to, features_in
from torch_ref.evidence import Evidence
from torch_ref.farthest_first import farthest_first
from torch_ref.quota import Picks, budgets, join


def k_center(evidence: Evidence, rate: float, balance: bool, seed: int, already_selected: Sequence[int] = (),
             metric: str = "euclidean") -> Picks:
    """Farthest first: each pick is the sample farthest from all picked so far.

    The first is ``RandomState(seed).randint(m)`` of each pool of m, as in DeepCore.

    Source: Sener and Savarese, ICLR 2018, algorithm 1.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        already_selected: positions that are centers beforehand; the budget is added to them, and they come first.
        metric: "euclidean", or "cosine": features at length 1.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    features = features_in(evidence, metric)
    already = np.array(already_selected, np.int64)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        centers = [int(np.flatnonzero(rows == row)[0]) for row in already[np.isin(already, rows)]]
        pool = features[rows]
        return rows[farthest_first(lambda i: distances_to(pool, pool[i]), len(rows), k, seed, centers)[len(centers):]]

    added = [pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)]
    return join([already, *added] if added else []), None, None
