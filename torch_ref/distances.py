"""Distances and similarities of samples."""

import torch

from torch_ref.evidence import Evidence, check_choice, require


def distances_to(rows: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """||x_i - point||."""
    return (rows - point).square().sum(dim=1).sqrt()


def features_in(evidence: Evidence, metric: str) -> torch.Tensor:
    """The features, (n, d); with metric "cosine" each at length 1, where it is not 0, to 40 binary places."""
    check_choice("metric", metric, ("euclidean", "cosine"))
    features = require(evidence, "features")
    return features if metric == "euclidean" else unit_rows(features)


def unit_rows(rows: torch.Tensor) -> torch.Tensor:
    """Rows at length 1, to 40 binary places; a row of zeros stays."""
    rows = rows / rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-300)
    return (torch.nn.functional.normalize(rows, dim=1, eps=1e-300) * 2.0**40).round() / 2.0**40


def distances(rows: torch.Tensor, smallest: float = 1e-6) -> torch.Tensor:
    """||x_i - x_j||, (n, n), at least 1e-6 as in DeepCore, or ``smallest``, also of a row to itself."""
    difference = (rows[:, None, :] - rows[None, :, :]).square().sum(dim=2)
    return difference.clamp(min=smallest**2).sqrt()


def cosine_similarities(rows: torch.Tensor) -> torch.Tensor:
    """0.5 + 0.5 cos(x_i, x_j), (n, n); the cosine with a row of zeros is 0, and of another row with itself 1."""
    norms = rows.norm(dim=1)
    scaled = rows / torch.where(norms > 0, norms, 1.0)[:, None]
    cosines = (scaled @ scaled.T).clamp(-1, 1)
    cosines.fill_diagonal_(1)
    cosines[norms == 0] = 0
    return 0.5 + 0.5 * cosines
