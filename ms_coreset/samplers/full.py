"""All samples in every epoch."""

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers.sampler import Sampler, Training, register_sampler


def require_whole_rate(name: str, training: Training, instead: str) -> None:
    """Raise ``MsCoresetError`` where a share of the samples is asked for that a sampler has no use for."""
    if training.rate != 1:
        raise MsCoresetError(f"rate {training.rate}: {name} {instead}")


@register_sampler("full", aliases=("all",))
class Full(Sampler):
    """All samples in every epoch, shuffled: what training without a sampler does.

    Args:
        training: see ``Training``; its rate is 1.

    Raises:
        MsCoresetError: for a rate below 1.
    """

    takes_rate = listens = False

    def __init__(self, training: Training) -> None:
        require_whole_rate("full", training, "presents all samples")
        super().__init__(training)

    def _draw(self, epoch: int) -> tuple[np.ndarray, None]:
        return self._rng.permutation(len(self)), None
