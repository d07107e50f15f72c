"""k-means: what each cluster is, whatever the seed, the scale, the threads and the size of a batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import k_means as module
from ms_coreset.selectors.k_means import k_means, nearest_centers, plus_plus
from ms_coreset.selectors.norms import rows_in_metric

mc.set_device("CPU")
DIGITS = load_digits().data
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


def distances_to(rows, centers, metric):
    """(n, K) Euclidean distances by differences."""
    return np.sqrt(((rows_in_metric(rows, metric)[:, None] - centers) ** 2).sum(axis=2))


def assert_consistent(found, rows, metric):
    """Each row is with its nearest center, and no cluster is empty."""
    apart = distances_to(rows, found.centers, metric)
    np.testing.assert_allclose(found.distances, apart[np.arange(len(rows)), found.labels], atol=1e-9)
    np.testing.assert_allclose(found.distances, apart.min(axis=1), atol=1e-7)
    names, first = np.unique(found.labels, return_index=True)
    np.testing.assert_array_equal(names, np.arange(len(found.centers)))
    assert (np.diff(first) > 0).all(), "clusters are numbered by their first members"
    if metric == "cosine":
        np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-9)


@METRICS
@pytest.mark.parametrize("batch", [0, 200])
def test_digits(metric, batch):
    found = k_means(DIGITS, 10, metric=metric, batch=batch)
    assert_consistent(found, DIGITS, metric)
    assert len(found.centers) == 10
    if not batch:  # settled: the centers are the means, all but for the last step
        rows = rows_in_metric(DIGITS, metric)
        means = np.stack([rows[found.labels == label].mean(axis=0) for label in range(10)])
        means = rows_in_metric(means, metric)
        assert np.linalg.norm(found.centers - means, axis=1).max() < 1e-2 * np.linalg.norm(rows.std(axis=0))


def test_no_worse_than_scikit_learn():
    theirs = KMeans(10, n_init=4, random_state=0).fit(DIGITS).inertia_
    assert k_means(DIGITS, 10).inertia < 1.01 * theirs
    assert k_means(DIGITS, 10, batch=300).inertia < 1.05 * theirs


def test_more_starts_are_no_worse():
    assert k_means(DIGITS, 15, starts=6).inertia <= k_means(DIGITS, 15, starts=1).inertia


@METRICS
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 12), st.integers(0, 3))
def test_whatever_the_rows(metric, n, d, k, seed):
    rows = np.random.RandomState(seed).randint(-2, 3, (n, d)).astype(float)  # many are equal, and many tie
    k = min(k, n)
    found = k_means(rows, k, metric=metric, seed=seed)
    names = np.unique(found.labels)
    np.testing.assert_array_equal(names, np.arange(len(found.centers)))
    differ = len(np.unique(rows_in_metric(rows, metric), axis=0))
    assert 1 <= len(names) <= min(k, differ)
    apart = distances_to(rows, found.centers, metric)
    np.testing.assert_allclose(found.distances, apart.min(axis=1), atol=1e-7)


@METRICS
def test_the_same_on_any_number_of_threads(metric):
    rows = np.random.RandomState(0).randn(3000, 40).astype(np.float32)
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.append(k_means(rows, 12, metric=metric, batch=500))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_neither_place_nor_scale_changes_the_clusters():
    rows = np.random.RandomState(1).randn(300, 6)
    labels = k_means(rows, 8).labels
    np.testing.assert_array_equal(k_means(rows * 1e6 + 1e8, 8).labels, labels)
    np.testing.assert_array_equal(k_means(rows * np.random.RandomState(2).rand(300, 1) + 0, 8, metric="cosine").labels,
                                  k_means(rows, 8, metric="cosine").labels)


def test_the_seed_decides():
    rows = np.random.RandomState(1).randn(400, 8)
    assert not np.array_equal(k_means(rows, 20, seed=0, starts=1).labels, k_means(rows, 20, seed=1, starts=1).labels)
    np.testing.assert_array_equal(k_means(rows, 20, seed=1).labels, k_means(rows, 20, seed=1).labels)


def test_the_global_random_state_is_not_touched():
    np.random.seed(4)
    before = np.random.get_state()[1].copy()
    k_means(DIGITS[:100], 5, batch=20)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("k", [0, 6])
def test_impossible_counts_are_refused(k):
    with pytest.raises(MsCoresetError, match=rf"{k} clusters of 5 samples: there must be 1 to 5"):
        k_means(np.eye(5), k)


def test_as_many_clusters_as_rows_that_differ():
    rows = np.repeat(np.random.RandomState(0).randn(4, 3), 3, axis=0)
    found = k_means(rows, 7)
    np.testing.assert_array_equal(found.labels, np.repeat(np.arange(4), 3))
    np.testing.assert_allclose(found.distances, 0, atol=1e-12)


def test_an_empty_cluster_takes_the_farthest_row():
    labels, squares = np.array([0, 0, 0, 2, 2]), np.array([1.0, 4.0, 4.0, 9.0, 0.0])
    taken = module._refill(labels, squares, 5)
    np.testing.assert_array_equal(taken, [3, 1, 2])  # that of 9 first, then the first of 4
    np.testing.assert_array_equal(labels, [0, 3, 4, 1, 2])
    np.testing.assert_array_equal(squares, [1.0, 0.0, 0.0, 0.0, 0.0])


def test_a_row_that_is_alone_or_at_its_center_stays():
    labels, squares = np.array([0, 1, 1, 1]), np.array([9.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(module._refill(labels, squares, 4), [3])
    np.testing.assert_array_equal(labels, [0, 1, 1, 2])


def test_a_cluster_that_loses_its_rows_is_there_again():
    rows = np.array([[0.0], [0.1], [0.2], [10.0], [30.0]])
    centers = np.array([[0.1], [100.0], [200.0]])
    found, _, inertia = module._Start(3, False, 0, 1)._lloyd(rows, centers)
    assert len(np.unique(nearest_centers(rows, found)[0])) == 3
    assert inertia == pytest.approx(0.02)


def test_of_equally_near_centers_the_lowest():
    rows = np.array([[0.0], [1.0], [2.0]])
    labels, squares = nearest_centers(rows, np.array([[2.0], [0.0]]))
    np.testing.assert_array_equal(labels, [1, 0, 0])
    np.testing.assert_array_equal(squares, [0, 1, 0])


def test_starts_are_rows_that_differ():
    rows = np.repeat(np.eye(6), 4, axis=0)
    centers = plus_plus(rows, 10, np.random.RandomState(0))
    assert len(centers) == 6 == len(np.unique(centers, axis=0))


def test_large_rows_go_by_batches(monkeypatch):
    monkeypatch.setattr(module, "WHOLE_BYTES", 8 * DIGITS.size - 1)
    monkeypatch.setattr(module, "BATCH", 300)
    np.testing.assert_array_equal(k_means(DIGITS, 10).labels, k_means(DIGITS, 10, batch=300).labels)


@METRICS
def test_rows_of_zeros_and_a_single_row(metric):
    found = k_means(np.zeros((4, 3)), 2, metric=metric)
    np.testing.assert_array_equal(found.labels, 0)
    assert len(k_means(np.ones((1, 2)), 1, metric=metric).centers) == 1
