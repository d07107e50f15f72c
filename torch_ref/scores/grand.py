"""GraNd: the length of a sample's gradient."""

import torch

from torch_ref.evidence import Evidence, check_choice
from torch_ref.last_layer_gradients import batch_sizes, gradients
from torch_ref.scores.el2n import runs_of
from torch_ref.scores.uncertainty import VARIANTS


def grand(evidence: Evidence, variant: str = "paper", batch_size: int = 128) -> torch.Tensor:
    """Mean over runs of ||G_i||, the norm of the last layer's gradient, ||p - onehot(y)|| sqrt(1 + ||e||^2).

    The runs are ``evidence.runs``, or the evidence itself.

    Source: Paul et al., Deep Learning on a Data Diet, NeurIPS 2021, definition 2.1, of the last layer alone.

    Args:
        evidence: arrays about the n samples.
        variant: "paper", or "deepcore", which divides by the size of the batch.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore".

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("variant", variant, VARIANTS)
    norms = torch.stack([gradients(run).norm(dim=1) for run in runs_of(evidence)])
    if variant == "deepcore":
        norms = norms / batch_sizes(norms.shape[1], batch_size)[:, 0]
    return norms.mean(dim=0)
