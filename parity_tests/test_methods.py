"""Every registered method and score: both packages give the same numbers, and pick the same samples in one order."""

import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
import torch_ref
from parity_tests.helpers import full_evidence
from parity_tests.peer_cases import load
from parity_tests.peer_vectors import with_peers

RATES = (0.1, 0.25, 0.5, 0.8)
# Options of the MindSpore package that change what a call costs, and nothing else.
COST = {"memory", "probes"}
DEEPCORE = {"variant": "deepcore", "batch_size": 16}
COSINE = {"metric": "cosine"}
GREEDY = [{"greedy": "naive"}, {"greedy": "approximate_lazy", "beta": 0.7}, {"greedy": "stochastic", "epsilon": 0.3},
          {"greedy": "two_stage"}, {"greedy": "sample", "beta": 0.6}, {"greedy": "modular"}]
STOCHASTIC = GREEDY[2]  # of functions that have no maximizers of their own: what looks at a few candidates alone
KERNELS = [{"kernel": name} for name in ("features", "cosine", "correlation", "euclidean", "rbf")] + [
    {"kernel": "rbf", "gamma": 0.3}]
PER_BATCH, CORDS = {"per_batch": True, "batch_size": 3}, {"variant": "cords", "lam": 0.3}
ALREADY = {"already_selected": (3, 1)}
# What is tried of the options beside the defaults.
SCORE_OPTIONS = {
    "center_distance": [{"center": "mean"}, {"center": "geometric_median"}, COSINE],
    "least_confidence": [{"variant": "deepcore"}],
    "entropy": [{"variant": "deepcore"}],
    "margin": [{"variant": "deepcore"}],
    "grand": [DEEPCORE],
    "el2n": [{"first": 1, "last": 4}, {"last": 2}, {"first": 3}],
    "forgetting": [{"never_learned": "zero"}, {"epochs": 3}],
    "correctness": [{"epochs": "1-3"}],
    "aum": [{"epochs": (1, 4)}],
    "accumulated_margin": [{"epochs": 2}],
    "dyn_unc": [{"window": 2}, {"window": 3, "epochs": "1-4"}],
    "dual": [{"window": 2}, {"epochs": 3}],
    "eva": [{"early": 2, "late": "2-4", "weight": 0.3}, {"weight": 0.0}],
    "extrapolated": [{"neighbors": 1}, {"neighbors": 2, "weighting": "distance"},
                     {"neighbors": 2, "metric": "cosine"},
                     {"neighbors": 3, "metric": "cosine", "weighting": "distance"}],
    "zcore": [{"draws": 50, "neighbors": 3}, {"exponent": 1.5, "neighbors": 5}],
    "prototype": [{"clusters": 3, "metric": "euclidean"}, {"groups": "labels"}, {"clusters": 2, "cluster_seed": 5},
                  {"groups": "labels", "metric": "euclidean"}],
    "semdedup": [{"clusters": 3}, {"groups": "labels", "keep": "easy"}, {"reading": "kept", "eps": 0.3, "clusters": 2},
                 {"reading": "components", "clusters": 2}, {"reading": "components", "groups": "labels"}],
    "cal": [{"neighbors": 3}, {"within_class": False}, {"direction": "lowest"}, {"variant": "deepcore"}, COSINE],
}
METHOD_OPTIONS = {
    **SCORE_OPTIONS,
    "cal": SCORE_OPTIONS["cal"][:-1],  # in one dimension all directions are two: duplicates tie but for rounding
    "prototype": [*SCORE_OPTIONS["prototype"], {"keep": "easy", "clusters": 2},
                  {"per_group": True}, {"per_group": True, "groups": "labels", "keep": "easy"}],
    "moderate": [{"center": "mean"}, COSINE, {"mis_ratio": 0.2}, {**COSINE, "mis_ratio": 0.1, "cutoff_score": "el2n"}],
    "ccs": [{"score": "aum", "cutoff_score": "aum", "mis_ratio": 0.2, "strata": 7},
            {"score": "forgetting", "strata": 6}, {"score": "el2n", "cutoff_score": "loss", "mis_ratio": 0.3}],
    "d2": [{"score": "imported", "gamma": 1.0, "discount": "absolute"}, {"score": "el2n", "density": "product"},
           {"score": "imported", "symmetric": False, "neighbors": 2}, {"score": "loss", "scale": "median"},
           {"score": "aum", "mis_ratio": 0.2}],
    "prune4rel": [{"tau": 0.6, "turns": False}, {"tau": 0.0, "metric": "euclidean", "eta": 100.0},
                  {"confidence": "entropy", "tau": 0.8}, {"confidence": "margin", "tau": 0.5, "eta": 0.1}],
    "lcmat": [{"eps": 0.0}, {"eps": 3.0, "dims": 2}, {"reach": 1.5}, ALREADY],
    "herding": [{"variant": "deepcore"}, COSINE],
    "gm_matching": [{"metric": "euclidean"}, {"start": "mean"}, {"start": "random"},
                    {"metric": "euclidean", "start": "random"}],
    "k_center": [{"already_selected": (3, 1)}, COSINE],
    "craig": [*GREEDY, DEEPCORE, ALREADY, {"variant": "cords"}, PER_BATCH, {**PER_BATCH, "variant": "cords"}],
    "gradmatch": [{"lam": 0.01}, {"refill": "none"}, DEEPCORE, PER_BATCH, {**PER_BATCH, **CORDS},
                  *({**CORDS, "solver": name} for name in ("v0", "cpu", "nnls")), {**CORDS, "refill": "none"}],
    "glister": [{"eta": 1.0}, {"aggregate": "sum"}, {"rounds": 3}, DEEPCORE],
    "facility_location": [*GREEDY, *KERNELS, {"neighbors": 4}, {"neighbors": 3, "greedy": "naive"},
                          {"kernel": "euclidean", "neighbors": 3}, ALREADY, {**ALREADY, "greedy": "stochastic"}],
    "graph_cut": [*GREEDY, {"greedy": "bidirectional"}, {"greedy": "bidirectional", "lam": 0.3},
                  *KERNELS, {"lam": 2.0}, {"lam": 0.3}, ALREADY],
    "log_determinant": [*GREEDY, *(each for each in KERNELS if each["kernel"] != "euclidean"), {"kernel": "dot"},
                        {"jitter": 0.01}, ALREADY],
    "disparity_sum": [*KERNELS[:2], ALREADY],
    "disparity_min": [*KERNELS[:2], ALREADY],
    "saturated_coverage": [STOCHASTIC, *KERNELS[:2], {"alpha": 0.02}, {"alpha": 1.0}, ALREADY],
    "sum_redundancy": [STOCHASTIC, {"greedy": "bidirectional"}, *KERNELS[:2], ALREADY],
    "feature_based": [STOCHASTIC, {"concave": "log"}, {"concave": "sigmoid"}, ALREADY],
    "max_coverage": [STOCHASTIC, {"threshold": 0.3}, ALREADY],
    "set_coverage": [ALREADY],
    "mixture": [STOCHASTIC, ALREADY, {"kernel": "gradient"},
                {"functions": "0.5*graph_cut(lam=2)+log_determinant(jitter=0.1)+3e-1*saturated_coverage(alpha=0.2)"},
                {"functions": "feature_based(concave=log)+0.1*set_coverage+max_coverage(threshold=2)"},
                {"functions": "sum_redundancy+2*feature_based"}],
    "targeted_facility_location": [STOCHASTIC, {"kernel": "gradient"}, ALREADY],
    "targeted_graph_cut": [STOCHASTIC, {"kernel": "gradient"}, {"lam": 2.0}, ALREADY],
    "targeted_log_determinant": [{"kernel": "gradient"}, {"jitter": 0.01}, ALREADY],
    "subzero": [*GREEDY, {"gamma": 0.2}, {"gamma": 0.99}, ALREADY],
}
RULE_OPTIONS = {
    "strata": [{"strata": 6, "mis_ratio": 0.1, "cutoff_score": "loss"}],
    "window": [{"mis_ratio": 0.1, "cutoff_score": "loss"}],
    "beta": [{"c_d": 11.0}, {"epochs": 3}],
    "offset": [{"offset": 0.0}, {"offset": 0.55}],
    "best_window": [{"step": 0.2, "lam": 0.1}],
    "d2": [{"neighbors": 3, "gamma": 0.5, "discount": "absolute"}, {"density": "product", "symmetric": False},
           {"scale": "median", "mis_ratio": 0.1, "cutoff_score": "loss"}],
}


def cases(names, options):
    """Pairs of name and options: the defaults, and what is listed."""
    return [pytest.param(name, chosen, id="-".join([name, *(f"{key}={value}" for key, value in chosen.items())]))
            for name in names for chosen in ({}, *options.get(name, ()))]


SCORES = cases(mc.list_scores(), SCORE_OPTIONS)
METHODS = cases(mc.list_methods(), METHOD_OPTIONS)


@st.composite
def shapes(draw):
    """Arguments of ``full_evidence``, now and then with duplicates and with held-out samples."""
    n = draw(st.integers(4, 40))
    return {"seed": draw(st.integers(0, 2**31)), "n": n, "classes": draw(st.integers(2, 4)),
            "d": draw(st.integers(1, 6)), "epochs": draw(st.integers(4, 6)),
            "duplicates": draw(st.sampled_from([0, 0, n // 3])), "held_out": draw(st.sampled_from([0, 0, 30]))}


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "f2", "f4", ">f8"])
@pytest.mark.parametrize("offset", [0, 1])
def test_both_choose_alike_in_narrow_types_and_far_from_the_origin(kind, offset):
    """Numbers over all the positive range of a type, or in its last fiftieth."""
    rng, dtype = np.random.RandomState(0), np.dtype(kind)
    largest = float(np.iinfo(dtype).max) if dtype.kind in "iu" else min(float(np.finfo(dtype).max), 1e7)
    features = (largest * (1 - rng.rand(45, 4) / (50 if offset else 1))).astype(dtype)
    gaps = np.stack(np.divmod(rng.permutation(49)[:45], 7), axis=1)  # no two alike: equal scores go by their last bit
    logits = np.stack([rng.permutation([0, low, low + high]) for low, high in gaps]).astype(dtype)
    labels = np.arange(45) % 3
    pairs = [(package, package.Evidence(labels=labels, features=features, logits=logits))
             for package in (mc, torch_ref)]
    for name in ("moderate", "herding", "k_center", "cal", "entropy", "el2n", "facility_location"):
        ours, theirs = (package.select(name, evidence, 0.3) for package, evidence in pairs)
        np.testing.assert_array_equal(ours.indices, theirs.indices, err_msg=name)
    for name in ("center_distance", "cal", "grand", "loss"):
        ours, theirs = (package.score(name, evidence) for package, evidence in pairs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=name)


def both(call, shape):
    """``call(package, evidence)`` for both packages and the same evidence: the result, or its ``ValueError``."""
    results = []
    for package in (mc, torch_ref):
        try:
            results.append(call(package, full_evidence(package, **shape)))
        except ValueError as error:
            results.append(error)
    return results


def both_select(name, shape, rate, **options):
    return both(lambda package, evidence: package.select(name, evidence, rate, **options), shape)


def assert_same_refusals(actual, expected):
    assert isinstance(actual, ValueError) == isinstance(expected, ValueError), (actual, expected)
    return isinstance(actual, ValueError)


def assert_same_scores(actual, expected):
    if assert_same_refusals(actual, expected):
        return
    assert actual.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


def assert_same_coreset(actual, expected):
    if assert_same_refusals(actual, expected):
        return
    np.testing.assert_array_equal(actual.indices, expected.indices)
    for field, tolerance in (("weights", 1e-7), ("scores", 1e-9), ("gains", 1e-7)):
        ours, twins = getattr(actual, field), getattr(expected, field)
        assert (ours is None) == (twins is None), f"only one package gives {field}"
        if ours is not None:
            np.testing.assert_allclose(ours, twins, rtol=tolerance, atol=1e-11, err_msg=field)


@pytest.mark.parametrize(("name", "options"), SCORES)
@given(shape=shapes())
@settings(deadline=None, max_examples=10)
def test_scores(name, options, shape):
    assert_same_scores(*both(lambda package, evidence: package.score(name, evidence, **options), shape))


@pytest.mark.parametrize("options", [{"neighbors": 1}, *SCORE_OPTIONS["extrapolated"]], ids=str)
@given(shape=shapes(), unscored=st.integers(1, 30))
@settings(deadline=None, max_examples=25)
def test_scores_of_a_part(options, shape, unscored):
    def extrapolate(package, evidence):
        values = evidence.imported.copy()
        values[np.random.RandomState(unscored).permutation(len(values))[:unscored]] = np.nan
        return package.score("extrapolated", dataclasses.replace(evidence, imported=values), **options)

    assert_same_scores(*both(extrapolate, shape))


@pytest.mark.parametrize(("name", "options"), METHODS)
@given(shape=shapes(), rate=st.sampled_from(RATES), balance=st.booleans(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_methods(name, options, shape, rate, balance, seed):
    assert_same_coreset(*both_select(name, shape, rate, balance=balance, seed=seed, **options))


def test_the_twin_has_the_same_rules():
    assert sorted(torch_ref.RULES) == sorted(mc.list_rules())


@pytest.mark.parametrize(("rule", "options"), cases(mc.list_rules(), RULE_OPTIONS))
@given(name=st.sampled_from(mc.list_scores()), shape=shapes(), rate=st.sampled_from(RATES), balance=st.booleans(),
       seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_any_score_with_any_rule(rule, options, name, shape, rate, balance, seed):
    assert_same_coreset(*both(
        lambda package, evidence: package.select_by(name, rule, evidence, rate=rate, balance=balance, seed=seed,
                                                    **options), shape))


QUOTAS = [{"quota": "none"}, {"quota": "proportional"}, {"quota": "proportional", "balance": True}, {"quota": "drop"},
          {"quota": "drop", "quota_least": 1}, {"quota": "difficulty"},
          {"quota": "difficulty", "quota_score": "forgetting", "quota_least": 2}]


@pytest.mark.parametrize("options", QUOTAS, ids=str)
@given(name=st.sampled_from([name for name in mc.list_methods() if name != "full"]), shape=shapes(),
       rate=st.sampled_from(RATES), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_any_method_with_any_quota(options, name, shape, rate, seed):
    assert_same_coreset(*both_select(name, shape, rate, seed=seed, **options))


@given(name=st.sampled_from(mc.list_scores()), rule=st.sampled_from(mc.list_rules()), shape=shapes(),
       rate=st.sampled_from(RATES), quota=st.sampled_from([None, "drop", "difficulty"]), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_scores_in_one_range_by_any_rule(name, rule, shape, rate, quota, seed):
    assert_same_coreset(*both(
        lambda package, evidence: package.select_by(name, rule, evidence, rate=rate, quota=quota, seed=seed,
                                                    normalize="class"), shape))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", mc.list_methods())
@with_peers
def test_methods_on_digits(folder, name, balance):
    inputs, peers = load(folder)
    fields = {"dynamics": inputs.dynamics, "boundary": peers["dc/DeepFool/r2_float64"],
              "imported": peers["in/el2n_mean"]}
    evidence = {package: inputs.evidence(package, runs=inputs.runs(package), **fields) for package in (mc, torch_ref)}
    assert_same_coreset(*(package.select(name, each, 0.1, balance=balance) for package, each in evidence.items()))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", mc.list_methods())
def test_ties(name, seed, balance):
    """Half of the samples are copies of the other half."""
    shape = {"seed": seed, "n": 40, "duplicates": 20}
    assert_same_coreset(*both_select(name, shape, 0.4, balance=balance))


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
def test_whole_numbers_on_the_border_of_two_strata(package):
    """Of 0 to 50 in 50 strata, each number but the last has its own."""
    evidence = package.Evidence(labels=np.zeros(51, np.int64), boundary=-np.arange(51.0))
    drawn = package.select("ccs", evidence, 50 / 51, score="deepfool", strata=50).indices
    assert np.minimum(drawn, 49).tolist() == list(range(50))


@pytest.mark.parametrize("options", [{"refill": "none"}, {"variant": "deepcore"}], ids=["unfilled", "deepcore"])
@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
def test_gradients_against_the_target_select_nothing(package, options):
    """Held-out samples of the other class: every weight is 0, and nothing is left to choose."""
    fields = {"features": np.ones((4, 1)), "logits": np.zeros((4, 2))}
    validation = package.Evidence(labels=np.ones(4, np.int64), **fields)
    evidence = package.Evidence(labels=np.zeros(4, np.int64), validation=validation, **fields)
    with pytest.raises(ValueError, match="worth a weight" if package is mc else r"0\.5"):
        package.select("gradmatch", evidence, 0.5, **options)


@pytest.mark.parametrize("name", mc.list_methods())
def test_options_of_methods(name):
    ours = {key: default for key, default in mc.describe(name)["options"].items() if key not in COST}
    assert ours == torch_ref.selectors.OPTIONS[name]


@pytest.mark.parametrize("name", mc.list_scores())
def test_options_of_scores(name):
    parameters = list(inspect.signature(torch_ref.SCORES[name]).parameters.values())[1:]
    ours = {key: default for key, default in mc.selectors.SCORES[name].options.items() if key not in COST}
    assert ours == {each.name: each.default for each in parameters}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", [name for name in mc.list_scores() if "logits" in mc.describe(name)["needs"]])
def test_probabilities_in_the_place_of_logits(name, dtype):
    rng = np.random.RandomState(0)
    p = rng.dirichlet(np.full(5, 0.05), 30).astype(dtype)
    p[::3] = np.eye(5)[np.arange(10) % 5]
    ours, twins = (package.score(name, package.Evidence(labels=np.arange(30) % 5, features=p[:, :3],
                                                        probabilities=p)) for package in (mc, torch_ref))
    np.testing.assert_allclose(ours, twins, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
def test_rows_that_are_no_probabilities_are_refused(package):
    for row in ([0.5, 0.6], [1.5, -0.5], [np.nan, 1]):
        with pytest.raises(ValueError, match="probabilities"):
            package.score("entropy", package.Evidence(labels=np.arange(2), probabilities=np.array([[0.5, 0.5], row])))


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
@pytest.mark.parametrize("labels", [[-1, 0, 1], [1, 2, 3], [0, 1, 255]])
@pytest.mark.parametrize("name", ["el2n", "loss", "grand"])
def test_labels_that_are_no_columns_are_refused(package, labels, name):
    evidence = package.Evidence(labels=np.array(labels), features=np.ones((3, 2)), logits=2 * np.eye(3))
    with pytest.raises(ValueError, match="labels must be 0 to 2, the columns of logits"):
        package.score(name, evidence)


@pytest.mark.parametrize("name", ["el2n", "grand"])
def test_runs_alone(name):
    shape = {"seed": 1, "n": 30}
    assert_same_scores(*both(lambda package, evidence: package.score(name, package.Evidence(
        labels=evidence.labels, runs=evidence.runs)), shape))


@pytest.mark.parametrize("name", ["margin", "entropy", "least_confidence"])
def test_one_class(name):
    for package in (mc, torch_ref):
        evidence = package.Evidence(labels=np.zeros(4, int), logits=np.array([[3.0], [1], [0], [-2]]))
        assert package.score(name, evidence).tolist() == [0] * 4
