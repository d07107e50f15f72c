"""The compiled update of training against the one that goes operation by operation, and mixed precision."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn
from test_distributed import OfRank
from test_training import RECIPE, Stopped, arrays_of, network_with_dropout, new_network, toy_split

import ms_coreset as mc
from ms_coreset import device
from ms_coreset.batches import Batch
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import layers_digest
from ms_coreset.networks.layers import Dropout
from ms_coreset.networks.weights import read_checkpoint
from ms_coreset.training import loop, step
from ms_coreset.training.dynamics import RECORDS, FieldRecorder
from ms_coreset.training.parallel import average_statistics
from ms_coreset.training.step import Compiled, MindSporeTrainer, lower

GIVEN_UP = "training is not compiled, which is slower on an accelerator: "


@pytest.fixture(autouse=True)
def as_by_default():
    yield mc.set_device("CPU")
    mc.set_device("CPU")


@pytest.fixture
def graphs(monkeypatch):
    """The batch sizes that graphs were made for, or None where that was given up, in order."""
    made, former = [], Compiled._compile

    def noting(self, shape, operands):
        found = former(self, shape, operands)
        made.append(None if self._given_up else shape[0][0])
        return found

    monkeypatch.setattr(Compiled, "_compile", noting)
    return made


def train(network, split, recipe, compile, **options):
    """The result of a training, with or without graphs."""
    mc.set_device("CPU", compile=compile)
    return mc.train(network, split, recipe, **options)


def assert_equal(first, second):
    """Two trainings did the same, to the last bit."""
    expected = arrays_of(second.network)
    for name, array in arrays_of(first.network).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    assert first.history == second.history
    for name in RECORDS:
        found, expected = (getattr(result.dynamics, name) for result in (first, second))
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_array_equal(found, expected, err_msg=name)


# The same numbers as without a graph

def pictures(n=5, size=32):
    images = np.random.RandomState(0).randint(0, 256, (n, size, size, 3)).astype(np.uint8)
    return mc.Split("toy", images, np.arange(n) % 3, classes=tuple("abc"), mean=(0.4,) * 3, std=(0.3,) * 3)


QUICK = ("mlp", "lenet", "airbench")  # the last has normalisation, and a layer that is fixed; dropout follows below
# One of every kind of block.
KINDS = ["resnet18", "senet18", "alexnet", "mobilenet_v3_small", "shufflenet_v2", *(
    pytest.param(name, marks=pytest.mark.exhaustive) for name in (
        "resnet50", "preact_resnet18", "wide_resnet50_2", "vgg11", "googlenet", "inception_v3", "efficientnet_b0"))]


@pytest.mark.parametrize("name", QUICK)
def test_small_networks_learn_the_same(name, graphs):
    learns_the_same(name)
    assert graphs == [3, 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_networks_of_every_kind_learn_the_same(name):
    """Each in a process of its own, since MindSpore keeps graphs, gigabytes of some networks, until a process ends."""
    program = ("import warnings\nimport test_step\nfrom ms_coreset.errors import MsCoresetWarning\n"
               f"warnings.simplefilter('error', MsCoresetWarning)\ntest_step.learns_the_same({name!r})")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent, timeout=600)


# A graph adds up what flows back from their branches in another order.
BRANCHED = ("googlenet", "inception_v3")


def learns_the_same(name):
    """Four updates by batches of two sizes, with and without graphs; of branched networks one, but for rounding."""
    branched = name in BRANCHED
    options = {"width": 4} if "resnet" in name or name in ("senet18", "mlp", "airbench") else {}
    split = pictures(size=75 if name.startswith("inception") else 32)
    recipe = mc.Recipe(arch=name, epochs=1 if branched else 2, batch_size=5 if branched else 3, lr=0.01,
                       whiten=name == "airbench")
    results = [train(mc.create_network(name, 3, 3, image_size=split.image_size, seed=1, **options), split, recipe,
                     compile) for compile in ("off", "on")]
    if not branched:
        assert_equal(*results)
        return
    expected = arrays_of(results[0].network)
    for key, array in arrays_of(results[1].network).items():
        np.testing.assert_allclose(array, expected[key], rtol=0, atol=1e-4 * np.abs(expected[key]).max(), err_msg=key)


@pytest.mark.parametrize("options", [
    {"schedule": "multistep", "milestones": (1, 2), "momentum": 0.0}, {"schedule": "linear", "warmup": 0.3},
    {"nesterov": True, "clip_norm": 0.1, "weight_decay": 0.01, "validation": 0.2}])
@pytest.mark.parametrize("weighted", [False, True])
def test_schedules_optimizers_and_weights(options, weighted, graphs):
    weights = np.random.RandomState(0).rand(40) if weighted else None
    recipe = dataclasses.replace(RECIPE, **options)
    results = [train(new_network(), toy_split(), recipe, compile, seed=3, weights=weights, test=toy_split(seed=9))
               for compile in ("off", "on")]
    assert graphs == ([16] if "validation" in options else [16, 8])
    assert_equal(*results)


def test_a_batch_without_weight():
    weights = np.zeros(40)
    weights[0] = 2
    assert_equal(*(train(new_network(), toy_split(), RECIPE, compile, weights=weights) for compile in ("off", "on")))


def test_a_coreset_that_is_chosen_anew(graphs):
    """Whole and last batches, first of all samples, then of coresets with weights."""
    from ms_coreset.training.adaptive import Reselection

    reselection = Reselection.by("craig", rate=0.55, every=2, warm=1)
    recipe = RECIPE.override(epochs=4)
    assert_equal(*(train(new_network(), toy_split(), recipe, compile, reselection=reselection)
                   for compile in ("off", "on")))
    assert graphs == [16, 8, 16, 6]


def test_no_more_graphs_than_the_most(monkeypatch):
    monkeypatch.setattr(step, "MOST_GRAPHS", 2)

    def double(x):
        return x * 2

    made = Compiled(double)
    for n in (2, 3, 4, 2, 4):
        np.testing.assert_array_equal(made(Tensor(np.arange(n, dtype=np.float32))).asnumpy(), 2.0 * np.arange(n))
    assert [shape[0] for shape in made._graphs] == [(2,), (3,)]


@pytest.mark.parametrize(("network", "options"), [(network_with_dropout, {}), (network_with_dropout, {"amp": True})])
def test_a_resumed_training_ends_like_one_that_was_not_stopped(network, options, tmp_path, monkeypatch):
    recipe, record = dataclasses.replace(RECIPE, **options), FieldRecorder.record
    straight = train(network(), toy_split(), recipe, "on", folder=tmp_path / "a")

    def stop_in_the_third_epoch(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == 2:
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(FieldRecorder, "record", stop_in_the_third_epoch)
        train(network(), toy_split(), recipe, "on", folder=tmp_path / "b")
    assert_equal(train(network(seed=8), toy_split(), recipe, "on", folder=tmp_path / "b", resume=True), straight)
    first, second = (read_checkpoint(tmp_path / run / "last.ckpt")[0] for run in "ab")
    assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_goes_on_with_or_without_graphs(tmp_path):
    """Whether it compiles is not part of what it is."""
    train(new_network(), toy_split(), RECIPE, "on", folder=tmp_path)
    before = read_checkpoint(tmp_path / "last.ckpt")[1]
    again = train(new_network(seed=8), toy_split(), RECIPE, "off", folder=tmp_path, resume=True)
    assert again.history == before["history"] and "compile" not in before["run"]


# Dropout

def test_dropout_draws_anew_for_every_update(graphs):
    """One batch again and again, by a rate that moves nothing: only the masks differ, and are those without a graph."""
    recipe = mc.Recipe(arch="mlp", epochs=4, batch_size=40, lr=1e-30, weight_decay=0.0)
    results = [train(network_with_dropout(), toy_split(), recipe, compile) for compile in ("off", "on")]
    assert graphs == [40]
    assert_equal(*results)
    losses = results[1].dynamics.loss
    assert all((losses[epoch] != losses[other]).any() for epoch in range(4) for other in range(epoch))


def test_the_network_is_as_before():
    """No parameters more, no settings; and it draws by itself again."""
    network, other = network_with_dropout(), network_with_dropout()
    names, layers = list(arrays_of(network)), layers_digest(other)
    train(network, toy_split(), RECIPE, "on")
    assert list(arrays_of(network)) == names and layers_digest(network) == layers
    network.set_train(True)
    images = Tensor(np.ones((4, 1, 8, 8), np.float32))
    assert (network(images).asnumpy() != network(images).asnumpy()).any()


class Untried(nn.Cell):
    """A network whose code MindSpore can't compile, with dropout."""

    def __init__(self):
        super().__init__()
        self.inner = network_with_dropout()

    @property
    def head(self):
        return self.inner.head

    def construct(self, x):
        try:
            return self.inner(x)
        finally:
            pass


class Drawing(Untried):
    """One that draws random numbers by itself, which a graph would take for constants."""

    def construct(self, x):
        return self.inner(x) * Tensor(np.random.rand(1).astype(np.float32))


class Twice(Untried):
    """One that passes its dropout twice."""

    def construct(self, x):
        return self.inner(x) + self.inner(x)


@pytest.mark.parametrize(("network", "reason"), [
    (Untried, "MindSpore can't compile it (Unsupported statement 'Try'.)"),
    (Twice, "images pass one layer of dropout more than once")])
def test_what_does_not_compile_goes_as_it_would_without(network, reason, graphs, caplog, here):
    """From the first update on, with the same draws; that is said once."""
    results = [train(network(), toy_split(), RECIPE, compile, seed=2) for compile in ("off", "on")]
    assert graphs == [None]
    assert caplog.messages == [GIVEN_UP + reason]
    assert_equal(*results)


def test_a_network_that_draws_by_itself_is_not_compiled(graphs, caplog):
    results = []
    for compile in ("off", "on"):
        np.random.seed(0)
        results.append(train(Drawing(), toy_split(), RECIPE.override(epochs=1), compile))
    assert graphs == [None] and "it draws random numbers of its own" in caplog.text
    assert_equal(*results)


@pytest.mark.parametrize(("error", "passes"), [
    (KeyboardInterrupt(), True), (MsCoresetError("ours"), True), (MemoryError(), True), (SystemExit(3), True),
    (RuntimeError("Device(id:0) memory isn't enough and alloc failed, kernel name: MatMul"), True),
    (RuntimeError("CUDA error: out of memory"), True), (RuntimeError("std::bad_alloc"), True),
    (RuntimeError("Launch kernel failed\n\nmindspore/ccsrc/runtime/core/kernel_actor.cc:95 Run"), True),
    (RuntimeError("Unsupported statement 'Try'."), False), (TypeError("issubclass() arg 1 must be a class"), False),
    (ValueError("For 'Conv2D', ..."), False), (NotImplementedError("no kernel"), False)])
def test_only_what_compiling_raises_is_caught(error, passes, monkeypatch, caplog):
    def failing(*operands):
        raise error

    monkeypatch.setattr(mindspore, "jit", lambda function, **options: failing)
    made = Compiled(lambda x: x + 1)
    one = Tensor(np.ones(2, np.float32))
    if passes:
        with pytest.raises(type(error)):
            made(one)
        assert not caplog.messages
    else:
        assert made(one).asnumpy().tolist() == [2, 2] and made(one).asnumpy().tolist() == [2, 2]
        assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0]


# On several ranks

@pytest.mark.parametrize("amp", [False, True])
def test_ranks_compile_what_lies_around_the_exchange(amp, monkeypatch):
    """Three updates of one of two ranks, which here sums with itself alone, and averages statistics in between."""
    monkeypatch.setattr(OfRank, "sum", lambda self, tensor: tensor)
    rng = np.random.RandomState(0)
    batches = [Batch(rng.randn(3, 3, 12, 12).astype(np.float32), rng.randint(0, 3, 6).astype(np.int32), np.arange(6))
               for _ in range(3)]

    def learn(compile):
        mc.set_device("CPU", compile=compile)
        network = mc.create_network("airbench", 3, 3, image_size=12, width=4, seed=1).set_train(True)
        ranks = OfRank(0, 2)
        trainer = MindSporeTrainer(network, mc.Recipe(arch="airbench", epochs=1, amp=amp), ranks)
        for batch in batches:
            loss, _ = trainer.step(batch, None, 0.01)
            average_statistics(network, ranks)
        return {"loss": loss.asnumpy(), **arrays_of(network), **trainer.state()}

    slow, fast = learn("off"), learn("on")
    for name, array in slow.items():
        np.testing.assert_allclose(fast[name], array, rtol=0, atol=0.05 * np.abs(array).max() if amp else 0,
                                   err_msg=name)


# Mixed precision

@pytest.mark.parametrize("compile", ["off", "on"])
def test_mixed_precision_learns_nearly_the_same_and_writes_float32(compile, tmp_path, graphs):
    recipe = dataclasses.replace(RECIPE, amp=True, validation=0.2)
    whole = train(new_network(), toy_split(), recipe.override(amp=False), "off", folder=tmp_path / "float32")
    mixed = train(new_network(), toy_split(), recipe, compile, folder=tmp_path / "amp")
    assert None not in graphs and bool(graphs) == (compile == "on")
    assert {str(parameter.dtype) for parameter in mixed.network.get_parameters()} == {"Float32"}
    for name, array in arrays_of(whole.network).items():
        other = arrays_of(mixed.network)[name]
        assert 0 < np.abs(other - array).max() < 2e-3
    for name in ("best", "last"):
        arrays, notes = read_checkpoint(tmp_path / "amp" / f"{name}.ckpt")
        assert {array.dtype for key, array in arrays.items() if not key.endswith("age")} == {np.dtype(np.float32)}
    assert notes["run"]["amp"] is True
    assert mixed.dynamics.loss.dtype == np.float32
    np.testing.assert_allclose(mixed.dynamics.loss, whole.dynamics.loss, atol=5e-3)
    # It is asked in float32, as the file is that was written of it.
    read = mc.load_weights(new_network(), tmp_path / "amp" / "last.ckpt")
    asked = [mc.extract(network, toy_split()).logits for network in (mixed.network, read)]
    np.testing.assert_array_equal(*asked)


def test_a_lowered_network_computes_in_float16_by_the_same_parameters():
    network = mc.create_network("airbench", 3, 3, image_size=12, width=4, seed=1).set_train(True)
    twin = lower(network).set_train(True)
    assert {id(parameter) for parameter in twin.get_parameters()} == {
        id(parameter) for parameter in network.get_parameters()}
    images = Tensor(np.random.RandomState(0).randn(4, 3, 12, 12).astype(np.float32))
    whole, half = network(images).asnumpy(), twin(images).asnumpy()
    assert half.dtype == np.float32
    assert 0 < np.abs(half - whole).max() < 1e-2 * np.abs(whole).max()


@pytest.mark.parametrize("compile", ["off", "on"])
def test_an_update_that_overflows_is_left_out_and_the_scale_halved(compile, monkeypatch):
    monkeypatch.setattr(step, "FIRST_SCALE", 2.0**60)
    mc.set_device("CPU", compile=compile)
    network = new_network().set_train(True)
    before = arrays_of(network)
    trainer = MindSporeTrainer(network, dataclasses.replace(RECIPE, amp=True), OfRank(0, 1))
    batch = Batch(np.random.RandomState(0).randn(6, 1, 8, 8).astype(np.float32), np.arange(6, dtype=np.int32) % 3,
                  np.arange(6))
    loss, _ = trainer.step(batch, None, 0.1)
    state = trainer.state()
    assert np.isfinite(loss.asnumpy()) and state["loss_scale"] == 2.0**59
    assert not state["loss_scale_age"].any()
    for name, array in before.items():
        np.testing.assert_array_equal(arrays_of(network)[name], array)
        assert not state[f"velocity.{name}"].any()


def test_mixed_precision_is_part_of_a_run_and_without_it_nothing_is_new(tmp_path):
    mixed = dataclasses.replace(RECIPE, amp=True)
    assert "amp" not in RECIPE.as_dict() and mixed.as_dict() == {**RECIPE.as_dict(), "amp": True}
    for name, first, second in (("a", mixed, RECIPE), ("b", RECIPE, mixed)):
        mc.train(new_network(), toy_split(), first.override(epochs=1), folder=tmp_path / name)
        with pytest.raises(MsCoresetError, match=f"amp was {first.amp}, is {second.amp} now"):
            mc.train(new_network(), toy_split(), second.override(epochs=1), folder=tmp_path / name, resume=True)


# What is read when

@pytest.mark.parametrize("together", [2, 100])
def test_losses_that_are_read_together_are_the_same(together, monkeypatch, tmp_path):
    """Also of weighted samples, in two epochs of three batches, in a file of every epoch."""
    first = mc.train(network_with_dropout(), toy_split(), RECIPE, seed=1, folder=tmp_path / "a")
    sizes, read = [], loop._Unread.read
    monkeypatch.setattr(loop, "steps_between_reads", lambda *_: together)
    monkeypatch.setattr(loop._Unread, "read", lambda self: sizes.append(len(self)) or read(self))
    assert_equal(mc.train(network_with_dropout(), toy_split(), RECIPE, seed=1, folder=tmp_path / "b"), first)
    assert sizes == ([2, 1] if together == 2 else [3]) * RECIPE.epochs


def test_a_training_that_diverges_ends_before_it_writes(monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "steps_between_reads", lambda *_: 100)
    with pytest.raises(MsCoresetError, match="training diverged in epoch 1 "):
        mc.train(new_network(), toy_split(), dataclasses.replace(RECIPE, lr=1e30), folder=tmp_path)
    assert not list(tmp_path.glob("*.ckpt"))


def test_an_accelerator_is_read_less_often_but_holds_no_more_than_a_queue_of_images(monkeypatch):
    split, large = toy_split(), toy_split(size=512)
    assert loop.steps_between_reads(new_network(), split, RECIPE) == 1
    engine = SimpleNamespace(device_name="cuda")
    monkeypatch.setattr(loop, "engine_of", lambda network: engine)
    assert loop.steps_between_reads(None, split, RECIPE) == 16
    assert loop.steps_between_reads(None, large, dataclasses.replace(RECIPE, batch_size=128)) == 2


# How it is asked for

@pytest.mark.parametrize(("mode", "where", "expected"), [
    ("auto", "CPU", False), ("auto", "GPU", True), ("auto", "Ascend", True), ("on", "CPU", True),
    ("off", "Ascend", False)])
def test_which_devices_compile(mode, where, expected, monkeypatch):
    mc.set_device("CPU", compile=mode)
    monkeypatch.setattr(device, "current_device", lambda: where)
    assert device.compiles() is expected


def test_a_device_that_is_refused_changes_nothing(monkeypatch):
    monkeypatch.setattr(device, "available_devices", lambda: ["CPU"])
    with pytest.raises(MsCoresetError, match="device GPU is not available"):
        mc.set_device("GPU", compile="on")
    assert not device.compiles()
    with pytest.raises(MsCoresetError, match="unknown compile 'yes': there are auto, on, off"):
        mc.set_device("CPU", compile="yes")


def test_commands_compile(here, graphs, capsys):
    """``train`` and ``select`` as typed: the same network and coreset with graphs as without."""
    typed = ["--dataset", "digitsN", "--arch", "mlp", "--width", "16", "--epoch", "2", "--device", "cpu"]
    for compile in ("off", "on"):
        folders = ["--model-dir", f"ckpt-{compile}", "--compile", compile]
        assert main(["train", *typed, *folders, "--result", f"{compile}.json"]) == 0
        assert main(["select", *typed, *folders, "--rate", "0.1", "--save", f"index-{compile}", "--cache",
                     f"cache-{compile}"]) == 0
    assert graphs and None not in graphs
    assert "not compiled" not in capsys.readouterr().err
    slow, fast = (json.loads(Path(f"{compile}.json").read_text()) for compile in ("off", "on"))
    assert slow["history"] == fast["history"] and slow["recipe"] == fast["recipe"]
    one, two = (mc.Coreset.load(next(Path(f"index-{compile}").glob("*.npz"))) for compile in ("off", "on"))
    assert one.indices.tobytes() == two.indices.tobytes() and one.scores.tobytes() == two.scores.tobytes()


def test_calls_take_both_and_a_network_by_mixed_precision_is_told(here, graphs, capsys):
    asked = {"dataset": "digits", "rate": 0.1, "arch": "mlp", "width": 16, "epochs": 1, "device": "cpu", "save": None}
    mc.run_selection(**asked, compile="on", amp=True)
    assert graphs and read_checkpoint("ckpt/digits/mlp-w16/last.ckpt")[1]["run"]["amp"] is True
    assert "it was trained with" not in capsys.readouterr().err
    mc.run_selection(**asked)
    assert "it was trained with amp True, not False" in capsys.readouterr().err


def test_pytorch_compiles_nothing(here, capsys):
    pytest.importorskip("torch")
    typed = ["train", "--dataset", "digits", "--arch", "mlp", "--epoch", "1", "--device", "cpu", "--framework", "torch"]
    assert main([*typed, "--compile", "on"]) == 2
    assert "--framework torch compiles nothing" in capsys.readouterr().err
    assert not list(here.rglob("*.pth"))
    assert main([*typed, "--compile", "off", "--no-save", "--result", "r.json"]) == 0


def test_pytorch_computes_in_bfloat16_and_keeps_float32():
    torch = pytest.importorskip("torch")
    from ms_coreset.engines.of_torch import ENGINE

    split = toy_split(size=16, channels=3)
    seen, gradients = [], {}
    for amp in (False, True):
        network = ENGINE.create_network("airbench", 3, 3, image_size=16, seed=0, width=4)
        network.module.group1.conv1.register_forward_hook(lambda layer, given, result: seen.append(result.dtype))
        recipe = mc.Recipe(arch="airbench", epochs=1, batch_size=20, lr=0.01, amp=amp)
        trainer = network.trainer(recipe)
        images = split.images.transpose(0, 3, 1, 2).astype(np.float32) / 255
        loss, logits, gradients[amp] = trainer.backward(images, split.labels, None)
        assert {loss.dtype, logits.dtype, *(gradient.dtype for gradient in gradients[amp])} == {torch.float32}
        trainer.update(gradients[amp], 0.01)
        assert all(parameter.asnumpy().flags.c_contiguous for parameter in network.get_parameters())
    assert seen == [torch.float32, torch.bfloat16]
    exact, mixed = (torch.cat([gradient.flatten() for gradient in gradients[amp]]) for amp in (False, True))
    assert 0 < (exact - mixed).norm() < 0.3 * exact.norm()


def test_dropout_masks_have_one_number_for_what_is_dropped_together():
    for per, shape in (("entry", (2, 3, 4, 5)), ("channel", (2, 3, 1, 1)), ("sample", (2, 1, 1, 1))):
        layer = Dropout(0.5, per)
        layer.rng = np.random.RandomState(3)
        drawn = np.random.RandomState(3).random_sample(shape)
        np.testing.assert_array_equal(layer.draw((2, 3, 4, 5)), np.where(drawn < 0.5, 0, 2))
