"""Margins of the label over the epochs: AUM and the accumulated margin."""

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Epochs
from ms_coreset.selectors.scores.record import mean_over_seen, record_of, sum_over_seen


@score("aum", needs=("dynamics",), labels=False, cost="n T", work=row_by_row, parallel="samples",
       source="Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020, eq. 2")
def aum(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the area under the margin: the mean over epochs of the logit margin z_y - max_{j != y} z_j.

    The mean is over the epochs in which a sample was seen. DUAL's code has an AUM of the last epoch alone.

    Args:
        evidence: with labels and ``dynamics``.
        epochs: see ``forgetting``.

    Returns:
        (n,) float64; high = small or negative margin = hard or mislabeled = keep; NaN for a sample that was never seen.

    Raises:
        MsCoresetError: for one class.
    """
    return -mean_over_seen(*record_of(evidence, "aum", "logit_margin", epochs))


@score("accumulated_margin", needs=("dynamics",), labels=False, cost="n T", work=row_by_row, parallel="samples",
       source="Zheng et al., CCS, ICLR 2023 (its code's AUM)")
def accumulated_margin(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the sum over epochs of the probability margin p_y - max_{j != y} p_j.

    For a sample that was seen in m of T epochs it is T / m times the sum over these. With one class the margin is p_y.

    Args:
        evidence: with labels and ``dynamics``.
        epochs: see ``forgetting``.

    Returns:
        (n,) float64 in [-T, T]; high = small or negative margin = hard or mislabeled = keep; NaN for a sample that was
        never seen.
    """
    return -sum_over_seen(*record_of(evidence, "accumulated_margin", "margin", epochs))
