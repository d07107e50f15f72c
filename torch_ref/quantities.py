"""Gradients of the cross entropy by the last layer, written out, and similarities of samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torch_ref.extraction import Evidence


def needed(evidence: Evidence, *fields: str) -> Any:
    """The arrays of ``fields`` as float64 tensors; raises ``ValueError`` for one that is missing or not finite."""
    tensors = []
    for field in fields:
        array = getattr(evidence, field)
        if array is None:
            raise ValueError(f"evidence lacks {field}")
        tensor = torch.tensor(np.array(array, np.float64))
        if len(tensor) != len(evidence.labels):
            raise ValueError(f"{len(tensor)} rows of {field} for {len(evidence.labels)} labels")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{field} hold NaN or infinite values: all must be finite")
        tensors.append(tensor)
    return tensors[0] if len(tensors) == 1 else tensors


def features_in(evidence: Evidence, metric: str) -> torch.Tensor:
    """The features, (n, d); with metric "cosine" each at length 1, where it is not 0, to 40 binary places."""
    check_choice("metric", metric, ("euclidean", "cosine"))
    features = needed(evidence, "features")
    if metric == "euclidean":
        return features
    features = features / features.abs().amax(dim=1, keepdim=True).clamp(min=1e-300)
    return (torch.nn.functional.normalize(features, dim=1, eps=1e-300) * 2.0**40).round() / 2.0**40


def log_probabilities(evidence: Evidence) -> torch.Tensor:
    """log softmax(z), (n, C), at least -1e300: of logits near 1e308 the differences are no numbers."""
    return torch.log_softmax(needed(evidence, "logits"), dim=1).clamp(min=-1e300)


def one_hot(labels: np.ndarray, classes: int) -> torch.Tensor:
    """(n, classes) float64; raises ``ValueError`` for labels outside 0 to classes - 1."""
    labels = torch.tensor(np.array(labels, np.int64))
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be 0 to {classes - 1}, the columns of logits")
    return torch.nn.functional.one_hot(labels, classes).double()


def errors(evidence: Evidence) -> torch.Tensor:
    """g_i = softmax(z_i) - onehot(y_i), (n, C): the gradient by the logits."""
    p = log_probabilities(evidence).exp()
    return p - one_hot(evidence.labels, p.shape[1])


def last_layer_gradients(by_logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """G_i = [g_i ; vec(g_i e_i^T)], (n, C (d + 1)): bias first, then the weights by class."""
    weights = by_logits[:, :, None] * features[:, None, :]
    return torch.cat([by_logits, weights.flatten(1)], dim=1)


def gradients(evidence: Evidence) -> torch.Tensor:
    """``last_layer_gradients`` of all samples, one sample at a time: no mean over a batch."""
    return last_layer_gradients(errors(evidence), needed(evidence, "features"))


def batch_sizes(n: int, batch_size: int) -> torch.Tensor:
    """(n, 1): how many samples are in the batch of each, when consecutive samples are batched; the last is smaller.

    DeepCore divides each gradient by this, because its loss is the mean over a batch.
    """
    starts = np.arange(n) // batch_size * batch_size
    return torch.tensor(np.minimum(starts + batch_size, n) - starts)[:, None].double()


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


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")
