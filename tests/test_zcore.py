"""ZCore: coverage of random planes, and that nothing else decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.scores import zcore

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def evidence(n=60, d=5, seed=0):
    rng = np.random.RandomState(seed)
    return mc.Evidence(np.arange(n) % 3, rng.randn(n, d).astype(np.float32))


def counted(plane, point, neighbors, exponent=4.0):
    counts = np.zeros(len(plane), np.int64)
    zcore._count(counts, np.array(plane, float).T, np.array(point, float), neighbors, exponent)
    return counts * zcore._UNIT


def test_one_draw_by_hand():
    plane = [[0, 0], [1, 0], [0, 2], [9, 9]]
    shares = np.array([1, 1 / 16]) / (1 + 1 / 16)  # at distances 1 and 2 from the first
    np.testing.assert_allclose(counted(plane, [-1, -1], 2), [1, -shares[0], -shares[1], 0], atol=1e-10)
    np.testing.assert_allclose(counted(plane, [0.9, 0], 1), [-1, 1, 0, 0], atol=1e-10)
    np.testing.assert_allclose(counted(plane, [-1, -1], 2, exponent=1.0), [1, -2 / 3, -1 / 3, 0], atol=1e-10)


def test_of_duplicates_the_first_loses_all_and_ties_go_to_the_lowest_place():
    assert counted([[1, 1], [0, 0], [0, 0], [0, 0]], [0, 0], 2).tolist() == [0, 1, -1, 0]
    assert counted([[1, 0], [0, 1], [-1, 0], [0, 0]], [0, 0], 1).tolist() == [-1, 0, 0, 1]
    assert counted([[2.0]] * 2 + [[5.0]], [2.0], 1).tolist() == [1, -1, 0]  # a line


def test_distances_next_to_nothing_stay_finite():
    found = counted([[0, 0], [1e-200, 0], [2e-200, 0]], [0, 0], 2)
    np.testing.assert_allclose(found, [1, -16 / 17, -1 / 17], atol=1e-10)


@given(seed=st.integers(0, 2**31), n=st.integers(3, 40))
@settings(deadline=None, max_examples=20)
def test_every_draw_gives_as_much_as_it_takes(seed, n):
    columns = np.ascontiguousarray(np.random.RandomState(seed).randn(n, 4).T)
    places, points = zcore._draw(columns, slice(0, 100), 0)
    assert abs(zcore._counts(columns, places, points, n - 2, 4.0).sum()) <= 100 * n  # units: rounding alone


def test_the_range_and_the_seed():
    known = evidence()
    values = mc.score("zcore", known, draws=200)
    assert values.min() == 0 and values.max() == 1
    assert (mc.score("zcore", known, draws=200, seed=1) != values).any()
    np.testing.assert_array_equal(mc.score("zcore", known), mc.score("zcore", known, draws=600))


def test_methods_and_rules_give_it_their_seed():
    known = evidence()
    for seed in (0, 5):
        values = mc.score("zcore", known, seed=seed)
        np.testing.assert_array_equal(mc.select("ZCore", known, 0.2, seed=seed).scores, values)
        np.testing.assert_array_equal(mc.select_by("zcore", "offset", known, rate=0.2, seed=seed).scores, values)
    assert "seed" not in mc.describe("zcore")["options"]
    with pytest.raises(MsCoresetError, match="seed -1: must be a whole number"):
        mc.score("zcore", known, seed=-1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads, monkeypatch):
    """In the authors' code every process begins with random numbers of its own."""
    known = evidence(n=200)
    expected = mc.score("zcore", known)
    monkeypatch.setattr(zcore, "_TASK", 100 // threads)
    with one_blas_thread:
        monkeypatch.setattr(one_blas_thread, "threads", threads)
        np.testing.assert_array_equal(mc.score("zcore", known), expected)


def test_draws_dealt_out_in_parts_are_the_same_draws():
    columns = np.ascontiguousarray(evidence().features.T)
    whole, parts = (zcore._draw(columns, part, 3) for part in (slice(0, 150), slice(64, 128)))
    for all_of_them, some in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(all_of_them[64:128], some)


def test_features_that_are_the_same_for_all_are_left_out():
    """In the authors' code they end in an error of the triangular distribution."""
    known = evidence()
    wider = np.insert(known.features, [0, 2, 2, 5], 7.0, axis=1)
    np.testing.assert_array_equal(mc.score("zcore", mc.Evidence(known.labels, wider)), mc.score("zcore", known))
    assert mc.score("zcore", mc.Evidence(known.labels, np.ones((60, 3)))).tolist() == [0] * 60


def test_features_whose_least_value_is_the_median():
    known = mc.Evidence(np.arange(60) % 3, np.maximum(evidence().features, 0.2))  # as after a ReLU
    assert len(np.unique(mc.score("zcore", known))) > 20


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples(n):
    values = mc.score("zcore", mc.Evidence(np.zeros(n, int), np.arange(2.0 * n).reshape(n, 2)))
    assert values.min() == 0 and np.isfinite(values).all()


def test_labels_are_not_looked_at():
    known = evidence()
    other = mc.Evidence(np.random.RandomState(1).randint(0, 9, 60), known.features)
    np.testing.assert_array_equal(mc.score("zcore", known), mc.score("zcore", other))


def test_samples_on_their_own_are_kept_and_crowds_thinned():
    rng = np.random.RandomState(0)
    features = np.concatenate([0.01 * rng.randn(190, 4), 3 * rng.randn(10, 4)])
    picks = mc.select("zcore", mc.Evidence(np.zeros(200, int), features), 0.1).indices
    assert (picks >= 190).sum() == 10


def test_draws_out_of_range():
    for draws in (0, 2**26 + 1):
        with pytest.raises(MsCoresetError, match="zcore: draws"):
            mc.score("zcore", evidence(), draws=draws)
