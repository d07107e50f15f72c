"""Attacks: perturbations of images that change a network's answer."""

import numpy as np
import torch
from torch import nn

from torch_ref.extraction import device_of


def gradient_sign(network: nn.Module, images: np.ndarray, labels: np.ndarray | torch.Tensor | None = None,
                  *, eps: float = 8 / 255) -> np.ndarray:
    """One step of ``eps`` along the sign of the gradient: ``clip(x + eps sign(grad_x CE(f(x), y)), 0, 1)``.

    Source: Goodfellow et al., ICLR 2015, section 4.

    Args:
        network: a module that takes pixels in [0, 1], set to evaluation mode.
        images: (B, C, H, W) array of such pixels.
        labels: (B,) the classes y, or None for the network's own answers.
        eps: length of the step for each pixel.

    Returns:
        (B, C, H, W) float32 array.
    """
    labels = _answers(network, images) if labels is None else labels
    return projected_gradient(network, images, labels, eps=eps, alpha=eps, steps=1)


def projected_gradient(network: nn.Module, images: np.ndarray, labels: np.ndarray | torch.Tensor, *,
                       eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10,
                       start: np.ndarray | None = None) -> np.ndarray:
    """``steps`` steps of ``alpha`` along the sign of the loss's gradient, each clipped to the ball and to [0, 1].

    Source: Madry et al., ICLR 2018, section 2.1; the defaults of torchattacks.

    Args:
        network: as in ``gradient_sign``.
        images: (B, C, H, W) array of pixels in [0, 1].
        labels: (B,) the classes y.
        eps: radius of the ball, for each pixel.
        alpha: length of a step, for each pixel.
        steps: number of steps.
        start: (B, C, H, W) first images, or None for the images themselves.

    Returns:
        (B, C, H, W) float32 array.
    """
    network.eval()
    device = device_of(network)
    given, truth = torch.as_tensor(images, device=device), torch.as_tensor(labels, device=device)
    moved = given if start is None else torch.as_tensor(start, device=device)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(network(moved), truth, reduction="sum")
        moved = moved.detach() + alpha * torch.autograd.grad(loss, moved)[0].sign()
        moved = torch.minimum(torch.maximum(moved, given - eps), given + eps).clamp(0, 1)
    return moved.cpu().numpy()


@torch.no_grad()
def _answers(network: nn.Module, images: np.ndarray) -> torch.Tensor:
    network.eval()
    return network(torch.as_tensor(images, device=device_of(network))).argmax(dim=1)
