"""Clusters of both packages, and those that scikit-learn found."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import ms_coreset as mc
from ms_coreset.selectors.k_means import k_means, nearest_centers
from parity_tests.peer_vectors import with_peers
from torch_ref.k_means import k_means as k_means_ref

mc.set_device("CPU")
DIGITS = load_digits().data[:600]
RNG = np.random.RandomState(3)
CASES = {"digits": (DIGITS, 10), "normal": (RNG.randn(200, 5), 7), "far away": (RNG.randn(90, 4) + 1e4, 5),
         "on a grid, which ties": (RNG.randint(0, 3, (120, 3)).astype(float), 6),
         "fewer that differ than clusters": (np.repeat(RNG.randn(4, 3), 5, axis=0), 9),
         "as many clusters as rows": (RNG.randn(12, 3), 12), "one cluster": (RNG.randn(30, 3), 1),
         "with a row of zeros": (np.concatenate([np.zeros((2, 4)), RNG.randn(40, 4)]), 4)}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("case", CASES)
def test_the_same_clusters(case, metric, seed):
    rows, k = CASES[case]
    ours, theirs = k_means(rows, k, metric=metric, seed=seed), k_means_ref(torch.tensor(rows), k, metric, seed)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    scale = np.abs(rows).max()
    np.testing.assert_allclose(ours.centers, theirs.centers, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(ours.distances, theirs.distances, rtol=1e-6, atol=1e-9 * scale)


@with_peers
def test_the_peers_clusters(folder):
    """RS2's prototypes go by the clusters that scikit-learn finds in these features, ten of them, in four starts."""
    if not (folder / "peer_frontier.npz").exists():
        pytest.skip(f"no peer_frontier.npz in {folder}")
    with np.load(folder / "inputs.npz") as inputs, np.load(folder / "peer_frontier.npz") as peers:
        rows, centers, labels = inputs["emb"], peers["sslproto/centers"], peers["sslproto/labels"]
    found, squares = nearest_centers(rows.astype(np.float64), centers.astype(np.float64))
    np.testing.assert_array_equal(found, labels)
    assert k_means(rows, len(centers)).inertia < 1.01 * squares.sum()
