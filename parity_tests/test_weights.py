"""Weights go from one framework to the other and back without loss, and torchvision's are understood."""

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights, save_weights
from parity_tests.helpers import (
    NETWORK_CASES,
    answers,
    assert_rows_close,
    assert_same_weights,
    mindspore_weights,
    perturb_normalization,
    small_split,
)
from torch_ref.extraction import normalize


def as_arrays(state_dict):
    return {name: tensor.numpy() for name, tensor in state_dict.items()}


@pytest.mark.parametrize(("name", "options"), NETWORK_CASES)
def test_names_there_and_back(name, options):
    network = torch_ref.create_network(name, 3, 3, image_size=8, **options)
    perturb_normalization(network)
    state = network.state_dict()
    back = torch_ref.from_mindspore_names(torch_ref.to_mindspore_names(state))
    assert_same_weights(as_arrays(back), as_arrays(state))
    network.load_state_dict(back)


@pytest.mark.parametrize(("name", "options"), NETWORK_CASES)
def test_files_there_and_back(name, options, tmp_path):
    reference = torch_ref.create_network(name, 3, 3, image_size=8, seed=1, **options)
    perturb_normalization(reference)
    torch.save(reference.state_dict(), tmp_path / "first.pth")
    for old, new in [("first.pth", "second.ckpt"), ("second.ckpt", "third.ckpt"), ("third.ckpt", "last.pth")]:
        network = mc.create_network(name, 3, 3, image_size=8, seed=2, **options)
        save_weights(load_weights(network, tmp_path / old), tmp_path / new)
    last = torch.load(tmp_path / "last.pth", weights_only=True)
    assert_same_weights(as_arrays(last), as_arrays(reference.state_dict()))
    reference.load_state_dict(last)


def test_converted_names_are_those_of_the_mindspore_network():
    network = mc.create_network("resnet50", 3, 3, image_size=8, width=8, seed=1)
    state = torch_ref.from_mindspore_names(mindspore_weights(network))
    torch_ref.create_network("resnet50", 3, 3, image_size=8, width=8, seed=2).load_state_dict(state)
    assert_same_weights(torch_ref.to_mindspore_names(state), mindspore_weights(network))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_weights(name, models, tmp_path):
    torch.manual_seed(0)
    theirs = getattr(models, name)(weights=None, num_classes=20)
    perturb_normalization(theirs)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    network = mc.create_network(name, 20, 3, image_size=64, variant="imagenet")
    features, logits = answers(load_weights(network, tmp_path / "theirs.pth"), split := small_split(2, 64))

    inputs = normalize(split.images, split.mean, split.std)
    theirs.eval()
    with torch.no_grad():
        expected_logits = theirs(inputs).numpy()
        theirs.fc = torch.nn.Identity()
        expected_features = theirs(inputs).numpy()
    assert_rows_close(logits, expected_logits)
    assert_rows_close(features, expected_features)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_torch_twin_has_torchvisions_names(name, models):
    theirs = getattr(models, name)(weights=None, num_classes=20).state_dict()
    ours = torch_ref.create_network(name, 20, 3, image_size=64, variant="imagenet").state_dict()
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[key].shape, theirs[key].shape) for key in theirs)
