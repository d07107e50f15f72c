"""Train a network with SGD, and record what happens to every sample."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from torch_ref.extraction import Network, Split, device_of, extract, normalize
from torch_ref.networks.layers import reseed
from torch_ref.over_time import divergence


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the data.
        batch_size: samples of a batch; the last, smaller batch of a pass is kept.
        lr: of ``torch.optim.SGD``.
        momentum: of ``torch.optim.SGD``.
        nesterov: of ``torch.optim.SGD``.
        weight_decay: of ``torch.optim.SGD``, on all parameters.
        schedule: "multistep" (lr * gamma^(milestones reached), in epochs), "cosine" or "linear" (to ``min_lr``, per
            update) or "constant".
        warmup: share of the updates in which the rate rises linearly.
        warmup_from: share of ``lr`` at which the warmup begins.
        crop_padding: pixels of padding before a random crop; 0: no crop.
        padding_mode: "zeros" or "reflect".
        flip: horizontal mirroring: True, at random; "alternate", in every other epoch, see ``present``.
        whiten: the first convolution becomes the whitening of patches, and is not trained.
        crop_scale: least share of the area of a random resized crop, in place of padding; None: no such crop.
        crop_size: pixels that the crop is first resized to; None: not.
        clip_norm: largest norm of the whole gradient, or None.
    """

    epochs: int
    batch_size: int = 128
    lr: float = 0.1
    _: KW_ONLY
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: str = "constant"
    milestones: tuple = ()
    gamma: float = 0.1
    min_lr: float = 0.0
    warmup: float = 0.0
    warmup_from: float = 0.0
    crop_padding: int = 0
    padding_mode: str = "zeros"
    flip: bool | str = False
    whiten: bool = False
    crop_scale: float | None = None
    crop_size: int | None = None
    clip_norm: float | None = None


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        network: the trained module.
        dynamics: arrays (epochs, n) by name, see ``train``.
    """

    network: nn.Module
    dynamics: dict


def train(network: nn.Module, split: Split, recipe: Any, *, seed: int = 0,
          weights: np.ndarray | None = None) -> TrainingResult:
    """Train ``network`` on ``split`` in place.

    Args:
        network: a module.
        split: any object with ``images`` (n, H, W, C) uint8, ``labels`` (n,), and ``mean`` and ``std`` per channel.
        recipe: a mapping, or any object with the attributes of ``Recipe``; keys that it lacks have ``Recipe``'s
            defaults.
        seed: epoch e takes its order and its augmentation from ``RandomState([seed, e])``, and its dropout, if the
            network has any, from ``RandomState([seed, crc32("dropout"), e])``.
        weights: (n,) or None; a batch's loss is sum_i w_i l_i / sum_i w_i, where l_i is the cross entropy, or 0 if all
            its weights are.

    Returns:
        A ``TrainingResult`` whose ``dynamics`` are arrays (epochs, n), by data set position, from the forward pass in
        training mode just before each update. With z the logits, p = softmax(z) and y the label: probability p_y,
        margin p_y - max_{j != y} p_j, logit_margin z_y - max_{j != y} z_j, error_norm ||p - onehot(y)||_2, loss -log
        p_y (float32), correct, argmax z = y (bool), and divergence from the epoch before, see ``over_time`` (float32,
        NaN in the first).

    Raises:
        ValueError: for an unknown schedule or padding mode.
    """
    recipe = _as_recipe(recipe)
    device = device_of(network)
    labels = torch.as_tensor(np.asarray(split.labels, np.int64), device=device)
    weights = np.ones(len(labels)) if weights is None else weights
    weights = torch.as_tensor(np.asarray(weights, np.float32), device=device)
    if recipe.whiten:
        whiten(network, split)
    optimizer = torch.optim.SGD(network.parameters(), lr=recipe.lr, momentum=recipe.momentum,
                                nesterov=recipe.nesterov, weight_decay=recipe.weight_decay)
    updates_per_epoch = math.ceil(len(labels) / recipe.batch_size)
    epochs: list[dict[str, np.ndarray]] = []
    before = np.full((len(labels), 1), np.nan)
    for epoch in range(recipe.epochs):
        order, images = present(split.images, recipe, seed, epoch)
        reseed(network, np.random.RandomState([seed, zlib.crc32(b"dropout"), epoch]))
        records: dict[str, np.ndarray] = {}
        for batch in range(updates_per_epoch):
            part = slice(batch * recipe.batch_size, (batch + 1) * recipe.batch_size)
            rows = order[part]
            number = epoch * updates_per_epoch + batch
            optimizer.param_groups[0]["lr"] = learning_rate(recipe, number, updates_per_epoch)
            inputs = normalize(images[part], split.mean, split.std).to(device)
            _, logits = update(network, optimizer, inputs, labels[rows], weights[rows], recipe.clip_norm)
            observed = observe(logits.cpu(), labels[rows].cpu())
            observed |= {"answers": F.softmax(logits.cpu().double(), dim=1).float().numpy()}
            _record(records, rows, observed, len(labels))
        answers = records.pop("answers")
        records["divergence"] = divergence(before, answers).float().numpy()
        before = answers
        epochs.append(records)
    return TrainingResult(network, {name: np.stack([records[name] for records in epochs]) for name in epochs[0]})


def _as_recipe(recipe: Any) -> Recipe:
    read = recipe.get if isinstance(recipe, Mapping) else lambda name, default: getattr(recipe, name, default)
    missing = object()
    values = {field.name: read(field.name, missing) for field in fields(Recipe)}
    recipe = Recipe(**{name: value for name, value in values.items() if value is not missing})
    if recipe.schedule not in ("multistep", "cosine", "linear", "constant"):
        raise ValueError(f"schedule is {recipe.schedule!r}, must be multistep, cosine, linear or constant")
    if recipe.padding_mode not in ("zeros", "reflect"):
        raise ValueError(f"padding_mode is {recipe.padding_mode!r}, must be zeros or reflect")
    return recipe


def learning_rate(recipe: Recipe, update: int, updates_per_epoch: int) -> float:
    """The learning rate of an update, counted from 0 over all epochs.

    multistep: lr * gamma^(number of milestones <= epoch). cosine, with T updates in all: min_lr + (lr - min_lr) (1 +
    cos(pi update / T)) / 2. linear: min_lr + (lr - min_lr) (1 - update / T). constant: lr.

    In the first W = warmup T updates it is lr (warmup_from + (1 - warmup_from) update / W) instead; cosine and linear
    are then over the T - W updates that follow.

    Args:
        recipe: of the training.
        update: its number, from 0.
        updates_per_epoch: how many.

    Returns:
        The rate.
    """
    total = recipe.epochs * updates_per_epoch
    risen = recipe.warmup * total
    if update < risen:
        return recipe.lr * (recipe.warmup_from + (1 - recipe.warmup_from) * update / risen)
    if recipe.schedule == "multistep":
        epoch = update // updates_per_epoch
        return recipe.lr * recipe.gamma ** sum(milestone <= epoch for milestone in recipe.milestones)
    share = (update - risen) / (total - risen)
    if recipe.schedule == "cosine":
        return recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 + math.cos(math.pi * share)) / 2
    if recipe.schedule == "linear":
        return recipe.lr + (recipe.min_lr - recipe.lr) * share
    return recipe.lr


def present(images: np.ndarray, recipe: Recipe, seed: int, epoch: int,
            originals: Sequence[Image.Image] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The order of the samples in an epoch, and their augmented images in that order.

    All randomness is drawn from ``RandomState([seed, epoch])``: the order, then the crops, then the mirroring, the last
    two for the samples in presented order. With "alternate", sample i is mirrored in the epochs whose number plus bit i
    of ``RandomState([seed, crc32("flip")])`` is odd.

    Args:
        images: (n, H, W, C) uint8.
        recipe: of the training.
        seed: of the training.
        epoch: its number, from 0.
        originals: Pillow images of any size, one for each of ``images``, that resized crops are taken from instead.

    Returns:
        (order (n,), images (n, H, W, C) uint8).
    """
    rng = np.random.RandomState([seed, epoch])
    order = rng.permutation(len(images))
    presented = np.asarray(images)[order]
    if recipe.crop_scale is not None:
        originals = [_picture(image) for image in images] if originals is None else originals
        presented = np.stack([_resized_crop(originals[i], uniform, recipe, presented.shape[1])
                              for i, uniform in zip(order, rng.random_sample((len(order), 22)), strict=True)])
        presented = presented.reshape(len(order), *images.shape[1:])
    if recipe.crop_padding:
        shifts = rng.randint(0, 2 * recipe.crop_padding + 1, size=(len(order), 2))
        presented = _crop(presented, shifts, recipe.crop_padding, recipe.padding_mode)
    if recipe.flip:
        mirror = (_alternate(seed, epoch, order) if recipe.flip == "alternate"
                  else rng.randint(0, 2, size=len(order)))
        presented = np.stack([image[:, ::-1] if flipped else image
                              for image, flipped in zip(presented, mirror, strict=True)])
    return order, presented


def _alternate(seed: int, epoch: int, order: np.ndarray) -> list[int]:
    bits = np.random.RandomState([seed, zlib.crc32(b"flip")]).randint(0, 2, size=len(order))
    return [(bits[i] + epoch) % 2 for i in order]


@torch.no_grad()
def whiten(network: nn.Module, split: Split, samples: int = 5000, eps: float = 5e-4) -> None:
    """Give the first convolution the filters v_j / sqrt(e_j + eps) and their negatives, and freeze its weights.

    e_j and v_j are the largest eigenvalues of the second moments of the patches of the first ``samples`` images, and
    their eigenvectors, turned so that the entry of largest size is positive. A bias is set to 0.

    Args:
        network: it is changed in place.
        split: with ``images``, ``mean`` and ``std``.
        samples: how many images.
        eps: added to the eigenvalues.
    """
    layer = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    images = normalize(split.images[:samples], split.mean, split.std).to(layer.weight.device)
    patches = F.unfold(images, layer.kernel_size).transpose(1, 2).flatten(0, 1).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = []
    for j in range(1, layer.out_channels // 2 + 1):
        vector = vectors[:, -j]
        vector = vector * vector[vector.abs().argmax()].sign()
        filters.append(vector / (values[-j] + eps).sqrt())
    filters = torch.stack(filters).reshape(-1, *layer.weight.shape[1:])
    freeze_first(layer, torch.cat([filters, -filters]))


@torch.no_grad()
def freeze_first(layer: nn.Conv2d, filters: torch.Tensor) -> None:
    """Give a convolution weights that are not trained, and a bias of 0, which is trained."""
    layer.weight.copy_(filters)
    layer.weight.requires_grad_(False)
    if layer.bias is not None:
        layer.bias.zero_()


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.asarray(image).squeeze(2) if image.shape[2] == 1 else np.asarray(image))


def _resized_crop(picture: Image.Image, uniform: np.ndarray, recipe: Recipe, size: int) -> np.ndarray:
    """The RandomResizedCrop of torchvision, by 22 given numbers: area and ratio of ten tries, then left and top."""
    width, height = picture.size
    least = recipe.crop_scale or 0.0
    tries, (left, top) = uniform[:20].reshape(10, 2), uniform[20:]
    box = None
    for area, ratio in tries:
        target = width * height * (least + (1 - least) * area)
        aspect = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * ratio)
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 1 <= w <= width and 1 <= h <= height:
            x, y = math.floor(left * (width - w + 1)), math.floor(top * (height - h + 1))
            box = (x, y, x + w, y + h)
            break
    if box is None:
        w, h = width, height
        if width / height < 3 / 4:
            h = round(width / (3 / 4))
        elif width / height > 4 / 3:
            w = round(height * (4 / 3))
        x, y = (width - w) // 2, (height - h) // 2
        box = (x, y, x + w, y + h)
    cropped = picture.crop(box)
    if recipe.crop_size is not None:
        cropped = cropped.resize((recipe.crop_size, recipe.crop_size), Image.Resampling.BILINEAR)
    return np.asarray(cropped.resize((size, size), Image.Resampling.BILINEAR))


def _crop(images: np.ndarray, shifts: np.ndarray, padding: int, padding_mode: str) -> np.ndarray:
    height, width = images.shape[1:3]
    border = ((padding, padding), (padding, padding), (0, 0))
    mode: Literal["constant", "reflect"] = "constant" if padding_mode == "zeros" else "reflect"
    padded = np.pad(images, ((0, 0), *border), mode=mode)
    return np.stack([image[top:top + height, left:left + width]
                     for image, (top, left) in zip(padded, shifts, strict=True)])


def update(network: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, labels: torch.Tensor,
           weights: torch.Tensor, clip_norm: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """One update by a batch, in training mode; see ``train``.

    Args:
        network: the module.
        optimizer: of its parameters.
        inputs: (B, C, H, W).
        labels: (B,).
        weights: (B,).
        clip_norm: largest norm of the whole gradient, or None.

    Returns:
        (loss, logits (B, C) before the update), detached from the network.
    """
    loss, logits = backward(network, inputs, labels, weights)
    descend(network, optimizer, clip_norm)
    return loss, logits


def backward(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor,
             total: float | None = None, mixed: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of a batch's loss, in the parameters' ``grad``; arguments and result as of ``update``.

    ``total``: what the weighted sum of the losses is divided by; None: the sum of the weights. ``mixed``: whether the
    network computes in bfloat16 where ``torch.autocast`` does, on images whose channels lie last, the fastest so.
    """
    network.train()
    if mixed and inputs.dim() == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=mixed):
        logits = network(inputs)
    logits = logits.float()
    losses = F.cross_entropy(logits, labels, reduction="none")
    network.zero_grad()
    loss = (weights * losses).sum() / (total or weights.sum() or 1)
    loss.backward()
    return loss.detach(), logits.detach()


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, clip_norm: float | None) -> None:
    """Update the parameters by their ``grad``, which is scaled down to ``clip_norm`` where that is given."""
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()


def observe(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, np.ndarray]:
    """What ``train`` records of each sample: a dict of (B,) arrays, computed in float64. See there."""
    logits = logits.double()
    log_probabilities = F.log_softmax(logits, dim=1)
    probabilities = log_probabilities.exp()
    onehot = F.one_hot(labels, logits.shape[1])
    observed = {
        "probability": _of_label(probabilities, labels),
        "margin": _margin(probabilities, labels).clamp(max=1),  # of one class alone: the whole
        "logit_margin": _margin(logits, labels),
        "error_norm": (probabilities - onehot).norm(dim=1),
        "loss": -_of_label(log_probabilities, labels),
    }
    floats = {name: values.float().numpy() for name, values in observed.items()}
    return {**floats, "correct": (logits.argmax(dim=1) == labels).numpy()}


def _of_label(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return values[torch.arange(len(labels)), labels]


def _margin(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    others = values.clone()
    others[torch.arange(len(labels)), labels] = -torch.inf
    return _of_label(values, labels) - others.max(dim=1).values


def _record(records: dict[str, np.ndarray], rows: np.ndarray, observed: dict[str, np.ndarray], n: int) -> None:
    for name, values in observed.items():
        records.setdefault(name, np.zeros((n, *values.shape[1:]), values.dtype))[rows] = values


def evaluate(network: Network, split: Split, batch_size: int = 256) -> float:
    """Accuracy on a split, in [0, 1], in evaluation mode."""
    logits = extract(network, split, need=("logits",), batch_size=batch_size).logits
    return float((logits.argmax(axis=1) == np.asarray(split.labels)).mean())
