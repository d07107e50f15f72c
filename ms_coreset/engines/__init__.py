"""The frameworks that compute with networks: MindSpore, or PyTorch with the networks of torch_ref.

An engine has the few operations on tensors in which the two differ. Everything else works on NumPy arrays and is the
same code for both: batches, recipes, records, caches, checkpoints, selection.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ms_coreset.device import require_mindspore
from ms_coreset.distributed import current, launcher_of
from ms_coreset.errors import MsCoresetError

if TYPE_CHECKING:
    from ms_coreset.batches import Batch, Source
    from ms_coreset.engines.of_torch import TorchEngine


class Engine(Protocol):
    """The operations in which the frameworks differ.

    Attributes:
        name: of ``frameworks.FRAMEWORKS``.
        suffix: of the checkpoints that training writes.
    """

    name: str
    suffix: str

    def tensor(self, array: np.ndarray) -> Any:
        """An array as a tensor on the device."""

    def array(self, tensor: Any) -> np.ndarray:
        """A tensor as an array on the host."""

    def zeros(self, *shape: int) -> Any:
        """A tensor of zeros, float32."""

    def join(self, tensors: Sequence[Any]) -> Any:
        """Tensors (m,) one after the other."""

    def asking(self) -> AbstractContextManager[Any]:
        """A context in which networks are only evaluated, and nothing is kept for gradients."""

    def gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The gradient, by its first argument, of a function of tensors whose value is a single number."""

    def mean_cross_entropy(self) -> Callable[[Any, Any], Any]:
        """A function from logits (B, C) and labels (B,) int32 to the mean of their cross entropies."""

    def layers(self, network: Any) -> Iterator[Any]:
        """All layers of a network."""

    def first_convolution(self, network: Any) -> Any:
        """The first layer with weights if it is a convolution, else None."""

    def freeze(self, convolution: Any, weight: np.ndarray) -> None:
        """Give a convolution fixed weights and a bias of 0.

        Args:
            convolution: of the framework.
            weight: its new weights, which are not trained.
        """

    def ahead(self, source: Source, size: int) -> Iterator[Batch]:
        """The batches of a source, prepared while the earlier ones are used.

        Args:
            source: of batches.
            size: bytes of a batch.

        Yields:
            Batches.
        """


def engine_of(network: object) -> Engine:
    """The engine of a network, or of a function of tensors: MindSpore's, unless the object names another.

    Raises:
        MsCoresetError: if it is MindSpore's, and MindSpore is not installed; and if the ranks are connected by the
            other framework.
    """
    engine = getattr(network, "coreset_engine", None) or _mindspore_engine()
    require_common(engine.name)
    return engine


def _mindspore_engine() -> Engine:
    require_mindspore()
    from ms_coreset.engines.of_mindspore import ENGINE

    return ENGINE


def require_common(framework: str) -> None:
    """Check that the ranks can share networks of a framework.

    Raises:
        MsCoresetError: if they are connected by the other one.
    """
    theirs = current().framework
    if theirs and theirs != framework:
        fitting, other = launcher_of(framework), launcher_of(theirs)
        raise MsCoresetError(f"networks by {fitting.title}: several processes share them where {fitting.command} "
                             f"starts them; these are connected by {other.title}, whose networks they can share "
                             f"(--framework {theirs})")


def torch_engine() -> TorchEngine:
    """PyTorch's engine.

    Raises:
        MsCoresetError: if PyTorch is not installed, or can't be imported.
    """
    if importlib.util.find_spec("torch") is None:
        raise MsCoresetError('--framework torch needs PyTorch, which is not installed: pip install "ms-coreset[torch]"')
    try:
        from ms_coreset.engines.of_torch import ENGINE
    except ImportError as error:
        raise MsCoresetError(f"PyTorch is installed, but can't be imported: {error}") from error
    return ENGINE
