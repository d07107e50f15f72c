"""Every method and score on numbers that nobody planned for: a right answer, or a refusal that names them.

And on the same numbers in other types, with a constant added and at another scale: the same answer.
"""

import dataclasses
import time

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, SCORES, neighbors
from ms_coreset.training.dynamics import RECORDS, measure
from tests.recording import dynamics_of

pytestmark = pytest.mark.usefixtures("cpu")
N, CLASSES, D = 40, 4, 5
RATE = 0.5
LARGEST = np.finfo(np.float64).max
FEATURES = [name for name in mc.list_methods() if "features" in METHODS[name].needs]
# The variants that differ in what they compute; "deepcore" of gradmatch gives fewer where weights come out as 0.
CHOICES = [(name, {}) for name in mc.list_methods()] + [
    (name, {"variant": "deepcore"}) for name in mc.list_methods()
    if "variant" in METHODS[name].options and name != "gradmatch"]


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def evidence_of(labels, features, logits, boundary=None):
    """Evidence with every field; the dynamics are those of a network that always answers alike."""
    labels, features, logits = np.asarray(labels), np.asarray(features, np.float32), np.asarray(logits, np.float32)
    boundary = np.ones(len(labels)) if boundary is None else boundary
    return mc.Evidence(labels, features, logits, dynamics=dynamics_of([logits] * 5, labels), boundary=boundary,
                       imported=-boundary)


def plain():
    """Labels, features, logits and distances to the boundary of nothing special."""
    rng = np.random.RandomState(0)
    labels = np.concatenate([np.arange(CLASSES), rng.randint(0, CLASSES, N - CLASSES)])
    return labels, rng.rand(N, D), rng.randn(N, CLASSES), rng.rand(N)


def saturate(labels, rng=None):
    """Logits of plus and minus 10,000: right ones, or of a random class."""
    answers = labels if rng is None else rng.randint(0, CLASSES, len(labels))
    return (2 * np.eye(CLASSES)[answers] - 1) * 1e4


def strange():
    """Evidence by what is strange about it."""
    labels, features, logits, boundary = plain()
    rows = np.arange(N)[:, None]
    one_of_each = np.random.RandomState(1).randn(N, N)
    return {
        "denormal logits and boundary": evidence_of(labels, features, logits * 1e-41, boundary * 5e-324),
        "huge logits and boundary": evidence_of(labels, features, logits * 1e37, boundary * 1e300),
        "huge features": evidence_of(labels, features * 9e14, logits, boundary),
        "small features": evidence_of(labels, features * 2e-6, logits, boundary),
        "denormals among features": evidence_of(labels, np.where(rows % 2, features, 1e-41), logits, boundary),
        "one huge sample": evidence_of(labels, np.where(rows == 7, 9e14, features), np.where(rows == 7, 1e37, logits)),
        "constant": evidence_of(labels, np.full((N, D), 0.3), np.full((N, CLASSES), 0.7)),
        "all zero": evidence_of(labels, np.zeros((N, D)), np.zeros((N, CLASSES)), np.zeros(N)),
        "negative zero": evidence_of(labels, np.full((N, D), -0.0), np.full((N, CLASSES), -0.0), np.full(N, -0.0)),
        "duplicates": evidence_of(*(np.repeat(values[:N // 5], 5, axis=0) for values in plain())),
        "one class": evidence_of(np.zeros(N, int), features, logits, boundary),
        "one sample a class": evidence_of(np.arange(N), features, one_of_each, boundary),
        "classes without samples": evidence_of(labels * 3, features, one_of_each, boundary),
        "saturated, all right": evidence_of(labels, features, saturate(labels), boundary),
        "saturated, at random": evidence_of(labels, features, saturate(labels, np.random.RandomState(2)), boundary),
        "zero gradients": evidence_of(labels, np.zeros((N, D)), saturate(labels), np.zeros(N)),
        "one dimension": evidence_of(labels, features[:, :1], logits, boundary),
        "one sample": evidence_of(labels[:1], features[:1], logits[:1]),
        "integers": dataclasses.replace(evidence_of(labels, features, logits), features=np.arange(N * D).reshape(N, D),
                                        logits=np.arange(N * CLASSES).reshape(N, CLASSES), boundary=np.arange(N),
                                        imported=np.arange(N)),
        "double precision": dataclasses.replace(evidence_of(labels, features, logits), features=features,
                                                logits=logits * 1e300),
        "largest float32 logits": evidence_of(labels, features, np.sign(logits) * np.finfo(np.float32).max, boundary),
        "largest logits": dataclasses.replace(evidence_of(labels, features, logits), boundary=boundary * LARGEST,
                                              logits=np.sign(logits) * LARGEST),
    }


STRANGE = list(strange())


def assert_right(coreset, evidence, balance, name):
    """Exactly as many as were asked for, each once, in range, with finite scores and weights."""
    n = len(evidence)
    sizes = np.unique(evidence.labels, return_counts=True)[1] if balance else [n]
    k = n if name == "full" else sum(round(RATE * size) for size in sizes)
    slack = name == "moderate" and not balance  # its published window rounds both ends
    assert abs(len(coreset.indices) - k) <= slack
    assert len(np.unique(coreset.indices)) == len(coreset.indices)
    assert 0 <= coreset.indices.min() <= coreset.indices.max() < n
    assert coreset.scores is None or np.isfinite(coreset.scores).all()
    assert coreset.weights is None or (np.isfinite(coreset.weights).all() and (coreset.weights >= 0).all())


def _like(name, evidence):
    """The method whose budget a method or a rule has; of one sample all is asked for."""
    if len(evidence) == 1:
        return "full"
    return "moderate" if name == "window" else name


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("balance", [False, True])
def test_every_method(what, balance):
    evidence, wrong = strange()[what], []
    too_few = balance and np.unique(evidence.labels, return_counts=True)[1].max() * RATE <= 0.5  # rounds to none
    for name, options in CHOICES:
        try:
            coreset = mc.select(name, evidence, 1.0 if len(evidence) == 1 else RATE, balance=balance, **options)
        except MsCoresetError as error:
            if not (too_few and "keeps none of any class" in str(error)):
                wrong.append(f"{name} {options}: {error}")
            continue
        try:
            assert_right(coreset, evidence, balance, _like(name, evidence))
        except AssertionError as error:
            wrong.append(f"{name} {options}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("what", STRANGE)
def test_every_score_and_rule(what):
    evidence = strange()[what]
    for name in mc.list_scores():
        for options in ({}, {"variant": "deepcore"}):
            if options.keys() <= SCORES[name].options.keys():
                values = mc.score(name, evidence, **options)
                assert values.shape == (len(evidence),) and values.dtype == np.float64, name
                assert np.isfinite(values).all(), name
        for rule in mc.list_rules():
            coreset = mc.select_by(name, rule, evidence, rate=RATE if len(evidence) > 1 else 1.0)
            assert_right(coreset, evidence, False, _like(rule, evidence))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", mc.list_methods())
def test_what_is_not_finite_is_refused_by_its_place(name, value):
    evidence = evidence_of(*plain())
    for field in ("features", "logits", "boundary", "dynamics"):
        broken = _with_one(evidence, field, 7, value)
        if field == "dynamics" and field in METHODS[name].needs and np.isnan(value):
            assert len(mc.select(name, broken, RATE)) == len(mc.select(name, evidence, RATE))  # an epoch less
        elif field in METHODS[name].needs:
            with pytest.raises(MsCoresetError, match=f"{field}.*sample 7"):
                mc.select(name, broken, RATE)
        else:
            picks = [mc.select(name, one, RATE).indices for one in (broken, evidence)]
            np.testing.assert_array_equal(*picks)


def _with_one(evidence, field, place, value):
    """The evidence with one value of a sample replaced."""
    if field == "dynamics":
        arrays = {name: getattr(evidence.dynamics, name).copy() for name in RECORDS}
        for name, array in arrays.items():
            array[1, place] = False if name == "correct" else value  # as where a sample was held out
        return dataclasses.replace(evidence, dynamics=mc.TrainingDynamics(**arrays))
    array = getattr(evidence, field).copy()
    array[place, ...] = value
    return dataclasses.replace(evidence, **{field: array})


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize(("size", "told"), [(1e16, "1e+16"), (3e38, "3e+38"), (1e-7, "1e-07"), (1e-40, "1e-40")])
def test_features_of_a_size_that_hides_distances_are_refused(name, size, told):
    labels, _, logits, boundary = plain()
    features = np.linspace(0, size, N * D).reshape(N, D)
    with pytest.raises(MsCoresetError) as error:
        mc.select(name, evidence_of(labels, features, logits, boundary), RATE)
    assert f"features are as large as {told}" in str(error.value) and "multiply them by a constant" in str(error.value)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("power", [-10, 30])
def test_scale_of_features_decides_nothing(name, power):
    """Where a method is defined by distances or angles of features alone; powers of two do not round."""
    labels, features, logits, _ = plain()
    options = {"kernel": "features"} if "kernel" in METHODS[name].options else {}
    if "scale" in METHODS[name].options:  # d2's messages fade with the distance
        options["scale"] = "median"
    if name in ("craig", "lcmat", "gradmatch", "glister", "grand"):
        pytest.skip("the gradient's bias does not grow with the features")
    if name in ("max_coverage", "set_coverage"):
        pytest.skip("how much of a feature is enough does not grow with the features")
    picks = [mc.select(name, evidence_of(labels, (features + 1) * scale, logits), RATE, **options).indices
             for scale in (1, 2.0**power)]
    np.testing.assert_array_equal(*picks)


def test_margin_of_one_class_alone_is_none():
    evidence = mc.Evidence(np.zeros(3, int), logits=np.ones((3, 1)))
    np.testing.assert_array_equal(mc.score("margin", evidence), np.zeros(3))


@pytest.mark.parametrize("balance", [False, True])
def test_gradmatch_without_a_gradient_says_so(balance):
    evidence = strange()["zero gradients"]
    with pytest.raises(MsCoresetError, match="none of 40 samples is worth a weight"):
        mc.select("gradmatch", evidence, RATE, balance=balance, variant="deepcore")


def test_lists_are_checked_like_arrays():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(MsCoresetError, match="features of sample 2 are not finite"):
        mc.select("herding", mc.Evidence(labels, features=[[1.0], [2.0], [np.nan], [3.0]]), RATE)
    assert len(mc.select("herding", mc.Evidence(labels, features=[[1.0], [2.0], [4.0], [3.0]]), RATE)) == 2


def test_logits_near_the_largest_number_by_hand():
    """Differences of 2e308 are no numbers: they count as 1e300, which neither p nor what is sure hangs on."""
    logits = np.array([[1e308, -1e308, -1e308], [-1e308, 1e308, 1e308], [2.0**1020, 2.0**1020 - 2.0**990, 0]])
    evidence = mc.Evidence(np.array([1, 0, 1]), np.ones((3, 2)), logits)
    expected = {"loss": [1e300, 1e300, 2.0**990], "entropy": [0, np.log(2), 0], "least_confidence": [0, 0.5, 0],
                "margin": [0, 1, 0], "el2n": np.sqrt([2, 1.5, 2]), "grand": np.sqrt(3 * np.array([2, 1.5, 2]))}
    for name, values in expected.items():
        np.testing.assert_allclose(mc.score(name, evidence), values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("rule", mc.list_rules())
def test_rules_on_scores_near_the_largest_number(rule):
    """They draw what they draw from the same scores times a power of two."""
    labels, features, logits, values = plain()
    picks = [mc.select_by("deepfool", rule, evidence_of(labels, features, logits, values * scale), rate=RATE).indices
             for scale in (1.0, 2.0**1023)]
    np.testing.assert_array_equal(*picks)


def test_dynamics_of_logits_beyond_float32_are_its_largest():
    logits = np.array([[3e38, -3e38], [-3e38, 3e38], [1, 0]], np.float32)
    measured = measure(logits, np.zeros(3, int))
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(measured["logit_margin"], [largest, -largest, 1])
    np.testing.assert_allclose(measured["loss"], [0, largest, np.log1p(np.exp(-1))], rtol=1e-15)
    half = measure(logits[2:].astype(np.float16), np.zeros(1, int))
    assert half == {name: values[2:] for name, values in measured.items()}


# Types


TYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">f4", ">f8", ">i2", ">u8"]


def evidence_in(kind):
    """(evidence in a type, near the end of its range, and not contiguous; the same numbers in float64)."""
    rng, dtype = np.random.RandomState(0), np.dtype(kind)
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    largest = 9 if dtype.itemsize == 8 and dtype.kind == "f" else min(float(limits.max), 9e14)

    def numbers(shape, low, high):
        values = rng.uniform(low, high, (*shape, 2)).astype(dtype)[..., 0]
        assert not values.flags.c_contiguous and values.dtype == dtype
        return values

    labels = np.arange(N) % CLASSES
    features, logits = numbers((N, D), 0.6 * largest, largest), numbers((N, CLASSES), 0, 9)
    boundary = numbers((N,), 0.6 * largest, largest)
    recorded = {name: numbers((5, N), 0, 9) for name in RECORDS if name != "correct"}
    recorded["correct"] = recorded["margin"] > 4

    def evidence(convert):
        return mc.Evidence(labels, convert(features), convert(logits), boundary=convert(boundary),
                           imported=convert(boundary),
                           dynamics=mc.TrainingDynamics(**{name: values if name == "correct" else convert(values)
                                                           for name, values in recorded.items()}))

    return evidence(lambda values: values), evidence(lambda values: values.astype("=f8"))


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_gives_what_float64_gives(kind):
    given, exact = evidence_in(kind)
    for name in mc.list_scores():
        np.testing.assert_allclose(mc.score(name, given), mc.score(name, exact), rtol=1e-12, err_msg=name)
    centers = [{"center": "mean"}, {"center": "median"}]
    for name, options in [*CHOICES, *(("moderate", center) for center in centers)]:
        for balance in (False, True):
            found, expected = (mc.select(name, each, RATE, balance=balance, **options) for each in (given, exact))
            np.testing.assert_array_equal(found.indices, expected.indices, err_msg=name)
            for values, wanted in ((found.weights, expected.weights), (found.scores, expected.scores)):
                assert (values is None) == (wanted is None)
                if wanted is not None:
                    np.testing.assert_allclose(values, wanted, rtol=1e-12, err_msg=name)


def test_the_median_of_a_narrow_type_by_hand():
    features = np.array([[100], [200], [250], [255]], np.uint8)  # 200 + 250 is 194 there
    evidence = mc.Evidence(np.zeros(4, int), features=features)
    np.testing.assert_array_equal(mc.score("center_distance", evidence), [125, 25, 25, 30])


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8"])
def test_the_least_number_of_a_type_has_a_size(kind):
    least = np.iinfo(kind).min
    evidence = mc.Evidence(np.zeros(4, int), features=np.full((4, 1), least, kind))
    if kind == "i8":
        with pytest.raises(MsCoresetError, match=r"as large as 9.22e\+18"):
            mc.select("herding", evidence, RATE)
    else:
        assert len(mc.select("herding", evidence, RATE)) == 2


# Far from the origin, and at any scale


INVARIANT = ["cal", "extrapolated", "herding", "k_center", "moderate", "ram_apl"]
# What else looks at features does not promise it.
NOT_INVARIANT = {
    **dict.fromkeys(["craig", "lcmat", "gradmatch", "glister", "grand"],
                    "the last layer's gradient by its weights is a product with the features themselves"),
    **dict.fromkeys(["facility_location", "graph_cut", "log_determinant", "gm_matching", "prototype", "semdedup",
                    "subzero", "prune4rel", "disparity_sum", "disparity_min", "saturated_coverage", "sum_redundancy",
                    "targeted_facility_location", "targeted_graph_cut", "targeted_log_determinant",
                    "mixture"],
                    "cosines, of gradients or of features, are angles at the origin"),
    **dict.fromkeys(["feature_based", "max_coverage", "set_coverage"], "features are amounts, which begin at 0"),
    "zcore": "the random points that samples are compared with are rounded where the features lie",
    "d2": "messages fade with the distance: a factor changes them; a constant does not, see test_d2"}
CENTERED = [(name, options) for name in INVARIANT for options in ({}, {"variant": "deepcore"}, {"center": "mean"})
            if options.keys() <= METHODS[name].options.keys()]
CENTERED += [("gm_matching", {"metric": "euclidean", "start": start}) for start in ("median", "mean", "random")]
CENTERED += [("moderate", {"center": "geometric_median"}), ("prototype", {"metric": "euclidean"}),
             ("prototype", {"metric": "euclidean", "groups": "labels"})]


def exact_evidence(features):
    rng, n = np.random.RandomState(3), len(features)
    logits, scores = rng.randn(n, 3), np.where(np.arange(n) % 4, np.nan, rng.rand(n))
    return mc.Evidence(np.arange(n) % 3, features, logits, imported=scores)


def assert_same_choice(name, options, one, other):
    for balance in (False, True):
        picks = [mc.select(name, exact_evidence(features), 0.3, balance=balance, **options).indices
                 for features in (one, other)]
        np.testing.assert_array_equal(*picks)


def test_every_method_that_looks_at_features_promises_or_says_why_not():
    assert {*INVARIANT} | NOT_INVARIANT.keys() == {*FEATURES}


@pytest.mark.parametrize(("name", "options"), CENTERED)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [-1e2, 1e4, 1e6, 1e7, 1e9])
def test_a_constant_added_to_all_features_decides_nothing(name, options, kind, offset):
    """float32 features are what is left of them in float32; less the constant, in float64, that is exact."""
    spread = 1 if kind == np.float64 else max(1, abs(offset) * 1e-4)
    given = (spread * np.random.RandomState(0).randn(150, 6) + offset).astype(kind)
    assert_same_choice(name, options, given, given.astype(np.float64) - offset)


@pytest.mark.parametrize(("name", "options"), CENTERED)
@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_a_column_of_time_stamps_counts_from_when_one_likes(name, options, kind):
    rng = np.random.RandomState(0)
    given = (100 * rng.randn(150, 6)).astype(kind)
    given[:, 2] = 1_700_000_000 + rng.randint(0, 86_400, 150)
    assert_same_choice(name, options, given, given.astype(np.float64) - [0, 0, 1_700_000_000, 0, 0, 0])


@pytest.mark.parametrize(("name", "options"), CENTERED)
@pytest.mark.parametrize("scale", [3e-6, 0.37, 1e5, 2.0**40])
def test_a_positive_factor_decides_nothing(name, options, scale):
    features = np.random.RandomState(0).randn(150, 6)
    features[::7] = features[0]  # duplicates stay such
    assert_same_choice(name, options, features, features * scale)


@pytest.mark.parametrize("center", ["median", "mean"])
def test_center_distance_moves_and_grows_with_the_features(center):
    features = np.random.RandomState(0).randn(150, 6)
    here = mc.score("center_distance", exact_evidence(features), center=center)
    for offset in (1e4, 1e7, 1e9):  # of which not the last digits of the features are left
        there = mc.score("center_distance", exact_evidence(features + offset), center=center)
        np.testing.assert_allclose(there, here, rtol=0, atol=4 * np.spacing(offset))
    larger = mc.score("center_distance", exact_evidence(features * 1e5), center=center)
    np.testing.assert_allclose(larger, 1e5 * here, rtol=1e-12)


def clusters_far_apart():
    """Whole numbers, so that differences are exact: near rows whose distances products lose."""
    rng = np.random.RandomState(0)
    return rng.randint(-50, 51, (120, 4)) + np.where(np.arange(120) % 2, 30_000_000, -10_000_000)[:, None]


def test_neighbors_within_clusters_that_lie_far_apart():
    features = clusters_far_apart()
    squares = ((features[:, None] - features)**2).sum(axis=2)
    np.fill_diagonal(squares, np.iinfo(np.int64).max)
    expected = np.sort(np.argsort(squares, axis=1, kind="stable")[:, :5], axis=1)
    for given in (features, features.astype(np.float64)):
        found = np.concatenate([nearest for _, nearest in neighbors.neighbor_blocks(given, 5)])
        np.testing.assert_array_equal(found, expected)


def test_k_center_within_clusters_that_lie_far_apart():
    features = clusters_far_apart()
    squares = ((features[:, None] - features)**2).sum(axis=2)
    expected = [np.random.RandomState(0).randint(120)]
    while len(expected) < 60:
        nearest = squares[:, expected].min(axis=1)
        nearest[expected] = -1
        expected.append(int(nearest.argmax()))
    found = mc.select("k_center", mc.Evidence(np.zeros(120, int), features=features), RATE).indices
    assert found.tolist() == expected


# Many classes


@pytest.mark.parametrize("name", ["moderate", "herding", "k_center", "random", "graph_cut"])
def test_thousands_of_classes(name):
    n = 4000
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(np.repeat(np.arange(n // 2), 2), features=rng.rand(n, 2).astype(np.float32))
    options = {"kernel": "features"} if name == "graph_cut" else {}
    for balance in (False, True):
        coreset = mc.select(name, evidence, RATE, balance=balance, **options)
        assert_right(coreset, evidence, balance, name)
        if balance:
            np.testing.assert_array_equal(np.sort(evidence.labels[coreset.indices]), np.arange(n // 2))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n"), [("moderate", 50_000), ("random", 1_000_000)])
def test_classes_of_one_sample_by_the_thousand(name, n):
    evidence = mc.Evidence(np.arange(n)[::-1].copy(), features=np.random.RandomState(0).rand(n, 2).astype(np.float32))
    began = time.monotonic()
    assert_right(mc.select(name, evidence, RATE), evidence, False, name)
    with pytest.raises(MsCoresetError, match="keeps none of any class"):
        mc.select(name, evidence, 0.4, balance=True)
    assert time.monotonic() - began < 600


@pytest.mark.slow
def test_scores_of_as_many_classes_as_samples():
    n = 5000
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(np.arange(n), rng.rand(n, 8).astype(np.float32), rng.randn(n, n).astype(np.float32))
    for name in mc.list_scores():
        if set(SCORES[name].needs) <= {"features", "logits"}:
            assert np.isfinite(mc.score(name, evidence)).all(), name
