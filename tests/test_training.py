"""Recipes, batches, the loop, resuming, and the record of what happened."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor, nn

import ms_coreset as mc
from ms_coreset.batches import evaluation_batches, normalize
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.layers import Dropout, batch_norm
from ms_coreset.training import loop
from ms_coreset.training.dynamics import FIELDS, RECORDS, FieldRecorder, measure
from ms_coreset.training.pipeline import EpochPlan, augment, training_batches
from ms_coreset.training.whitening import whiten

mc.set_device("CPU")


def toy_split(n=40, size=8, channels=1, classes=3, seed=0):
    """Bright squares whose place tells the class: learnt in a few epochs."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, classes, n)
    images = rng.randint(0, 60, (n, size, size, channels)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label:2 * label + 2] += 150
    return mc.Split("toy", images, labels, classes=tuple("abc"[:classes]), mean=(0.3,) * channels,
                    std=(0.3,) * channels)


RECIPE = mc.Recipe(arch="mlp", epochs=4, batch_size=16, lr=0.05, schedule="cosine", crop_padding=1, flip=True)


def new_network(seed=0):
    return mc.create_network("mlp", 3, 1, image_size=8, width=16, seed=seed)


def network_with_dropout(seed=0):
    network = new_network(seed)
    network.flatten = nn.SequentialCell(nn.Flatten(), Dropout(0.5))
    return network


def arrays_of(network):
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


def assert_same_weights(first, second):
    for name, array in arrays_of(first).items():
        np.testing.assert_array_equal(array, arrays_of(second)[name])


# Recipes

@pytest.mark.parametrize("name", mc.list_recipes())
def test_every_recipe_loads(name):
    recipe = mc.load_recipe(name)
    assert recipe.arch in mc.list_networks()
    assert recipe.learning_rate(0, 10) == recipe.lr * (recipe.warmup_from if recipe.warmup else 1)


def test_learning_rates_by_hand():
    multistep = mc.load_recipe("moderate")
    assert [multistep.learning_rate(10 * epoch, 10) for epoch in (0, 59, 60, 119, 120, 199)] == pytest.approx(
        [0.1, 0.1, 0.02, 0.02, 0.004, 0.0008])
    linear = mc.Recipe(epochs=10, lr=0.5, schedule="linear", warmup=0.2, warmup_from=0.2, min_lr=0.1)
    assert [linear.learning_rate(update, 1) for update in (0, 1, 2, 6, 10)] == pytest.approx([0.1, 0.3, 0.5, 0.3, 0.1])
    cosine = dataclasses.replace(RECIPE, min_lr=0.01)
    assert [cosine.learning_rate(update, 5) for update in (0, 10, 20)] == pytest.approx([0.05, 0.03, 0.01])


def test_iterations_are_rounded_up_to_whole_passes():
    recipe = mc.load_recipe("ccs")
    assert recipe.num_epochs(196) == 205
    assert recipe.override(epochs=3).num_epochs(196) == 3


def test_other_epochs_move_the_milestones():
    assert mc.load_recipe("moderate", epochs=20).milestones == (6, 12, 16)
    assert mc.load_recipe("moderate", epochs=20, milestones=(10,)).milestones == (10,)
    shortest = mc.load_recipe("moderate", epochs=1)
    assert shortest.milestones == (0, 1, 1)  # of 60, 120 and 160 of 200
    assert shortest.learning_rate(0, 10) == pytest.approx(0.02)


@pytest.mark.parametrize(("values", "message"), [
    ({"epochs": 0}, "epochs is 0"), ({"epochs": 1.5}, "epochs is 1.5"), ({"lr": -1}, "lr is -1"),
    ({"lr": float("nan")}, "lr is nan"), ({"batch_size": True}, "batch_size is True"),
    ({"validation": 1}, "validation"), ({"milestones": [-1]}, "a milestone, -1"),
    ({"momentum": -0.1}, "momentum is -0.1"), ({"weight_decay": float("inf")}, "weight_decay is inf"),
    ({"min_lr": "0"}, "min_lr is '0'"),
    ({"schedule": "step"}, "one of multistep, cosine, linear, constant"), ({"padding_mode": "same"}, "zeros, reflect"),
    ({"flip": 1}, "flip is 1"), ({"epochs": None}, "either epochs or iterations"),
    ({"iterations": 10}, "either epochs or iterations")])
def test_impossible_recipes_are_refused(values, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.Recipe(**{"epochs": 1, **values})


def test_recipe_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("arch: mlp\nepochs: 3\nlr: 0.5\n")
    assert mc.load_recipe(path, lr=0.1) == mc.Recipe(arch="mlp", epochs=3, lr=0.1)
    for text, message in (("epoch: 3\n", "unknown key 'epoch', did you mean 'epochs'"), ("- 1\n", "holds no recipe"),
                          ("a: [1\n", "is not YAML"), ("!!python/object/apply:os.system ['true']\n", "is not YAML")):
        path.write_text(text)
        with pytest.raises(MsCoresetError, match=message):
            mc.load_recipe(path)
    with pytest.raises(MsCoresetError, match="unknown recipe 'modrate': there are"):
        mc.load_recipe("modrate")


# Batches

def test_every_sample_comes_once_an_epoch_and_the_order_follows_the_seed():
    split, rows = toy_split(), np.arange(2, 40)
    batches = list(training_batches(split, rows, RECIPE, seed=5, first_epoch=1, epochs=3))
    assert [len(batch.rows) for batch in batches] == [16, 16, 6] * 2
    for epoch, start in ((1, 0), (2, 3)):
        presented = np.concatenate([batch.rows for batch in batches[start:start + 3]])
        np.testing.assert_array_equal(presented, rows[EpochPlan(38, RECIPE, 5, epoch).order])
        np.testing.assert_array_equal(np.sort(presented), rows)
    assert all((split.labels[batch.rows] == batch.labels).all() for batch in batches)


def test_an_epoch_can_be_repeated_alone():
    split, rows = toy_split(), np.arange(40)
    whole = list(training_batches(split, rows, RECIPE, 0, 0, 3))[-3:]
    alone = list(training_batches(split, rows, RECIPE, 0, 2, 3))
    for first, second in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(first.images, second.images)


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_augmentation_by_hand(mode):
    images = np.random.RandomState(0).randint(0, 255, (3, 5, 5, 2)).astype(np.uint8)
    recipe = dataclasses.replace(RECIPE, crop_padding=2, padding_mode=mode)
    shift, mirror = np.array([[0, 4], [2, 2], [3, 1]]), np.array([False, False, True])
    result = augment(images, recipe, shift, mirror)
    for i in range(3):
        padded = np.pad(images[i], ((2, 2), (2, 2), (0, 0)), mode="constant" if mode == "zeros" else "reflect")
        crop = padded[shift[i, 0]:shift[i, 0] + 5, shift[i, 1]:shift[i, 1] + 5]
        np.testing.assert_array_equal(result[i], (crop[:, ::-1] if mirror[i] else crop).transpose(2, 0, 1))


def test_normalized_by_hand():
    images = np.array([[[[0, 255]], [[51, 102]]]], np.uint8)
    mean, std = np.reshape([0.5, 0.1], (2, 1, 1)), np.reshape([2, 4], (2, 1, 1))
    expected = (np.array([[[[0, 1]], [[0.2, 0.4]]]]) - mean) / std
    np.testing.assert_allclose(normalize(images, (0.5, 0.1), (2, 4)), expected, rtol=1e-6)


def test_evaluation_is_in_order_and_not_augmented():
    split = toy_split()
    batches = list(evaluation_batches(split, 7, start=5))
    np.testing.assert_array_equal(np.concatenate([batch.rows for batch in batches]), np.arange(5, 40))
    images = np.concatenate([batch.images for batch in batches])
    np.testing.assert_array_equal(images, normalize(split.images[5:].transpose(0, 3, 1, 2), split.mean, split.std))


# Dynamics

@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.1, 300))
def test_dynamics_are_their_definitions(seed, classes, spread):
    rng = np.random.RandomState(seed)
    logits, labels = (rng.randn(5, classes) * spread).astype(np.float32), rng.randint(0, classes, 5)
    values = measure(logits, labels)
    for i, y in enumerate(labels):
        z = logits[i].astype(np.float64)
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        expected = {"probability": p[y], "margin": p[y] - np.delete(p, y).max(),
                    "logit_margin": z[y] - np.delete(z, y).max(), "error_norm": np.linalg.norm(p - np.eye(classes)[y]),
                    "correct": z.argmax() == y, "loss": np.log(np.exp(z - z.max()).sum()) - (z[y] - z.max())}
        for name in FIELDS:
            assert values[name][i] == pytest.approx(expected[name], rel=1e-4, abs=1e-5)


def test_recorder_in_memory_and_on_disk_agree(tmp_path):
    logits, labels = np.random.RandomState(0).randn(3, 4).astype(np.float32), np.array([0, 1, 2])
    kept = [FieldRecorder(FIELDS, 2, 5, folder) for folder in (None, tmp_path)]
    for recorder in kept:
        recorder.record(1, np.array([4, 0, 2]), logits, labels)
        recorder.flush()
    loaded = mc.TrainingDynamics.load(tmp_path)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(kept[0].dynamics(), name))
    assert loaded.loss.shape == (2, 5)
    assert np.isnan(loaded.loss[0]).all()
    assert not np.isnan(loaded.loss[1, [0, 2, 4]]).any()
    with pytest.raises(MsCoresetError, match="can't record speed"):
        FieldRecorder(["speed"], 1, 1)
    with pytest.raises(MsCoresetError, match="no training dynamics"):
        mc.TrainingDynamics.load(tmp_path / "none")


# The loop

def test_it_learns_and_records_every_sample():
    split = toy_split(n=90)
    result = mc.train(new_network(), split, dataclasses.replace(RECIPE, epochs=12), test=toy_split(n=60, seed=9))
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]
    assert result.history[-1]["test_accuracy"] > 0.8
    assert result.dynamics.loss.shape == (12, 90)
    assert not np.isnan(result.dynamics.loss).any()
    assert [entry["accuracy"] for entry in result.history] == pytest.approx(result.dynamics.correct.mean(axis=1))
    assert [entry["loss"] for entry in result.history] == pytest.approx(result.dynamics.loss.mean(axis=1), rel=1e-5)
    report = mc.evaluate(result.network, split)
    np.testing.assert_array_equal(report["accuracy"], (mc.predict(result.network, split) == split.labels).mean())
    assert set(report["per_class"]) == {"a", "b", "c"}


class Stopped(Exception):
    pass


@pytest.mark.parametrize(("options", "network"), [
    ({}, new_network), ({"validation": 0.2}, new_network), ({"clip_norm": 0.5, "nesterov": True}, new_network),
    ({}, network_with_dropout)])
def test_resumed_training_ends_like_uninterrupted(tmp_path, monkeypatch, options, network):
    split, test = toy_split(), toy_split(seed=9)
    recipe = dataclasses.replace(RECIPE, **options)
    weights = np.random.RandomState(0).rand(40)
    straight = mc.train(network(), split, recipe, seed=3, weights=weights, folder=tmp_path / "a", test=test)

    record = FieldRecorder.record

    def stop_in_the_third_epoch(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == 2:
            raise Stopped

    monkeypatch.setattr(FieldRecorder, "record", stop_in_the_third_epoch)
    with pytest.raises(Stopped):
        mc.train(network(), split, recipe, seed=3, weights=weights, folder=tmp_path / "b", test=test)
    assert not loop.is_finished(tmp_path / "b")
    monkeypatch.undo()
    resumed = mc.train(network(seed=8), split, recipe, seed=3, weights=weights, folder=tmp_path / "b", resume=True,
                       test=test)

    assert_same_weights(straight.network, resumed.network)
    assert straight.history == resumed.history
    for name in RECORDS:
        np.testing.assert_array_equal(getattr(straight.dynamics, name), getattr(resumed.dynamics, name))
    assert loop.is_finished(tmp_path / "a")
    assert loop.is_finished(tmp_path / "b")
    best = [mc.load_weights(new_network(), tmp_path / run / "best.ckpt") for run in "ab"]
    assert_same_weights(*best)


def test_finished_training_is_not_repeated(tmp_path):
    first = mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path)
    again = mc.train(new_network(seed=8), toy_split(), RECIPE, folder=tmp_path, resume=True)
    assert_same_weights(first.network, again.network)
    assert first.history == again.history


@pytest.mark.parametrize(("change", "field"), [
    ({"seed": 1}, "seed"), ({"recipe": dataclasses.replace(RECIPE, lr=0.1)}, "lr"),
    ({"split": toy_split(seed=5)}, "data"), ({"weights": np.ones(40)}, "data")])
def test_resuming_another_run_is_refused(tmp_path, change, field):
    options = {"split": toy_split(), "recipe": RECIPE, "seed": 0}
    mc.train(new_network(), **options, folder=tmp_path)
    with pytest.raises(MsCoresetError, match=rf"can't resume from .*last\.ckpt: {field} was .*, is .* now"):
        mc.train(new_network(), **{**options, **change}, folder=tmp_path, resume=True)


def test_resuming_from_weights_alone_is_refused(tmp_path):
    mc.save_weights(new_network(), tmp_path / loop.LAST)
    with pytest.raises(MsCoresetError, match=r"last\.ckpt: it holds no notes of a training; delete it to train anew"):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, resume=True)


def test_resuming_without_a_folder_is_refused():
    with pytest.raises(MsCoresetError, match=r"resume: .* give folder, too"):
        mc.train(new_network(), toy_split(), RECIPE, resume=True)


def test_validation_share_is_held_out_and_chooses_the_best(tmp_path):
    split = toy_split(n=50)
    recipe = dataclasses.replace(RECIPE, validation=0.2, epochs=6)
    result = mc.train(new_network(), split, recipe, folder=tmp_path)
    held_out = np.isnan(result.dynamics.loss).all(axis=0)
    assert held_out.sum() == 10
    assert not np.isnan(result.dynamics.loss[:, ~held_out]).any()
    best = mc.load_weights(new_network(), tmp_path / "best.ckpt")
    chosen = result.best("validation_accuracy")
    assert mc.evaluate(best, split.subset(np.flatnonzero(held_out)))["accuracy"] == chosen["validation_accuracy"]
    assert chosen["validation_accuracy"] == max(entry["validation_accuracy"] for entry in result.history)


def test_of_equally_good_epochs_the_first_is_the_best(tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, validation=0.25)
    best = []
    for name, accuracies in (("equal", [0.5, 0.75, 0.75, 0.25]), ("single", [0.5, 0.75, 0.7, 0.25])):
        left = list(accuracies)
        monkeypatch.setattr(loop, "_validate", lambda *_, left=left: (left.pop(0), np.zeros(10)))
        result = mc.train(new_network(), toy_split(), recipe, folder=tmp_path / name)
        assert result.best("validation_accuracy")["epoch"] == 2
        best.append(mc.load_weights(new_network(), tmp_path / name / "best.ckpt"))
    assert_same_weights(*best)


def test_the_best_of_the_tested_epochs_is_kept_where_not_every_epoch_is(tmp_path):
    result = mc.train(new_network(), toy_split(), dataclasses.replace(RECIPE, validation=0.25, eval_every=2),
                      folder=tmp_path)
    assert ["validation_accuracy" in entry for entry in result.history] == [False, True, False, True]
    assert (tmp_path / "best.ckpt").is_file()


# Whitening

def convolution_whitened(split, rows, filters=6, side=2):
    network = nn.SequentialCell(nn.Conv2d(split.images.shape[3], filters, side, pad_mode="valid", has_bias=True))
    whiten(network, split, rows)
    return network[0]


def test_answers_to_whitened_patches_are_uncorrelated_and_of_length_one():
    split = toy_split(n=30, size=6, channels=3)
    layer = convolution_whitened(split, np.arange(30))
    images = normalize(split.images.transpose(0, 3, 1, 2), split.mean, split.std)
    answers = layer(Tensor(images)).asnumpy().transpose(0, 2, 3, 1).reshape(-1, 6)
    patches = np.concatenate([images[:, :, row:row + 2, column:column + 2].reshape(-1, 12)
                              for row in range(5) for column in range(5)]).astype(np.float64)
    largest = np.linalg.eigvalsh(patches.T @ patches / len(patches))[:-4:-1]
    np.testing.assert_allclose(answers[:, :3].T @ answers[:, :3] / len(answers), np.diag(largest / (largest + 5e-4)),
                               atol=1e-4)
    np.testing.assert_array_equal(answers[:, 3:], -answers[:, :3])
    filters = layer.weight.asnumpy()[:3].reshape(3, 12)
    np.testing.assert_array_equal(filters.max(axis=1), np.abs(filters).max(axis=1))
    assert not layer.weight.requires_grad and layer.bias.requires_grad


@pytest.mark.parametrize(("layer", "message"), [
    (nn.Conv2d(3, 5, 2), "has 5 filters of 2 x 2"), (nn.Conv2d(3, 26, 2), "26 filters .*, at most 24"),
    (nn.Conv2d(3, 6, (2, 3)), "6 filters of 2 x 3"), (nn.Conv2d(1, 2, 2), "does not begin with a convolution"),
    (nn.Dense(108, 2), "does not begin with a convolution")])
def test_what_can_not_be_whitened_is_refused(layer, message):
    with pytest.raises(MsCoresetError, match=f"whiten is true, but .*{message}"):
        whiten(nn.SequentialCell(layer, nn.Conv2d(3, 6, 2)), toy_split(n=4, size=6, channels=3), np.arange(4))


def test_as_many_filters_as_there_can_be_are_whitened():
    weight = convolution_whitened(toy_split(n=9, size=6, channels=3), np.arange(9), filters=24).weight.asnumpy()
    assert np.linalg.matrix_rank(weight.reshape(24, 12)) == 12


def test_whitening_looks_at_the_first_5000_samples():
    split = toy_split(n=5001, size=8)
    split.images[-1] = 255
    of_5000, of_4999 = (convolution_whitened(split, np.arange(n)).weight.asnumpy() for n in (5000, 4999))
    np.testing.assert_array_equal(convolution_whitened(split, np.arange(5001)).weight.asnumpy(), of_5000)
    assert (of_5000 != of_4999).any()


# Modes

def test_answers_are_given_in_evaluation_mode():
    """In training mode, a batch's own statistics would decide, and running ones would move."""
    network, split = mc.create_network("resnet18", 3, 1, image_size=8, width=2, seed=1), toy_split(12)
    before = arrays_of(network)
    batch = next(evaluation_batches(split, 12)).images
    wanted = network.set_train(False)(Tensor(batch)).asnumpy().argmax(axis=1)
    network.set_train(True)
    np.testing.assert_array_equal(mc.predict(network, split), wanted)
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_training_goes_on_in_training_mode_after_an_evaluation(monkeypatch):
    network, modes, record = new_network(), [], FieldRecorder.record
    monkeypatch.setattr(FieldRecorder, "record", lambda *batch: modes.append(network.training) or record(*batch))
    mc.train(network, toy_split(), RECIPE, test=toy_split(8, seed=1))
    assert modes == [True] * 12 and not network.training


@pytest.mark.parametrize(("norm", "newest"), [(batch_norm(momentum=0.25), 0.25), (batch_norm(), 0.1),
                                              (nn.BatchNorm2d, 0.1)])
def test_momentum_is_the_weight_of_the_newest_batch(norm, newest):
    """MindSpore has announced that its ``momentum`` will mean the newest batch's, which here is torch's."""
    layer = norm(1).set_train(True)
    layer(Tensor(np.full((2, 1, 2, 2), 8, np.float32)))
    assert layer.moving_mean.asnumpy() == pytest.approx([newest * 8])
    assert layer.moving_variance.asnumpy() == pytest.approx([1 - newest])


def test_equal_weights_are_no_weights_and_zero_weights_leave_out():
    recipe = dataclasses.replace(RECIPE, batch_size=40, epochs=2, weight_decay=0.0)
    split = toy_split()
    plain = mc.train(new_network(), split, recipe).network
    equal = mc.train(new_network(), split, recipe, weights=np.full(40, 2.5)).network
    for name, array in arrays_of(plain).items():
        np.testing.assert_allclose(array, arrays_of(equal)[name], rtol=1e-4, atol=1e-6)
    some = np.arange(40) % 3 > 0
    ignored = split.images.copy()
    ignored[~some] = 255 - ignored[~some]
    zeroed = [mc.train(new_network(), dataclasses.replace(split, images=images), recipe, weights=some.astype(float))
              for images in (split.images, ignored)]
    for name, array in arrays_of(zeroed[0].network).items():
        np.testing.assert_allclose(array, arrays_of(zeroed[1].network)[name], rtol=1e-5, atol=1e-7)


def test_a_batch_without_weight_changes_nothing():
    recipe = dataclasses.replace(RECIPE, batch_size=1, epochs=1, weight_decay=0.0, momentum=0.0, nesterov=False)
    weights = np.zeros(40)
    weights[7] = 2.0
    trained = mc.train(new_network(), toy_split(), recipe, weights=weights)
    alone = mc.train(new_network(), toy_split(), recipe, weights=np.eye(40)[7])
    assert_same_weights(trained.network, alone.network)
    assert trained.history[0]["loss"] == pytest.approx(trained.dynamics.loss[0, 7] / 40)


@pytest.mark.parametrize("weights", [np.ones(39), np.full(40, np.nan), -np.ones(40), np.zeros(40)])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(MsCoresetError, match="weights must be 40 finite numbers"):
        mc.train(new_network(), toy_split(), RECIPE, weights=weights)


def test_a_loss_that_is_great_is_no_divergence():
    network = new_network()
    network.head.weight.set_data(1e4 * network.head.weight)  # probabilities of 0 in float32, losses in the thousands
    recipe = dataclasses.replace(RECIPE, batch_size=20, epochs=1, lr=1e-6)
    result = mc.train(network, toy_split(), recipe)
    assert result.dynamics.loss.max() > 200
    assert result.history[0]["loss"] == pytest.approx(result.dynamics.loss.mean(), rel=1e-5)


def test_divergence_is_said():
    with pytest.raises(MsCoresetError, match=r"diverged in epoch 1.*lower --lr"):
        mc.train(new_network(), toy_split(), dataclasses.replace(RECIPE, lr=1e30, schedule="constant", epochs=1))


def test_nothing_but_what_was_asked_is_recorded(tmp_path):
    result = mc.train(new_network(), toy_split(), RECIPE, record=("margin",), folder=tmp_path)
    assert result.dynamics.loss is result.dynamics.divergence is None
    assert [path.name for path in (tmp_path / "dynamics").iterdir()] == ["margin.npy"]
