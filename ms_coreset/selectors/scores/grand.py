"""GraNd: the length of a sample's gradient."""

import numpy as np

from ms_coreset.evidence import EXTRACTED, Evidence, require_field
from ms_coreset.rows import row_wise
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients, batch_sizes
from ms_coreset.selectors.option_values import Count, Variant

DATA_DIET = "Paul et al., Deep Learning on a Data Diet, NeurIPS 2021"


@score("grand", needs=EXTRACTED, takes=("runs",), label_columns=True, cost="R n (C + d)", work=row_by_row,
       parallel=lambda options: "samples" if options["variant"] == "paper" else "",  # which divides by batches of all
       source=f"{DATA_DIET}, def. 2.1")
def grand(evidence: Evidence, variant: Variant = "paper", batch_size: Count = 128) -> np.ndarray:
    """Norm of a sample's last-layer gradient, mean over runs of ||g_i|| sqrt(1 + ||e_i||^2).

    Here g_i = softmax(z_i) - onehot(y_i), and e_i is the input of the last layer. The runs are ``evidence.runs``
    (networks of other seeds), or the evidence itself.

    Departure from the paper, as in DeepCore: the gradient is that of the last layer alone.

    Args:
        evidence: with labels, ``features`` and ``logits``.
        variant: "paper", or "deepcore": each gradient divided by the size of its batch of ``batch_size`` samples, the
            last one smaller.
        batch_size: size of the batches of consecutive samples, for the variant "deepcore".

    Returns:
        (n,) float64, at least 0; high = large gradient = keep.

    Raises:
        MsCoresetError: for labels that are not columns of the logits.
    """
    return np.mean([_gradient_norms(run, variant, batch_size) for run in runs_of(evidence)], axis=0)


def _gradient_norms(evidence: Evidence, variant: str, batch_size: int) -> np.ndarray:
    def of_rows(labels: np.ndarray, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return LastLayerGradients.of(Evidence(labels, features, logits)).squared_norms()

    features, logits = require_field(evidence.features), require_field(evidence.logits)
    norms = np.sqrt(row_wise(of_rows, require_field(evidence.labels), features, logits))
    return norms / batch_sizes(len(norms), batch_size) if variant == "deepcore" else norms


def runs_of(evidence: Evidence) -> tuple[Evidence, ...]:
    """The runs that a score averages over: ``evidence.runs``, or the evidence itself."""
    return evidence.runs or (evidence,)
