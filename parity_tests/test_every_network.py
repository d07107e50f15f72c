"""Every registered network against its torch twin, and against torchvision where it has the architecture.

The pair that DeepCore trains most, colour images of 32 pixels, is in every run; the other sizes, and torchvision's
full-size networks, are slow.
"""

import copy

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights, network_from_weights, save_weights
from parity_tests.helpers import (
    answers,
    assert_rows_close,
    assert_same_weights,
    assert_weights_close,
    dampen,
    mindspore_weights,
    network_pair,
    perturb_normalization,
    reference_answers,
    small_split,
)
from torch_ref.extraction import normalize

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
# Those that are trained at full size: one for each kind of block; their deeper siblings repeat these blocks.
TRAINED = ["resnet18", "mobilenet_v3_small", "googlenet", "shufflenet_v2", *(
    pytest.param(name, marks=pytest.mark.exhaustive) for name in (
        "alexnet", "vgg11", "resnet50", "inception_v3", "efficientnet_b0"))]
WITH_AUXILIARIES = ("inception_v3", "googlenet")
EVERY_TORCHVISION = [(name, {"aux_logits": False} if name in WITH_AUXILIARIES else {}) for name in TORCHVISION] + [
    (name, {"aux_logits": True}) for name in WITH_AUXILIARIES]


USUAL = (3, 32)
SHAPES = [USUAL, (1, 28), (3, 64), (3, 96)]  # above 64 pixels networks take their ImageNet form
LARGE = ("efficientnet_b0", "googlenet", "inception_v3", "resnet34", "resnet50", "resnet101", "resnet152", "vgg16",
         "vgg19", "wide_resnet50_2", "wide_resnet101_2", "wrn16_8", "wrn28_10")  # seconds a step


def cases():
    """Every network at every size, the largest at one; above 64 pixels torchvision's are compared with torchvision."""
    for name in mc.list_networks():
        for channels, size in SHAPES:
            usual = (channels, size) == USUAL
            if usual or (name not in LARGE and (size <= 64 or name not in TORCHVISION)):
                yield pytest.param(name, channels, size, id=f"{name}-{channels}x{size}",
                                   marks=_marks(name, size, usual))


def _marks(name, size, usual):
    if usual and name not in LARGE:
        return []
    return [pytest.mark.slow, *([pytest.mark.exhaustive] if size == 64 and name in TORCHVISION else [])]


def narrow(name):
    """Residual networks with few channels in their first stage: what is compared does not depend on the width."""
    return {"width": 8} if "resnet" in name or name == "senet18" else {}


@pytest.mark.parametrize(("name", "channels", "size"), list(cases()))
def test_against_twin(name, channels, size, tmp_path):
    """First weights, then answers, then three training steps, dropout and all; networks are made once for all three."""
    split = small_split(6 if size <= 64 and name not in LARGE else 3, size, channels, seed=1)
    network, reference = network_pair(name, num_classes=4, in_channels=channels, image_size=size, seed=3,
                                      **narrow(name))
    first = copy.deepcopy(reference.state_dict())
    assert_same_weights(mindspore_weights(network), torch_ref.to_mindspore_names(first))

    carry_over(perturb_normalization, reference, network, tmp_path)
    for actual, expected in zip(answers(network, split), reference_answers(reference, split), strict=True):
        assert_rows_close(actual, expected)

    reference.load_state_dict(first)
    carry_over(dampen, reference, network, tmp_path)
    compare_training(network, reference, split)
    assert_rows_close(answers(network, split)[0], reference_answers(reference, split)[0], tolerance=1e-3)


def carry_over(change, reference, network, folder):
    """Apply ``change`` to the torch network, and give the other one its weights."""
    change(reference)
    torch.save(reference.state_dict(), folder / "weights.pth")
    load_weights(network, folder / "weights.pth")


class Double(torch.nn.Module):
    """A network that computes in float64.

    Three steps of AlexNet in torch's float32 are a thousand times farther from float64 than MindSpore's float32 is.
    """

    def __init__(self, network):
        super().__init__()
        self.network = network.double()

    def forward(self, x):
        return self.network(x.double())


def compare_training(network, reference, split, steps=3):
    """Train both, and compare weights and logits; ``reference`` is left in float32 again."""
    recipe = {"epochs": steps, "batch_size": len(split), "lr": 0.01, "weight_decay": 5e-4, "momentum": 0.9}
    start = {key: array.copy() for key, array in mindspore_weights(network).items()}
    mc.train(network, split, mc.Recipe(**recipe), seed=9)
    torch_ref.train(Double(reference), split, recipe, seed=9)
    trained = torch_ref.to_mindspore_names(reference.float().state_dict())
    assert any((trained[key] != array).any() for key, array in start.items()), "nothing was learnt"
    # A shift that began at 0 is the sum of three gradients, which differ more than what is made of them; before a
    # normalisation it stays 0 but for rounding.
    assert_weights_close(mindspore_weights(network), trained, tolerance=1e-2, floor=1e-4)
    assert_rows_close(answers(network, split)[1], torch_answers(reference, split), tolerance=1e-3)


def torch_answers(network, split):
    """Logits of a torch module that need not have ``features``."""
    network.eval()
    with torch.no_grad():
        return network(normalize(split.images, split.mean, split.std)).numpy()


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
    perturb_normalization(theirs)
    state = theirs.state_dict()
    torch.save(state, tmp_path / "theirs.pth")
    split = small_split(1, 224)
    network = network_from_weights(tmp_path / "theirs.pth", 224, 3)
    assert network.description["arch"] == name
    assert_rows_close(answers(network, split)[1], torch_answers(theirs, split))

    save_weights(network, tmp_path / "ours.pth")
    back = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        np.testing.assert_array_equal(back[key].numpy(), tensor.numpy(), err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
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
