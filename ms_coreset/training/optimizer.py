"""SGD as torch defines it, with a learning rate set for every update and a state that can be saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, float32, ops

from ms_coreset.engines.frameworks import MEMORY
from ms_coreset.engines.of_mindspore import write

if TYPE_CHECKING:
    from ms_coreset.training.recipe import Recipe


class SGD:
    """v = momentum v + g, where g = gradient + weight_decay p; p -= lr v, or lr (g + momentum v) with Nesterov.

    All parameters are decayed, also biases and normalisation, as in the recipes of Moderate, DeepCore and CCS. With
    ``clip_norm`` the whole gradient is scaled down to this norm before the decay (torch's ``clip_grad_norm_``).

    One kernel updates a parameter. (MindSpore's nn.SGD, which uses the same, sets its ``stat`` to 1 before the first
    update, and the kernel on a CPU remembers that by itself, so that a resumed run would differ; nn.Momentum ignores
    ``use_nesterov`` there, 2.10.)

    Args:
        parameters: to be updated.
        recipe: with ``momentum``, ``nesterov``, ``weight_decay`` and ``clip_norm``.
    """

    def __init__(self, parameters: list[Parameter], recipe: Recipe) -> None:
        self.parameters = ParameterTuple(parameters)
        # Parameters, too: a graph writes to nothing else.
        self._velocities = _zeros_like(self.parameters, MEMORY)
        self.update = _updater(self.parameters, self._velocities, recipe)

    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Update the parameters in place."""
        self.update(gradients, Tensor(learning_rate, float32))

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""
        return {velocity.name: velocity.asnumpy() for velocity in self._velocities}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""
        for velocity in self._velocities:
            write(velocity, np.array(arrays[velocity.name]))


def _zeros_like(parameters: Sequence[Parameter], prefix: str) -> ParameterTuple:
    return ParameterTuple([Parameter(ops.zeros_like(parameter), name=prefix + parameter.name, requires_grad=False)
                           for parameter in parameters])


def _updater(parameters: ParameterTuple, velocities: ParameterTuple,
             recipe: Recipe) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """A function (gradients, learning rate) that updates the parameters in place, also in a graph; returns the rate."""
    kernel = ops.SGD(0.0, recipe.weight_decay, recipe.nesterov)
    momentum, clip_norm = Tensor(recipe.momentum, float32), recipe.clip_norm
    # All zeros: no update counts as the first, which would take the gradient for the velocity.
    stats = _zeros_like(parameters, "stat.")

    def update(gradients: Sequence[Tensor], learning_rate: Tensor) -> Tensor:
        if clip_norm is not None:
            gradients = _clip(gradients, clip_norm)
        for place in range(len(parameters)):
            kernel(parameters[place], gradients[place], learning_rate, velocities[place], momentum, stats[place])
        return learning_rate  # a branch of a graph must have a value

    return update


def _clip(gradients: Sequence[Tensor], largest: float) -> Sequence[Tensor]:
    """Gradients scaled so that the norm of all together is ``largest`` at most."""
    norms = ops.cat([(gradient**2).sum().reshape(1)**0.5 for gradient in gradients])
    factor = ops.minimum(largest / ((norms**2).sum()**0.5 + 1e-6), 1)
    return [factor * gradient for gradient in gradients]
