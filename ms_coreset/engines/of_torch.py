"""PyTorch's engine: the one file that knows torch_ref, whose networks are trained and evaluated here."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import torch_ref
from ms_coreset.batches import Batch, Source, ahead_in_thread
from ms_coreset.device import compute_elsewhere, gpus_text, nvidia_gpus
from ms_coreset.distributed import TORCHRUN, connect, launcher, local_rank
from ms_coreset.engines.frameworks import MEMORY, TORCH
from ms_coreset.errors import MsCoresetError
from ms_coreset.terminal import warn
from torch_ref.networks import build_network, options_of
from torch_ref.networks.layers import reseed
from torch_ref.torchvision_compat import import_torchvision as import_torchvision
from torch_ref.training import backward, descend, freeze_first

if TYPE_CHECKING:
    from ms_coreset.kinds import Shapes
    from ms_coreset.training.recipe import Recipe

_COUNTER = "num_batches_tracked"  # torch's, for an averaging that is not used here
_DEVICES = ("auto", "cpu", "cuda", "mps")


class TorchEngine:
    """See ``engines.Engine``.

    Attributes:
        device: by torch's name, set by ``set_device``.
    """

    name, suffix = TORCH, ".pth"

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    @property
    def device_name(self) -> str:
        """The device's name, "CPU" in capitals as elsewhere."""
        return "CPU" if self.device.type == "cpu" else self.device.type

    def set_device(self, name: str, precision: str) -> str:
        """Compute with networks on a device, and with everything else on the host; then find the other ranks, if any.

        Of several GPUs a process of torchrun takes the one whose number is its own on its machine.

        Args:
            name: "auto" (the best available), "cpu", "cuda" or "mps", in any case.
            precision: of products and convolutions on CUDA: "float32", with 24 bits, or "fast", with factors rounded to
                11 bits (TF32).

        Returns:
            The device's name, "CPU" in capitals as elsewhere.

        Raises:
            MsCoresetError: for another name, for a device that is not available, and for one that several processes
                can't have.
        """
        if name.lower() not in _DEVICES:
            raise MsCoresetError(f"unknown device {name!r}: with --framework torch there are {', '.join(_DEVICES)}")
        there = [device for device, is_there in (("cuda", torch.cuda.is_available()),
                                                 ("mps", torch.backends.mps.is_available()), ("cpu", True)) if is_there]
        chosen = there[0] if name.lower() == "auto" else name.lower()
        if chosen not in there:
            raise MsCoresetError(f"device {name}: PyTorch {torch.__version__} finds none here; available: "
                                 f"{', '.join(there)}")
        if name.lower() == "auto" and chosen == "cpu" and (gpus := nvidia_gpus()):
            warn(f"{gpus_text(gpus)} here, which this PyTorch, {torch.__version__}, can't use: computing on the CPU")
        self.device = _own_device(chosen) if launcher() is TORCHRUN else torch.device(chosen)
        compute_elsewhere(_settings(chosen, precision))
        connect()
        return self.device_name

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def array(self, tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy()

    def zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=self.device)

    def join(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(tensors)

    def write(self, parameter: Parameter, values: np.ndarray) -> None:
        parameter.set_data(self.tensor(values))

    def asking(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    def gradient(self, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def of(first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            first = first.detach().requires_grad_()
            return torch.autograd.grad(function(first, *others), first)[0]

        return of

    def mean_cross_entropy(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        return lambda logits, labels: nn.functional.cross_entropy(logits, labels.long())

    def layers(self, network: TorchNetwork) -> Iterator[nn.Module]:
        return network.module.modules()

    def first_convolution(self, network: TorchNetwork) -> nn.Conv2d | None:
        first = next(layer for layer in self.layers(network) if isinstance(layer, nn.Conv2d | nn.Linear))
        return first if isinstance(first, nn.Conv2d) else None

    def freeze(self, convolution: nn.Conv2d, weight: np.ndarray) -> None:
        freeze_first(convolution, self.tensor(weight))

    def ahead(self, source: Source, size: int) -> Iterator[Batch]:
        return ahead_in_thread(source, size)

    def create_network(self, arch: str, num_classes: int, in_channels: int, *, image_size: int, seed: int,
                       **options: Any) -> Any:
        """A ``TorchNetwork`` of torch_ref with first weights from ``seed``: the same as MindSpore's network has.

        Args:
            arch: name of the network.
            num_classes: number of logits.
            in_channels: channels of an image.
            image_size: side of the images in pixels.
            seed: of the first weights.
            options: of the network.

        Returns:
            The network.

        Raises:
            MsCoresetError: for a network that torch_ref lacks, and for an option that the network does not have.
        """
        if arch not in torch_ref.NETWORKS:
            raise MsCoresetError(f"--framework torch: there is no network {arch} in PyTorch here, only those of "
                                 f"list_networks() that come with the package; --framework mindspore has it")
        try:
            module = torch_ref.create_network(arch, num_classes, in_channels, image_size=image_size, seed=seed,
                                              **options)
        except ValueError as error:
            raise MsCoresetError(error) from error
        described = {"arch": arch, "num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        return TorchNetwork(module.to(self.device), {**described, **options}, self)

    def describe(self, shapes: Shapes, *, image_size: int, arch: str | None = None) -> dict[str, Any]:
        """The arguments of ``create_network`` for a network with weights of these ``shapes``, by MindSpore's names.

        Each network is built, without numbers, in each of the ways in which its family was published; the one with the
        same weights is it. The last dense layer may have any number of inputs.

        Args:
            shapes: MindSpore's name of a parameter -> shape.
            image_size: side of the images in pixels.
            arch: the network that it must be, or None.

        Returns:
            "arch", "num_classes", "in_channels" and options of the family; empty for a network not known here.
        """
        weights = [(name, shape) for name, shape in shapes.items() if len(shape) in (2, 4)]
        if not weights:
            return {}
        first = weights[0][1]
        sizes = {"num_classes": weights[-1][1][0],
                 "in_channels": first[1] if len(first) == 4 else first[1] // image_size**2}
        widths = list(dict.fromkeys(shape[0] for _, shape in weights[:3]))
        for name in [arch] if arch in torch_ref.NETWORKS else torch_ref.NETWORKS if arch is None else []:
            for options in _ways(name):
                if _shapes(name, 10, 3, image_size, **options).keys() != shapes.keys():
                    continue
                for width in widths if "width" in options_of(name) else [None]:
                    sized = {**options, **({} if width is None else {"width": width})}
                    found = _shapes(name, *sizes.values(), image_size, **sized)
                    if all(shape == shapes[layer] for layer, shape in found.items() if layer not in _head_of(found)):
                        return {"arch": name, **sizes, **sized}
        return {}


def _ways(name: str) -> Iterator[dict[str, Any]]:
    """The ways in which a network can be built: all combinations of those options that its weights tell."""
    known = {"variant": ("cifar", "imagenet"), "batch_norm": (True, False), "aux": (False, True)}
    has = {option: values for option, values in known.items() if option in options_of(name)}
    for values in itertools.product(*has.values()):
        yield dict(zip(has, values, strict=True))


@functools.lru_cache(256)
def _shapes(name: str, num_classes: int, in_channels: int, image_size: int, **options: Any) -> Shapes:
    """Shapes of a network's weights by MindSpore's names; empty if it can't be built so."""
    try:
        with torch.device("meta"):
            module, _ = build_network(name, num_classes, in_channels, image_size, **options)
    except (ValueError, RuntimeError):  # for images of another size, say
        return {}
    names = dict.fromkeys(torch_ref.to_mindspore_names({key: torch.empty(0) for key in module.state_dict()}))
    shapes = (tuple(tensor.shape) for key, tensor in module.state_dict().items() if not key.endswith(_COUNTER))
    return dict(zip(names, shapes, strict=True))


def _head_of(shapes: Shapes) -> tuple[str, str]:
    """Weight and bias of the last dense layer."""
    weight = [name for name, shape in shapes.items() if len(shape) == 2][-1]
    return weight, weight.removesuffix("weight") + "bias"


def _own_device(name: str) -> torch.device:
    """This process's device of that kind, among several processes of torchrun."""
    if name == "mps":
        raise MsCoresetError("device mps: PyTorch's processes exchange nothing that lies on it: take --device cpu, or "
                             "start one process, without torchrun")
    if name == "cpu":
        return torch.device("cpu")
    device, there = torch.device(name, local_rank()), torch.cuda.device_count()
    if device.index >= there:
        raise MsCoresetError(f"device {name}: process {device.index} of this machine has none, PyTorch finds {there}: "
                             f"torchrun --nproc-per-node {there}")
    torch.cuda.set_device(device)  # NCCL's, too
    return device


def _settings(device: str, precision: str) -> dict[str, Any]:
    """Set torch up for a device; the settings as plain values for a result's notes, none on a CPU."""
    if device == "cpu":
        return {}
    if device == "mps":
        if precision != "float32":
            raise MsCoresetError(f"precision {precision}: on mps PyTorch computes in float32 only")
        return {"precision": precision, "deterministic": None}
    fast = precision == "fast"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which its sums differ from run to run
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, fast
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    return {"precision": precision, "deterministic": True}


class Parameter:
    """A weight, or a running statistic, under MindSpore's name; see ``kinds.Trainable``."""

    def __init__(self, name: str, tensor: torch.Tensor) -> None:
        self.name, self._tensor, self.shape = name, tensor, tuple(tensor.shape)
        self.requires_grad = tensor.requires_grad

    def asnumpy(self) -> np.ndarray:
        """The numbers, in an array of its own."""
        return self._tensor.detach().cpu().numpy().copy()

    @torch.no_grad()
    def set_data(self, tensor: torch.Tensor) -> None:
        """Set the numbers to those of another tensor."""
        self._tensor.copy_(tensor)


class Head:
    """The last dense layer; see ``kinds.Network``."""

    def __init__(self, layer: nn.Linear) -> None:
        self._layer, self.in_channels, self.out_channels = layer, layer.in_features, layer.out_features

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return self._layer(features)


class TorchNetwork:
    """A module as a ``kinds.Network``: one of torch_ref, which has ``features``.

    Args:
        module: the network.
        description: the arguments of ``create_network`` that it was made with; an attribute, too.
        engine: that computes it.
        head: its last linear layer; None: the one that was defined last.
    """

    variant = None

    def __init__(self, module: nn.Module, description: Mapping[str, Any], engine: TorchEngine,
                 head: nn.Linear | None = None) -> None:
        self.module, self.description, self.coreset_engine = module, dict(description), engine
        self.head = Head(head or [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1])
        self.num_features = self.head.in_channels

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The exact input of the last dense layer, (B, d)."""
        return self.module.features(x)

    def set_train(self, mode: bool = True) -> object:
        """Training mode, or evaluation mode."""
        return self.module.train(mode)

    def get_parameters(self) -> Iterator[Parameter]:
        """Weights and running statistics, in their order."""
        tensors = self.module.state_dict(keep_vars=True)
        own = [tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)]
        yield from map(Parameter, torch_ref.to_mindspore_names(tensors), own)

    def trainer(self, recipe: Recipe, of_samples: bool = False) -> TorchTrainer:
        """The object that trains it by a recipe; of_samples: see ``training.parallel.total_weight``."""
        return TorchTrainer(self, recipe, of_samples)

    def layers_text(self) -> str:
        """The computation that it does with its weights, as text: classes and settings of all its layers."""
        return repr(self.module)


class TorchTrainer:
    """Computes a network's gradients and updates it by a recipe; see ``training.loop.Trainer``."""

    def __init__(self, network: TorchNetwork, recipe: Recipe, of_samples: bool = False) -> None:
        self._of_samples, self._mixed = of_samples, recipe.amp
        self._module, self._engine, self._clip_norm = network.module, network.coreset_engine, recipe.clip_norm
        self.parameters = [parameter for parameter in network.get_parameters() if parameter.requires_grad]
        self._named = [(parameter.name, parameter._tensor) for parameter in self.parameters]
        self._optimizer = torch.optim.SGD([tensor for _, tensor in self._named], lr=recipe.lr,
                                          momentum=recipe.momentum, nesterov=recipe.nesterov,
                                          weight_decay=recipe.weight_decay)

    def backward(self, images: np.ndarray, labels: np.ndarray,
                 weights: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]]:
        """(loss, logits, gradients) of a batch; zeros for parameters that the loss does not depend on."""
        tensor, given = self._engine.tensor, np.ones(len(labels)) if weights is None else weights
        loss, logits = backward(self._module, tensor(images), tensor(labels).long(), tensor(given.astype(np.float32)),
                                len(labels) if self._of_samples else None, self._mixed)
        return loss, logits, [torch.zeros_like(own) if own.grad is None else own.grad for _, own in self._named]

    def update(self, gradients: Sequence[torch.Tensor], learning_rate: float) -> None:
        """Update the network by gradients of its parameters."""
        for (_, own), gradient in zip(self._named, gradients, strict=True):
            own.grad = gradient
        self._optimizer.param_groups[0]["lr"] = learning_rate
        descend(self._module, self._optimizer, self._clip_norm)

    def reseed(self, rng: np.random.RandomState) -> None:
        """Make dropout draw from ``rng``."""
        reseed(self._module, rng)

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""
        memory = self._optimizer.state
        velocities = {name: memory[tensor].get("momentum_buffer") for name, tensor in self._named}
        return {MEMORY + name: self._engine.array(torch.zeros_like(tensor) if velocities[name] is None
                                                   else velocities[name]) for name, tensor in self._named}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what ``state`` gave."""
        for name, tensor in self._named:
            self._optimizer.state[tensor]["momentum_buffer"] = self._engine.tensor(np.array(arrays[MEMORY + name]))


ENGINE = TorchEngine()
