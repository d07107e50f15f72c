"""The cross entropy of the label."""

import torch

from torch_ref.evidence import Evidence, log_probabilities
from torch_ref.last_layer_gradients import one_hot


def loss(evidence: Evidence) -> torch.Tensor:
    """Cross entropy -log p_y.

    Args:
        evidence: arrays about the n samples.

    Returns:
        (n,) float64, high = keep.
    """
    log_p = log_probabilities(evidence)
    return -(log_p * one_hot(evidence.labels, log_p.shape[1])).sum(dim=1)
