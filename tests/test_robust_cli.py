"""The commands that perturb data, as a user types them, and the others on what they made."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.json_files import read_json

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ATTACK = (sys.executable, str(SCRIPTS / "robust" / "attack.py"), "--dataset", "digits")


def call(line, command):
    """The exit code of a command in this process."""
    return main(shlex.split(line), command)


def refusal(capsys, line, command):
    assert call(line, command) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return error


def perturb(name):
    return mc.load_dataset(name, "data", log=lambda line: None)


# corrupt


def test_corrupt_says_what_it_did(here, capsys):
    assert call("--dataset digits --preview seen.png", "corrupt") == 0
    printed = capsys.readouterr().out
    assert "digitsC: 431 of 1,437 images corrupted (29.99%), mode paper, seed 0" in printed
    assert re.search(r"low resolution +87\n", printed)
    assert "wrote data/corrupt/digits.npy" in printed
    sheet = np.asarray(Image.open("seen.png").convert("RGB"))
    assert sheet.shape[0] > 5 * 2 * 96 and sheet.shape[1] > 8 * 96
    assert len(np.unique(sheet)) > 50


def test_corrupt_options(here, capsys):
    line = "--dataset digitsC@mine --shares fog=0.1 gaussian-noise=0.05 --mode repo --random-occlusion --seed 3"
    assert call(line, "corrupt") == 0
    split = perturb("digitsC@mine")
    assert split.manifest["shares"] == [0, 0.1, 0, 0, 0.05]
    assert (split.manifest["mode"], split.manifest["random_occlusion"], split.manifest["seed"]) == ("repo", True, 3)
    assert not split.images[split.bad_kinds == 2].any()  # the repository's black fog
    assert call(line, "corrupt") == 0  # the same again
    assert "exists already" in refusal(capsys, "--dataset digitsC@mine --ratio 0.1", "corrupt")
    assert call("--dataset digitsC@mine --ratio 0.1 --force", "corrupt") == 0
    assert perturb("digitsC@mine").bad.sum() == 144


@pytest.mark.parametrize(("line", "message"), [
    ("--dataset digits --ratio 2", "corruption ratio 2.0"), ("--dataset digits --shares fog", "fog: give KIND=X"),
    ("--dataset digits --shares frost=0.1", "unknown corruption 'frost'"),
    ("--dataset digitsN", "digitsN: this command makes digitsC"), ("--dataset digits@a", "digits is clean"),
    ("--dataset digits --seed -1", "seed -1")])
def test_mistakes_of_corrupt(line, message, here, capsys):
    assert message in refusal(capsys, line, "corrupt")
    assert not list(here.iterdir())


# attack


@pytest.fixture(scope="module")
def attack_folder(tmp_path_factory):
    """A folder where ``attack.py`` ran, and what it printed."""
    folder = tmp_path_factory.mktemp("attacked")
    done = subprocess.run([*ATTACK, "--epoch", "8", "--eps", "24/255", "--preview", "seen.png"], cwd=folder,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def attack_here(attack_folder, here):
    """The working folder, with a copy of what ``attack_folder`` left."""
    return shutil.copytree(attack_folder[0], here, dirs_exist_ok=True)


def test_attack_trains_first_and_says_so(attack_folder):
    folder, done = attack_folder
    assert "no base network in ckpt/digits/mlp: training mlp first" in done.stderr
    assert "digitsA: 1,437 images attacked, gsa, eps 24/255, steps 1, against own labels, seed 0; by ckpt/digits" in (
        done.stdout)
    fooled, withstood = (int(re.search(rf"gsa, {word} +([\d,]+)", done.stdout).group(1).replace(",", ""))
                         for word in ("fooled", "withstood"))
    assert fooled > 0 and fooled + withstood == 1437
    assert sorted(path.name for path in (folder / "data/attack").iterdir()) == [
        "digits.json", "digits.kinds.npy", "digits.npy"]
    made = read_json(folder / "data/attack/digits.json")
    assert made["checkpoint"] == "ckpt/digits/mlp/best.ckpt" and made["counts"] == [fooled, withstood]
    assert np.asarray(Image.open(folder / "seen.png")).shape[0] > 6 * 96
    clean, images = mc.load_dataset("digits").images, np.load(folder / "data/attack/digits.npy")
    assert np.abs(images.astype(int) - clean).max() == 24


def test_another_attack_beside_it_by_the_same_network(attack_here, capsys):
    assert call("--dataset digitsA@pgd --attack pgd --steps 3 --no-random-start --against own --epoch 8", "attack") == 0
    printed = capsys.readouterr()
    assert "training" not in printed.err
    assert "digitsA@pgd: 1,437 images attacked, pgd, eps 8/255, steps 3, against own labels" in printed.out
    assert (perturb("digitsA@pgd").images != perturb("digitsA").images).any()
    error = refusal(capsys, "--dataset digits --attack pgd --epoch 8", "attack")
    assert "exists already (kind gsa_attack, not pgd_attack): force a new one, or name another beside it" in error


def test_attack_of_a_given_network(attack_here, capsys):
    assert call("--dataset digitsA@mine --eps 24/255 --ckpt ckpt/digits/mlp/best.ckpt", "attack") == 0
    assert Path("data/attack/digits@mine.npy").read_bytes() == Path("data/attack/digits.npy").read_bytes()


@pytest.mark.parametrize(("line", "message"), [
    ("--dataset digits --steps 5", "gsa is one step"), ("--dataset digits --eps 0", "eps 0.0"),
    ("--dataset digitsA@x --attack pgd --steps 0", "steps 0"), ("--dataset digitsC", "this command makes digitsA"),
    ("--dataset digits --ckpt none.ckpt", "no checkpoint none.ckpt")])
def test_mistakes_of_attack(line, message, here, capsys):
    assert message in refusal(capsys, line, "attack")
    assert not list(here.iterdir())


def test_eps_must_be_a_number(here, capsys):
    with pytest.raises(SystemExit, match="2"):
        call("--dataset digits --eps 8/0", "attack")
    assert "'8/0' is no number, such as 0.03 or 8/255" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_attack_goes_on_to_the_same_bytes(attack_folder, tmp_path):
    folder, _ = attack_folder
    command = [*ATTACK, "--attack", "pgd", "--steps", "10", "--attack-batch", "12", "--ckpt",
               str(folder / "ckpt/digits/mlp/best.ckpt")]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    note, deadline = tmp_path / "data/attack/.digits.part.json", time.monotonic() + 120
    while not note.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = read_json(note)["rows"]
    assert 0 < done < 1437 and not (tmp_path / "data/attack/digits.npy").exists()
    (tmp_path / "straight").mkdir()
    for place in (tmp_path, tmp_path / "straight"):
        subprocess.run(command, cwd=place, check=True, capture_output=True)
    for name in ("digits.npy", "digits.kinds.npy", "digits.json"):
        again, straight = (place / "data/attack" / name for place in (tmp_path, tmp_path / "straight"))
        assert again.read_bytes() == straight.read_bytes()


# label-noise


def test_label_noise_kinds(here, capsys):
    line = "--dataset digitsN@next --noise asymmetric --ratio 0.35 --seed 1 --preview seen.png"
    assert call(line, "label-noise") == 0
    assert "digitsN@next: 503 of 1,437 labels flipped (35.00%), seed 1" in capsys.readouterr().out
    split = perturb("digitsN@next")
    assert set((split.labels - split.clean_labels)[split.bad] % 10) == {1}
    assert Image.open("seen.png").size[0] > 8 * 96
    assert "no labels given by people are published for digits" in refusal(
        capsys, "--dataset digits --noise human --kind worse", "label-noise")


# The other commands, on what was made


@pytest.mark.parametrize("letter", ["C", "A"])
def test_select_and_train_make_what_is_missing(letter, here, capsys):
    assert call(f"--dataset digits{letter} --rate 0.2 --epoch 2", "select") == 0
    printed = capsys.readouterr()
    if letter == "A":
        assert "attacked images data/attack/digits.npy are missing: making them by gsa with eps 8/255" in printed.err
        assert "no base network in ckpt/digits/mlp: training mlp first" in printed.err
        assert re.search(r"bad +100.0% of the data, 100.0% of the coreset\n +gsa, fooled: [\d.]+% of the data",
                         printed.out)
    else:
        assert "corrupted images data/corrupt/digits.npy were missing: made with ratio 0.3, seed 0" in printed.err
        assert re.search(r"bad +30.0% of the data, [\d.]+% of the coreset\n +motion blur: 6.0% of the data, [\d.]+% of",
                         printed.out)
        assert re.search(r" +gaussian noise: 6.0% of the data, [\d.]+% of the coreset", printed.out)
    coreset = Coreset.load(f"index/digits{letter}-moderate-0.2.npz")
    assert coreset.manifest["perturbation"]["kind"] == {"C": "corruption", "A": "gsa_attack"}[letter]
    line = f"--dataset digits{letter} --coreset index/digits{letter}-moderate-0.2.npz --epoch 2 --result r.json"
    assert call(line, "train") == 0
    assert read_json("r.json")["last"]["samples"] == 360


def test_select_finds_variants(here, capsys):
    assert call("--dataset digitsC@0.1 --ratio 0.1", "corrupt") == 0
    assert call("--dataset DIGITSC@0.1 --rate 0.2 --epoch 2", "select") == 0
    printed = capsys.readouterr().out
    assert re.search(r"bad +10.0% of the data", printed)
    assert Path("index/digitsC@0.1-moderate-0.2.npz").is_file() and Path("ckpt/digitsC@0.1/mlp/best.ckpt").is_file()
    assert call("--dataset digitsC@0.1 --scores el2n", "score") == 0
    error = refusal(capsys, "--dataset digitsC@x --rate 0.2", "select")
    assert "data/corrupt/digits@x.npy is missing: make it with ms-coreset corrupt --dataset digitsC@x" in error


def test_training_on_attacked_images_makes_them_first(here, capsys):
    assert call("--dataset digitsA --epoch 2", "train") == 0
    said = capsys.readouterr().err
    assert "no base network in ckpt/digits/mlp" in said
    assert perturb("digitsA").manifest["checkpoint"] == "ckpt/digits/mlp/best.ckpt"
