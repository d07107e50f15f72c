"""How many of each class: water filling by hand, the quotas by name, and the commands that take them."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.catalogue import QUOTAS
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.class_quotas import class_recall, trimmed_mean, water_filling, whole_numbers
from ms_coreset.selectors.quota import Request
from tests.test_selectors import evidence_of

mc.set_device("CPU")
SIZES, RECALL = [5, 10, 40, 60, 80, 105], [0.1, 0.2, 0.5, 0.9, 0.95, 0.99]
# Methods that may pick fewer than they are asked for, or whatever they are asked for.
EXACT = [name for name in mc.list_methods() if name not in ("full", "gradmatch")]


def logits_with(recall, labels):
    """Logits (n, C) whose largest is the label's own for the share ``recall`` (C,) of each class, the first of it."""
    logits = np.zeros((len(labels), len(recall)))
    for label, share in enumerate(recall):
        rows = np.flatnonzero(labels == label)
        told = np.where(np.arange(len(rows)) < round(share * len(rows)), label, (label + 1) % len(recall))
        logits[rows, told] = 5
    return logits


def recognized(sizes=SIZES, recall=RECALL, each=100, own=None):
    """Evidence of classes of these sizes, and a validation set of so many of each with this recall."""
    labels, judged = (np.repeat(np.arange(len(sizes)), count) for count in (sizes, each))
    return mc.Evidence(labels, logits=logits_with(recall if own is None else own, labels),
                       validation=mc.Evidence(judged, logits=logits_with(recall, judged)))


def counts_of(coreset, labels):
    return np.bincount(labels[coreset.indices], minlength=labels.max() + 1).tolist()


# Water filling


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.01, 0.2, 1.0, 7.5])), min_size=1, max_size=8),
       st.data())
def test_water_finds_its_level(classes, data):
    sizes, weights = np.array([size for size, _ in classes]), np.array([weight for _, weight in classes])
    lowest = np.minimum(data.draw(st.integers(0, 3)), sizes)
    k = data.draw(st.integers(int(lowest.sum()), int(sizes.sum())))
    budgets = water_filling(weights, sizes, k, lowest)
    assert budgets.sum() == pytest.approx(k)
    assert (budgets >= lowest - 1e-9).all() and (budgets <= sizes + 1e-9).all()
    between = (budgets > lowest + 1e-6) & (budgets < sizes - 1e-6) & (weights > 0)
    levels = budgets[between] / weights[between]
    np.testing.assert_allclose(levels, levels[:1].repeat(len(levels)))
    if between.any():  # none that is full would take less, none at its lowest more
        bound = (weights > 0) & (lowest < sizes)
        full, least = bound & (budgets > sizes - 1e-6), bound & (budgets < lowest + 1e-6)
        assert (levels[0] * weights[full] >= sizes[full] - 1e-6).all()
        assert (levels[0] * weights[least] <= lowest[least] + 1e-6).all()
    counts = whole_numbers(budgets, sizes)
    assert counts.sum() == k and (counts >= lowest).all() and (counts <= sizes).all()
    assert np.abs(counts - budgets).max() < 1 + 1e-6


def test_largest_remainders_and_ties_by_hand():
    assert whole_numbers(np.array([1.5, 2.5, 3.0]), np.array([9, 9, 9])).tolist() == [2, 2, 3]
    assert whole_numbers(np.array([1.2, 2.7, 3.1]), np.array([9, 9, 9])).tolist() == [1, 3, 3]
    assert whole_numbers(np.array([0.3, 0.3, 0.4]), np.array([1, 1, 1])).tolist() == [0, 0, 1]
    thirds = 4 / 3 + np.array([0, 1e-13, -1e-13])  # the first of equal ones, whatever their last bit
    assert whole_numbers(thirds, np.array([2, 2, 2])).tolist() == [2, 1, 1]


def test_when_those_that_claim_are_full_the_others_share_the_rest_by_their_sizes():
    assert water_filling(np.array([1.0, 0, 0]), np.array([4, 10, 20]), 10, np.zeros(3)).tolist() == [4, 2, 4]
    assert water_filling(np.zeros(2), np.array([10, 30]), 8, np.zeros(2)).tolist() == [2, 6]


# DRoP


@pytest.mark.parametrize(("rate", "counts"), [(0.1, [3, 5, 14, 4, 3, 1]), (0.3, [5, 10, 40, 19, 13, 3]),
                                              (0.8, [5, 10, 40, 60, 80, 45])])
def test_drop_weighs_classes_by_their_size(rate, counts):
    """The authors' code leaves n_c out: 5, 10, 10, 1, 0, 0 for a tenth, 26 of 30."""
    evidence = recognized()
    coreset = mc.select("random", evidence, rate, quota="drop")
    assert counts_of(coreset, evidence.labels) == counts
    assert len(coreset) == round(rate * 300)
    assert coreset.manifest["quota"] == {"labels": list(range(6)), "counts": counts, "recall": RECALL}
    assert coreset.options == {"quota": "drop", "balance": False}


def test_a_class_that_is_to_give_nothing_gives_nothing():
    """The authors' code takes order[-0:], all of it."""
    assert list(range(5))[-0:] == list(range(5))
    evidence = recognized(recall=[0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    for select in (lambda: mc.select("random", evidence, 0.5, quota="drop"),
                   lambda: mc.select_by("loss", "top", evidence, rate=0.5, quota="drop")):
        assert counts_of(select(), evidence.labels)[5] == 0
        assert len(select()) == 150


def test_some_of_every_class():
    evidence = recognized(recall=[0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    coreset = mc.select("random", evidence, 0.5, quota="drop", quota_least=2)
    assert counts_of(coreset, evidence.labels)[5] == 2 and len(coreset) == 150
    assert coreset.options == {"quota": "drop", "quota_least": 2, "balance": False}
    with pytest.raises(MsCoresetError, match="quota_least 7: that many of each of 6 classes are more than the 30 to"):
        mc.select("random", evidence, 0.1, quota="drop", quota_least=7)


def test_where_all_is_recognized_classes_share_by_their_sizes():
    evidence = recognized(recall=[1.0] * 6)
    with pytest.warns(mc.MsCoresetWarning, match="6 of 6 classes have no claim"):
        coreset = mc.select("random", evidence, 0.2, quota="drop")
    assert counts_of(coreset, evidence.labels) == [1, 2, 8, 12, 16, 21]


def test_a_class_that_no_validation_sample_has_counts_as_never_recognized():
    evidence = recognized()
    some = np.flatnonzero(evidence.validation.labels != 5)
    evidence = dataclasses.replace(evidence, validation=evidence.validation.part(some))
    with pytest.warns(mc.MsCoresetWarning, match="the validation set has no sample of class 5"):
        coreset = mc.select("random", evidence, 0.3, quota="drop")
    assert coreset.manifest["quota"]["recall"] == [*RECALL[:5], 0.0]


def test_without_a_validation_set_the_recall_is_of_the_samples_themselves():
    own = [0.2, 0.4, 0.6, 0.8, 0.9, 0.8]
    evidence = dataclasses.replace(recognized(own=own), validation=None)
    np.testing.assert_allclose(class_recall(evidence, np.arange(6)), own, atol=0.01)
    assert mc.select("random", evidence, 0.3, quota="drop").manifest["quota"]["recall"] == pytest.approx(own, abs=0.01)
    with pytest.raises(MsCoresetError, match="drop needs logits"):
        mc.select("random", dataclasses.replace(evidence, logits=None), 0.3, quota="drop")


# Class difficulty, and the others


def test_difficult_classes_give_more():
    labels = np.repeat([3, 8], [100, 50])
    boundary = -np.concatenate([np.ones(100), np.full(50, 4.0)])
    coreset = mc.select("random", mc.Evidence(labels, boundary=boundary), 0.2, quota="difficulty",
                        quota_score="deepfool")
    assert coreset.manifest["quota"] == {"labels": [3, 8], "counts": [10, 20], "difficulty": [1.0, 4.0]}
    with pytest.raises(MsCoresetError, match="the mean deepfool of class 8 is -4"):
        mc.select("random", mc.Evidence(labels, boundary=-boundary), 0.2, quota="difficulty", quota_score="deepfool")


def test_the_ends_of_a_class_have_no_say():
    assert trimmed_mean(np.array([1e9, *np.ones(19), *np.full(19, 3.0), -1e9, 2.0])) == 2.0
    assert trimmed_mean(np.array([7.0])) == 7.0


@pytest.mark.parametrize("quota", QUOTAS.names())
@pytest.mark.parametrize("name", EXACT)
def test_every_method_keeps_to_the_classes_budgets(name, quota):
    evidence = evidence_of(80, classes=4)
    coreset = mc.select(name, evidence, 0.25, quota=quota, seed=3)
    assert len(np.unique(coreset.indices)) == 20
    assert ("quota" in coreset.manifest) == (quota != "none")
    if quota != "none":
        assert counts_of(coreset, evidence.labels) == coreset.manifest["quota"]["counts"]
    elif name != "moderate":
        np.testing.assert_array_equal(coreset.indices, mc.select(name, evidence, 0.25, seed=3).indices)


@pytest.mark.parametrize("rule", mc.list_rules())
@pytest.mark.parametrize("quota", ["proportional", "drop", "difficulty"])
def test_every_rule_keeps_to_the_classes_budgets(rule, quota):
    evidence = evidence_of(80, classes=4)
    coreset = mc.select_by("el2n", rule, evidence, rate=0.25, quota=quota)
    assert counts_of(coreset, evidence.labels) == coreset.manifest["quota"]["counts"]
    assert len(coreset) == 20


def test_proportional_meets_the_total_that_balance_misses():
    evidence = mc.Evidence(np.repeat(np.arange(7), 5), boundary=-np.arange(35.0))
    assert len(mc.select("deepfool", evidence, 0.5, balance=True)) == 14
    for balance in (False, True):
        coreset = mc.select("deepfool", evidence, 0.5, quota="proportional", balance=balance)
        assert counts_of(coreset, evidence.labels) == [3, 3, 3, 3, 2, 2, 2]


def test_scores_of_each_class_in_one_range():
    labels, scores = np.repeat([0, 1, 2], 4), np.array([0.0, 1, 2, 3, 100, 100, 100, 104, 7, 7, 7, 7])
    evidence = mc.Evidence(labels, boundary=-scores)
    coreset = mc.select_by("deepfool", "top", evidence, rate=0.25, normalize="class")
    assert coreset.indices.tolist() == [3, 7, 2]
    np.testing.assert_allclose(coreset.scores, [0, 1 / 3, 2 / 3, 1, 0, 0, 0, 1, 0, 0, 0, 0])
    assert coreset.options == {"normalize": "class", "balance": False}
    plain = mc.select_by("deepfool", "top", evidence, rate=0.25, normalize="none")
    assert sorted(plain.indices) == [4, 5, 7] and (plain.scores == scores).all()
    with pytest.raises(MsCoresetError, match="normalize 'rank': must be one of none, class"):
        mc.select_by("deepfool", "top", evidence, rate=0.25, normalize="rank")


# As they are asked for


@pytest.mark.parametrize("quota", ["none", "drop", "difficulty"])
def test_what_balance_contradicts_is_refused(quota):
    message = f"balance, the same share of every class, and quota {quota} contradict each other"
    with pytest.raises(MsCoresetError, match=message):
        mc.select("random", recognized(), 0.1, balance=True, quota=quota)
    with pytest.raises(MsCoresetError, match=message):
        mc.select_by("loss", "top", recognized(), rate=0.1, balance=True, quota=quota)
    with pytest.raises(MsCoresetError, match=message):
        Choice.parse(f"random:quota={quota}").require_agreement(Request(0.1, balance=True))


@pytest.mark.parametrize(("text", "message"), [
    ("random:quota=dorp", "unknown quota 'dorp': did you mean 'drop'"), ("random:quota=3", "quota must be of type str"),
    ("random:quota=drop,quota_least=-1", "drop: quota_least -1: must be a whole number, 0 or more"),
    ("random:quota=drop,quota_score=el2n", "random has no option 'quota_score'"),
    ("random:quota_least=1", "random has no option 'quota_least'"),
    ("random:quota=difficulty,quota_score=el3n", "unknown score 'el3n'"),
    ("full:quota=drop", "full has no option 'quota'; its options: none"),
    ("random:held_out=0.1", "random has no option 'held_out'"),
    ("random:quota=none,held_out=0.1", "random has no option 'held_out'"),
    ("el2n:normalize=class", "el2n has no option 'normalize'"),
    ("el2n-top:normalize=no", "normalize: normalize False: must be one of none, class")])
def test_mistakes(text, message):
    with pytest.raises(MsCoresetError) as error:
        Choice.parse(text)
    assert message in str(error.value)


def test_full_has_no_quota():
    with pytest.raises(MsCoresetError, match="full keeps every sample: quota drop has no say"):
        mc.select("full", recognized(), 0.5, quota="drop")


@pytest.mark.parametrize(("typed", "text"), [
    ("Random:quota=DROP", "random:quota=drop"), ("el2n-top:normalize=none", "el2n-top:normalize=none"),
    ("el2n:quota=difficulty,quota-score=EL2N", "el2n:quota=difficulty,quota_score=el2n"),
    ("moderate:quota=drop,held_out=0.2,quota_least=1", "moderate:held_out=0.2,quota=drop,quota_least=1")])
def test_texts_that_mean_the_same(typed, text):
    assert Choice.parse(typed).text == text == Choice.parse(text).text


def test_what_a_quota_needs_and_that_it_is_not_nested():
    assert Choice.parse("random:quota=drop").needs == ("logits",)
    assert Choice.parse("el2n-top:quota=difficulty,quota_score=forgetting").needs == ("logits", "dynamics")
    assert Choice.parse("loss").nested and Choice.parse("loss:quota=none").nested
    assert not Choice.parse("loss:quota=proportional").nested and not Choice.parse("loss-top:quota=drop").nested


def test_estimates_bound_what_a_class_may_be_given():
    request, sizes = Request(0.1, memory="8G"), [3000, 1000, 500]
    peaks = {quota: Choice.parse(f"log_determinant{quota}").estimate(4500, 64, sizes, "float32", request).peak
             for quota in ("", ":quota=none", ":quota=proportional", ":quota=drop")}
    balanced = Choice.parse("log_determinant").estimate(4500, 64, sizes, "float32", Request(0.1, True, memory="8G"))
    assert peaks[""] == peaks[":quota=none"] > peaks[":quota=drop"] > peaks[":quota=proportional"] == balanced.peak
    assert peaks[":quota=drop"] - balanced.peak == pytest.approx(8 * 3000 * 150, abs=10)


def test_what_is_held_out_tells_the_recall_and_is_never_chosen():
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 200)
    dynamics = mc.TrainingDynamics(correct=rng.rand(6, 200) < 0.5)
    evidence = mc.Evidence(labels, logits=logits_with([0.1, 0.5, 0.9], labels), dynamics=dynamics)
    coreset = Choice.parse("forgetting:quota=drop,held_out=0.25").choose(evidence, Request(0.2, seed=4))
    places, rest = evidence.hold_out(0.25, 4)
    assert set(coreset.indices) <= set(places) and len(coreset) == 30
    assert coreset.manifest["quota"]["recall"] == class_recall(rest.validation, np.arange(3)).tolist()
    assert coreset.options["held_out"] == 0.25
    np.testing.assert_array_equal(coreset.scores[places], mc.score("forgetting", evidence)[places])


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """A folder with a data set of arrays, mine.npz, and its name for commands."""
    monkeypatch.chdir(tmp_path)
    evidence = recognized()
    rng = np.random.RandomState(0)
    np.savez("mine.npz", labels=evidence.labels, features=rng.randn(300, 4), logits=evidence.logits)
    return "--dataset arrays --data mine.npz --rate 0.3"


@pytest.mark.parametrize(("typed", "options"), [
    ("--method random --quota drop --quota-least 1", {"quota": "drop", "quota_least": 1}),
    ("--method random:quota=drop --quota-least 1", {"quota": "drop", "quota_least": 1}),
    ("--method random --quota proportional --balance", {"quota": "proportional"}),
    ("--score el2n --rule strata --quota difficulty --quota-score loss",
     {"quota": "difficulty", "quota_score": "loss"}),
    ("--score loss --rule top --normalize class", {"normalize": "class"}),
    ("--method random --quota drop --held-out 0.2", {"quota": "drop", "held_out": 0.2})])
def test_a_quota_is_typed_and_repeated(arrays, typed, options):
    assert main(shlex.split(f"{arrays} {typed}"), "select") == 0
    (path,) = Path("index").glob("*.npz")
    coreset = mc.Coreset.load(path)
    told = {name: value for name, value in coreset.options.items() if name != "balance"}
    assert {name: told[name] for name in options} == options
    assert len(coreset) == (72 if "held_out" in options else 90)
    if "quota" in options:
        assert f"-{options['quota']}-0.3" in path.name
        assert coreset.manifest["quota"]["counts"] == np.bincount(recognized().labels[coreset.indices],
                                                                          minlength=6).tolist()
    assert main(["--from-manifest", str(path), "--data", "mine.npz"], "select") == 0


@pytest.mark.parametrize(("typed", "message"), [
    ("--method random --quota drop --balance", "balance, the same share of every class, and quota drop contradict"),
    ("--method random --quota none --balance", "quota none contradict each other"),
    ("--method random --quota dropp", "unknown quota 'dropp': did you mean 'drop'"),
    ("--method random --quota-least 1", "random has no option --quota-least; its options: --quota"),
    ("--method random --quota drop --quota-least x", "quota_least x: must be a whole number"),
    ("--method full --quota drop", "full has no option --quota"),
    ("--method random --normalize class", "random has no option --normalize")])
def test_a_quota_that_can_not_be_is_refused_in_a_line(arrays, typed, message, capsys):
    assert main(shlex.split(f"{arrays} {typed}"), "select") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error


def test_the_call_takes_a_quota_in_the_text_and_the_list_tells_of_them(arrays, capsys):
    result = mc.run_selection(dataset="arrays", data="mine.npz", rate=0.3, method="random:quota=drop,quota_least=1")
    assert result.coreset.options["quota"] == "drop"
    with pytest.raises(MsCoresetError, match="contradict"):
        mc.run_selection(dataset="arrays", data="mine.npz", rate=0.3, method="random:quota=drop", balance=True)
    capsys.readouterr()
    assert main(["--list"], "select") == 0
    listed = capsys.readouterr().out
    assert "\ndrop: A larger share of the classes that the network recognizes less on held-out samples" in listed
    assert "  options: --quota-score el2n, --quota-least 0\n" in listed
    assert mc.describe("difficulty")["options"] == {"quota_score": "el2n", "quota_least": 0}


@pytest.mark.mindspore
def test_a_study_and_an_adaptive_training_take_quotas(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "--dataset digits --pool 120 --epochs 2 --arch mlp"
    methods = "random random:quota=drop,held_out=0.25 el2n-strata:quota=difficulty,normalize=class"
    assert main(shlex.split(f"{line} --rates 0.2 --methods {methods}"), "experiment") == 0
    runs = [json.loads(text) for text in Path("results/study/runs.jsonl").read_text().splitlines()]
    assert [run["options"] for run in runs] == [{}, {"quota": "drop", "held_out": 0.25},
                                                {"quota": "difficulty", "normalize": "class"}]
    assert [run["k"] for run in runs] == [24, 18, 24]
    assert main(shlex.split(f"{line} --rates 0.2 --methods {methods} --balance yes"), "experiment") == 2
    assert "contradict each other" in capsys.readouterr().err
    adaptive = f"{line} --reselect-every 1 --method random --quota drop --rate 0.2"
    assert main(shlex.split(adaptive), "train") == 0
    assert main(shlex.split(f"{adaptive} --balance"), "train") == 2
    assert "contradict each other" in capsys.readouterr().err


def test_a_quota_of_gradmatch_too():
    evidence = evidence_of(80, classes=4)
    coreset = mc.select("gradmatch", evidence, 0.25, quota="drop")
    counts = counts_of(coreset, evidence.labels)
    assert (np.array(counts) <= coreset.manifest["quota"]["counts"]).all() and coreset.weights is not None

