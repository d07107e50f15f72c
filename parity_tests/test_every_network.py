"""Every registered network against its torch twin, and against torchvision where it has the architecture.

The pair that DeepCore trains most, colour images of 32 pixels, is in every run; the other sizes, and torchvision's
full-size networks, are slow.
"""

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights, network_from_weights, save_weights
from parity_tests.helpers import (
    answering_pair,
    answers,
    assert_rows_close,
    assert_same_weights,
    assert_weights_close,
    mindspore_weights,
    network_pair,
    perturb_normalisation,
    reference_answers,
    small_split,
)
from torch_ref.extraction import normalise
from torch_ref.torchvision_compat import import_torchvision

NAMES = mc.list_networks()
USUAL = (3, 32)
SHAPES = [USUAL, (1, 8), (1, 28), (3, 64), (3, 224)]
CASES = [pytest.param(name, *shape, id=f"{name}-{shape[0]}x{shape[1]}",
                      marks=[] if shape == USUAL else [pytest.mark.slow])
         for name in NAMES for shape in SHAPES]
# Architectures that torchvision has: its name, and what it has to be told beside the number of classes.
TORCHVISION = {
    "alexnet": ("alexnet", {}),
    "vgg11": ("vgg11_bn", {"init_weights": False}),
    "vgg13": ("vgg13_bn", {"init_weights": False}),
    "vgg16": ("vgg16_bn", {"init_weights": False}),
    "vgg19": ("vgg19_bn", {"init_weights": False}),
    "resnet18": ("resnet18", {}),
    "resnet34": ("resnet34", {}),
    "resnet50": ("resnet50", {}),
    "resnet101": ("resnet101", {}),
    "resnet152": ("resnet152", {}),
    "wide_resnet50_2": ("wide_resnet50_2", {}),
    "wide_resnet101_2": ("wide_resnet101_2", {}),
    "mobilenet_v3_small": ("mobilenet_v3_small", {}),
    "mobilenet_v3_large": ("mobilenet_v3_large", {}),
    "inception_v3": ("inception_v3", {"init_weights": False}),
    "googlenet": ("googlenet", {"init_weights": False}),
    "efficientnet_b0": ("efficientnet_b0", {}),
    "shufflenet_v2": ("shufflenet_v2_x1_0", {}),
}
WITH_AUXILIARIES = ("inception_v3", "googlenet")
EVERY_TORCHVISION = [(name, {"aux_logits": False} if name in WITH_AUXILIARIES else {}) for name in TORCHVISION] + [
    (name, {"aux_logits": True}) for name in WITH_AUXILIARIES]


def narrow(name):
    """Residual networks with 8 channels: what is compared does not depend on the width."""
    return {"width": 8} if "resnet" in name or name == "senet18" else {}


@pytest.mark.parametrize(("name", "channels", "size"), CASES)
def test_answers(name, channels, size, tmp_path):
    split = small_split(3, size, channels)
    pair = network_pair(name, num_classes=7, in_channels=channels, image_size=size, seed=3, **narrow(name))
    assert_same_weights(mindspore_weights(pair[0]), torch_ref.to_mindspore_names(pair[1].state_dict()))
    network, reference = answering_pair(tmp_path, name, num_classes=7, in_channels=channels, image_size=size,
                                        **narrow(name))
    for actual, expected in zip(answers(network, split), reference_answers(reference, split), strict=True):
        assert_rows_close(actual, expected)


@pytest.mark.parametrize(("name", "channels", "size"), CASES)
def test_three_training_steps(name, channels, size, tmp_path):
    """Two epochs, of two updates and of one; dropout and all, from the same seed."""
    split = small_split(6, size, channels, seed=1)
    network, reference = steady_pair(tmp_path, name, num_classes=4, in_channels=channels, image_size=size, seed=3,
                                     **narrow(name))
    compare_training(network, reference, split)


def steady_pair(folder, name, **options):
    network, reference = network_pair(name, **options)
    dampen(reference)
    torch.save(reference.state_dict(), folder / "start.pth")
    return load_weights(network, folder / "start.pth"), reference


def dampen(network, scale=0.1, shift=2.0):
    """Keep float32 rounding from deciding what a unit does, which deep networks magnify from layer to layer.

    Scales what the last normalisation of every residual branch adds (see ``helpers.damp_residuals``); in a network
    without such branches, lifts what every normalisation gives, so that few units are near the kink of their ReLU.
    Undamped, torch's own float32 and float64 leave weights that differ by up to half (VGG-19, 8 pixels).
    """
    blocks = [module for module in network.modules() if hasattr(module, "downsample")]
    for module in blocks:
        branches = [getattr(module, name) for name in ("bn3", "bn2") if hasattr(module, name)]
        if branches:
            branches[0].weight.data.fill_(scale)
    for module in network.modules():
        if not blocks and isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.fill_(shift)


def compare_training(network, reference, split, steps=3):
    recipe = {"epochs": steps, "batch_size": len(split), "lr": 0.01, "weight_decay": 5e-4, "momentum": 0.9}
    start = {key: array.copy() for key, array in mindspore_weights(network).items()}
    mc.train(network, split, mc.Recipe(**recipe), seed=9)
    torch_ref.train(reference, split, recipe, seed=9)
    trained = torch_ref.to_mindspore_names(reference.state_dict())
    assert any((trained[key] != array).any() for key, array in start.items()), "nothing was learnt"
    # A shift that began at 0 is the sum of three gradients, which differ more than what is made of them.
    assert_weights_close(mindspore_weights(network), trained, tolerance=1e-2)
    network.set_train(False)
    reference.eval()
    inputs = normalise(split.images, split.mean, split.std)
    with torch.no_grad():
        expected = reference(inputs).numpy()
    assert_rows_close(logits_of(network, inputs), expected, tolerance=1e-3)


def logits_of(network, inputs):
    from mindspore import Tensor

    return network(Tensor(inputs.numpy())).asnumpy()


@pytest.fixture(scope="module")
def models():
    try:
        return import_torchvision().models
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision can't be imported: {error}")


def torchvision_model(models, name, **options):
    constructor, fixed = TORCHVISION[name]
    torch.manual_seed(0)
    return getattr(models, constructor)(weights=None, num_classes=20, **fixed, **options)


def without_dropout(network):
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout) or type(module).__name__ == "StochasticDepth":
            module.p = 0.0
    return network


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), EVERY_TORCHVISION)
def test_torchvision_state_dict(name, options, models, tmp_path):
    """Its file is recognised, answers the same, and is written back without loss."""
    theirs = torchvision_model(models, name, **options)
    perturb_normalisation(theirs)
    state = theirs.state_dict()
    torch.save(state, tmp_path / "theirs.pth")
    split = small_split(2, 224)
    network = network_from_weights(tmp_path / "theirs.pth", 224, 3)
    assert network.description["arch"] == name
    theirs.eval()
    with torch.no_grad():
        expected = theirs(normalise(split.images, split.mean, split.std)).numpy()
    assert_rows_close(answers(network, split)[1], expected)

    save_weights(network, tmp_path / "ours.pth")
    back = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        np.testing.assert_array_equal(back[key].numpy(), tensor.numpy(), err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_training_of_torchvisions(name, models, tmp_path):
    """Three steps of torchvision's own module, without dropout, which draws from torch's generator."""
    options = {"aux_logits": False} if name in WITH_AUXILIARIES else {}
    theirs = without_dropout(torchvision_model(models, name, **options))
    dampen(theirs)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    network = network_from_weights(tmp_path / "theirs.pth", 224, 3)
    for _, cell in network.cells_and_names():
        if type(cell).__name__ == "Dropout":
            cell.p = 0.0
    compare_training(network, theirs, small_split(3, 224, classes=4, seed=1))
