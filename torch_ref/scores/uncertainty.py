"""How uncertain a network is of its answer."""

import torch

from torch_ref.evidence import Evidence, check_choice, log_probabilities, require

VARIANTS = ("paper", "deepcore")


def least_confidence(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """One minus the highest probability, 1 - max_c p_c.

    Source: DeepCore, eq. 2.

    Args:
        evidence: arrays about the n samples.
        variant: "paper", or "deepcore": -max_c z_c, of the raw logits.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("variant", variant, VARIANTS)
    logits, log_p = require(evidence, "logits"), log_probabilities(evidence)
    return -logits.amax(dim=1) if variant == "deepcore" else 1 - log_p.exp().amax(dim=1)


def entropy(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """Entropy of the probabilities, -sum_c p_c log p_c.

    Source: DeepCore, eq. 2.

    Args:
        evidence: arrays about the n samples.
        variant: "paper", or "deepcore": -sum_c p_c log(p_c + 1e-6).

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("variant", variant, VARIANTS)
    log_p = log_probabilities(evidence)
    p = log_p.exp()
    return -(p * ((p + 1e-6).log() if variant == "deepcore" else log_p)).sum(dim=1)


def margin(evidence: Evidence, variant: str = "paper") -> torch.Tensor:
    """One minus the lead of the likeliest class: 1 - (p_(1) - p_(2)), of the two highest probabilities.

    Source: DeepCore, eq. 2.

    Args:
        evidence: arrays about the n samples.
        variant: the same in both.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("variant", variant, VARIANTS)
    p = torch.nn.functional.pad(log_probabilities(evidence).exp(), (0, 1))  # of one class alone the lead is the whole
    first, second = p.topk(2, dim=1).values.T
    return 1 - (first - second)
