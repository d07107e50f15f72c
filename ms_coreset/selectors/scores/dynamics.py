"""What happened to a sample while the network learnt."""

from typing import Annotated

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.options import OneOf
from ms_coreset.selectors.scores.error import dynamics_of


@score("forgetting", needs=("dynamics",), cost="n T", parallel="samples",
       source="Toneva et al., An Empirical Study of Example Forgetting, ICLR 2019")
def forgetting(evidence: Evidence, never_learned: Annotated[str, OneOf(("epochs", "zero"))] = "epochs") -> np.ndarray:
    """How often a sample that was classified correctly was wrong at its next presentation.

    F_i = #{t : a_i(t-1) = 1, a_i(t) = 0}, a_i(t) whether it was correct in epoch t, a_i(-1) = 0.
    never_learned: what a sample that was never correct gets: "epochs", T (as Toneva et al., hardest), or "zero" (as
        DeepCore and CCS, easiest)

    Returns (n,) in 0 .. T; high = often forgotten = keep.
    """
    correct = np.asarray(dynamics_of(evidence, "forgetting", "correct"), bool)
    forgotten = (correct[:-1] & ~correct[1:]).sum(axis=0).astype(np.float64)
    if never_learned == "epochs":
        forgotten[~correct.any(axis=0)] = len(correct)
    return forgotten


@score("correctness", needs=("dynamics",), cost="n T", parallel="samples",
       source="Swayamdipta et al., Dataset Cartography, EMNLP 2020")
def correctness(evidence: Evidence) -> np.ndarray:
    """Minus the number of epochs in which a sample was classified correctly.

    Returns (n,) in -T .. 0; high = seldom correct = keep.
    """
    return -np.asarray(dynamics_of(evidence, "correctness", "correct"), bool).sum(axis=0).astype(np.float64)


@score("aum", needs=("dynamics",), cost="n T", parallel="samples",
       source="Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020, eq. 2")
def aum(evidence: Evidence) -> np.ndarray:
    """Minus the area under the margin: the mean over epochs of z_y - max_{j != y} z_j, of logits.

    Returns (n,); high = small or negative lead = hard or mislabelled = keep. Raises ``MsCoresetError`` for one class.
    """
    return -dynamics_of(evidence, "aum", "logit_margin").mean(axis=0, dtype=np.float64)


@score("accumulated_margin", needs=("dynamics",), cost="n T", parallel="samples",
       source="Zheng et al., CCS, ICLR 2023 (its code's AUM)")
def accumulated_margin(evidence: Evidence) -> np.ndarray:
    """Minus the sum over epochs of the label's lead in probability, p_y - max_{j != y} p_j.

    Returns (n,) in -T .. T; high = small or negative lead = hard or mislabelled = keep. Of one class the lead is p_y.
    """
    return -dynamics_of(evidence, "accumulated_margin", "margin").sum(axis=0, dtype=np.float64)
