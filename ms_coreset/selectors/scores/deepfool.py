"""DeepFool: how near a sample is to the decision boundary."""

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row


@score("deepfool", needs=("boundary",), labels=False, cost="n", work=row_by_row, parallel="samples",
       source="Ducoffe and Precioso, Adversarial Active Learning, 2018; Moosavi-Dezfooli et al., DeepFool, CVPR 2016")
def deepfool(evidence: Evidence) -> np.ndarray:
    """Nearness to the decision boundary: minus the squared length of DeepFool's perturbation, -||r_i||^2.

    DeepCore's score is ||r_i||^2, of which it keeps the low values. ``mc.deepfool_distances`` computes ||r_i||^2.

    Args:
        evidence: with labels and ``boundary``, the ||r_i||^2.

    Returns:
        (n,), at most 0; high = a small push changes the network's answer = keep.
    """
    return -np.asarray(evidence.boundary, np.float64)
