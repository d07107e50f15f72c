"""How many labels are wrong, and which: estimated from answers that do not depend on the label itself."""

from dataclasses import dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.evidence import Evidence, require_field
from ms_coreset.randomness import stream
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.softmax import log_softmax

TAIL = 0.2  # share of the wrong labels, those that look worst, that are counted
EASE = 1 / 3  # of the right labels that a coreset leaves out anyway, these that look worst are cut off, too
BINS = 200
ROUNDS = 5


@dataclass(frozen=True)
class LabelNoise:
    """An estimate of the wrong labels.

    Attributes:
        share: of all labels, in [0, 1].
        chances: (n,) float64 in [0, 1], how likely each sample's label is wrong; a coreset's share is their mean over
            it.
    """

    share: float
    chances: np.ndarray


def estimate_label_noise(evidence: Evidence, seed: int = 0) -> LabelNoise:
    """The share of wrong labels, and each label's chance to be wrong, from left-out answers.

    With l_i the cross entropy of sample i's label, and l'_i that of another label drawn at random, let u_i be the share
    of all l' that are below l_i. A wrong label that is any other class is like such a draw, so that its u is uniform in
    [0, 1]; u of a right label is mostly near 0. So

        share = #{i: u_i > 0.8} / (0.2 n),

    at most 1, and among the samples of an interval of u of length h, n share h labels are wrong. Their chance is that
    over their number, in 200 intervals of as many samples each, made to rise with u (isotonic regression). The other
    label of a wrong one is the right one once in C - 1 times: draws weigh 1 - chance / (C - 1), in five rounds.

    It is too high where right labels look as unlikely as any other, that is for many classes and poor answers, and too
    low where wrong labels are those of a similar class.

    Source: Storey, "A direct approach to false discovery rates", 2002, equation 4, for the share; Efron's local false
    discovery rate for the chances. Taking other labels for the null hypothesis is ours.

    Args:
        evidence: with logits that do not depend on a sample's own label: from ``patch_evidence``, or of a network that
            did not train on it. A network that did has learned wrong labels, too: the estimate is then too low.
        seed: seed of the draw of the other labels.

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
    from sklearn.isotonic import IsotonicRegression  # half a second, which --help has not to wait for

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
    """The share of the samples with the highest loss to leave out, so that few wrong labels are left.

    With s the share that ``estimate_label_noise`` gives and r the rate of the request, it is

        min(s + (1 - s) (1 - r) / 3, 1 - r).

    These are the wrong labels and a third of the right ones that r leaves out anyway: not all wrong labels look worst,
    and hard samples are of little use to a small coreset. The formula is ours; without noise it is near CCS's own
    cut-offs (0.3 for a tenth of CIFAR-10).

    Args:
        evidence: what is known of the samples.
        request: rate, balance, seed and memory, see ``quota.Request``.

    Returns:
        The share, in [0, 1).
    """
    share, dropped = estimate_label_noise(evidence, request.seed).share, 1 - request.rate
    return min(share + (1 - share) * dropped * EASE, dropped)
