"""Whether a sample's loss goes with that of held-out samples: CLD."""

import numpy as np
import torch

from torch_ref.evidence import Evidence
from torch_ref.over_time import loss_correlation
from torch_ref.scores.training_dynamics import Epochs, record_of


def cld(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Correlation of a sample's loss differences with those of held-out samples of its class; see ``over_time``.

    Args:
        evidence: arrays about the n samples.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    losses, held_out = (record_of(evidence, field, epochs).numpy() for field in ("loss", "validation_loss"))
    if len(losses) < 4 or not np.isfinite(held_out).any():
        raise ValueError(f"{len(losses)} epochs, {np.isfinite(held_out).any(axis=0).sum()} held-out samples")
    return loss_correlation(losses, held_out, np.asarray(evidence.labels))
