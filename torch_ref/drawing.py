"""Rules that use more than the scores; each returns the places that it picks, in order."""

from collections.abc import Callable

import numpy as np
import torch

from torch_ref.evidence import Evidence, require
from torch_ref.message_passing import messages
from torch_ref.quota import TIE, join
from torch_ref.scores.training_dynamics import record_of

Groups = list[tuple[np.ndarray, int]]  # (rows, k) of those that have a budget
EDGE, LEAST = 1e-6, 1e-3


def offset(evidence: Evidence, values: np.ndarray, groups: Groups, rate: float, seed: int,
           offset: float = 0.3) -> np.ndarray:
    """The k highest of m values after the round(offset m) highest, or fewer so that k remain, are left out."""
    picks = []
    for rows, k in groups:
        order = rows[np.argsort(-values[rows], kind="stable")]
        first = min(round(offset * len(rows)), len(rows) - k)
        picks.append(order[first:first + k])
    return join(picks)


def beta(evidence: Evidence, values: np.ndarray, groups: Groups, rate: float, seed: int, c_d: float = 4.0,
         epochs: int | str | None = None) -> np.ndarray:
    """A random choice with chances proportional to the value times a Beta(a, b) density of the mean probability.

    b = 15 (1 - mu) (1 - pruned^c_d), a = 16 - b, with mu the mean probability of the ten samples with the highest
    values. If too few samples have a positive value, the rest are those with the highest probability.

    Source: Cho et al., ICML 2025.

    Args:
        evidence: arrays about the n samples.
        values: (n,), the score.
        groups: pairs of places and how many of them to pick.
        rate: share of the samples to keep, in (0, 1].
        seed: of the random generator.
        c_d: exponent, above 0.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        Places, in pick order.
    """
    recorded = record_of(evidence, "probability", epochs)
    probability = (recorded[:30] if epochs is None else recorded).nanmean(dim=0)
    if ((probability < 0) | (probability > 1)).any():
        raise ValueError("probabilities must be 0 to 1")
    hardest = np.argsort(-values, kind="stable")[:10].copy()
    b = max(float(15 * (1 - probability[hardest].mean()) * (1 - (1 - rate) ** c_d)), LEAST)
    density = torch.distributions.Beta(16 - b, b).log_prob(probability.clamp(EDGE, 1 - EDGE).double()).numpy()
    amount = values - np.nanmin(values) if np.nanmin(values) < 0 else values
    if np.nanmin(values) == np.nanmax(values) < 0:
        amount = np.ones(len(values))
    rng, picks = np.random.RandomState(seed), []
    for rows, k in groups:
        positive = rows[amount[rows] > 0]
        chances = np.zeros(len(rows))
        logs = density[positive] + np.log(amount[positive])
        chances[amount[rows] > 0] = np.exp(logs - logs.max(initial=-np.inf))
        drawn = min(k, np.count_nonzero(chances))
        if drawn:
            picks.append(rng.choice(rows, drawn, replace=False, p=chances / chances.sum()))
        left = rows[chances == 0]
        if drawn < k:
            picks.append(left[np.argsort(-probability.numpy()[left], kind="stable")[:k - drawn]])
    return join(picks)


def best_window(evidence: Evidence, values: np.ndarray, groups: Groups, rate: float, seed: int, step: float = 0.05,
                lam: float = 1.0) -> np.ndarray:
    """The window of the ranking whose kernel ridge regression is right about most labels; of equals the first.

    In the dual form, with the kernel <[x, 1], [y, 1]>: alpha = (K + lam I)^-1 Y over the window's samples.

    Source: Choi et al., BWS, ICML 2024.

    Args:
        evidence: arrays about the n samples.
        values: (n,), the score.
        groups: pairs of places and how many of them to pick.
        rate: share of the samples to keep, in (0, 1].
        seed: of the random generator.
        step: share of the ranking between two windows.
        lam: ridge penalty, above 0.

    Returns:
        Places, in pick order.
    """
    features = require(evidence, "features")
    rows = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    names = np.unique(evidence.labels)
    labels = torch.as_tensor(np.searchsorted(names, evidence.labels))
    best, most = np.empty(0, np.int64), -1
    for share in np.arange(int(np.ceil(1 / step)) + 1) * step:
        window = join(_from(values, group, k, min(share, 1.0)) for group, k in groups)
        answers = _answers(rows, labels, window, len(names), lam)
        first = (answers >= answers.amax(dim=1, keepdim=True) - TIE).int().argmax(dim=1)
        right = int((first == labels).sum())
        if right > most:
            best, most = window, right
    return best


def _from(values: np.ndarray, rows: np.ndarray, k: int, share: float) -> np.ndarray:
    first = min(round(share * len(rows)), len(rows) - k)
    return rows[np.argsort(-values[rows], kind="stable")[first:first + k]]


def _answers(rows: torch.Tensor, labels: torch.Tensor, window: np.ndarray, classes: int, lam: float) -> torch.Tensor:
    inside = rows[window]
    kernel = inside @ inside.T + lam * torch.eye(len(window), dtype=torch.float64)
    targets = torch.nn.functional.one_hot(labels[window], classes).double()
    return rows @ (inside.T @ torch.linalg.solve(kernel, targets))


DRAWING: dict[str, Callable[..., np.ndarray]] = {"beta": beta, "offset": offset, "best_window": best_window,
                                               "d2": messages}
