"""Groups of samples: clusters of their features, or their classes."""

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.k_means import k_means


def numbers_of_groups(evidence: Evidence, groups: str, clusters: int, metric: str, seed: int) -> np.ndarray:
    """(n,) the label of each sample ("labels"), or its cluster ("clusters")."""
    check_choice("groups", groups, ("clusters", "labels"))
    if groups == "labels":
        return np.asarray(evidence.labels)
    if not 1 <= clusters <= len(evidence.labels):
        raise ValueError(f"{clusters} clusters of {len(evidence.labels)} samples")
    return np.asarray(k_means(require(evidence, "features"), clusters, metric=metric, seed=seed).labels)


def directions(rows: torch.Tensor) -> torch.Tensor:
    """Rows at length 1; a row of zeros stays."""
    lengths = rows.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, rows / lengths, 0.0)


def to_places(cosines: torch.Tensor) -> torch.Tensor:
    """Cosines to 40 binary places."""
    return (cosines * 2.0**40).round() / 2.0**40


def to_digits(values: torch.Tensor) -> torch.Tensor:
    """Values to 40 binary digits."""
    fractions, exponents = np.frexp(values.numpy())
    return torch.tensor(np.ldexp(np.round(fractions * 2**40), exponents - 40))
