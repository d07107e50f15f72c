"""Scores of how a network's answers change from epoch to epoch."""

import numpy as np
import torch


def divergence(before: np.ndarray, after: np.ndarray) -> torch.Tensor:
    """The sum_c |p_c (ln(p_c + 1e-8) - ln(q_c + 1e-8))| (n,) of probabilities (n, C), p after q; Zhang et al., 2024."""
    q, p = (torch.tensor(np.asarray(rows, np.float64)) for rows in (before, after))
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).abs().sum(dim=1)


def temporal_dual_depth(divergences: torch.Tensor, window: int) -> torch.Tensor:
    """TDDS: sum_k 0.9 0.1^(T - J - k) v_k, with v_k the norm of a window's J - 1 divergences less their mean.

    Windows with a NaN are left out, and the sum is multiplied by the sum of all weights over that of the others.

    Args:
        divergences: (T - 1, n), NaN where unknown.
        window: J, in epochs.

    Returns:
        (n,).
    """
    count = len(divergences) - window + 2
    total, weight, every = torch.zeros(3, divergences.shape[1], dtype=torch.float64)
    for k in range(count):
        part = divergences[k:k + window - 1]
        value = (part - part.mean(dim=0)).square().sum(dim=0).sqrt()
        share = 0.9 * 0.1 ** (count - 1 - k)
        total += share * value.nan_to_num(0.0)
        weight += share * value.isfinite().double()
        every += share
    return total * (every / weight)


def loss_correlation(losses: np.ndarray, held_out: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    """CLD: Pearson's correlation of the differences over time of a sample's loss and its class's held-out mean.

    A class without held-out samples uses the mean of all held-out samples. The score is 0 if either does not vary, and
    NaN with fewer than three differences of both.

    Source: Nagaraj et al., TMLR 2025.

    Args:
        losses: (T, n), NaN where a sample was not seen.
        held_out: (T, n) losses after each epoch, NaN for samples that were not held out.
        labels: (n,).

    Returns:
        (n,).
    """
    known = np.isfinite(held_out).any(axis=0)
    values = []
    for label, own in zip(labels, np.diff(losses, axis=0).T, strict=True):
        peers = known & (labels == label) if (known & (labels == label)).any() else known
        theirs = np.diff(np.nanmean(held_out[:, peers], axis=1))
        both = np.isfinite(own) & np.isfinite(theirs)
        x, y = torch.tensor(own[both]), torch.tensor(theirs[both])
        x, y = x - x.mean(), y - y.mean()
        scale = x.norm() * y.norm()
        correlation = float((x * y).sum() / scale) if scale > 0 else 0.0
        values.append(correlation if both.sum() >= 3 else float("nan"))
    return torch.tensor(values, dtype=torch.float64)
