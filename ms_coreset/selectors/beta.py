"""Beta sampling: the fewer samples are kept, the easier ones are drawn."""

import numpy as np

from ms_coreset.errors import MsCoresetError, warn
from ms_coreset.evidence import Evidence
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.catalogue import rule
from ms_coreset.selectors.drawing import pick_on_first
from ms_coreset.selectors.option_values import Epochs, Positive
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.rules import top, within_reach
from ms_coreset.selectors.scores.record import mean_over_seen, record_of
from ms_coreset.selectors.selection import Selection

EPOCHS = 30  # of the mean probability, in the authors' code
HIGHEST = 10  # number of highest scores that decide where the density lies
SUM, LARGEST = 16, 15  # of a + b; of b
_EDGE = 1e-6  # how far from 0 and 1 a mean probability counts as
_LEAST = 1e-3  # of b: with less, the density is infinite at 1, and nowhere else


@rule("beta", needs=("dynamics",), labels=False, cost="n T + n log n",
      source="Cho et al., Lightweight Dataset Pruning without Full Training via Example Difficulty and Prediction "
             "Uncertainty, ICML 2025 (DUAL), section 4.2, as their code computes it")
def beta(values: np.ndarray, evidence: Evidence, request: Request, c_d: Positive = 4.0,
         epochs: Epochs | None = None) -> Selection:
    """Beta sampling: draws by score times a Beta density of the label's probability; lower rates draw easier samples.

    With p_i the mean over epochs of the label's probability, D_i the score, r = 1 - rate, and mu the mean p_i of the
    ten samples with the highest scores, samples are drawn without replacement with chances

        w_i ~ D_i Beta(p_i; a, b),   b = 15 (1 - mu) (1 - r^c_d),   a = 16 - b,

    by ``RandomState(seed).choice``. mu, a and b are computed over all samples, even if classes have budgets of their
    own.

    DUAL's score is at least 0. Of a score that can be negative, D_i is the height above the lowest value; if all values
    are equal, D_i has no effect. If fewer samples than the budget have a positive chance, the rest are the samples with
    the highest p_i, and a warning says so.

    Departures from the authors' code: p_i is kept 1e-6 away from 0 and 1, b is at least 1e-3, and the budget is
    ``round(rate n)``. Theirs, int((1 - r) n), is one short where float arithmetic misses a whole number: 59 of 600 for
    r = 0.9.

    Args:
        values: (n,) float64 scores, high = keep; NaN for a sample without one.
        evidence: with labels and ``dynamics``.
        request: rate, balance, seed and memory, see ``quota.Request``.
        c_d: exponent, above 0; 4 is the paper's value for CIFAR-100, 11 for ImageNet.
        epochs: those of p_i, see ``forgetting``; by default the first 30, or all if fewer were recorded.

    Returns:
        The picks, a ``Selection``.
    """
    probability = _mean_probability(evidence, epochs)
    chances = _log_chances(values, probability, *shape(values, probability, 1 - request.rate, c_d))
    rng, lacking = np.random.RandomState(request.seed), []

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        drawn = _draw(chances[rows], k, rng)
        lacking.append(k - len(drawn))
        rest = np.setdiff1d(np.arange(len(rows)), drawn)
        return rows[np.concatenate([drawn, rest[top(probability[rows[rest]], k - len(drawn))]])]

    selection = pick_on_first(np.where(np.isnan(probability), np.nan, values), evidence, request, pick)
    if sum(lacking):
        warn(f"beta: {sum(lacking)} of the {len(selection.indices)} that are kept have a score of 0 and so no "
             "chance: they are those whose labels were likeliest in the mean over the epochs")
    return selection


def _mean_probability(evidence: Evidence, epochs: Epochs | None) -> np.ndarray:
    """The label's mean probability p (n,) float64, NaN of samples that were not seen.

    Raises:
        MsCoresetError: for values outside [0, 1].
    """
    values, seen = (found[:EPOCHS if epochs is None else None]
                    for found in record_of(evidence, "beta", "probability", epochs))
    parts = row_blocks.blocks(values.shape[1], 8 * len(values))
    probability = np.concatenate([mean_over_seen(values[:, part], seen[:, part]) for part in parts])
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        sample = int(np.argmax(outside))
        raise MsCoresetError(f"beta: the recorded probabilities of sample {sample} have the mean "
                             f"{probability[sample]}: must be 0 to 1")
    return probability


def shape(values: np.ndarray, probability: np.ndarray, pruned: float, c_d: float) -> tuple[float, float]:
    """The parameters (a, b) of the Beta density.

    Args:
        values: (n,) scores.
        probability: (n,), the mean probability of each label.
        pruned: share that is pruned.
        c_d: see ``beta``.

    Returns:
        (a, b).
    """
    place = probability[top(values, HIGHEST)].mean()
    b = max(LARGEST * (1 - place) * (1 - pruned**c_d), _LEAST)
    return SUM - b, b


def _log_chances(values: np.ndarray, probability: np.ndarray, a: float, b: float) -> np.ndarray:
    """The logarithms log w (n,) of the chances, up to a constant; -inf where the score is 0."""
    inside, scores = np.clip(probability, _EDGE, 1 - _EDGE), within_reach(values)
    lowest, highest = np.nanmin(scores), np.nanmax(scores)
    if lowest < 0:
        scores = scores - lowest if lowest < highest else np.where(np.isnan(scores), np.nan, 1.0)
    with np.errstate(divide="ignore"):
        logarithms = np.log(scores)
    return (a - 1) * np.log(inside) + (b - 1) * np.log1p(-inside) + logarithms


def _draw(chances: np.ndarray, k: int, rng: np.random.RandomState) -> np.ndarray:
    """Up to k places, drawn by the logarithms of their chances (m,); all that have a chance where these are fewer."""
    weights = np.exp(chances - chances.max()) if np.isfinite(chances.max()) else np.zeros(len(chances))
    k = min(k, np.count_nonzero(weights))
    return rng.choice(len(weights), k, replace=False, p=weights / weights.sum()) if k else np.empty(0, np.int64)
