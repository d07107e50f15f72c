"""Divergences between discrete distributions."""

import torch


def divergences(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Symmetric KL, 0.5 sum_c (p_c - q_c) (log p_c - log q_c), of the rows of ``log_p`` and ``log_q``."""
    return 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1)
