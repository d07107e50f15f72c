"""EL2N: the distance of the probabilities to the label."""

from collections.abc import Sequence

import torch

from torch_ref.evidence import Evidence
from torch_ref.last_layer_gradients import errors
from torch_ref.scores.training_dynamics import record_of


def el2n(evidence: Evidence, first: int | None = None, last: int | None = None) -> torch.Tensor:
    """Mean over runs of ||p_i - onehot(y_i)||_2.

    With ``first`` or ``last``: mean over the epochs first to last - 1 of ``evidence.dynamics.error_norm``.

    Source: Paul et al., Deep Learning on a Data Diet, NeurIPS 2021, definition 2.2.

    Args:
        evidence: arrays about the n samples.
        first: the first epoch, counted from 0.
        last: the epoch after the last one.

    Returns:
        (n,) float64, high = keep.
    """
    if first is None and last is None:
        return torch.stack([errors(run).norm(dim=1) for run in runs_of(evidence)]).mean(dim=0)
    recorded = record_of(evidence, "error_norm")
    first, last = first or 0, len(recorded) if last is None else last
    if not 0 <= first < last <= len(recorded):
        raise ValueError(f"epochs {first} to {last} are not within the {len(recorded)} that were recorded")
    return recorded[first:last].nanmean(dim=0)


def runs_of(evidence: Evidence) -> Sequence[Evidence]:
    """The runs that a score averages over: ``evidence.runs``, or the evidence itself."""
    runs = getattr(evidence, "runs", None)
    return (evidence,) if runs is None else runs
