"""Similarities of set functions: by their definitions, as they are given, and as apricot's own tests rank by them."""

import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.submodular import kernel_methods
from parity_tests.peer_vectors import FOLDER

pytestmark = pytest.mark.usefixtures("cpu")

RNG = np.random.RandomState(0)
N, D = 40, 6
FEATURES = RNG.rand(N, D)
LABELS = np.arange(N) % 3
METHODS = ["facility_location", "graph_cut", "log_determinant"]
BY_DEFINITION = {
    "features": lambda x: 1 - cdist(x, x, "cosine") / 2,
    "cosine": lambda x: (1 - cdist(x, x, "cosine"))**2,
    "correlation": lambda x: np.corrcoef(x)**2,
    "euclidean": lambda x: cdist(x, x, "sqeuclidean").max() - cdist(x, x, "sqeuclidean"),
    "rbf": lambda x: np.exp(-cdist(x, x, "sqeuclidean") / x.shape[1]),
    "dot": lambda x: x @ x.T}


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


def linear(rows, others):
    """A kernel of one's own."""
    return rows @ others.T


def shifted(rows, others):
    return linear(rows, others) - 5


# By definition

@pytest.mark.parametrize("name", BY_DEFINITION)
def test_kernels_by_their_definitions(name):
    expected, places = BY_DEFINITION[name](FEATURES), np.arange(N)
    found = kernel_methods.similarity_of(mc.Evidence(features=FEATURES), places, name)
    np.testing.assert_allclose(found.rows(places), expected, atol=1e-12)
    np.testing.assert_allclose(found.rows(np.array([7, 2]), slice(3, 9)), expected[[7, 2], 3:9], atol=1e-12)
    np.testing.assert_allclose(found.between(slice(0, 5), np.array([8, 1])), expected[:5][:, [8, 1]], atol=1e-12)
    np.testing.assert_allclose(found.column_sums(), expected.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.diagonal(), np.diag(expected), atol=1e-12)
    sums = found.sum_of_rows()
    for place in (4, 11):
        sums.add(place)
    np.testing.assert_allclose(sums.at(places), expected[[4, 11]].sum(axis=0), rtol=1e-12)


def test_zero_and_constant_rows_are_like_none():
    rows = np.array([[0.0, 0, 0], [2, 2, 2], [0.1, 0.1, 0.1], [1, 2, 3], [3, 2, 1]])
    evidence = mc.Evidence(features=rows)
    cosine, correlation = (kernel_methods.similarity_of(evidence, np.arange(5), name).rows(np.arange(5))
                           for name in ("cosine", "correlation"))
    assert cosine[0].tolist() == [0] * 5 and cosine[1, 2] == pytest.approx(1)
    assert (correlation[:3] == 0).all() and correlation[3, 4] == pytest.approx(1)


def test_gamma_by_hand():
    rows = np.array([[0.0], [1], [3]])
    found = kernel_methods.similarity_of(mc.Evidence(features=rows), np.arange(3), "rbf", 0.5).rows(np.arange(3))
    np.testing.assert_allclose(found, np.exp(-0.5 * np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]])), rtol=1e-12)


# Given, in every form

def as_file(matrix, folder):
    np.save(folder / "similarity.npy", matrix)
    return np.load(folder / "similarity.npy", mmap_mode="r")


FORMS = {"array": lambda k, _: k, "columns first": lambda k, _: np.asfortranarray(k),
         "float32": lambda k, _: k.astype(np.float32), "memory-mapped": as_file,
         "memory-mapped float32": lambda k, folder: as_file(k.astype(np.float32), folder),
         "list": lambda k, _: k.tolist(),
         "csr": lambda k, _: sparse.csr_matrix(k), "coo": lambda k, _: sparse.coo_array(k)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_a_given_similarity_is_as_good_as_the_kernel(name, balance, form, tmp_path):
    similarity = mc.Evidence(LABELS, similarity=FORMS[form](linear(FEATURES, FEATURES), tmp_path))
    how = {"balance": balance, **({"jitter": 0.1} if name == "log_determinant" else {})}
    ours = mc.select(name, similarity, 0.3, **how)
    by_kernel = mc.select(name, mc.Evidence(LABELS, FEATURES), 0.3, kernel="dot", **how)
    np.testing.assert_array_equal(ours.indices, by_kernel.indices)
    np.testing.assert_allclose(ours.gains, by_kernel.gains, rtol=1e-9, atol=1e-6 if "float32" in form else 1e-12)
    assert ours.options["kernel"] == "precomputed"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("memory", [None, 0])
def test_a_function_of_ones_own(name, memory):
    evidence = mc.Evidence(LABELS, FEATURES)
    ours = mc.select(name, evidence, 0.3, kernel=linear, memory=memory)
    by_name = mc.select(name, evidence, 0.3, kernel="dot", memory=memory)
    np.testing.assert_array_equal(ours.indices, by_name.indices)
    np.testing.assert_allclose(ours.gains, by_name.gains, rtol=1e-9)
    assert ours.options["kernel"] == f"{__name__}.linear"


def test_a_coreset_by_a_function_is_kept_and_read(tmp_path):
    coreset = mc.select("graph_cut", mc.Evidence(features=FEATURES), 0.2, kernel=linear)
    coreset.save(tmp_path / "coreset.npz")
    again = mc.Coreset.load(tmp_path / "coreset.npz")
    assert again.options == coreset.options
    np.testing.assert_array_equal(again.gains, coreset.gains)


def test_pairs_that_a_sparse_matrix_lacks_are_not_similar():
    """As with ``neighbors``, whose pairs go both ways here."""
    dense = BY_DEFINITION["euclidean"](FEATURES)
    near = np.argsort(np.argsort(-dense, axis=1), axis=1) < 6
    dense = np.where(near | near.T, dense, 0)
    for name in ("facility_location", "graph_cut"):
        found = [mc.select(name, mc.Evidence(similarity=matrix), 0.4) for matrix in (dense, sparse.csr_matrix(dense))]
        np.testing.assert_array_equal(found[0].indices, found[1].indices)
        np.testing.assert_allclose(found[0].gains, found[1].gains, atol=1e-9)
    few = [mc.select("facility_location", mc.Evidence(similarity=matrix), 0.4, neighbors=3).indices
           for matrix in (dense, sparse.csr_matrix(dense))]
    np.testing.assert_array_equal(*few)


def test_the_similarity_is_used_unless_another_kernel_is_named():
    both = mc.Evidence(LABELS, FEATURES, similarity=linear(FEATURES, FEATURES))
    assert mc.select("graph_cut", both, 0.2).options["kernel"] == "precomputed"
    named = mc.select("graph_cut", both, 0.2, kernel="features")
    np.testing.assert_array_equal(
        named.indices, mc.select("graph_cut", mc.Evidence(LABELS, FEATURES), 0.2, kernel="features").indices)
    with pytest.raises(MsCoresetError, match=r"needs similarity, which this evidence lacks; get it with Evid"):
        mc.select("graph_cut", mc.Evidence(features=FEATURES), 0.2, kernel="precomputed")


def test_parts_of_evidence_have_their_part_of_the_similarity():
    matrix = linear(FEATURES, FEATURES)
    for form in (np.asarray, sparse.csr_matrix):
        for rows in (np.arange(3, 9), np.array([1, 5, 6])):
            part = mc.Evidence(similarity=form(matrix)).part(rows).similarity
            np.testing.assert_array_equal(part.toarray() if form is sparse.csr_matrix else part,
                                          matrix[np.ix_(rows, rows)])


# Refused

def spoilt(place, value, form=np.asarray):
    matrix = linear(FEATURES, FEATURES)
    matrix[place] = value
    return form(matrix)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(("place", "value", "message"), [
    ((5, 7), np.nan, "similarities of sample 5 are not finite"), ((5, 7), np.inf, "similarities of sample 5 are not"),
    ((5, 7), 1e3, "similarity must be symmetric: of samples 5 and 7 it is 1000, the other way round"),
    ((7, 5), 1e3, "similarity must be symmetric: of samples 5 and 7"),
    ((6, 6), -2, "similarity of samples 6 and 6 is -2: this set function is of similarities of at least 0")])
def test_similarities_that_are_none_are_refused(form, place, value, message, monkeypatch):
    monkeypatch.setattr("ms_coreset.evidence_checks.BLOCK_NUMBERS", 3 * N)
    monkeypatch.setattr("ms_coreset.evidence_checks.TILE", 4)
    with pytest.raises(MsCoresetError, match=message):
        mc.select("facility_location", mc.Evidence(similarity=spoilt(place, value, form)), 0.2)


def test_rounding_is_no_asymmetry():
    matrix = linear(FEATURES, FEATURES)
    matrix[3, 4] *= 1 + 1e-8
    assert len(mc.select("graph_cut", mc.Evidence(similarity=matrix), 0.2)) == 8


@pytest.mark.parametrize("matrix", [np.ones((N, N - 1)), np.ones(N), np.full((N, N), "a"), np.ones((N - 1, N - 1))])
def test_matrices_of_another_shape_are_refused(matrix):
    with pytest.raises(MsCoresetError, match=rf"similarity must be numbers of shape \({N}, {N}\)"):
        mc.Evidence(LABELS, similarity=matrix)


@pytest.mark.parametrize(("function", "message"), [
    (shifted, f"kernel {__name__}.shifted gives a similarity of"),
    (lambda rows, others: np.ones(len(rows)), "must give finite numbers of shape"),
    (lambda rows, others: np.full((len(rows), len(others)), np.nan), "must give finite numbers"),
    (lambda rows, others: rows[:, :1] + 0 * others[:, 0], "must be symmetric")])
def test_functions_that_are_no_kernels_are_refused(function, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.select("facility_location", mc.Evidence(features=FEATURES), 0.2, kernel=function)


def test_what_may_be_below_0():
    features = RNG.randn(N, D)
    for name in ("facility_location", "graph_cut"):
        with pytest.raises(MsCoresetError, match="kernel dot gives a similarity of -"):
            mc.select(name, mc.Evidence(features=features), 0.2, kernel="dot")
    assert len(mc.select("log_determinant", mc.Evidence(features=features), 0.2, kernel="dot")) == 8
    with pytest.raises(MsCoresetError, match="kernel euclidean"):
        mc.select("log_determinant", mc.Evidence(features=features), 0.2, kernel="euclidean")


# Gains, and coresets that are continued

VALUES = {
    "facility_location": lambda s, chosen: s[:, chosen].max(axis=1).sum(),
    "graph_cut": lambda s, chosen: s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum(),
    "log_determinant": lambda s, chosen: np.linalg.slogdet(s[np.ix_(chosen, chosen)] + 1e-6 * np.eye(len(chosen)))[1]}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("greedy", ["lazy", "naive", "approximate_lazy", "stochastic"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), kept=st.integers(0, 4))
def test_gains_sum_to_the_value_of_the_picks(name, greedy, seed, kept):
    x = np.random.RandomState(seed).rand(10, 4)
    evidence, similarity = mc.Evidence(features=x), BY_DEFINITION["rbf"](x)
    coreset = mc.select(name, evidence, 0.6, kernel="rbf", greedy=greedy, already_selected=range(9, 9 - kept, -1))
    assert coreset.indices[:kept].tolist() == list(range(9, 9 - kept, -1)) and len(coreset) == 6 + kept
    along = [0, *(VALUES[name](similarity, coreset.indices[:t]) for t in range(1, len(coreset) + 1))]
    np.testing.assert_allclose(coreset.gains, np.diff(along), atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=8, deadline=None)
@given(n=st.integers(2, 10), seed=st.integers(0, 10**6))
def test_each_pick_is_the_best_and_the_guarantee_holds(name, n, seed):
    x = np.random.RandomState(seed).rand(n, 4)
    similarity = BY_DEFINITION["rbf"](x)
    coreset = mc.select(name, mc.Evidence(similarity=similarity), 0.5)
    for t, (place, gain) in enumerate(zip(coreset.indices, coreset.gains, strict=True)):
        before = coreset.indices[:t].tolist()
        value = VALUES[name](similarity, before) if t else 0
        best = max(VALUES[name](similarity, [*before, j]) - value for j in range(n) if j not in before)
        assert gain == pytest.approx(best, abs=1e-8) and place not in before
    if name == "facility_location":
        best = max(VALUES[name](similarity, list(some)) for some in itertools.combinations(range(n), len(coreset)))
        assert coreset.gains.sum() >= (1 - np.exp(-1)) * best


CONTINUED = [*METHODS, "craig", "lcmat", "subzero"]


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", CONTINUED)
def test_a_coreset_is_continued_as_if_it_had_never_stopped(name, balance):
    """SubZeroCore's weights hang on the budget, which counts all."""
    evidence = mc.Evidence(LABELS, FEATURES, RNG.randn(N, 3))
    whole = mc.select(name, evidence, 0.5, balance=balance)
    groups = classes(LABELS) if balance or name == "lcmat" else [np.arange(N)]
    first = np.concatenate([whole.indices[np.isin(whole.indices, rows)][:3] for rows in groups])
    rate = (len(whole) - len(first)) / N
    added = mc.select(name, evidence, rate, balance=balance, already_selected=first)
    assert added.indices[:len(first)].tolist() == first.tolist()
    assert sorted(added.indices) == sorted(whole.indices)
    order = np.argsort(whole.indices)
    gains = whole.gains[order[np.searchsorted(whole.indices, added.indices, sorter=order)]]
    np.testing.assert_allclose(added.gains, gains, rtol=1e-9)
    if whole.weights is not None:
        assert added.weights.sum() == pytest.approx(N)


@pytest.mark.parametrize("name", CONTINUED)
def test_classes_to_which_nothing_is_added_have_gains_too(name):
    evidence = mc.Evidence([0] * 30 + [1] * 10, FEATURES, RNG.randn(N, 2))
    coreset = mc.select(name, evidence, 0.04, balance=True, already_selected=[33, 2])
    assert coreset.indices[:2].tolist() == [33, 2] and len(coreset) == 3 and (coreset.gains != 0).all()


@pytest.mark.parametrize("name", CONTINUED)
@pytest.mark.parametrize(("places", "message"), [
    ([1, 1], "places from 0 to 39, each once"), ([40], "places from 0 to 39"), ([0.5], "whole numbers"),
    (range(30), r"fewer are left than the (20|7) to add")])
def test_places_that_are_not_to_be_had_are_refused(name, places, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.select(name, mc.Evidence(LABELS, FEATURES, RNG.randn(N, 3)), 0.5, already_selected=places)


# Apricot's own tests

@pytest.fixture(scope="module")
def apricots():
    """The rankings and gains of apricot's own tests (Schreiber et al., MIT), and the digits that they are of."""
    if not (FOLDER / "apricot_golden.json").is_file():
        pytest.skip(f"no apricot_golden.json in {FOLDER}; set MS_CORESET_VECTORS")
    from sklearn.datasets import load_digits

    return json.loads((FOLDER / "apricot_golden.json").read_text()), load_digits().data


@pytest.mark.parametrize("name", ["facility_location", "graph_cut"])
@pytest.mark.parametrize("greedy", ["lazy", "naive"])
def test_rankings_of_digits_are_apricots(name, greedy, apricots):
    golden, pixels = apricots
    ranking, gains = (golden[f"{name}/digits_cosine_{what}"] for what in ("ranking", "gains"))
    similarity = (1 - cdist(pixels, pixels, "cosine"))**2
    for evidence, options in ((mc.Evidence(features=pixels), {"kernel": "cosine"}),
                              (mc.Evidence(similarity=similarity), {})):
        coreset = mc.select(name, evidence, len(ranking) / len(pixels), greedy=greedy, **options)
        np.testing.assert_array_equal(coreset.indices, ranking)
        np.testing.assert_allclose(coreset.gains, gains, atol=6e-5)


# Commands

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", labels=LABELS, features=FEATURES)
    np.save("near.npy", linear(FEATURES, FEATURES).astype(np.float32))
    sparse.save_npz("near.npz", sparse.csr_matrix(linear(FEATURES, FEATURES)))
    return tmp_path


SELECT = ["--dataset", "arrays", "--data", "mine.npz", "--rate", "0.2"]


@pytest.mark.parametrize("name", ["near.npy", "near.npz"])
@pytest.mark.parametrize("method", METHODS[:2])
def test_select_by_a_file_of_similarities(here, capsys, name, method):
    words = [*SELECT, "--method", method, "--balance", "--similarity", name]
    assert not main(words, "select")
    path = f"index/arrays-mine-{method}-balanced-0.2.npz"
    coreset = mc.Coreset.load(path)
    matrix = np.load(name).astype(float) if name.endswith("y") else linear(FEATURES, FEATURES)
    expected = mc.select(method, mc.Evidence(LABELS, similarity=matrix), 0.2, balance=True)
    np.testing.assert_array_equal(coreset.indices, expected.indices)
    np.testing.assert_allclose(coreset.gains, expected.gains, rtol=1e-9, atol=1e-9)
    capsys.readouterr()
    assert main(["--from-manifest", path, "--data", "mine.npz", "--similarity", name], "select") == 0
    assert "byte for byte" in capsys.readouterr().out
    assert not main(["show", path, "--no-data"], "coreset")
    assert re.search(rf"  gains  +{coreset.gains[0]:.4g}, {coreset.gains[1]:.4g}", capsys.readouterr().out)


def test_a_pool_and_the_library_take_the_file_too(here):
    result = mc.run_selection(dataset="arrays", data="mine.npz", method="graph_cut", rate=0.5, pool=12,
                              similarity="near.npz")
    pool = result.coreset.pool
    part = mc.select("graph_cut", mc.Evidence(similarity=linear(FEATURES[pool], FEATURES[pool])), 0.5)
    np.testing.assert_array_equal(result.coreset.indices, pool[part.indices])
    np.testing.assert_allclose(result.coreset.gains, part.gains)


@pytest.mark.parametrize(("words", "message"), [
    (["--method", "herding", "--similarity", "near.npy"], "--similarity near.npy is of no use to herding: it goes with "
     "facility_location, graph_cut"),
    (["--method", "graph_cut", "--kernel", "features", "--similarity", "near.npy"],
     "--similarity near.npy is of no use to graph_cut with kernel features"),
    (["--method", "graph_cut", "--kernel", "precomputed"], "graph_cut: kernel precomputed goes with --similarity FILE"),
    (["--method", "graph_cut", "--similarity", "none.npy"], "none.npy"),
    (["--method", "graph_cut", "--similarity", "mine.npz"], "mine.npz is not a sparse matrix"),
    (["--method", "graph_cut", "--similarity", "near.csv"], "near.csv: similarities are read of .npy"),
    (["--method", "graph_cut", "--similarity", "small.npy"], "small.npy: similarity must be numbers of shape"),
    (["--method", "graph_cut", "--similarity", "odd.npy"], "similarity must be symmetric")])
def test_the_command_says_in_a_line_what_is_wrong(here, capsys, words, message):
    np.save("small.npy", np.eye(3))
    np.save("odd.npy", spoilt((3, 4), 9))
    assert main([*SELECT, *words], "select") == 2
    error = capsys.readouterr().err
    assert message in error and error.splitlines()[-1].startswith("error: ")


# Many budgets from one ranking

@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_a_ranking_is_cut_for_lower_rates(name, balance):
    evidence = mc.Evidence(LABELS, similarity=linear(FEATURES, FEATURES))
    ranking = mc.select(name, evidence, 0.6, balance=balance)
    for rate in (0.1, 0.35, 0.6):
        cut, anew = mc.truncate(ranking, rate, LABELS), mc.select(name, evidence, rate, balance=balance)
        np.testing.assert_array_equal(cut.indices, anew.indices)
        np.testing.assert_allclose(cut.gains, anew.gains, atol=1e-12)
        assert cut.rate == rate and cut.manifest["kept"] == len(anew)


def test_a_ranking_of_a_pool_is_cut_in_it():
    pool = np.array([3, 5, 8, 13, 21, 34])
    ranking = mc.select("graph_cut", mc.Evidence(features=FEATURES[pool]), 1.0, kernel="rbf").within(pool, N)
    cut = mc.truncate(ranking, 0.5)
    np.testing.assert_array_equal(cut.indices, ranking.indices[:3])
    np.testing.assert_array_equal(cut.pool, pool)
    assert cut.n == N


@pytest.mark.parametrize(("method", "options", "rate", "message"), [
    ("facility_location", {"greedy": "stochastic"}, 0.1, "chooses by the budget: select anew at rate 0.1"),
    ("facility_location", {"already_selected": [1]}, 0.1, "chooses by the budget"),
    ("random", {}, 0.1, "random chooses by the budget"), ("facility_location", {}, 0.4, "at most 0.3"),
    ("facility_location", {}, 0, "rate 0"), ("facility_location", {"balance": True}, 0.1, "give the labels")])
def test_rankings_that_can_not_be_cut(method, options, rate, message):
    ranking = mc.select(method, mc.Evidence(LABELS, FEATURES, RNG.randn(N, 3)), 0.3, **options)
    with pytest.raises(MsCoresetError, match=message):
        mc.truncate(ranking, rate)


def test_the_first_of_a_score_by_a_rule():
    ranking = mc.select_by("imported", "top", mc.Evidence(imported=np.arange(20.0)), rate=0.5)
    np.testing.assert_array_equal(mc.truncate(ranking, 0.2).indices, [19, 18, 17, 16])
