"""Perturbations that change a network's mind."""

import numpy as np
import torch
from torch import nn

from torch_ref.extraction import device_of


def deepfool_distances(network: nn.Module, images: torch.Tensor, max_iter: int = 50,
                       *, overshoot: float = 0.0) -> np.ndarray:
    """Squared length of the shortest way DeepFool finds to another class, (n,) float64.

    Linearised at x, with f the logits and k0 the class of the image: w_k = grad f_k - grad f_k0,
    l_k = |f_k - f_k0| / ||w_k||, and x moves by l_k w_k / ||w_k|| for the smallest l_k, until the class is not k0.
    A class with w_k = 0 is never moved to. An image that keeps its class has the length after ``max_iter`` steps.

    network: a module, set to evaluation mode; images: float tensor, as the network takes them
    overshoot: the image moves, and the length counts, by 1 + overshoot times the sum of the steps

    Source: Moosavi-Dezfooli et al., DeepFool, CVPR 2016, algorithm 2; DeepCore's defaults and its squared length.
    """
    network.eval()
    images = images.to(device_of(network))
    return torch.tensor([_squared_distance(network, image, max_iter, overshoot) for image in images]).double().numpy()


def _squared_distance(network: nn.Module, image: torch.Tensor, max_iter: int, overshoot: float) -> float:
    total = torch.zeros_like(image)
    start = None
    for _ in range(max_iter):
        moved = (image + (1 + overshoot) * total).requires_grad_()
        logits = network(moved[None])[0]
        start = int(logits.argmax()) if start is None else start
        if int(logits.argmax()) != start:
            break
        total = total + _step(logits, moved, start)
    return float(((1 + overshoot) * total.double()).square().sum())


def _step(logits: torch.Tensor, moved: torch.Tensor, start: int) -> torch.Tensor:
    """The shortest step to a linearised boundary; none if no class has one."""
    slopes = [torch.autograd.grad(value, moved, retain_graph=True)[0] for value in logits]
    best, shortest = torch.zeros_like(moved), torch.inf
    for k in range(len(logits)):
        w = slopes[k] - slopes[start]
        length = w.norm()
        if k == start or length == 0:
            continue
        distance = (logits[k] - logits[start]).abs() / length
        if distance < shortest:
            best, shortest = (distance / length * w).detach(), distance
    return best


def gradient_sign(network: nn.Module, images: np.ndarray, labels: np.ndarray | torch.Tensor | None = None,
                  *, eps: float = 8 / 255) -> np.ndarray:
    """``clip(x + eps sign(grad_x CE(f(x), y)), 0, 1)``, float32 array.

    network: a module that takes pixels in [0, 1], set to evaluation mode; images: (B, C, H, W) array of such pixels
    labels: (B,) the y, or None for the network's own answers

    Source: Goodfellow et al., ICLR 2015, section 4.
    """
    labels = _answers(network, images) if labels is None else labels
    return projected_gradient(network, images, labels, eps=eps, alpha=eps, steps=1)


def projected_gradient(network: nn.Module, images: np.ndarray, labels: np.ndarray | torch.Tensor, *,
                       eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10,
                       start: np.ndarray | None = None) -> np.ndarray:
    """``steps`` times a step of ``alpha`` along the sign of the loss's gradient, then back into the ball and [0, 1].

    start: where to begin, or None for the images themselves

    Source: Madry et al., ICLR 2018, section 2.1; the defaults of torchattacks.
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
