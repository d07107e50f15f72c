"""Geometric median matching: the median, the shares of the classes, and the picks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.selectors.centers import geometric_median
from ms_coreset.selectors.quota import proportional

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def summed_distance(rows, point):
    return np.linalg.norm(rows - point, axis=1).sum()


@pytest.mark.parametrize(("rows", "expected"), [
    ([[3, 4]], [3, 4]), ([[0, 0], [2, 0]], [1, 0]), ([[0, 0], [1, 0], [5, 0]], [1, 0]),
    ([[-1, 0], [1, 0], [0, -1], [0, 1]], [0, 0]), ([[2, 2]] * 5, [2, 2]),
    ([[0, 0], [10, 1], [10, -1], [1, 0]], [1, 0])])  # a corner of more than 120 degrees is the median itself
def test_geometric_median_by_hand(rows, expected):
    np.testing.assert_allclose(geometric_median(np.array(rows, float)), expected, atol=1e-3)


@given(seed=st.integers(0, 2**31), n=st.integers(3, 40), d=st.integers(2, 5))
@settings(deadline=None, max_examples=30)
def test_no_point_near_the_geometric_median_is_better(seed, n, d):
    rng = np.random.RandomState(seed)
    rows = rng.standard_t(2, (n, d))
    median = geometric_median(rows)
    least = summed_distance(rows, median)
    for size in (1e-3, 1e-2, 1.0):
        step = rng.randn(d)
        assert least <= summed_distance(rows, median + size * step / np.linalg.norm(step)) * (1 + 1e-9)
    assert least <= min(summed_distance(rows, row) for row in rows) * (1 + 1e-6)


def test_less_than_half_of_the_rows_can_not_draw_the_median_away():
    rng = np.random.RandomState(0)
    rows = rng.randn(100, 4)
    rows[:45] = 1e6
    assert np.linalg.norm(geometric_median(rows)) < 5
    assert np.linalg.norm(rows.mean(axis=0)) > 1e5


def test_the_median_of_narrow_types_is_that_of_their_numbers():
    rows = np.array([[100, 200], [200, 250], [250, 100], [255, 0]], np.uint8)
    np.testing.assert_array_equal(geometric_median(rows), geometric_median(rows.astype(float)))


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12), share=st.floats(0, 1))
def test_shares_are_whole_and_proportional(sizes, share):
    k = round(share * sum(sizes))
    shares = proportional(k, sizes)
    assert sum(shares) == k
    assert all(abs(part - k * size / sum(sizes)) < 1 and part <= size for part, size in zip(shares, sizes, strict=True))


def test_of_equal_remainders_the_first_classes_get_one_more():
    assert proportional(2, [10, 10, 10]) == [1, 1, 0]
    assert proportional(7, [5, 10, 5]) == [2, 3, 2]  # 1.75, 3.5 and 1.75


def match_plainly(rows, k, metric):
    """The recursion as the paper has it, theta_0 = mu."""
    center = geometric_median(rows)
    if metric == "cosine":
        rows, center = rows / np.linalg.norm(rows, axis=1, keepdims=True), center / np.linalg.norm(center)
    theta, picks = center.copy(), []
    for _ in range(k):
        worth = rows @ theta if metric == "cosine" else -np.linalg.norm(rows - theta, axis=1)
        worth[picks] = -np.inf
        picks.append(int(worth.argmax()))
        theta += center - rows[picks[-1]]
    return picks


@given(seed=st.integers(0, 2**31), n=st.integers(3, 40),  # of two, both are as near to the median
       metric=st.sampled_from(["cosine", "euclidean"]))
@settings(deadline=None, max_examples=30)
def test_picks_are_those_of_the_paper(seed, n, metric):
    rows = np.random.RandomState(seed).randn(n, 4)
    coreset = mc.select("gm_matching", mc.Evidence(np.zeros(n, int), rows), 1.0, metric=metric)
    assert coreset.indices.tolist() == match_plainly(rows, n, metric)


def uneven():
    """Classes of 60, 25, 4 and 1 samples."""
    rng = np.random.RandomState(1)
    labels = rng.permutation(np.repeat(np.arange(4), (60, 25, 4, 1)))
    return mc.Evidence(labels, (rng.randn(4, 5)[labels] + 0.3 * rng.randn(90, 5)).astype(np.float32))


def test_unbalanced_the_classes_share_the_budget_in_proportion():
    evidence = uneven()
    coreset = mc.select("gm_matching", evidence, 0.3)
    assert np.bincount(evidence.labels[coreset.indices], minlength=4).tolist() == [18, 8, 1, 0]
    assert len(mc.select("gm_matching", evidence, 1.0)) == 90


@pytest.mark.parametrize("start", ["median", "mean", "random"])
def test_each_class_is_matched_by_itself(start):
    evidence = uneven()
    whole = mc.select("gm_matching", evidence, 0.4, balance=True, start=start, seed=3).indices
    for label in range(3):
        rows = np.flatnonzero(evidence.labels == label)
        alone = mc.select("gm_matching", evidence.part(rows, ("features",)), 0.4, start=start, seed=3).indices
        np.testing.assert_array_equal(whole[evidence.labels[whole] == label], rows[alone])


def test_what_is_far_off_is_not_picked():
    rng = np.random.RandomState(0)
    rows = rng.randn(100, 6) + 5
    rows[:40] = 50 * rng.randn(40, 6) - 200
    for metric in ("cosine", "euclidean"):
        evidence = mc.Evidence(np.zeros(100, int), rows)
        assert mc.select("gm_matching", evidence, 0.2, metric=metric).indices.min() >= 40
    assert mc.select("herding", evidence, 0.2).indices.min() < 40  # the mean is drawn away


def test_rows_without_a_direction_and_equal_rows():
    rows = np.zeros((6, 3))
    assert mc.select("gm_matching", mc.Evidence(np.zeros(6, int), rows), 0.5).indices.tolist() == [0, 1, 2]
    rows[3:] = 1
    for metric in ("cosine", "euclidean"):
        picks = mc.select("gm_matching", mc.Evidence(np.zeros(6, int), rows), 1.0, metric=metric).indices
        assert sorted(picks) == list(range(6))
