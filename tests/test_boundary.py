"""Cal's divergence among neighbours, and DeepFool's distances, against plain loops and DeepCore's results."""

import mindspore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction.deepfool import deepfool_distances, squared_perturbations
from ms_coreset.selectors import neighbors, row_blocks
from ms_coreset.selectors.products import QuickProducts
from parity_tests.peer_cases import load, unclear_neighbors
from parity_tests.peer_vectors import with_peers

mc.set_device("CPU")


def divergence(p, q):
    return ((p - q) * (np.log(p) - np.log(q))).sum() / 2


def test_cal_by_hand():
    p = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    # Samples 0 to 3 are class 0, in a row at 0, 1, 3 and 3.5; sample 4 is alone in class 1.
    evidence = mc.Evidence(np.array([0, 0, 0, 0, 1]), np.array([[0.0], [1], [3], [3.5], [0.1]]), np.log(p))
    nearest = [divergence(p[i], p[j]) for i, j in ((0, 1), (1, 0), (2, 3), (3, 2))]
    np.testing.assert_allclose(mc.score("cal", evidence, neighbors=1), [*nearest, 0], rtol=1e-12)
    everyone = [np.mean([divergence(p[i], p[j]) for j in range(4) if j != i]) for i in range(4)]
    np.testing.assert_allclose(mc.score("Cal", evidence), [*everyone, 0], rtol=1e-12)  # 10 are not there: all others
    np.testing.assert_array_equal(mc.score("cal", evidence, direction="lowest"), -mc.score("cal", evidence))
    anywhere = [divergence(p[i], p[j]) for i, j in ((0, 4), (1, 4), (2, 3), (3, 2), (4, 0))]
    np.testing.assert_allclose(mc.score("cal", evidence, neighbors=1, within_class=False), anywhere, rtol=1e-12)


def test_cal_of_duplicates_goes_by_place():
    p = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    features = np.array([[0.1, 0.7], [0.1, 0.7], [0.1, 0.7], [5, 5]])
    evidence = mc.Evidence(np.zeros(4, int), features, np.log(p))
    paper = [divergence(p[i], p[j]) for i, j in ((0, 1), (1, 0), (2, 0), (3, 0))]
    np.testing.assert_allclose(mc.score("cal", evidence, neighbors=1), paper, rtol=1e-12)
    # DeepCore takes the first of the nearest for the sample itself: 0 for all three duplicates, 3 for 3.
    deepcore = [divergence(p[i], p[j]) for i, j in ((0, 1), (1, 1), (2, 1), (3, 0))]
    np.testing.assert_allclose(mc.score("cal", evidence, neighbors=1, variant="deepcore"), deepcore, rtol=1e-12,
                               atol=1e-15)


def test_cal_is_finite_where_softmax_underflows():
    evidence = mc.Evidence(np.zeros(3, int), np.eye(3), np.array([[1e4, 0], [0, 1e4], [0, 0.0]]))
    # D is 1e4 between the first two, 1e4 / 4 from either to the third.
    np.testing.assert_allclose(mc.score("cal", evidence, neighbors=2), [6250, 6250, 2500], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(1, 3), st.integers(0, 10**6), st.booleans())
def test_neighbors_are_those_of_a_stable_sort(n, k, d, seed, exclude_self):
    features = np.random.RandomState(seed).randint(0, 4, (n, d)).astype(np.float32)  # full of duplicates
    squares = ((features[:, None] - features)**2).sum(axis=2).astype(float)
    k = min(k, n - 1)
    if exclude_self:
        np.fill_diagonal(squares, np.inf)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :k] if exclude_self else \
        np.argsort(squares, axis=1, kind="stable")[:, 1:k + 1]
    found = np.concatenate([nearest for _, nearest in neighbors.neighbor_blocks(features, k, exclude_self)])
    np.testing.assert_array_equal(found, np.sort(expected, axis=1))


@pytest.mark.parametrize(("center", "spread"), [(0, 1), (1000, 1), (1000, 1e-3), (0, 1e15), (0, 1e-25)])
def test_neighbors_that_float32_products_cannot_tell(center, spread):
    features = center + spread * np.random.RandomState(0).randn(300, 20)
    features[290:] = features[:10]
    squares = ((features[:, None] - features)**2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    found = np.concatenate([nearest for _, nearest in neighbors.neighbor_blocks(features, 10)])
    np.testing.assert_array_equal(found, np.sort(np.argsort(squares, axis=1, kind="stable")[:, :10], axis=1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(1e-7, 0.1))
def test_neighbors_are_right_however_wrong_the_quick_products_are(seed, n, error):
    rng = np.random.RandomState(seed)
    features = rng.randn(n, 3)
    squares = ((features[:, None] - features)**2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    exact = QuickProducts.of_rows

    def off(quick, places):
        products, _ = exact(quick, places)
        lengths = np.linalg.norm(quick._rows, axis=1)
        signs = rng.choice([-1, 1], products.shape)
        return (products + signs * error * np.outer(lengths[places], lengths)).astype(np.float32), error + 1e-6

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickProducts, "of_rows", off)
        found = np.concatenate([nearest for _, nearest in neighbors.neighbor_blocks(features, min(3, n - 1))])
    expected = np.argsort(squares, axis=1, kind="stable")[:, :min(3, n - 1)]
    np.testing.assert_array_equal(found, np.sort(expected, axis=1))


def test_blocks_do_not_change_cal(monkeypatch):
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(rng.randint(0, 3, 100), rng.rand(100, 6).astype(np.float32), rng.randn(100, 3))
    whole = mc.score("cal", evidence)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 8 * 100 * 7)
    np.testing.assert_array_equal(mc.score("cal", evidence), whole)


@pytest.mark.parametrize(("options", "message"), [
    ({"neighbors": 0}, "neighbors 0: must be a whole number"), ({"neighbors": 2.5}, "neighbors 2.5"),
    ({"direction": "up"}, "direction 'up': must be one of highest, lowest"), ({"variant": "none"}, "variant 'none'")])
def test_impossible_options_of_cal_are_refused(options, message):
    evidence = mc.Evidence(np.zeros(3, int), np.eye(3), np.eye(3))
    with pytest.raises(MsCoresetError, match=message):
        mc.score("cal", evidence, **options)


@with_peers
@pytest.mark.parametrize(("mode", "within_class"), [("bal", True), ("unb", False)])
def test_neighbors_are_deepcores(folder, mode, within_class):
    """Of all samples whose nearest others are clear to its float32; the scores are compared in parity_tests."""
    evidence, peer = peers_of(folder)
    inputs, _ = load(folder)
    unclear = unclear_neighbors(within_class)(inputs)
    assert len(unclear) < len(evidence) / 10
    for rows in inputs.pools(within_class):
        for block, nearest in neighbors.neighbor_blocks(evidence.features[rows], 10):
            clear = ~np.isin(rows[block], unclear)
            np.testing.assert_array_equal(rows[nearest][clear],
                                          np.sort(peer[f"dc/Cal/{mode}/knn"][rows[block]], axis=1)[clear])


def test_deepfool_score_keeps_the_near():
    evidence = mc.Evidence(np.zeros(3, int), boundary=np.array([0.5, 0, 2], np.float32))
    np.testing.assert_array_equal(mc.score("deepfool", evidence), [-0.5, 0, -2])
    with pytest.raises(MsCoresetError, match="deepfool needs boundary"):
        mc.score("deepfool", mc.Evidence(np.zeros(3, int)))


def dense(*layers):
    """A network of dense layers with ReLU between them, from pairs of weight (out, in) and bias."""
    layers = [[mindspore.Tensor(np.asarray(array, np.float64)) for array in layer] for layer in layers]

    def logits(x):
        for i, (weight, bias) in enumerate(layers):
            x = mindspore.ops.matmul(mindspore.ops.relu(x) if i else x, weight.T) + bias
        return x

    return logits


def test_distance_to_a_linear_boundary_is_exact():
    weight, bias = np.array([[1.0, 0], [0, 2], [-1, -1]]), np.array([0.0, 0.5, -3])
    images = np.array([[3.0, 1], [-1, 2], [-4, -4]])
    answers = images @ weight.T + bias
    expected = []
    for x, first in zip(answers, answers.argmax(axis=1), strict=True):
        others = [k for k in range(3) if k != first]
        expected.append(min((x[first] - x[k])**2 / ((weight[first] - weight[k])**2).sum() for k in others))
    np.testing.assert_allclose(squared_perturbations(dense((weight, bias)), images), expected, rtol=1e-12)
    # With overshoot the images really cross the boundary, a little farther off, and in one step.
    beyond = squared_perturbations(dense((weight, bias)), images, max_iter=1, overshoot=0.02)
    np.testing.assert_allclose(beyond, 1.02**2 * np.array(expected), rtol=1e-12)


def test_classes_of_equal_gradient_are_passed_over():
    weight = np.array([[1.0, 0], [1, 0], [0, 1]])
    image = np.array([[2.0, 0]])
    distance = squared_perturbations(dense((weight, np.array([0.0, -0.1, 0]))), image)
    np.testing.assert_allclose(distance, 2, rtol=1e-12)  # to class 2, though class 1 is only 0.1 behind
    assert squared_perturbations(dense((np.ones((3, 2)), np.array([2.0, 1, 0]))), image) == [0]
    assert squared_perturbations(dense((weight, np.array([0.0, -0.1, 0]))), image, top_m=2) == [0]


def plain_deepfool(network, image, max_iter):
    """One image, one class at a time, as DeepCore's loop."""
    def one(x, k):
        return network(x)[0, k]

    slope = mindspore.grad(one)
    x, moved = mindspore.Tensor(image[None]), np.zeros(image.shape)
    first = int(network(x).asnumpy()[0].argmax())
    for _ in range(max_iter):
        answers = network(x).asnumpy()[0].astype(np.float64)
        if answers.argmax() != first:
            break
        gradients = [slope(x, k).asnumpy()[0].astype(np.float64) for k in range(len(answers))]
        best, step = np.inf, 0
        for k in range(len(answers)):
            normal = gradients[k] - gradients[first]
            length = np.linalg.norm(normal)
            if k != first and length and abs(answers[k] - answers[first]) / length < best:
                best = abs(answers[k] - answers[first]) / length
                step = best / length * normal
        moved += step
        x = mindspore.Tensor((image + moved).astype(image.dtype)[None])
    return (moved**2).sum()


@pytest.fixture(scope="module")
def lenet():
    return mc.create_network("lenet", 4, 1, image_size=8)


@pytest.fixture(scope="module")
def split():
    rng = np.random.RandomState(0)
    return mc.Split("toy", rng.randint(0, 255, (20, 8, 8, 1)).astype(np.uint8), rng.randint(0, 4, 20),
                    classes=tuple("abcd"), mean=(0.4,), std=(0.2,))


def test_a_convolutional_network_against_a_plain_loop(lenet, split):
    lenet.set_train(True)
    distances = deepfool_distances(lenet, split, max_iter=5)
    assert not lenet.training
    images = ((split.images[:4].transpose(0, 3, 1, 2) / np.float32(255) - np.float32(0.4)) / np.float32(0.2))
    expected = [plain_deepfool(lenet, image.astype(np.float32), 5) for image in images]
    np.testing.assert_allclose(distances[:4], expected, rtol=1e-3)
    assert distances.dtype == np.float64


def test_batches_do_not_change_the_distances(lenet, split):
    whole, parts = (deepfool_distances(lenet, split, max_iter=3, batch_size=size) for size in (80, 7))
    np.testing.assert_allclose(whole, parts, rtol=1e-3)


@pytest.mark.parametrize(("options", "message"), [
    ({"max_iter": 0}, "max_iter 0: must be a whole number, 1 or more"), ({"top_m": 1}, "top_m 1"),
    ({"top_m": "2"}, "top_m 2: must be a whole number"),
    ({"overshoot": -0.1}, "overshoot -0.1"), ({"overshoot": float("nan")}, "overshoot nan"),
    ({"batch_size": 0}, "batch_size 0")])
def test_impossible_options_of_deepfool_are_refused(lenet, split, options, message):
    with pytest.raises(MsCoresetError, match=message):
        deepfool_distances(lenet, split, **options)


@with_peers
def test_deepcore_deepfool(folder):
    _, peer = peers_of(folder)
    with np.load(folder / "inputs.npz") as inputs:
        network = dense(*[(inputs[f"mlp_fc{i}_weight"], inputs[f"mlp_fc{i}_bias"]) for i in (1, 2, 3)])
        images = inputs["X"].astype(np.float64)
    some = slice(None, None, 4)
    np.testing.assert_allclose(squared_perturbations(network, images[some], batch_size=2000),
                               peer["dc/DeepFool/r2_float64"][some], rtol=1e-9, atol=1e-12)


def peers_of(folder):
    with np.load(folder / "inputs.npz") as inputs:
        evidence = mc.Evidence(inputs["y"], inputs["emb"], inputs["logits"])
    with np.load(folder / "peer_deepcore.npz") as archive:
        return evidence, {name: archive[name] for name in archive.files}
