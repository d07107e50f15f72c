"""Training dynamics of given answers, as a recorder would keep them, in float64."""

import numpy as np

import ms_coreset as mc
from ms_coreset.selectors.scores.tdds import divergence
from ms_coreset.softmax import softmax
from ms_coreset.training.dynamics import measure


def dynamics_of(answers, labels):
    """``TrainingDynamics`` of logits (T, n, C), every sample seen in every epoch, and its own held-out sample, too."""
    measured = [measure(logits, labels) for logits in answers]
    fields = {name: np.stack([epoch[name] for epoch in measured]) for name in measured[0]}
    p = [softmax(logits) for logits in answers]
    apart = np.stack([np.full(len(labels), np.nan), *map(divergence, p[:-1], p[1:])])
    return mc.TrainingDynamics(**fields, divergence=apart, validation_loss=fields["loss"])
