"""SGD as torch defines it, with a learning rate set for every update and a state that can be saved."""

import numpy as np
from mindspore import Tensor, ops


class SGD:
    """v = momentum v + g, where g = gradient + weight_decay p; p -= lr v, or lr (g + momentum v) with Nesterov.

    All parameters are decayed, also biases and normalisation, as in the recipes of Moderate, DeepCore and CCS.
    clip_norm: the whole gradient is scaled down to this norm before the decay (torch's ``clip_grad_norm_``).

    MindSpore's own can't serve: on CPU nn.SGD's first update depends on a state inside its kernel, so that a resumed
    run differs, and nn.Momentum takes no notice of ``use_nesterov`` (2.10).
    """

    def __init__(self, parameters, recipe):
        self.parameters = parameters
        self._recipe = recipe
        self._velocities = [ops.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients, learning_rate):
        """Update the parameters in place."""
        recipe = self._recipe
        if recipe.clip_norm is not None:
            gradients = ops.clip_by_norm(gradients, recipe.clip_norm)
        for place, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            if recipe.weight_decay:
                gradient = gradient + recipe.weight_decay * parameter
            velocity = recipe.momentum * self._velocities[place] + gradient
            self._velocities[place] = velocity
            direction = gradient + recipe.momentum * velocity if recipe.nesterov else velocity
            ops.assign_sub(parameter, learning_rate * direction)

    def state(self):
        """The optimizer's memory as arrays by name."""
        return {f"velocity.{parameter.name}": velocity.asnumpy()
                for parameter, velocity in zip(self.parameters, self._velocities, strict=True)}

    def restore(self, arrays):
        """Take back what ``state`` gave."""
        self._velocities = [Tensor(np.array(arrays[f"velocity.{parameter.name}"])) for parameter in self.parameters]
