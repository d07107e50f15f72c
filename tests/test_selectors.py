"""Every registered method keeps the same promises; scores and rules by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.perturbations.label_noise import symmetric_noise
from ms_coreset.selectors import METHODS, SCORES, centers, norms, processors, row_blocks
from ms_coreset.selectors.catalogue import Entry
from ms_coreset.selectors.option_values import check as check_options
from ms_coreset.selectors.quota import Request, budget, pick_by_group, truncate
from ms_coreset.selectors.rules import moderate_window, window
from ms_coreset.training.dynamics import FIELDS as DYNAMICS
from tests import recording

pytestmark = pytest.mark.usefixtures("cpu")
EVERY_METHOD = mc.list_methods()
CHOOSING = [name for name in EVERY_METHOD if name != "full"]


@pytest.fixture(scope="module")
def cpu():
    return mc.set_device("CPU")


FIELDS = ("labels", "features", "logits", "dynamics", "boundary", "imported")


def evidence_of(n=60, classes=4, d=5, seed=0):
    rng = np.random.RandomState(seed)
    labels, features = rng.randint(0, classes, n), rng.rand(n, d).astype(np.float32)
    logits = rng.randn(n, classes).astype(np.float32)
    return mc.Evidence(labels, features, logits, dynamics=dynamics_of(labels, classes, rng), boundary=rng.rand(n),
                       imported=rng.rand(n))


def dynamics_of(labels, classes, rng, epochs=4):
    return recording.dynamics_of([rng.randn(len(labels), classes).astype(np.float32) for _ in range(epochs)], labels)


def rows_of(evidence, rows):
    """The evidence of some samples."""
    dynamics = {name: array[:, rows] for name, array in vars(evidence.dynamics).items() if array is not None}
    arrays = {name: getattr(evidence, name)[rows] for name in FIELDS if name != "dynamics"}
    return mc.Evidence(**arrays, dynamics=mc.TrainingDynamics(**dynamics))


def assert_valid(coreset, evidence):
    assert coreset.indices.dtype == np.int64
    assert len(np.unique(coreset.indices)) == len(coreset.indices)
    assert coreset.indices.min() >= 0
    assert coreset.indices.max() < len(evidence)


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("rate", [1 / 60, 0.1, 0.5, 1.0])
def test_exactly_k_each_once(name, rate):
    evidence = evidence_of()
    coreset = mc.select(name, evidence, rate)
    assert_valid(coreset, evidence)
    slack = 1 if name == "moderate" else 0  # its published window rounds both ends
    assert max(1, round(rate * 60) - slack) <= len(coreset) <= round(rate * 60) + slack


@pytest.mark.parametrize("name", CHOOSING)
def test_balanced_keeps_the_share_of_every_class(name):
    evidence = evidence_of(classes=3)
    coreset = mc.select(name, evidence, 0.3, balance=True)
    assert_valid(coreset, evidence)
    for label in range(3):
        assert (evidence.labels[coreset.indices] == label).sum() == round(0.3 * (evidence.labels == label).sum())


@pytest.mark.parametrize("name", EVERY_METHOD)
@pytest.mark.parametrize("balance", [False, True])
def test_same_seed_same_answer(name, balance):
    first, second = (mc.select(name, evidence_of(), 0.4, balance=balance, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.indices, second.indices)


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_global_random_state_is_neither_used_nor_touched(name):
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = mc.select(name, evidence_of(), 0.4, seed=7).indices
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    np.testing.assert_array_equal(mc.select(name, evidence_of(), 0.4, seed=7).indices, first)


@pytest.mark.parametrize("name", EVERY_METHOD)
@pytest.mark.parametrize("balance", [False, True])
def test_one_sample_classes_and_duplicates(name, balance):
    features = np.repeat(np.arange(6, dtype=np.float32), 2)[:, None] * np.ones(3, np.float32)
    labels = np.array([2] * 6 + [0] * 5 + [1])
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(labels, features, features, dynamics=dynamics_of(labels, 3, rng), boundary=np.ones(12),
                           imported=np.ones(12))
    coreset = mc.select(name, evidence, 0.5, balance=balance)
    assert_valid(coreset, evidence)


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_inputs_are_left_as_they_were(name):
    evidence = evidence_of()
    copies = {field: getattr(evidence, field).copy() for field in ("labels", "features", "logits", "boundary")}
    mc.select(name, evidence, 0.4)
    for field, copy in copies.items():
        np.testing.assert_array_equal(getattr(evidence, field), copy)


@pytest.mark.parametrize("name", EVERY_METHOD)
@pytest.mark.parametrize("rate", [0, -0.1, 1.5, float("nan"), "half", None, True])
def test_impossible_rate_is_refused(name, rate):
    with pytest.raises(MsCoresetError, match="rate"):
        mc.select(name, evidence_of(), rate)


@pytest.mark.parametrize("name", CHOOSING)
def test_rate_that_keeps_nothing_is_refused(name):
    with pytest.raises(MsCoresetError, match=r"rate 0\.001 of 60 samples keeps none"):
        mc.select(name, evidence_of(), 0.001)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, "a"])
def test_impossible_seed_is_refused(seed):
    with pytest.raises(MsCoresetError, match="seed"):
        mc.select("random", evidence_of(), 0.5, seed=seed)


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_every_method_is_described(name):
    entry = mc.describe(name)
    assert entry["summary"].endswith(".")
    assert entry["cost"]
    assert entry["source"]
    with pytest.raises(MsCoresetError, match="has no option 'color'"):
        mc.select(name, evidence_of(), 0.5, color="red")


# Values that an option of this name may not have, whichever method it belongs to.
WRONG = {"metric": ["", "Cosine", 1], "variant": ["", "Paper", 1],
         "lam": [-1, float("nan"), float("inf"), "much", True], "refill": ["random"],
         "batch_size": [0, 1.5, True, None], "eta": [0, -1.0, "x"], "aggregate": ["median"], "rounds": [0, 2.5],
         "center": ["mode", 3], "strata": [0, 2.5], "mis_ratio": [1, -0.1, "half"], "score": [7], "cutoff_score": [7],
         "neighbors": [0, -3, 1.5], "probes": [-1, 2.5, None, True], "within_class": ["no", 1],
         "direction": ["up"], "first": [-1, 0.5], "last": [-1],
         "never_learned": ["one"], "kernel": ["Cosine", "", 1], "greedy": ["slow", None], "epsilon": [0, 1, -1],
         "beta": [0, 1.1], "jitter": [0, -1e-6], "already_selected": [[99], [-1], [3, 3], [0.5]],
         "start": ["target", 0], "window": [1, 2.5, "10"], "weight": [-0.1, 1.1], "weighting": ["Mean", 1],
         "tau": [-0.1, 1, "near"], "confidence": ["loss", None], "turns": ["no", 1], "gamma": [-0.1, "x"],
         "density": ["mean"], "discount": [""], "symmetric": [1, "no"], "scale": ["mean"],
         "draws": [0, 2.5, 2**26 + 1], "exponent": [0, -1.0], "eps": [-0.1, "x"], "dims": [0, 1.5],
         "reach": [0, -1.0, "far"],
         "clusters": [0, 2.5, "many"], "groups": ["classes", 1], "cluster_seed": [-1, 0.5],
         "keep": ["random", 1], "per_group": ["yes", 1],
         "per_batch": ["yes", 1, None], "solver": ["v2", "", 1], "reading": ["later"],
         "functions": ["mean", "facility_location+", "0*graph_cut", "graph_cut(lam=x)", "graph_cut(mu=1)", 1],
         "nu": [0, -1.0, "x"], "over": ["query", 1],
         "alpha": [0, 1.1, "x"], "threshold": [0, -1.0, "x"], "concave": ["square", 1],
         "weights": [(-1.0,) * 4, (1.0,) * 3, ("x",) * 4, (float("nan"),) * 4],
         "a": [-0.1, 1.1, "x"], "kappa": [0, -1.0, float("inf")],
         **{name: [0, -3, 1.5, True, "3", "-2", "5-5", "3-1", "a-b", (1,), (2, 1)] for name in
            ("epochs", "early", "late")}}


@pytest.mark.parametrize(("name", "option"),
                         [(name, option) for name in EVERY_METHOD for option in METHODS[name].options])
def test_value_that_an_option_may_not_have_is_refused(name, option):
    for value in WRONG[option]:
        with pytest.raises(MsCoresetError, match=option):
            mc.select(name, evidence_of(), 0.5, **{option: value})
        if option not in ("already_selected", "weights"):  # of which the places depend on the data
            with pytest.raises(MsCoresetError, match=f"^{name}: {option}"):
                mc.estimate(name, 60, 4, classes=3, rate=0.5, **{option: value})


@pytest.mark.parametrize("name", [name for name in EVERY_METHOD if METHODS[name].needs])
def test_missing_or_unusable_evidence_is_named(name):
    labels = np.zeros(4, int)
    need = METHODS[name].needs[0]
    with pytest.raises(MsCoresetError, match=f"{name} needs {need}, which this evidence lacks; get it with mc"):
        mc.select(name, mc.Evidence(labels=labels), 0.5)
    array = np.ones((4, 2), np.float32)
    array[2, 1] = np.nan
    if need not in ("dynamics", "imported"):  # of which NaN says that there is nothing
        with pytest.raises(MsCoresetError, match=f"{need} of sample 2 are not finite"):
            mc.select(name, mc.Evidence(labels, array, array, boundary=array[:, 1]), 0.5)


@pytest.mark.parametrize("name", mc.list_scores())
def test_scores_follow_a_permutation_of_the_samples(name):
    evidence, order = evidence_of(), np.random.RandomState(1).permutation(60)
    moved, options = rows_of(evidence, order), {"groups": "labels"} if name == "prototype" else {}  # clusters: by draws
    np.testing.assert_allclose(mc.score(name, moved, **options), mc.score(name, evidence, **options)[order], rtol=1e-12)
    assert mc.score(name, evidence).dtype == np.float64


def test_random_by_hand():
    labels = np.array([1, 0, 1, 0, 1, 1])
    evidence = mc.Evidence(labels=labels)
    drawn = np.random.RandomState(5)
    by_class = [drawn.choice([1, 3], 1, replace=False), drawn.choice([0, 2, 4, 5], 2, replace=False)]
    np.testing.assert_array_equal(mc.select("Uniform", evidence, 0.5, balance=True, seed=5).indices,
                                  np.concatenate(by_class))


@pytest.mark.parametrize("seed", range(3))
def test_random_coreset_and_label_noise_of_one_seed_are_strangers(seed):
    labels = np.random.RandomState(9).randint(0, 10, 1000)
    noisy, _ = symmetric_noise(labels, 10, ratio=0.2, seed=seed)
    kept = mc.select("random", mc.Evidence(labels=noisy), 0.2, seed=seed).indices
    assert 0.1 < (noisy != labels)[kept].mean() < 0.3


def test_full_keeps_everything():
    assert mc.select("full", evidence_of(), 0.1).indices.tolist() == list(range(60))


def test_center_distance_by_hand():
    features = np.array([[0, 0], [2, 0], [10, 4], [6, 8], [3, 3]], np.float32)
    evidence = mc.Evidence(labels=np.array([0, 0, 0, 0, 5]), features=features)
    # medians (4, 2): the mean of the two middle values of 0 2 6 10 and of 0 0 4 8
    expected = np.sqrt([16 + 4, 4 + 4, 36 + 4, 4 + 36, 0])
    np.testing.assert_allclose(mc.score("center_distance", evidence), expected, rtol=1e-12)
    means = np.sqrt([4.5**2 + 9, 2.5**2 + 9, 5.5**2 + 1, 1.5**2 + 25, 0])
    np.testing.assert_allclose(mc.score("center_distance", evidence, center="mean"), means, rtol=1e-12)
    with pytest.raises(MsCoresetError, match="center 'mode'"):
        mc.score("center_distance", evidence, center="mode")


def test_moderate_keeps_the_middle_by_hand():
    features = np.array([[0], [1], [2], [4], [8], [16], [32], [64], [128], [256]], np.float32)
    coreset = mc.select("moderate", mc.Evidence(labels=np.zeros(10, int), features=features), 0.4)
    distances = np.abs(features[:, 0] - 12)
    assert coreset.indices.tolist() == np.argsort(distances, kind="stable")[3:7].tolist()
    assert coreset.options == {"center": "median", "metric": "euclidean", "mis_ratio": 0.0, "cutoff_score": "loss",
                               "balance": False}


def test_moderate_window_rounds_both_ends():
    assert len(moderate_window(np.arange(101.0), 0.2)) == 21  # 40 to 61, half to even
    assert moderate_window(np.zeros(10), 0.4).tolist() == [3, 4, 5, 6]  # ties by place
    assert moderate_window(np.arange(60.0), 1 / 60).tolist() == [30]  # both ends round to 30
    assert moderate_window(np.arange(1.0), 0.6).tolist() == [0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
def test_window_is_the_middle(values, data):
    scores = np.array(values, float)
    k = data.draw(st.integers(1, len(scores)))
    chosen = window(scores, k)
    ranks = np.argsort(np.argsort(scores, kind="stable"))[chosen]
    assert len(chosen) == k
    assert ranks.tolist() == list(range(ranks[0], ranks[0] + k))
    below, above = ranks[0], len(scores) - k - ranks[0]
    assert abs(below - above) <= 1


@given(st.lists(st.integers(-2, 5), min_size=1, max_size=60), st.floats(0.01, 1))
def test_driver_gives_every_class_its_budget(labels, rate):
    labels = np.array(labels)
    wanted = {label: budget(rate, (labels == label).sum()) for label in np.unique(labels)}
    request = Request(rate, balance=True)
    if not sum(wanted.values()):
        with pytest.raises(MsCoresetError, match="keeps none of any class"):
            pick_by_group(labels, request, lambda rows, k: rows[:k])
        return
    picked = pick_by_group(labels, request, lambda rows, k: rows[:k])
    assert {label: (labels[picked] == label).sum() for label in wanted} == wanted
    assert labels[picked].tolist() == sorted(labels[picked])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 10**6))
def test_class_median_is_numpys(rows, columns, seed):
    block = np.random.RandomState(seed).rand(rows, columns).astype(np.float32)
    np.testing.assert_array_equal(centers.class_median(block), np.median(block.astype(np.float64), axis=0))


def test_class_median_of_columns_in_parts(monkeypatch):
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 4 * 4 * 9 * 2)  # two columns of nine values at a time
    block = np.random.RandomState(0).rand(8, 7).astype(np.float32)
    np.testing.assert_array_equal(centers.class_median(block), np.median(block.astype(np.float64), axis=0))


@pytest.mark.mindspore
@pytest.mark.parametrize("device", ["GPU", "Ascend"])
def test_class_median_and_distances_are_the_hosts_on_an_accelerator(device, monkeypatch):
    """Ascend sorts the last axis only, and in float32."""
    evidence = mc.Evidence(np.arange(60) % 2, features=1e6 + np.random.RandomState(0).rand(60, 3))
    expected = mc.score("center_distance", evidence)
    monkeypatch.setattr(processors, "current_device", lambda: device)
    monkeypatch.setattr("mindspore.ops.sort", None)
    np.testing.assert_array_equal(mc.score("center_distance", evidence), expected)


@pytest.mark.mindspore
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", EVERY_METHOD)
def test_mindspores_arithmetic_chooses_what_numpys_does(name, balance, monkeypatch):
    """As on an accelerator, which selects with MindSpore's operations; here they run on the CPU."""
    evidence = evidence_of(150)
    expected = mc.select(name, evidence, 0.2, balance=balance, seed=1)
    monkeypatch.setattr(processors, "current_device", lambda: "GPU")
    assert not processors.on_host()
    found = mc.select(name, evidence, 0.2, balance=balance, seed=1)
    np.testing.assert_array_equal(found.indices, expected.indices)
    for field in ("weights", "scores"):
        values, wanted = getattr(found, field), getattr(expected, field)
        assert (values is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_allclose(values, wanted, rtol=1e-6, atol=1e-9)


def test_ascend_computes_in_float32(monkeypatch):
    for device, expected in (("CPU", np.float64), ("GPU", np.float64), ("Ascend", np.float32)):
        monkeypatch.setattr(processors, "current_device", lambda device=device: device)
        assert processors.float_type() == expected


def test_distances_in_blocks_are_the_same(monkeypatch):
    rows, point = np.random.RandomState(0).rand(50, 6).astype(np.float32), np.full(6, 0.5, np.float32)
    whole = norms.row_distances(rows, point)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 8 * 6 * 7)
    np.testing.assert_array_equal(norms.row_distances(rows, point), whole)
    np.testing.assert_allclose(whole, np.linalg.norm(rows.astype(float) - 0.5, axis=1), rtol=1e-14)


@pytest.mark.parametrize(("fields", "message"), [
    ({"labels": []}, "non-empty"), ({"labels": [0.5]}, "integers"), ({"labels": [[1]]}, "integers"),
    ({"labels": [1, 2], "features": np.ones((3, 2))}, r"features must be a \(2, d\)"),
    ({"labels": [1, 2], "logits": np.ones(2)}, r"logits must be a \(2, d\)")])
def test_evidence_that_does_not_fit_is_refused(fields, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.Evidence(**fields)


def test_memory_mapped_features_serve(tmp_path):
    evidence = evidence_of()
    np.save(tmp_path / "f.npy", evidence.features)
    mapped = mc.Evidence(labels=evidence.labels, features=np.load(tmp_path / "f.npy", mmap_mode="r"))
    np.testing.assert_array_equal(mc.select("moderate", mapped, 0.3).indices,
                                  mc.select("moderate", evidence, 0.3).indices)


def test_scores_and_methods_are_known_by_the_originals_names():
    assert METHODS.canonical("Uniform") == "random"
    assert SCORES.canonical("centre_distance") == "center_distance"


def test_any_labels_will_do_for_methods_that_do_not_look_at_logits():
    features = np.arange(24, dtype=np.float32).reshape(12, 2)
    evidence = mc.Evidence(labels=np.array([7] * 6 + [-3] * 5 + [1000]), features=features)
    assert len(mc.select("moderate", evidence, 0.5, balance=True)) == 3 + 2


# One ranking for all rates

@pytest.fixture(scope="module")
def tied():
    """All that any method needs, of 90 samples of 3 classes of unlike sizes, with ties and duplicates."""
    rng = np.random.RandomState(0)
    labels = np.sort(rng.choice(3, 90, p=[0.5, 0.3, 0.2]))
    dynamics = mc.TrainingDynamics(
        **{name: rng.randint(0, 5, (6, 90)).astype(np.float32) / 5 for name in DYNAMICS[:4]},
        correct=rng.rand(6, 90) < 0.7, divergence=rng.randint(0, 5, (6, 90)).astype(np.float32),
        **{name: rng.rand(6, 90).astype(np.float32) for name in ("loss", "validation_loss")})
    return mc.Evidence(labels, rng.randint(0, 4, (90, 5)).astype(np.float32), rng.randint(-2, 3, (90, 3)).astype("f4"),
                       dynamics=dynamics, boundary=rng.randint(0, 9, 90).astype(float),
                       imported=rng.randint(0, 9, 90))


OPTIONS = [(name, {}) for name in EVERY_METHOD] + [
    ("facility_location", {"greedy": "approximate_lazy"}), ("facility_location", {"greedy": "naive"}),
    ("facility_location", {"greedy": "stochastic"}), ("log_determinant", {"variant": "deepcore"}),
    ("herding", {"variant": "deepcore"}), ("margin", {"variant": "deepcore"}), ("glister", {"rounds": 3}),
    ("glister", {"variant": "deepcore"}), ("k_center", {"already_selected": [3, 80]})]


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value))
def test_a_nested_method_s_ranking_serves_lower_rates(name, options, balance, tied):
    if not METHODS[name].nested_for(options):
        return
    ranking = mc.select(name, tied, 0.8, balance=balance, seed=3, **options)
    for rate in (0.02, 0.1, 0.33, 0.5, 0.8):
        alone = mc.select(name, tied, rate, balance=balance, seed=3, **options)
        part = truncate(ranking, tied.labels, rate)
        np.testing.assert_array_equal(part.indices, alone.indices)
        arrays = dict.fromkeys(("indices", "scores", "gains"))
        for field in arrays:
            np.testing.assert_array_equal(getattr(part, field), getattr(alone, field))
        assert {**vars(part), **arrays} == {**vars(alone), **arrays}
    with pytest.raises(MsCoresetError, match="keeps none"):
        truncate(ranking, tied.labels, 0.001)


def test_which_methods_are_nested(tied):
    others = {name for name in EVERY_METHOD if not METHODS[name].nested_for({})}
    assert others == {"random", "full", "moderate", "ccs", "craig", "gradmatch", "gm_matching", "ram_apl", "lcmat",
                      "semdedup", "subzero"}
    for name, options in (("facility_location", {"greedy": "stochastic"}), ("glister", {"rounds": 3}),
                          ("k_center", {"already_selected": [1]}), ("prototype", {"per_group": True})):
        assert not METHODS[name].nested_for(options)
    weighted = mc.select("craig", tied, 0.5)
    with pytest.raises(MsCoresetError, match="weighs its picks together"):
        truncate(weighted, tied.labels, 0.1)


def test_the_strata_rule_is_ccs():
    evidence = evidence_of(200)
    by_rule = mc.select_by("accumulated_margin", "strata", evidence, rate=0.3, seed=2)
    np.testing.assert_array_equal(by_rule.indices, mc.select("ccs", evidence, 0.3, seed=2).indices)


@pytest.mark.parametrize("select", [lambda **asked: mc.select("moderate", **asked),
                                    lambda **asked: mc.select_by("el2n", "top", **asked)])
@pytest.mark.parametrize(("argument", "value"), [("balance", "yes"), ("evidence", 3)])
def test_arguments_of_another_kind_are_refused(select, argument, value):
    with pytest.raises(MsCoresetError, match=argument):
        select(**{"evidence": evidence_of(), "rate": 0.5, argument: value})


def test_a_score_that_no_method_is_named_like_is_described_as_a_score():
    assert mc.describe("center_distance")["cost"] == SCORES["center_distance"].cost
    assert mc.describe("el2n")["cost"] == METHODS["el2n"].cost != SCORES["el2n"].cost


@pytest.mark.parametrize("field", ["logits", "features"])
def test_what_a_score_lacks_is_named_by_every_rule(field):
    evidence = dataclasses.replace(evidence_of(), **{field: None})
    score = {"logits": "entropy", "features": "center_distance"}[field]
    with pytest.raises(MsCoresetError, match=f"{score} needs {field}"):
        mc.select_by(score, "top", evidence, rate=0.5)


@pytest.mark.parametrize(("option", "right", "wrong"), [
    ("depth", 4, 2.5), ("depth", np.int64(4), True), ("share", 1, "half"), ("way", "up", 3), ("strict", True, 1)])
def test_options_without_annotations_are_of_their_defaults_kind(option, right, wrong):
    def mine(evidence, request, depth=3, share=0.5, way="down", strict=False):
        """One of a user's own."""

    check_options("mine", mine, {option: right})
    with pytest.raises(MsCoresetError, match=f"mine: {option}"):
        check_options("mine", mine, {option: wrong})


@pytest.mark.parametrize(("name", "given"), [
    ("cal", {"neighbors": 1}), ("facility_location", {"neighbors": 1}), ("gradmatch", {"batch_size": 1}),
    ("glister", {"rounds": 1}), ("ccs", {"strata": 1})])
def test_one_is_a_count(name, given):
    assert len(mc.select(name, evidence_of(), 0.2, **given)) == 12


def test_a_rate_of_nothing_is_refused_by_what_rates_there_are():
    with pytest.raises(MsCoresetError, match="rate 0: must be above 0 and at most 1"):
        Request(0)


def test_a_request_by_default():
    assert (Request(0.5).balance, Request(0.5).seed) == (False, 0)
    assert METHODS["random"].nested is False
    assert not Entry("mine", print, (), "", "").nested


def test_a_score_of_ones_own_is_a_method_too():
    @mc.register_score("row_number_for_a_test")
    def row_number(evidence):
        """The place of each sample."""
        return np.arange(len(evidence), dtype=float)

    try:
        assert mc.select("row_number_for_a_test", evidence_of(20), 0.1).indices.tolist() == [19, 18]
    finally:
        for registry in (METHODS, SCORES):
            registry.remove("row_number_for_a_test")
