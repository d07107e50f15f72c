"""Networks of timm, torchvision and mindcv by their libraries' names: made, trained, asked, written and read."""

import importlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.engines import engine_of
from ms_coreset.errors import MsCoresetError
from ms_coreset.identity import weights_digest
from ms_coreset.networks.libraries import LIBRARIES
from ms_coreset.networks.weights import network_from_weights
from ms_coreset.training import loop
from ms_coreset.training.dynamics import FIELDS

SMALLEST = ("timm:test_efficientnet", "torchvision:mobilenet_v2", "mindcv:mobilenet_v2_035_96")
# Of the architectures that this package has not itself: name, and a side of images that it can have.
OTHERS = [("timm:convnext_atto", 32), ("timm:vit_tiny_patch16_224", 32), ("torchvision:swin_t", 32),
          ("torchvision:mobilenet_v2", 32), *(pytest.param(name, side, marks=pytest.mark.exhaustive) for name, side in (
              ("timm:resnext50_32x4d", 32), ("timm:mobilenetv2_050", 32), ("timm:densenet121", 32),
              ("timm:swin_tiny_patch4_window7_224", 32), ("timm:regnety_002", 32), ("timm:tf_efficientnetv2_b0", 32),
              ("torchvision:resnext50_32x4d", 32), ("torchvision:densenet121", 32), ("torchvision:convnext_tiny", 32),
              ("torchvision:vit_b_16", 32), ("torchvision:regnet_x_400mf", 32), ("torchvision:efficientnet_v2_s", 32),
              ("mindcv:mobilenet_v2_035_96", 32), ("mindcv:convnextv2_atto", 32), ("mindcv:regnet_x_200mf", 32),
              ("mindcv:resnext50_32x4d", 32), ("mindcv:densenet121", 32), ("mindcv:vit_b_32_224", 224),
              ("mindcv:swin_tiny", 224), ("mindcv:swinv2_tiny_window8", 32), ("mindcv:efficientnet_v2_s", 32)))]


def framework_of(name):
    """The framework of a library's network; skips the test where the library is not installed."""
    library = name.partition(":")[0].lower()
    framework = LIBRARIES[library]
    for package in (framework, library):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install ms-coreset[timm,mindcv]")
    return framework


def create(name, classes=10, channels=1, side=32, **options):
    return mc.create_network(name, classes, channels, image_size=side, framework=framework_of(name), **options)


def answers(network, channels=1, side=32):
    """(features, logits, what the last layer makes of the features) of two images, as arrays."""
    engine = engine_of(network)
    images = engine.tensor(np.random.RandomState(0).normal(size=(2, channels, side, side)).astype(np.float32))
    network.set_train(False)
    with engine.asking():
        features = network.features(images)
        return tuple(map(engine.array, (features, network(images), network.head(features))))


def digits(n=64):
    return mc.load_dataset("digits").subset(np.arange(n))


def refused(action, *words):
    """The one line of an error, which has these words."""
    with pytest.raises(MsCoresetError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line


# Made

@pytest.mark.parametrize("name", SMALLEST)
def test_features_are_what_the_last_layer_takes_and_the_seed_draws_the_weights(name):
    network = create(name.upper().replace("_", "-"), seed=3)  # in any spelling
    assert network.description == {"arch": name, "num_classes": 10, "in_channels": 1, "image_size": 32}
    features, logits, by_head = answers(network)
    assert features.shape == (2, network.num_features) and logits.shape == (2, network.head.out_channels) == (2, 10)
    np.testing.assert_allclose(by_head, logits, rtol=1e-5, atol=1e-6)
    np.random.seed(11)
    drawn = np.random.get_state()[1].tolist()
    assert weights_digest(create(name, seed=3)) == weights_digest(network) != weights_digest(create(name, seed=4))
    assert np.random.get_state()[1].tolist() == drawn


def test_names_are_listed_by_library():
    framework_of("torchvision:")
    assert mc.list_networks("torchvision:swin_v2_*") == [f"torchvision:swin_v2_{size}" for size in "bst"]
    assert "resnet18" in mc.list_networks() and not any(":" in name for name in mc.list_networks())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), OTHERS)
def test_architectures_that_are_not_ours_take_these_images(name, side):
    features, logits, by_head = answers(create(name, side=side, channels=3), channels=3, side=side)
    assert features.ndim == 2 and logits.shape == (2, 10)
    np.testing.assert_allclose(by_head, logits, rtol=1e-4, atol=1e-5)


# Trained and asked

@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_select_trains_it_records_it_and_reads_it_again(name, here):
    options = {"dataset": "digits", "pool": 120, "rate": 0.2, "framework": framework_of(name), "arch": name,
               "epochs": 1}
    made = mc.run_selection(method="forgetting", **options)
    folder = Path(made.coreset.manifest["checkpoint"]).parent
    assert ":" not in str(folder) and len(made.coreset) == 24
    assert {path.stem for path in (folder / "dynamics").iterdir()} >= set(FIELDS)
    options |= {"method": "moderate", "epochs": None, "ckpt": made.coreset.manifest["checkpoint"]}
    again = mc.run_selection(**{**options, "arch": None})  # the file tells which it is
    by_name = mc.run_selection(**options)
    np.testing.assert_array_equal(again.coreset.indices, by_name.coreset.indices)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2", "mindcv:mobilenet_v2_035_96"])
def test_training_that_goes_on_draws_the_same_dropout(name, tmp_path, monkeypatch):
    split, recipe = digits(), mc.Recipe(epochs=2, batch_size=32, lr=0.01)
    whole, stopped, resumed = (create(name, side=8, seed=seed) for seed in (0, 0, 1))
    mc.train(whole, split, recipe, seed=1, record=("loss",), folder=tmp_path / "whole")
    record = loop.FieldRecorder.record

    def stop_in_the_second_epoch(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.FieldRecorder, "record", stop_in_the_second_epoch)
        mc.train(stopped, split, recipe, seed=1, record=("loss",), folder=tmp_path / "parts")
    mc.train(resumed, split, recipe, seed=1, record=("loss",), folder=tmp_path / "parts", resume=True)
    for expected, found in zip(whole.get_parameters(), resumed.get_parameters(), strict=True):
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-6, err_msg=expected.name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2", "mindcv:mobilenet_v2_035_96"])
def test_they_are_trained_in_mixed_precision(name):
    network = create(name, side=8)
    before = weights_digest(network)
    result = mc.train(network, digits(16), mc.Recipe(epochs=1, batch_size=16, amp=True), seed=0)
    assert weights_digest(network) != before and np.isfinite(result.dynamics.loss).all()
    assert {parameter.asnumpy().dtype for parameter in network.get_parameters()} == {np.dtype(np.float32)}


# Files

@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_the_library_saved_is_read(suffix, tmp_path):
    framework_of("timm:")
    create("timm:test_convnext")  # imports torchvision beside any torch
    import timm
    from safetensors.torch import save_file
    torch = importlib.import_module("torch")

    theirs = timm.create_model("test_convnext", num_classes=7).eval()  # its layers have a scale called gamma
    save = torch.save if suffix == ".pth" else save_file
    save(theirs.state_dict(), tmp_path / f"theirs{suffix}")
    network = network_from_weights(tmp_path / f"theirs{suffix}", 32, 3, arch="timm:test_convnext", framework="torch")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network.set_train(False)
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(images))
    again = tmp_path / "ours.pth"
    mc.save_weights(network, again)
    theirs.load_state_dict(torch.load(again))  # and back


def test_a_file_without_the_last_layer_gives_features(tmp_path):
    framework_of("torchvision:")
    network = create("torchvision:mobilenet_v2", channels=3)
    torch = importlib.import_module("torch")
    state = {name: value for name, value in network.module.state_dict().items() if not name.startswith("classifier")}
    torch.save(state, tmp_path / "body.pth")
    found = network_from_weights(tmp_path / "body.pth", 32, 3, arch="torchvision:mobilenet_v2", framework="torch",
                                 log=lambda line: None)
    np.testing.assert_array_equal(answers(found, 3)[0], answers(network, 3)[0])


def test_notes_of_a_file_choose_no_option_of_a_library(tmp_path):
    network = create("torchvision:mobilenet_v2")
    network.description |= {"pretrained": True}
    torch = importlib.import_module("torch")
    torch.save({"state_dict": network.module.state_dict(), "notes": json.dumps({"network": network.description})},
               tmp_path / "notes.pth")
    refused(lambda: network_from_weights(tmp_path / "notes.pth", 32, framework="torch"), "no option pretrained")


# Refused

@pytest.mark.parametrize(("name", "side", "words"), [
    ("torchvision:resnt50", 32, ("unknown network 'torchvision:resnt50': did you mean torchvision:resnet50 or ",)),
    ("torchvision:alexnet", 32, ("can't have images of 32 x 32 pixels", "too small")),
    ("torchvision:vit_b_16", 40, ("can't have images of 40 x 40 pixels", "patch size")),
    ("timm:vit_tiny_patch16_224", 28, ("can't have images of 28 x 28 pixels", "a multiple of the patches', 16")),
    ("torchvision:squeezenet1_1", 32, ("does not end with a linear layer",)),
    ("mindcv:vit_b_32_224", 32, ("can't have images of 32 x 32 pixels", "(224,224)"))])
def test_what_can_not_be_made_is_refused_in_one_line(name, side, words):
    framework_of(name)
    refused(lambda: create(name, side=side), name, *words)


def test_a_batch_that_batch_normalization_can_not_have_names_the_remedy():
    network = create("torchvision:mobilenet_v2", side=8)
    refused(lambda: mc.train(network, digits(33), mc.Recipe(epochs=1, batch_size=32), seed=0), "another --batch-size")


def test_another_framework_and_a_library_that_lacks_say_what_to_do(monkeypatch, capsys, here):
    framework_of("torchvision:")
    assert main(["select", "--dataset", "digits", "--rate", "0.1", "--arch", "torchvision:mobilenet_v2"]) == 2
    assert "take --framework torch" in capsys.readouterr().err
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find_spec(name))
    refused(lambda: mc.create_network("timm:resnet18", 10, framework="torch"), 'pip install "ms-coreset[timm]"')
