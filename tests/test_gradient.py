"""GradMatch and Glister: closed forms against written-out gradients, by hand, and the peers' own results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import gradmatch
from ms_coreset.selectors.cords_pursuit import match_as_cords
from ms_coreset.selectors.last_layer_gradients import BatchGradients, LastLayerGradients, ResidentGradients
from ms_coreset.selectors.quota import classes
from ms_coreset.softmax import softmax
from parity_tests.peer_vectors import with_peers

mc.set_device("CPU")


def evidence_of(n=12, classes=3, d=4, seed=0, **fields):
    rng = np.random.RandomState(seed)
    return mc.Evidence(rng.randint(0, classes, n), rng.randn(n, d).astype(np.float32),
                       2 * rng.randn(n, classes).astype(np.float32), **fields)


def rows_of(evidence, rows):
    return mc.Evidence(evidence.labels[rows], evidence.features[rows], evidence.logits[rows])


def write_out(evidence):
    """Last-layer gradients (n, C (d + 1)), bias first: what the selectors never make."""
    errors = softmax(evidence.logits) - np.eye(evidence.logits.shape[1])[evidence.labels]
    inputs = np.hstack([np.ones((len(evidence), 1)), evidence.features])
    return (errors[:, :, None] * inputs[:, None, :]).reshape(len(evidence), -1)


def resident(evidence):
    return ResidentGradients(LastLayerGradients.of(evidence))


def ridge(columns, target, lam):
    """argmin_x ||sum_j x_j columns_j - target||^2 + lam ||x||^2, and that minimum."""
    x = np.linalg.solve(columns @ columns.T + lam * np.eye(len(columns)), columns @ target)
    return x, ((x @ columns - target)**2).sum() + lam * (x**2).sum()


def plain_pursuit(gradients, target, k, lam):
    """The same greedy picks, each least squares solved from nothing."""
    picks, residual = [], target
    for _ in range(k):
        values = gradients @ residual
        values[picks] = -np.inf
        picks.append(int(np.argmax(values)))
        residual = target - ridge(gradients[picks], target, lam)[0] @ gradients[picks]
    return picks


def test_closed_forms_are_the_written_out_gradients():
    evidence, others = evidence_of(), evidence_of(5, seed=1)
    pool, gradients, foreign = resident(evidence), write_out(evidence), write_out(others)
    np.testing.assert_allclose(pool.gram(LastLayerGradients.of(others)), foreign @ gradients.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(pool.mean().ravel(), gradients.mean(axis=0), rtol=1e-12, atol=1e-15)
    direction = np.random.RandomState(2).randn(3, 5)
    np.testing.assert_allclose(pool.projections(direction), gradients @ direction.ravel(), rtol=1e-12)
    step = foreign.sum(axis=0).reshape(3, 5)
    moved = step[:, 0] + evidence.features @ step[:, 1:].T
    np.testing.assert_allclose(pool.logit_shift(LastLayerGradients.of(others)), moved, rtol=1e-10, atol=1e-13)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10**6), st.sampled_from([1e-3, 0.5, 30.0]))
def test_pursuit_is_the_plain_one_and_its_misfit_falls(n, seed, lam):
    evidence = evidence_of(n, seed=seed)
    gradients = write_out(evidence)
    target = gradients.mean(axis=0)
    pool = resident(evidence)
    pursuit = gradmatch._pursue(pool, pool.mean(), n, lam)
    assert pursuit.picks.tolist() == plain_pursuit(gradients, target, n, lam)
    misfits = []
    for t in range(1, n + 1):
        x, misfit = ridge(gradients[pursuit.picks[:t]], target, lam)
        fitted = np.linalg.solve(pursuit.lower[:t, :t].T, pursuit.solved[:t])
        np.testing.assert_allclose(fitted, x, rtol=1e-6, atol=1e-9)
        misfits.append(misfit)
    assert np.all(np.diff(misfits) <= 1e-12)
    np.testing.assert_allclose(misfits[-1], target @ target - pursuit.solved @ pursuit.solved, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5])  # with 3, no weight comes out as 0
def test_weights_are_the_best_that_are_not_negative(seed):
    evidence, lam = evidence_of(12, seed=seed, validation=evidence_of(5, seed=seed + 100)), 0.05
    coreset = mc.select("gradmatch", evidence, 0.75, lam=lam, refill="none")
    gradients, target = write_out(evidence), write_out(evidence.validation).mean(axis=0)
    assert len(coreset) < 9
    picks = plain_pursuit(gradients, target, 9, lam)
    weights = np.zeros(12)
    weights[coreset.indices] = coreset.weights
    # The optimality conditions: no slope along a positive weight, none upwards from a weight of zero.
    slopes = (gradients @ (target - weights @ gradients) - lam * weights)[picks]
    assert set(coreset.indices) <= set(picks)
    assert np.all(coreset.weights > 0)
    np.testing.assert_allclose(slopes[weights[picks] > 0], 0, atol=1e-10)
    assert np.all(slopes[weights[picks] == 0] <= 1e-10)
    assert [pick for pick in picks if weights[pick] > 0] == coreset.indices.tolist()


def test_refill_takes_the_largest_projections_with_the_smallest_weight():
    evidence = evidence_of(12, validation=evidence_of(5, seed=100))
    fitted = mc.select("gradmatch", evidence, 0.75, refill="none")
    assert len(fitted) < 8
    gradients, target = write_out(evidence), write_out(evidence.validation).mean(axis=0)
    left = gradients @ (target - fitted.weights @ gradients[fitted.indices])
    left[fitted.indices] = -np.inf
    missing = 9 - len(fitted)
    full = mc.select("gradmatch", evidence, 0.75)
    assert full.indices.tolist() == [*fitted.indices, *np.argsort(-left, kind="stable")[:missing]]
    np.testing.assert_array_equal(full.weights, [*fitted.weights, *[fitted.weights.min()] * missing])


@pytest.mark.parametrize("lam", [1e-9, 0.5, 1e6])
@pytest.mark.parametrize("rate", [1 / 12, 0.5, 1.0])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("kind", ["any", "duplicates", "no gradient", "all alike"])
def test_the_budget_is_met_with_weights_above_zero(lam, rate, balance, kind):
    evidence = evidence_of(12, classes=2)
    if kind == "duplicates":
        evidence = rows_of(evidence, np.repeat(np.arange(3), 4))
    if kind == "all alike":
        evidence = rows_of(evidence, np.zeros(12, int))
    if kind == "no gradient":
        evidence = mc.Evidence(evidence.labels, evidence.features, 1e4 * np.eye(2)[evidence.labels])
    counts = np.bincount(evidence.labels)
    expected = sum(round(rate * count) for count in counts) if balance else round(rate * 12)
    if not expected:
        return
    coreset = mc.select("gradmatch", evidence, rate, balance=balance, lam=lam)
    assert len(set(coreset.indices)) == len(coreset) == expected
    assert coreset.weights.dtype == np.float64
    assert np.all(coreset.weights > 0)
    assert np.all(np.isfinite(coreset.weights))


def test_first_of_equals_is_picked():
    evidence = rows_of(evidence_of(6), np.tile(np.arange(6), 2))
    assert mc.select("gradmatch", evidence, 1 / 12).indices[0] < 6
    assert mc.select("glister", evidence, 1 / 12).indices[0] < 6


def test_gradmatch_by_hand():
    # One feature, two classes, all of class 0: G_i = (1 - p_i)(-1, 1) x (1, e_i), K_ij = 2 q_i q_j (1 + e_i e_j).
    q, e = np.array([0.5, 0.25, 0.8]), np.array([1.0, -1.0, 0.0])
    logits = np.stack([np.log(1 - q), np.log(q)], axis=1)
    evidence = mc.Evidence(np.zeros(3, int), e[:, None], logits)
    gram = 2 * np.outer(q, q) * (1 + np.outer(e, e))
    assert mc.select("gradmatch", evidence, 1 / 3).indices.tolist() == [gram.mean(axis=1).argmax()] == [2]
    first = gram.mean(axis=1)[2] / (gram[2, 2] + 0.5)
    second = (gram.mean(axis=1) - gram[:, 2] * first)[:2].argmax()
    coreset = mc.select("gradmatch", evidence, 2 / 3)
    assert coreset.indices.tolist() == [2, second]
    rows = coreset.indices
    weights = np.linalg.solve(gram[np.ix_(rows, rows)] + 0.5 * np.eye(2), gram.mean(axis=1)[rows])
    np.testing.assert_allclose(coreset.weights, weights, rtol=1e-12)


def test_gradmatch_weighs_a_class_by_the_size_of_its_gradient():
    # Four equal samples of gradient g a class, two of them picked: x g + x g is nearest g, with lam, where
    # 2 x = |g|^2 / (|g|^2 + lam / 2); |g|^2 = 2 q^2, q = 0.8 and 0.1 the probabilities of the wrong class.
    wrong, lam = np.repeat([0.8, 0.1], 4), 0.5
    logits = np.stack([np.log(1 - wrong), np.log(wrong)], axis=1)
    logits[4:] = logits[4:, ::-1]
    evidence = mc.Evidence(np.repeat([0, 1], 4), np.zeros((8, 1)), logits)
    coreset = mc.select("gradmatch", evidence, 0.5, balance=True, lam=lam)
    sizes = 2 * np.array([0.8, 0.1]) ** 2
    sums = np.bincount(evidence.labels[coreset.indices], coreset.weights)
    np.testing.assert_allclose(sums, sizes / (sizes + lam / 2), rtol=1e-12)  # 0.84 and 0.07


def test_deepcore_lam_is_left_out_after_the_first_pick_only():
    evidence = evidence_of(10, classes=2, seed=3)
    gradients = write_out(evidence)
    target = gradients.mean(axis=0)
    picks, residual = [], target
    for _ in range(5):
        values = gradients @ residual
        values[picks] = -np.inf
        picks.append(int(np.argmax(values)))
        x = ridge(gradients[picks], target, 1.0 if len(picks) > 1 else 0.0)[0]
        residual = target - x @ gradients[picks]
    chosen = mc.select("gradmatch", evidence, 0.5, variant="deepcore", batch_size=1).indices
    assert [pick for pick in picks if pick in chosen] == chosen.tolist()


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
@pytest.mark.parametrize("rounds", [None, 2, 4, 100])
@pytest.mark.parametrize("with_validation", [False, True])
def test_glister_is_the_written_out_one(aggregate, rounds, with_validation):
    evidence = evidence_of(12, validation=evidence_of(7, seed=5) if with_validation else None)
    judges = evidence.validation or evidence
    gradients, picks, k, eta = write_out(evidence), [], 8, 0.7
    each = 1 if rounds is None else -(-k // rounds)
    gains = gradients @ write_out(judges).mean(axis=0)
    np.testing.assert_allclose(mc.select("glister", evidence, 2 / 3).scores, gains, rtol=1e-12, atol=1e-14)
    while len(picks) < k:
        free = np.where(np.isin(np.arange(12), picks), -np.inf, gains)
        picks += np.argsort(-free, kind="stable")[:min(each, k - len(picks))].tolist()
        step = getattr(gradients[picks], aggregate)(axis=0).reshape(3, 5)
        logits = judges.logits - eta * (step[:, 0] + judges.features @ step[:, 1:].T)
        gains = gradients @ write_out(mc.Evidence(judges.labels, judges.features, logits)).mean(axis=0)
    coreset = mc.select("glister", evidence, 2 / 3, eta=eta, aggregate=aggregate, rounds=rounds)
    assert coreset.indices.tolist() == picks


@pytest.mark.parametrize("variant", ["paper", "deepcore"])
@pytest.mark.parametrize("name", ["gradmatch", "glister"])
def test_balanced_is_every_class_for_itself(name, variant):
    evidence = evidence_of(60, validation=evidence_of(30, seed=9))
    whole = mc.select(name, evidence, 0.3, balance=True, variant=variant)
    parts, scores = [], np.empty(60)
    for label in range(3):
        rows = np.flatnonzero(evidence.labels == label)
        judges = rows_of(evidence.validation, np.flatnonzero(evidence.validation.labels == label))
        part = rows_of(evidence, rows)
        alone = mc.select(name, mc.Evidence(part.labels, part.features, part.logits, validation=judges), 0.3,
                          variant=variant)
        parts.append(rows[alone.indices])
        if name == "glister":
            scores[rows] = alone.scores
    assert whole.indices.tolist() == np.concatenate(parts).tolist()
    if name == "glister":
        np.testing.assert_allclose(whole.scores, scores, rtol=1e-12)


def test_glister_scores_every_class_even_one_without_a_budget():
    evidence = mc.Evidence(np.array([0] * 11 + [1]), *[getattr(evidence_of(classes=2), name)
                                                       for name in ("features", "logits")])
    coreset = mc.select("glister", evidence, 0.3, balance=True)
    assert 11 not in coreset.indices
    assert np.all(np.isfinite(coreset.scores))
    assert coreset.scores[11] > 0  # with itself for a validation set


def test_batch_size_matters_to_deepcore_only():
    evidence = evidence_of(50)
    for name in ("gradmatch", "glister"):
        few, many = (mc.select(name, evidence, 0.2, batch_size=size) for size in (3, 50))
        np.testing.assert_array_equal(few.indices, many.indices)
    inflated = mc.select("glister", evidence, 0.04, variant="deepcore", batch_size=49)
    assert abs(inflated.scores[49]) > abs(mc.select("glister", evidence, 0.04, variant="deepcore",
                                                    batch_size=50).scores[49])


@pytest.mark.parametrize(("name", "options", "message"), [
    ("gradmatch", {"lam": 0}, "lam 0: must be a finite number above 0"),
    ("gradmatch", {"lam": float("nan")}, "lam nan"),
    ("gradmatch", {"refill": "random"}, "refill 'random': must be one of projection, none"),
    ("gradmatch", {"variant": "glister"}, "variant 'glister'"), ("gradmatch", {"solver": "v2"}, "solver 'v2'"),
    ("craig", {"per_batch": True, "already_selected": [1]}, "already_selected names samples"),
    ("gradmatch", {"batch_size": 0}, "batch_size 0"),
    ("glister", {"eta": -1}, "eta -1"),
    ("glister", {"aggregate": "median"}, "aggregate 'median': must be one of mean, sum"),
    ("glister", {"rounds": 1.5}, "rounds 1.5: must be a whole number"),
    ("glister", {"rounds": True}, "rounds True")])
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.select(name, evidence_of(), 0.5, **options)


@pytest.mark.parametrize("name", ["gradmatch", "glister"])
def test_a_validation_set_that_does_not_fit_is_refused(name):
    bare = mc.Evidence(np.zeros(3, int))
    with pytest.raises(MsCoresetError, match=f"validation set of {name} needs features"):
        mc.select(name, evidence_of(validation=bare), 0.5)
    with pytest.raises(MsCoresetError, match="validation features have 6 columns, must have 4"):
        mc.select(name, evidence_of(validation=evidence_of(d=6)), 0.5)
    with pytest.raises(MsCoresetError, match="validation has no sample of class 2"):
        mc.select(name, evidence_of(30, validation=evidence_of(classes=3, n=2, seed=2)), 0.5, balance=True)


def peers_of(folder, peer):
    with np.load(folder / "inputs.npz") as inputs:
        evidence = mc.Evidence(inputs["y"], inputs["emb"], inputs["logits"])
    with np.load(folder / f"peer_{peer}.npz") as archive:
        return evidence, {name: archive[name] for name in archive.files}


@with_peers
@pytest.mark.parametrize("lam", ["lam1", "lam0.5", "lam0.001"])
@pytest.mark.parametrize("where", ["class3_k12", "class7_k15", "all_k60"])
def test_deepcore_pursuit(folder, lam, where):
    evidence, peer = peers_of(folder, "deepcore")
    group, k = where.split("_k")
    pool = evidence if group == "all" else rows_of(evidence, np.flatnonzero(evidence.labels == int(group[-1])))
    gradients = resident(pool)
    picks, weights = gradmatch._match_as_deepcore(gradients, gradients.mean(), int(k), float(lam[3:]))
    order = np.argsort(picks)
    np.testing.assert_array_equal(picks[order], peer[f"dc/gradmatch_fn/{lam}/{where}/indices"])
    np.testing.assert_allclose(weights[order], peer[f"dc/gradmatch_fn/{lam}/{where}/weights"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("solver", "first"), [("v1", 1.2), ("v0", 2.0), ("cpu", 2.0), ("nnls", 2.0)])
def test_a_sample_that_is_picked_again_counts_twice_with_v1_only(solver, first):
    """By hand: the ridge leaves (1, 1/3) of (3, 1), so that the first is the best again."""
    pool = BatchGradients(np.eye(2), (1, 2))
    picks, weights = match_as_cords(pool, np.array([[3.0, 1.0]]), 3, 0.5, solver)
    assert picks.tolist() == [0, 1] and weights == pytest.approx([first, 2 / 3])
    picks, weights = match_as_cords(pool, np.array([[3.0, 1.0]]), 3, 0.0, solver)
    assert picks.tolist() == [0, 1] and weights == pytest.approx([3, 1])
    picks, weights = match_as_cords(pool, np.array([[3.0, 0.0]]), 3, 0.5, solver)
    assert picks.tolist() == [0] and weights == pytest.approx([3])


def test_nothing_is_matched_without_gradients():
    nothing = BatchGradients(np.zeros((3, 2)), (1, 2))
    for target in (np.zeros((1, 2)), np.ones((1, 2))):
        picks, weights = match_as_cords(nothing, target, 2, 0.0, "v1")
        assert not len(picks) and not len(weights)


@pytest.mark.parametrize("name", ["gradmatch", "craig"])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("variant", ["paper", "cords"])
def test_batches_are_kept_whole_with_one_weight_each(name, balance, variant):
    evidence = evidence_of(90, seed=4)
    options = {"refill": "none"} if name == "gradmatch" else {}
    coreset = mc.select(name, evidence, 0.3, balance=balance, per_batch=True, batch_size=8, variant=variant, **options)
    weights = np.zeros(90)
    weights[coreset.indices] = coreset.weights
    for rows in classes(evidence.labels) if balance else [np.arange(90)]:
        batches = np.split(rows, range(8, len(rows), 8))
        kept = [np.isin(batch, coreset.indices) for batch in batches]
        assert all(some.all() or not some.any() for some in kept)
        assert all(np.ptp(weights[batch]) == 0 for batch in batches)
        assert sum(some.any() for some in kept) <= -(-round(0.3 * len(rows)) // 8)
        if name == "craig":
            assert sum(weights[batch[0]] for batch in batches) == len(batches)


def test_batches_of_one_sample_are_samples():
    evidence = evidence_of(40, seed=3)
    for name, options in (("gradmatch", {}), ("gradmatch", {"variant": "cords"}), ("craig", {})):
        whole = mc.select(name, evidence, 0.2, **options)
        single = mc.select(name, evidence, 0.2, per_batch=True, batch_size=1, **options)
        assert sorted(single.indices) == sorted(whole.indices) or name == "craig"
    one_class = mc.Evidence(np.zeros(40, int), evidence.features, evidence.logits)
    whole, single = (mc.select("craig", one_class, 0.2, per_batch=per, batch_size=1) for per in (False, True))
    order = np.argsort(whole.indices)
    np.testing.assert_array_equal(single.indices, whole.indices[order])
    np.testing.assert_array_equal(single.weights, whole.weights[order])


def test_means_of_batches_by_hand():
    gradients = LastLayerGradients(np.array([[1.0, -1], [3, 0], [0, 2]]), np.array([[2.0], [4], [1]]))
    means = BatchGradients.of(gradients, 2)
    assert len(means) == 2
    np.testing.assert_allclose(means.mean(), [[1, 3.5], [0.75, 0.5]])
    np.testing.assert_allclose(means.gram(), [[4 + 49 + 0.25 + 1, -1 - 2], [-3, 4 + 4]])
    np.testing.assert_allclose(means.column(1), means.gram()[1])
    np.testing.assert_allclose(means.squared_norms(), np.diag(means.gram()))


@with_peers
def test_deepcore_glister_gains_after_three_picks(folder):
    evidence, peer = peers_of(folder, "deepcore")
    pool = resident(evidence)
    shift = pool.logit_shift(pool.gradients.take([3, 50, 77]))
    errors = softmax(evidence.logits - 0.1 / 3 * shift) - np.eye(10)[evidence.labels]
    np.testing.assert_allclose(pool.projections(pool.mean(errors)), peer["dc/Glister/scale1/gains_all_after_3_50_77"],
                               rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
def test_glister_projects_few_and_picks_the_same(aggregate, monkeypatch):
    """Against all gains of whole gradients at every pick."""
    rng = np.random.RandomState(0)
    labels, features, logits = rng.randint(0, 3, 300), rng.randn(300, 5), 2 * rng.randn(300, 3)

    def gradients(z):
        errors = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(3)[labels]
        return np.einsum("nc,nd->ncd", errors, np.column_stack([np.ones(300), features]))

    whole, expected = gradients(logits), []
    for _ in range(60):
        step = whole[expected].sum(axis=0) if expected else np.zeros((3, 6))
        step /= max(1, len(expected)) if aggregate == "mean" else 1
        target = gradients(logits - 0.05 * np.column_stack([np.ones(300), features]) @ step.T).mean(axis=0)
        gains = np.einsum("ncd,cd->n", whole, target)
        gains[expected] = -np.inf
        expected.append(int(np.argmax(gains)))
    evidence = mc.Evidence(labels, features, logits)
    counted = []
    few = ResidentGradients.projections_of
    monkeypatch.setattr(ResidentGradients, "projections_of", lambda self, places, direction: (
        counted.append(len(places)), few(self, places, direction))[1])
    assert mc.select("glister", evidence, 0.2, eta=0.05, aggregate=aggregate).indices.tolist() == expected
    if aggregate == "mean":
        assert len(counted) > 10


def test_gradients_that_all_lead_away_from_the_validation_sets_are_taken_with_equal_weights():
    away = mc.Evidence(np.ones(4, int), np.ones((4, 2)), np.zeros((4, 2)))
    evidence = mc.Evidence(np.zeros(6, int), 1 + np.arange(12).reshape(6, 2) / 10, np.zeros((6, 2)), validation=away)
    coreset = mc.select("gradmatch", evidence, 0.5)
    assert coreset.indices.tolist() == [0, 1, 2]  # those that lead away least
    assert coreset.weights.tolist() == [1, 1, 1]
