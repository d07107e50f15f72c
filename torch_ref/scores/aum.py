"""Margins of the label over the epochs: AUM and the accumulated margin."""

import torch

from torch_ref.evidence import Evidence
from torch_ref.scores.training_dynamics import Epochs, record_of, sum_of_seen


def aum(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the mean over epochs of z_y - max_{j != y} z_j.

    Source: Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020, eq. 2.

    Args:
        evidence: arrays about the n samples.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    return -record_of(evidence, "logit_margin", epochs).nanmean(dim=0)


def accumulated_margin(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the sum over epochs of p_y - max_{j != y} p_j.

    Source: the code of CCS (Zheng et al., ICLR 2023).

    Args:
        evidence: arrays about the n samples.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    return -sum_of_seen(record_of(evidence, "margin", epochs))
