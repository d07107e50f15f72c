"""What happened to a sample while the network learnt."""

import numpy as np


class Forgetting:
    """How often n samples were forgotten, counted as the epochs go by."""

    def __init__(self, n: int) -> None:
        self.epochs = 0
        self.count = np.zeros(n, np.int32)
        self.before, self.ever, self.seen = np.zeros((3, n), bool)

    def add(self, correct: np.ndarray, seen: np.ndarray) -> None:
        """Another epoch: which samples (n,) were classified correctly, of those that were seen (n,)."""
        correct = np.asarray(correct, bool)
        self.epochs += 1
        self.count += self.before & ~correct & seen
        np.copyto(self.before, correct, where=seen)
        self.ever |= correct & seen
        self.seen |= seen

    def score(self, never_learned: str = "epochs") -> np.ndarray:
        """(n,) float64; see ``forgetting``."""
        forgotten = self.count.astype(np.float64)
        if never_learned == "epochs":
            forgotten[~self.ever] = self.epochs
        forgotten[~self.seen] = np.nan
        return forgotten
