"""InfoBatch: easy samples are left out at random, and those that stay count the more."""

from typing import Annotated

import numpy as np

from ms_coreset.samplers.full import require_whole_rate
from ms_coreset.samplers.sampler import Sampler, Training, register_sampler
from ms_coreset.selectors.option_values import Number

_FIRST = 3.0  # loss of a sample that was not presented yet

Dropped = Annotated[float, Number(lambda value: 0 <= value <= 0.9, "from 0 to 0.9")]
Share = Annotated[float, Number(lambda value: 0 <= value <= 1, "from 0 to 1")]


@register_sampler("infobatch", aliases=("InfoBatch",),
                  source="Qin et al., InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning, ICLR "
                         "2024")
class InfoBatch(Sampler):
    """All hard samples, and a share of the easy ones with larger weights.

    Easy are samples whose last loss is below the mean of all last losses; of a sample that was not presented yet it is
    3. Of the easy ones int((1 - ``ratio``) m) of m are drawn, each with the weight 1 / (1 - ``ratio``), so that the sum
    of the weighted gradients is that of all samples in expectation; the others have the weight 1. From the epoch t on,
    counted from 0, for which t + 1 > ``delta`` epochs, all samples are presented with the weight 1; in a training that
    ends by ``Updates``, from the one on that would end after more than ``delta`` of them.

    Departures from the authors' code: the weights are 1 in the last epochs for every number of epochs, not only where
    ``delta`` times it is whole; draws are of a generator of its own, where theirs seeds NumPy's; losses that are not
    finite leave a sample's former one, where theirs make the mean, and so all pruning, void.

    Args:
        training: see ``Training``; its rate is 1.
        ratio: share of the easy samples that is left out.
        delta: share of the training in which samples are left out.

    Raises:
        MsCoresetError: for a rate below 1.
    """

    fixed_size = takes_rate = False

    def __init__(self, training: Training, ratio: Dropped = 0.5, delta: Share = 0.875) -> None:
        require_whole_rate("infobatch", training, "leaves out a share of the easy samples: give it as ratio")
        super().__init__(training)
        self._keep, self._delta = 1 - ratio, delta

    def _draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        if self._ends_after(self._delta):
            return self._rng.permutation(len(self)), None
        losses = np.where(np.isnan(self.losses), _FIRST, self.losses)
        is_easy = losses < losses.mean()
        easy = np.flatnonzero(is_easy)
        drawn = self._rng.choice(easy, int(self._keep * len(easy)), replace=False) if len(easy) else easy
        weights = np.ones(len(self))
        weights[drawn] = 1 / self._keep
        indices = self._rng.permutation(np.concatenate([np.flatnonzero(~is_easy), drawn]))
        return indices, weights[indices]
