"""CLD: whether a sample's loss changes as that of held-out samples of its class does."""

from typing import Any

import numpy as np

from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError, warn
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Epochs
from ms_coreset.selectors.scores.record import record_of

LEAST = 3  # least number of differences for a correlation


def _work(size: Size, options: dict[str, Any]) -> Work:
    """Memory for five sums, and for the values of an epoch."""
    return Work(120 * size.n, size.n)


@score("cld", needs=("dynamics",), cost="n T", work=_work,
       source="Nagaraj et al., Coresets from Trajectories: Selecting Data via Correlation of Loss Differences, "
              "TMLR 2025")
def cld(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Correlation of a sample's loss differences with those of the held-out samples of its class.

    s_i is Pearson's correlation over t of L_{t+1}(i) - L_t(i) and V_{t+1}(y_i) - V_t(y_i), with L_t(i) the loss of
    sample i in epoch t and V_t(c) the mean loss of the held-out samples of class c; it is 0 if either does not vary.
    The paper keeps the highest of each class: ``balance=True``.

    Departures from the authors' code: the loss is that of training, before each update and with augmentation, not that
    of another pass after each epoch; a class without held-out samples uses the mean over all held-out samples, with a
    warning, and keeps its share (theirs keeps none of it); of equal scores the lowest index is kept (theirs the
    highest).

    Args:
        evidence: with labels and ``dynamics`` that have ``loss`` and ``validation_loss``, which training records for
            its validation share.
        epochs: which epochs count, see ``forgetting``; at least four.

    Returns:
        (n,) float64 in [-1, 1]; high = learned like samples that were not trained on = keep. Epochs without one of the
        two losses are left out; NaN if fewer than three differences are left, and for the held-out samples themselves.

    Raises:
        MsCoresetError: if nothing was held out, or either loss was not recorded.
    """
    losses, _ = record_of(evidence, "cld", "loss", epochs)
    held_out, _ = record_of(evidence, "cld", "validation_loss", epochs)
    ranks = current()  # which take a share of the samples each, and all that were held out
    own = ranks.part(len(evidence))
    correlations = Correlations(require_field(evidence.labels), own)
    for loss, of_validation in zip(losses, held_out, strict=True):
        correlations.add(loss[own], of_validation)
    return ranks.join(correlations.score())


class Correlations:
    """CLD of some of the samples, updated epoch by epoch: five sums a sample, whatever the number of epochs.

    The sums are means and sums of products about them, updated with every difference (Welford), which loses no digits.

    Args:
        labels: (n,) of all samples.
        own: the m samples that it is of, a slice.
    """

    def __init__(self, labels: np.ndarray, own: slice = slice(None)) -> None:
        _, self.group = np.unique(labels, return_inverse=True)
        self.begin, self.end, _ = own.indices(len(labels))
        n = self.end - self.begin
        self.epochs = 0
        self.lacking = np.zeros(self.group.max() + 1, bool)
        self.before = np.full((2, n), np.nan)
        self.count = np.zeros(n, np.int32)
        self.mean, self.square = np.zeros((2, 2, n))
        self.product = np.zeros(n)

    def add(self, losses: np.ndarray, of_validation: np.ndarray) -> None:
        """Add an epoch.

        Args:
            losses: (m,), NaN of samples that were not seen.
            of_validation: (n,), the losses of the held-out samples, NaN of others.
        """
        now = np.stack([np.asarray(losses, np.float64), self._class_means(of_validation)])
        difference = now - self.before
        self.before, self.epochs = now, self.epochs + 1
        known = np.isfinite(difference).all(axis=0)
        self.count += known
        difference[:, ~known] = self.mean[:, ~known]  # which changes nothing
        apart = difference - self.mean
        self.mean += apart / np.maximum(self.count, 1)
        still_apart = difference - self.mean
        self.square += apart * still_apart
        self.product += apart[0] * still_apart[1]

    def _class_means(self, of_validation: np.ndarray) -> np.ndarray:
        """The mean loss (m,) of the held-out samples of each one's class, or of all where the class has none."""
        held_out = np.flatnonzero(np.isfinite(of_validation))
        if not len(held_out):
            raise MsCoresetError("cld compares with held-out samples, of which no loss was recorded: train with a "
                                 "validation share (--validation 0.1)")
        losses, groups = np.asarray(of_validation[held_out], np.float64), self.group[held_out]
        counts = np.bincount(groups, minlength=len(self.lacking))
        if not self.epochs:
            self.lacking = counts == 0
        with np.errstate(invalid="ignore"):
            means = np.bincount(groups, losses, minlength=len(counts)) / counts
        return np.where(self.lacking, losses.mean(), means)[self.group[self.begin:self.end]]

    def score(self) -> np.ndarray:
        """(m,) float64; see ``cld``."""
        if self.epochs <= LEAST:
            raise MsCoresetError(f"cld: {self.epochs} epochs are too few for a correlation of differences: at least "
                                 f"{LEAST + 1}")
        if self.lacking.any():
            warn(f"cld: no samples of {self.lacking.sum()} of {len(self.lacking)} classes were held out: the mean of "
                 "all that were stands for them")
        scale = np.sqrt(self.square[0]) * np.sqrt(self.square[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.clip(np.where(scale > 0, self.product / scale, 0.0), -1, 1)
        values[self.count < LEAST] = np.nan
        return values
