"""RCAP: every epoch draws hard samples of every class, and more of the classes that are hard."""

import numpy as np

from ms_coreset.samplers.sampler import Sampler, Training, register_sampler
from ms_coreset.selectors.class_quotas import water_filling, whole_numbers
from ms_coreset.selectors.option_values import Positive
from ms_coreset.selectors.quota import classes


@register_sampler("rcap", aliases=("RCAP",),
                  source="Hassan, Khare & Paik, RCAP: Robust, Class-Aware, Probabilistic Dynamic Dataset Pruning, UAI "
                         "2025")
class RCAP(Sampler):
    """k = round(rate n) samples, drawn anew in every epoch by their last losses, class by class.

    l_i is the last loss, at most ln C, as much as a guess has, so that wrong labels count no more than that; ln C of a
    sample that was not presented yet. Within its class v_i = exp(l_i / ``beta``) / sum_j exp(l_j / ``beta``). A class's
    share of the k is proportional to sqrt(sum_i v_i n_c / n) over its samples of the epoch before, in the first epoch
    all of them; a class of which all are taken leaves the rest to the others. Samples are drawn without replacement,
    with chances v_i.

    Departures from the authors' code: k in all, whole counts by the largest remainders (of equal ones the first class),
    where theirs rounds every class up, which can give C more; what a class leaves is shared out of what is left, where
    theirs shares out of k again.

    Args:
        training: see ``Training``.
        beta: above 0; the smaller, the more the hard samples are preferred.
    """

    _kept = ("_is_last",)

    def __init__(self, training: Training, beta: Positive = 1.0) -> None:
        super().__init__(training)
        self._classes, self._beta = classes(training.labels), beta
        self._is_last = np.ones(len(self), bool)  # presented in the epoch before

    def _draw(self, epoch: int) -> tuple[np.ndarray, None]:
        chances = self.importances()
        weights = self.class_weights(chances)
        counts = _capped_shares(self.training.size, weights, np.array([len(places) for places in self._classes]))
        picks = [self._rng.choice(places, count, replace=False, p=chances[places])
                 for places, count in zip(self._classes, counts, strict=True)]
        indices = self._rng.permutation(np.concatenate(picks))
        self._is_last[:] = False
        self._is_last[indices] = True
        return indices, None

    def importances(self) -> np.ndarray:
        """The v_i of all samples, (n,) float64; they sum to 1 in every class."""
        most = np.log(max(2, len(self._classes)))
        losses = np.clip(np.where(np.isnan(self.losses), most, self.losses), 0, most) / self._beta
        chances = np.empty(len(self))
        for places in self._classes:
            grown = np.exp(losses[places] - losses[places].max())
            chances[places] = grown / grown.sum()
        return chances

    def class_weights(self, chances: np.ndarray) -> np.ndarray:
        """What each class's share is proportional to, (C,) float64, by ascending label."""
        return np.array([np.sqrt(chances[places][self._is_last[places]].sum() * len(places) / len(self))
                         for places in self._classes])


def _capped_shares(k: int, weights: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to weights, at most the sizes, k in all; by the largest remainders."""
    return whole_numbers(water_filling(weights, sizes, k, np.zeros(len(sizes), int)), sizes)
