"""The jobs as calls in Python: what the commands do, with the same names, defaults and results."""

import inspect
import json
import mmap
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import experiment, main, report, select
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs import gather_evidence
from ms_coreset.jobs.options import KNOWN
from ms_coreset.jobs.scoring import score_all
from ms_coreset.jobs.sources import DataSource, EvidenceSource, NetworkSource, Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.registry import Registry

ARRAYS = ("indices", "weights", "scores", "pool")


def call(line, command="select"):
    return main(shlex.split(line), command)


def arrays_of(coreset):
    return {name: None if (array := getattr(coreset, name)) is None else array.tobytes() for name in ARRAYS}


@pytest.mark.parametrize(("typed", "given", "name"), [
    ("--rate 0.2", {"rate": 0.2}, "ccs-balanced-0.2"),
    ("--rate 0.2 --method moderate --epoch 3", {"rate": 0.2, "method": "moderate", "epochs": 3}, "moderate-0.2"),
    ("--rate 0.1 --pool 300 --balance --seed 2 --arch mlp --epoch 2 --score el2n --rule strata --mis-ratio 0.1",
     {"rate": 0.1, "pool": 300, "balance": True, "seed": 2, "arch": "mlp", "epochs": 2,
      "method": "el2n-strata:mis_ratio=0.1"}, "el2n-strata-balanced-0.1"),
    ("--rate 0.2 --evidence patches --filters 30 --method glister --held-out 0.1",
     {"rate": 0.2, "evidence": "patches", "filters": 30, "method": "glister:held_out=0.1"}, "glister-0.2")])
def test_a_selection_is_the_command_s(here, capsys, typed, given, name):
    assert call(f"--dataset digitsN --save typed {typed}") == 0
    typed = mc.Coreset.load(f"typed/digitsN-{name}.npz")
    made = mc.run_selection(dataset="digitsN", **given)
    assert arrays_of(made.coreset) == arrays_of(typed)
    assert (made.coreset.options, made.coreset.seed) == (typed.options, typed.seed)
    alike = set(typed.manifest) - {"command", "arguments"}
    assert {key: made.coreset.manifest[key] for key in alike} == {key: typed.manifest[key] for key in alike}
    assert made.files == {}
    assert sorted(path.name for path in here.iterdir() if path.name not in ("cache", "ckpt", "data")) == ["typed"]
    said = capsys.readouterr().out
    assert f"evidence   {made.trust}\n" in said
    assert f"bad        {made.summary['bad_available']:.1%} of the data, {made.summary['bad_kept']:.1%} of" in said
    assert (made.wrong is None) == ("(estimated)" not in said)
    assert set(made.steps.seconds) >= {"load", "select"}
    assert made.estimate.fits
    np.testing.assert_array_equal(made.split.subset(made.coreset.indices).labels,
                                  made.split.labels[made.coreset.indices])


def test_what_it_saves_is_repeated_by_the_command(here, capsys):
    made = mc.run_selection(dataset="digitsN", rate=0.2, method="el2n-strata:mis_ratio=0.2", pool=300, save="mine",
                            recipe=mc.load_recipe("digits"), epochs=2)
    assert Path(made.files["npz"]) == Path("mine/digitsN-el2n-strata-0.2.npz")
    assert Path(made.files["bin"]).is_file()
    assert made.coreset.manifest["recipe"]["epochs"] == 2
    assert call("--from-manifest mine/digitsN-el2n-strata-0.2.npz --save again") == 0
    assert "the same coreset now, byte for byte" in capsys.readouterr().out
    command = made.coreset.manifest["command"]
    assert command.startswith("select --dataset digitsN --data data --method el2n-strata:mis_ratio=0.2 --rate 0.2 ")
    assert call(f"{command.removeprefix('select ')} --save by_command") == 0
    assert arrays_of(mc.Coreset.load("by_command/digitsN-el2n-strata-0.2.npz")) == arrays_of(made.coreset)


@pytest.mark.parametrize(("given", "message"), [
    ({"dataset": "digitN"}, "unknown data set 'digitN': did you mean 'digitsN'"),
    ({"dataset": "digits", "rate": 2}, "rate 2: must be"),
    ({"dataset": "digits", "method": "moderat"}, "unknown method 'moderat'"),
    ({"dataset": "digits", "method": 3}, "method"),
    ({"dataset": "digits", "epoch": 3}, "no option 'epoch', did you mean 'epochs'"),
    ({"dataset": "digits", "from_manifest": "x"}, "no option 'from_manifest'"),
    ({"dataset": "digits", "evidence": "patches", "ckpt": "x"}, "--ckpt is about networks"),
    ({"dataset": "digits", "evidence": "patch"}, "evidence 'patch': must be one of network, patches")])
def test_mistakes_are_told_as_by_the_command(given, message, here):
    with pytest.raises(MsCoresetError, match=re.escape(message)):
        mc.run_selection(**given)
    assert not list(here.iterdir())


STUDY = {"datasets": ["digitsN"], "methods": ["random", "moderate", "full"], "rates": [0.1, 0.2], "pool": 200,
         "epochs": 2}
@pytest.mark.mindspore
@pytest.mark.parametrize(("top_m", "classes"), [(None, "all 10 classes (fewer: --top-m)"), (3, "3 classes")])
def test_it_is_said_how_many_classes_the_distances_are_to(top_m, classes, monkeypatch, capsys):
    monkeypatch.setattr(gather_evidence, "deepfool_distances",
                        lambda network, split, top_m: np.full(len(split), top_m or 10))
    split, network = mc.load_dataset("digits").subset(np.arange(30)), mc.create_network("mlp", 10, 1, image_size=8)
    sources = Sources(DataSource("digits"), evidence=EvidenceSource(top_m=top_m))
    evidence, path = gather_evidence.gather(sources, split, "CPU", Steps(), ("boundary",),
                                            find=lambda *_: (network, "a.ckpt"))
    assert evidence.boundary.tolist() == [top_m or 10] * 30 and path == "a.ckpt"
    assert capsys.readouterr().err == (
        f"note: distances to the decision boundary of 30 samples against {classes}\n")


TIMES = ("seconds", "peak_mb", "finished", "command")


def records_in(folder):
    return [json.loads(line) for line in (Path(folder) / "runs.jsonl").read_text().splitlines()]


def test_a_study_and_its_report_are_the_command_s(here, capsys):
    assert call("--dataset digitsN --methods random moderate full --rates 0.1 0.2 --pool 200 --epochs 2 "
                "--label digits=Digits --save typed", "experiment") == 0
    made = mc.run_study(**STUDY, label={"digits": "Digits"}, save="called")
    assert made.path == Path("called/runs.jsonl")
    assert not made.failed
    typed = records_in("typed")
    assert records_in("called") == made.records
    assert [{name: value for name, value in record.items() if name not in TIMES} for record in typed] == [
        {name: value for name, value in record.items() if name not in TIMES} for record in made.records]
    assert [record["label"] for record in typed] == ["Digits, N"] * len(typed)
    assert call("typed", "report") == 0
    page = mc.write_report("called")
    assert page.path == Path("called/report.html")
    assert f"typed/report.html: {page.sections} section, {page.figures} figures" in capsys.readouterr().out


def test_a_study_goes_on_where_it_was_by_call_or_by_command(here, capsys):
    first = mc.run_study(**STUDY)
    assert first.path == Path("results/study/runs.jsonl")
    assert mc.run_study(**STUDY).records == first.records
    command = shlex.split(first.records[0]["command"])
    assert command[0] == "experiment"
    assert main(command[1:], "experiment") == 0  # one of its runs, which is done
    assert main(["--config", "results/study/study.yaml", "--save", "results/study"], "experiment") == 0
    assert records_in("results/study") == first.records


def test_a_study_s_mistakes(here):
    for given, message in [({"datasets": "digits"}, "datasets"), ({"datasets": ["digits"], "arch": "mlp"}, "'archs'"),
                           ({"datasets": []}, "--datasets is missing"), ({"datasets": ["nix"]}, "unknown data set"),
                           ({"datasets": ["digits"], "methods": [mc.select]}, "method"),
                           ({"datasets": ["digits"], "label": "Digits"}, "label"),
                           ({"datasets": ["digits"], "evidence": ["patch"]}, "evidence 'patch': must be one of"),
                           ({"datasets": ["digits"], "protocols": ["steps"]}, "protocol 'steps': must be one of"),
                           ({"datasets": ["digits"], "name": "../x"}, "a study's name is no path")]:
        with pytest.raises(MsCoresetError, match=re.escape(message)):
            mc.run_study(**given)
    assert not list(here.iterdir())


def test_bad_samples_are_told_where_nobody_knows_their_true_labels(here, monkeypatch):
    monkeypatch.setattr("ms_coreset.datasets.family.DATASETS", Registry("data set"))

    @mc.register_dataset("Marked", mean=None, std=None)
    def load_marked(root, train, access):
        logits = np.eye(2)[[0, 0, 1, 1]] * [[4], [3], [2], [1]]
        return mc.Split("Marked", None, np.array([0, 1, 1, 0]), classes=("a", "b"), mean=(), std=(),
                        bad=np.array([False, True, False, True]), known={"logits": logits})

    result = score_all(Sources(DataSource("Marked")), ["entropy"], "scores", Runtime("CPU"))
    with np.load(result.stem.with_suffix(".npz")) as table:
        assert {*table} == {"index", "label", "bad", "entropy"}
        assert table["bad"].tolist() == [0, 1, 0, 1]
    text = result.stem.with_suffix(".csv").read_text(encoding="utf-8")
    assert text.startswith("index,path,label,bad,entropy\n0,,0,0,")


@pytest.mark.parametrize(("function", "command", "words", "unlike"), [
    (mc.run_selection, select, ["--dataset", "x"], {"save"}),  # the command writes in any case
    # The command has the name from the --config, and nobody who could be called.
    (mc.run_study, experiment, ["--dataset", "x"], {"name", "on_epoch", "on_run"}),
    (mc.write_report, report, ["x"], {"command"})])
def test_names_and_defaults_are_the_command_s(function, command, words, unlike):
    options = vars(command.parser("x").parse_args(words))
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or name in unlike:
            continue
        assert name in options
        if parameter.default is not parameter.empty:
            default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            assert default in (options[name], [] if options[name] is None else options[name], ["own"]), name


def test_other_options_are_the_command_s_too():
    options = vars(select.parser("x").parse_args(["--dataset", "x"]))
    assert set(KNOWN) <= set(options)
    for source, names in ((DataSource("digits"), {"root": "data"}), (EvidenceSource(), {}),
                          (NetworkSource(), {"folder": "model_dir", "checkpoint": "ckpt"})):
        for field, value in vars(source).items():
            if (name := names.get(field, field)) in options:
                assert options[name] == value, name


def test_a_step_s_peak_is_its_own(monkeypatch):
    """Not that of the process which started this one, which ``getrusage`` tells of, too."""
    monkeypatch.setattr("resource.getrusage", lambda _: SimpleNamespace(ru_maxrss=2**30))
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pytest.skip("the kernel resets no peak here: it is the highest since start")
    steps = Steps()
    with steps("large"), mmap.mmap(-1, 2**27) as block:  # which is given back, whatever malloc does
        block.write(b"1" * 2**27)
    with steps("small"):
        pass
    assert steps.peak_mb["large"] - steps.peak_mb["small"] > 100
