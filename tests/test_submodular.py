"""Submodular functions, their maximisers and CRAIG: by hand, by brute force, and as the peers' code picks."""

import contextlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
from ms_coreset.selectors.processors import side_by_side
from ms_coreset.selectors.submodular import set_functions
from ms_coreset.selectors.submodular.craig import cluster_sizes
from ms_coreset.selectors.submodular.greedy import optimizer
from ms_coreset.selectors.submodular.set_functions import (
    ExplainedVariance,
    FacilityLocation,
    GraphCut,
    LogDeterminant,
    NeighborFacilityLocation,
    Separate,
)
from ms_coreset.selectors.submodular.similarity import (
    Cosine,
    Dense,
    GradientDistance,
    Held,
    Nearness,
    as_matrices,
)
from parity_tests.peer_vectors import with_peers

pytestmark = pytest.mark.usefixtures("cpu")

METHODS = ["facility_location", "graph_cut", "log_determinant", "craig"]
SMALL = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.5], [0.2, 0.1, 0.5, 1]])


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def evidence_of(n=80, classes=4, d=6, seed=0):
    rng = np.random.RandomState(seed)
    return mc.Evidence(labels=rng.randint(0, classes, n), features=rng.randn(n, d), logits=2 * rng.randn(n, classes))


def similarity_of(n, seed, distinct=None):
    """Cosine similarities of random vectors, with duplicates where fewer are distinct."""
    rng = np.random.RandomState(seed)
    vectors = rng.randn(n, 3)
    if distinct is not None:
        vectors = vectors[rng.randint(0, min(distinct, n), n)]
    return as_matrices([Cosine.of_features(vectors)], np.inf)[0]


FUNCTIONS = {
    "facility location": lambda similarity, k: FacilityLocation(similarity),
    "facility location, 3 neighbours": lambda similarity, k: NeighborFacilityLocation.of(
        similarity, min(3, len(similarity))),
    "graph cut": lambda similarity, k: GraphCut(similarity),
    "graph cut, lam 2": lambda similarity, k: GraphCut(similarity, lam=2.0),
    "log determinant": LogDeterminant}


def nearest_three(s):
    """The three largest of each row, of equal ones the first; 0 elsewhere."""
    order = np.argsort(-s.round(12), axis=1, kind="stable")
    return np.where(np.argsort(order, axis=1) < 3, s, 0)


VALUES = {
    "facility location, 3 neighbours": lambda s, chosen:
        nearest_three(s)[:, chosen].max(axis=1).sum() if chosen else 0.0,
    "facility location": lambda s, chosen: s[:, chosen].max(axis=1).sum() if chosen else 0.0,
    "graph cut": lambda s, chosen: s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum(),
    "graph cut, lam 2": lambda s, chosen: 2 * s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum(),
    "log determinant": lambda s, chosen: np.linalg.slogdet(s[np.ix_(chosen, chosen)] + 1e-6 * np.eye(len(chosen)))[1]}


def gains_along(function, order):
    """The gain of each pick at its time."""
    gains = []
    for place in order:
        gains.append(function.gains(np.array([place]))[0])
        function.add(place)
    return np.array(gains)


def test_gains_by_hand():
    assert FacilityLocation(Dense(SMALL)).gains(np.arange(4)).tolist() == pytest.approx([2.2, 2.3, 1.9, 1.8])
    assert gains_along(FacilityLocation(Dense(SMALL)), [1, 3, 0, 2]).tolist() == pytest.approx([2.3, 1.1, 0.1, 0.5])
    # Nearest two, the first of equals: {0, 1}, {0, 1}, {2, 3}, {2, 3}; one: each itself.
    two = NeighborFacilityLocation.of(Dense(SMALL), 2)
    assert two.gains(np.arange(4)).tolist() == pytest.approx([1.9, 1.9, 1.5, 1.5])
    assert gains_along(two, [0, 3, 1, 2]).tolist() == pytest.approx([1.9, 1.5, 0.1, 0.5])
    assert gains_along(NeighborFacilityLocation.of(Dense(SMALL), 1), [2, 0, 2]).tolist() == [1, 1, 0]
    assert gains_along(GraphCut(Dense(SMALL)), [1, 3, 0]).tolist() == pytest.approx([1.3, 0.8 - 0.2, 1.2 - 1.8 - 0.4])
    expected = [np.log(1.5), np.log(1.5 - 0.01 / 1.5)]
    assert gains_along(LogDeterminant(Dense(SMALL), 2, jitter=0.5), [0, 2]).tolist() == pytest.approx(expected)
    assert gains_along(ExplainedVariance(Dense(SMALL), 2), [0, 1]).tolist() == pytest.approx([0, 0.81])


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6))
def test_naive_takes_the_best_at_every_step(name, n, seed):
    similarity = similarity_of(n, seed)
    matrix, value = similarity.rows(np.arange(n)), VALUES[name]
    chosen = []
    for place in optimizer("naive")(FUNCTIONS[name](similarity, n), n).places.tolist():
        left = [other for other in range(n) if other not in chosen]
        gains = {other: value(matrix, [*chosen, other]) - (value(matrix, chosen) if chosen else 0) for other in left}
        assert gains[place] >= max(gains.values()) - 1e-6 * (1 + abs(max(gains.values())))
        chosen.append(place)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6), st.sampled_from([1, 3, 32]))
def test_lazy_is_naive_ties_and_duplicates_too(name, n, distinct, seed, batch):
    similarity = similarity_of(n, seed, distinct)
    function = FUNCTIONS[name](similarity, n)
    if name == "facility location":
        similarity.batch = batch
    elif function.batch is not None:
        function.batch = batch
    lazy = optimizer("lazy")(function, n).places.tolist()
    assert lazy == optimizer("naive")(FUNCTIONS[name](similarity, n), n).places.tolist()
    assert sorted(lazy) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 10**6), st.integers(1, 5),
       st.sampled_from(["not held", "matrix", "held"]),
       st.sampled_from(["lazy", "naive", "approximate_lazy", "stochastic"]))
def test_the_pairs_that_still_count_give_the_picks_of_all_pairs(n, distinct, seed, first_look, hold, greedy):
    """Also with duplicates and zero vectors, and with similarities that are not held."""
    rng = np.random.RandomState(seed)
    vectors = rng.randint(-2, 3, (min(distinct, n), 4)).astype(float)[rng.randint(0, min(distinct, n), n)]
    cosine = Cosine.of_features(vectors)
    never = optimizer(greedy)(FacilityLocation(cosine, memory=0), n).places
    similarity = {"not held": cosine, "matrix": as_matrices([cosine], np.inf)[0], "held": Held(cosine)}[hold]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(set_functions, "_FEW_LIVE", 1.1)
        patch.setattr(set_functions, "_FIRST_LOOK", first_look)
        function = FacilityLocation(similarity)
        assert optimizer(greedy)(function, n).places.tolist() == never.tolist()
    assert n <= first_look or function.batch is None


@pytest.mark.parametrize("greedy", ["lazy", "naive", "approximate_lazy", "stochastic"])
def test_similarities_that_are_held_are_computed_once(greedy, monkeypatch):
    cosine, asked = Cosine.of_features(np.random.RandomState(3).randn(60, 5)), []
    compute = cosine.rows
    monkeypatch.setattr(cosine, "rows", lambda places, columns=slice(None): (
        asked.append(len(places) * len(range(60)[columns])), compute(places, columns))[1])
    optimizer(greedy)(FacilityLocation(Held(cosine)), 20)
    assert sum(asked) <= 60 + 60 * 60  # the first pick's, and the matrix


def test_facility_location_collects_the_pairs_that_count_where_memory_allows():
    similarity = similarity_of(400, 3)
    functions = [FacilityLocation(similarity, memory) for memory in (np.inf, 1000)]
    assert functions[0].batch == functions[1].batch == Dense.batch
    picks = [optimizer("lazy")(function, 60).places.tolist() for function in functions]
    assert picks[0] == picks[1]
    assert functions[0].batch is None and functions[1].batch == Dense.batch


def test_log_determinant_is_that_of_the_whole_matrix_however_seldom_it_is_asked():
    """Over more picks than after which all candidates are brought up to date, with duplicates, which it explains."""
    similarity = Cosine.of_features(np.random.RandomState(5).randn(150, 40)[np.arange(300) % 150])
    whole = similarity.rows(np.arange(300)) + 1e-3 * np.eye(300)
    function, rng, picks = LogDeterminant(similarity, 150, jitter=1e-3), np.random.RandomState(0), []
    for place in rng.permutation(300)[:150]:
        asked = np.sort(rng.choice(np.setdiff1d(np.arange(300), picks), 5, replace=False))
        gains = function.gains(asked)
        inverse = np.linalg.inv(whole[np.ix_(picks, picks)])
        left = [whole[j, j] - whole[j, picks] @ inverse @ whole[picks, j] for j in asked]
        np.testing.assert_allclose(np.exp(gains), left, rtol=1e-6, atol=1e-9)
        function.add(place)
        picks.append(place)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("greedy", ["lazy", "naive", "approximate_lazy", "stochastic"])
@pytest.mark.parametrize("balance", [False, True])
def test_everything_picked_once_with_zero_gradients_and_duplicates(name, greedy, balance):
    logits = np.zeros((30, 3))
    logits[:10, 0] = 5000  # saturated: their gradients are exactly 0
    logits[10:, 1] = np.arange(20) // 2
    evidence = mc.Evidence(labels=np.arange(30) // 10, features=np.zeros((30, 2)), logits=logits)
    coreset = mc.select(name, evidence, 1.0, balance=balance, greedy=greedy)
    assert sorted(coreset.indices) == list(range(30))


def test_facility_location_gains_fall():
    similarity = similarity_of(100, 0)
    places, gains = optimizer("lazy")(FacilityLocation(similarity), 100)
    np.testing.assert_allclose(gains, gains_along(FacilityLocation(similarity), places), atol=1e-12)
    assert (np.diff(gains) <= 1e-12).all()


def test_duplicates_of_what_is_chosen_come_by_place():
    features = np.random.RandomState(0).randn(10, 37)[np.arange(30) % 10]
    evidence = mc.Evidence(labels=np.zeros(30, int), features=features)
    order = mc.select("facility_location", evidence, 1.0, kernel="features").indices
    assert sorted(order[:10]) == list(range(10))
    assert order[10:].tolist() == list(range(10, 30))


@pytest.mark.parametrize("n", [40, 300])
def test_stochastic_and_approximate_come_near_the_best(n):
    similarity = similarity_of(n, 1)
    best = gains_along(FacilityLocation(similarity), optimizer("naive")(FacilityLocation(similarity), 8).places).sum()
    for greedy in ("stochastic", "approximate_lazy"):
        picks = optimizer(greedy)(FacilityLocation(similarity), 8).places
        assert gains_along(FacilityLocation(similarity), picks).sum() > 0.9 * best
    wide = optimizer("stochastic", epsilon=1e-300)(FacilityLocation(similarity), 8).places
    assert wide.tolist() == optimizer("naive")(FacilityLocation(similarity), 8).places.tolist()
    exact = optimizer("approximate_lazy", beta=1.0)(FacilityLocation(similarity), 8).places
    assert gains_along(FacilityLocation(similarity), exact).sum() == pytest.approx(best)


def test_cosine_of_gradients_is_that_of_the_whole_gradients():
    evidence = evidence_of(20)
    gradients = LastLayerGradients.of(evidence)
    gradients.errors[3] = 0
    inputs = np.column_stack([np.ones(20), gradients.features])
    whole = np.einsum("nc,nd->ncd", gradients.errors, inputs).reshape(20, -1)
    norms = np.linalg.norm(whole, axis=1)
    cosines = whole @ whole.T / np.where(norms, norms, 1)[:, None] / np.where(norms, norms, 1)
    similarity = Cosine.of_gradients(gradients)
    np.testing.assert_allclose(similarity.rows(np.arange(20)), 0.5 + 0.5 * cosines, atol=1e-14)
    np.testing.assert_allclose(similarity.column_sums(), (0.5 + 0.5 * cosines).sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(similarity.diagonal(), np.diag(0.5 + 0.5 * cosines), rtol=1e-13)
    distances = np.linalg.norm(whole[:, None] - whole, axis=2)
    np.testing.assert_allclose(GradientDistance(gradients).rows(np.arange(20)), np.maximum(distances, 1e-6), rtol=1e-9)
    nearness = Nearness(GradientDistance(gradients)).rows(np.arange(20))
    np.testing.assert_allclose(nearness, distances.max() - np.maximum(distances, 1e-6) + 1e-3, rtol=1e-9)


@pytest.mark.parametrize("name", ["facility_location", "craig"])
@pytest.mark.parametrize("balance", [False, True])
def test_memory_changes_nothing_but_the_time(name, balance, monkeypatch):
    evidence = evidence_of()
    expected = mc.select(name, evidence, 0.3, balance=balance)
    monkeypatch.setattr("ms_coreset.selectors.submodular.similarity.BLOCK_BYTES", 8 * 80 * 7)
    monkeypatch.setattr("ms_coreset.selectors.submodular.similarity._with_matrix", None)
    coreset = mc.select(name, evidence, 0.3, balance=balance, memory=0)
    np.testing.assert_array_equal(coreset.indices, expected.indices)
    np.testing.assert_array_equal(coreset.weights, expected.weights)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10**6))
def test_a_matrix_made_in_tiles_and_sums_without_rows(n, tile, seed):
    rng = np.random.RandomState(seed)
    similarity = Cosine(rng.randn(n, 3), rng.randn(n, 5))
    rows, places = similarity.rows(np.arange(n)), rng.permutation(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ms_coreset.selectors.submodular.similarity.TILE", tile)
        dense = as_matrices([similarity], np.inf)[0]
    np.testing.assert_allclose(dense.rows(places), rows[places], atol=1e-15)
    sums = [each.sum_of_rows() for each in (similarity, dense)]
    for place in places[:5]:
        for each in sums:
            each.add(place)
    for each in sums:
        np.testing.assert_allclose(each.at(places), rows[places[:5]].sum(axis=0)[places], atol=1e-13)


@pytest.mark.parametrize("fails", [False, True])
def test_tiles_side_by_side_leave_the_number_of_threads_as_it_was(fails):
    at_once = []

    def work(i, j):
        at_once.append(numbers_of_threads())
        if fails and (i, j) == (0, 1):
            raise FloatingPointError("at 0, 1")

    with threadpool_limits(3, user_api="blas"):
        before = numbers_of_threads()
        with pytest.raises(FloatingPointError, match="at 0, 1") if fails else contextlib.nullcontext():
            side_by_side(work, [(0, 0), (0, 1), (1, 1)])
        assert numbers_of_threads() == before
    assert set.union(*at_once) == {1}


def test_a_tile_alone_needs_no_threads():
    seen = []
    with threadpool_limits(3, user_api="blas"):
        side_by_side(lambda: seen.append((threading.current_thread(), numbers_of_threads())), [()])
        assert seen == [(threading.main_thread(), numbers_of_threads())]


def numbers_of_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_a_kernel_of_features_needs_no_logits():
    evidence = evidence_of()
    without = mc.Evidence(labels=evidence.labels, features=evidence.features)
    for name in ("facility_location", "graph_cut", "log_determinant"):
        np.testing.assert_array_equal(mc.select(name, without, 0.2, kernel="features").indices,
                                      mc.select(name, evidence, 0.2, kernel="features").indices)


@pytest.mark.parametrize(("name", "options", "message"), [
    ("facility_location", {"greedy": "eager"}, "greedy 'eager'"), ("graph_cut", {"kernel": "poly"}, "kernel 'poly'"),
    ("facility_location", {"epsilon": 1.0}, "epsilon"), ("craig", {"beta": 0}, "beta"),
    ("craig", {"memory": -1}, "memory"), ("craig", {"memory": "2X"}, "memory '2X'"), ("graph_cut", {"lam": -1}, "lam"),
    ("log_determinant", {"jitter": 0}, "jitter"),
    ("log_determinant", {"variant": "cords"}, "variant"), ("craig", {"batch_size": 0}, "batch_size"),
    ("craig", {"batch_size": 2.5}, "batch_size")])
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.select(name, evidence_of(), 0.2, **options)


def test_craig_weights_count_the_samples_of_each_class():
    evidence = evidence_of()
    sizes = np.bincount(evidence.labels)
    for balance in (False, True):
        coreset = mc.select("craig", evidence, 0.3, balance=balance)
        held_by = np.bincount(evidence.labels[coreset.indices], coreset.weights, minlength=4)
        np.testing.assert_array_equal(held_by, sizes)
    coreset = mc.select("craig", evidence, 0.3, balance=True, variant="deepcore", batch_size=1)
    paper = mc.select("craig", evidence, 0.3, balance=True)
    np.testing.assert_array_equal(coreset.weights, paper.weights + 1)


def test_craig_gives_a_class_without_a_pick_no_weight():
    evidence = evidence_of()
    coreset = mc.select("craig", evidence, 1 / 80)
    assert coreset.weights.tolist() == [np.bincount(evidence.labels)[evidence.labels[coreset.indices[0]]]]


def test_clusters_by_hand():
    assert cluster_sizes(Dense(SMALL), np.array([0, 3])).tolist() == [2, 2]
    assert cluster_sizes(Dense(np.ones((5, 5))), np.array([1, 4])).tolist() == [5, 0]
    assert cluster_sizes(Dense(SMALL), np.array([], int)).tolist() == []


@pytest.mark.parametrize("greedy", ["lazy", "naive"])
def test_classes_that_compete_are_one_function_on_a_block_matrix(greedy):
    first, second = similarity_of(7, 1), similarity_of(5, 2)
    members = [np.array([0, 2, 3, 5, 8, 9, 11]), np.array([1, 4, 6, 7, 10])]
    blocks = np.zeros((12, 12))
    for places, similarity in zip(members, (first, second), strict=True):
        blocks[np.ix_(places, places)] = similarity.rows(np.arange(len(places)))
    parts = [(members[0], FacilityLocation(first)), (members[1], FacilityLocation(second))]
    apart, together = optimizer(greedy)(Separate(parts), 12), optimizer(greedy)(FacilityLocation(Dense(blocks)), 12)
    np.testing.assert_array_equal(apart.places, together.places)
    np.testing.assert_allclose(apart.gains, together.gains, atol=1e-12)


# What the peers' own code computed: along their own picks, so that no tie decides. The picks are compared in
# parity_tests.

def read(folder, peer="deepcore"):
    with np.load(folder / "inputs.npz") as inputs:
        evidence = mc.Evidence(labels=inputs["y"], features=inputs["emb"], logits=inputs["logits"])
    with np.load(folder / f"peer_{peer}.npz") as archive:
        return evidence, {name: archive[name] for name in archive.files}


def named_similarity(name, evidence, peer):
    if name == "class3_gradcos":
        return Dense(peer["dc/class3_gradcos_kernel"])
    return as_matrices([Cosine.of_features(evidence.features)], np.inf)[0]


@with_peers
def test_kernel_is_deepcores(folder):
    evidence, peer = read(folder)
    rows = peer["dc/class3_positions"]
    kernel = Cosine.of_gradients(LastLayerGradients.of(evidence).take(rows)).rows(np.arange(len(rows)))
    np.testing.assert_allclose(kernel, peer["dc/class3_gradcos_kernel"], atol=1e-6)


@with_peers
@pytest.mark.parametrize("kernel", ["class3_gradcos", "all_embcos"])
@pytest.mark.parametrize(("case", "function"), [
    *((f"FacilityLocation/{name}", FacilityLocation) for name in (
        "NaiveGreedy", "LazyGreedy", "ApproximateLazyGreedy", "StochasticGreedy_eps0.9_seed0",
        "StochasticGreedy_eps0.1_seed0")),
    ("GraphCut/NaiveGreedy", GraphCut), ("GraphCut/LazyGreedy", GraphCut),
    ("GraphCut_lam2/NaiveGreedy", lambda similarity: GraphCut(similarity, lam=2.0)),
    ("LogDeterminant_quirk/NaiveGreedy", lambda similarity: ExplainedVariance(similarity, 20)),
    ("LogDeterminant_quirk/LazyGreedy", lambda similarity: ExplainedVariance(similarity, 20))])
def test_gains_are_deepcores(folder, kernel, case, function):
    evidence, peer = read(folder)
    order, gains = (peer[f"dc/sub/{kernel}/{case}/{what}"] for what in ("order", "gains"))
    if "quirk" in case:
        # More than s_jj = 1 can't be explained of j: from there on DeepCore's pseudo-inverse gives rounding.
        end = len(order) if (gains < 1 - 1e-6).all() else int(np.argmax(gains >= 1 - 1e-6))
        order, gains = order[:end], gains[:end]
    found = gains_along(function(named_similarity(kernel, evidence, peer)), order) + ("GraphCut" in case)  # s_jj = 1
    np.testing.assert_allclose(found, gains, rtol=1e-5, atol=2e-5)


@with_peers
@pytest.mark.parametrize("case", ["submodlib/FL_cos01/NaiveGreedy", "submodlib/FL_cos01/LazyGreedy",
                                  "apricot/FL_cos01/naive", "apricot/FL_cos01/lazy"])
def test_gains_of_facility_location_are_the_peers(folder, case):
    evidence, peer = read(folder, "others")
    found = gains_along(FacilityLocation(named_similarity("", evidence, peer)), peer[f"{case}/order"])
    np.testing.assert_allclose(found, peer[f"{case}/gains"], rtol=1e-4, atol=1e-4)


@with_peers
@pytest.mark.parametrize("case", ["lam0.001/NaiveGreedy", "lam0.001/LazyGreedy", "lam1/NaiveGreedy", "lam1/LazyGreedy"])
def test_gains_of_log_determinant_are_submodlibs(folder, case):
    evidence, peer = read(folder, "others")
    order, gains = (peer[f"submodlib/LogDet_cos01_{case}/{what}"] for what in ("order", "gains"))
    function = LogDeterminant(Cosine.of_features(evidence.features), len(order), float(case.split("/")[0][3:]))
    np.testing.assert_allclose(gains_along(function, order), gains, atol=5e-4)


@with_peers
def test_values_are_submodlibs(folder):
    evidence, peer = read(folder, "others")
    similarity, some = named_similarity("", evidence, peer), [0, 10, 20]
    value = gains_along(FacilityLocation(similarity), some).sum()
    assert value == pytest.approx(peer["submodlib/FL_cos01/value_of_0_10_20"], rel=1e-6)
    value = gains_along(LogDeterminant(similarity, 3, 0.001), some).sum()
    assert value == pytest.approx(peer["submodlib/LogDet_lam0.001/value_of_0_10_20"], rel=1e-5)
    value = 0.5 * gains_along(GraphCut(similarity, 2.0), some).sum()  # lam is submodlib's times the whole
    assert value == pytest.approx(peer["submodlib/GraphCut_lam0.5/value_of_0_10_20"], rel=1e-6)


@with_peers
@pytest.mark.parametrize("greedy", ["Naive", "Lazy"])
def test_craig_of_a_class_is_deepcores(folder, greedy):
    evidence, peer = read(folder)
    similarity = Nearness(GradientDistance(LastLayerGradients.of(evidence).take(np.flatnonzero(evidence.labels == 3))))
    order, gains = (peer[f"dc/craig_fn/class3/{greedy}Greedy/{what}"] for what in ("order", "gains"))
    np.testing.assert_allclose(gains_along(FacilityLocation(similarity), order), gains, rtol=1e-5)
    weights = 1 + cluster_sizes(similarity, np.sort(order))
    np.testing.assert_array_equal(weights, peer["dc/craig_fn/class3/weights_ascending_1plus"])


@with_peers
def test_craig_weights_are_deepcores(folder):
    evidence, peer = read(folder)
    names = [name.rpartition("/")[0] for name in peer if name.startswith("dc/Craig/") and name.endswith("/indices")]
    assert names
    for name in names:
        # scale1 is DeepCore's with gradients that are not divided: batches of one
        batch = 16 if "quirkB16" in name else 1
        chosen, weights = peer[f"{name}/indices"], peer[f"{name}/weights"]
        for label in np.unique(evidence.labels):
            pool = np.flatnonzero(evidence.labels == label)
            gradients = LastLayerGradients.of(evidence).take(pool).divide_by_batch(batch)
            sizes = cluster_sizes(Nearness(GradientDistance(gradients)), np.flatnonzero(np.isin(pool, chosen)))
            # two picks equally near to a sample: rounding in float32 may give it to either
            own = np.isin(chosen, pool)
            assert np.abs(1 + sizes - weights[own][np.argsort(chosen[own])]).sum() <= 2, name
