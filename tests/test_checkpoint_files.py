"""The readers of .pth and .ckpt, against what torch and MindSpore wrote."""

import collections
import io
import json
import zipfile

import numpy as np
import pytest

from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.mindspore_files import read_entries
from ms_coreset.networks.torch_files import read_state
from ms_coreset.networks.weights import network_from_weights, read_checkpoint, write_checkpoint

torch = pytest.importorskip("torch")

KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")


def saved(path, value, former=False):
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
    read = read_state(saved(tmp_path / "net.pth", value, former))
    wanted = torch.load(tmp_path / "net.pth", weights_only=False)
    wanted = wanted if wrapped is None else wanted[wrapped]
    assert list(read) == list(wanted)
    for name, tensor in wanted.items():
        expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
        assert read[name].dtype == expected.dtype and read[name].flags.c_contiguous
        np.testing.assert_array_equal(read[name], expected)


@pytest.mark.parametrize("former", [False, True])
def test_a_modules_own_state_dict_is_read(tmp_path, former):
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    read = read_state(saved(tmp_path / "net.pth", module.state_dict(), former))
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
        read_state(saved(tmp_path / "net.pth", value, former))


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path):
    """torch itself does not compare the archive's checksums."""
    path = saved(tmp_path / "net.pth", {"a": torch.full((1000,), 0.5)})
    content = bytearray(path.read_bytes())
    place = content.index(np.float32(0.5).tobytes() * 10)
    content[place + 40] ^= 1
    path.write_bytes(content)
    assert not (torch.load(path, weights_only=True)["a"] == 0.5).all()
    with pytest.raises(MsCoresetError, match="Bad CRC-32"):
        read_state(path)


def test_archives_that_torch_does_not_write_are_refused(tmp_path):
    whole = saved(tmp_path / "net.pth", {"a": torch.ones(100)}).read_bytes()
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
