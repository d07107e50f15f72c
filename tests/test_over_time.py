"""TDDS and CLD by hand, from every kind of record, and the published codes' errors that are not to be ours."""

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError, MsCoresetWarning
from ms_coreset.selectors.scores.tdds import divergence
from ms_coreset.training.dynamics import FIELDS, RECORDS, FieldRecorder
from tests.test_training import RECIPE, new_network, toy_split

GAP = np.nan


def recorded(labels=None, **fields):
    """Evidence of these records (T, n)."""
    n = np.shape(next(iter(fields.values())))[1]
    labels = np.zeros(n, int) if labels is None else labels
    return mc.Evidence(labels, dynamics=mc.TrainingDynamics(**fields))


# TDDS

APART = np.array([[GAP, GAP, GAP], [0, 1, 3], [2, 1, 3], [2, 1, GAP], [0, 1, 5]])  # of three samples in five epochs


def test_temporal_dual_depth_by_hand():
    """Norms of what deviates in two divergences: sqrt(2), 0, sqrt(2), with weights .009, .09 and .9."""
    values = mc.score("tdds", recorded(divergence=APART), window=3)
    np.testing.assert_allclose(values, [0.909 * 2 ** 0.5, 0, 0], atol=1e-15)  # of the last sample the first window only
    np.testing.assert_allclose(mc.score("tdds", recorded(divergence=APART), window=5), [0.9 * 2, 0, GAP])
    np.testing.assert_allclose(mc.score("tdds", recorded(divergence=APART), window=3, epochs="2-5"),
                               [0.9 * 2 ** 0.5, 0, GAP])  # the divergence of the first of these epochs does not count


def test_divergence_by_hand():
    found = divergence(np.array([[0.5, 0.5], [1, 0]]), np.array([[0.25, 0.75], [1, 0]]))
    np.testing.assert_allclose(found, [0.25 * np.log(2) + 0.75 * np.log(1.5), 0], rtol=1e-7)


def test_whole_answers_tell_what_the_divergence_does():
    rng = np.random.RandomState(0)
    answers = rng.dirichlet(np.ones(4), (7, 30))
    apart = np.stack([np.full(30, GAP), *map(divergence, answers[:-1], answers[1:])])
    for options in ({}, {"window": 3}, {"window": 4, "epochs": (1, 6)}):
        np.testing.assert_array_equal(mc.score("tdds", recorded(probabilities=answers), **options),
                                      mc.score("tdds", recorded(divergence=apart), **options))


def test_every_sample_has_its_own_score():
    """The authors' code writes them sorted."""
    values = mc.score("tdds", recorded(divergence=APART[:, [1, 0]]), window=3)
    assert values[0] < values[1]


def test_windows_move_on():
    """DUAL's code takes the first window again and again: it is still here, and what comes later is not."""
    still = np.array([[GAP], [1], [1], [1], [4]])
    assert mc.score("tdds", recorded(divergence=still), window=3)[0] == pytest.approx(0.9 * 4.5 ** 0.5)


def test_logits_are_no_probabilities():
    """DUAL's code takes their logarithms."""
    with pytest.raises(MsCoresetError, match=r"must lie in \[0, 1\]: these look like logits"):
        mc.score("tdds", recorded(probabilities=np.random.RandomState(0).randn(4, 5, 3)))


@pytest.mark.parametrize(("options", "message"), [
    ({"window": 2}, "window"), ({"window": 6}, "a window of 6 epochs is longer than the 5"),
    ({"epochs": 2}, "a window of 3 epochs is longer than the 2"), ({"epochs": 7}, "within the 5 recorded epochs")])
def test_windows_that_are_not_there(options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.score("tdds", recorded(divergence=APART), **options)


def test_what_was_not_recorded_is_named():
    with pytest.raises(MsCoresetError, match="tdds needs the training dynamics' divergence, which was not recorded"):
        mc.score("tdds", recorded(loss=np.ones((3, 2))))


def test_the_recorder_compares_with_the_epoch_before():
    labels, rng = np.array([0, 1, 2, 0]), np.random.RandomState(0)
    logits = rng.randn(4, 4, 3)
    recorder = FieldRecorder(("divergence",), 4, 4)
    for epoch, rows in enumerate(([0, 1, 2, 3], [3, 0, 2], [1, 0, 3], [0, 1, 2, 3])):
        recorder.record(epoch, np.array(rows), logits[epoch, rows], labels[rows])
    found = recorder.dynamics().divergence
    assert found.dtype == np.float32
    assert np.isnan(found).tolist() == [[True] * 4, [False, True, False, False], [False, True, True, False],
                                        [False, False, True, False]]
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    for epoch in (1, 2, 3):
        np.testing.assert_allclose(found[epoch, 0], divergence(p[epoch - 1], p[epoch])[0], rtol=1e-5)


# CLD

LOSSES = np.array([[4, 4, 4, GAP], [3, 5, 3, GAP], [1, 7, GAP, GAP], [0, 8, 2, GAP], [2, 6, 1, GAP]], float)
HELD_OUT = np.array([[GAP] * 3 + [9], [GAP] * 3 + [7], [GAP] * 3 + [3], [GAP] * 3 + [1], [GAP] * 3 + [5]])


def test_correlations_by_hand():
    """Differences of the losses -1, -2, -1, 2 and the opposite; of the held-out one twice the former."""
    values = mc.score("cld", recorded(loss=LOSSES, validation_loss=HELD_OUT))
    np.testing.assert_allclose(values, [1, -1, GAP, GAP], rtol=1e-12)  # two differences of the third sample are known
    full = np.where(np.isnan(LOSSES), 4.0, LOSSES)
    full[:, 2] = [0, 1, 2, 3, 4]
    assert mc.score("cld", recorded(loss=full, validation_loss=HELD_OUT))[2] == 0  # does not vary
    assert mc.score("cld", recorded(loss=full, validation_loss=HELD_OUT), epochs=4)[1] == pytest.approx(-1)


def test_a_class_without_held_out_samples_goes_by_all_and_keeps_its_share():
    """The authors' code keeps none of it."""
    places = [0, 0, 1, 1, 3]
    evidence = recorded(np.array([0, 0, 1, 1, 0]), loss=LOSSES[:, places], validation_loss=HELD_OUT[:, places])
    with pytest.warns(MsCoresetWarning, match="no samples of 1 of 2 classes were held out"):
        np.testing.assert_allclose(mc.score("cld", evidence), [1, 1, -1, -1, GAP])
    with pytest.warns(MsCoresetWarning):
        assert mc.select("cld", evidence, 0.5, balance=True).indices.tolist() == [0, 1, 2]


def test_equal_correlations_go_by_the_lowest_index():
    """The authors' code takes the highest."""
    rng = np.random.RandomState(0)
    losses = np.repeat(rng.rand(6, 1), 5, axis=1)
    evidence = recorded(loss=losses, validation_loss=losses)
    assert mc.select("cld", evidence, 0.4).indices.tolist() == [0, 1]


@pytest.mark.parametrize(("fields", "message"), [
    ({"loss": np.ones((5, 2))}, "validation_loss, which was not recorded"),
    ({"loss": np.ones((5, 2)), "validation_loss": np.full((5, 2), GAP)}, "--validation 0.1"),
    ({"loss": np.ones((3, 2)), "validation_loss": np.ones((3, 2))}, "3 epochs are too few")])
def test_what_correlations_can_not_be_had_of(fields, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.score("cld", recorded(**fields))


# The loop

@pytest.mark.mindspore
def test_training_records_losses_of_what_it_holds_out(tmp_path):
    recipe = mc.Recipe(**{**RECIPE.as_dict(), "validation": 0.25, "eval_every": 2, "epochs": 5})
    result = mc.train(new_network(), toy_split(n=60), recipe, folder=tmp_path)
    held_out = np.isnan(result.dynamics.loss).all(axis=0)
    losses = result.dynamics.validation_loss
    assert losses.shape == (5, 60) and held_out.sum() == 15
    assert np.isnan(losses[:, ~held_out]).all() and np.isfinite(losses[:, held_out]).all()
    after = -np.log(np.exp(mc.extract(result.network, toy_split(n=60), need=("logits",)).logits.astype(float)))
    labels, rows = toy_split(n=60).labels, np.flatnonzero(held_out)
    expected = (after + np.log(np.exp(-after).sum(axis=1, keepdims=True)))[rows, labels[rows]]
    np.testing.assert_allclose(losses[-1, rows], expected, rtol=1e-4)
    values = mc.score("cld", mc.Evidence(labels, dynamics=mc.TrainingDynamics.load(tmp_path / "dynamics")))
    assert np.isnan(values).tolist() == held_out.tolist()
    assert {path.stem for path in (tmp_path / "dynamics").iterdir()} == set(RECORDS)  # and no state


@pytest.mark.mindspore
def test_validation_losses_without_a_validation_share():
    assert mc.train(new_network(), toy_split(), RECIPE).dynamics.validation_loss is None
    with pytest.raises(MsCoresetError, match="record validation_loss: the recipe holds nothing out"):
        mc.train(new_network(), toy_split(), RECIPE, record=(*FIELDS, "validation_loss"))


@pytest.mark.mindspore
def test_large_answers_are_kept_when_asked_for_only(monkeypatch):
    monkeypatch.setattr("ms_coreset.training.dynamics.LARGEST_ANSWERS", 100)
    assert mc.train(new_network(), toy_split(), RECIPE).dynamics.divergence is None
    assert mc.train(new_network(), toy_split(), RECIPE, record=("divergence",)).dynamics.divergence is not None
