"""Networks: shapes, sizes, initialisation, and weights on disk."""

import os

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks import weights

mc.set_device("CPU")


def arrays_of(network):
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


def trainable_size(network):
    return sum(parameter.size for parameter in network.trainable_params())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "size", "width", "dimensions"), [
    ("mlp", 8, None, 128), ("mlp", 28, 20, 20), ("lenet", 8, None, 84), ("lenet", 28, None, 84),
    ("lenet", 32, None, 84), ("resnet18", 8, 4, 32), ("resnet18", 28, 4, 32),
    ("resnet34", 32, 4, 32), ("resnet50", 32, 4, 128)])
def test_logits_and_features(name, channels, size, width, dimensions):
    from mindspore import Tensor

    network = mc.create_network(name, 7, channels, size, width)
    network.set_train(False)
    images = Tensor(np.random.RandomState(0).rand(3, channels, size, size).astype(np.float32))
    features = network.features(images)
    assert features.shape == (3, dimensions) == (3, network.num_features)
    np.testing.assert_allclose(network.head(features).asnumpy(), network(images).asnumpy(), rtol=1e-6)
    assert network(images).shape == (3, 7)


@pytest.mark.parametrize(("name", "channels", "size", "parameters"), [
    # torchvision's and DeepCore's counts, ten classes
    ("mlp", 1, 28, 118_282), ("mlp", 3, 32, 411_146), ("lenet", 1, 28, 61_706), ("lenet", 3, 32, 62_006),
    ("resnet18", 3, 32, 11_173_962), ("resnet34", 3, 32, 21_282_122), ("resnet50", 3, 32, 23_520_842)])
def test_number_of_parameters(name, channels, size, parameters):
    assert trainable_size(mc.create_network(name, 10, channels, size)) == parameters


def test_seed_decides_the_first_weights():
    first, same, other = (arrays_of(mc.create_network("resnet18", 5, 1, 8, 4, seed=seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


def test_initial_spread_is_the_published_one():
    arrays = arrays_of(mc.create_network("resnet18", 10, 3, 32, 32))
    he = arrays["layer3.0.conv1.weight"]
    assert he.std() == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.02)
    assert abs(arrays["fc.weight"]).max() <= 1 / np.sqrt(256)
    assert arrays["bn1.gamma"].tolist() == [1] * 32


@pytest.mark.parametrize(("name", "options", "message"), [
    ("resnet19", {}, "did you mean 'resnet18'"), ("lenet", {"width": 8}, "no option width"),
    ("mlp", {"variant": "cifar"}, "no option variant"), ("resnet18", {"variant": "round"}, "unknown variant"), ("resnet18", {"width": 0}, "width 0")])
def test_impossible_networks_are_refused(name, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.create_network(name, 10, **{"image_size": 32, **options})


@pytest.fixture
def network():
    return mc.create_network("resnet18", 5, 1, 8, 4, seed=1)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
def test_saved_weights_come_back_bit_for_bit(network, tmp_path, suffix):
    if suffix == ".pth":
        pytest.importorskip("torch")
    mc.save_weights(network, tmp_path / f"w{suffix}")
    again = mc.load_weights(mc.create_network("resnet18", 5, 1, 8, 4, seed=2), tmp_path / f"w{suffix}")
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(arrays_of(again)[name], array)
    assert [path.name for path in tmp_path.iterdir()] == [f"w{suffix}"]


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
@pytest.mark.parametrize("name", mc.list_networks())
def test_a_network_is_rebuilt_from_its_file(name, suffix, tmp_path):
    if suffix == ".pth":
        pytest.importorskip("torch")
    network = mc.create_network(name, 6, 3, 32, None if name == "lenet" else 8)
    mc.save_weights(network, tmp_path / f"w{suffix}")
    again = mc.network_from_weights(tmp_path / f"w{suffix}", 32, 3)
    assert again.description["arch"] == name
    assert again.description["num_classes"] == 6
    assert all(np.array_equal(array, arrays_of(again)[key]) for key, array in arrays_of(network).items())


def test_names_of_other_repositories_are_understood(network, tmp_path):
    torch = pytest.importorskip("torch")
    state = weights.to_torch_names(arrays_of(network))
    renamed = {"module." + name.replace("downsample", "shortcut").replace("fc.", "linear."): torch.tensor(array)
               for name, array in state.items()}
    torch.save({"model_state_dict": renamed, "epoch": 3}, tmp_path / "ccs.pt")
    again = mc.load_weights(mc.create_network("resnet18", 5, 1, 8, 4, seed=2), tmp_path / "ccs.pt")
    assert all(np.array_equal(array, arrays_of(again)[key]) for key, array in arrays_of(network).items())


@pytest.mark.parametrize(("other", "message"), [
    (("resnet18", 5, 1, 8, 8), r"conv1.weight is \(4, 1, 3, 3\), the network's \(8, 1, 3, 3\)"),
    (("resnet34", 5, 1, 8, 4), "lacks layer1.2"), (("mlp", 5, 1, 8), "lacks fc1.bias")])
def test_checkpoint_of_another_architecture_is_refused(network, tmp_path, other, message):
    mc.save_weights(network, tmp_path / "w.ckpt")
    target = mc.create_network(*other)
    before = arrays_of(target)
    with pytest.raises(MsCoresetError, match=f"another architecture.*{message}"):
        mc.load_weights(target, tmp_path / "w.ckpt")
    assert all(np.array_equal(array, arrays_of(target)[name]) for name, array in before.items())


def test_asking_for_another_architecture_than_the_files_is_refused(network, tmp_path):
    mc.save_weights(network, tmp_path / "w.ckpt")
    with pytest.raises(MsCoresetError, match="resnet18, not resnet50"):
        mc.network_from_weights(tmp_path / "w.ckpt", 8, 1, "resnet50")


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"nonsense" * 9])
def test_damaged_checkpoint_is_refused(network, tmp_path, suffix, damage):
    if suffix == ".pth":
        pytest.importorskip("torch")
    path = tmp_path / f"w{suffix}"
    mc.save_weights(network, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MsCoresetError, match=rf"w\{suffix}"):
        mc.load_weights(network, path)


def test_torch_checkpoint_that_runs_code_is_refused(network, tmp_path):
    torch = pytest.importorskip("torch")

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"fc.weight": Hostile()}, tmp_path / "w.pth")
    with pytest.raises(MsCoresetError, match="not a whole torch checkpoint of plain tensors"):
        mc.load_weights(network, tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_files_of_no_known_kind_are_refused(network, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"1")
    with pytest.raises(MsCoresetError, match="neither"):
        mc.load_weights(network, tmp_path / "w.bin")
    with pytest.raises(MsCoresetError, match="no checkpoint"):
        mc.load_weights(network, tmp_path / "none.ckpt")
    with pytest.raises(MsCoresetError, match="must end in"):
        mc.save_weights(network, tmp_path / "w.txt")


def test_failed_write_leaves_nothing(network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MsCoresetError, match="can't write"):
        mc.save_weights(network, tmp_path / "file" / "w.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
