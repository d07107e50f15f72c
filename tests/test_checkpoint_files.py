"""The readers of .pth, .ckpt and .safetensors, against what torch, MindSpore and safetensors wrote."""

import argparse
import collections
import datetime
import decimal
import io
import json
import pathlib
import struct
import types
import zipfile

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.mindspore_files import read_entries
from ms_coreset.networks.parameter_names import to_torch_names
from ms_coreset.networks.torch_files import read_state
from ms_coreset.networks.weights import network_from_weights, read_checkpoint, read_weights, write_checkpoint
from ms_coreset.safetensors_files import read_tensors

torch = pytest.importorskip("torch")

KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")


def store(path, value, former=False):
    torch.save(value, path, _use_new_zipfile_serialization=not former)
    return path


def state():
    """Tensors of all kinds, of none and of many dimensions, turned, parts of others, and shared."""
    torch.manual_seed(0)
    tensors = {kind: (10 * torch.randn(2, 3)).to(getattr(torch, kind)) for kind in KINDS}
    whole = torch.arange(24.0).reshape(4, 6)
    return collections.OrderedDict({
        **tensors, "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4), "turned": whole.T, "part": whole[1:3, ::2],
        "again": whole, "parameter": torch.nn.Parameter(torch.ones(2)), "four": torch.randn(2, 3, 1, 2)})


@pytest.mark.parametrize("former", [False, True])
@pytest.mark.parametrize("wrapped", [None, "state_dict", "model_state_dict", "model", "net"])
def test_state_dicts_are_read_as_torch_reads_them(tmp_path, former, wrapped):
    value = state() if wrapped is None else {"epoch": 3, "best": 0.5, "names": ["a"], wrapped: state()}
    read = read_state(store(tmp_path / "net.pth", value, former))
    wanted = torch.load(tmp_path / "net.pth", weights_only=False)
    wanted = wanted if wrapped is None else wanted[wrapped]
    assert list(read) == list(wanted)
    for name, tensor in wanted.items():
        expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
        assert read[name].dtype == expected.dtype and read[name].flags.c_contiguous
        assert read[name].dtype.isbuiltin  # MindSpore 2.7.1 knows no float32 that names its byte order
        np.testing.assert_array_equal(read[name], expected)


@pytest.mark.parametrize("former", [False, True])
def test_a_modules_own_state_dict_is_read(tmp_path, former):
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    read = read_state(store(tmp_path / "net.pth", module.state_dict(), former))
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(read[name], tensor.numpy())


@pytest.mark.parametrize("former", [False, True])
@pytest.mark.parametrize(("value", "message"), [
    ({"a": torch.eye(2).to_sparse()}, r"torch\._utils\._rebuild_sparse_tensor"),
    ({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, r"torch\._utils\._rebuild_qtensor"),
    (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"), ({"a": torch.zeros(1), "b": 3}, "no state dict"),
    ({"a": torch.zeros(1).expand(1000, 1000)}, "shape .1000, 1000. in 1 numbers"), ([torch.zeros(1)], "no state dict"),
    ({3: torch.zeros(1)}, "no state dict"), ({"a": torch.zeros(2, device="meta")}, "meta|torch|storage")])
def test_what_is_no_plain_state_dict_is_refused(tmp_path, value, message, former):
    with pytest.raises(MsCoresetError, match=message):
        read_state(store(tmp_path / "net.pth", value, former))


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path):
    """torch itself does not compare the archive's checksums."""
    path = store(tmp_path / "net.pth", {"a": torch.full((1000,), 0.5)})
    content = bytearray(path.read_bytes())
    place = content.index(np.float32(0.5).tobytes() * 10)
    content[place + 40] ^= 1
    path.write_bytes(content)
    assert not (torch.load(path, weights_only=True)["a"] == 0.5).all()
    with pytest.raises(MsCoresetError, match="Bad CRC-32"):
        read_state(path)


@pytest.mark.parametrize("former", [False, True])
def test_tensors_that_all_view_the_same_numbers_are_refused(tmp_path, former):
    """A file of megabytes could name one tensor a million times; weights that two layers share are read."""
    whole = torch.ones(1000)
    assert len(read_state(store(tmp_path / "tied.pth", {str(place): whole for place in range(16)}, former))) == 16
    with pytest.raises(MsCoresetError, match="its tensors use its 1,000 numbers more than 16 times each"):
        read_state(store(tmp_path / "net.pth", {str(place): whole for place in range(17)}, former))


def test_archives_that_torch_does_not_write_are_refused(tmp_path):
    whole = store(tmp_path / "net.pth", {"a": torch.ones(100)}).read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    (tmp_path / "net.pth").write_bytes(stream.getvalue())
    with pytest.raises(MsCoresetError, match="is compressed, which torch never does"):
        read_state(tmp_path / "net.pth")


def test_what_mindspore_wrote_is_read(tmp_path):
    import mindspore
    from mindspore import Tensor

    rng = np.random.RandomState(0)
    kinds = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
    arrays = {kind: (10 * rng.randn(2, 3)).astype(kind) for kind in kinds} | {"scalar": np.float32(2.5)}
    path = str(tmp_path / "net.ckpt")
    for checked in (False, True):
        mindspore.save_checkpoint([{"name": name, "data": Tensor(array)} for name, array in arrays.items()], path,
                                  append_dict={"words": "naïve", "epoch": 3}, crc_check=checked)
        entries = read_entries(path)
        loaded = mindspore.load_checkpoint(path)
        assert entries.keys() == loaded.keys() and entries["words"] == loaded["words"] == "naïve"
        for name, array in arrays.items():
            assert entries[name].dtype == array.dtype and entries[name].shape == loaded[name].shape
            np.testing.assert_array_equal(entries[name], loaded[name].asnumpy())
        assert int(entries["epoch"]) == 3


def test_a_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "net.ckpt"
    write_checkpoint(path, {"a": np.full(1000, 0.5, np.float32)}, {"epoch": 1})
    assert read_checkpoint(path)[1] == {"epoch": 1}
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(0.5).tobytes() * 10) + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(MsCoresetError, match="its checksum differs"):
        read_checkpoint(path)


@pytest.mark.parametrize(("notes", "message"), [
    ({"network": {"arch": "mlp", "num_classes": 10**9, "width": 3}}, "no array bears out its num_classes, 1000000000"),
    ({"network": {"arch": "mlp", "num_classes": 2, "width": 10**8}}, "no array bears out its width, 100000000"),
    ({"network": {"arch": "mlp", "num_classes": "2"}}, "no array bears out its num_classes, '2'"),
    ({"network": {"arch": "nothing", "num_classes": 2}}, "unknown network 'nothing'"),
    ({"network": {"arch": "mlp"}}, "num_classes None"), ({"network": [1]}, "no network known here"),
    ([1, 2], "its notes are no mapping")])
def test_notes_that_lie_build_no_network(tmp_path, notes, message):
    """A network of a thousand million classes would take all memory, before its weights are found not to fit."""
    shapes = {"fc1.weight": (3, 16), "fc1.bias": (3,), "fc2.weight": (3, 3), "fc2.bias": (3,), "fc3.weight": (2, 3),
              "fc3.bias": (2,)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    path = tmp_path / "net.ckpt"
    write_checkpoint(path, arrays, {})
    assert network_from_weights(path, 4, 1).num_features == 3
    write_checkpoint(path, arrays, json.loads(json.dumps(notes)))
    with pytest.raises(MsCoresetError, match=message):
        network_from_weights(path, 4, 1)


# Networks as other programs keep them


def arrays_of(network):
    return {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}


@pytest.fixture(scope="module")
def arrays():
    """Those of a ResNet-18 of 5 classes."""
    return arrays_of(mc.create_network("resnet18", 5, 3, image_size=8, width=2, seed=1))


@pytest.fixture(scope="module")
def target():
    """A network to load them into."""
    return mc.create_network("resnet18", 5, 3, image_size=8, width=2, seed=2)


def tensors(arrays):
    return {name: torch.tensor(array) for name, array in to_torch_names(arrays).items()}


def below(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def another(state):
    return {name: value + 1 for name, value in state.items()}


def relabel(state, *pairs):
    for ours, theirs in pairs:
        state = {name.replace(ours, theirs): value for name, value in state.items()}
    return state


OPTIMIZER = {"state": {0: {"momentum_buffer": np.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "backbone.", "net.", "resnet.",
            "module.encoder_q.", "network.backbone.", "anything.at.all.")
WRAPPED = ("state_dict", "state_dict_ema", "model_ema", "model", "model_state", "model_state_dict", "weights", "params",
           "network", "module", "net", "checkpoint", "my_resnet")
FORMS = {
    **{f"prefix {prefix}": lambda state, prefix=prefix: below(prefix, state) for prefix in PREFIXES},
    **{f"under {key}": lambda state, key=key: {key: below("module.", state), "epoch": 3, "optimizer": OPTIMIZER}
       for key in WRAPPED},
    "nested": lambda state: {"checkpoint": {"model": state}, "epoch": 3},
    "averaged": lambda state: {"n_averaged": torch.tensor(5), **below("module.", state)},
    "no batches": lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
    "head in a sequence": lambda state: relabel(state, ("fc.", "fc.1.")),
    "CIFAR ResNets' names": lambda state: relabel(state, ("fc.", "linear."), ("downsample", "shortcut")),
    "mindcv's names": lambda state: relabel(state, ("fc.", "classifier."), ("downsample", "down_sample")),
    "NumPy arrays": lambda state: {name: value.numpy() for name, value in state.items()},
}
# The same where something else lies beside them: the words of the note.
CHOICES = {
    "EMA under a key": (lambda state: {"state_dict_ema": another(state), "state_dict": state}, "state_dict_ema"),
    "torchvision's EMA": (lambda state: {"model": another(state), "model_ema": below("module.", state)}, "model"),
    "EMA by names": (lambda state: {**below("model.", state), **below("ema_model.module.", another(state))},
                     "ema_model"),
    "momentum encoder": (lambda state: {"state_dict": {
        **below("module.encoder_k.", another(state)), **below("module.encoder_q.", state),
        "module.queue": torch.zeros(4, 4), "module.queue_ptr": torch.zeros(1)}}, "encoder_k, queue"),
    "a loss beside": (lambda state: {**below("model.", state), "criterion.weight": torch.ones(5)}, "criterion"),
    "head beside": (lambda state: {"queue": torch.ones(5), **relabel(below("backbone.", state),
                                                                     ("backbone.fc.", "head.fc."))}, "queue"),
}


def assert_same(found, arrays):
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("form", FORMS)
def test_networks_are_found_in_what_programs_keep(tmp_path, arrays, target, form):
    notes = []
    path = store(tmp_path / "net.pth", FORMS[form](tensors(arrays)))
    found, description = read_weights(path, notes.append)
    assert_same(found, arrays)
    assert description["arch"] == "resnet18" and description["num_classes"] == 5 and notes == []
    assert_same(arrays_of(mc.load_weights(target, path)), arrays)


@pytest.mark.parametrize("form", CHOICES)
def test_what_is_left_out_is_told(tmp_path, arrays, target, form):
    """Of plain and averaged weights the plain ones are taken."""
    notes, (make, words) = [], CHOICES[form]
    path = store(tmp_path / "net.pth", make(tensors(arrays)))
    assert_same(read_weights(path, notes.append)[0], arrays)
    assert len(notes) == 1 and f"left out: {words}" in notes[0]
    assert_same(arrays_of(mc.load_weights(target, path)), arrays)


@pytest.mark.parametrize("former", [False, True])
@pytest.mark.parametrize("value", [
    argparse.Namespace(lr=0.1, layers=[1, 2]), types.SimpleNamespace(a=1), pathlib.PurePosixPath("/x"),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.date(2024, 1, 2), torch.device("cpu"), torch.float32,
    torch.Size([1, 2]), torch.strided, collections.defaultdict(list, {3: [1]}), collections.OrderedDict({3: 1}),
    collections.Counter("aab"), collections.deque([1, 2]), {1, 2}, frozenset({1}), 1j, slice(1, 2), range(3),
    bytearray(b"ab"), decimal.Decimal("0.1"), np.float64(0.5), np.float32, np.dtype("f4"), float, np.zeros(3)])
def test_what_is_harmless_beside_the_weights_is_passed_over(tmp_path, value, former):
    state = {"fc.weight": torch.ones(2, 3)}
    path = store(tmp_path / "net.pth", {"args": value, "state_dict": state, "more": [{"x": (value, value)}]}, former)
    assert_same(read_state(path), {"fc.weight": np.ones((2, 3), np.float32)})


def test_what_stands_for_harmless_classes_keeps_nothing_and_is_no_weight(tmp_path):
    with pytest.raises(MsCoresetError, match="holds no state dict"):
        read_state(store(tmp_path / "net.pth", {"a": torch.ones(1), "b": argparse.Namespace(lr=0.1)}))
    with pytest.raises(MsCoresetError, match=r"names enum\.auto.*torch\.save\(model\.state_dict\(\)"):
        import enum
        read_state(store(tmp_path / "net.pth", {"state_dict": {"a": torch.ones(1)}, "b": enum.auto}))


def test_several_state_dicts_of_equal_right_are_refused_by_name(tmp_path):
    state = {"conv1.weight": torch.ones(1)}
    with pytest.raises(MsCoresetError, match="the state dicts first, second; a file of one of them is read"):
        read_state(store(tmp_path / "net.pth", {"first": state, "second": state}))


def test_dictionaries_that_hold_each_other_end(tmp_path):
    """As a tree these would be 2 ** 60 dictionaries."""
    content: dict = {"epoch": 1}
    for _ in range(60):
        content = {"model": content, "net": content}
    content["state_dict"] = content
    with pytest.raises(MsCoresetError, match="holds no state dict"):
        read_state(store(tmp_path / "net.pth", content))


@pytest.mark.parametrize("name", ["net.pth.tar", "net.ckpt", "net", "net.safetensors"])
def test_the_content_tells_what_a_file_is(tmp_path, arrays, name):
    """Lightning's .ckpt is torch's archive; MindSpore's checkpoints are read under any name."""
    path = store(tmp_path / name, {"state_dict": below("model.", tensors(arrays)), "pytorch-lightning_version": "2.0"})
    assert_same(read_weights(path)[0], arrays)
    write_checkpoint(tmp_path / "mine.ckpt", arrays, {})
    (tmp_path / "mine.ckpt").rename(path)
    assert_same(read_weights(path)[0], arrays)
    for content in (b"", b"nonsense" * 9, bytes(100)):
        path.write_bytes(content)
        with pytest.raises(MsCoresetError, match=r"is neither a whole \.ckpt of MindSpore nor"):
            read_weights(path)


def test_networks_without_a_last_layer_give_their_features(tmp_path, arrays):
    """Also where a projection of another shape takes its place."""
    from mindspore import Tensor

    images = Tensor(np.random.RandomState(0).rand(2, 3, 8, 8).astype(np.float32))
    body = {name: tensor for name, tensor in tensors(arrays).items() if not name.startswith("fc.")}
    whole = network_from_weights(store(tmp_path / "whole.pth", tensors(arrays)), 8).set_train(False)
    for state in (body, {**body, "fc.0.weight": torch.ones(16, 16), "fc.2.weight": torch.ones(4, 16)}):
        notes = []
        path = store(tmp_path / "body.pth", below("backbone.", state))
        network = network_from_weights(path, 8, log=notes.append).set_train(False)
        np.testing.assert_array_equal(network.features(images).asnumpy(), whole.features(images).asnumpy())
        assert notes[-1].endswith("has no last layer: its features serve, logits it has none")
        assert not network(images).asnumpy().any() and network.description["num_classes"] == 1
        assert read_weights(path, notes.append)[1]["num_classes"] == 0
    lacking = {name: tensor for name, tensor in body.items() if not name.startswith("layer3.1.conv2")}
    with pytest.raises(MsCoresetError, match=r"lacks layer3\.1\.conv2\.weight"):
        network_from_weights(store(tmp_path / "less.pth", lacking), 8)


def test_networks_of_none_known_say_what_would_work(tmp_path):
    path = store(tmp_path / "net.pth", {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)})
    with pytest.raises(MsCoresetError, match=r"no network known here \(a\.bias, a\.weight\): .* given as arrays"):
        network_from_weights(path, 8)
    assert read_weights(path)[0].keys() == {"a.weight", "a.bias"}  # as it is called, to convert it


def test_a_registered_networks_own_names_are_kept(tmp_path):
    """Names that other libraries' spellings, or shared prefixes, would change."""
    from mindspore import Parameter, Tensor, nn

    class Own(nn.Cell):
        def __init__(self, value):
            super().__init__()
            self.net = nn.CellDict({"shortcut": nn.Dense(2, 2), "linear": nn.Dense(2, 2)})
            self.scale = Parameter(Tensor(np.full(1, value, np.float32)), name="scale")

    first, second = Own(3), Own(4)
    for name in ("own.pth", "own.ckpt"):
        mc.save_weights(first, tmp_path / name)
        assert_same(arrays_of(mc.load_weights(second, tmp_path / name)), arrays_of(first))


# MindSpore's own


def mindspore_forms(arrays):
    trained = {name: array for name, array in arrays.items() if "moving" not in name}
    numbers = {"learning_rate": np.float32(0.1), "global_step": np.array([3], np.int32), "beta1_power": np.float32(0.9)}
    return {
        "moments": ({**arrays, **below("moments.", trained), **numbers}, ["moments"]),
        "Adam": ({**arrays, **below("adam_m.", trained), **below("adam_v.", trained), **numbers}, ["adam_m, adam_v"]),
        "network.": (below("network.", arrays), []), "backbone.": (below("network.backbone.", arrays), []),
        "prefix and moments": ({**below("network.", arrays), **below("moments.network.", trained), **numbers},
                               ["moments"]),
        "EMA": ({**arrays, **below("ema.", another(arrays)), "updates": np.float32(1)}, ["ema"]),
        "EMA alone": ({**below("ema.", arrays), "updates": np.float32(1)}, []),
        "mindcv": (relabel(arrays, ("fc.", "classifier."), ("downsample", "down_sample")), []),
    }


@pytest.mark.parametrize("form", mindspore_forms({}))
def test_training_checkpoints_of_mindspore_are_read(tmp_path, arrays, target, form):
    import mindspore

    path, notes = tmp_path / "net.ckpt", []
    kept, left = mindspore_forms(arrays)[form]
    mindspore.save_checkpoint([{"name": name, "data": mindspore.Tensor(array)} for name, array in kept.items()],
                              str(path), append_dict={"epoch_num": 3, "acc": 0.5, "name": "x", "done": True})
    found, description = read_weights(path, notes.append)
    assert_same(found, arrays)
    assert description["arch"] == "resnet18" and [note.rpartition(": ")[2] for note in notes] == left
    assert_same(arrays_of(mc.load_weights(target, path)), arrays)


# .safetensors


def bundle(header, content=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def test_what_safetensors_wrote_is_read(tmp_path, arrays):
    save_file = pytest.importorskip("safetensors.torch").save_file
    kinds = [kind for kind in KINDS if kind != "complex64"]
    kept = {**{kind: (10 * torch.randn(2, 3)).to(getattr(torch, kind)) for kind in kinds}, "empty": torch.zeros(0, 4),
            "scalar": torch.tensor(3.5)}
    save_file(kept, tmp_path / "some.safetensors", metadata={"format": "pt"})
    found = read_tensors(tmp_path / "some.safetensors")
    assert_same(found, {name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
                        for name, tensor in kept.items()})
    assert all(found[kind].dtype == kind for kind in kinds if kind != "bfloat16")
    save_file(below("resnet.", tensors(arrays)), tmp_path / "net.safetensors")
    assert_same(read_weights(tmp_path / "net.safetensors")[0], arrays)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(("content", "message"), [
    (bundle({"a": ENTRY}, bytes(4)), "its tensors take 8 bytes of 4"),
    (bundle({"a": ENTRY}, bytes(12)), "its tensors take 8 bytes of 12"),
    (bundle({"a": {**ENTRY, "shape": [3]}}, bytes(8)), r"'a' of shape \[3\] has 8 bytes"),
    (bundle({"a": {**ENTRY, "shape": [-2]}}, bytes(8)), r"'a' of shape \[-2\]"),
    (bundle({"a": {**ENTRY, "shape": [2.0]}}, bytes(8)), r"'a' of shape \[2.0\]"),
    (bundle({"a": ENTRY, "b": ENTRY}, bytes(8)), "do not follow one another at 8"),
    (bundle({"a": {**ENTRY, "data_offsets": [-8, 0]}}), "do not follow one another at 0"),
    (bundle({"a": {**ENTRY, "dtype": "F8_E4M3"}}, bytes(8)), "is of type 'F8_E4M3'"),
    (bundle(b'{"a":1,"a":2}'), "names something twice"), (bundle({}), "it is empty"), (bundle({"a": 1}), "whole"),
    (bundle(b"{nonsense"), "whole .safetensors file"), (bundle(b"[" * 5000), "whole .safetensors file"),
    (struct.pack("<Q", 10**9) + b"{}", "a header of 1,000,000,000 bytes and has 10 in all"), (b"\0", "whole")])
def test_headers_that_lie_are_refused(tmp_path, content, message):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(MsCoresetError, match=message):
        read_tensors(path)
