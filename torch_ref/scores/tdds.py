"""How much the answers change from epoch to epoch: TDDS."""

from itertools import pairwise

import torch

from torch_ref.evidence import Evidence
from torch_ref.over_time import divergence, temporal_dual_depth
from torch_ref.scores.training_dynamics import Epochs, record_of


def tdds(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """Variation of the divergence of successive answers in windows of J epochs, with most weight on the last.

    It uses ``evidence.dynamics.divergence``, or ``probabilities``.

    Source: Zhang et al., CVPR 2024.

    Args:
        evidence: arrays about the n samples.
        window: J; None: 10, or all epochs where there are fewer.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    if getattr(evidence.dynamics, "divergence", None) is not None:
        divergences = record_of(evidence, "divergence", epochs)[1:]
    else:
        answers = record_of(evidence, "probabilities", epochs).numpy()
        pairs = [divergence(before, after) for before, after in pairwise(answers)]
        divergences = torch.stack(pairs) if pairs else torch.empty(0, answers.shape[1])
    epochs_there = len(divergences) + 1
    window = window or min(10, epochs_there)
    if window < 3 or window > epochs_there:
        raise ValueError(f"a window of {window} of {epochs_there} epochs")
    return temporal_dual_depth(divergences, window)
