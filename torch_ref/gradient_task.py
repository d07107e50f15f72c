"""What GradMatch and GLISTER choose from, and their target, as gradients."""

import numpy as np
import torch

from torch_ref.evidence import Evidence, require
from torch_ref.last_layer_gradients import batch_sizes, errors, last_layer_gradients

VARIANTS = ("paper", "deepcore")


def judges_of(evidence: Evidence, rows: np.ndarray, balance: bool) -> tuple[Evidence, np.ndarray]:
    """The evidence and positions of the samples whose mean gradient is the target for ``rows``."""
    validation = getattr(evidence, "validation", None)
    if validation is None:
        return evidence, rows
    if not balance:
        return validation, np.arange(len(validation.labels))
    label = evidence.labels[rows[0]]
    members = np.flatnonzero(np.asarray(validation.labels) == label)
    if not len(members):
        raise ValueError(f"validation has no sample of class {label}")
    return validation, members


def of_batches(pool: torch.Tensor, batch_size: int) -> torch.Tensor:
    """The means (m, D) of batches of consecutive rows."""
    return torch.stack([batch.mean(dim=0) for batch in pool.split(batch_size)])


def whole_batches(batches: np.ndarray, weights: np.ndarray, n: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of all samples of some batches."""
    members = np.split(np.arange(n), range(batch_size, n, batch_size))
    positions = [members[batch] for batch in batches]
    return (np.concatenate([*positions, np.empty(0, np.int64)]).astype(np.int64),
            np.repeat(np.asarray(weights, np.float64), [len(part) for part in positions]))


def pool_gradients(evidence: Evidence, rows: np.ndarray, variant: str, batch_size: int) -> torch.Tensor:
    """The gradients of ``rows``; DeepCore's are divided by the size of their batch among these."""
    pool = last_layer_gradients(errors(evidence)[rows], require(evidence, "features")[rows])
    return pool / batch_sizes(len(rows), batch_size) if variant == "deepcore" else pool
