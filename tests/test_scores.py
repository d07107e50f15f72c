"""Scores and rules by hand, and the originals' errors that are not to come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.rules import (
    after_cutoff,
    bottom,
    first_best,
    stratum_budgets,
    stratum_of,
    top,
    weighted_random,
)
from ms_coreset.softmax import log_softmax, softmax

mc.set_device("CPU")
LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]]))
LABELS = np.array([0, 1, 1])


def evidence(**fields):
    return mc.Evidence(**{"labels": LABELS, "logits": LOGITS, "features": np.array([[0.0, 0], [3, 4], [1, 0]]),
                          **fields})


def learnt(correct):
    """Evidence of training dynamics with these (T, n) outcomes."""
    correct = np.array(correct, bool)
    return mc.Evidence(labels=np.zeros(correct.shape[1], int), dynamics=mc.TrainingDynamics(correct=correct))


@pytest.mark.parametrize(("name", "options", "expected"), [
    ("least_confidence", {}, [0.3, 0.6, 0.2]),
    ("least_confidence", {"variant": "deepcore"}, -np.log([0.7, 0.4, 0.8])),
    ("entropy", {}, [-(p * np.log(p)).sum() for p in np.exp(LOGITS)]),
    ("entropy", {"variant": "deepcore"}, [-(p * np.log(p + 1e-6)).sum() for p in np.exp(LOGITS)]),
    ("margin", {}, [0.5, 1.0, 0.3]),
    ("loss", {}, -np.log([0.7, 0.4, 0.1])),
    ("el2n", {}, np.sqrt([0.09 + 0.04 + 0.01, 0.16 + 0.36 + 0.04, 0.01 + 0.81 + 0.64])),
    ("grand", {}, np.sqrt([0.14 * 1, 0.56 * 26, 1.46 * 2])),
    ("grand", {"variant": "deepcore", "batch_size": 2}, np.sqrt([0.14, 0.56 * 26, 1.46 * 2]) / [2, 2, 1])])
def test_by_hand(name, options, expected):
    np.testing.assert_allclose(mc.score(name, evidence(), **options), expected, rtol=1e-12)


def test_saturated_logits_stay_finite():
    extreme = evidence(logits=np.array([[1e4, 0, -1e4], [0, 1e4, 0], [-1e4, 1e4, 1e4]]))
    for name in ("least_confidence", "entropy", "margin", "loss", "el2n", "grand"):
        assert np.isfinite(mc.score(name, extreme)).all()


def test_scores_over_runs_are_means():
    other = evidence(logits=LOGITS[::-1])
    for name in ("grand", "el2n"):
        single = [mc.score(name, run) for run in (evidence(), other)]
        np.testing.assert_allclose(mc.score(name, evidence(runs=(evidence(), other))), np.mean(single, axis=0))
    with pytest.raises(MsCoresetError, match="every run must be of the same samples"):
        evidence(runs=(evidence(labels=np.array([0, 0, 0])),))


def test_gradients_are_the_last_layers():
    """Against the gradient written out: bias first, then a row of features per class."""
    gradients = LastLayerGradients.of(evidence())
    written = np.stack([np.concatenate([g, np.outer(g, e).ravel()])
                        for g, e in zip(gradients.errors, gradients.features, strict=True)])
    np.testing.assert_allclose(gradients.squared_norms(), (written**2).sum(axis=1))
    np.testing.assert_allclose(mc.selectors.SCORES["grand"].function(evidence())**2, (written**2).sum(axis=1))
    with pytest.raises(MsCoresetError, match="labels must be 0 to 2"):
        LastLayerGradients.of(evidence(labels=np.array([0, 1, 3])))


def test_scores_by_blocks_of_rows_are_the_same(monkeypatch):
    rng = np.random.RandomState(0)
    many = mc.Evidence(rng.randint(0, 3, 50), rng.randn(50, 4).astype(np.float32), rng.randn(50, 3).astype(np.float32))
    names = ("least_confidence", "entropy", "margin", "loss", "el2n", "grand")
    whole = {name: mc.score(name, many) for name in names}
    monkeypatch.setattr("ms_coreset.rows.ROWS_BYTES", 8 * 3 * 7)
    for name in names:
        np.testing.assert_array_equal(mc.score(name, many), whole[name])


@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=5))
def test_softmax_adds_to_one(logits):
    np.testing.assert_allclose(softmax(logits).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), softmax(logits))


# Training dynamics

def test_forgetting_by_hand():
    outcome = learnt([[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 0, 1, 1]])
    assert mc.score("forgetting", outcome).tolist() == [2, 4, 1, 0]  # the second was never learnt: 4 epochs
    assert mc.score("forgetting", outcome, never_learned="zero").tolist() == [2, 0, 1, 0]
    assert mc.score("correctness", outcome).tolist() == [-2, 0, -2, -4]
    with pytest.raises(MsCoresetError, match="never_learned 'max'"):
        mc.score("forgetting", outcome, never_learned="max")


def test_margins_and_windows_by_hand():
    dynamics = mc.TrainingDynamics(logit_margin=np.array([[2.0, -1], [4, -3]]), margin=np.array([[0.5, -0.5], [1, 0]]),
                                   error_norm=np.array([[1.0, 1.2], [0.5, 1.0]]))
    outcome = mc.Evidence(labels=np.array([0, 1]), dynamics=dynamics)
    assert mc.score("aum", outcome).tolist() == [-3, 2]
    assert mc.score("accumulated_margin", outcome).tolist() == [-1.5, 0.5]
    np.testing.assert_allclose(mc.score("el2n", outcome, last=1), [1, 1.2])
    np.testing.assert_allclose(mc.score("el2n", outcome, first=0, last=2), [0.75, 1.1])
    for window in ({"first": 2}, {"last": 3}, {"first": 1, "last": 1}):
        with pytest.raises(MsCoresetError, match="within the 2 recorded epochs"):
            mc.score("el2n", outcome, **window)
    with pytest.raises(MsCoresetError, match="correct, which was not recorded"):
        mc.score("forgetting", outcome)


# Probabilities of the label of two samples in five epochs.
MOVING = mc.Evidence(np.array([0, 1]), dynamics=mc.TrainingDynamics(
    probability=np.array([[0, 0.5], [1, 0.5], [0, 0.5], [0, 0.5], [0, 0.5]])))


@pytest.mark.parametrize(("window", "epochs", "expected"), [
    (2, None, [2 * 0.5 ** 0.5 / 4, 0]), (3, None, [2 * (1 / 3) ** 0.5 / 3, 0]), (5, None, [0.2 ** 0.5, 0]),
    (None, None, [0.2 ** 0.5, 0]),  # fewer than ten epochs: all
    (2, 3, [0.5 ** 0.5, 0]), (2, "2-5", [0, 0]), (None, (0, 2), [0.5 ** 0.5, 0])])
def test_dynamic_uncertainty_by_hand(window, epochs, expected):
    np.testing.assert_allclose(mc.score("dyn_unc", MOVING, window=window, epochs=epochs), expected, atol=1e-15)


def test_uncertainty_and_difficulty_by_hand():
    """Deviations of three epochs: 3^-1/2 where one is 1, whose mean is 1/3; none in the last window."""
    np.testing.assert_allclose(mc.score("dual", MOVING, window=3), [2 * (1 / 3) ** 0.5 * (2 / 3) / 3, 0], atol=1e-15)


def test_the_window_that_ends_with_the_last_epoch_counts():
    """Dyn-Unc's own code leaves it out."""
    late = mc.TrainingDynamics(probability=np.array([[0.5], [0.5], [0.5], [1.0]]))
    assert mc.score("dyn_unc", mc.Evidence(np.zeros(1, int), dynamics=late), window=2)[0] == 0.125 ** 0.5 / 3


@pytest.mark.parametrize(("options", "message"), [
    ({"window": 6}, "a window of 6 epochs is longer than the 5"), ({"epochs": 1}, "a window of 2 epochs"),
    ({"window": 4, "epochs": "1-4"}, "longer than the 3"), ({"epochs": 6}, "epochs 0 to 6: must lie within the 5"),
    ({"epochs": "3-9"}, "epochs 3 to 9: must lie within the 5")])
def test_windows_that_are_not_there(options, message):
    for name in ("dyn_unc", "dual"):
        with pytest.raises(MsCoresetError, match=message):
            mc.score(name, MOVING, **options)


def test_evolution_by_hand():
    """Variances of two samples: early 1/2 and 1/8, late 0 and 2."""
    errors = np.array([[0, 0.5], [1, 1], [0, 0], [0, 0.7], [0.5, 1], [0.5, 1.2]])
    evidence = mc.Evidence(np.array([0, 1]), dynamics=mc.TrainingDynamics(error_norm=errors))
    parts = {"early": 2, "late": "2-4"}
    np.testing.assert_allclose(mc.score("eva", evidence, **parts), [0.4, 0.6])
    np.testing.assert_allclose(mc.score("eva", evidence, **parts, weight=1.0), [0.8, 0.2])
    np.testing.assert_allclose(mc.score("eva", evidence, early=2, late=(4, 6), weight=0.0), [0, 1])  # the last epoch
    still = mc.Evidence(np.zeros(4, int), dynamics=mc.TrainingDynamics(error_norm=np.ones((6, 4))))
    assert mc.score("eva", still).tolist() == [0.25] * 4
    for wrong in ({"early": 3, "late": "2-4"}, {"early": 1}, {"late": "4-9"}, {"early": "4-6", "late": "0-2"}):
        with pytest.raises(MsCoresetError, match="of two epochs or more, one after the other"):
            mc.score("eva", evidence, **wrong)


def test_one_epoch_does_not_vary():
    one = mc.Evidence(np.zeros(2, int), dynamics=mc.TrainingDynamics(error_norm=np.ones((1, 2))))
    with pytest.raises(MsCoresetError, match="but one epoch"):
        mc.score("eva", one)


def test_scores_over_time_of_some_epochs():
    dynamics = mc.TrainingDynamics(correct=np.array([[1, 0], [0, 0], [1, 1], [0, 1]], bool),
                                   logit_margin=np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]]),
                                   margin=np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]]))
    evidence = mc.Evidence(np.array([0, 1]), dynamics=dynamics)
    assert mc.score("forgetting", evidence, epochs=2).tolist() == [1, 2]
    assert mc.score("correctness", evidence, epochs="1-3").tolist() == [-1, -1]
    assert mc.score("aum", evidence, epochs=(2, 4)).tolist() == [-6, -7]
    np.testing.assert_allclose(mc.score("accumulated_margin", evidence, epochs=1), [-0.1, -0.2], rtol=1e-6)


def test_dynamics_of_other_samples_or_of_a_training_that_did_not_end_are_refused():
    dynamics = mc.TrainingDynamics(logit_margin=np.array([[2.0, np.nan, 1], [np.nan] * 3]))
    with pytest.raises(MsCoresetError, match="no training dynamics of epoch 2 of 2: training was not finished"):
        mc.score("aum", mc.Evidence(labels=np.zeros(3, int), dynamics=dynamics))
    np.testing.assert_array_equal(mc.score("aum", mc.Evidence(np.zeros(3, int), dynamics=dynamics), epochs=1),
                                  [-2, np.nan, -1])
    with pytest.raises(MsCoresetError, match="dynamics of 3 samples, but 2 labels"):
        mc.score("aum", mc.Evidence(labels=np.zeros(2, int), dynamics=dynamics), epochs=1)


# Rules

def test_first_best_takes_the_lowest_place_of_what_rounding_can_not_tell():
    assert first_best(np.array([1.0, 3, 3 + 1e-13, 2])) == 1
    assert first_best(np.array([-2.0, -1, -1 - 1e-12])) == 1
    assert first_best(np.array([0.0, 0])) == 0


def test_top_and_bottom_by_hand():
    scores, rng = np.array([2.0, 5, 2, 7]), np.random.RandomState(0)
    assert top(scores, 3, rng).tolist() == [3, 1, 0]
    assert bottom(scores, 3, rng).tolist() == [0, 2, 1]


def test_weighted_random_prefers_high_scores():
    scores = np.concatenate([np.zeros(50), np.ones(50)])
    for seed in range(5):
        assert weighted_random(scores, 30, np.random.RandomState(seed)).min() >= 50
    equal = weighted_random(np.full(10, 3.0), 10, np.random.RandomState(0))
    assert sorted(equal) == list(range(10))


def test_strata_by_hand():
    assert stratum_of(np.array([0, 0.9, 1, 2.5, 4]), 4).tolist() == [0, 0, 1, 2, 3]
    assert stratum_of(np.array([-3.0, -2, -1]), 2).tolist() == [0, 1, 1]  # the highest of all negative is not lost
    assert stratum_of(np.full(3, -5.0), 50).tolist() == [0, 0, 0]  # nor are equal ones


def test_budgets_by_hand():
    assert stratum_budgets(np.array([10, 1, 4]), 9).tolist() == [4, 1, 4]
    assert stratum_budgets(np.array([3, 3, 3]), 4).tolist() == [1, 1, 2]  # what is over goes to the last of equals
    assert stratum_budgets(np.array([0, 5]), 3).tolist() == [0, 3]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 200))
def test_budgets_use_all_there_is_to_use(sizes, k):
    sizes = np.array(sizes)
    budgets = stratum_budgets(sizes, k)
    assert (budgets <= sizes).all()
    assert budgets.sum() == min(k, sizes.sum())
    open_ones = budgets[budgets < sizes]
    assert not len(open_ones) or budgets.max() - open_ones.min() <= 1


def test_cutoff_takes_the_hardest_away():
    hardness = np.array([5.0, 1, 9, 2, 8, 3])
    assert after_cutoff(hardness, 4, mis_ratio=0.34).tolist() == [0, 1, 3, 5]
    with pytest.raises(MsCoresetError, match="leaves 4 samples, fewer than the 5"):
        after_cutoff(hardness, 5, mis_ratio=0.34)


# Methods that are a score and a rule

def spread(n=200, seed=0):
    rng = np.random.RandomState(seed)
    margins = rng.randn(5, n)
    return mc.Evidence(labels=np.repeat([0, 1], [150, 50]), logits=rng.randn(n, 2),
                       dynamics=mc.TrainingDynamics(logit_margin=margins, margin=np.tanh(margins)))


def test_ccs_never_takes_the_cut_off_samples():
    evidence = spread()
    coreset = mc.select("ccs", evidence, 0.3, mis_ratio=0.4, seed=3)
    cut = np.argsort(-mc.score("accumulated_margin", evidence), kind="stable")[:80]
    assert len(coreset) == 60
    assert not set(coreset.indices) & set(cut)
    by_hand = mc.select_by("accumulated_margin", "strata", evidence, rate=0.3, mis_ratio=0.4, seed=3)
    np.testing.assert_array_equal(by_hand.indices, coreset.indices)


def test_ccs_with_too_little_left_is_refused_and_not_shortened():
    with pytest.raises(MsCoresetError, match=r"mis_ratio 0\.8 leaves 40 samples, fewer than the 60"):
        mc.select("ccs", spread(), 0.3, mis_ratio=0.8)


def test_balanced_methods_use_each_class_own_count():
    kept = mc.select("aum", spread(), 0.5, balance=True).indices
    assert [(kept < 150).sum(), (kept >= 150).sum()] == [75, 25]


def test_a_score_with_any_rule():
    evidence = spread()
    loss = mc.score("loss", evidence)
    order = np.argsort(loss, kind="stable")
    np.testing.assert_array_equal(mc.select_by("loss", "bottom", evidence, rate=0.1).indices, order[:20])
    np.testing.assert_array_equal(mc.select_by("loss", "top", evidence, rate=0.1).indices,
                                  mc.select("loss", evidence, 0.1) .indices)
    np.testing.assert_array_equal(mc.select_by("loss", "window", evidence, rate=0.1).indices, order[90:110])
    for rule in ("random", "weighted_random", "strata"):
        assert len(mc.select_by("loss", rule, evidence, rate=0.1, balance=True).indices) == 15 + 5
    with pytest.raises(MsCoresetError, match="unknown rule 'middle'"):
        mc.select_by("loss", "middle", evidence, rate=0.1)
    with pytest.raises(MsCoresetError, match="loss has no option 'strata'"):
        mc.select_by("loss", "top", evidence, rate=0.1, strata=3)


def test_uncertain_samples_are_kept_with_and_without_balance():
    """DeepCore keeps the most certain ones when it does not balance; so does variant="deepcore", and only that."""
    evidence = spread()
    certainty = softmax(evidence.logits).max(axis=1)
    for balance in (False, True):
        kept = mc.select("least_confidence", evidence, 0.2, balance=balance).indices
        assert certainty[kept].mean() < certainty.mean()
    quirk = mc.select("margin", evidence, 0.2, variant="deepcore").indices
    assert certainty[quirk].mean() > certainty.mean()


@pytest.mark.parametrize("rule", [["top"], {"top"}, np.array(["top"]), None, 3])
def test_a_rule_that_is_no_text_is_refused(rule):
    with pytest.raises(MsCoresetError, match="rule"):
        mc.select_by("entropy", rule, evidence(), rate=0.5)
