"""The probabilities of all classes in the epoch before, with which those of the next epoch are compared."""

import numpy as np

from ms_coreset.selectors.scores.tdds import divergence


class PreviousAnswers:
    """Each sample's last probabilities (n, C), float32, whatever the number of epochs."""

    def __init__(self, n: int) -> None:
        self._epoch = np.full(n, -2, np.int32)  # of each one's last presentation
        self._answers = np.empty((n, 0), np.float32)

    def diverge(self, epoch: int, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Divergence of probabilities from those of the epoch before, which they replace; see ``tdds.divergence``.

        Args:
            epoch: that the probabilities are of.
            rows: (B,) places of the samples.
            probabilities: (B, C).

        Returns:
            (B,); NaN where a sample was not seen in the epoch before.
        """
        if not self._answers.shape[1]:
            self._answers = np.zeros((len(self._epoch), probabilities.shape[1]), np.float32)
        apart = divergence(self._answers[rows], probabilities)
        apart[self._epoch[rows] != epoch - 1] = np.nan
        self._answers[rows], self._epoch[rows] = probabilities, epoch
        return apart

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Arrays by name, from which ``restore`` goes on."""
        return {"epoch": self._epoch, "answers": self._answers}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from such arrays."""
        self._epoch, self._answers = state["epoch"], state["answers"]
