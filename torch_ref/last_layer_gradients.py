"""Gradients of the cross entropy with respect to the last layer, written out."""

import numpy as np
import torch

from torch_ref.evidence import Evidence, log_probabilities, require


def one_hot(labels: np.ndarray, classes: int) -> torch.Tensor:
    """(n, classes) float64; raises ``ValueError`` for labels outside 0 to classes - 1."""
    labels = torch.tensor(np.array(labels, np.int64))
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be 0 to {classes - 1}, the columns of logits")
    return torch.nn.functional.one_hot(labels, classes).double()


def errors(evidence: Evidence) -> torch.Tensor:
    """g_i = softmax(z_i) - onehot(y_i), (n, C): the gradient with respect to the logits."""
    p = log_probabilities(evidence).exp()
    return p - one_hot(evidence.labels, p.shape[1])


def last_layer_gradients(by_logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """G_i = [g_i ; vec(g_i e_i^T)], (n, C (d + 1)): bias first, then the weights by class."""
    weights = by_logits[:, :, None] * features[:, None, :]
    return torch.cat([by_logits, weights.flatten(1)], dim=1)


def gradients(evidence: Evidence) -> torch.Tensor:
    """``last_layer_gradients`` of all samples, one sample at a time: no mean over a batch."""
    return last_layer_gradients(errors(evidence), require(evidence, "features"))


def batch_sizes(n: int, batch_size: int) -> torch.Tensor:
    """The size (n, 1) of each sample's batch of consecutive samples; the last batch may be smaller.

    DeepCore divides each gradient by this, because its loss is the mean over a batch.

    Args:
        n: how many samples.
        batch_size: of all batches but the last.

    Returns:
        (n, 1).
    """
    starts = np.arange(n) // batch_size * batch_size
    return torch.tensor(np.minimum(starts + batch_size, n) - starts)[:, None].double()
