"""Kills, full disks, folders that can't be written, files that vanish, two runs at once: nothing half done is used."""

import importlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.checksums import digest
from ms_coreset.cli import main
from ms_coreset.locks import try_lock
from ms_coreset.training.dynamics import FieldRecorder
from tests.faults.contents import contents, litter
from tests.faults.jobs import JOBS, grows

ROOT = Path(__file__).resolve().parents[1]
TRAINED = "--epoch 2 --arch mlp --width 16"
SELECT = f"--dataset digitsN --rate 0.2 {TRAINED}"


def process(line, command, folder, **options):
    """Start a command in a process of its own."""
    code = f"import sys; from ms_coreset.cli import main; sys.exit(main({shlex.split(line)!r}, {command!r}))"
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options)


def finish(started):
    """(exit code, stdout, stderr) of a started command."""
    out, err = started.communicate(timeout=300)
    return started.returncode, out, err


def error_of(started):
    """The one line that a refused command ends with."""
    code, _, said = finish(started)
    assert code == 2, said
    assert "Traceback" not in said
    (error,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return error


def call(line, command):
    return main(shlex.split(line), command)


@pytest.fixture(scope="module")
def undisturbed_runs(tmp_path_factory):
    """Folder of each command -> what it holds after an undisturbed run."""
    made = {}
    for command, line in (("label-noise", "--dataset digits"), ("corrupt", "--dataset digits"), ("select", SELECT)):
        folder = tmp_path_factory.mktemp(command)
        code, _, said = finish(process(line, command, folder))
        assert code == 0, said
        made[command] = line, contents(folder)
    return made


def assert_whole(job, folder, whole):
    """No file is half done but those that may be seen so."""
    wrong = [path for path, content in contents(folder).items()
             if not grows(JOBS[job], path) and content != whole.get(path)]
    assert not wrong


# Kills


def campaign(*options, limit=3000):
    done = subprocess.run([sys.executable, "-m", "tests.faults", *options], cwd=ROOT, text=True, capture_output=True,
                          timeout=limit, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"(\d+) kills in .* s, 0 failures", done.stdout).group(1))


def test_a_few_kills():
    assert campaign("--kills", "8", "--jobs", "label-noise", "label-noise-forced", "corrupt", "select") >= 8


@pytest.mark.slow
def test_kills_before_every_file_operation_of_making_label_noise():
    assert campaign("--every-operation", "--jobs", "label-noise", "label-noise-forced") > 20


def test_what_a_kill_at_the_last_moment_left_of_the_recorder_goes_with_the_next_run(here):
    typed = "--dataset digits --epoch 2 --arch mlp --width 32"
    assert call(f"{typed} --rate 0.2", "select") == 0
    left = Path("ckpt/digits/mlp-w32/dynamics/state-1.npz")
    for line, command in ((f"{typed} --rate 0.2", "select"), (f"{typed} --resume", "train")):
        left.write_bytes(b"as it was")
        assert call(line, command) == 0
        assert not left.exists() and (left.parent / "loss.npy").exists()


@pytest.mark.slow
def test_many_kills():
    assert campaign("--kills", "20", "--seed", "1") >= 20


def test_dynamics_that_were_begun_before_the_first_epoch_ended_are_begun_anew(here):
    """The files are there, but not yet filled with "nothing recorded", and there is no checkpoint to go on from."""
    split = mc.load_dataset("digits").subset(np.arange(60))
    recipe = mc.load_recipe("digits", epochs=1, validation=0.5)
    folders = [here / "straight", here / "begun"]
    begun = FieldRecorder(("loss", "margin"), 1, len(split), folders[1] / "dynamics")
    for array in vars(begun.dynamics()).values():
        if array is not None:
            array[:] = 0
    for folder in folders:
        network = mc.create_network("mlp", 10, 1, image_size=8)
        mc.train(network, split, recipe, record=("loss", "margin"), folder=folder, resume=True)
    assert contents(folders[0]) == contents(folders[1])


def test_checkpoints_that_a_recorded_run_has_left_go_with_the_next_call(here):
    line = f"--dataset digits {TRAINED} --methods random --rates 0.1 --save study"
    assert call(line, "experiment") == 0
    (record,) = map(json.loads, Path("study/runs.jsonl").read_text().splitlines())
    left = Path("study/running") / record["work"]
    left.mkdir(parents=True)
    (left / "last.ckpt").write_text("as if the process had ended before it removed this")
    assert call(line, "experiment") == 0
    assert not Path("study/running").exists()


# A full disk


def small_files(size):
    """What a process does before its command, so that no file can be larger than ``size`` bytes."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return limit


@pytest.mark.parametrize(("command", "size"), [
    ("label-noise", 100), ("label-noise", 9000), ("corrupt", 1000), ("corrupt", 50_000), ("select", 500),
    ("select", 12_000)])
def test_no_room(command, size, undisturbed_runs, tmp_path):
    line, whole = undisturbed_runs[command]
    error = error_of(process(line, command, tmp_path, preexec_fn=small_files(size)))
    assert re.search(r"can't write \S+: File too large", error)
    assert_whole(command, tmp_path, whole)
    code, _, said = finish(process(line, command, tmp_path))
    assert code == 0, said
    assert contents(tmp_path) == whole


def try_mount(folder, options):
    """Whether an empty file system could be mounted at ``folder``."""
    return shutil.which("mount") is not None and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A folder to mount a disk at, which is taken away at the end."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(("command", "kilobytes"), [("label-noise", 252), ("corrupt", 200), ("select", 160)])
def test_disk_that_is_full(command, kilobytes, undisturbed_runs, disk):
    if not try_mount(disk, "size=256k"):
        pytest.skip("no file system can be mounted here")
    line, whole = undisturbed_runs[command]
    blocker = disk / ".taken"
    blocker.write_bytes(bytes(kilobytes << 10))
    assert "No space left on device" in error_of(process(line, command, disk))
    assert_whole(command, disk, whole)
    blocker.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    code, _, said = finish(process(line, command, disk))
    assert code == 0, said
    assert contents(disk) == whole


# Folders that can't be written


@pytest.fixture
def unwritable(disk):
    """A folder in which no file can be made."""
    if os.geteuid():
        disk.chmod(0o555)
    elif not try_mount(disk, "ro"):  # root may write whatever a folder's mode is
        pytest.skip("no file system can be mounted here")
    return disk


@pytest.mark.parametrize(("command", "line"), [
    ("label-noise", "--dataset digits"), ("corrupt", "--dataset digits"), ("select", SELECT),
    ("train", f"--dataset digits {TRAINED}"), ("attack", f"--dataset digits {TRAINED}"),
    ("experiment", f"--dataset digits {TRAINED}")])
def test_folder_that_can_only_be_read(command, line, unwritable):
    error = error_of(process(line, command, unwritable))
    assert "can't write" in error and re.search("Read-only file system|Permission denied", error)
    assert not list(unwritable.iterdir())


@pytest.mark.parametrize(("command", "line"), [
    ("select", SELECT), ("train", f"--dataset digits {TRAINED} --no-save"),
    ("experiment", f"--dataset digits {TRAINED}")])
def test_output_that_can_not_be_written_is_said_before_the_work(command, line, here, capsys):
    Path("file").write_text("in the way")
    option = "--result file/r.json" if command == "train" else "--save file/x"
    assert call(f"{line} {option}", command) == 2
    said = capsys.readouterr().err
    assert re.search("can't (write|read)", said) and "training" not in said


# Files that vanish


def vanishing(monkeypatch, where, name, path):
    """Let the file or folder ``path`` be gone when the function ``name`` of the module ``where`` is called."""
    original = getattr(where, name)

    def called(*arguments, **options):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
        monkeypatch.setattr(where, name, original)
        return original(*arguments, **options)

    monkeypatch.setattr(where, name, called)


def test_files_that_vanish_in_the_middle(here, capsys, monkeypatch, undisturbed_runs):
    from ms_coreset.datasets.overlays import noisy_labels
    from ms_coreset.jobs import base_network

    extraction = importlib.import_module("ms_coreset.extraction.extract")
    checkpoint = "ckpt/digitsN/mlp-w16/best.ckpt"
    for where, name, path in ((base_network, "network_from_weights", checkpoint),
                              (noisy_labels, "_read_labels", "data/noisy/digits.npy"),
                              (extraction, "ExtractionStore", "cache")):
        shutil.rmtree("cache", ignore_errors=True)
        vanishing(monkeypatch, where, name, path)
        code = call(SELECT, "select")
        said = capsys.readouterr().err
        assert "Traceback" not in said
        if path == "cache":
            assert code == 0
        else:
            assert code == 2 and Path(path).name in [line for line in said.splitlines() if "error: " in line][-1]
        assert call(SELECT, "select") == 0
        found, whole = contents(here), undisturbed_runs["select"][1]
        assert {path: content for path, content in found.items() if "index" in path or "ckpt" in path} == {
            path: content for path, content in whole.items() if "index" in path or "ckpt" in path}


def test_part_of_corrupted_images_that_vanishes(here, capsys, monkeypatch):
    from ms_coreset.datasets.overlays import images

    vanishing(monkeypatch, images, "_probe", "data/corrupt/.digits.part.npy")
    assert call("--dataset digits", "corrupt") == 2
    assert "digits.part.npy: No such file or directory" in capsys.readouterr().err
    assert not Path("data/corrupt/digits.npy").exists()
    assert call("--dataset digits", "corrupt") == 0
    assert mc.load_dataset("digitsC", "data", log=lambda line: None).bad.sum() == 431


# Two at once


@pytest.mark.parametrize(("command", "line"), [("select", SELECT), ("corrupt", "--dataset digits --seed 2"),
                                               ("label-noise", "--dataset digits")])
def test_two_at_once(command, line, undisturbed_runs, tmp_path):
    runs = [process(line, command, tmp_path) for _ in range(2)]
    for code, _, said in map(finish, runs):
        assert code == 0, said
    if "--seed" not in line:
        assert contents(tmp_path) == undisturbed_runs[command][1]
    assert not litter(tmp_path)


def test_lock_keeps_others_out_and_goes_with_its_owner(tmp_path):
    path = tmp_path / "deep" / "lock"
    with try_lock(path) as mine, try_lock(path, wait=False) as another:
        assert mine and not another
    assert not path.exists()
    owner = subprocess.Popen([sys.executable, "-c", f"""
import time
from ms_coreset.locks import try_lock
with try_lock({str(path)!r}):
    print("locked", flush=True)
    time.sleep(60)"""], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert owner.stdout.readline() == b"locked\n"
    with try_lock(path, wait=False) as mine:
        assert not mine
    owner.kill()
    owner.wait()
    with try_lock(path, wait=False) as mine:
        assert mine


def test_other_noise_never_stands_beside_the_manifest_of_the_former(here, monkeypatch):
    """Between the two files of a forced replacement there are no labels that the new manifest does not describe."""
    from ms_coreset.datasets.overlays import noisy_labels

    assert call("--dataset digits", "label-noise") == 0
    path, original, seen = Path("data/noisy/digits.npy"), noisy_labels.write_json, []
    monkeypatch.setattr(noisy_labels, "write_json", lambda *values: seen.append(path.exists()) or original(*values))
    assert call("--dataset digits --seed 1 --force", "label-noise") == 0
    first = digest(path)
    assert call("--dataset digits --seed 1 --force", "label-noise") == 0  # the same again: others may be reading them
    assert seen == [False, True] and digest(path) == first
