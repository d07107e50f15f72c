"""How far a network's input must move until its answer changes: DeepFool."""

import numpy as np
import torch
from torch import nn

from torch_ref.extraction import device_of


def deepfool_distances(network: nn.Module, images: torch.Tensor, max_iter: int = 50,
                       *, overshoot: float = 0.0) -> np.ndarray:
    """Squared length of DeepFool's perturbation to another class, (n,) float64.

    Linearized at x, with f the logits and k0 the class of the image: w_k = grad f_k - grad f_k0, l_k = |f_k - f_k0| /
    ||w_k||, and x moves by l_k w_k / ||w_k|| for the smallest l_k, until the class is not k0. A class with w_k = 0 is
    never moved to. An image that keeps its class has the length after ``max_iter`` steps.

    Source: Moosavi-Dezfooli et al., DeepFool, CVPR 2016, algorithm 2; DeepCore's defaults and its squared length.

    Args:
        network: a module, set to evaluation mode.
        images: float tensor, as the network takes them.
        max_iter: largest number of steps for an image.
        overshoot: the image moves by 1 + overshoot times the sum of the steps, and this length counts.

    Returns:
        (n,) float64.
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
    """The shortest step to a linearized boundary; none if no class has one."""
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
