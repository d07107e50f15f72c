"""Extraction: order, batches, and a cache that is never trusted blindly."""

import dataclasses
import json

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction import cache, extract

mc.set_device("CPU")


@pytest.fixture(scope="module")
def split():
    rng = np.random.RandomState(0)
    return mc.Split("toy", rng.randint(0, 255, (50, 8, 8, 3)).astype(np.uint8), rng.randint(0, 4, 50),
                    classes=tuple("abcd"), mean=(0.4,) * 3, std=(0.2,) * 3)


@pytest.fixture(scope="module")
def network():
    return mc.create_network("resnet18", 4, 3, image_size=8, width=4)


def test_batch_size_does_not_change_the_evidence(network, split):
    whole, parts = extract(network, split, batch_size=50), extract(network, split, batch_size=7)
    np.testing.assert_allclose(whole.features, parts.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.logits, parts.logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole.labels, split.labels)


def test_evaluation_mode_and_order(network, split):
    network.set_train(True)
    first = extract(network, split).features
    np.testing.assert_array_equal(extract(network, split).features, first)  # no running statistics moved
    backwards = extract(network, split.subset(np.arange(50)[::-1])).features
    np.testing.assert_allclose(backwards[::-1], first, rtol=1e-5, atol=1e-6)


def test_logits_are_the_heads_answer_to_the_features(network, split):
    evidence = extract(network, split)
    weight, bias = network.fc.weight.asnumpy(), network.fc.bias.asnumpy()
    np.testing.assert_allclose(evidence.logits, evidence.features @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_only_what_is_needed(network, split):
    evidence = extract(network, split, need=("logits",))
    assert evidence.features is None
    with pytest.raises(MsCoresetError, match="can't extract colours"):
        extract(network, split, need=("colours",))


def test_a_network_of_other_classes_gives_features_alone(split, tmp_path):
    """Neither its logits, nor distances to its boundaries, nor its answers, can be compared with the labels."""
    other = mc.create_network("mlp", 7, 3, image_size=8, width=4)
    assert extract(other, split, need=("features",)).features.shape == (50, 4)
    for ask in (lambda: extract(other, split), lambda: extract(other, split, need=("logits",)),
                lambda: mc.deepfool_distances(other, split),
                lambda: mc.make_attack(split, other, tmp_path, attack="pgd")):
        with pytest.raises(MsCoresetError, match=r"network tells 7 classes apart, toy has 4: its .* can't be compared"):
            ask()
    assert mc.make_attack(split, other, tmp_path, attack="gsa", against="own").exists()


def test_images_of_other_channels_are_refused(network, split):
    gray = dataclasses.replace(split, images=split.images[..., :1], mean=(0.4,), std=(0.2,))
    with pytest.raises(MsCoresetError, match="3 channels, toy has 1"):
        extract(network, gray)


def count_batches(monkeypatch, network):
    """Let the network count how many batches it sees."""
    seen = []
    features = type(network).features
    monkeypatch.setattr(type(network), "features", lambda self, x: seen.append(len(x)) or features(self, x))
    return seen


def test_cache_is_used_for_the_same_and_not_for_anything_else(network, split, tmp_path, monkeypatch):
    first = extract(network, split, cache=tmp_path)
    seen = count_batches(monkeypatch, network)
    again = extract(network, split, cache=tmp_path)
    assert not seen
    np.testing.assert_array_equal(again.features, first.features)
    relabeled = dataclasses.replace(split, labels=(split.labels + 1) % 4)
    assert extract(network, relabeled, cache=tmp_path).labels[0] == relabeled.labels[0]
    assert not seen  # labels do not change what a network says of images
    extract(network, dataclasses.replace(split, mean=(0.5,) * 3), cache=tmp_path)
    extract(network, dataclasses.replace(split, images=255 - split.images), cache=tmp_path)
    extract(mc.create_network("resnet18", 4, 3, image_size=8, width=4, seed=1), split, cache=tmp_path)
    assert len(seen) == 3


def test_interrupted_extraction_goes_on(network, split, tmp_path, monkeypatch):
    whole = extract(network, split).features
    monkeypatch.setattr(cache, "SAVE_INTERVAL", 0)

    class Stopped(Exception):
        pass

    features = type(network).features
    seen = []

    def stop_at_the_fourth(self, x):
        seen.append(len(x))
        if len(seen) == 4:
            raise Stopped
        return features(self, x)

    monkeypatch.setattr(type(network), "features", stop_at_the_fourth)
    with pytest.raises(Stopped):
        extract(network, split, batch_size=10, cache=tmp_path)
    resumed = extract(network, split, batch_size=10, cache=tmp_path)
    assert len(seen) == 4 + 2  # rows 30 to 49
    np.testing.assert_allclose(resumed.features, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "features.npy").write_bytes(b"short"),
    lambda folder: (folder / "features.json").write_text("{"),
    lambda folder: (folder / "features.json").unlink(),
    lambda folder: np.save(folder / "features.npy", np.zeros((3, 3), np.float32)),
    lambda folder: (folder / "features.json").write_text(json.dumps({"rows": 50, "shape": [1, 2]}))])
def test_damaged_cache_is_made_anew(network, split, tmp_path, damage):
    first = extract(network, split, cache=tmp_path).features.copy()
    damage(next(tmp_path.iterdir()))
    np.testing.assert_allclose(extract(network, split, cache=tmp_path).features, first, rtol=1e-5, atol=1e-6)


def test_unwritable_cache_is_one_clear_error(network, split, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MsCoresetError, match=r"can't write .*file"):
        extract(network, split, cache=tmp_path / "file")
