"""Every method and score on numbers that nobody planned for: a right answer, or a refusal that names them."""

import dataclasses
import time

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, SCORES
from ms_coreset.selectors.presets import RULE_NAMES
from ms_coreset.training.dynamics import measure

pytestmark = pytest.mark.usefixtures("cpu")
N, CLASSES, D = 40, 4, 5
RATE = 0.5
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
    return mc.Evidence(labels, features, logits, dynamics_of([logits] * 3, labels), boundary)


def dynamics_of(epochs, labels):
    measured = [measure(logits, labels) for logits in epochs]
    return mc.TrainingDynamics(**{name: np.stack([epoch[name] for epoch in measured]) for name in measured[0]})


def plain():
    """Labels, features, logits and distances to the boundary of nothing special."""
    rng = np.random.RandomState(0)
    labels = np.concatenate([np.arange(CLASSES), rng.randint(0, CLASSES, N - CLASSES)])
    return labels, rng.rand(N, D), rng.randn(N, CLASSES), rng.rand(N)


def saturated(labels, rng=None):
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
        "saturated, all right": evidence_of(labels, features, saturated(labels), boundary),
        "saturated, at random": evidence_of(labels, features, saturated(labels, np.random.RandomState(2)), boundary),
        "zero gradients": evidence_of(labels, np.zeros((N, D)), saturated(labels), np.zeros(N)),
        "one dimension": evidence_of(labels, features[:, :1], logits, boundary),
        "one sample": evidence_of(labels[:1], features[:1], logits[:1]),
        "integers": dataclasses.replace(evidence_of(labels, features, logits), features=np.arange(N * D).reshape(N, D),
                                        logits=np.arange(N * CLASSES).reshape(N, CLASSES), boundary=np.arange(N)),
        "double precision": dataclasses.replace(evidence_of(labels, features, logits), features=features,
                                                logits=logits * 1e300),
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
            coreset = mc.select(name, evidence, 1.0 if len(evidence) == 1 else RATE, balance, **options)
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
        for rule in RULE_NAMES:
            coreset = mc.select_by(name, rule, evidence, RATE if len(evidence) > 1 else 1.0)
            assert_right(coreset, evidence, False, _like(rule, evidence))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", mc.list_methods())
def test_what_is_not_finite_is_refused_by_its_place(name, value):
    evidence = evidence_of(*plain())
    for field in ("features", "logits", "boundary", "dynamics"):
        broken = _with_one(evidence, field, 7, value)
        if field in METHODS[name].needs:
            with pytest.raises(MsCoresetError, match=f"{field}.*sample 7"):
                mc.select(name, broken, RATE)
        else:
            picks = [mc.select(name, one, RATE).indices for one in (broken, evidence)]
            np.testing.assert_array_equal(*picks)


def _with_one(evidence, field, place, value):
    """The evidence with one value of a sample replaced."""
    if field == "dynamics":
        arrays = {name: getattr(evidence.dynamics, name).copy() for name in
                  ("probability", "margin", "logit_margin", "error_norm", "correct", "loss")}
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
    if name in ("craig", "gradmatch", "glister", "grand"):
        pytest.skip("the gradient's bias does not grow with the features")
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
        mc.select("gradmatch", evidence, RATE, balance, variant="deepcore")


def test_lists_are_checked_like_arrays():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(MsCoresetError, match="features of sample 2 are not finite"):
        mc.select("herding", mc.Evidence(labels, features=[[1.0], [2.0], [np.nan], [3.0]]), RATE)
    assert len(mc.select("herding", mc.Evidence(labels, features=[[1.0], [2.0], [4.0], [3.0]]), RATE)) == 2


# Many classes


@pytest.mark.parametrize("name", ["moderate", "herding", "k_center", "random", "graph_cut"])
def test_thousands_of_classes(name):
    n = 4000
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(np.repeat(np.arange(n // 2), 2), features=rng.rand(n, 2).astype(np.float32))
    options = {"kernel": "features"} if name == "graph_cut" else {}
    for balance in (False, True):
        coreset = mc.select(name, evidence, RATE, balance, **options)
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
