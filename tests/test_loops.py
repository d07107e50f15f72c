"""The programs of the pages about other loops: they run, and after a kill they go on to the same weights."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
# What imports torchvision needs it beside whatever torch is installed; see torch_ref.torchvision_compat.
START = """import runpy, sys
try:
    from torch_ref.torchvision_compat import import_torchvision
    import_torchvision()
except ImportError:
    pass
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def programs(page):
    """Name -> text of each whole program of a page."""
    blocks = re.findall(r"```python\n(# (\S+\.py)\n.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.S)
    return {name: text for text, name in blocks}


def require(*packages):
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install ms-coreset[loops]")


def start(folder, program, text, launcher=()):
    """A process that runs a program in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / program).write_text(text)
    (folder / "start.py").write_text(START)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (folder / "errors.txt").open("w") as errors:
        return subprocess.Popen([sys.executable, *launcher, "start.py", program], cwd=folder, env=environment,
                                stdout=subprocess.PIPE, stderr=errors, text=True)


def finish(process, folder):
    """The lines about epochs that a process prints, which has to end well."""
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, (folder / "errors.txt").read_text()[-3000:]
    return [line for line in printed.splitlines() if line.startswith("epoch")]


def kill_at(process, line, folder):
    """Kill a process, and those that it has started, once it has printed a line that begins so."""
    for printed in process.stdout:
        if printed.startswith(line):
            break
    else:
        pytest.fail((folder / "errors.txt").read_text()[-3000:])
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in family:
        each.kill()
    psutil.wait_procs(family, timeout=60)
    process.communicate()


def torchrun():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free.getsockname()[1]}"


def weights_of_torch(folder, path, key):
    import torch

    state = torch.load(folder / path, weights_only=False, map_location="cpu")[key]
    return {name: tensor.numpy() for name, tensor in state.items()}


def weights_of_transformers(folder):
    from safetensors.numpy import load_file

    newest = max((folder / "kept").glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    return load_file(newest / "model.safetensors")


def weights_of_mindspore(folder):
    import mindspore

    return {name: value.asnumpy() for name, value in mindspore.load_checkpoint(str(folder / "last.ckpt")).items()}


LOOPS = {  # program -> what it needs, what starts it, its weights at last
    "ddp.py": (("torch",), torchrun, lambda folder: weights_of_torch(folder, "last.pt", "model")),
    "in_lightning.py": (("lightning",), tuple,
                        lambda folder: weights_of_torch(folder, "kept/last.ckpt", "state_dict")),
    "in_transformers.py": (("transformers", "accelerate"), tuple, weights_of_transformers),
    "in_mindspore.py": (("mindspore",), tuple, weights_of_mindspore)}


def test_every_program_of_the_page_is_tried():
    assert programs("loops.md").keys() == LOOPS.keys()


@pytest.mark.parametrize("program", LOOPS)
def test_killed_and_run_again_a_program_gives_the_same_weights(program, tmp_path):
    packages, launcher, weights = LOOPS[program]
    require(*packages)
    text, whole, killed = programs("loops.md")[program], tmp_path / "whole", tmp_path / "killed"
    printed = finish(start(whole, program, text, launcher()), whole)
    kill_at(start(killed, program, text, launcher()), "epoch 4", killed)
    again = finish(start(killed, program, text, launcher()), killed)
    assert 0 < len(again) < len(printed) and again == printed[-len(again):]
    expected, found = weights(whole), weights(killed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# Features

RECIPES = {  # program -> what it needs, what takes the place of downloaded weights and of large networks, columns
    "of_torchvision.py": (("torch", "torchvision"), {"resnet50(weights=weights)": "resnet18()"}, 512),
    "of_timm.py": (("timm",), {"vit_small_patch16_224": "vit_tiny_patch16_224", "pretrained=True": "pretrained=False"},
                   192),
    "of_open_clip.py": (("open_clip",), {'"ViT-B-32", pretrained="laion2b_s34b_b79k"': '"RN50", pretrained=None'},
                        1024),
    "of_transformers.py": (("transformers", "torchvision"), {
        "AutoModel.from_pretrained(name)":
            "Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2))",
        "AutoImageProcessor.from_pretrained(name)":
            "BitImageProcessor(size={'shortest_edge': 28}, crop_size={'height': 28, 'width': 28})",
        "AutoImageProcessor, AutoModel": "BitImageProcessor, Dinov2Config, Dinov2Model"}, 32),
    "of_mindspore.py": (("mindspore",), {}, 32)}


def test_every_recipe_of_the_page_is_tried():
    assert programs("features.md").keys() == RECIPES.keys()


def make_pictures(folder):
    rng = np.random.RandomState(0)
    for number in range(10):
        path = folder / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.randint(0, 256, (40, 50, 3), np.uint8)).save(path)


@pytest.mark.parametrize("program", RECIPES)
def test_a_recipe_writes_features_that_commands_choose_from(program, tmp_path):
    packages, changes, columns = RECIPES[program]
    require(*packages)
    text = programs("features.md")[program]
    for given, taken in changes.items():
        assert given in text
        text = text.replace(given, taken)
    make_pictures(tmp_path)
    finish(start(tmp_path, program, text), tmp_path)
    assert np.load(tmp_path / "features" / "features.npy").shape[1] == columns
    subprocess.run([sys.executable, "-m", "ms_coreset", "select", "--dataset", "arrays", "--data", "features",
                    "--method", "zcore", "--rate", "0.2"], cwd=tmp_path, check=True,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert len(list((tmp_path / "index").glob("*.npz"))) == 1
