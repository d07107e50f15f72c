"""The same seed gives the same weights, and the same weights the same features and logits."""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from parity_tests.helpers import (
    NETWORK_CASES,
    answering_pair,
    answers,
    assert_rows_close,
    assert_same_weights,
    assert_weights_close,
    mindspore_weights,
    network_pair,
    reference_answers,
    small_split,
)

CASES = [pytest.param(name, options, id="-".join([name, *map(str, options.values())]))
         for name, options in NETWORK_CASES]
# ResNets take seconds each, so only the usual pairs of channels and size are in every run.
USUAL = ((3, 8), (1, 28), (3, 32))
SHAPED_CASES = [
    pytest.param(name, options, channels, size, id="-".join(map(str, (name, *options.values(), channels, size))),
                 marks=[pytest.mark.slow] if name.startswith("resnet") and (channels, size) not in USUAL else [])
    for name, options in NETWORK_CASES for channels in (1, 3) for size in (8, 28, 32)
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_same_seed_gives_the_same_weights(name, options):
    pair = network_pair(name, num_classes=5, in_channels=3, image_size=28, seed=3, **options)
    assert_same_weights(mindspore_weights(pair[0]), torch_ref.to_mindspore_names(pair[1].state_dict()))


def test_another_seed_gives_other_weights():
    networks = [torch_ref.create_network("mlp", 5, 1, image_size=8, seed=seed) for seed in (0, 1)]
    weights = [torch_ref.to_mindspore_names(network.state_dict()) for network in networks]
    with pytest.raises(AssertionError):
        assert_weights_close(*weights, tolerance=0.5)


@pytest.mark.parametrize(("name", "options", "channels", "image_size"), SHAPED_CASES)
def test_features_and_logits(name, options, channels, image_size, tmp_path):
    split = small_split(6, image_size, channels)
    network, reference = answering_pair(tmp_path, name, num_classes=5, in_channels=channels, image_size=image_size,
                                        seed=1, **options)
    for actual, expected in zip(answers(network, split), reference_answers(reference, split), strict=True):
        assert_rows_close(actual, expected)


@pytest.mark.parametrize("name", ["mlp", "resnet18"])
def test_default_width(name, tmp_path):
    split = small_split(2, 32)
    network, reference = answering_pair(tmp_path, name, num_classes=10, seed=0)
    for actual, expected in zip(answers(network, split), reference_answers(reference, split), strict=True):
        assert_rows_close(actual, expected)


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet18"])
def test_logits_are_the_last_layer_of_the_features(name, tmp_path):
    split = small_split(4, 8)
    network, _ = answering_pair(tmp_path, name, num_classes=5, image_size=8)
    features, logits = answers(network, split)
    last = "fc" if name == "resnet18" else "fc3"
    weights = mindspore_weights(network)
    by_hand = features.astype(np.float64) @ weights[f"{last}.weight"].T.astype(np.float64) + weights[f"{last}.bias"]
    np.testing.assert_allclose(logits, by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet18"])
def test_extraction(name, tmp_path):
    split = small_split(11, 8)
    network, reference = answering_pair(tmp_path, name, num_classes=4, image_size=8)
    evidence = mc.extract(network, split, batch_size=4)
    twin = torch_ref.extract(reference, split, batch_size=5)
    np.testing.assert_array_equal(evidence.labels, twin.labels)
    assert_rows_close(np.asarray(evidence.features), twin.features)
    assert_rows_close(np.asarray(evidence.logits), twin.logits)


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
def test_extraction_of_one_field_leaves_the_other_out(package):
    evidence = package.extract(package.create_network("mlp", 4, 3, image_size=8), small_split(), need=("logits",))
    assert evidence.features is None
    assert evidence.logits.shape == (20, 4)


@pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("lenet", {"variant": "cifar"}), ("lenet", {"width": 8}), ("resnet18", {"variant": "svhn"}), ("resnet19", {})],
)
def test_networks_that_there_are_not(package, name, options):
    with pytest.raises(ValueError, match=r"variant|width|svhn|resnet19"):
        package.create_network(name, 10, **options)
