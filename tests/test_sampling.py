"""Training by samplers: ``mc.train(sampling=...)`` and ``train --sampler``."""

import json
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers import SAMPLERS
from ms_coreset.training import loop
from ms_coreset.training.dynamics import FieldRecorder
from ms_coreset.training.loop import is_finished

FRAMEWORKS = [pytest.param("mindspore", marks=pytest.mark.mindspore), "torch"]
CASES = [mc.Sampling("rs2", 0.3), mc.Sampling("rs2", 0.4, {"stratified": True}), mc.Sampling("rcap", 0.5),
         mc.Sampling("infobatch", options={"ratio": 0.3})]


@pytest.fixture(scope="module")
def split():
    if pytest.importorskip("torch"):
        mc.set_device("CPU")
    return mc.load_dataset("digitsN", "data", True).subset(np.arange(150))


def network_of(framework):
    return mc.create_network("mlp", 10, 1, image_size=8, framework=framework)


def recipe_of(**over):
    return mc.load_recipe("digits").override(epochs=4, validation=0.0, **over)


def weights_of(network):
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


def assert_equal(one, other, **close):
    one, other = weights_of(one), weights_of(other)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], **{"rtol": 0, "atol": 0, **close}, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_all_samples_in_every_epoch_are_training_without_a_sampler(framework, validation, split):
    recipe = recipe_of().override(validation=validation)
    networks = [network_of(framework) for _ in range(2)]
    for network, sampling in zip(networks, (None, mc.Sampling("full")), strict=True):
        mc.train(network, split, recipe, sampling=sampling)
    assert_equal(*networks)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sampling", CASES, ids=str)
def test_stopped_and_resumed_it_ends_alike(framework, sampling, split, tmp_path, monkeypatch):
    recipe = recipe_of().override(validation=0.1)
    whole, parts = network_of(framework), network_of(framework)
    result = mc.train(whole, split, recipe, sampling=sampling)
    record = FieldRecorder.record

    def stop(recorder, epoch, *batch):
        if epoch == 2:
            raise KeyboardInterrupt
        record(recorder, epoch, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FieldRecorder, "record", stop)
        mc.train(parts, split, recipe, sampling=sampling, folder=tmp_path)
    again = network_of(framework)
    resumed = mc.train(again, split, recipe, sampling=sampling, folder=tmp_path, resume=True)
    assert_equal(whole, again)
    assert [entry["presented"] for entry in resumed.history] == [entry["presented"] for entry in result.history]
    other = mc.Sampling("rs2", 0.9)
    with pytest.raises(MsCoresetError, match="sampler"):
        mc.train(network_of(framework), split, recipe, sampling=other, folder=tmp_path, resume=True)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sampling", [*CASES, mc.Sampling("full")], ids=str)
def test_iterations_are_exact_and_the_learning_rate_goes_by_them(framework, sampling, split, tmp_path, monkeypatch):
    """135 samples, batches of 16: 9 updates of all; 31 end within an epoch of most samplers."""
    recipe = recipe_of().override(iterations=31, batch_size=16, validation=0.1, schedule="linear", warmup=0.0,
                                  lr=0.31, min_lr=0.0, eval_every=100)
    network, rates, make = network_of(framework), [], loop._trainer_of

    def listening(*arguments):
        trainer = make(*arguments)
        step = trainer.step
        trainer.step = lambda batch, weights, rate: (rates.append(rate), step(batch, weights, rate))[1]
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_trainer_of", listening)
        result = mc.train(network, split, recipe, sampling=sampling, test=split, folder=tmp_path)
    np.testing.assert_allclose(rates, 0.01 * np.arange(31, 0, -1))
    assert result.total("updates") == 31
    assert result.total("presented") == np.isfinite(result.dynamics.loss).sum()
    assert ["test_accuracy" in entry for entry in result.history] == [False] * (len(result.history) - 1) + [True]
    again = mc.train(network_of(framework), split, recipe, sampling=sampling, test=split, folder=tmp_path, resume=True)
    assert again.history == result.history and is_finished(tmp_path)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("stopped_in", [1, 4])
def test_iterations_stopped_and_resumed_end_alike(framework, stopped_in, split, tmp_path, monkeypatch):
    """Stopped before and after the fourth epoch, which is as many as there were if none was left out."""
    recipe = recipe_of(batch_size=16).override(iterations=40)
    sampling = mc.Sampling("infobatch", options={"ratio": 0.8, "delta": 1.0})
    whole, again = network_of(framework), network_of(framework)
    result = mc.train(whole, split, recipe, sampling=sampling)
    assert len(result.history) > 5
    record = FieldRecorder.record

    def stop(recorder, epoch, *batch):
        if epoch == stopped_in:
            raise KeyboardInterrupt
        record(recorder, epoch, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FieldRecorder, "record", stop)
        mc.train(network_of(framework), split, recipe, sampling=sampling, folder=tmp_path)
    assert not is_finished(tmp_path)
    resumed = mc.train(again, split, recipe, sampling=sampling, folder=tmp_path, resume=True)
    assert_equal(whole, again)
    assert resumed.history == result.history
    np.testing.assert_array_equal(resumed.dynamics.loss, result.dynamics.loss)


def test_milestones_of_iterations_are_in_epochs_of_all_samples(split):
    recipe = recipe_of(batch_size=15).override(iterations=30, schedule="multistep", milestones=(1, 2.5), gamma=0.1,
                                               lr=0.1)
    result = mc.train(network_of("torch"), split, recipe, sampling=mc.Sampling("rs2", 0.5))
    np.testing.assert_allclose([entry["lr"] for entry in result.history], [0.1, 0.01, 0.01, 0.001, 0.001, 0.001])


def test_scores_are_not_added_up_over_an_unknown_number_of_epochs(split):
    with pytest.raises(MsCoresetError, match="record stream: how many epochs infobatch makes of 30 updates"):
        mc.train(network_of("torch"), split, recipe_of().override(iterations=30), record="stream",
                 sampling=mc.Sampling("infobatch"))


@pytest.mark.parametrize("sampling", CASES, ids=str)
@pytest.mark.mindspore
def test_both_frameworks_present_the_same_and_end_alike(sampling, split):
    recipe = recipe_of()
    networks = [network_of("mindspore"), network_of("torch")]
    found = [mc.train(network, split, recipe, sampling=sampling) for network in networks]
    assert_equal(*networks, rtol=1e-3, atol=1e-4)
    shown = [~np.isnan(result.dynamics.loss) for result in found]
    np.testing.assert_array_equal(*shown)
    assert [entry["presented"] for entry in found[0].history] == shown[0].sum(axis=1).tolist()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weights_are_of_a_mean_over_samples(framework, split):
    """Without momentum and decay, weights of 2 are a learning rate twice as high."""
    class Twice(mc.Sampler):
        def _draw(self, epoch):
            return np.arange(len(self)), np.full(len(self), 2.0)

    mc.register_sampler("twice")(Twice)
    try:
        recipe = recipe_of(momentum=0.0, weight_decay=0.0, nesterov=False, lr=0.02)
        doubled, plain = network_of(framework), network_of(framework)
        mc.train(doubled, split, recipe, sampling=mc.Sampling("twice"))
        mc.train(plain, split, recipe.override(lr=0.04))
    finally:
        SAMPLERS.remove("twice")
    assert_equal(doubled, plain, rtol=1e-4, atol=1e-6)


def test_a_sampler_is_told_the_losses(split):
    told = {}

    class Listening(mc.Sampler):
        def _draw(self, epoch):
            told[epoch] = self.losses.copy()
            return np.arange(0, len(self), 2), None

    mc.register_sampler("listening")(Listening)
    try:
        recipe = recipe_of(batch_size=32)
        result = mc.train(network_of("torch"), split, recipe, sampling=mc.Sampling("listening"))
    finally:
        SAMPLERS.remove("listening")
    assert np.isnan(told[0]).all() and np.isnan(told[3][1::2]).all()
    for epoch in range(1, 4):
        np.testing.assert_allclose(told[epoch][::2], result.dynamics.loss[epoch - 1][::2], rtol=1e-5)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_command_tells_updates_and_what_was_presented(framework, here, capsys):
    device = "CPU" if framework == "mindspore" else "cpu"
    line = f"train --dataset digits --arch mlp --epoch 2 --device {device} --framework {framework}"
    assert main([*line.split(), "--sampler", "RS2", "--rate", "0.3"]) == 0
    assert "presented   862 in 14 updates, by rs2 at 0.3" in capsys.readouterr().out
    told = json.loads(next(Path("ckpt").rglob("result.json")).read_text(encoding="utf-8"))
    assert (told["sampler"], told["presented"], told["updates"]) == ("rs2 at 0.3", 862, 14)
    assert next(Path("ckpt").rglob("result.json")).parent.name.endswith("rs2-0.3")


@pytest.mark.parametrize(("options", "message"), [
    ("--sampler rs3", "unknown sampler 'rs3': did you mean 'rs2'"),
    ("--sampler rho", "rho narrows batches down, which train does not do"),
    ("--sampler infobatch --rate 0.3", "give it as ratio"),
    ("--sampler reselect:method=forgetting --rate 0.3", "forgetting needs the training dynamics of a whole run"),
    ("--sampler reselect:every=0 --rate 0.3", "every 0: must be a whole number"),
    ("--sampler reselect:method=moderat --rate 0.3", "did you mean 'moderate'"),
    ("--sampler infobatch:ratio", "is no option: write NAME:OPTION=VALUE"),
    ("--sampler infobatch:rtio=0.3", "infobatch has no option 'rtio'"),
    ("--sampler rs2 --rate 0", "rate 0.0: must be above 0"),
    ("--sampler rs2 --rate 0.3 --coreset a.npz", "--sampler chooses the samples itself: leave --coreset out"),
    ("--sampler rs2 --rate 0.3 --reselect-every 2 --method random", "leave one of them out"),
    ("--sampler rs2 --rate 0.3 --balance", "--balance is about choosing"),
    ("--rate 0.3", "--rate is about choosing")])
def test_what_can_t_be_meant_is_refused_in_a_line(options, message, here, capsys):
    line = f"train --dataset digits --arch mlp --epoch 2 --framework torch --device cpu {options}"
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err
    assert not Path("ckpt").exists()


def test_weights_and_samplers_do_not_go_together(split):
    with pytest.raises(MsCoresetError, match="rs2 and weights"):
        mc.train(network_of("torch"), split, recipe_of(), sampling=mc.Sampling("rs2", 0.5), weights=np.ones(150))


def test_the_short_form_of_reselect_is_the_same_training(here, capsys):
    line = "train --dataset digits --pool 200 --arch mlp --epoch 3 --framework torch --device cpu --rate 0.1 --no-save"
    for form, file in (("--sampler reselect:method=moderate,every=2", "a.json"),
                       ("--reselect-every 2 --method moderate", "b.json")):
        assert main([*line.split(), *form.split(), "--result", file]) == 0
    one, other = (json.loads(Path(name).read_text(encoding="utf-8")) for name in ("a.json", "b.json"))
    assert one["reselection"] == other["reselection"] and one["history"] == other["history"]
    assert [coreset["from_epoch"] for coreset in one["coresets"]] == [1, 3]
