"""A few training steps from the same seed leave the same weights and the same record."""

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights
from parity_tests.helpers import assert_weights_close, dampen, mindspore_weights, network_pair, small_split

RECIPES = {
    "constant": {"momentum": 0.0},
    "multistep": {"schedule": "multistep", "milestones": (1,), "gamma": 0.2},
    "cosine": {"schedule": "cosine", "min_lr": 0.005},
    "linear with warmup": {"schedule": "linear", "min_lr": 0.005, "warmup": 0.4, "warmup_from": 0.2},
    "warmup": {"warmup": 0.7},
    "nesterov": {"nesterov": True},
    "crop and flip": {"crop_padding": 2, "flip": True},
    "reflecting crop": {"crop_padding": 3, "padding_mode": "reflect"},
    "flip": {"flip": True},
    "alternate flip": {"flip": "alternate"},
    "clipped": {"clip_norm": 0.05, "weight_decay": 0.1},
    "no decay": {"weight_decay": 0.0},
}
FIELDS = ("probability", "margin", "logit_margin", "error_norm", "correct", "loss", "divergence")
NETWORKS = [
    pytest.param("mlp", {"width": 16}, id="mlp"),
    pytest.param("lenet", {}, id="lenet"),
    pytest.param("resnet18", {"width": 8}, id="resnet18"),
    pytest.param("airbench", {"width": 4}, id="airbench"),
    pytest.param("resnet50", {"width": 8}, id="resnet50", marks=pytest.mark.slow),
]


def assert_same_training(folder, name, recipe, weights=None, n=20, image_size=8, **options):
    """Train the pair for two epochs of two updates, the second on a partial batch, and compare the changes."""
    split = small_split(n, image_size, classes=4, seed=2)
    recipe = mc.Recipe(**{"epochs": 2, "batch_size": 12, "lr": 0.05, **recipe})
    network, reference = network_pair(name, num_classes=4, in_channels=3, image_size=image_size, seed=4, **options)
    dampen(reference)
    torch.save(reference.state_dict(), folder / "start.pth")
    load_weights(network, folder / "start.pth")
    start = {key: array.copy() for key, array in mindspore_weights(network).items()}
    result = mc.train(network, split, recipe, seed=9, weights=weights)
    twin = torch_ref.train(reference, split, recipe, seed=9, weights=weights)
    trained = torch_ref.to_mindspore_names(reference.state_dict())
    ours, theirs = ({key: array - start[key] for key, array in state.items()}
                    for state in (mindspore_weights(network), trained))
    assert any(change.any() for change in theirs.values()), "nothing was learnt"
    assert_weights_close(ours, theirs, tolerance=1e-3)
    for field in FIELDS:
        actual, expected = getattr(result.dynamics, field), twin.dynamics[field]
        assert actual.shape == expected.shape == (2, n)
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3, err_msg=field)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_recipes(recipe, tmp_path):
    assert_same_training(tmp_path, "lenet", recipe)


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_networks(name, options, tmp_path):
    everything = {"schedule": "cosine", "nesterov": True, "crop_padding": 2, "flip": True, "clip_norm": 1.0}
    assert_same_training(tmp_path, name, everything, image_size=8 if name == "lenet" else 16, **options)


@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_weighted_loss(name, tmp_path):
    weights = np.random.RandomState(1).uniform(0.1, 5, size=20)
    assert_same_training(tmp_path, name, {}, weights=weights)


def test_batches_without_weight(tmp_path):
    weights = np.eye(20)[3] + np.eye(20)[12]
    assert_same_training(tmp_path, "mlp", {"batch_size": 2, "clip_norm": 1.0}, weights=weights)


def test_weights_of_zero_leave_samples_out():
    split = small_split(n=8, seed=3)
    kept = np.array([1, 1, 0, 1, 0, 0, 1, 1], float)
    recipe = {"epochs": 1, "batch_size": 8, "lr": 0.1}
    weighted, alone = (torch_ref.create_network("mlp", 4, 3, image_size=8) for _ in range(2))
    torch_ref.train(weighted, split, recipe, weights=kept)
    torch_ref.train(alone, split.subset(np.flatnonzero(kept)), recipe)
    assert_weights_close(torch_ref.to_mindspore_names(weighted.state_dict()),
                         torch_ref.to_mindspore_names(alone.state_dict()), tolerance=1e-5)


@pytest.mark.parametrize("recipe", list(RECIPES.values())[:5], ids=list(RECIPES)[:5])
def test_learning_rates(recipe):
    recipe = mc.Recipe(**{"epochs": 6, "lr": 0.1, **recipe})
    for update in range(18):
        expected = torch_ref.training.learning_rate(recipe, update, 3)
        assert recipe.learning_rate(update, 3) == pytest.approx(expected, rel=1e-12)


def test_accuracy():
    split = small_split(30, 8)
    network, reference = network_pair("mlp", num_classes=4, in_channels=3, image_size=8, seed=4)
    torch_ref.train(reference, split, {"epochs": 3, "batch_size": 10})
    mc.train(network, split, mc.Recipe(epochs=3, batch_size=10))
    predicted = np.asarray(mc.extract(network, split, need=("logits",)).logits).argmax(axis=1)
    assert (predicted == split.labels).mean() == torch_ref.evaluate(reference, split)
