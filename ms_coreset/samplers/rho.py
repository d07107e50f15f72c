"""RHO-loss: of each large batch, the samples that are worth learning and not yet learnt."""

from typing import Annotated

import numpy as np

from ms_coreset.arrays import as_losses
from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers.sampler import Sampler, Training, register_sampler
from ms_coreset.selectors.option_values import Number

Share = Annotated[float, Number(lambda value: 0 < value <= 1, "above 0 and at most 1")]


@register_sampler("rho", aliases=("RHO", "rho_loss"),
                  source="Mindermann et al., Prioritized Training on Points that are Learnable, Worth Learning, and "
                         "Not Yet Learnt, ICML 2022, equation 3")
class RHO(Sampler):
    """Of a batch of B samples the max(1, int(``keep`` B)) of the largest reducible loss.

    The reducible loss is the loss of the network that is trained, less the irreducible loss, that of a network that was
    not trained on the sample. Every epoch presents round(rate n) samples, drawn without regard to it, in batches;
    ``screen`` narrows a batch down. The loss of a whole batch has to be computed for that, without gradients. Of equal
    ones the first in the batch is taken. A sample whose irreducible loss is not known (NaN) is never trained on.

    Args:
        training: see ``Training``.
        irreducible: (n,) losses of networks that were not trained on the sample, for instance of out-of-fold networks.
        keep: share of a batch.

    Raises:
        MsCoresetError: without irreducible losses, or with those of other samples.
    """

    screens = True
    fixed_size = False

    def __init__(self, training: Training, irreducible: np.ndarray | None = None, keep: Share = 0.1) -> None:
        super().__init__(training)
        if irreducible is None or np.shape(irreducible) != (len(self),):
            found = "none" if irreducible is None else f"an array of shape {np.shape(irreducible)}"
            raise MsCoresetError(f"rho needs an irreducible loss of each of {len(self)} samples, not {found}")
        self._irreducible, self._keep = np.asarray(irreducible, np.float64), keep

    def _draw(self, epoch: int) -> tuple[np.ndarray, None]:
        return self._rng.permutation(len(self))[:self.training.size], None

    def screen(self, indices: np.ndarray, losses: np.ndarray) -> np.ndarray:
        indices, losses = as_losses(indices, losses, len(self))
        reducible = losses - self._irreducible[indices]
        known = np.flatnonzero(~np.isnan(reducible))
        order = known[np.argsort(-reducible[known], kind="stable")]
        return indices[order[:max(1, int(self._keep * len(indices)))]]
