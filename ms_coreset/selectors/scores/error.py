"""How wrong a network is about a sample's label."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import (
    EXTRACTED,
    Evidence,
    LastLayerGradients,
    batch_sizes,
    log_softmax,
    required,
    row_wise,
    softmax,
)
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.options import Count, Variant, Whole
from ms_coreset.selectors.scores.record import mean_over_seen, recorded

Epoch = Annotated[int, Whole(0)]
_DATA_DIET = "Paul et al., Deep Learning on a Data Diet, NeurIPS 2021"


@score("grand", needs=EXTRACTED, takes=("runs",), label_columns=True, cost="R n (C + d)", work=row_by_row,
       parallel=lambda options: "samples" if options["variant"] == "paper" else "",  # which divides by batches of all
       source=f"{_DATA_DIET}, def. 2.1")
def grand(evidence: Evidence, variant: Variant = "paper", batch_size: Count = 128) -> np.ndarray:
    """Norm of a sample's last-layer gradient, mean over runs of ||g_i|| sqrt(1 + ||e_i||^2), g = softmax(z) - onehot.

    variant: "paper", or "deepcore": each gradient divided by the size of its batch of ``batch_size`` samples, the
        last one smaller
    The runs are ``evidence.runs`` (networks of other seeds), or the evidence itself.

    Returns (n,), at least 0; high = keep. Raises ``MsCoresetError`` for labels that are not columns of the logits.
    Departure from the paper, as in DeepCore: of the last layer alone.
    """
    return np.mean([_gradient_norms(run, variant, batch_size) for run in runs_of(evidence)], axis=0)


def _gradient_norms(evidence: Evidence, variant: str, batch_size: int) -> np.ndarray:
    def of_rows(labels: np.ndarray, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return LastLayerGradients.of(Evidence(labels, features, logits)).squared_norms()

    norms = np.sqrt(row_wise(of_rows, evidence.labels, required(evidence.features), required(evidence.logits)))
    return norms / batch_sizes(len(norms), batch_size) if variant == "deepcore" else norms


def _by_logits(options: dict[str, Any]) -> bool:
    return options["first"] is None and options["last"] is None


@score("el2n", needs=lambda options: ("logits",) if _by_logits(options) else ("dynamics",),
       takes=lambda options: ("runs",) if _by_logits(options) else (), label_columns=_by_logits, cost="R n C",
       work=row_by_row, parallel="samples", source=f"{_DATA_DIET}, def. 2.2")
def el2n(evidence: Evidence, first: Epoch | None = None, last: Epoch | None = None) -> np.ndarray:
    """Distance of the class probabilities to the label, mean over runs of ||softmax(z_i) - onehot(y_i)||_2.

    first, last: epochs, counted from 0; with either, the mean over the epochs ``first .. last - 1`` of the training
        dynamics' ``error_norm`` instead (CCS: the first ten), of those in which a sample was seen; NaN without any
    Without them, from the logits of ``evidence.runs``, or of the evidence itself.

    Returns (n,) in [0, sqrt(2)]; high = keep. Raises ``MsCoresetError`` for labels that are not columns of the logits.
    """
    if first is not None or last is not None:
        return mean_over_seen(*recorded(evidence, "el2n", "error_norm", slice(first, last)))
    return np.mean([_error_norms(run) for run in runs_of(evidence)], axis=0)


def _error_norms(evidence: Evidence) -> np.ndarray:
    def of_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        errors = softmax(logits)
        errors[np.arange(len(errors)), labels] -= 1
        return np.sqrt(np.einsum("ic,ic->i", errors, errors))

    return row_wise(of_rows, evidence.labels, required(evidence.logits))


@score("loss", needs=("logits",), label_columns=True, cost="n C", work=row_by_row, parallel="samples",
       source="Zheng et al., CCS, ICLR 2023 (its code)")
def loss(evidence: Evidence) -> np.ndarray:
    """Cross entropy of the label, -log p_y.

    Returns (n,), at least 0 nats; high = keep. Raises ``MsCoresetError`` for labels that are not columns of the logits.
    """
    def of_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return -log_softmax(logits)[np.arange(len(labels)), labels]

    return row_wise(of_rows, evidence.labels, required(evidence.logits))


def runs_of(evidence: Evidence) -> tuple[Evidence, ...]:
    """The runs that a score averages over: ``evidence.runs``, or the evidence itself."""
    return evidence.runs or (evidence,)
