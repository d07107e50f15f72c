"""The one type for a way of choosing, and the text that it is typed as."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment.report.study import Study
from ms_coreset.experiment.runs import Cell, Run
from ms_coreset.experiment.store import Store
from ms_coreset.selectors import METHODS, SCORES
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.quota import Request
from ms_coreset.training.recipe import Recipe


@pytest.mark.parametrize(("typed", "text"), [
    ("EL2N", "el2n"), ("kCenterGreedy", "k_center"), ("Uniform", "random"), ("Submodular", "graph_cut"),
    ("uncertainty", "entropy"), ("EL2N-strata", "el2n-strata"), ("el2n_Strata", "el2n-strata"),
    ("least-confidence-weighted-random", "least_confidence-weighted_random"),
    ("center_distance-top", "center_distance-top"),
    ("ccs:strata=20,mis_ratio=0.3", "ccs:mis_ratio=0.3,strata=20"), ("CCS: mis-ratio = 0.30", "ccs:mis_ratio=0.3"),
    ("ccs:mis_ratio=0", "ccs:mis_ratio=0.0"), ("ccs:score=EL2N", "ccs:score=el2n"),
    ("el2n-strata:cutoff-score=AUM,mis_ratio=3e-1", "el2n-strata:cutoff_score=aum,mis_ratio=0.3"),
    ("log_determinant:jitter=1e-6", "log_determinant:jitter=1e-06"), ("glister:held_out=0.2", "glister:held_out=0.2"),
    ("moderate:center=mean", "moderate:center=mean"), ("moderate:", "moderate")])
def test_texts_that_mean_the_same_are_spelt_as_one(typed, text):
    choice = Choice.parse(typed)
    assert choice.text == text
    again = Choice.parse(text)
    assert (again.name, again.canonical_options) == (choice.name, choice.canonical_options)


def test_families_mean_what_is_said():
    assert Choice.parse("Submodular", {"submodular": "LogDeterminant"}).text == "log_determinant"
    assert Choice.parse("Uncertainty:variant=deepcore", {"uncertainty": "Margin"}).text == "margin:variant=deepcore"


@pytest.mark.parametrize(("text", "message"), [
    ("moderat", "unknown method 'moderat': did you mean 'moderate'"), ("ccs:5", "write NAME:OPTION=VALUE"),
    ("ccs:mis_ration=1", "ccs has no option 'mis_ration', did you mean 'mis_ratio'"),
    ("random:mis_ratio=1", "random has no option 'mis_ratio'; its options: quota"),
    ("el2n-top:strata=5", "el2n by top has no option 'strata'"), ("ccs:score=el3n", "unknown score 'el3n'"),
    ("ccs:mis_ratio=2", "mis_ratio 2: must be"), ("ccs:mis_ratio=[", "is not YAML"), ("el2n-none", "unknown method"),
    ("moderate:held_out=0.1", "moderate has no option 'held_out'")])
def test_mistakes(text, message):
    with pytest.raises(MsCoresetError) as error:
        Choice.parse(text)
    assert message in str(error.value)


def evidence(n=60):
    rng = np.random.RandomState(0)
    features, logits = rng.randn(n, 4).astype(np.float32), rng.randn(n, 3).astype(np.float32)
    return mc.Evidence(np.arange(n) % 3, features, logits, dynamics=mc.TrainingDynamics(probability=rng.rand(5, n)))


@pytest.mark.parametrize("score", ["el2n", "entropy", "center_distance"])
@pytest.mark.parametrize("rule", mc.list_rules())
def test_every_rule_chooses_as_select_by_does(score, rule):
    found = Choice.parse(f"{score.upper()}-{rule}").choose(evidence(), Request(0.2, seed=3))
    wanted = mc.select_by(score, rule, evidence(), rate=0.2, seed=3)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    assert (found.method, found.options) == (wanted.method, wanted.options)


def test_every_method_has_its_needs_and_its_text():
    for name in METHODS.names():
        choice = Choice(name)
        assert (choice.text, choice.needs, choice.nested) == (name, METHODS[name].needs, METHODS[name].nested_for({}))
    for name in SCORES.names():
        assert Choice(f"{name}-top").needs == SCORES[name].needs
    assert Choice.parse("el2n-strata:mis_ratio=0.1").needs == ("logits", "dynamics")
    assert Choice.parse("glister:held_out=0.1").nested is False


def test_select_takes_the_text_of_an_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", labels=evidence().labels, features=evidence().features, logits=evidence().logits)
    line = "--dataset arrays --data mine.npz --rate 0.2"
    for typed, flags in (("EL2N-strata:strata=5", "--score el2n --rule strata --strata 5"),
                         ("ccs:score=el2n,strata=4", "--method ccs --score el2n --strata 4")):
        for save, options in (("text", f"--method {typed}"), ("flags", flags)):
            assert main(shlex.split(f"{line} --save {save} {options}"), "select") == 0
        (one,), (other,) = (list(Path(folder).glob("*.npz")) for folder in ("text", "flags"))
        assert one.name == other.name
        one, other = mc.Coreset.load(one), mc.Coreset.load(other)
        np.testing.assert_array_equal(one.indices, other.indices)
        assert one.options == other.options
        for folder in ("text", "flags"):
            for path in Path(folder).iterdir():
                path.unlink()
    assert main(shlex.split(f"{line} --method el2n-top --strata 5"), "select") == 2
    assert "el2n by top has no option --strata" in capsys.readouterr().err


# Studies


def run_of(text):
    recipe = Recipe(arch="mlp", epochs=2)
    return Run(Cell("digits", None, 0, 0, "mlp", recipe), Choice.parse(text), False, 0.1, "mlp", "epochs", recipe)


def test_runs_of_one_meaning_are_one_run():
    for typed in ("EL2N-strata:mis_ratio=0", "el2n-strata:mis-ratio=0.0", "el2n_strata:mis_ratio=0e0"):
        assert run_of(typed).key() == run_of("el2n-strata:mis_ratio=0.0").key()
    assert run_of("ccs:score=EL2N").work() == run_of("ccs:score=el2n").work() != run_of("ccs").work()


@pytest.mark.parametrize(("text", "typed"), [
    ("ccs:score=el2n,mis_ratio=0.3", {"score": "EL2N", "mis_ratio": 0.3}), ("ccs:mis_ratio=0", {"mis_ratio": 0}),
    ("el2n-strata:cutoff_score=aum", {"cutoff_score": "AUM"})])
def test_a_study_of_before_is_found_under_its_old_spelling(text, typed, tmp_path):
    run, store = run_of(text), Store(tmp_path)
    former = dataclasses.replace(run, typed=typed)  # keyed by the options as they were typed
    assert former.key() != run.key()
    store.append({"key": former.key(), "work": former.work(), "status": "done", **former.place()})
    for seen in (store, Store(tmp_path)):
        assert seen.record_of(run)["key"] == former.key()
        assert seen.record_of(run_of("ccs:mis_ratio=0.31")) is None


def records(methods):
    """Lines of finished runs of (method, options)."""
    same = {"status": "done", "dataset": "digits", "rate": 0.1, "seed": 0, "accuracy": {"last": 0.5}}
    return "".join(json.dumps({**same, "key": str(i), "method": method, "options": options}) + "\n"
                   for i, (method, options) in enumerate(methods))


def test_the_report_finds_finished_runs_however_they_were_typed(tmp_path):
    (tmp_path / "runs.jsonl").write_text(records([
        ("el2n-strata", {}), ("margin", {}), ("graph_cut", {}), ("ccs", {"score": "EL2N"}), ("k_center", {}),
        ("log_determinant", {"jitter": 1e-6}), ("mine", {"power": 1})]))
    (tmp_path / "study.yaml").write_text(
        "methods: [EL2N-Strata, Uncertainty, SUBMODULAR, 'CCS:score=el2n', kCenterGreedy, 'mine:power=1',\n"
        "  'log_determinant:jitter=1e-6']\nuncertainty: Margin\nrates: [0.1]\nseeds: [0]\n")
    (section,) = Study.read(tmp_path).sections()
    assert section.missing == []
    assert section.method_named("EL2N-strata") == "el2n-strata"
    assert section.method_named("ccs:score=EL2N") == "ccs"
    assert section.method_named("moderate") is None


@pytest.mark.mindspore
def test_a_study_typed_in_other_spellings_is_done_and_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "--dataset digits --pool 60 --epochs 1 --rates 0.2 --methods"
    assert main(shlex.split(f"{line} EL2N-Strata:strata=5 Uncertainty --uncertainty Margin"), "experiment") == 0
    lines = Path("results/study/runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["method"] for line in lines] == ["el2n-strata", "margin"]
    assert "--methods el2n-strata:strata=5" in json.loads(lines[0])["command"]
    (section,) = Study.read("results/study").sections()
    assert section.missing == []
    capsys.readouterr()
    assert main(shlex.split(f"{line} el2n-strata:strata=5 margin"), "experiment") == 0
    assert "2 of 2 runs are done already" in capsys.readouterr().err
    assert main(["results/study", "--sheets", "EL2N-Strata:strata=5", "Margin", "nothing"], "report") == 0
    page = Path("results/study/report.html").read_text()
    assert "Not in this section, or without an order to show: EL2N-Strata:strata=5, nothing" in page


# Without a docstring


@pytest.mark.parametrize("text", [None, "", "   ", "\n\n"])
def test_methods_and_scores_without_a_description_are_listed(text, capsys):
    def mine(evidence, request):
        return mc.Selection(np.arange(3))

    def length(evidence):
        return np.zeros(len(evidence))

    mine.__doc__ = length.__doc__ = text
    try:
        mc.register_method("undescribed")(mine)
        mc.register_score("unsaid")(length)
        assert main(["--list"], "select") == 0
        assert "undescribed: not described\n  needs labels\n" in capsys.readouterr().out
        for name in ("undescribed", "unsaid"):
            assert mc.describe(name)["summary"] == ""
    finally:
        for registry, name in ((METHODS, "undescribed"), (METHODS, "unsaid"), (SCORES, "unsaid")):
            if name in registry:
                registry.remove(name)
