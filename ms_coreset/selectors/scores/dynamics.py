"""What happened to a sample while the network learnt."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.options import Epochs, OneOf, Slice
from ms_coreset.selectors.scores.error import dynamics_of


def recorded(evidence: Evidence, name: str, field: str, epochs: Any = None) -> np.ndarray:
    """A field of the training dynamics (T, n), of ``epochs`` (``options.Slice``) or of all; which must be recorded."""
    values = dynamics_of(evidence, name, field)
    if epochs is None:
        return values
    first, last = Slice.ends(epochs)
    if last > len(values):
        raise MsCoresetError(f"{name}: epochs {epochs}: {len(values)} were recorded")
    return values[first:last]


@score("forgetting", needs=("dynamics",), cost="n T", work=row_by_row, parallel="samples",
       source="Toneva et al., An Empirical Study of Example Forgetting, ICLR 2019")
def forgetting(evidence: Evidence, never_learned: Annotated[str, OneOf(("epochs", "zero"))] = "epochs",
               epochs: Epochs | None = None) -> np.ndarray:
    """How often a sample that was classified correctly was wrong at its next presentation.

    F_i = #{t : a_i(t-1) = 1, a_i(t) = 0}, a_i(t) whether it was correct in epoch t, a_i(-1) = 0.
    never_learned: what a sample that was never correct gets: "epochs", T (as Toneva et al., hardest), or "zero" (as
        DeepCore and CCS, easiest)
    epochs: only these, in place of all; a number N for the first N, or "A-B" for A to B - 1, counted from 0

    Returns (n,) in 0 .. T; high = often forgotten = keep.
    """
    correct = np.asarray(recorded(evidence, "forgetting", "correct", epochs), bool)
    forgotten = (correct[:-1] & ~correct[1:]).sum(axis=0).astype(np.float64)
    if never_learned == "epochs":
        forgotten[~correct.any(axis=0)] = len(correct)
    return forgotten


@score("correctness", needs=("dynamics",), cost="n T", work=row_by_row, parallel="samples",
       source="Swayamdipta et al., Dataset Cartography, EMNLP 2020")
def correctness(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the number of epochs in which a sample was classified correctly.

    epochs: see ``forgetting``

    Returns (n,) in -T .. 0; high = seldom correct = keep.
    """
    return -np.asarray(recorded(evidence, "correctness", "correct", epochs), bool).sum(axis=0).astype(np.float64)


@score("aum", needs=("dynamics",), cost="n T", work=row_by_row, parallel="samples",
       source="Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020, eq. 2")
def aum(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the area under the margin: the mean over epochs of z_y - max_{j != y} z_j, of logits.

    epochs: see ``forgetting``

    Returns (n,); high = small or negative lead = hard or mislabelled = keep. Raises ``MsCoresetError`` for one class.
    """
    return -recorded(evidence, "aum", "logit_margin", epochs).mean(axis=0, dtype=np.float64)


@score("accumulated_margin", needs=("dynamics",), cost="n T", work=row_by_row, parallel="samples",
       source="Zheng et al., CCS, ICLR 2023 (its code's AUM)")
def accumulated_margin(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the sum over epochs of the label's lead in probability, p_y - max_{j != y} p_j.

    epochs: see ``forgetting``

    Returns (n,) in -T .. T; high = small or negative lead = hard or mislabelled = keep. Of one class the lead is p_y.
    """
    return -recorded(evidence, "accumulated_margin", "margin", epochs).sum(axis=0, dtype=np.float64)
