"""Who is told of epochs and runs: hooks, TensorBoard, Weights & Biases, MindInsight."""

import json
import struct

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.trackers import Hooks

EPOCHS = [{"epoch": 1, "loss": 2.0, "lr": 0.1, "test_accuracy": 0.25}, {"epoch": 2, "loss": 1.5, "lr": 0.05}]
RECORD = {"dataset": "toy", "seed": 3, "seconds": 4.5, "last": {"accuracy": 0.5, "per_class": {"a": 0.1}},
          "best": None, "history": EPOCHS, "recipe": {"lr": 0.1}, "kept": True}


def tell(hooks, folder):
    with hooks.of_run("toy / mlp", folder) as told:
        for entry in EPOCHS:
            told.on_epoch(entry)
        told.on_run(RECORD)


def test_hooks_get_what_results_hold_and_trackers_write_nothing_unasked(tmp_path):
    heard = []
    tell(Hooks(heard.append, heard.append), tmp_path)
    assert heard == [{"run": "toy / mlp", **what} for what in (*EPOCHS, RECORD)]
    assert not list(tmp_path.iterdir())
    with pytest.raises(MsCoresetError, match="track 'x': must be one of tensorboard, wandb, mindinsight"):
        Hooks(track=("x",))


def test_tensorboard_has_every_number_at_its_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    tell(Hooks(track=("tensorboard",)), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "toy-mlp"))
    events.Reload()
    found = {tag: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
             for tag in events.Tags()["tensors"]}
    assert found == {"loss": [(1, 2.0), (2, 1.5)], "lr": [(1, pytest.approx(0.1)), (2, pytest.approx(0.05))],
                     "test_accuracy": [(1, 0.25)], "run/seed": [(2, 3.0)], "run/seconds": [(2, 4.5)],
                     "run/last/accuracy": [(2, 0.5)]}


@pytest.mark.slow
def test_weights_and_biases_keeps_the_run_on_this_machine(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    begun, begin = [], wandb.init

    def begin_and_watch(**options):
        run = begin(**options)
        finish = run.finish
        run.finish = lambda: begun.append((run.offline, run.name, run.project, dict(run.config))) or finish()
        return run

    monkeypatch.setattr(wandb, "init", begin_and_watch)
    tell(Hooks(track=("wandb",)), tmp_path)
    assert begun == [(True, "toy / mlp", "ms-coreset", {"recipe": {"lr": 0.1}, "seed": 3})]
    (written,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert all(name in written.read_bytes() for name in (b"loss", b"test_accuracy", b"run/last/accuracy"))


@pytest.mark.slow
@pytest.mark.mindspore
def test_mindinsight_s_summary_has_the_numbers(tmp_path):
    pb = pytest.importorskip("mindspore.train.summary_pb2", exc_type=ImportError)
    tell(Hooks(track=("mindinsight",)), tmp_path)
    (path,) = (tmp_path / "mindinsight" / "toy-mlp").iterdir()
    content, events = path.read_bytes(), []
    while content:  # of each record: its length, a checksum, itself, a checksum
        (size,) = struct.unpack("<Q", content[:8])
        events.append(pb.Event.FromString(content[12:12 + size]))
        content = content[16 + size:]
    found = {(value.tag, event.step): value.scalar_value for event in events for value in event.summary.value}
    assert found["loss", 1] == 2.0 and found["loss", 2] == 1.5 and found["run/last/accuracy", 2] == 0.5


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A data set of 40 images in a file, as the options that name it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.RandomState(0)
    np.savez("toy.npz", images=rng.randint(0, 256, (40, 8, 8), np.uint8), labels=np.arange(40) % 2,
             test_images=rng.randint(0, 256, (10, 8, 8), np.uint8), test_labels=np.arange(10) % 2)
    return {"data": "toy.npz", "framework": "torch", "epochs": 2, "validation": 0.0}


@pytest.mark.slow
def test_a_study_tells_of_its_trainings_and_runs_once(toy, tmp_path):
    pytest.importorskip("torch")
    epochs, runs = [], []
    study = {"datasets": ["arrays"], "methods": ["random"], "samplers": [], "rates": [0.5], "seeds": [0, 1],
             "archs": ["mlp"], "save": "study", "on_epoch": epochs.append, "on_run": runs.append, **toy}
    result = mc.run_study(**study)
    assert [run["status"] for run in runs] == ["done"] * 2 and len({run["run"] for run in runs}) == 2
    assert [(entry["run"], entry["epoch"]) for entry in epochs] == [(run["run"], epoch) for run in runs
                                                                    for epoch in (1, 2)]
    assert [run["accuracy"] for run in runs] == [record["accuracy"] for record in result.records]
    mc.run_study(**study)
    assert len(runs) == 2  # they are done


@pytest.mark.slow
def test_the_command_writes_beside_its_result(toy, tmp_path):
    pytest.importorskip("tensorboard")
    words = [word for name, value in toy.items() for word in (f"--{name}", str(value))]
    assert main(["--dataset", "arrays", *words, "--arch", "mlp", "--track", "tensorboard"], "train") == 0
    assert len([*tmp_path.glob("ckpt/arrays-toy/mlp-torch/tensorboard/*/events.out.*")]) == 1
    assert len(json.loads((tmp_path / "ckpt/arrays-toy/mlp-torch/result.json").read_text())["history"]) == 2
