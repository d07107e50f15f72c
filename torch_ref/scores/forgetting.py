"""How often a sample was forgotten, or right."""

import math
from itertools import pairwise

import torch

from torch_ref.evidence import Evidence, check_choice
from torch_ref.scores.training_dynamics import Epochs, record_of, sum_of_seen


def forgetting(evidence: Evidence, never_learned: str = "epochs", epochs: Epochs = None) -> torch.Tensor:
    """Number of epochs in which a sample is wrong that was correct in the one before.

    Source: Toneva et al., ICLR 2019, definition 2.1; their code ranks what was never learned highest.

    Args:
        evidence: arrays about the n samples.
        never_learned: score of a sample that was never correct: "epochs", their number, or "zero" (as DeepCore).
        epochs: a number N for the first N, or "A-B" or (A, B) for A to B - 1; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    check_choice("never_learned", never_learned, ("epochs", "zero"))
    recorded = record_of(evidence, "correct", epochs)
    forgotten = []
    for column in recorded.T.tolist():
        shown = [bool(value) for value in column if not math.isnan(value)]  # a presentation each
        count = float(sum(before and not after for before, after in pairwise(shown)))
        never = len(recorded) if never_learned == "epochs" and not any(shown) else count
        forgotten.append(never if shown else math.nan)
    return torch.tensor(forgotten, dtype=torch.float64)


def correctness(evidence: Evidence, epochs: Epochs = None) -> torch.Tensor:
    """Minus the number of epochs in which the sample was correct.

    Source: Swayamdipta et al., EMNLP 2020.

    Args:
        evidence: arrays about the n samples.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    return -sum_of_seen(record_of(evidence, "correct", epochs))
