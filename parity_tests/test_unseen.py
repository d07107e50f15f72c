"""Samples that training did not show in some epochs, or in none: scores by hand, and that they are never picked."""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from ms_coreset.errors import MsCoresetError, MsCoresetWarning

GAP = np.nan
# Sample 0 was seen in all four epochs, 1 not in the second, 2 in none.
SEEN = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]], bool)
VALUES = np.where(SEEN, np.array([[0.5, 0.25, 0], [1, 0.5, 0], [0.5, 0.75, 0], [0, 0.25, 0]]), GAP)
CORRECT = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
DYNAMICS = mc.TrainingDynamics(probability=VALUES, margin=VALUES, logit_margin=VALUES, error_norm=VALUES, loss=VALUES,
                               correct=CORRECT)
EVIDENCE = mc.Evidence(np.zeros(3, int), dynamics=DYNAMICS)
BOTH = pytest.mark.parametrize("package", [mc, torch_ref])
HALF = 0.125 ** 0.5  # deviation of two numbers half apart


@BOTH
@pytest.mark.parametrize(("name", "options", "expected"), [
    ("aum", {}, [-0.5, -1.25 / 3, GAP]), ("accumulated_margin", {}, [-2, -1.25 * 4 / 3, GAP]),
    ("correctness", {}, [-2, -2 * 4 / 3, GAP]), ("forgetting", {}, [2, 1, GAP]),  # in its three presentations once
    ("forgetting", {"never_learned": "zero"}, [2, 1, GAP]), ("forgetting", {"epochs": "1-2"}, [1, GAP, GAP]),
    ("el2n", {"first": 1}, [0.5, 0.5, GAP]), ("el2n", {"last": 2}, [0.75, 0.25, GAP]),
    ("dyn_unc", {"window": 2}, [HALF, HALF, GAP]),  # of the second sample the last window alone
    ("dyn_unc", {"window": 3}, [(0.25 / 3) ** 0.5 / 2 + 0.125 ** 0.5 * 2 ** 0.5 / 2, GAP, GAP]),
    ("dual", {"window": 2}, [HALF * (0.25 + 0.25 + 0.75) / 3, HALF * 0.5, GAP]),
    ("eva", {"early": 2, "late": (2, 4)}, [1, GAP, GAP]), ("eva", {"early": 2, "late": (2, 4), "weight": 0.0},
                                                           [1, GAP, GAP])])
def test_by_hand(package, name, options, expected):
    evidence = package.Evidence(labels=EVIDENCE.labels, dynamics=DYNAMICS)
    np.testing.assert_allclose(package.score(name, evidence, **options), expected, rtol=1e-12)


def learnt(n=50, unseen=10, seed=0):
    """Evidence of n samples of two classes, of which the first ones were held out."""
    rng = np.random.RandomState(seed)
    margins = rng.randn(5, n)
    margins[:, :unseen] = np.nan
    return mc.Evidence(np.arange(n) % 2, logits=rng.randn(n, 2), dynamics=mc.TrainingDynamics(logit_margin=margins))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("rule", ["top", "bottom", "window", "strata", "random", "weighted_random"])
def test_what_was_not_seen_is_never_picked_and_counted_once(rule, balance):
    evidence = learnt()
    with pytest.warns(MsCoresetWarning, match="10 of 50 samples are never picked: they have no score") as told:
        coreset = mc.select_by("aum", rule, evidence, rate=0.8, balance=balance)
    assert len(told) == 1
    assert sorted(coreset.indices) == list(range(10, 50))
    with pytest.warns(MsCoresetWarning):
        twin = torch_ref.select_by("aum", rule, evidence, rate=0.4, balance=balance, seed=1)
        np.testing.assert_array_equal(
            twin.indices, mc.select_by("aum", rule, evidence, rate=0.4, balance=balance, seed=1).indices)


def test_more_than_was_seen_can_not_be_kept():
    with (pytest.warns(MsCoresetWarning),
          pytest.raises(MsCoresetError, match=r"40 of 50 samples .* fewer than the 45 to keep: at most rate 0\.8")):
        mc.select("aum", learnt(), 0.9)
    with pytest.raises(ValueError, match="40 of 50 samples have a score"):
        torch_ref.select("aum", learnt(), 0.9)


def test_the_cut_off_s_gaps_count_too():
    with pytest.warns(MsCoresetWarning, match="10 of 50"):
        kept = mc.select_by("loss", "strata", learnt(), rate=0.5, mis_ratio=0.1, cutoff_score="aum").indices
    assert kept.min() >= 10


def test_a_record_without_gaps_is_not_warned_of(recwarn):
    mc.select("aum", learnt(unseen=0), 0.5)
    assert not recwarn.list
