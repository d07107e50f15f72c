"""From images to indices: both packages pick the same digits from one checkpoint."""

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights, save_weights

# float32 distances of the two frameworks differ by 1e-7 of the largest; samples that are nearer to each other than
# this may change places.
NEAR = 1e-6


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """A network trained by the torch twin, its weights taken over through .pth and .ckpt, and both's evidence."""
    folder = tmp_path_factory.mktemp("digits")
    split = mc.load_dataset("digits", root=folder, train=True)
    shape = {"num_classes": 10, "in_channels": 1, "image_size": 8}
    trained = torch_ref.create_network("mlp", **shape)
    torch_ref.train(trained, split, mc.load_recipe("digits", epochs=4))
    assert torch_ref.evaluate(trained, split) > 0.8
    torch.save(trained.state_dict(), folder / "trained.pth")

    save_weights(load_weights(mc.create_network("mlp", seed=1, **shape), folder / "trained.pth"), folder / "net.ckpt")
    network = load_weights(mc.create_network("mlp", seed=2, **shape), folder / "net.ckpt")
    return mc.extract(network, split), torch_ref.extract(trained, split)


def test_evidence(pipelines):
    evidence, twin = pipelines
    np.testing.assert_array_equal(evidence.labels, twin.labels)
    for field in ("features", "logits"):
        scale = np.abs(getattr(twin, field)).max()
        np.testing.assert_allclose(getattr(evidence, field), getattr(twin, field), atol=1e-5 * scale)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("center", ["median", "mean"])
def test_moderate_picks_the_same_samples(pipelines, rate, balance, center):
    evidence, twin = pipelines
    picked = mc.select("moderate", evidence, rate, balance=balance, center=center).indices
    expected = torch_ref.select("moderate", twin, rate, balance=balance, center=center)
    assert len(picked) == len(expected.indices)
    assert np.abs(expected.scores[picked] - expected.scores[expected.indices]).max() <= NEAR * expected.scores.max()


@pytest.mark.parametrize("balance", [False, True])
def test_random_picks_the_same_samples(pipelines, balance):
    evidence, twin = pipelines
    picked = mc.select("random", evidence, 0.1, balance=balance, seed=5).indices
    np.testing.assert_array_equal(picked, torch_ref.select("random", twin, 0.1, balance=balance, seed=5).indices)
