"""Prune4ReL: neighborhoods of confident samples."""

import numpy as np
import torch

from torch_ref.distances import distances_to, features_in
from torch_ref.evidence import Evidence, check_choice, log_probabilities
from torch_ref.quota import TIE, Picks, budgets, join


def prune4rel(evidence: Evidence, rate: float, balance: bool, seed: int, tau: float = 0.975, eta: float = 1.0,
              confidence: str = "max", metric: str = "cosine", turns: bool = True) -> Picks:
    """Maximize sum_i tanh(N_i / eta) over the picks; N_i sums similarity times confidence of picks similar to i.

    The gain of i by itself, of adding its own confidence c_i, is compared: by its logarithm, from exponentials of
    which none overflows.

    Source: Park et al., NeurIPS 2023, as the authors' code picks.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        tau: similarities up to it do not count.
        eta: above 0.
        confidence: "max", "entropy" or "margin" of the probabilities.
        metric: "cosine", (1 + cos) / 2, or "euclidean", 1 / (distance + 0.1) - 0.1 in [0, 10].
        turns: whether classes take turns where not balanced.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    check_choice("confidence", confidence, ("max", "entropy", "margin"))
    labels, features, sure = np.asarray(evidence.labels), features_in(evidence, metric), _sure(evidence, confidence)

    def similarities(rows: np.ndarray, place: int) -> torch.Tensor:
        if metric == "cosine":
            found = (1 + features[rows] @ features[rows[place]]) / 2
        else:
            found = (1 / (distances_to(features[rows], features[rows[place]]).clamp(min=1e-6) + 0.1) - 0.1).clamp(0, 10)
        return torch.where(found > tau + TIE, found, 0.0)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        c, n_of = sure[rows], torch.zeros(len(rows), dtype=torch.float64)
        picked: list[int] = []
        turn = _Turns(labels[rows]) if turns and not balance else None
        for step in range(k):
            left = np.setdiff1d(np.arange(len(rows)), picked)
            allowed = left if turn is None else turn.allowed(left, step)
            gains = _log_gains(c[allowed] / eta, n_of[allowed] / eta)
            picked.append(int(allowed[int((gains >= gains.max() - TIE).int().argmax())]))
            n_of = n_of + similarities(rows, picked[-1]) * c[picked[-1]]
            if turn is not None:
                turn.took(picked[-1])
        return rows[picked]

    return join(pick(rows, k) for rows, k in budgets(labels, rate, balance)), None, None


def _sure(evidence: Evidence, confidence: str) -> torch.Tensor:
    log_p = log_probabilities(evidence)
    if confidence == "entropy":
        return -(log_p.exp() * log_p).sum(dim=1)
    best = torch.nn.functional.pad(log_p.exp(), (0, 1)).topk(2, dim=1).values
    return best[:, 0] if confidence == "max" else best[:, 0] - best[:, 1]


def _log_gains(step: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The log of tanh(level + step) - tanh(level)."""
    step = step.clamp(min=torch.finfo(torch.float64).tiny)
    # = 2 e^-2l (1 - e^-2s) / ((1 + e^-2(l+s)) (1 + e^-2l))
    return (np.log(2) - 2 * level + (-torch.expm1(-2 * step)).log() - torch.log1p((-2 * (level + step)).exp())
            - torch.log1p((-2 * level).exp()))


class _Turns:
    """Whose turn it is: classes that have samples left one after the other, until one has given too many."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels, self.open = labels, list(np.unique(labels))
        self.size = {label: int((labels == label).sum()) for label in self.open}
        self.given = dict.fromkeys(self.open, 0)
        self.first_used_up: int | None = None
        self.over = False

    def allowed(self, left: np.ndarray, step: int) -> np.ndarray:
        return left if self.over else left[self.labels[left] == self.open[step % len(self.open)]]

    def took(self, place: int) -> None:
        label = self.labels[place]
        self.given[label] += 1
        if self.given[label] == self.size[label]:
            self.open.remove(label)
            self.first_used_up = self.first_used_up or self.size[label]
        if self.first_used_up and max(self.given.values()) > 1.5 * self.first_used_up:
            self.over = True
