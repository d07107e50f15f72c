"""Networks of timm and torchvision, as they are, with what selection needs beside: features, and a seed for all draws.

Images of any number of channels and, where the network allows it, of any size: what a constructor has to be told of the
size it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ms_coreset.engines.of_torch import ENGINE, TorchNetwork, TorchTrainer, import_torchvision
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    from ms_coreset.training.recipe import Recipe

_COLORS = 3  # channels that torchvision's networks are built for


def names(library: str) -> list[str]:
    """The classifiers of "timm" or "torchvision" by name."""
    torchvision = import_torchvision()  # which timm imports, too
    if library == "torchvision":
        return torchvision.models.list_models(module=torchvision.models)
    import timm

    return timm.list_models()


def build(library: str, model: str, num_classes: int, in_channels: int, image_size: int, *,
          seed: int = 0) -> LibraryNetwork:
    """A network of a library with first weights by its own distributions, drawn on the host for ``seed``.

    Args:
        library: "timm" or "torchvision".
        model: one of its ``names``.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of the images in pixels.
        seed: of the first weights.

    Returns:
        The network, on the engine's device.

    Raises:
        MsCoresetError: for a network that can't have images of this size, and for one whose logits are not what a
            linear layer makes of one vector for each image.
    """
    name = f"{library}:{model}"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            module = (_timm if library == "timm" else _torchvision)(model, num_classes, in_channels, image_size)
            head = _last_linear(module, torch.zeros(1, in_channels, image_size, image_size))
        except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MsCoresetError(f"network {name} can't have images of {image_size} x {image_size} pixels and "
                                 f"{in_channels} channels: {reason}") from error
    if head is None:
        raise MsCoresetError(f"network {name} does not end with a linear layer of one vector for each image, whose "
                             "input would be its features")
    return LibraryNetwork(module.to(ENGINE.device), head, library)


def _timm(model: str, num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    import timm

    # Of networks that are built for one size of images; others have no such option.
    size: dict[str, Any] = {"img_size": image_size} if timm.get_pretrained_cfg_value(model, "fixed_input_size") else {}
    module = timm.create_model(model, num_classes=num_classes, in_chans=in_channels, **size)
    patch = max(getattr(getattr(module, "patch_embed", None), "patch_size", (1,)))
    if image_size % patch:  # the rest would not be looked at
        raise ValueError(f"the side must be a multiple of the patches', {patch}")
    return module


def _torchvision(model: str, num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    without_aux = {"aux_logits": False, "init_weights": True}
    options: dict[str, dict[str, Any]] = {
        "vit": {"image_size": image_size}, "maxvit": {"input_size": (image_size, image_size)},
        "googlenet": without_aux, "inception": without_aux}
    family = model.partition("_")[0]
    module = import_torchvision().models.get_model(model, num_classes=num_classes, **options.get(family, {}))
    if in_channels != _COLORS:
        _take_channels(module, in_channels)
    return module


def _take_channels(module: nn.Module, in_channels: int) -> None:
    """Replace the first convolution by one for images of other channels, which is drawn anew."""
    name, old = next((name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d))
    parent, _, place = name.rpartition(".")
    setattr(module.get_submodule(parent), place, nn.Conv2d(
        in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, old.groups,
        bias=old.bias is not None, padding_mode=old.padding_mode))


def _last_linear(module: nn.Module, images: torch.Tensor) -> str | None:
    """Name of the linear layer whose output (B, C), of an input (B, d), is what the network returns."""
    passed: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    linear = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    handles = [layer.register_forward_hook(lambda _, inputs, output, name=name: passed.append(
        (name, inputs[0], output))) for name, layer in linear.items()]
    with torch.no_grad():
        logits = module.eval()(images)
    for handle in handles:
        handle.remove()
    if not passed or not isinstance(logits, torch.Tensor):
        return None
    name, features, output = passed[-1]
    return name if features.dim() == 2 and torch.equal(output, logits) else None


class LibraryNetwork(TorchNetwork):
    """A module of a library as a ``kinds.Network``.

    Attributes:
        module: the library's own module.
        head_name: the library's name of the last linear layer.
    """

    def __init__(self, module: nn.Module, head_name: str, library: str) -> None:
        self._last = module.get_submodule(head_name)
        super().__init__(module, {}, ENGINE, self._last)
        self.head_name, self._library = head_name, library

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The exact input of the last linear layer, (B, d)."""
        passed: list[torch.Tensor] = []
        handle = self._last.register_forward_pre_hook(lambda _, inputs: passed.append(inputs[0]))
        try:
            self.module(x)
        finally:
            handle.remove()
        return passed[-1]

    def trainer(self, recipe: Recipe, of_samples: bool = False) -> TorchTrainer:
        """The object that trains it by a recipe; of_samples: see ``training.parallel.total_weight``."""
        return _LibraryTrainer(self, recipe, of_samples)

    def layers_text(self) -> str:
        """The library's version, and classes and settings of all layers."""
        return f"{self._library} {metadata.version(self._library)}: {super().layers_text()}"


class _LibraryTrainer(TorchTrainer):
    """A trainer of networks whose dropout and stochastic depth draw from torch's generator.

    Each batch has a seed of its own. Other users of the generator notice nothing.
    """

    _rng: np.random.RandomState  # of the epoch, set before its first batch

    def reseed(self, rng: np.random.RandomState) -> None:
        """Make dropout draw from ``rng``."""
        self._rng = rng

    def backward(self, images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]]:
        """See ``TorchTrainer``."""
        with _seeded(self._rng.randint(2**31)):
            try:
                return super().backward(images, labels, weights)
            except ValueError as error:  # torch's, of batch normalization
                raise MsCoresetError(f"a batch of {len(labels)} can't be trained on ({error}): take another "
                                     "--batch-size") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    device = ENGINE.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
