"""Scores that are added up while training are those that the twin computes of the whole record."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import torch_ref
from ms_coreset.training.streams import StreamRecorder
from torch_ref.over_time import divergence
from torch_ref.training import observe

N, C, HELD_OUT = 90, 4, 20


def learnt(epochs, seed):
    """(what a recorder has added up, what the twin is given) of the same answers; some samples miss an epoch."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, C, N)
    recorder, whole = StreamRecorder(labels, epochs, True), []
    before = np.full((N, C), np.nan)
    for epoch in range(epochs):
        rows = rng.permutation(N - HELD_OUT)[:rng.choice([N - HELD_OUT, N - HELD_OUT - 2], p=[0.8, 0.2])]
        logits, losses = rng.randn(len(rows), C).astype(np.float32), rng.rand(HELD_OUT)
        for part in np.array_split(np.arange(len(rows)), 3):
            recorder.record(epoch, rows[part], logits[part], labels[rows[part]])
        recorder.record_validation(epoch, np.arange(N - HELD_OUT, N), losses)
        recorder.flush()
        answers = np.full((N, C), np.nan)
        answers[rows] = torch.softmax(torch.tensor(logits).double(), dim=1).numpy()
        row = {name: np.full(N, np.nan) for name in ("probability", "margin", "logit_margin", "error_norm", "loss")}
        row["correct"] = np.zeros(N, bool)
        for name, values in observe(torch.tensor(logits), torch.tensor(labels[rows])).items():
            row[name][rows] = values
        row["divergence"], row["validation_loss"] = divergence(before, answers).numpy(), np.full(N, np.nan)
        row["validation_loss"][N - HELD_OUT:] = losses
        before = answers
        whole.append(row)
    dynamics = SimpleNamespace(**{name: np.stack([row[name] for row in whole]) for name in whole[0]})
    return recorder.dynamics().streamed, torch_ref.Evidence(labels, dynamics=dynamics)


@pytest.mark.parametrize(("epochs", "seed"), [(4, 0), (7, 1), (12, 2), (31, 3)])
def test_streamed_scores_are_the_twin_s_of_the_whole_record(epochs, seed):
    streamed, evidence = learnt(epochs, seed)
    assert len(streamed) == 8
    for name, values in streamed.items():
        np.testing.assert_allclose(values, torch_ref.score(name, evidence), rtol=1e-5, atol=1e-6, err_msg=name)
