"""One update of a MindSpore network by a batch: operation by operation, or as one compiled graph.

A graph (``mindspore.jit``) holds the forward and the backward pass and the update of every parameter, so that the host
starts one thing a batch and not some hundreds. It is made for one shape of batches. It reads and writes the parameters
where they were when it was made: whatever changes them later does so in place, by
``of_mindspore.write``, never by ``set_data``.

MindSpore (2.10) keeps a graph, and the parameters that it reads, until the process ends; no call of its frees them.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, amp, float32, ops

from ms_coreset.device import compiles, mean_cross_entropy
from ms_coreset.engines.of_mindspore import write
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.layers import Dropout, dropout_layers, reseed
from ms_coreset.terminal import warn
from ms_coreset.training.optimizer import SGD
from ms_coreset.training.parallel import over_ranks, total_weight

if TYPE_CHECKING:
    from ms_coreset.batches import Batch
    from ms_coreset.distributed import Alone
    from ms_coreset.kinds import Network
    from ms_coreset.training.recipe import Recipe

# Of one training: for whole batches and the last, with weights and without. Others, of coresets that are chosen anew,
# would take longer to make than they save.
MOST_GRAPHS = 4
FIRST_SCALE, GROWTH, PATIENCE = 2**16, 2, 2000  # of the loss: times 2 after so many updates without an overflow
# What MindSpore raises for code that it can't compile, ...
_OF_COMPILING = (RuntimeError, TypeError, ValueError, AttributeError, NameError, LookupError, NotImplementedError,
                 SyntaxError)
# ... and what of it is no such thing: a graph that was compiled and fails when it runs, or memory that is at its end.
_OF_RUNNING = re.compile(r"ccsrc/runtime/|bad_alloc|out of memory|memory.{0,20}(not|n't) enough|alloc\w* .*fail", re.I)


class MindSporeTrainer:
    """Updates a MindSpore Cell by a recipe; see ``loop.Trainer``.

    On several ranks each goes through its share of the batch; loss, logits and update are of the whole.

    Args:
        network: that is trained, in float32.
        recipe: with the options of the optimizer, and ``amp``.
        ranks: that share every batch.
        of_samples: see ``parallel.total_weight``.
    """

    def __init__(self, network: Network, recipe: Recipe, ranks: Alone, of_samples: bool = False) -> None:
        self._of_samples = of_samples
        self._optimizer = SGD(list(network.trainable_params()), recipe)
        self._forward = lower(network) if recipe.amp else network
        self._scaler: Any = amp.DynamicLossScaler(FIRST_SCALE, GROWTH, PATIENCE) if recipe.amp else None
        self._classes = network.head.out_channels
        if recipe.amp:
            self._forward.set_train(True)  # the network itself is set by whoever evaluates it in between
        gradient, update = self._gradient(), self._update()
        if ranks.size == 1:
            self._whole = _as_graph(_one_after_the_other(gradient, update), self._forward)
        else:
            local, self._write = _as_graph(gradient, self._forward), _as_graph(update)
            self._backward = over_ranks(lambda *of_share: local(*self._operands(*of_share)), network,
                                        self._optimizer.parameters, ranks, of_samples)
        self._ranks = ranks

    def step(self, batch: Batch, weights: np.ndarray | None, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Update the network in training mode.

        Args:
            batch: of images and labels.
            weights: (B,) of the samples, or None for 1.
            learning_rate: of this update.

        Returns:
            (loss, logits before the update), on the device.
        """
        rate = Tensor(learning_rate, float32)
        if self._ranks.size == 1:
            return self._whole(*self._operands(batch.images, batch.labels, weights), rate)
        loss, logits, gradients = self._backward(batch.images, batch.labels, weights)
        self._write(*gradients, rate)
        return loss, logits

    def reseed(self, rng: np.random.RandomState) -> None:
        """Let dropout draw from ``rng``."""
        reseed(self._forward, rng)

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name, and the scale of the loss."""
        return {**self._optimizer.state(), **{name: parameter.asnumpy() for name, parameter in self._scale().items()}}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""
        self._optimizer.restore(arrays)
        for name, parameter in self._scale().items():
            write(parameter, np.array(arrays[name]).reshape(()))

    def _scale(self) -> dict[str, Parameter]:
        scaler = self._scaler
        return {} if scaler is None else {"loss_scale": scaler.scale_value, "loss_scale_age": scaler.counter}

    def _operands(self, images: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> list[Tensor]:
        """Images and labels; or of weighted samples images, targets (B, C), and shares (B,) of the batch's weight."""
        if weights is None:
            return [Tensor(images), Tensor(labels)]
        shares = (weights / total_weight(labels, weights, self._of_samples)).astype(np.float32)
        return [Tensor(images), Tensor(np.eye(self._classes, dtype=np.float32)[labels]), Tensor(shares)]

    def _gradient(self) -> Callable[..., Any]:
        """A function of ``_operands`` to (loss, logits, gradients)."""
        network, scaler = self._forward, self._scaler
        # Fused kernels: the mean of a batch, and a loss for each sample. ops.cross_entropy takes ten times as long on
        # a CPU.
        mean_loss, losses_of = mean_cross_entropy(), ops.SoftmaxCrossEntropyWithLogits()

        def loss_of(logits: Tensor, targets: Tensor, *shares: Tensor) -> Tensor:
            if len(shares) == 0:
                return mean_loss(logits, targets)
            losses, _ = losses_of(logits, targets)
            return (losses * shares[0]).sum()

        def forward(images: Tensor, *answers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            logits = network(images)
            loss = loss_of(logits, *answers)
            return loss if scaler is None else scaler.scale(loss), loss, logits

        differentiate = mindspore.value_and_grad(forward, None, self._optimizer.parameters, has_aux=True)

        def gradient(*operands: Tensor) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
            (_, loss, logits), gradients = differentiate(*operands)
            return loss, logits, gradients if scaler is None else scaler.unscale(gradients)

        return gradient

    def _update(self) -> Callable[..., Any]:
        """A function (gradients ..., learning rate) that updates the network; with ``amp`` where all are finite."""
        update, scaler = self._optimizer.update, self._scaler

        def plain(*gradients_and_rate: Any) -> Tensor:
            return update(gradients_and_rate[:-1], gradients_and_rate[-1])

        def scaled(*gradients_and_rate: Any) -> Tensor:
            finite = amp.all_finite(gradients_and_rate[:-1])
            scaler.adjust(finite)
            if finite:
                return update(gradients_and_rate[:-1], gradients_and_rate[-1])
            return gradients_and_rate[-1]

        return plain if scaler is None else scaled


def _one_after_the_other(gradient: Callable[..., Any], update: Callable[..., Any]) -> Callable[..., Any]:
    def step(*operands_and_rate: Any) -> tuple[Tensor, Tensor]:
        loss, logits, gradients = gradient(*operands_and_rate[:-1])
        update(*gradients, operands_and_rate[-1])
        return loss, logits

    return step


def _as_graph(function: Callable[..., Any], network: Any = None) -> Callable[..., Any]:
    return Compiled(function, network) if compiles() else function


def lower(network: Network) -> Any:
    """A network of the same parameters, in float32, that computes by MindSpore's O2: in float16 but for normalisation.

    Its logits are float32. The network itself, its evaluation and its checkpoints stay as they are.
    """
    twin = copy.deepcopy(network)
    for (_, copied), (_, cell) in zip(twin.cells_and_names(), network.cells_and_names(), strict=True):
        for name, parameter in cell.parameters_and_names(expand=False):
            setattr(copied, name, parameter)
    return amp.auto_mixed_precision(twin, "O2")


class Compiled:
    """A function of tensors, as a graph for each of the first ``MOST_GRAPHS`` shapes that it is called with.

    Where MindSpore can't compile it, that is said, and it goes operation by operation: this call, with the numbers that
    dropout has drawn for it, and all others of new shapes. So it does for a network that draws random numbers by
    itself, which would be the same for every batch in a graph. (So is whatever else its Python code changes from call
    to call; that is not noticed.)

    Args:
        function: of tensors, the first of which are the images if it calls the network.
        network: that it calls with the first tensor, if any.
    """

    def __init__(self, function: Callable[..., Any], network: Any = None) -> None:
        self._function, self._network = function, network
        self._graphs: dict[tuple, tuple[Callable[..., Any], _Masks]] = {}
        self._given_up = False

    def __call__(self, *operands: Tensor) -> Any:
        """The function's value."""
        shape = tuple(operand.shape for operand in operands)
        if shape in self._graphs:
            graph, masks = self._graphs[shape]
            masks.draw()
            return graph(*operands)
        if self._given_up or len(self._graphs) == MOST_GRAPHS:
            return self._function(*operands)
        return self._compile(shape, operands)

    def _compile(self, shape: tuple, operands: Sequence[Tensor]) -> Any:
        try:
            masks = _Masks([] if self._network is None else _dropout_of(self._network, operands[0]))
        except _DrawsItself as reason:
            self._give_up(reason)
            return self._function(*operands)
        # By default 2.7.1 takes GraphEngine on some Ascends, which is for its graph mode alone.
        graph = mindspore.jit(self._function, fullgraph=True, backend="ms_backend")
        masks.draw()
        with masks.in_place():
            try:
                found = graph(*operands)
            except _OF_COMPILING as error:
                if isinstance(error, MsCoresetError) or _OF_RUNNING.search(str(error)):
                    raise
                self._give_up(f"MindSpore can't compile it ({str(error).strip().partition(chr(10))[0]})")
                return self._function(*operands)
        self._graphs[shape] = graph, masks
        return found

    def _give_up(self, reason: object) -> None:
        self._given_up = True
        warn(f"training is not compiled, which is slower on an accelerator: {reason}")


class _DrawsItself(Exception):
    """Why the numbers that a network draws can't be given to a graph."""


def _dropout_of(network: Any, images: Tensor) -> list[tuple[Dropout, tuple[int, ...]]]:
    """The layers of dropout that images pass in training, in this order, and the shapes of what they are given.

    The network is asked twice without dropout. Its parameters, running means included, and the random numbers to come
    are afterwards as they were.

    Raises:
        _DrawsItself: for a network whose two answers differ, and for a layer that is passed more than once.
    """
    passed: list[tuple[Dropout, tuple[int, ...]]] = []
    layers = dropout_layers(network)
    with _having(layers, "draw", [_noting(layer, passed) for layer in layers]), _restore_after(network):
        first, second = (network(images).asnumpy() for _ in range(2))
    passed = passed[len(passed) // 2:]
    if not np.allclose(first, second, rtol=1e-3, atol=1e-3 * np.abs(first).max(initial=0), equal_nan=True):
        raise _DrawsItself("the network gives the same images two answers, so it draws random numbers of its own")
    if len({id(layer) for layer, _ in passed}) < len(passed):
        raise _DrawsItself("images pass one layer of dropout more than once")
    return passed


def _noting(layer: Dropout, passed: list[tuple[Dropout, tuple[int, ...]]]) -> Callable[..., np.ndarray]:
    """What stands in for ``layer.draw``: it draws nothing, keeps everything, and notes its call in ``passed``."""
    def draw(shape: tuple[int, ...]) -> np.ndarray:
        passed.append((layer, shape))
        return np.ones(layer.mask_shape(shape), np.float32)

    return draw


@contextlib.contextmanager
def _having(layers: Sequence[Dropout], name: str, values: Sequence[Any]) -> Iterator[None]:
    """A context in which layers have other values of an attribute than their class."""
    for layer, value in zip(layers, values, strict=True):
        layer.__dict__[name] = value  # a Cell would take a Parameter that it is given for one of its own
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__[name]


@contextlib.contextmanager
def _restore_after(network: Any) -> Iterator[None]:
    """A context after which running means and deviations, and NumPy's own random numbers to come, are as before."""
    drawn = np.random.get_state()  # of whoever draws from it, which is not us
    former = [(parameter, parameter.asnumpy().copy()) for parameter in network.get_parameters()
              if not parameter.requires_grad]
    try:
        yield
    finally:
        np.random.set_state(drawn)
        for parameter, values in former:
            write(parameter, values)


class _Masks:
    """The masks of a network's dropout for one shape of batches, in Parameters that a graph reads."""

    def __init__(self, passed: Sequence[tuple[Dropout, tuple[int, ...]]]) -> None:
        self._layers = [layer for layer, _ in passed]
        self._shapes = [shape for _, shape in passed]
        self._masks = [Parameter(Tensor(np.zeros(layer.mask_shape(shape), np.float32)), f"mask.{place}", False)
                       for place, (layer, shape) in enumerate(passed)]

    def draw(self) -> None:
        """Draw all masks anew, in the order in which the layers are passed."""
        for layer, shape, mask in zip(self._layers, self._shapes, self._masks, strict=True):
            write(mask, layer.draw(shape))

    def in_place(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the layers take these masks; a graph that is made there takes them ever after."""
        return _having(self._layers, "mask", self._masks)
