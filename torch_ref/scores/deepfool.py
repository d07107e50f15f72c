"""DeepFool: how near a sample is to the decision boundary."""

import torch

from torch_ref.evidence import Evidence, require


def deepfool(evidence: Evidence) -> torch.Tensor:
    """Minus the squared distance to the decision boundary, ``evidence.boundary``: near is kept.

    Source: Ducoffe and Precioso, Adversarial Active Learning for Deep Networks, 2018.

    Args:
        evidence: arrays about the n samples.

    Returns:
        (n,) float64, high = keep.
    """
    return -require(evidence, "boundary")
