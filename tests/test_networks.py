"""Networks: shapes, sizes, initialization, and weights on disk."""

import os

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks import canonical_network, describe, weights
from ms_coreset.networks.layers import max_pool, reseed

mc.set_device("CPU")
LARGE = ("vgg13", "vgg16", "vgg19", "wrn16_8", "wrn28_10")
HAVE_WIDTH = ("mlp", "resnet", "wide_resnet", "preact_resnet", "senet")


def arrays_of(network):
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


def trainable_size(network):
    return sum(parameter.size for parameter in network.trainable_params())


@pytest.mark.parametrize(("name", "channels", "size", "width", "dimensions"), [
    ("mlp", 3, 8, None, 128), ("mlp", 1, 28, 20, 20), ("lenet", 1, 8, None, 84), ("lenet", 3, 28, None, 84),
    ("lenet", 3, 32, None, 84), ("resnet18", 1, 8, 4, 32), ("resnet18", 3, 28, 4, 32),
    ("resnet34", 3, 32, 4, 32), ("resnet50", 1, 32, 4, 128), ("wide_resnet50_2", 3, 28, 2, 64),
    ("preact_resnet18", 1, 8, 4, 32), ("preact_resnet50", 3, 28, 4, 128), ("senet18", 1, 8, 4, 32),
    ("senet18", 3, 64, 4, 32), ("alexnet", 1, 8, None, 3072), ("alexnet", 3, 64, None, 3072),
    ("vgg11", 3, 8, None, 512), ("vgg11", 1, 64, None, 512), ("wrn28_2", 1, 8, None, 128),
    ("wrn28_2", 3, 65, None, 128), ("mobilenet_v3_small", 3, 8, None, 1024), ("mobilenet_v3_small", 1, 65, None, 1024),
    pytest.param("inception_v3", 1, 28, None, 2048, marks=pytest.mark.slow),
    pytest.param("inception_v3", 3, 65, None, 2048, marks=pytest.mark.slow),
    ("googlenet", 1, 8, None, 1024), ("googlenet", 3, 65, None, 1024), ("efficientnet_b0", 3, 8, None, 320),
    ("efficientnet_b0", 1, 65, None, 1280), ("shufflenet_v2", 1, 28, None, 1024), ("shufflenet_v2", 3, 65, None, 1024)])
def test_logits_and_features(name, channels, size, width, dimensions):
    from mindspore import Tensor

    network = mc.create_network(name, 7, channels, image_size=size, width=width)
    network.set_train(False)
    images = Tensor(np.random.RandomState(0).rand(3, channels, size, size).astype(np.float32))
    features = network.features(images)
    assert features.shape == (3, dimensions) == (3, network.num_features)
    np.testing.assert_allclose(network.head(features).asnumpy(), network(images).asnumpy(), rtol=1e-6)
    assert network(images).shape == (3, 7)


@pytest.mark.parametrize(("name", "channels", "size", "parameters"), [
    # torchvision's and DeepCore's counts, ten classes
    ("mlp", 1, 28, 118_282), ("mlp", 3, 32, 411_146), ("lenet", 1, 28, 61_706), ("lenet", 3, 32, 62_006),
    ("resnet18", 3, 32, 11_173_962), ("resnet34", 3, 32, 21_282_122), ("resnet50", 3, 32, 23_520_842),
    ("alexnet", 1, 28, 1_865_802), ("alexnet", 3, 32, 1_872_202),
    ("vgg11", 1, 28, 9_229_962), ("vgg11", 3, 32, 9_231_114), ("vgg13", 3, 32, 9_416_010),
    ("vgg16", 3, 32, 14_728_266), ("vgg19", 3, 32, 20_040_522),
    ("wrn16_8", 1, 28, 10_961_082), ("wrn16_8", 3, 32, 10_961_370), ("wrn28_2", 3, 32, 1_467_610),
    # those of the usual networks for CIFAR in PyTorch
    ("preact_resnet18", 3, 32, 11_171_146), ("preact_resnet34", 3, 32, 21_279_306),
    ("preact_resnet50", 3, 32, 23_509_066), ("senet18", 3, 32, 11_260_354),
    ("googlenet", 3, 32, 6_166_250), ("efficientnet_b0", 3, 32, 3_598_598), ("shufflenet_v2", 3, 32, 1_263_854),
    # DeepCore's
    ("mobilenet_v3_small", 3, 32, 1_528_106), ("mobilenet_v3_large", 1, 28, 4_214_554),
    ("mobilenet_v3_large", 3, 32, 4_214_842), ("inception_v3", 3, 32, 22_133_738),
    pytest.param("wrn28_10", 3, 32, 36_479_194, marks=pytest.mark.slow)])
def test_number_of_parameters(name, channels, size, parameters):
    assert trainable_size(mc.create_network(name, 10, channels, image_size=size)) == parameters


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "parameters"), [
    ("alexnet", {}, 61_100_840), ("vgg11", {}, 132_868_840), ("vgg13", {}, 133_053_736), ("vgg16", {}, 138_365_992),
    ("vgg19", {}, 143_678_248), ("vgg16", {"batch_norm": False}, 138_357_544), ("resnet101", {}, 44_549_160),
    ("resnet152", {}, 60_192_808), ("wide_resnet50_2", {}, 68_883_240), ("wide_resnet101_2", {}, 126_886_696),
    ("mobilenet_v3_small", {}, 2_542_856), ("mobilenet_v3_large", {}, 5_483_032), ("googlenet", {}, 6_624_904),
    ("efficientnet_b0", {}, 5_288_548), ("shufflenet_v2", {}, 2_278_604), ("inception_v3", {}, 23_834_568)])
def test_number_of_parameters_of_torchvisions(name, options, parameters):
    assert trainable_size(mc.create_network(name, 1000, 3, image_size=224, **options)) == parameters


def test_seed_decides_the_first_weights():
    first, same, other = (arrays_of(mc.create_network("resnet18", 5, 1, image_size=8, width=4,
                                                      seed=seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


def test_the_old_name_of_initialize_warns():
    with pytest.warns(DeprecationWarning, match="it is now mc.initialize") as caught:
        old = mc.initialise
    assert old is mc.initialize
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning):  # the second time, too
        from ms_coreset import initialise  # noqa: F401
    assert "initialise" not in mc.__all__


def test_initial_spread_is_the_published_one():
    arrays = arrays_of(mc.create_network("resnet18", 10, 3, image_size=32, width=32))
    he = arrays["layer3.0.conv1.weight"]
    assert he.std() == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.02)
    assert abs(arrays["fc.weight"]).max() <= 1 / np.sqrt(256)
    assert arrays["bn1.gamma"].tolist() == [1] * 32


@pytest.mark.parametrize(("name", "options", "message"), [
    ("resnet19", {}, "did you mean 'resnet18'"), ("lenet", {"width": 8}, "no option width"),
    ("mlp", {"variant": "cifar"}, "no option variant"), ("resnet18", {"variant": "round"}, "unknown variant"),
    ("resnet18", {"width": 0}, "width 0"), ("senet18", {"width": 0}, "width 0"),
    ("preact_resnet18", {"width": -1}, "width -1"), ("alexnet", {"width": 8}, "no option width"),
    ("alexnet", {"dropout": 1}, "dropout 1: must be"), ("alexnet", {"variant": "imagenet"}, "63 pixels and more"),
    ("wrn28_2", {"dropout": -0.1}, "dropout -0.1"), ("vgg11", {"side": 0}, "side 0"),
    ("mobilenet_v3_small", {"dropout": 1.0}, "dropout 1.0"), ("efficientnet_b0", {"stochastic_depth": -1}, "dropout -"),
    ("inception_v3", {"aux": True}, "aux=True: only the imagenet variant"),
    ("googlenet", {"transform_input": True}, "transform_input=True: only the imagenet variant"),
    ("googlenet", {"transform_input": True, "variant": "imagenet", "in_channels": 1}, "3 channels, not 1"),
    ("vgg11", {"variant": "imagenet", "image_size": 31}, "32 pixels and more")])
def test_impossible_networks_are_refused(name, options, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.create_network(name, 10, **{"image_size": 32, **options})


@pytest.fixture
def network():
    return mc.create_network("resnet18", 5, 1, image_size=8, width=4, seed=1)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
def test_saved_weights_come_back_bit_for_bit(network, tmp_path, suffix):
    if suffix == ".pth":
        pytest.importorskip("torch")
    mc.save_weights(network, tmp_path / f"w{suffix}")
    again = mc.load_weights(mc.create_network("resnet18", 5, 1, image_size=8, width=4, seed=2), tmp_path / f"w{suffix}")
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(arrays_of(again)[name], array)
    assert [path.name for path in tmp_path.iterdir()] == [f"w{suffix}"]


@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
                                  for name in mc.list_networks()])
def test_a_network_is_rebuilt_from_its_file(name, suffix, tmp_path):
    if suffix == ".pth":
        pytest.importorskip("torch")
    network = mc.create_network(name, 6, 3, image_size=32, width=8 if name.startswith(HAVE_WIDTH) else None)
    mc.save_weights(network, tmp_path / f"w{suffix}")
    again = mc.network_from_weights(tmp_path / f"w{suffix}", 32, 3)
    assert again.description["arch"] == name
    assert again.description["num_classes"] == 6
    expected, actual = arrays_of(network), arrays_of(again)
    assert all(np.array_equal(array, actual[key]) for key, array in expected.items())


@pytest.mark.parametrize(("name", "options"), [
    ("vgg11", {"batch_norm": False}), ("vgg13", {"side": 2}), ("senet18", {"width": 8, "variant": "imagenet"}),
    ("preact_resnet34", {"width": 8, "variant": "imagenet"}), ("wrn28_2", {"variant": "imagenet"}),
    ("mobilenet_v3_small", {"variant": "imagenet"}), ("mobilenet_v3_large", {"variant": "imagenet"}),
    ("efficientnet_b0", {"variant": "imagenet"}), ("shufflenet_v2", {"variant": "imagenet"}),
    ("googlenet", {"variant": "imagenet", "aux": True}), ("googlenet", {"variant": "imagenet"}),
    pytest.param("inception_v3", {"variant": "imagenet", "aux": True}, marks=pytest.mark.slow),
    pytest.param("alexnet", {"variant": "imagenet"}, marks=pytest.mark.slow),
    pytest.param("vgg11", {"variant": "imagenet", "batch_norm": False}, marks=pytest.mark.slow)])
def test_options_are_told_by_the_weights(name, options):
    network = mc.create_network(name, 6, 1, image_size=64, **options)
    shapes = {name: array.shape for name, array in arrays_of(network).items()}
    assert describe(shapes).items() >= {"arch": name, "num_classes": 6, "in_channels": 1, **options}.items()


@pytest.mark.parametrize(("spelling", "name"), [
    ("VGG16", "vgg16"), ("vgg", "vgg16"), ("AlexNet", "alexnet"), ("senet", "senet18"), ("WRN168", "wrn16_8"),
    ("WRN282", "wrn28_2"), ("WRN2810", "wrn28_10"), ("WRN502", "wide_resnet50_2"), ("WRN1012", "wide_resnet101_2"),
    ("MobileNetV3Small", "mobilenet_v3_small"), ("MobileNetV3Large", "mobilenet_v3_large"),
    ("InceptionV3", "inception_v3"), ("GoogLeNet", "googlenet"), ("efficientnet", "efficientnet_b0"),
    ("shufflenet", "shufflenet_v2")])
def test_spellings_of_other_repositories(spelling, name):
    assert canonical_network(spelling) == name


@pytest.mark.parametrize("name", ["alexnet", "wrn28_2"])
def test_dropout_changes_training_and_nothing_else(name):
    """Draws follow the generator; AlexNet's embedding, the last to be dropped from, is zeroed or doubled."""
    from mindspore import Tensor

    images = Tensor(np.random.RandomState(0).rand(2, 3, 8, 8).astype(np.float32))
    network = mc.create_network(name, 4, 3, image_size=8, dropout=0.5)
    plain = mc.create_network(name, 4, 3, image_size=8)
    answers = [each.set_train(False).features(images).asnumpy() for each in (network, plain)]
    np.testing.assert_array_equal(*answers)
    reseed(network, np.random.RandomState(1))
    first, second = (network.set_train(True).features(images).asnumpy() for _ in range(2))
    assert (first != second).any()
    reseed(network, np.random.RandomState(1))
    np.testing.assert_array_equal(network.set_train(True).features(images).asnumpy(), first)
    if name == "alexnet":
        np.testing.assert_allclose(first[first != 0], 2 * answers[0][first != 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_auxiliary_classifiers_are_carried_along_only(name):
    """Their weights are there, are not trained, and change no answer."""
    from mindspore import Tensor

    images = Tensor(np.random.RandomState(0).rand(2, 3, 8, 8).astype(np.float32))
    plain, full = (mc.create_network(name, 4, 3, image_size=8, variant="imagenet", aux=aux) for aux in (False, True))
    extra = arrays_of(full).keys() - arrays_of(plain).keys()
    assert {key.split(".")[0] for key in extra} == ({"AuxLogits"} if name == "inception_v3" else {"aux1", "aux2"})
    assert not extra & {parameter.name for parameter in full.trainable_params()}
    weights.assign(plain, {key: array for key, array in arrays_of(full).items() if key not in extra}, "the other")
    answers = [network.set_train(False)(images).asnumpy() for network in (plain, full)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_transform_input_moves_the_normalization(name):
    """Images normalised for ImageNet, given to a network with the option, are images normalised by 0.5 without."""
    from mindspore import Tensor

    pixels = np.random.RandomState(0).rand(2, 3, 80, 80)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    plain, moved = (mc.create_network(name, 4, 3, image_size=80, transform_input=option) for option in (False, True))
    expected = plain.set_train(False)(Tensor(((pixels - 0.5) / 0.5).astype(np.float32))).asnumpy()
    actual = moved.set_train(False)(Tensor(((pixels - mean) / std).astype(np.float32))).asnumpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize("shape", [(3, 2, 8, 8), (3, 2, 8, 7), (3, 2, 5, 6)])
def test_max_pool_is_mindspores_ties_included(shape):
    import mindspore
    from mindspore import Tensor, nn

    rng = np.random.RandomState(0)
    images = Tensor(rng.randint(-2, 2, shape).astype(np.float32))
    weights = Tensor(rng.rand(*shape[:2], shape[2] // 2, shape[3] // 2).astype(np.float32))

    def value_and_gradient(pool):
        gradient = mindspore.grad(lambda images: (pool(images) * weights).sum())(images)
        return pool(images).asnumpy(), gradient.asnumpy()

    both = map(value_and_gradient, (max_pool(2, 2), nn.MaxPool2d(2, 2)))
    for ours, mindspores in zip(*both, strict=True):
        np.testing.assert_array_equal(ours, mindspores)


def test_blocks_of_efficientnet_are_passed_by_in_training():
    """With a chance p of stochastic depth, block b of 16 loses a sample with chance p b / 16."""
    from ms_coreset.networks.layers import Dropout

    network = mc.create_network("efficientnet_b0", 4, 3, image_size=65)
    chances = [cell.p for name, cell in network.cells_and_names() if isinstance(cell, Dropout) and "block" not in name]
    assert chances == pytest.approx([*(0.2 * block / 16 for block in range(16)), 0.2])
    small = mc.create_network("efficientnet_b0", 4, 3, image_size=32)
    assert [cell.p for _, cell in small.cells_and_names() if isinstance(cell, Dropout)] == [0.0] * 16 + [0.2]


def test_names_of_other_repositories_are_understood(network, tmp_path):
    torch = pytest.importorskip("torch")
    state = weights.to_torch_names(arrays_of(network))
    renamed = {"module." + name.replace("downsample", "shortcut").replace("fc.", "linear."): torch.tensor(array)
               for name, array in state.items()}
    torch.save({"model_state_dict": renamed, "epoch": 3}, tmp_path / "ccs.pt")
    again = mc.load_weights(mc.create_network("resnet18", 5, 1, image_size=8, width=4, seed=2), tmp_path / "ccs.pt")
    assert all(np.array_equal(array, arrays_of(again)[key]) for key, array in arrays_of(network).items())


@pytest.mark.parametrize(("other", "message"), [
    ({"name": "resnet18", "width": 8}, r"conv1.weight is \(4, 1, 3, 3\), the network's \(8, 1, 3, 3\)"),
    ({"name": "resnet34", "width": 4}, "lacks layer1.2"), ({"name": "mlp"}, "lacks fc1.bias")])
def test_checkpoint_of_another_architecture_is_refused(network, tmp_path, other, message):
    mc.save_weights(network, tmp_path / "w.ckpt")
    target = mc.create_network(**other, num_classes=5, in_channels=1, image_size=8)
    before = arrays_of(target)
    with pytest.raises(MsCoresetError, match=f"another architecture.*{message}"):
        mc.load_weights(target, tmp_path / "w.ckpt")
    assert all(np.array_equal(array, arrays_of(target)[name]) for name, array in before.items())


def test_asking_for_another_architecture_than_the_files_is_refused(network, tmp_path):
    mc.save_weights(network, tmp_path / "w.ckpt")
    with pytest.raises(MsCoresetError, match="resnet18, not resnet50"):
        mc.network_from_weights(tmp_path / "w.ckpt", 8, 1, arch="resnet50")


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
