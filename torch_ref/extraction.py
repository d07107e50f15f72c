"""What a trained network says of every sample of a split."""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import Any, Protocol

import numpy as np
import torch


class Split(Protocol):
    """What is asked of a data set."""

    images: np.ndarray
    labels: np.ndarray
    mean: Sequence[float]
    std: Sequence[float]
    num_classes: int


class Network(Protocol):
    """What is asked of a network that is trained."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...

    def features(self, x: torch.Tensor) -> torch.Tensor: ...

    def eval(self) -> object: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...


@dataclass(frozen=True)
class Evidence:
    """What a selection may look at.

    labels: (n,) integers
    features: (n, d) inputs of the network's last linear layer, or None
    logits: (n, C), or None
    dynamics: an object with attributes probability, margin, logit_margin, error_norm, correct and loss, each (T, n)
        for T epochs or None; or None
    boundary: (n,) squared distances to the decision boundary, or None
    imported: (n,) scores made elsewhere, NaN where there is none, or None
    runs: a tuple of evidence of the same samples from other networks, or None
    validation: evidence of other samples from the same network, or None
    probabilities: (n, C), given instead of logits, which are then log p; a p of 0 counts as the smallest positive
        number of its type
    """

    labels: np.ndarray
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    _: KW_ONLY
    dynamics: object | None = None
    boundary: np.ndarray | None = None
    imported: np.ndarray | None = None
    runs: tuple | None = None
    validation: object | None = None
    probabilities: InitVar[object] = None

    def __post_init__(self, probabilities: Any) -> None:
        if probabilities is not None:
            object.__setattr__(self, "logits", _log(np.asarray(probabilities)))


def _log(p: np.ndarray) -> np.ndarray:
    """log p, float64; raises ``ValueError`` for rows that are not in [0, 1] or do not sum to 1."""
    no_probabilities = (p < 0).any(axis=1) | ~np.isclose(p.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=0.01)
    if no_probabilities.any():
        raise ValueError(f"row {np.flatnonzero(no_probabilities)[0]} of the probabilities must be in [0, 1], sum 1")
    smallest = np.nextafter(p.dtype.type(0), p.dtype.type(1)) if p.dtype.kind == "f" else np.nextafter(0.0, 1.0)
    return np.log(np.where(p == 0, smallest, p).astype(np.float64))


def normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """(B, H, W, C) uint8 -> (B, C, H, W) float32 tensor: ``(image / 255 - mean) / std``, per channel."""
    scaled = np.asarray(images).astype(np.float32) / np.float32(255)
    standard = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(standard.transpose(0, 3, 1, 2)))


def device_of(network: Network) -> torch.device:
    """Where a network computes: where its weights lie, to which ``network.to(device)`` brings them."""
    return next(network.parameters()).device


@torch.no_grad()
def extract(network: Network, split: Split, need: Sequence[str] = ("features", "logits"),
            *, batch_size: int = 256) -> Evidence:
    """Features and logits of all samples, in evaluation mode, data set order, without augmentation.

    split: any object with ``images`` (n, H, W, C) uint8, ``labels`` (n,), and ``mean`` and ``std`` per channel
    need: which of "features" and "logits"; the other is None in the result

    Returns ``Evidence`` of float32 arrays. Raises ``ValueError`` for another need.
    """
    unknown = set(need) - {"features", "logits"}
    if unknown:
        raise ValueError(f"cannot extract {', '.join(sorted(unknown))}: only features and logits")
    network.eval()
    answers: dict[str, list[np.ndarray]] = {name: [] for name in need}
    for start in range(0, len(split.labels), batch_size):
        inputs = normalise(split.images[start:start + batch_size], split.mean, split.std).to(device_of(network))
        for name in need:
            answer = network.features(inputs) if name == "features" else network(inputs)
            answers[name].append(answer.cpu().numpy())
    arrays = {name: np.concatenate(batches) for name, batches in answers.items()}
    return Evidence(labels=np.asarray(split.labels), **arrays)
