"""Extraction: features and logits of a trained network for every sample of a split."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from torch_ref.evidence import Evidence


class Split(Protocol):
    """What extraction requires of a data set."""

    images: np.ndarray
    labels: np.ndarray
    mean: Sequence[float]
    std: Sequence[float]
    num_classes: int


class Network(Protocol):
    """What extraction requires of a trained network."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...

    def features(self, x: torch.Tensor) -> torch.Tensor: ...

    def eval(self) -> object: ...

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...


def normalize(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """(B, H, W, C) uint8 -> (B, C, H, W) float32 tensor: ``(image / 255 - mean) / std``, per channel."""
    scaled = np.asarray(images).astype(np.float32) / np.float32(255)
    standard = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(standard.transpose(0, 3, 1, 2)))


def device_of(network: Network) -> torch.device:
    """The device of a network, which is that of its weights (``network.to(device)`` moves them)."""
    return next(network.parameters()).device


@torch.no_grad()
def extract(network: Network, split: Split, need: Sequence[str] = ("features", "logits"),
            *, batch_size: int = 256) -> Evidence:
    """Features and logits of all samples, in evaluation mode, data set order, without augmentation.

    Args:
        network: the network.
        split: any object with ``images`` (n, H, W, C) uint8, ``labels`` (n,), and ``mean`` and ``std`` per channel.
        need: "features", "logits" or both; the other is None in the result.
        batch_size: images at a time.

    Returns:
        ``Evidence`` of float32 arrays.

    Raises:
        ValueError: for another name in ``need``.
    """
    unknown = set(need) - {"features", "logits"}
    if unknown:
        raise ValueError(f"cannot extract {', '.join(sorted(unknown))}: only features and logits")
    network.eval()
    answers: dict[str, list[np.ndarray]] = {name: [] for name in need}
    for start in range(0, len(split.labels), batch_size):
        inputs = normalize(split.images[start:start + batch_size], split.mean, split.std).to(device_of(network))
        for name in need:
            answer = network.features(inputs) if name == "features" else network(inputs)
            answers[name].append(answer.cpu().numpy())
    arrays = {name: np.concatenate(batches) for name, batches in answers.items()}
    return Evidence(labels=np.asarray(split.labels), **arrays)
