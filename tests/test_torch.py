"""``--framework torch``: whole commands with networks that PyTorch trains and asks, and what it refuses."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset import batches
from ms_coreset.batches import ahead_in_thread
from ms_coreset.cli import main
from ms_coreset.engines import torch_engine
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import weights_digest
from ms_coreset.jobs.base_network import training_notes
from ms_coreset.networks import _NETWORKS, register_network
from ms_coreset.networks.weights import network_from_weights, read_checkpoint
from ms_coreset.training.dynamics import FIELDS

torch = pytest.importorskip("torch")

# What a new process does first: MindSpore can't be had.
BLOCKED = "import sys; sys.modules['mindspore'] = None\nfrom ms_coreset.cli import main\n"
QUICK = "--framework torch --dataset digits --device cpu --arch mlp"


def without_mindspore(*lines, expected=0, cwd=None):
    """What a new process prints that runs these command lines, one after the other."""
    program = BLOCKED + f"for line in {lines!r}:\n    code = main(line.split())\n    if code: sys.exit(code)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, timeout=300)
    assert done.returncode == expected, done.stderr
    return done


def call(line):
    return main(shlex.split(line))


def refused(capsys, line):
    """The one line that a command is refused with."""
    assert call(line) == 2
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    return errors[0].removeprefix("error: ")


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """(a folder where ``select`` ran without MindSpore, what it printed)."""
    folder = tmp_path_factory.mktemp("selected")
    return folder, without_mindspore(f"select {QUICK} --rate 0.2 --epoch 3", cwd=folder)


@pytest.fixture
def selected_here(selected, here):
    shutil.copytree(selected[0], here, dirs_exist_ok=True)
    return here


# Whole commands

def test_select_trains_asks_and_tells_by_what(selected):
    folder, done = selected
    assert "no base network in ckpt/digits/mlp-torch: training mlp first (3 epochs on 1437 samples" in done.stderr
    assert "base network: ckpt/digits/mlp-torch/best.pth (3 epochs, seed 0)" in done.stderr
    assert "next: ms-coreset train --dataset digits --coreset index/digits-moderate-0.2.npz --framework torch" in (
        done.stdout)
    manifest = mc.Coreset.load(folder / "index/digits-moderate-0.2.npz").manifest
    assert manifest["versions"] == {"ms_coreset": mc.__version__, "mindspore": None, "torch": torch.__version__,
                                    "numpy": np.__version__}
    assert (manifest["device"], manifest["arguments"]["framework"]) == ("CPU", "torch")
    assert {path.name for path in (folder / "ckpt/digits/mlp-torch/dynamics").iterdir()} == {
        f"{name}.npy" for name in (*FIELDS, "divergence")}


def test_every_command_goes_without_mindspore(here):
    done = without_mindspore(
        f"train {QUICK} --epoch 2 --seed 1", f"train {QUICK} --epoch 3 --seed 1 --model-dir other --validation 0.2",
        f"score {QUICK} --epoch 2 --seed 1 --scores el2n forgetting center_distance deepfool --top-m 2 --pool 60",
        f"select {QUICK} --epoch 2 --rate 0.2 --method ccs --balance",
        f"train {QUICK} --epoch 2 --coreset index/digits-ccs-balanced-0.2.npz",
        f"train {QUICK} --epoch 2 --reselect-every 1 --method gradmatch --rate 0.1 --no-save --result again.json",
        f"attack {QUICK} --epoch 2 --attack pgd --steps 2",
        f"select {QUICK.replace('digits', 'digitsA')} --epoch 1 --rate 0.1 --method random",
        f"experiment {QUICK} --epoch 1 --methods random el2n --rates 0.1 --save study")
    assert "4 scores of 60 samples of digits" in done.stdout and "2 of 2 runs done" in done.stdout
    assert "1,437 images attacked, pgd" in done.stdout
    assert np.isfinite(np.load("scores/digits-mlp-torch.npz")["deepfool"]).all()
    assert json.loads(Path("again.json").read_text())["reselection"]["method"] == "gradmatch"
    assert not list(here.rglob("*.ckpt"))


def test_again_asks_what_is_there_and_repeats_to_the_byte_or_trains_the_same_but_for_rounding(selected_here, capsys):
    path = selected_here / "index/digits-moderate-0.2.npz"
    assert call(f"select --from-manifest {path}") == 0
    said = capsys.readouterr()
    assert "the same coreset now, byte for byte" in said.out and "training mlp" not in said.err
    first = mc.Coreset.load(path)
    shutil.rmtree("ckpt"), shutil.rmtree("cache")
    again = mc.run_selection(dataset="digits", rate=0.2, framework="torch", device="cpu", arch="mlp", epochs=3)
    np.testing.assert_array_equal(again.coreset.indices, first.indices)
    # MKL takes fewer threads where others are busy, which changes the order of its sums.
    np.testing.assert_allclose(again.coreset.scores, first.scores, rtol=1e-5)


def test_framework_alone_says_that_a_network_is_to_be_asked(here):
    made = mc.run_selection(dataset="digits", rate=0.1, framework="torch", epochs=1, pool=100)
    assert made.coreset.method == "moderate"
    assert made.coreset.manifest["checkpoint"] == "ckpt/digits-pool100/mlp-torch/best.pth"


@pytest.mark.mindspore
def test_both_frameworks_choose_the_same_and_their_files_are_not_one_another_s(selected_here):
    by_torch = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert call("select --dataset digits --arch mlp --rate 0.2 --epoch 3 --save other") == 0
    assert all(path.read_bytes() == content for path, content in by_torch.items())
    assert len(list(Path("cache").iterdir())) == 2
    assert Path("ckpt/digits/mlp/best.ckpt").is_file()
    ours, theirs = (mc.Coreset.load(f"{folder}/digits-moderate-0.2.npz") for folder in ("index", "other"))
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    assert ours.scores.tobytes() != theirs.scores.tobytes()  # another network, to the last bits


@pytest.mark.mindspore
def test_the_same_weights_have_evidence_of_each_framework(selected_here):
    """What PyTorch wrote, MindSpore reads; the cache tells whose answers it holds."""
    split = mc.load_dataset("digits", "data", train=True)
    path = Path("ckpt/digits/mlp-torch/best.pth")
    networks = [network_from_weights(path, 8, framework=framework) for framework in ("torch", "mindspore")]
    found = [mc.extract(network, split, cache="both") for network in networks]
    assert len(list(Path("both").iterdir())) == 2
    for name in ("features", "logits"):
        ours, theirs = (getattr(evidence, name) for evidence in found)
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    mc.save_weights(networks[1], "back.ckpt")
    back = network_from_weights("back.ckpt", 8, framework="torch")
    assert weights_digest(back) == weights_digest(networks[0]) == weights_digest(networks[1])


def test_a_study_of_each_framework_is_done_anew(here, capsys):
    line = "experiment --dataset digits --arch mlp --epoch 1 --methods random --rates 0.1 --save study --device cpu "
    assert call(line + "--framework torch") == 0
    assert call(line + "--framework torch --dry-run") == 0
    assert "1 runs: 1 done" in capsys.readouterr().out
    assert call(line + "--dry-run") == 0
    assert "1 runs: 0 done" in capsys.readouterr().out
    record = json.loads(Path("study/runs.jsonl").read_text())
    assert "--framework torch" in record["command"] and record["versions"]["torch"] == torch.__version__


def test_a_study_trains_with_torch_what_random_patches_chose_and_what_it_prepares(tmp_path):
    """Without MindSpore: the attacked images that the study makes first are of torch's network, too."""
    line = ("experiment --dataset digits digitsA@pgd --evidence patches --filters 20 --arch mlp --epoch 1 --pool 200 "
            "--methods el2n --rates 0.1 --device cpu --framework torch --save study --config study.yaml")
    (tmp_path / "study.yaml").write_text("prepare: [attack --dataset digitsA@pgd --arch mlp --epoch 1]\n")
    without_mindspore(line, cwd=tmp_path)
    records = [json.loads(text) for text in (tmp_path / "study/runs.jsonl").read_text().splitlines()]
    assert {record["dataset"] for record in records} == {"digits", "digitsA@pgd"}


# Files

def test_checkpoints_are_torch_s_and_hold_what_resuming_needs(selected):
    folder = selected[0] / "ckpt/digits/mlp-torch"
    best, last = (torch.load(folder / name, weights_only=True) for name in ("best.pth", "last.pth"))
    network = mc.create_network("mlp", 10, 1, image_size=8, framework="torch")
    network.module.load_state_dict(best["state_dict"])
    assert json.loads(best["notes"]) == {"network": network.description}
    assert last["optimizer"].keys() == {f"velocity.{name}" for name, _ in network.module.named_parameters()}
    notes = training_notes(folder / "best.pth")
    assert (notes["epoch"], notes["epochs"], len(notes["history"])) == (3, 3, 3)
    assert notes["run"]["network"] == {**network.description, "framework": "torch"}


@pytest.mark.parametrize("content", ["[1]", "{", '"text"'])
def test_notes_that_are_none_are_refused(content, tmp_path):
    torch.save({"state_dict": {"fc.weight": torch.ones(2, 2)}, "notes": content}, tmp_path / "last.pth")
    with pytest.raises(MsCoresetError, match=r"last.pth is not a whole torch checkpoint: its notes are no"):
        read_checkpoint(tmp_path / "last.pth")


def test_a_stranger_s_file_is_recognized_without_mindspore(here):
    """By its weights alone, in torchvision's names and in those of other programs; a head may lack."""
    module = mc.create_network("resnet18", 10, 1, image_size=8, width=8, seed=3, framework="torch").module
    torch.save({"model": module.state_dict(), "epoch": 7}, "net.pth")
    torch.save({name: tensor for name, tensor in module.state_dict().items() if not name.startswith("fc.")}, "body.pth")
    done = without_mindspore(*(f"select {QUICK.replace('--arch mlp', '')} --rate 0.1 --ckpt {name}.pth --save {name}"
                               for name in ("net", "body")))
    assert "body.pth has no last layer: its features serve" in done.stderr
    found = [mc.Coreset.load(f"{name}/digits-moderate-0.1.npz") for name in ("net", "body")]
    assert found[0].scores.tobytes() == found[1].scores.tobytes()


WAYS = [("vgg11", {}), ("vgg11", {"batch_norm": False}), ("resnet50", {"width": 8, "variant": "imagenet"}),
        ("preact_resnet18", {"width": 8}), ("senet18", {"width": 8}), ("wrn16_8", {}), ("mlp", {"width": 24}),
        ("airbench", {"width": 6}), ("lenet", {}), ("alexnet", {}), ("googlenet", {"variant": "imagenet", "aux": True}),
        ("shufflenet_v2", {}), ("mobilenet_v3_small", {}), ("efficientnet_b0", {})]


@pytest.mark.parametrize(("arch", "options"), WAYS, ids=[f"{arch} {options}" for arch, options in WAYS])
def test_networks_are_known_by_their_weights(arch, options):
    network = mc.create_network(arch, 7, 3, image_size=32, framework="torch", **options)
    shapes = {parameter.name: parameter.shape for parameter in network.get_parameters()}
    found = torch_engine().describe(shapes, image_size=32)
    assert found["arch"] == arch and found["num_classes"] == 7 and found["in_channels"] == 3
    assert found.items() >= options.items()
    assert torch_engine().describe({**shapes, "other.weight": (3, 3)}, image_size=32) == {}
    assert torch_engine().describe({}, image_size=32) == {}


@pytest.mark.parametrize("arch", [name for name in mc.list_networks() if name not in ("resnet152", "vgg19")])
def test_the_head_is_the_last_layer_that_is_passed(arch):
    narrow = {"width": 8} if "resnet" in arch else {}
    network = mc.create_network(arch, 4, 3, image_size=32, framework="torch", **narrow)
    network.set_train(False)
    images = torch.from_numpy(np.random.RandomState(0).standard_normal((2, 3, 32, 32)).astype(np.float32))
    with torch.no_grad():
        features = network.features(images)
        assert features.shape == (2, network.num_features)
        np.testing.assert_array_equal(network.head(features), network(images))
    assert network.head.out_channels == 4


# Images in files

def test_images_in_files_are_asked_and_trained_on_like_arrays(here):
    rng = np.random.RandomState(0)
    for number in range(24):
        path = here / "tree" / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.randint(0, 256, (16, 16, 3)).astype(np.uint8)).save(path)
    lazy = mc.load_dataset("folder", "tree", train=True, image_size=16)
    arrays = mc.Split("arrays", lazy.images[:], lazy.labels, classes=lazy.classes, mean=lazy.mean, std=lazy.std)
    recipe = mc.Recipe(arch="lenet", epochs=2, batch_size=8, lr=0.05, crop_scale=0.3, crop_size=16, flip=True)
    found = []
    for split in (lazy, arrays):
        network = mc.create_network("lenet", 3, 3, image_size=16, framework="torch")
        trained = mc.train(network, split, recipe, test=split)
        found.append((mc.extract(network, split, batch_size=5).logits, trained.dynamics.loss))
    assert lazy.lazy and not arrays.lazy
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("fails_at", [0, 3])
def test_what_fails_ahead_is_raised_where_the_batches_are_used(fails_at):
    class Source:
        def __len__(self):
            return 5

        def __getitem__(self, number):
            if number == fails_at:
                raise MsCoresetError(f"image {number} is broken")
            return np.zeros((1, 1)), np.zeros(1), np.full(1, number)

    seen = []
    with pytest.raises(MsCoresetError, match=f"image {fails_at} is broken"):
        for batch in ahead_in_thread(Source(), 8):
            seen.append(batch.rows[0])
    assert seen == list(range(fails_at))


def test_batches_that_are_left_are_not_prepared_any_more(monkeypatch):
    prepared = []

    class Source:
        def __len__(self):
            return 1000

        def __getitem__(self, number):
            prepared.append(number)
            return np.zeros((1, 1)), np.zeros(1), np.full(1, number)

    threads = threading.active_count()
    monkeypatch.setattr(batches, "QUEUE_BYTES", 32)
    reading = ahead_in_thread(Source(), 16)  # two of them wait
    assert next(reading).rows[0] == 0
    time.sleep(0.3)
    assert 2 <= len(prepared) <= 4
    reading.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads and len(prepared) <= 4


# Going on

INTERRUPTED = BLOCKED + """
from ms_coreset.training import loop
step = loop._Run._end_epoch
def end_epoch(self, epoch, *sums):
    step(self, epoch, *sums)
    if epoch == 2:
        print("third epoch", flush=True)
        import time; time.sleep(60)
loop._Run._end_epoch = end_epoch
sys.exit(main(sys.argv[1].split()))
"""


def test_ctrl_c_is_one_line_and_a_resumed_training_ends_like_an_uninterrupted(here):
    line = f"train {QUICK} --epoch 6 --validation 0.2"
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, line], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "third epoch\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith("interrupted; what was finished is kept")
    without_mindspore(f"{line} --resume", f"{line} --model-dir whole")
    resumed, whole = (read_checkpoint(f"{folder}/digits/mlp-torch/last.pth") for folder in ("ckpt", "whole"))
    assert resumed[1] == whole[1]
    assert {name: array.tobytes() for name, array in resumed[0].items()} == {
        name: array.tobytes() for name, array in whole[0].items()}
    for name in FIELDS:
        ours, theirs = (np.load(f"{folder}/digits/mlp-torch/dynamics/{name}.npy") for folder in ("ckpt", "whole"))
        np.testing.assert_array_equal(ours, theirs)


def test_it_is_not_resumed_with_other_options(here, capsys):
    assert call(f"train {QUICK} --epoch 1") == 0
    assert "last.pth: lr was 0.05, is 0.01 now" in refused(capsys, f"train {QUICK} --epoch 1 --lr 0.01 --resume")


# Refusals

@pytest.mark.parametrize(("line", "message"), [
    ("select --dataset digits --rate 0.2 --framework torch --device gpu",
     "unknown device 'gpu': with --framework torch there are auto, cpu, cuda, mps"),
    ("select --dataset digits --rate 0.2 --framework torch --device mps",
     f"device mps: PyTorch {torch.__version__} finds none here; available: cpu"),
    ("select --dataset digits --rate 0.2 --framework torch --evidence patches",
     "--framework is about networks: --evidence patches asks none"),
    ("select --dataset arrays --data known.npz --rate 0.2 --framework torch",
     "--framework torch is about networks: arrays-known brings no images to ask one about"),
    ("select --dataset digits --rate 0.2 --device cuda",
     "unknown device 'cuda': there are auto, CPU, GPU, Ascend; cuda is PyTorch's: --framework torch"),
    ("train --dataset digits --framework torch --arch resnet18 --width 8 --whiten --epoch 1 --lr inf", "recipe: lr"),
    ("train --dataset digits --framework torch --whiten", "recipe: whiten is true, but the network does not begin with "
     "a convolution"),
    ("train --dataset digits --framework torch --arch airbench --epoch 1", "image_size is 8, must be at least 9"),
    ("train --dataset digits --framework torch --lr 1e30 --epoch 1", "training diverged in epoch 1")])
def test_what_can_not_be_meant_is_refused_in_one_line(line, message, here, capsys):
    np.savez("known.npz", features=np.eye(6), labels=np.arange(6) % 2)
    assert message in refused(capsys, line)


def test_another_framework_is_refused(here):
    with pytest.raises(MsCoresetError, match="framework 'jax': must be one of mindspore, torch"):
        mc.run_selection(dataset="digits", rate=0.1, framework="jax")


def test_a_network_without_a_twin_is_refused(here, capsys):
    register_network("only_here")(lambda *sizes, seed: None)
    try:
        assert "there is no network only_here in PyTorch" in refused(
            capsys, "train --dataset digits --framework torch --arch only_here")
    finally:
        _NETWORKS.remove("only_here")


def test_without_torch_it_is_said_how_to_get_it(here):
    program = ("import sys, importlib.util as u; find = u.find_spec\n"
               "u.find_spec = lambda name, *more: None if name == 'torch' else find(name, *more)\n"
               "from ms_coreset.cli import main\nsys.exit(main(sys.argv[1].split()))")
    done = subprocess.run([sys.executable, "-c", program, f"train {QUICK}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ('error: --framework torch needs PyTorch, which is not installed: pip install '
                           '"ms-coreset[torch]"\n')


def test_processes_of_msrun_are_refused(here):
    program = BLOCKED + "sys.exit(main(sys.argv[1].split()))"
    done = subprocess.run([sys.executable, "-c", program, f"select {QUICK} --rate 0.2"], capture_output=True, text=True,
                          env={**os.environ, "RANK_SIZE": "2", "RANK_ID": "0"})
    assert done.returncode == 2
    assert done.stderr == "error: --framework torch: torchrun starts several processes of it; msrun is MindSpore's\n"


def test_a_gpu_that_this_torch_can_not_use_is_said(monkeypatch, caplog):
    monkeypatch.setattr("ms_coreset.engines.of_torch.nvidia_gpus", lambda: 2)
    assert torch_engine().set_device("auto", "float32") == "CPU"
    assert caplog.messages == [f"there are 2 NVIDIA GPUs here, which this PyTorch, {torch.__version__}, can't use: "
                               "computing on the CPU"]


# On an accelerator, by what is set

def test_cuda_computes_in_float32_and_repeats_itself_unless_told_otherwise(monkeypatch):
    """Nothing here was run on one."""
    calls, engine = [], type(torch_engine())()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *given, **more: calls.append((*given, more)))
    for precision, allowed in (("float32", False), ("fast", True)):
        assert engine.set_device("auto", precision) == "cuda"
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.benchmark
        assert mc.device.device_settings() == {"precision": precision, "deterministic": True}
    assert calls == [(True, {"warn_only": True})] * 2
    assert engine.device.type == "cuda"
    assert mc.set_device("CPU") == "CPU" and mc.device.device_settings() == {}


# PyTorch's speed

def test_what_slows_pytorch_is_set_for_mindspore_only():
    program = ("import os, ms_coreset as mc\nmc.create_network('lenet', 10, 1, framework='torch')\n"
               "print('ONEDNN_MAX_CPU_ISA' in os.environ)")
    settings = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings)
    assert done.stdout == "False\n", done.stderr
