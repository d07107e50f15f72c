"""``extract_from``: any network, any loader; whole files, and the same bytes after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction import growing

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402  after the check that torch is there

nn = torch.nn
RNG = np.random.RandomState(0)
X, Y = RNG.randn(23, 6).astype(np.float32), np.arange(23) % 3


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3))


def batches(size=4, labels=True):
    return [(X[i:i + size], Y[i:i + size]) if labels else X[i:i + size] for i in range(0, len(X), size)]


def by_hand(module):
    """(features, logits) in evaluation mode."""
    module.eval()
    with torch.no_grad():
        features = module[:-1](torch.from_numpy(X))
        return features.numpy(), module[-1](features).numpy()


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Killed(Exception):
    """A process that ends, as far as one process can try it."""


def stopping(given, after):
    for number, batch in enumerate(given):
        if number == after:
            raise Killed
        yield batch


LOADERS = {
    "DataLoader": lambda: DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=4),
    "arrays": batches,
    "a generator": lambda: (batch for batch in batches()),
    "lists": lambda: [[torch.from_numpy(x), y.tolist()] for x, y in batches()]}


@pytest.mark.parametrize("loader", LOADERS)
def test_any_loader_gives_what_the_network_says(tmp_path, loader):
    module = network().train()
    evidence = mc.extract_from(module, LOADERS[loader](), tmp_path)
    assert module.training and module[1].training
    features, logits = by_hand(module)
    np.testing.assert_allclose(evidence.features, features, atol=1e-6)
    np.testing.assert_allclose(evidence.logits, logits, atol=1e-6)
    np.testing.assert_array_equal(evidence.labels, Y)
    assert sorted(files_of(tmp_path)) == ["extraction.json", "features.npy", "labels.npy", "logits.npy"]
    assert np.load(tmp_path / "labels.npy").dtype == np.int64


def test_a_cell_and_mindspore_s_own_data_set(tmp_path):
    mindspore = pytest.importorskip("mindspore")
    cell = mindspore.nn.SequentialCell(mindspore.nn.Dense(6, 5), mindspore.nn.ReLU(), mindspore.nn.Dropout(p=0.5),
                                       mindspore.nn.Dense(5, 3)).set_train()
    data = mindspore.dataset.NumpySlicesDataset((X, Y.astype(np.int32)), ["x", "y"], shuffle=False).batch(4)
    whole = mc.extract_from(cell, data, tmp_path / "whole")
    assert cell.training
    cell.set_train(False)
    features = cell[2](cell[1](cell[0](mindspore.Tensor(X))))
    np.testing.assert_allclose(whole.features, features.asnumpy(), atol=1e-6)
    np.testing.assert_allclose(whole.logits, cell[3](features).asnumpy(), atol=1e-6)
    np.testing.assert_array_equal(whole.labels, Y)
    named = mc.extract_from(cell, data.create_tuple_iterator(num_epochs=1), tmp_path / "named", features="0")
    np.testing.assert_allclose(named.features, cell[0](mindspore.Tensor(X)).asnumpy(), atol=1e-6)


def test_features_of_a_layer_are_laid_out_in_rows(tmp_path):
    module = nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(24, 3))
    evidence = mc.extract_from(module, batches(), tmp_path, features="1")
    expected = module[:2](torch.from_numpy(X)).detach().numpy().reshape(23, -1)
    np.testing.assert_allclose(evidence.features, expected, atol=1e-6)


def test_features_of_a_function(tmp_path):
    module = network()

    def hidden(model, inputs):
        return model[:1](inputs)

    def both(model, inputs):
        return model[:1](inputs), model(inputs) * 2

    alone = mc.extract_from(module, batches(labels=False), tmp_path / "alone", features=hidden)
    assert alone.labels is None and alone.logits is None
    np.testing.assert_allclose(alone.features, module[:1](torch.from_numpy(X)).detach(), atol=1e-6)
    paired = mc.extract_from(module, batches(), tmp_path / "both", features=both)
    np.testing.assert_allclose(paired.logits, by_hand(module)[1] * 2, atol=1e-6)


def test_another_function_of_the_same_name_is_refused(tmp_path):
    mc.extract_from(network(), batches(), tmp_path, features=lambda model, x: model(x))
    mc.extract_from(network(), batches(), tmp_path, features=lambda module, given: module(given))
    with pytest.raises(MsCoresetError, match="extracted with features"):
        mc.extract_from(network(), batches(), tmp_path, features=lambda model, x: model[:1](x))


def test_only_what_is_needed_and_in_half_the_bytes(tmp_path):
    evidence = mc.extract_from(network(), batches(), tmp_path, need=("features",), dtype="float16")
    assert evidence.logits is None and evidence.features.dtype == np.float16
    np.testing.assert_allclose(evidence.features, by_hand(network())[0], atol=1e-3)


def test_bfloat16_s_answers_become_float32(tmp_path):
    module = nn.Sequential(nn.Linear(6, 3)).bfloat16()
    given = [torch.from_numpy(x).bfloat16() for x, _ in batches()]
    evidence = mc.extract_from(module, given, tmp_path)
    assert evidence.features.dtype == np.float32
    np.testing.assert_allclose(evidence.features, X, rtol=0.01)


def test_the_logits_of_transformers_outputs(tmp_path):
    class Output(dict):
        @property
        def logits(self):
            return self["logits"]

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = network()

        def forward(self, x):
            return Output(logits=self.inside(x))

    evidence = mc.extract_from(Wrapped(), batches(), tmp_path)
    np.testing.assert_allclose(evidence.logits, by_hand(network())[1], atol=1e-6)


@pytest.mark.parametrize("after", [0, 1, 3, 6])
@pytest.mark.parametrize("interval", [0, 1000])
def test_interrupted_anywhere_it_becomes_the_same_bytes(tmp_path, monkeypatch, after, interval):
    monkeypatch.setattr(growing, "_SAVE_INTERVAL", interval)
    mc.extract_from(network(), batches(), tmp_path / "whole")
    with pytest.raises(Killed):
        mc.extract_from(network(), stopping([*batches(), None], after), tmp_path / "again")
    assert not list((tmp_path / "again").glob("*.npy"))
    asked = []

    class Counting(nn.Sequential):
        def forward(self, x):
            asked.append(len(x))
            return super().forward(x)

    mc.extract_from(Counting(*network()), batches(), tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(tmp_path / "whole")
    assert len(asked) == (6 if interval else 6 - after)


def test_a_killed_process_goes_on(tmp_path):
    """With SIGKILL, between two batches of a second each."""
    program = """
import sys, time
sys.path[:0] = sys.argv[2:]
from test_any_model import batches, mc, network
def slow():
    for number, batch in enumerate(batches()):
        if number > 3:
            print(number, flush=True)
            time.sleep(60)
        time.sleep(0.4)
        yield batch
mc.extract_from(network(), slow(), sys.argv[1])
"""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", program, str(tmp_path / "killed"), str(root / "tests"), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    note = json.loads((tmp_path / "killed" / ".extraction" / growing.NOTE).read_text())
    assert 1 <= note["batches"] <= 4 and not note["whole"]
    mc.extract_from(network(), batches(), tmp_path / "killed")
    mc.extract_from(network(), batches(), tmp_path / "whole")
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_a_kill_while_the_files_are_moved(tmp_path, monkeypatch):
    replace, moved = os.replace, []

    def once(source, target):
        if str(source).endswith(".npy") and len(moved) == 1:
            raise Killed
        moved.append(source) if str(source).endswith(".npy") else None
        replace(source, target)

    monkeypatch.setattr(growing.os, "replace", once)
    with pytest.raises(Killed):
        mc.extract_from(network(), batches(), tmp_path)
    monkeypatch.undo()
    mc.extract_from(network(), batches(), tmp_path)
    assert sorted(files_of(tmp_path)) == ["extraction.json", "features.npy", "labels.npy", "logits.npy"]


def test_a_whole_folder_is_opened_and_nothing_asked(tmp_path):
    module = network()
    first = mc.extract_from(module, batches(), tmp_path)
    given = stopping(batches(), 1)  # no second batch is taken
    second = mc.extract_from(module, given, tmp_path)
    np.testing.assert_array_equal(first.features, second.features)


@pytest.mark.parametrize(("options", "message"), [
    ({"model": network(1)}, "extracted with weights"),
    ({"features": "0"}, "extracted with features None, not '0'"),
    ({"features": lambda model, x: x}, r"extracted with features None, not '<lambda>\(\) \w{8}'"),
    ({"dtype": "float16"}, "extracted with dtype 'float32', not 'float16'"),
    ({"loader": batches()[::-1]}, "other batches than those in the folder"),
    ({"loader": batches(size=5)}, "other batches than those in the folder")])
@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_of_something_else_is_refused(tmp_path, monkeypatch, options, message, whole):
    monkeypatch.setattr(growing, "_SAVE_INTERVAL", 0)
    if whole:
        mc.extract_from(network(), batches(), tmp_path)
    else:
        with pytest.raises(Killed):
            mc.extract_from(network(), stopping(batches(), 3), tmp_path)
    given = {"model": network(), "loader": batches(), **options}
    with pytest.raises(MsCoresetError, match=message):
        mc.extract_from(given.pop("model"), given.pop("loader"), tmp_path, **given)


def test_a_loader_that_ends_too_early_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "_SAVE_INTERVAL", 0)
    with pytest.raises(Killed):
        mc.extract_from(network(), stopping(batches(), 3), tmp_path)
    with pytest.raises(MsCoresetError, match="gives 2 batches, 3 before"):
        mc.extract_from(network(), batches()[:2], tmp_path)


@pytest.mark.parametrize(("model", "loader", "options", "message"), [
    (lambda: (lambda x: x), batches, {}, "must be a torch.nn.Module or a mindspore.nn.Cell, got function"),
    (network, lambda: 5, {}, "loader must give batches"),
    (network, lambda: [], {}, "the loader gives 0 batches"),
    (network, lambda: [(X, Y, Y)], {}, "a batch of 3 parts"),
    (network, lambda: [(X, Y / 2)], {}, "labels float64"),
    (network, lambda: [(X, Y[:5])], {}, "5 labels for 23 samples"),
    (network, lambda: [(X, Y), X], {}, "batch 1 gives features, logits, those before features, logits, labels"),
    (network, batches, {"need": ("colors",)}, "can't extract colors"),
    (network, batches, {"need": ()}, "can't extract nothing"),
    (network, batches, {"dtype": "float8"}, "dtype 'float8'"),
    (network, batches, {"features": "head"}, "has no layer 'head'; its layers: 0, 1, 2, 3, 4"),
    (network, batches, {"features": lambda model, x: ()}, "must return features"),
    (network, batches, {"features": lambda model, x: x.sum()}, r"features float32 of shape \(\)"),
    (network, batches, {"features": lambda model, x: x * 1e6, "dtype": "float16"}, "too large for float16"),
    (network, batches, {"features": lambda model, x: x / 0}, "not finite"),
    (lambda: nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 4), nn.Flatten(0)), batches, {}, "does not end with a linear"),
    (lambda: nn.Sequential(nn.ReLU()), batches, {}, "does not end with a linear"),
    (lambda: nn.LSTM(6, 3), batches, {}, "returns a tuple, no tensor"),
    (network, lambda: DataLoader(TensorDataset(torch.from_numpy(X)), 4, shuffle=True), {}, "the loader shuffles"),
    (network, lambda: DataLoader(TensorDataset(torch.from_numpy(X)), 4, drop_last=True), {}, "leaves out the last")])
def test_what_can_t_be_meant_is_refused(tmp_path, model, loader, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.extract_from(model(), loader(), tmp_path, **options)
    assert not list(tmp_path.glob("*.npy"))


def test_a_damaged_note_says_what_to_do(tmp_path):
    mc.extract_from(network(), batches(), tmp_path)
    (tmp_path / growing.NOTE).write_text('{"made_from": 3}')
    with pytest.raises(MsCoresetError, match="damaged: delete"):
        mc.extract_from(network(), batches(), tmp_path)


@pytest.mark.parametrize(("loader", "told"), [(batches, "extract: 3 of 6 batches"), (
    lambda: (batch for batch in batches()), "extract: 3 batches, ")])
def test_how_far_it_is_is_told_also_where_nobody_knows_how_much_there_is(tmp_path, monkeypatch, capsys, loader, told):
    monkeypatch.setattr("ms_coreset.progress.LINE_INTERVAL", 0)
    mc.extract_from(network(), loader(), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6 and lines[2].startswith(told)
    assert ("minutes left" in lines[2]) == ("of 6" in told)


def test_memory_does_not_grow_with_the_data(tmp_path):
    """Of 200 MB of features no more than a few batches are in memory."""
    import resource

    model = nn.Sequential(nn.Linear(6, 25_000), nn.ReLU(), nn.Linear(25_000, 2))
    given = [(np.repeat(X[:1], 100, axis=0), np.zeros(100, int))] * 20
    mc.extract_from(model, given[:2], tmp_path / "first")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mc.extract_from(model, given, tmp_path / "whole")
    assert np.load(tmp_path / "whole" / "features.npy", mmap_mode="r").nbytes == 200_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # KB


def test_the_folder_is_data_for_commands(tmp_path):
    mc.extract_from(network(), batches(), tmp_path / "mine")
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, str(root / "scripts" / "select.py"), "--dataset", "arrays", "--data",
                           "mine", "--method", "el2n", "--rate", "0.4"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stderr
    coreset = mc.Coreset.load(next((tmp_path / "index").glob("*.npz")))
    evidence = mc.extract_from(network(), batches(), tmp_path / "mine")
    expected = mc.select("el2n", evidence, rate=0.4)
    assert sorted(coreset.indices) == sorted(expected.indices)
