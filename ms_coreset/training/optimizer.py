"""SGD as torch defines it, with a learning rate set for every update and a state that can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from mindspore import Tensor, float32, ops

from ms_coreset.engines.frameworks import MEMORY

if TYPE_CHECKING:
    from mindspore import Parameter

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
        self.parameters = parameters
        self._clip_norm = recipe.clip_norm
        self._update = ops.SGD(0.0, recipe.weight_decay, recipe.nesterov)
        self._momentum = Tensor(recipe.momentum, float32)
        self._velocities = [ops.zeros_like(parameter) for parameter in parameters]
        # All zeros: no update counts as the first, which would take the gradient for the velocity.
        self._stats = [ops.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Update the parameters in place."""
        if self._clip_norm is not None:
            gradients = _clip(gradients, self._clip_norm)
        learning_rate = Tensor(learning_rate, float32)
        for parameter, gradient, velocity, stat in zip(self.parameters, gradients, self._velocities, self._stats,
                                                       strict=True):
            self._update(parameter, gradient, learning_rate, velocity, self._momentum, stat)

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's memory as arrays by name."""
        return {MEMORY + parameter.name: velocity.asnumpy()
                for parameter, velocity in zip(self.parameters, self._velocities, strict=True)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what ``state`` gave."""
        self._velocities = [Tensor(np.array(arrays[MEMORY + parameter.name])) for parameter in self.parameters]


def _clip(gradients: Sequence[Tensor], largest: float) -> Sequence[Tensor]:
    """Gradients scaled so that the norm of all together is ``largest`` at most."""
    norms = ops.cat([(gradient**2).sum().reshape(1)**0.5 for gradient in gradients])
    factor = largest / ((norms**2).sum()**0.5 + 1e-6)
    return [factor * gradient for gradient in gradients] if factor < 1 else gradients
