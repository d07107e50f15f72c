"""Estimates how many labels are wrong, and which, from answers that do not depend on the label itself."""

from dataclasses import dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.randomness import stream
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.softmax import log_softmax

TAIL = 0.2  # the share of wrong labels is estimated from u above 1 - TAIL
EASE = 1 / 3  # share of the right labels that the rate leaves out anyway that is cut off, too
BINS = 200
ROUNDS = 5


@dataclass(frozen=True)
class LabelNoise:
    """An estimate of the wrong labels.

    Attributes:
        share: estimated share of wrong labels among all, in [0, 1].
        chances: (n,) float64 in [0, 1], the probability that each label is wrong; the share of wrong labels in a
            coreset is their mean over it.
    """

    share: float
    chances: np.ndarray


def estimate_label_noise(evidence: Evidence, seed: int = 0) -> LabelNoise:
    """Estimate the share of wrong labels, and the probability that each label is wrong.

    Let l_i be the cross entropy of sample i's label, l'_i that of another label drawn at random, and u_i the share of
    all l' that are below l_i. If a wrong label is any other class with equal chance, it is like such a draw, so that
    its u is uniform in [0, 1]; the u of a right label is mostly near 0. The estimate is

        share = #{i: u_i > 0.8} / (0.2 n),

    at most 1. Among the samples whose u lies in an interval of length h, about n share h labels are wrong; divided by
    the number of these samples this is their probability. It is computed in 200 intervals with equal numbers of samples
    and made to rise with u (isotonic regression). The other label drawn for a wrong label is the right one in 1 of C -
    1 cases; so draws are weighted by 1 - chance / (C - 1), in five rounds.

    The estimate is too high if right labels look as unlikely as any other (many classes and poor answers), and too low
    if wrong labels are those of a similar class.

    Source: for the share Storey, "A direct approach to false discovery rates", 2002, equation 4; for the probabilities
    Efron's local false discovery rate. To take other labels as the null hypothesis is ours.
    discovery rate for the chances. Taking other labels for the null hypothesis is ours.

    Args:
        evidence: with labels and ``logits`` that do not depend on a sample's own label: from ``patch_evidence``, or
            from a network that was not trained on the sample. A network that was has learned wrong labels, too, and the
            estimate is then too low.
        seed: of the draw of the other labels, 0 to 2**32 - 1.

    Returns:
        A ``LabelNoise``.

    Raises:
        MsCoresetError: for evidence without logits, and for fewer than two classes.
    """
    require_kind("evidence", evidence, Evidence)
    evidence.require(("labels", "logits"), "estimate_label_noise")
    evidence.require_label_columns("estimate_label_noise")
    logits = require_field(evidence.logits)
    n, classes = logits.shape
    if classes < 2:
        raise MsCoresetError("estimate_label_noise compares labels with others: logits must have two columns or more")
    labels = require_field(evidence.labels).astype(np.int64)
    others = (labels + stream(seed, "other labels").randint(1, classes, size=n)) % classes
    given, drawn = _losses(logits, labels, others)
    order = np.argsort(drawn, kind="stable")
    places = np.searchsorted(drawn[order], given)  # how many draws are below each
    chances = np.zeros(n)
    for _ in range(ROUNDS):
        ranks = _ranks(places, 1 - chances[order] / (classes - 1))
        share = min(1.0, float((ranks > 1 - TAIL).mean()) / TAIL)
        chances = _chances(ranks, share)
    return LabelNoise(share, chances)


def _losses(logits: np.ndarray, *labels: np.ndarray) -> np.ndarray:
    """Cross entropy (n,) float64 of each of the labels (n,), computed a block of rows at a time."""
    found = np.empty((len(labels), len(logits)))
    for part in blocks(len(logits), 16 * logits.shape[1]):
        log_p = log_softmax(logits[part])
        for row, given in zip(found, labels, strict=True):
            row[part] = -log_p[np.arange(len(log_p)), given[part]]
    return found


def _ranks(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share (n,), by weight, of the draws before each of ``places`` (n,); weights: of the draws in rising order."""
    below = np.concatenate([[0.0], np.cumsum(weights)])
    return below[places] / max(below[-1], np.finfo(float).tiny)


def _chances(ranks: np.ndarray, share: float) -> np.ndarray:
    """How likely (n,) each belongs to the uniform part, ``share`` of all; ranks (n,) in [0, 1]."""
    from sklearn.isotonic import IsotonicRegression  # takes half a second, for which --help must not wait

    order = np.argsort(ranks, kind="stable")
    parts = np.array_split(order, min(BINS, len(ranks)))
    edges = np.append(ranks[[part[0] for part in parts]], 1.0)
    edges[0] = 0.0
    wrong = share * len(ranks) * np.diff(edges) / [len(part) for part in parts]
    rising = IsotonicRegression(y_min=0, y_max=1).fit_transform(np.arange(len(parts)), wrong)
    chances = np.empty(len(ranks))
    for part, chance in zip(parts, rising, strict=True):
        chances[part] = chance
    return chances


def share_to_cut_off(evidence: Evidence, request: Request) -> float:
    """The share of the samples with the highest loss to cut off, so that few wrong labels are left.

    With s the share of ``estimate_label_noise`` and r the rate of the request, it is

        min(s + (1 - s) (1 - r) / 3, 1 - r).

    These are the wrong labels, and a third of the right ones that the rate leaves out anyway: not all wrong labels look
    worst, and hard samples are of little use to a small coreset. The formula is ours; without noise it is near CCS's
    own cut-offs (0.3 for a tenth of CIFAR-10).

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The share, in [0, 1).
    """
    share, dropped = estimate_label_noise(evidence, request.seed).share, 1 - request.rate
    return min(share + (1 - share) * dropped * EASE, dropped)
