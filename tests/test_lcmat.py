"""LCMat: curvatures, distances, and what is picked by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.quota import proportional
from ms_coreset.selectors.submodular.lcmat import CurvatureDistance, _largest, curvatures

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def evidence(n=40, d=4, classes=3, seed=0, scale=1.0):
    rng = np.random.RandomState(seed)
    return mc.Evidence(np.arange(n) % classes, scale * rng.randn(n, d), 2 * rng.randn(n, classes))


def written_out(known):
    """(G, H) of all samples, every column, class by class, the bias first."""
    p = np.exp(known.logits) / np.exp(known.logits).sum(axis=1, keepdims=True)
    inputs = np.insert(known.features, 0, 1, axis=1)
    error = p - np.eye(p.shape[1])[known.labels]
    slopes = (error[:, :, None] * inputs[:, None]).reshape(len(p), -1)
    return slopes, ((p * (1 - p))[:, :, None] * inputs[:, None]**2).reshape(len(p), -1)


def greedy(distances, k):
    nearest, found = np.full(len(distances), distances.max()), []
    for _ in range(k):
        totals = np.minimum(nearest[:, None], distances).sum(axis=0)
        totals[found] = np.inf
        found.append(int(np.argmax(totals <= totals.min() + 1e-10 * nearest.sum())))
        nearest = np.minimum(nearest, distances[:, found[-1]])
    return found


def distances_of(known, rows, eps, dims, reach=np.inf):
    slopes, bends = (each[rows] for each in written_out(known))
    bends = bends[:, np.argsort(-bends.var(axis=0), kind="stable")[:dims]]
    apart = np.linalg.norm(slopes[:, None] - slopes, axis=2) + eps * np.abs(bends[:, None] - bends).sum(axis=2)
    return np.minimum(apart, reach)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 30), dims=st.integers(1, 20))
@settings(deadline=None, max_examples=30)
def test_the_columns_that_vary_most(seed, n, dims):
    known = evidence(n, seed=seed)
    bends = written_out(known)[1]
    expected = bends[:, np.sort(_largest(bends.var(axis=0), min(dims, 15)))]
    np.testing.assert_allclose(curvatures(LastLayerGradients.of(known), dims), expected, rtol=1e-12, atol=1e-13)


def test_of_columns_that_vary_alike_the_first_count():
    """Of two classes both p (1 - p) are the same."""
    known = evidence(20, classes=2)
    found = curvatures(LastLayerGradients.of(known), 5)
    bends = written_out(known)[1]
    np.testing.assert_allclose(bends[:, :5], bends[:, 5:])
    three = np.argsort(-bends[:, :5].var(axis=0))[:3]  # twice the best two, and the first of the third
    expected = bends[:, np.sort(np.concatenate([three, three[:2] + 5]))]
    np.testing.assert_allclose(found, expected)


def test_largest_by_hand():
    assert _largest(np.array([1, 3, 2, 3, 3.0]), 2).tolist() == [1, 3]
    assert _largest(np.array([1, 3, 2, 3, 3.0]), 4).tolist() == [1, 2, 3, 4]
    assert _largest(np.array([1, 1 + 1e-14, 1.0, 0]), 1).tolist() == [0]
    assert _largest(np.zeros(3), 2).tolist() == [0, 1]


@pytest.mark.parametrize(("eps", "dims", "reach"), [(0.05, 100, None), (0.0, 1, None), (2.0, 3, None), (0.5, 4, 2.0)])
def test_picks_are_those_of_distances_written_out(eps, dims, reach):
    known = evidence(60)
    coreset = mc.select("lcmat", known, 0.3, balance=True, eps=eps, dims=dims, reach=reach)
    expected = [rows[greedy(distances_of(known, rows, eps, dims, reach or np.inf), 6)]
                for rows in (np.flatnonzero(known.labels == label) for label in range(3))]
    np.testing.assert_array_equal(coreset.indices, np.concatenate(expected))


def test_rows_computed_whenever_they_are_needed_give_the_same():
    known = evidence(300, d=20)
    held, anew = (mc.select("lcmat", known, 0.2, memory=memory).indices for memory in ("1G", 0))
    np.testing.assert_array_equal(held, anew)
    assert "do not fit" in mc.estimate("lcmat", 300, 20, classes=3, rate=0.2, memory=0).note


def test_distances_by_hand():
    """One feature, two classes, equal answers: H is p (1 - p) times 1 and x^2, twice."""
    known = mc.Evidence(np.zeros(2, int), np.array([[0.0], [2.0]]), np.zeros((2, 2)))
    apart = CurvatureDistance(LastLayerGradients.of(known), 0.5, 4).rows(np.arange(2))
    assert apart[0, 1] == pytest.approx(np.sqrt(1 + 1) + 0.5 * 2 * 0.25 * 4)
    assert apart[0, 0] == apart[1, 1] == 1e-6


def test_features_of_any_norm_are_told_apart():
    """Similarities that count from 10 down to 0 are all 0 for these, and the first of each class are kept."""
    known = evidence(60, scale=1e4)
    firsts = np.concatenate([np.flatnonzero(known.labels == label)[:4] for label in range(3)])
    assert mc.select("lcmat", known, 0.2, balance=True, eps=0.0).indices.tolist() != firsts.tolist()
    assert mc.select("lcmat", known, 0.2, balance=True, eps=0.0, reach=10.0).indices.tolist() == firsts.tolist()


def test_features_of_zero_are_no_matter():
    """A kernel that divides by curvatures, which are 0 there, has no numbers left."""
    known = evidence(60)
    sparse = mc.Evidence(known.labels, np.maximum(known.features, 0), known.logits)
    picks = mc.select("lcmat", sparse, 0.2, balance=True).indices
    assert picks.tolist() != np.concatenate([np.flatnonzero(known.labels == label)[:4] for label in range(3)]).tolist()


def test_a_sample_s_gradient_hangs_on_no_batch():
    """Averaged over batches of 128, those of a smaller last batch weigh more: here the order makes no difference."""
    known = evidence(150)
    order = np.random.RandomState(1).permutation(150)
    one, other = (mc.select("lcmat", each, 0.1, balance=True).indices for each in (known, known.part(order)))
    assert set(one.tolist()) == set(order[other].tolist())


def test_classes_share_the_budget_where_they_are_not_balanced():
    rng = np.random.RandomState(0)
    labels = np.repeat([0, 1, 2], [30, 20, 10])[rng.permutation(60)]
    known = mc.Evidence(labels, rng.randn(60, 3), rng.randn(60, 3))
    picks = mc.select("lcmat", known, 0.25).indices
    assert np.bincount(labels[picks]).tolist() == proportional(15, [30, 20, 10])
    assert mc.select("lcmat", known, 0.02).indices.shape == (1,)  # a class that gets none gives none


@pytest.mark.parametrize(("option", "value"), [("eps", -0.1), ("dims", 0), ("reach", 0.0)])
def test_options_out_of_range(option, value):
    with pytest.raises(MsCoresetError, match=f"lcmat: {option}"):
        mc.select("lcmat", evidence(), 0.5, **{option: value})
