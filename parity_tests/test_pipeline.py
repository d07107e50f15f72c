"""From files to batches, and from images to indices: both packages see and pick the same."""

import numpy as np
import pytest
import torch
from PIL import Image

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights, save_weights
from ms_coreset.training.pipeline import training_batches
from torch_ref.extraction import normalize
from torch_ref.training import Recipe, present

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


# Resized crops

CROPS = {"plain": {}, "to 13 first": {"crop_size": 13}, "large": {"crop_scale": 0.9}, "mirrored": {"flip": True}}


def assert_same_batches(split, options, originals=None):
    """Bit for bit: both take the same windows and leave the resizing to Pillow."""
    options = {"epochs": 2, "batch_size": 7, "crop_scale": 0.08, **options}
    batches = list(training_batches(split, np.arange(len(split)), mc.Recipe(arch="mlp", **options), 3, 0, 2))
    for epoch in range(2):
        order, images = present(split.images, Recipe(**options), 3, epoch, originals)
        own = batches[epoch * len(batches) // 2:(epoch + 1) * len(batches) // 2]
        np.testing.assert_array_equal(np.concatenate([batch.rows for batch in own]), order)
        np.testing.assert_array_equal(np.concatenate([batch.images for batch in own]),
                                      normalize(images, split.mean, split.std).numpy())


@pytest.mark.parametrize("options", CROPS.values(), ids=CROPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crops_of_arrays(options, channels):
    images = np.random.RandomState(0).randint(0, 256, (40, 16, 16, channels)).astype(np.uint8)
    split = mc.Split("arrays", images, np.zeros(40, np.int64), classes=("a",), mean=(0.4,) * channels,
                     std=(0.2,) * channels)
    assert_same_batches(split, options)


@pytest.mark.parametrize("options", CROPS.values(), ids=CROPS)
def test_resized_crops_of_files_are_taken_from_the_originals(tmp_path, options):
    rng = np.random.RandomState(0)
    # The last two are too long for any crop to fit: the centre is taken.
    sizes = [(30, 40), (41, 17), (16, 16), (300, 20), (9, 11), (400, 3), (3, 400)]
    for name in "ab":
        (tmp_path / name).mkdir()
        for number, (width, height) in enumerate(sizes):
            pixels = rng.randint(0, 256, (height, width, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    originals = [Image.open(path).convert("RGB") for path in sorted(tmp_path.rglob("*.png"))]
    assert_same_batches(mc.load_dataset("folder", tmp_path, image_size=16), options, originals)
