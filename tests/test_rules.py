"""Rules by name: one registry of them with their options, for texts, flags, lists and plugins alike."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.windows import curve_of
from ms_coreset.selectors import RULES, beta
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.option_values import Count
from ms_coreset.selectors.quota import Request

mc.set_device("CPU")
N = 60


def evidence(n=N, classes=3, seed=0, **fields):
    rng = np.random.RandomState(seed)
    arrays = {"features": rng.randn(n, 4), "logits": rng.randn(n, classes)}
    return mc.Evidence(np.arange(n) % classes, **{**arrays, **fields})


@pytest.fixture
def thinned():
    """A rule of one's own: every ``step``-th of the ranking, with an option that the score ``el2n`` has, too."""
    @mc.register_rule("thinned", needs=("logits",), nested=lambda options: options["step"] == 2)
    def thinned(values, evidence, request, step: Count = 2, first=0):
        """Every ``step``-th of the ranking."""
        def pick(rows, k):
            return rows[np.argsort(-values[rows], kind="stable")[first::step][:k]]

        return mc.Selection(mc.pick_by_group(evidence.labels, request, pick))

    yield
    RULES.remove("thinned")


def test_a_rule_of_ones_own_goes_every_way(thinned):
    order = np.argsort(-mc.score("loss", evidence()), kind="stable")
    choice = Choice.parse("Loss-Thinned:step=4")
    assert (choice.text, choice.needs, choice.nested) == ("loss-thinned:step=4", ("logits",), False)
    assert Choice.parse("loss-thinned").nested
    coreset = choice.choose(evidence(), Request(0.2))
    np.testing.assert_array_equal(coreset.indices, order[:4 * 12:4])
    np.testing.assert_array_equal(coreset.scores, mc.score("loss", evidence()))
    assert coreset.options == {"step": 4, "balance": False}
    assert mc.describe("thinned") == {"name": "thinned", "summary": "Every ``step``-th of the ranking.", "source": "",
                                      "needs": ["labels", "logits"], "options": {"step": 2, "first": 0},
                                      "cost": "n log n"}
    assert mc.list_rules("th*") == ["thinned"]


def test_an_option_that_score_and_rule_have_goes_to_both(thinned):
    rng = np.random.RandomState(1)
    dynamics = mc.TrainingDynamics(error_norm=rng.rand(5, N).astype(np.float32))
    recorded = evidence(dynamics=dynamics)
    coreset = mc.select_by("el2n", "thinned", recorded, rate=0.1, first=2)
    values = mc.score("el2n", recorded, first=2)
    assert (values != mc.score("el2n", recorded)).any()
    np.testing.assert_array_equal(coreset.scores, values)
    np.testing.assert_array_equal(coreset.indices, np.argsort(-values, kind="stable")[2:2 + 12:2])


@pytest.mark.parametrize(("text", "message"), [
    ("loss-thinned:step=0", "thinned: step 0: must be a whole number, 1 or more"),
    ("loss-thinned:stop=1", "loss by thinned has no option 'stop', did you mean 'step'"),
    ("loss-thinner", "unknown method 'loss-thinner'")])
def test_mistakes_are_of_the_rule(thinned, text, message):
    with pytest.raises(MsCoresetError) as error:
        Choice.parse(text)
    assert message in str(error.value)


def test_what_a_rule_lacks_is_named(thinned):
    with pytest.raises(MsCoresetError, match="thinned needs logits, which this evidence lacks"):
        mc.select_by("center_distance", "thinned", evidence(logits=None), rate=0.2)


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """A folder with a data set of arrays, and a function that runs ``select`` on it and gives the coreset."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", labels=evidence().labels, features=evidence().features, logits=evidence().logits)

    def select(options, save="index"):
        assert main(shlex.split(f"--dataset arrays --data mine.npz --save {save} {options}"), "select") == 0
        path = max((tmp_path / save).glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        return path, mc.Coreset.load(path)

    return select


def test_a_rule_is_typed_in_both_spellings_listed_and_repeated(thinned, arrays, capsys):
    path, by_flags = arrays("--rate 0.1 --score loss --rule thinned --step 3")
    _, by_text = arrays("--rate 0.1 --method loss-thinned:step=3", "other")
    np.testing.assert_array_equal(by_flags.indices, by_text.indices)
    assert by_flags.options == by_text.options == {"step": 3, "balance": False}
    assert main(["--from-manifest", str(path), "--data", "mine.npz"], "select") == 0
    capsys.readouterr()
    assert main(["--list"], "select") == 0
    listed = capsys.readouterr().out
    assert "thinned: Every ``step``-th of the ranking.\n  needs labels, logits; cost n log n\n" in listed
    assert "  options: --strata 50, --mis-ratio 0.0, --cutoff-score accumulated_margin" in listed


# Beta sampling


def surely(probability, **fields):
    """Evidence of n samples whose labels had these mean probabilities (n,) in each of three epochs."""
    probability = np.asarray(probability, np.float32)
    dynamics = mc.TrainingDynamics(probability=np.stack([probability] * 3))
    return mc.Evidence(np.arange(len(probability)) % 3, dynamics=dynamics, **fields)


def test_the_density_is_placed_by_the_ten_highest_scores():
    probability = np.array([0.2] * 10 + [0.9] * 90)
    values = np.arange(100)[::-1].astype(float)
    a, b = beta.shape(values, probability, 0.5, 4.0)
    assert b == pytest.approx(15 * 0.8 * (1 - 0.5**4)) and a == 16 - b
    assert beta.shape(values, probability, 1.0, 4.0) == (16 - 1e-3, 1e-3)
    assert beta.shape(-values, probability, 0.5, 4.0)[1] == pytest.approx(15 * 0.1 * (1 - 0.5**4))


def test_fewer_kept_are_easier():
    evidence = surely(np.linspace(0.01, 0.99, 600), boundary=-np.ones(600))
    sure = evidence.dynamics.probability[0]
    means = [sure[mc.select_by("deepfool", "beta", evidence, rate=rate).indices].mean() for rate in (0.5, 0.3, 0.1)]
    assert means == sorted(means) and means[-1] > 0.65


def test_the_budget_is_rounded_where_the_authors_code_loses_one():
    assert int((1 - 0.9) * 600) == 59
    for balance in (False, True):
        coreset = mc.select_by("deepfool", "beta", surely(np.full(600, 0.5), boundary=np.ones(600)), rate=0.1,
                               balance=balance)
        assert len(coreset) == 60


def test_equal_scores_below_zero_have_no_say():
    sure = np.linspace(0.1, 0.9, 30)
    picks = [mc.select_by("deepfool", "beta", surely(sure, boundary=np.full(30, value)), rate=0.5).indices
             for value in (-1.0, 3.0)]
    np.testing.assert_array_equal(*picks)


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_certain_and_impossible_labels_have_finite_chances(sure):
    evidence = surely(np.full(40, sure), boundary=-np.arange(1.0, 41))
    assert len(mc.select_by("deepfool", "beta", evidence, rate=0.25).indices) == 10
    assert len(mc.select_by("deepfool", "beta", evidence, rate=1.0).indices) == 40


def test_where_few_have_a_chance_the_likeliest_fill_up():
    scores = np.zeros(30)
    scores[[3, 8]] = 1
    evidence = surely(np.linspace(0.1, 0.8, 30), boundary=-scores)
    with pytest.warns(mc.MsCoresetWarning, match="beta: 4 of the 6 that are kept have a score of 0"):
        coreset = mc.select_by("deepfool", "beta", evidence, rate=0.2)
    assert sorted(coreset.indices[:2]) == [3, 8]
    assert coreset.indices[2:].tolist() == [29, 28, 27, 26]


def test_scores_below_zero_count_from_the_lowest():
    evidence = surely(np.full(30, 0.5), boundary=-np.arange(30.0))
    lower = surely(np.full(30, 0.5), boundary=-np.arange(30.0) + 50)
    picks = [mc.select_by("deepfool", "beta", each, rate=0.5).indices for each in (evidence, lower)]
    np.testing.assert_array_equal(*picks)


def test_only_the_first_thirty_epochs_count_unless_said():
    rng = np.random.RandomState(0)
    probability = rng.rand(40, 90).astype(np.float32)
    later = probability.copy()
    later[30:] = 1 - later[30:]
    kept = [mc.select_by("deepfool", "beta", mc.Evidence(np.zeros(90, int), boundary=-np.ones(90),
                                                         dynamics=mc.TrainingDynamics(probability=each)),
                         rate=0.2, **options).indices
            for each in (probability, later) for options in ({}, {"epochs": 40})]
    np.testing.assert_array_equal(kept[0], kept[2])
    assert sorted(kept[1]) != sorted(kept[3])


def test_probabilities_that_are_none_are_refused():
    with pytest.raises(MsCoresetError, match=r"probabilities of sample 1 have the mean 1\.5"):
        mc.select_by("deepfool", "beta", surely([0.5, 1.5, 0.5], boundary=np.ones(3)), rate=0.5)


# The window at an offset


def ranked(n=20, classes=1):
    """Evidence of n samples whose score is their place, the last the highest."""
    return mc.Evidence(np.arange(n) % classes, boundary=-np.arange(float(n)))


def test_a_share_of_the_hardest_is_left_out():
    assert mc.select_by("deepfool", "offset", ranked(), rate=0.2, offset=0.1).indices.tolist() == [17, 16, 15, 14]
    assert mc.select_by("deepfool", "offset", ranked(), rate=0.2, offset=0.0).indices.tolist() == [19, 18, 17, 16]
    balanced = mc.select_by("deepfool", "offset", ranked(classes=2), rate=0.2, offset=0.1, balance=True)
    assert balanced.indices.tolist() == [16, 14, 17, 15]


def test_nothing_to_cut_off_below_still_gives_the_budget():
    """The authors' ``order[drop:-chop]`` is empty for chop = 0."""
    order, chop = list(range(10)), 0
    assert order[5:-chop] == []
    coreset = mc.select_by("deepfool", "offset", ranked(10), rate=0.5, offset=0.5)
    assert coreset.indices.tolist() == [4, 3, 2, 1, 0]


def test_what_can_not_be_dropped_is_said():
    with pytest.warns(mc.MsCoresetWarning, match="offset 0.9: 4 samples fewer are dropped, for 6 of 20"):
        coreset = mc.select_by("deepfool", "offset", ranked(), rate=0.3, offset=0.9)
    assert coreset.indices.tolist() == [5, 4, 3, 2, 1, 0]


# The best window


def windows_of(coreset):
    return coreset.manifest["windows"]["begin"], coreset.manifest["windows"]["accuracy"]


def noisy(n=200, seed=0):
    """Two classes that a line tells apart; the labels of the fifth with the highest score are wrong."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 2, n)
    features = rng.randn(n, 3) + 4 * labels[:, None]
    wrong = np.arange(n) < n // 5
    return mc.Evidence(np.where(wrong, 1 - labels, labels), features, boundary=np.arange(float(n)))


def test_windows_of_wrong_labels_lose():
    coreset = mc.select_by("deepfool", "best_window", noisy(), rate=0.1)
    begin, accuracy = windows_of(coreset)
    assert begin[0] == 0 and accuracy[0] < 0.3
    assert begin[int(np.argmax(accuracy))] >= 0.15 and max(accuracy) >= 0.79
    first = round(begin[int(np.argmax(accuracy))] * 200)
    np.testing.assert_array_equal(coreset.indices, np.arange(first, first + 20))


def test_every_window_is_what_a_fit_to_it_alone_says():
    evidence = noisy()
    coreset = mc.select_by("deepfool", "best_window", evidence, rate=0.33, step=0.07, lam=0.5)
    begin, accuracy = windows_of(coreset)
    assert begin == [*(round(0.07 * i * 200) / 200 for i in range(10)), 134 / 200]
    rows = np.column_stack([evidence.features, np.ones(200)])
    for share, found in zip(begin, accuracy, strict=True):
        part = slice(round(share * 200), round(share * 200) + 66)
        kernel = rows[part] @ rows[part].T + 0.5 * np.eye(66)
        answers = rows @ rows[part].T @ np.linalg.solve(kernel, np.eye(2)[evidence.labels[part]])
        assert found == (answers.argmax(axis=1) == evidence.labels).mean()


def test_equal_windows_go_to_the_higher_one_and_everything_is_one_window():
    alike = mc.Evidence(np.zeros(20, int), np.ones((20, 2)), boundary=np.arange(20.0))
    assert mc.select_by("deepfool", "best_window", alike, rate=0.2).indices.tolist() == [0, 1, 2, 3]
    assert windows_of(mc.select_by("deepfool", "best_window", alike, rate=1.0)) == ([0.0], [1.0])


def test_balanced_windows_begin_at_the_same_share_of_each_class():
    coreset = mc.select_by("deepfool", "best_window", noisy(), rate=0.1, balance=True)
    begin, accuracy = windows_of(coreset)
    share = begin[int(np.argmax(accuracy))]
    labels, places = noisy().labels, np.arange(200)
    for label in (0, 1):
        rows = places[labels == label]
        kept = coreset.indices[labels[coreset.indices] == label]
        first = np.flatnonzero(rows == kept[0])[0]
        np.testing.assert_array_equal(kept, rows[first:first + round(0.1 * len(rows))])
        assert abs(first / len(rows) - share) < 0.02


@pytest.mark.parametrize(("text", "message"), [
    ("el2n-best_window:step=0", "step 0: must be at least 0.001"), ("el2n-best_window:lam=0", "lam 0: must be"),
    ("el2n-offset:offset=1", "offset 1: must be at least 0 and below 1"), ("el2n-beta:c_d=-1", "c_d -1: must be"),
    ("el2n-beta:epochs=0", "epochs 0: must be a number of epochs"),
    ("el2n-top:offset=0.1", "el2n by top has no option 'offset'")])
def test_values_that_rules_do_not_have(text, message):
    with pytest.raises(MsCoresetError) as error:
        Choice.parse(text)
    assert message in str(error.value)


def test_what_the_rules_need_and_take():
    assert Choice.parse("el2n-beta").needs == ("logits", "dynamics")
    assert Choice.parse("loss-best_window").needs == ("logits", "features")
    request = Request(0.1, memory="8G")
    shape = (50_000, 512, 10, "float32", request)
    plain, window = (Choice.parse(f"loss-{rule}").estimate(*shape) for rule in ("top", "best_window"))
    assert window.peak - plain.peak == 8 * (4 * 513**2 + 3 * 513 * 10)
    assert window.operations > 20 * 2 * 50_000 * 512 * 10 > plain.operations
    several = Choice.parse("loss-best_window").estimate(50_000, 512, [5000] * 10, "float32", request)
    assert several.peak - plain.peak == window.peak - plain.peak


@pytest.mark.parametrize(("typed", "told"), [
    ("--score loss --rule offset --offset 0.2", {"offset": 0.2}),
    ("--score loss --rule best_window --step 0.1 --lam 2", {"step": 0.1, "lam": 2}),
    ("--method loss-best_window:step=0.1", {"step": 0.1})])
def test_the_new_rules_are_typed_and_repeated(arrays, typed, told):
    path, coreset = arrays(f"--rate 0.1 {typed}")
    assert coreset.options == {**told, "balance": False}
    assert len(coreset) == 6
    assert ("windows" in coreset.manifest) == ("window" in typed)
    assert main(["--from-manifest", str(path), "--data", "mine.npz"], "select") == 0


@pytest.mark.mindspore
def test_beta_is_typed_for_a_network_and_in_a_study_whose_report_draws_the_windows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = "--dataset digits --pool 120 --arch mlp --epochs 4 --evidence network"
    assert main(shlex.split(f"{line} --rate 0.25 --score dual --rule beta --c-d 5 --score-epochs 3"), "select") == 0
    (path,) = Path("index").glob("*.npz")
    assert mc.Coreset.load(path).options == {"c_d": 5, "epochs": 3, "balance": False}
    assert main(["--from-manifest", str(path)], "select") == 0
    assert main(shlex.split(f"{line} --rates 0.2 0.4 --methods random el2n-best_window:step=0.2 dual-beta"),
                "experiment") == 0
    assert main(["results/study"], "report") == 0
    page = Path("results/study/report.html").read_text()
    assert "Windows of the ranking, 20 % kept" in page or "Windows of the ranking, 40 % kept" in page


def test_only_curves_are_drawn():
    coreset = mc.select_by("deepfool", "best_window", noisy(), rate=0.1)
    assert curve_of(coreset) == windows_of(coreset)
    for told in (None, [], {"begin": [0.1]}, {"begin": [0.1], "accuracy": [0.1, 0.2]}, {"begin": [], "accuracy": []},
                 {"begin": ["<"], "accuracy": [0.1]}, {"begin": [float("nan")], "accuracy": [0.1]},
                 {"begin": [0.1], "accuracy": [2]}, {"begin": [0.1] * 2001, "accuracy": [0.1] * 2001}):
        assert curve_of(dataclasses.replace(coreset, manifest={"windows": told})) is None


def test_rules_and_quotas_in_a_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(
        "datasets: [digits]\npool: 60\nrates: [0.2]\nepochs: 1\nmethods:\n  - {dual-beta: {c_d: 5, epochs: 3}}\n"
        "  - {loss-offset: {offset: 0.1, quota: drop, held-out: 0.2}}\n  - random\n")
    assert main(["--config", "study.yaml", "--dry-run"], "experiment") == 0
    listed = capsys.readouterr()
    assert all(name in listed.out + listed.err for name in ("dual-beta", "loss-offset", "random"))
    Path("study.yaml").write_text("datasets: [digits]\nmethods:\n  - {el2n-beta: {c_e: 5}}\n")
    assert main(["--config", "study.yaml", "--dry-run"], "experiment") == 2
    assert "el2n by beta has no option 'c_e', did you mean 'c_d'" in capsys.readouterr().err
