"""Training on coresets that the network itself chooses anew every few epochs."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import hold_out
from ms_coreset.training import loop
from ms_coreset.training.adaptive import Coresets, Reselection

mc.set_device("CPU")

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
RECIPE = mc.Recipe(arch="mlp", epochs=5, batch_size=8, lr=0.05, schedule="cosine", crop_padding=1, flip=True)


def toy_split(n=60, size=8, classes=3, seed=0):
    """Bright bars whose place tells the class, some faint: learnt in a few epochs."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, classes, n)
    images = rng.randint(0, 90, (n, size, size, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label:2 * label + 2] += rng.randint(30, 160)
    return mc.Split("toy", images, labels, classes=tuple("abc"[:classes]), mean=(0.3,), std=(0.3,))


def new_network(seed=0):
    return mc.create_network("mlp", 3, 1, image_size=8, width=16, seed=seed)


def assert_same_weights(first, second):
    arrays = {parameter.name: parameter.asnumpy() for parameter in second.get_parameters()}
    for parameter in first.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), arrays[parameter.name])


def assert_same_coresets(first, second):
    assert first.keys() == second.keys()
    for epoch, coreset in first.items():
        np.testing.assert_array_equal(coreset.indices, second[epoch].indices)
        assert (coreset.weights is None) == (second[epoch].weights is None)
        if coreset.weights is not None:
            np.testing.assert_array_equal(coreset.weights, second[epoch].weights)


# What is presented when

@pytest.mark.parametrize(("every", "warm", "epochs", "chosen"), [
    (2, 0, 5, [0, 2, 4]), (9, 0, 5, [0]), (1, 0, 3, [0, 1, 2]), (2, 3, 8, [3, 5, 7]), (1, 4, 5, [4])])
def test_when_it_chooses_by_hand(every, warm, epochs, chosen):
    coresets = Coresets(Reselection.by("random", 0.5, every, warm=warm), toy_split(), np.arange(60), new_network(),
                        epochs)
    shown = [coresets.present(epoch)[0].tolist() for epoch in range(epochs)]
    assert coresets.is_last and list(coresets.chosen) == chosen
    for epoch, places in enumerate(shown):
        since = epoch - warm
        assert places == (list(range(60)) if since < 0 else
                          sorted(coresets.chosen[epoch - since % every].indices.tolist()))


def test_the_sampler_is_the_reselection():
    """``mc.Reselection``, the sampler by its name, and the sampler in a loop of one's own."""
    split, options = toy_split(), {"method": "gradmatch", "every": 2, "warm": 1, "balance": True}
    by_class = mc.train(new_network(), split, RECIPE, seed=3,
                        reselection=Reselection.by("gradmatch", 0.3, 2, warm=1, balance=True, seed=3))
    by_name = mc.train(new_network(), split, RECIPE, seed=3, sampling=mc.Sampling("reselect", 0.3, options))
    assert_same_weights(by_class.network, by_name.network)
    assert_same_coresets(by_class.coresets, by_name.coresets)
    own = mc.create_sampler("reselect", split.labels, 2, rate=0.3, seed=3,
                            evidence=lambda: mc.extract(by_class.network, split), **options)
    assert len(own.begin_epoch(0).indices) == 60
    indices, weights = own.begin_epoch(1)
    expected = mc.select("gradmatch", mc.extract(by_class.network, split), 0.3, balance=True, seed=3)
    order = np.argsort(indices)
    np.testing.assert_array_equal(indices[order], np.sort(expected.indices))
    wanted = expected.weights[np.argsort(expected.indices)]
    np.testing.assert_allclose(weights[order], wanted / wanted.mean())


def test_evidence_of_other_samples_is_refused():
    labels = toy_split().labels
    sampler = mc.create_sampler("reselect", labels, 2, rate=0.3, evidence=lambda: mc.Evidence(labels=labels[:50]))
    with pytest.raises(MsCoresetError, match="evidence of 50 samples: reselect is of 60"):
        sampler.begin_epoch(0)


def test_warm_epochs_present_all_samples_and_are_those_of_plain_training():
    split, recipe = toy_split(), dataclasses.replace(RECIPE, schedule="constant")
    result = mc.train(new_network(), split, recipe, seed=3, record=("loss",),
                      reselection=Reselection.by("gradmatch", 0.2, 1, warm=3))
    assert np.isnan(result.dynamics.loss).sum(axis=1).tolist() == [0, 0, 0, 48, 48]
    assert list(result.coresets) == [3, 4]
    assert [coreset.seed for coreset in result.coresets.values()] == [0, 1]
    plain = mc.train(new_network(), split, dataclasses.replace(recipe, epochs=3), seed=3)
    assert result.history[:3] == plain.history
    assert_same_coresets({3: mc.select("gradmatch", mc.extract(plain.network, split), 0.2)}, {3: result.coresets[3]})


def test_reselection_asks_the_live_network_every_so_many_epochs(monkeypatch):
    split, network, asked = toy_split(), new_network(), []
    choose = Reselection.by("gradmatch", 0.2, 2).choose

    def watch(evidence, request):
        asked.append((request.seed, np.array(evidence.logits)))
        return choose(evidence, request)

    reselection = dataclasses.replace(Reselection.by("gradmatch", 0.2, 2, seed=7), choose=watch)
    result = mc.train(network, split, RECIPE, seed=3, reselection=reselection)
    assert [seed for seed, _ in asked] == [7, 8, 9]
    assert list(result.coresets) == [0, 2, 4]
    np.testing.assert_array_equal(asked[0][1], mc.extract(new_network(), split, ("logits",)).logits)
    assert np.abs(asked[1][1] - asked[0][1]).max() > 1e-3
    assert len(result.history) == 5


def test_the_second_coreset_is_what_the_network_of_then_chooses():
    split, recipe = toy_split(), dataclasses.replace(RECIPE, schedule="constant")
    chosen = mc.train(new_network(), split, recipe, seed=3, reselection=Reselection.by("gradmatch", 0.2, 2)).coresets
    rows = np.argsort(chosen[0].indices)
    then = mc.train(new_network(), split.subset(chosen[0].indices[rows]), dataclasses.replace(recipe, epochs=2), seed=3,
                    weights=chosen[0].weights[rows])
    expected = mc.select("gradmatch", mc.extract(then.network, split), 0.2)
    assert_same_coresets({2: expected}, {2: chosen[2]})
    assert set(chosen[0].indices) != set(chosen[2].indices)


def test_what_is_presented_are_the_coresets_and_nothing_else():
    split = toy_split()
    result = mc.train(new_network(), split, RECIPE, record=("loss",), reselection=Reselection.by("random", 0.2, 2))
    for epoch, values in enumerate(result.dynamics.loss):
        chosen = result.coresets[epoch - epoch % 2].indices
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(values)), np.sort(chosen))
    assert len({tuple(coreset.indices) for coreset in result.coresets.values()}) == 3  # random draws anew


@pytest.mark.parametrize("method", ["gradmatch", "moderate"])
def test_once_for_all_epochs_equals_training_on_the_first_coreset(method):
    split = toy_split()
    adaptively = mc.train(new_network(), split, RECIPE, seed=3, reselection=Reselection.by(method, 0.3, 100, seed=3))
    first = mc.select(method, mc.extract(new_network(), split), 0.3, seed=3)
    assert_same_coresets(adaptively.coresets, {0: first})
    rows = np.argsort(first.indices)
    weights = None if first.weights is None else first.weights[rows]
    plainly = mc.train(new_network(), split.subset(first.indices[rows]), RECIPE, seed=3, weights=weights)
    assert_same_weights(adaptively.network, plainly.network)
    assert adaptively.history == plainly.history


def test_weights_of_the_coresets_weigh_the_loss():
    split, weighted = toy_split(), Reselection.by("gradmatch", 0.3, 100)

    def without_weights(evidence, request):
        return dataclasses.replace(weighted.choose(evidence, request), weights=None)

    results = [mc.train(new_network(), split, RECIPE, reselection=reselection)
               for reselection in (weighted, dataclasses.replace(weighted, choose=without_weights))]
    with_weights, without = (result.coresets[0] for result in results)
    np.testing.assert_array_equal(with_weights.indices, without.indices)
    assert len(np.unique(with_weights.weights)) > 1
    assert results[0].history[0]["loss"] != results[1].history[0]["loss"]
    # Of one batch: sum w l / sum w over the coreset, of the network's first weights.
    logits = mc.extract(new_network(), split, ("logits",)).logits
    rows, recipe = np.sort(with_weights.indices), dataclasses.replace(RECIPE, batch_size=60, crop_padding=0, flip=False)
    losses = [np.log(np.exp(logits[row] - logits[row, split.labels[row]]).sum()) for row in rows]
    weights = with_weights.weights[np.argsort(with_weights.indices)]
    first = mc.train(new_network(), split, recipe, reselection=weighted).history[0]["loss"]
    assert first == pytest.approx(np.average(losses, weights=weights), rel=1e-5)


def test_held_out_samples_choose_the_best_epoch_and_are_never_chosen(tmp_path):
    split, recipe = toy_split(), dataclasses.replace(RECIPE, validation=0.25)
    result = mc.train(new_network(), split, recipe, seed=3, folder=tmp_path,
                      reselection=Reselection.by("herding", 0.4, 1))
    rest, held_out = hold_out(60, 0.25, 3)
    assert len(held_out) == 15
    for coreset in result.coresets.values():
        assert coreset.n == 60
        assert len(coreset) == 18
        assert not set(coreset.indices) & set(held_out)
        np.testing.assert_array_equal(coreset.pool, rest)
    assert all("validation_accuracy" in entry for entry in result.history)


def test_iterations_are_exact():
    recipe = dataclasses.replace(RECIPE, epochs=None, iterations=7)
    result = mc.train(new_network(), toy_split(), recipe, reselection=Reselection.by("random", 0.4, 2))
    assert [entry["presented"] for entry in result.history] == [24, 24, 8]  # 24 samples are 3 updates a pass
    assert list(result.coresets) == [0, 2]
    warm = mc.train(new_network(), toy_split(), dataclasses.replace(recipe, iterations=12),
                    reselection=Reselection.by("random", 0.4, 2, warm=1))
    assert [entry["updates"] for entry in warm.history] == [8, 3, 1]
    with pytest.raises(MsCoresetError, match="1 epochs on all samples before the first selection"):
        mc.train(new_network(), toy_split(), recipe, reselection=Reselection.by("random", 0.4, 2, warm=1))


@pytest.mark.parametrize("method", ["k_center", "entropy", "glister", "craig", "deepfool", "contextual_diversity"])
def test_other_methods(method):
    result = mc.train(new_network(), toy_split(), RECIPE, reselection=Reselection.by(method, 0.2, 3, balance=True))
    sizes = [round(0.2 * size) for size in np.bincount(toy_split().labels)]
    assert [len(coreset) for coreset in result.coresets.values()] == [sum(sizes)] * 2


# Again, and after an interruption

def test_same_seed_same_bytes(tmp_path):
    for name in "ab":
        mc.train(new_network(), toy_split(), RECIPE, seed=3, folder=tmp_path / name,
                 reselection=Reselection.by("gradmatch", 0.2, 2, seed=3))
    files = [sorted((tmp_path / name / "coresets").iterdir()) for name in "ab"]
    assert [path.name for path in files[0]] == ["epoch-001.npz", "epoch-003.npz", "epoch-005.npz"]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert_same_weights(*(mc.load_weights(new_network(), tmp_path / name / "best.ckpt") for name in "ab"))


class Stopped(Exception):
    pass


@pytest.mark.parametrize(("stop", "warm", "options"), [
    (1, 0, {}), (2, 0, {}), (3, 0, {"validation": 0.2}), (1, 2, {}), (3, 2, {})])
def test_resumed_ends_like_undisturbed(tmp_path, monkeypatch, stop, warm, options):
    """Stopped in the epoch ``stop``, from 0, of which 2 is one that begins with a selection."""
    split, test, recipe = toy_split(), toy_split(seed=9), dataclasses.replace(RECIPE, **options)
    reselection = Reselection.by("gradmatch", 0.3, 2, warm=warm)
    straight = mc.train(new_network(), split, recipe, seed=3, folder=tmp_path / "a", test=test, reselection=reselection)
    record = loop.FieldRecorder.record

    def stop_there(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == stop:
            raise Stopped

    monkeypatch.setattr(loop.FieldRecorder, "record", stop_there)
    with pytest.raises(Stopped):
        mc.train(new_network(), split, recipe, seed=3, folder=tmp_path / "b", test=test, reselection=reselection)
    assert not loop.is_finished(tmp_path / "b")
    monkeypatch.undo()
    resumed = mc.train(new_network(seed=8), split, recipe, seed=3, folder=tmp_path / "b", resume=True, test=test,
                       reselection=reselection)
    assert_same_weights(straight.network, resumed.network)
    assert straight.history == resumed.history
    assert_same_coresets(straight.coresets, resumed.coresets)
    names = [sorted(path.name for path in (tmp_path / run / "coresets").iterdir()) for run in "ab"]
    assert names[0] == names[1]
    for name in names[0]:
        assert len({(tmp_path / run / "coresets" / name).read_bytes() for run in "ab"}) == 1
    again = mc.train(new_network(seed=8), split, recipe, seed=3, folder=tmp_path / "b", resume=True, test=test,
                     reselection=reselection)
    assert again.history == straight.history
    assert_same_coresets(straight.coresets, again.coresets)


def test_a_pool_is_written_in_the_places_of_the_whole_and_resumed(tmp_path, monkeypatch):
    whole = toy_split(n=90)
    pool = np.sort(np.random.RandomState(1).permutation(90)[:60])
    split, recipe = whole.subset(pool), dataclasses.replace(RECIPE, validation=0.1)
    reselection = dataclasses.replace(Reselection.by("moderate", 0.3, 2), pool=pool, n=90)
    straight = mc.train(new_network(), split, recipe, folder=tmp_path, reselection=reselection)
    written = Coreset.load(tmp_path / "coresets" / "epoch-003.npz")
    assert written.n == 90
    np.testing.assert_array_equal(written.indices, pool[straight.coresets[2].indices])
    resumed = mc.train(new_network(), split, recipe, folder=tmp_path, resume=True, reselection=reselection)
    assert_same_coresets(straight.coresets, resumed.coresets)
    np.testing.assert_array_equal(resumed.coresets[2].pool, straight.coresets[2].pool)


@pytest.mark.parametrize("other", [
    None, Reselection.by("gradmatch", 0.3, 3), Reselection.by("glister", 0.3, 2), Reselection.by("gradmatch", 0.2, 2),
    Reselection.by("gradmatch", 0.3, 2, warm=1), Reselection.by("gradmatch", 0.3, 2, lam=0.1),
    Reselection.by("gradmatch", 0.3, 2, balance=True)])
def test_resuming_with_another_reselection_is_refused(tmp_path, other):
    mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, reselection=Reselection.by("gradmatch", 0.3, 2))
    with pytest.raises(MsCoresetError, match=r"reselection was gradmatch at 0\.3 every 2 epochs, seed 0, is "):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, resume=True, reselection=other)


@pytest.mark.parametrize(("damage", "message"), [("missing", "is missing"), ("changed", "is changed")])
def test_resuming_with_other_coresets_is_refused(tmp_path, damage, message):
    reselection = Reselection.by("gradmatch", 0.3, 2)
    mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, reselection=reselection)
    path = tmp_path / "coresets" / "epoch-003.npz"
    path.unlink()
    if damage == "changed":
        mc.select("random", mc.Evidence(labels=toy_split().labels), 0.3).save(path)
    with pytest.raises(MsCoresetError, match=rf"epoch-003\.npz {message}; delete"):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, resume=True, reselection=reselection)


def test_training_anew_leaves_no_former_coresets(tmp_path):
    for every in (1, 3):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, reselection=Reselection.by("random", 0.3, every))
    assert sorted(path.name for path in (tmp_path / "coresets").iterdir()) == ["epoch-001.npz", "epoch-004.npz"]


# What can't be

@pytest.mark.parametrize("method", ["forgetting", "aum", "ccs", "correctness", "accumulated_margin"])
def test_methods_of_a_whole_run_are_refused(method):
    with pytest.raises(MsCoresetError, match=f"{method} needs the training dynamics of a whole run.*work: random") as e:
        Reselection.by(method, 0.3, 2)
    assert "gradmatch" in str(e.value)
    assert "forgetting," not in str(e.value).partition("work:")[2]
    with pytest.raises(MsCoresetError, match="el2n needs the training dynamics"):
        Reselection.by("el2n", 0.3, 2, last=3)


@pytest.mark.parametrize(("values", "message"), [
    ({"warm": -1}, "epochs before the first selection, -1"), ({"every": 0}, "epochs between two selections, 0"),
    ({"every": 1.5}, "epochs between two selections, 1.5"),
    ({"rate": 0}, "rate 0"), ({"method": "gradmatsch"}, "unknown method"), ({"lamb": 1}, "no option 'lamb'")])
def test_impossible_reselections_are_refused(values, message):
    with pytest.raises(MsCoresetError, match=message):
        Reselection.by(**{"method": "gradmatch", "rate": 0.3, "every": 2, **values})


def test_more_warm_epochs_than_there_are_are_refused():
    with pytest.raises(MsCoresetError, match="5 epochs on all samples before the first selection: there are only 5"):
        mc.train(new_network(), toy_split(), RECIPE, reselection=Reselection.by("random", 0.3, 2, warm=5))


def test_weights_and_reselection_are_refused():
    with pytest.raises(MsCoresetError, match="weights and reselection"):
        mc.train(new_network(), toy_split(), RECIPE, weights=np.ones(60), reselection=Reselection.by("random", 0.3, 2))


# The command

ADAPTIVE = ["--dataset", "digits", "--reselect-every", "2", "--method", "gradmatch", "--rate", "0.1", "--epoch", "5"]
FOLDER = "ckpt/digits/mlp-gradmatch-0.1-every2"


def run(*arguments, cwd, check=0):
    done = subprocess.run([sys.executable, str(SCRIPTS / "train.py"), *map(str, arguments)], cwd=cwd, text=True,
                          capture_output=True, timeout=900)
    assert done.returncode == check, done.stderr
    return done


@pytest.fixture(scope="module")
def training_folder(tmp_path_factory):
    """A folder where the adaptive training ran undisturbed, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(*ADAPTIVE, cwd=folder)


def test_the_command_tells_and_writes_what_it_chose(training_folder):
    folder, done = training_folder
    assert re.search(r"note: coreset from epoch 3 on: 144 samples by gradmatch, \d+% of them new", done.stderr)
    assert "presented   144 of them, chosen anew by gradmatch every 2 epochs" in done.stdout
    assert f"coresets    3 in {FOLDER}/coresets" in done.stdout
    result = json.loads((folder / FOLDER / "result.json").read_text())
    assert result["reselection"] == {"method": "gradmatch", "options": {}, "rate": 0.1, "balance": False, "every": 2,
                                     "warm": 0}
    assert [(told["from_epoch"], told["samples"]) for told in result["coresets"]] == [(1, 144), (3, 144), (5, 144)]
    assert all(told["weighted"] for told in result["coresets"])
    written = [Coreset.load(folder / told["file"]) for told in result["coresets"]]
    assert [coreset.seed for coreset in written] == [0, 1, 2]
    assert all(coreset.n == 1437 and len(coreset) == 144 for coreset in written)
    assert len(result["history"]) == 5


def test_a_coreset_of_the_history_is_one_to_train_on(training_folder, monkeypatch, capsys):
    folder, _ = training_folder
    monkeypatch.chdir(folder)
    assert main(["show", f"{FOLDER}/coresets/epoch-003.npz"], "coreset") == 0
    assert "gradmatch" in capsys.readouterr().out
    arguments = ["--dataset", "digits", "--coreset", f"{FOLDER}/coresets/epoch-003.npz", "--epoch", "1", "--no-save"]
    assert main([*arguments, "--result", "one.json"], "train") == 0
    assert json.loads((folder / "one.json").read_text())["samples"] == 144


@pytest.mark.slow
def test_ctrl_c_between_two_selections_and_again(tmp_path):
    """Interrupted in the middle of what the second coreset serves."""
    arguments = ["--dataset", "digits", "--pool", "300", "--reselect-every", "20", "--method", "gradmatch", "--rate",
                 "0.1", "--epoch", "60"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    for folder in (straight, stopped):
        folder.mkdir()
    run(*arguments, cwd=straight)
    inside = "ckpt/digits-pool300/mlp-gradmatch-0.1-every20"
    process = subprocess.Popen([sys.executable, str(SCRIPTS / "train.py"), *arguments], cwd=stopped, text=True,
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    second, deadline = stopped / inside / "coresets" / "epoch-021.npz", time.monotonic() + 600
    while not second.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert not (stopped / inside / "result.json").exists()
    run(*arguments, "--resume", cwd=stopped)
    assert_same_weights(*(mc.load_weights(mc.create_network("mlp", 10, 1, image_size=8), folder / inside / "best.ckpt")
                          for folder in (straight, stopped)))
    for path in (straight / inside / "coresets").iterdir():
        assert path.read_bytes() == (stopped / inside / "coresets" / path.name).read_bytes()
    results = [json.loads((folder / inside / "result.json").read_text()) for folder in (straight, stopped)]
    for key in ("coresets", "last", "best"):
        assert results[0][key] == results[1][key]
    # MindSpore adds up a weighted loss in an order that depends on how often it did so in this process: what is told of
    # it is equal up to rounding, its gradient to the last bit.
    for first, second in zip(*(result["history"] for result in results), strict=True):
        assert first == {**second, "loss": pytest.approx(second["loss"], rel=1e-6)}


def test_pool_no_save_and_any_score_by_any_rule(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ("--dataset digits --pool 200 --warm-epochs 1 --reselect-every 1 --score el2n --rule strata --rate 0.2 "
            "--balance --epoch 3 --no-save --result r.json")
    assert main(line.split(), "train") == 0
    told = json.loads(Path("r.json").read_text())
    assert [Path(one["file"]).name for one in told["coresets"]] == ["epoch-002.npz", "epoch-003.npz"]
    assert told["reselection"]["method"] == "el2n-strata"
    coresets = [Coreset.load(one["file"]) for one in told["coresets"]]
    assert all(coreset.n == 1437 and len(coreset.pool) == 200 for coreset in coresets)
    assert all(set(coreset.indices) <= set(coreset.pool) for coreset in coresets)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r-coresets", "r.json"]


def test_validation_set_of_glister_stays_the_same_and_is_never_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ("--dataset digits --pool 200 --reselect-every 1 --method glister --held-out 0.2 --rate 0.2 --epoch 2 "
            "--no-save --result r.json")
    assert main(line.split(), "train") == 0
    told = json.loads(Path("r.json").read_text())
    assert told["reselection"]["options"] == {"held_out": 0.2}
    first, second = (Coreset.load(one["file"]) for one in told["coresets"])
    assert len(first.pool) == 160
    assert len(first) == 32
    np.testing.assert_array_equal(first.pool, second.pool)
    assert set(second.indices) <= set(second.pool)


@pytest.mark.parametrize(("options", "message"), [
    ("--reselect-every 2", "--reselect-every needs a --method"),
    ("--reselect-every 2 --method= --rate 0.1", "--reselect-every needs a --method"),
    ("--reselect-every 2 --method gradmatch", "--reselect-every needs a --rate"),
    ("--reselect-every 2 --rate 0.1 --rule top", "--rule top needs a --score"),
    ("--reselect-every 0 --method gradmatch --rate 0.1", "epochs between two selections, 0"),
    ("--reselect-every 2 --method gradmatch --rate 1.1", "rate 1.1: must be above 0"),
    ("--reselect-every 2 --method forgetting --rate 0.1", "forgetting needs the training dynamics of a whole run"),
    ("--reselect-every 2 --method ccs --rate 0.1", "every few epochs work: random, full, herding"),
    ("--reselect-every 2 --method gradmatch --rate 0.1 --center mean", "gradmatch has no option --center"),
    ("--reselect-every 2 --method moderate --rate 0.1 --held-out 0.1", "moderate has no option --held-out"),
    ("--reselect-every 2 --method random --rate 0.1 --coreset c.npz", "leave --coreset out"),
    ("--reselect-every 2 --method random --rate 0.1 --prune c.bin", "leave --prune out"),
    ("--rate 0.1", "--rate is about choosing: it goes with --reselect-every R"),
    ("--lam 0.1", "--lam is about choosing"), ("--balance", "--balance is about choosing")])
def test_mistakes(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--dataset", "digits", *options.split()], "train") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_selection_that_does_not_fit_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*ADAPTIVE, "--memory", "1M"], "train") == 2
    assert re.search(r"gradmatch needs about .* what would fit", capsys.readouterr().err)
