"""Whole commands as a user types them."""

import gc
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset import cli
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.training.dynamics import FieldRecorder

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
QUICK = ("--epoch", "2")


def run(*arguments, cwd, script="select.py", check=None, **options):
    done = subprocess.run([sys.executable, str(SCRIPTS / script), *map(str, arguments)], cwd=cwd, text=True,
                          capture_output=True, timeout=300, **options)
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


def call(line, command="select"):
    """The exit code of a command in this process."""
    return main(shlex.split(line), command)


@pytest.fixture(scope="module")
def selection_folder(tmp_path_factory):
    """A folder where ``select.py --dataset digitsN --rate 0.2`` ran, and what it printed."""
    folder = tmp_path_factory.mktemp("selected")
    return folder, run("--dataset", "digitsN", "--rate", "0.2", *QUICK, cwd=folder, check=0)


@pytest.fixture
def selection_here(selection_folder, here):
    """The working folder, with a copy of what ``selection_folder`` left."""
    return shutil.copytree(selection_folder[0], here, dirs_exist_ok=True)


def refusal(capsys, *arguments, command="select"):
    """Exit code 2, one line; returns the line."""
    assert main(list(arguments), command) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    return errors[0]


def test_select_trains_first_says_so_and_writes_both_files(selection_folder):
    folder, done = selection_folder
    assert "label noise data/noisy/digits.npy was missing: made with ratio 0.2, seed 0" in done.stderr
    assert "no base network in ckpt/digitsN/mlp: training mlp first (2 epochs on 1437 samples" in done.stderr
    assert re.search(r"kept +287 of 1,437 \(20\.0%\)", done.stdout)
    assert re.search(r"per class +min \d+, median [\d.]+, max \d+", done.stdout)
    assert re.search(r"bad +20\.0% of the data, [\d.]+% of the coreset", done.stdout)
    assert re.search(r"seconds +load [\d.]+, train [\d.]+, extract [\d.]+, select [\d.]+", done.stdout)
    assert re.search(r"peak MB +load \d+, train \d+", done.stdout)
    coreset = Coreset.load(folder / "index/digitsN-moderate-0.2.npz")
    assert len(coreset) == 287
    assert coreset.manifest["dataset"] == "digitsN"
    assert coreset.manifest["command"] == "select --dataset digitsN --rate 0.2 --epoch 2"
    assert coreset.manifest["perturbation"]["kind"] == "symmetric_label_noise"
    assert set(coreset.manifest["versions"]) == {"ms_coreset", "mindspore", "numpy"}
    assert sorted(path.name for path in (folder / "index").iterdir()) == ["digitsN-moderate-0.2.npz", "digitsN.bin"]
    assert sorted(path.name for path in folder.iterdir()) == ["cache", "ckpt", "data", "index"]


def test_the_next_command_it_names_works(selection_folder, selection_here):
    _, done = selection_folder
    command = re.search(r"next: python \S*train\.py (.*)", done.stdout).group(1).split()
    trained = run(*command, *QUICK, cwd=selection_here, script="train.py", check=0)
    assert re.search(r"last epoch +[\d.]+% of 360 test samples; worst class \d [\d.]+%", trained.stdout)
    result = json.loads((selection_here / "ckpt/digitsN/mlp-digitsN-moderate-0.2/result.json").read_text())
    assert result["samples"] == 287
    assert result["protocol"] == "epochs"
    assert set(result["last"]["per_class"]) == set("0123456789")
    assert result["last"]["accuracy"] == pytest.approx(result["history"][-1]["test_accuracy"])
    assert result["best"]["chosen_by"].startswith("test split")


def test_again_uses_what_is_there_and_gives_the_same_bytes(selection_here, capsys):
    first = (selection_here / "index/digitsN.bin").read_bytes()
    assert main(["--dataset", "digitsn", "--rate", "0.2", *QUICK], "select") == 0
    printed = capsys.readouterr()
    assert "training" not in printed.err
    assert (selection_here / "index/digitsN.bin").read_bytes() == first


def test_a_base_network_of_other_options_is_used_and_said(selection_here, capsys):
    assert call("--dataset digitsN --rate 0.2 --epoch 5 --seed 3 --save other") == 0
    said = capsys.readouterr().err
    assert "base network: ckpt/digitsN/mlp/best.ckpt (2 epochs, seed 0)" in said
    assert "it was trained with epochs 2, not 5; seed 0, not 3: delete ckpt/digitsN/mlp to train anew" in said


def test_pruned_training_leaves_out_what_the_bin_file_lists(selection_here, capsys):
    assert call("--dataset digitsN --prune index/digitsN.bin --epoch 2 --no-save --result r.json", "train") == 0
    result = json.loads((selection_here / "r.json").read_text())
    assert result["samples"] == 287
    last, best = result["last"], result["best"]
    worst = min((accuracy, name) for name, accuracy in last["per_class"].items())
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"  last epoch  {last['accuracy']:.2%} of 360 test samples; worst class {worst[1]} {worst[0]:.2%}",
        f"  best epoch  {best['accuracy']:.2%}, epoch {best['epoch']} (chosen by {best['chosen_by']})",
        "  wrote       r.json"]
    assert not (selection_here / "ckpt/digitsN/mlp-digitsN-pruned").exists()


def test_other_methods_balance_and_pool(selection_here, capsys):
    assert call("--dataset digitsN --rate 0.5 --method Uniform --balance --pool 200 --save p") == 0
    printed = capsys.readouterr()
    assert "training" not in printed.err  # random asks no network
    coreset = Coreset.load(selection_here / "p/digitsN-random-balanced-0.5.npz")
    assert coreset.n == 1437
    assert len(coreset.pool) == 200
    assert set(coreset.indices) <= set(coreset.pool)
    assert "kept       100 of 200" in printed.out
    assert call("--dataset digits --rate 1 --method full --save p") == 0
    assert len(Coreset.load(selection_here / "p/digits-full-1.npz")) == 1437


def test_torch_checkpoint_just_works(selection_here, capsys):
    pytest.importorskip("torch")
    assert main(["ckpt/digitsN/mlp/best.ckpt", "mine.pth"], "convert-checkpoint") == 0
    assert "mlp, 10 classes" in capsys.readouterr().out
    first = Coreset.load("index/digitsN-moderate-0.2.npz").indices
    assert call("--dataset digitsN --rate 0.2 --ckpt mine.pth --save q") == 0
    np.testing.assert_array_equal(Coreset.load("q/digitsN-moderate-0.2.npz").indices, first)
    assert main(["mine.pth", "again.ckpt"], "convert-checkpoint") == 0
    assert call("--dataset digitsN --rate 0.2 --ckpt again.ckpt --save q2") == 0
    np.testing.assert_array_equal(Coreset.load("q2/digitsN-moderate-0.2.npz").indices, first)


def test_label_noise_script(here):
    done = run("--dataset", "digits", "--ratio", 0.3, "--seed", 4, cwd=here, script="robust/label_noise.py", check=0)
    assert "431 of 1,437 labels flipped (29.99%), seed 4" in done.stdout
    assert np.load(here / "data/noisy/digits.npy").shape == (1437,)
    again = run("--dataset", "digitsN", cwd=here, script="robust/label_noise.py", check=2)
    assert "exists already" in again.stderr


@pytest.mark.parametrize(("options", "name"), [
    ("--method ccs --mis-ratio 0.3", "ccs"), ("--score el2n --rule strata --mis_ratio 0.3", "el2n-strata"),
    ("--method el2n --last 1", "el2n"), ("--method forgetting --never-learned zero --balance", "forgetting-balanced"),
    ("--score loss --rule weighted_random", "loss-weighted_random")])
def test_scores_by_rules(options, name, selection_here, capsys):
    assert call(f"--dataset digitsN --rate 0.2 --save r {options}") == 0
    assert len(Coreset.load(selection_here / f"r/digitsN-{name}-0.2.npz")) in (287, 288)


@pytest.mark.parametrize("method", mc.list_methods())
def test_every_method_gathers_what_it_needs(method, selection_here, capsys):
    np.save("scores.npy", np.arange(1437.0))
    more = {"tdds": "--epoch 4 --model-dir longer", "cld": "--epoch 4 --validation 0.1 --model-dir longer-held-out",
            "imported": "--scores-from scores.npy", "extrapolated": "--scores-from scores.npy"}
    assert call(f"--dataset digitsN --rate 0.1 --method {method} --balance --save m {more.get(method, '')}") == 0
    balanced = "" if method == "full" else "-balanced"
    coreset = Coreset.load(next((selection_here / "m").glob(f"digitsN-{method}{balanced}*.npz")))
    per_class = np.bincount(np.load("data/noisy/digits.npy"))
    assert len(coreset) == (1437 if method == "full" else sum(round(0.1 * size) for size in per_class))


def test_weights_of_a_coreset_are_used_in_training_unless_left_aside(selection_here, capsys):
    assert call("--dataset digitsN --rate 0.1 --method craig --balance --save w") == 0
    coreset = Coreset.load("w/digitsN-craig-balanced-0.1.npz")
    assert coreset.weights.sum() == 1437
    Coreset(coreset.indices, coreset.n, coreset.rate, method="craig").save("w/plain.npz")
    results = []
    for options in ("w/digitsN-craig-balanced-0.1.npz", "w/plain.npz",
                    "w/digitsN-craig-balanced-0.1.npz --no-weights"):
        assert call(f"--dataset digitsN --coreset {options} --epoch 2 --no-save --result r.json", "train") == 0
        results.append(json.loads(Path("r.json").read_text())["history"][-1]["loss"])
    weighted, plain, left_aside = results
    assert weighted != plain == left_aside
    line = "--dataset digitsN --coreset w/digitsN-craig-balanced-0.1.npz --no-weights --epoch 1"
    assert call(line, "train") == 0
    folder = "ckpt/digitsN/mlp-digitsN-craig-balanced-0.1-unweighted"
    assert Path(f"{folder}/result.json").is_file()
    assert f"\n  wrote       {folder}/result.json, checkpoints in {folder}\n" in capsys.readouterr().out
    assert "--no-weights is about the weights of a coreset file: it goes with --coreset FILE" in refusal(
        capsys, "--dataset", "digitsN", "--no-weights", command="train")


def test_training_over_former_checkpoints_is_said(here, capsys):
    said = []
    for option in ("", "", "--resume", "--no-save --result r.json"):
        assert call(f"--dataset digits --pool 20 --epoch 1 {option}", "train") == 0
        said.append("note: training anew over ckpt/digits-pool20/mlp (--resume goes on" in capsys.readouterr().err)
    assert said == [False, True, False, False]


def test_runs_are_trained_with_further_seeds(selection_here, capsys):
    assert call("--dataset digitsN --rate 0.2 --method grand --runs 2 --epoch 2 --save r2") == 0
    assert (selection_here / "ckpt/digitsN/mlp-seed1/best.ckpt").is_file()
    mean = Coreset.load("r2/digitsN-grand-0.2.npz").scores
    assert call("--dataset digitsN --rate 0.2 --method grand --save r2") == 0
    assert not np.allclose(Coreset.load("r2/digitsN-grand-0.2.npz").scores, mean)
    assert "runs 0" in refusal(capsys, "--dataset", "digitsN", "--rate", "0.2", "--method", "grand", "--runs", "0")


def test_scores_that_the_evidence_does_not_do_for_are_left_out_unless_asked_for(here, capsys):
    line = "--dataset digits --arch mlp --width 8 --epoch 1 --pool 100"
    assert call(line, "score") == 0
    said = capsys.readouterr()
    for reason in ("note: left out, dyn_unc: a window of 2 epochs", "note: left out, eva: there is but one epoch"):
        assert reason in said.err
    with np.load("scores/digits-mlp-w8.npz") as table:
        assert {"el2n", "forgetting"} <= {*table.files} and not {"dyn_unc", "dual", "eva"} & {*table.files}
    assert call(f"{line} --scores el2n dual", "score") == 2
    assert "dual: a window of 2 epochs is longer than the 1" in capsys.readouterr().err


def test_score_writes_the_same_table_twice(selection_here, capsys):
    assert call("--dataset digitsN", "score") == 0
    with np.load("scores/digitsN-mlp.npz") as arrays:
        columns = dict(arrays)
    header, *rows = (line.split(",") for line in Path("scores/digitsN-mlp.csv").read_text().splitlines())
    assert header == ["index", "path", *list(columns)[1:]]
    assert len(rows) == 1437
    assert {row.pop(1) for row in rows} == {""}  # they do not lie in files
    written = np.array(rows, float).T
    np.testing.assert_array_equal(written, np.stack([column.astype(float) for column in columns.values()]))
    assert columns["bad"].sum() == 287
    assert "deepfool" not in columns
    assert "unknown score 'el3n': did you mean 'el2n'" in refusal(
        capsys, "--dataset", "digitsN", "--scores", "el3n", command="score")


# Start-up

@pytest.mark.parametrize("option", ["--help", "--list"])
def test_help_and_list_start_without_the_heavy_packages(option, here):
    done = run(option, cwd=here, check=0)
    assert "moderate" in done.stdout
    probe = f"""
import runpy, sys
sys.argv = ["select.py", "{option}"]
try:
    runpy.run_path({str(SCRIPTS / "select.py")!r}, run_name="__main__")
except SystemExit:
    pass
heavy = {{"mindspore", "torch", "sklearn", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", probe], cwd=here, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("inside", [False, True])
def test_select_script_does_not_shadow_the_standard_library(method, inside, tmp_path):
    """As ``select.py`` starts, so does a script whose child processes import subprocess, which imports select."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    lines = (SCRIPTS / "select.py").read_text().splitlines()
    start = "\n".join(lines[:next(i for i, line in enumerate(lines) if line.startswith("from ms_coreset"))])
    (scripts / "select.py").write_text(start + f"""
import multiprocessing

def work():
    import selectors, subprocess
    assert not selectors.__file__.startswith({str(tmp_path)!r})
    import select
    assert hasattr(select, "select"), select

if __name__ == "__main__":
    child = multiprocessing.get_context("{method}").Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
""")
    path = "select.py" if inside else "scripts/select.py"
    done = subprocess.run([sys.executable, path], cwd=scripts if inside else tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_console_command_is_the_same_code(here):
    command = shutil.which("ms-coreset", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("ms_coreset is not installed in this environment")
    listed = subprocess.run([command, "select", "--list"], capture_output=True, text=True, check=True)
    assert listed.stdout == run("--list", cwd=here).stdout
    usage = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    for name in ("train", "select", "score", "label-noise", "convert-checkpoint"):
        assert name in usage.stdout
    wrong = subprocess.run([command, "selct"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "unknown command 'selct'" in wrong.stderr


# A user's mistakes: one line, exit code 2, nothing written

@pytest.mark.parametrize(("arguments", "message"), [
    ("--dataset digitN --rate 0.2", "unknown data set 'digitN': did you mean 'digitsN'"),
    ("--dataset digits --rate 0", "rate 0.0: must be above 0 and at most 1"),
    ("--dataset digits --rate 1.5", "rate 1.5: must be"),
    ("--dataset digits --method moderat", "unknown method 'moderat': did you mean 'moderate'"),
    ("--dataset digits --method random --center mean", "random has no option --center"),
    ("--dataset digits --method facility_location --neighbors 0", "neighbors 0: must be a whole number, 1 or more"),
    ("--dataset digits --score loss --rule strata --mis-ratio 1", "mis_ratio 1: must be at least 0 and below 1"),
    ("--dataset digits --score grand --rule top --batch-size 5 --selection-batch 0", "grand: batch_size 0: must be"),
    ("--rate 0.5", "--dataset is missing"),
    ("--dataset digits --rate 0.2 --score el2n", "--score el2n needs a --rule: one of top, bottom"),
    ("--dataset digits --rule strata", "--rule strata needs a --score"),
    ("--dataset digits --rule top --score el2n --strata 5", "el2n by top has no option --strata"),
    ("--dataset digits --rate 0.5 --device TPU", "unknown device 'TPU': there are auto, CPU, GPU, Ascend"),
    ("--dataset digits --rate 0.5 --arch resnet19", "unknown network 'resnet19'"),
    ("--dataset digits --rate 0.5 --recipe moderat", "unknown recipe 'moderat': there are ccs, ccs-imagenet"),
    ("--dataset digits --rate 0.5 --pool 5000", "pool of 5000 samples: must be 1 to 1437"),
    ("--dataset digits --rate 0.5 --ckpt none.ckpt", "no checkpoint none.ckpt"),
    ("--dataset digits --rate 0.5 --epoch 0", "epochs is 0"),
    ("--dataset digits --rate 0.5 --seed -3", "seed -3"),
    ("--dataset CIFAR10 --rate 0.5 --no-download", "cifar-10")])
def test_mistakes_of_select(arguments, message, here, capsys):
    assert message.lower() in refusal(capsys, *arguments.split()).lower()
    left = {path.name for path in here.iterdir()}
    assert left <= {"index"}
    assert not list(here.glob("index/*"))


@pytest.mark.parametrize(("arguments", "message"), [
    ("--dataset digits --coreset none.npz", "no coreset file none.npz"),
    ("--dataset digits --prune none.bin", "can't read none.bin"),
    ("--dataset digits --resume --lr 0", "lr is 0.0"),
    ("--dataset nothing", "unknown data set 'nothing'")])
def test_mistakes_of_train(arguments, message, here, capsys):
    assert message in refusal(capsys, *arguments.split(), command="train")
    assert not list(here.iterdir())


def test_device_that_is_not_there_says_what_is(here, capsys):
    from ms_coreset.device import available_devices

    missing = next(device for device in ("Ascend", "GPU") if device not in available_devices())
    line = refusal(capsys, "--dataset", "digits", "--rate", "0.5", "--device", missing)
    assert f"device {missing} is not available here; available: " in line
    assert "CPU" in line


def test_coreset_of_other_data_is_refused(here, capsys):
    Coreset(np.arange(5), 10, 0.5, method="random").save(here / "other.npz")
    assert "data set of 10 samples, digits has 1437" in refusal(
        capsys, "--dataset", "digits", "--coreset", "other.npz", command="train")


def test_checkpoint_of_another_architecture_is_refused(selection_here, capsys):
    line = refusal(capsys, "--dataset", "digitsN", "--rate", "0.2", "--ckpt", "ckpt/digitsN/mlp/best.ckpt", "--arch",
                   "lenet")
    assert "another architecture: mlp, not lenet" in line


def test_checkpoint_of_other_classes_serves_by_its_features_alone(here, capsys):
    mc.save_weights(mc.create_network("mlp", 1000, 1, image_size=8, width=4), "theirs.ckpt")
    data = ("--dataset", "digits", "--pool", "50", "--ckpt", "theirs.ckpt")
    for command, words in (("select", ("--rate", "0.2", "--method", "el2n")), ("score", ()),
                           ("select", ("--rate", "0.2", "--method", "forgetting")), ("attack", ("--attack", "pgd"))):
        place = () if command == "attack" else ("--save", "out")
        line = refusal(capsys, *(data[:2] + data[4:] if command == "attack" else data), *words, *place, command=command)
        assert "the network tells 1,000 classes apart, digits has 10: its " in line and "its features serve" in line
    assert not (here / "out").exists() or not list((here / "out").glob("*"))
    assert main([*data, "--rate", "0.2", "--method", "moderate", "--save", "out"], "select") == 0
    assert "note: theirs.ckpt tells 1000 classes apart, digits has 10: its features serve" in capsys.readouterr().err


def test_folder_that_cant_be_written_is_said_before_the_work(here, capsys):
    (here / "file").write_text("")
    line = refusal(capsys, "--dataset", "digits", "--rate", "0.2", "--save", "file/index")
    assert "can't write" in line
    assert [path.name for path in here.iterdir()] == ["file"]


def test_full_disk_is_one_line_and_leaves_no_half_file(selection_here, monkeypatch, capsys):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    line = refusal(capsys, "--dataset", "digitsN", "--rate", "0.2", "--save", "full", *QUICK)
    assert "No space left on device" in line
    assert not list((selection_here / "full").iterdir())


def test_full_disk_while_training_is_one_line_and_leaves_no_half_checkpoint(here, monkeypatch, capsys):
    import errno

    from ms_coreset.networks import weights

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights, "_require_space", full)
    line = refusal(capsys, "--dataset", "digits", "--rate", "0.2", *QUICK)
    assert "last.ckpt: No space left on device" in line
    assert [path.name for path in (here / "ckpt/digits/mlp").iterdir()] == ["dynamics"]
    assert not list((here / "index").iterdir())


def test_ctrl_c_within_an_archive_leaves_no_traceback(here, capsys, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def interrupt(arguments):
        archive = zipfile.ZipFile("half.npz", "w")
        held = [archive, archive.open("indices.npy", "w")]
        held.append(held)  # so that the garbage collector closes them, the archive first
        raise KeyboardInterrupt

    monkeypatch.setattr("ms_coreset.cli.select.run", interrupt)
    assert call("--dataset digits --rate 0.1") == 130
    gc.collect()
    assert complaints == []
    assert capsys.readouterr().err.startswith("interrupted; what was finished is kept")


def test_ctrl_c_in_the_middle_and_again(here):
    """An interrupted run goes on where it was, and ends like one that was not."""
    arguments = ["--dataset", "digits", "--rate", "0.2", "--epoch", "8"]
    process = subprocess.Popen([sys.executable, str(SCRIPTS / "select.py"), *arguments], cwd=here, text=True,
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    last = here / "ckpt/digits/mlp/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert not list(here.glob("index/*"))
    again = run(*arguments, cwd=here, check=0)
    assert "going on with its training" in again.stderr
    straight = here / "straight"
    straight.mkdir()
    run(*arguments, cwd=straight, check=0)
    assert (here / "index/digits.bin").read_bytes() == (straight / "index/digits.bin").read_bytes()


def test_a_base_network_is_finished_or_trained_anew(here, capsys, monkeypatch):
    """An interrupted training goes on; of one that ended, whose best.ckpt is gone, nothing is left to go on with."""
    def stop(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == 1:
            raise KeyboardInterrupt

    line, record = "--dataset digits --pool 50 --rate 0.2 --epoch 2", FieldRecorder.record
    assert call(f"{line} --model-dir straight --save straight") == 0
    with monkeypatch.context() as patch:
        patch.setattr(FieldRecorder, "record", stop)
        assert call(line) == 130
    capsys.readouterr()
    assert call(f"{line} --save finished") == 0
    assert "no base network in ckpt/digits-pool50/mlp: going on with its training" in capsys.readouterr().err
    Path("ckpt/digits-pool50/mlp/best.ckpt").unlink()
    assert call(f"{line} --save anew") == 0
    assert "no base network in ckpt/digits-pool50/mlp: training mlp first (2 epochs" in capsys.readouterr().err
    first, *others = (Path(folder, "digits.bin").read_bytes() for folder in ("straight", "finished", "anew"))
    assert others == [first, first]


def test_closed_pipe_is_no_error(here):
    command = f"{sys.executable} {SCRIPTS / 'select.py'} --list | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_options_that_nobody_can_type_are_not_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["select", "--dataset", "digits", "--method", "k_center", "--jitter", "4"]) == 2
    assert capsys.readouterr().err == "error: k_center has no option --jitter; its options: --metric, --quota\n"


def test_ctrl_c_typed_twice_is_one_line(monkeypatch, capsys):
    """The second one comes while what the first has interrupted is tidied up."""
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    monkeypatch.setattr(cli.gc, "collect", lambda: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    assert main(["report", "results"]) == 130
    error = capsys.readouterr().err
    assert error.startswith("interrupted; ") and error.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is before
