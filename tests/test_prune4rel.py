"""Prune4ReL: neighborhoods, gains that do not round away, and the turns of the classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.prune4rel import _log_cosh, _log_sinh

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def evidence(features, confidence, labels=None):
    """Two classes of answers; ``confidence`` is the highest probability, above a half."""
    confidence = np.asarray(confidence, float)
    logits = np.stack([np.log(confidence / (1 - confidence)), np.zeros(len(confidence))], axis=1)
    return mc.Evidence(np.zeros(len(confidence), int) if labels is None else np.asarray(labels),
                       np.asarray(features, float), logits)


def picks(known, rate=1.0, **options):
    return mc.select("prune4rel", known, rate, **options).indices.tolist()


def plain(known, k, tau, eta):
    """Gains as differences of tanh, everything computed at every pick."""
    unit = known.features / np.linalg.norm(known.features, axis=1, keepdims=True)
    p = np.exp(known.logits) / np.exp(known.logits).sum(axis=1, keepdims=True)
    sure, level, found = p.max(axis=1), np.zeros(len(p)), []
    for _ in range(k):
        gains = np.tanh((level + sure) / eta) - np.tanh(level / eta)
        gains[found] = -1
        found.append(int(np.argmax(gains >= gains.max() * (1 - 1e-10))))
        similar = 0.5 + 0.5 * unit @ unit[found[-1]]
        level += np.where(similar > tau + 1e-10, similar * sure[found[-1]], 0)
    return found


def test_by_hand():
    """Two near each other, and one across: who is near a confident pick waits."""
    known = evidence([[1, 0], [1, 0.01], [0, 1]], [0.9, 0.8, 0.7])
    assert picks(known) == [0, 2, 1]
    assert picks(known, tau=0.4) == [0, 2, 1]  # at 90 degrees similarity is a half: 0.45 of confidence, not 0.9
    assert picks(evidence([[1, 0], [0, 1], [0, 2]], [0.6, 0.9, 0.8]), turns=False) == [1, 0, 2]
    assert picks(known, metric="euclidean", tau=0.9) == [0, 2, 1]  # 0.9 at a distance of 0.9
    assert picks(evidence(known.features * 200, [0.9, 0.8, 0.7]), metric="euclidean", tau=0.9) == [0, 1, 2]


def test_similarities_at_the_threshold_do_not_count():
    known = evidence([[1, 0], [0, 1], [-1, 1e-9]], [0.9, 0.8, 0.7])
    assert picks(known, tau=0.49) == [0, 2, 1]  # the second is near the first: 0.5
    assert picks(known, tau=0.5) == [0, 1, 2]


@given(seed=st.integers(0, 2**31), n=st.integers(2, 40), tau=st.sampled_from([0.3, 0.6, 0.9]),
       eta=st.sampled_from([2.0, 10.0, 100.0]))
@settings(deadline=None, max_examples=40)
def test_where_tanh_tells_gains_apart_the_picks_are_those_of_the_plain_form(seed, n, tau, eta):
    rng = np.random.RandomState(seed)
    known = evidence(rng.randn(n, 3) + 1, rng.uniform(0.51, 0.99, n))
    assert picks(known, 0.5, tau=tau, eta=eta) == plain(known, round(0.5 * n), tau, eta)


def test_gains_of_a_dense_neighborhood_do_not_round_away():
    """All in one direction: the plain form's gains are all 0 after 20 picks, and the lowest place wins from there."""
    sure = np.linspace(0.6, 0.95, 120)[np.random.RandomState(0).permutation(120)]
    known = evidence(np.ones((120, 2)), sure)
    # All are served alike, so that the most confident gains most at any time.
    np.testing.assert_array_equal(picks(known), np.argsort(-sure, kind="stable"))
    assert (np.diff(plain(known, 120, 0.975, 1.0)[60:]) > 0).all()


@pytest.mark.parametrize("x", [1e-300, 1e-8, 0.3, 5.0, 300.0])
def test_logarithms_by_hand(x):
    assert _log_sinh(np.float64(x)) == pytest.approx(np.log(np.sinh(x)), rel=1e-12, abs=1e-15)
    assert _log_cosh(np.float64(x)) == pytest.approx(np.log(np.cosh(x)), rel=1e-12, abs=1e-15)
    assert _log_cosh(np.float64(1e5)) == pytest.approx(1e5 - np.log(2))  # where cosh overflows


def test_gains_stay_numbers_at_any_level_and_for_no_confidence_at_all():
    known = mc.Evidence(np.zeros(900, int), np.ones((900, 2)), np.zeros((900, 2)))  # margins of 0
    assert picks(known, 0.5, confidence="margin") == list(range(450))
    assert picks(known, 1.0, confidence="max", eta=0.1) == list(range(900))  # N / eta up to 4,500


def test_classes_take_turns():
    rng = np.random.RandomState(0)
    labels = np.array([7] * 30 + [2] * 20 + [4] * 10)[rng.permutation(60)]
    known = evidence(rng.randn(60, 3), rng.uniform(0.6, 0.9, 60), labels)
    found = labels[picks(known, 0.5)]
    assert found[:30].tolist() == [2, 4, 7] * 10
    assert picks(known, 0.5, turns=False) != picks(known, 0.5)


def test_turns_end_when_a_class_has_given_far_more_than_the_first_that_was_used_up():
    rng = np.random.RandomState(0)
    labels = np.repeat([0, 1, 2], [4, 40, 40])
    known = evidence(rng.randn(84, 3), rng.uniform(0.6, 0.9, 84), labels)
    found = picks(known)
    # Four rounds of three, the first class is used up; then two classes by the parity of the pick, to seven each: the
    # fourteenth pick of these makes one of them give more than 1.5 times 4.
    assert labels[found[:12]].tolist() == [0, 1, 2] * 4
    assert labels[found[12:17]].tolist() == [1, 2, 1, 2, 1]
    assert np.bincount(labels[found[:17]]).tolist() == [4, 7, 6]
    assert labels[found[17:]].tolist() != [2, 1] * 33 + [2]
    assert sorted(found) == list(range(84))


def test_a_balanced_class_is_pruned_by_itself():
    rng = np.random.RandomState(0)
    labels, features, sure = np.arange(60) % 3, rng.randn(60, 3), rng.uniform(0.6, 0.9, 60)
    whole = np.array(picks(evidence(features, sure, labels), 0.4, balance=True, tau=0.6))
    for label in range(3):
        rows = np.flatnonzero(labels == label)
        np.testing.assert_array_equal(whole[labels[whole] == label],
                                      rows[picks(evidence(features[rows], sure[rows]), 0.4, tau=0.6)])


def test_rows_of_zeros_are_near_to_no_one():
    assert picks(evidence([[0, 0], [0, 0], [1, 0]], [0.9, 0.8, 0.7])) == [0, 1, 2]


def test_without_labels_there_are_no_turns():
    known = evidence(np.random.RandomState(0).randn(20, 3), np.linspace(0.6, 0.9, 20))
    bare = mc.Evidence(features=known.features, logits=known.logits)
    assert mc.select("prune4rel", bare, 0.5, turns=False).indices.tolist() == picks(known, 0.5)
    with pytest.raises(MsCoresetError, match="labels"):
        mc.select("prune4rel", bare, 0.5)


@pytest.mark.parametrize(("option", "value"), [("tau", 1.0), ("eta", 0.0), ("confidence", "loss"), ("metric", "l1"),
                                               ("turns", 1)])
def test_options_out_of_range(option, value):
    with pytest.raises(MsCoresetError, match=f"prune4rel: {option}"):
        mc.select("prune4rel", evidence([[1], [2]], [0.6, 0.7]), 0.5, **{option: value})
