"""Studies: every run once, whatever happens in between."""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.cli.experiment import job_of, parser
from ms_coreset.coreset import Coreset
from ms_coreset.errors import MsCoresetError
from ms_coreset.experiment import bench
from ms_coreset.experiment.data_map import DataMap
from ms_coreset.experiment.runs import Cell, Run
from ms_coreset.experiment.store import Claims, Store
from ms_coreset.experiment.study_plan import command_of, plan_runs
from ms_coreset.experiment.tally import Tally
from ms_coreset.selectors.choice import Choice
from ms_coreset.training.recipe import Recipe
from ms_coreset.training.sampling import Sampling

ROOT = Path(__file__).resolve().parents[1]
SMALL = "--dataset digitsN --pool 200 --epochs 2 --methods random moderate el2n full --rates 0.1 0.2 --seeds 0 1"
TIMES = ("seconds", "peak_mb", "finished")


def call(line, command="experiment"):
    return main(shlex.split(line), command)


def start(line, cwd):
    """The command as a process of its own."""
    return subprocess.Popen([sys.executable, ROOT / "scripts/experiment.py", *shlex.split(line)], cwd=cwd, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run_undisturbed(line, folder):
    """What the command prints that runs to its end in a folder."""
    process = start(line, folder)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return output


def records(folder="results/study"):
    return [json.loads(line) for line in (Path(folder) / "runs.jsonl").read_text().splitlines()]


def without_times(found):
    return [{name: value for name, value in record.items() if name not in TIMES} for record in found]


def refusal(capsys, line, command="experiment"):
    assert call(line, command) == 2
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return error


@pytest.fixture(scope="module", autouse=True)
def device():
    mc.set_device("CPU")  # as the commands do, before anything else computes


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder where a small study ran without disturbance, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as output:
        assert call(SMALL) == 0
    return folder, output.getvalue()


@pytest.fixture
def inside(study, monkeypatch):
    monkeypatch.chdir(study[0])
    return study[0]


def test_a_study_runs_everything_seed_by_seed_and_records_it(study, inside):
    found = records()
    assert [(record["seed"], record["method"], record["rate"]) for record in found] == [
        (seed, *run) for seed in (0, 1)
        for run in (*itertools.product(("random", "moderate", "el2n"), (0.1, 0.2)), ("full", 1.0))]
    assert {record["status"] for record in found} == {"done"}
    assert len({record["key"] for record in found}) == 14
    for record in found:
        assert record["n"] == 200
        assert record["k"] == sum(record["per_class"]) == len(Coreset.load(Path("results/study") / record["indices"]))
        assert set(record["accuracy"]) == {"last", "best", "best_epoch", "chosen_by", "per_class"}
        assert 0 <= record["accuracy"]["last"] <= record["accuracy"]["best"] <= 1
        assert set(record["accuracy"]["per_class"]) == set("0123456789")
        assert set(record["seconds"]) == {"base", "extract", "select", "train"}
        assert record["seconds"]["train"] > 0
        assert record["bad"]["kinds"]["symmetric_label_noise"]["kept"] == record["bad"]["kept"]
        assert record["recipe"]["epochs"] == 2
        assert record["learning"]["updates"] == [record["updates"] // 2, record["updates"]]
        assert record["learning"]["accuracy"][-1] == round(record["accuracy"]["last"], 5)
        assert record["device"] == "CPU"
        assert set(record["versions"]) == {"ms_coreset", "mindspore", "numpy"}
    lines = re.findall(r"^\[(\d+)/14\] (.*): (\d+\.\d\d%), .*% bad, [\d.]+ s; about .* left$", study[1], re.MULTILINE)
    assert [int(place) for place, *_ in lines] == list(range(1, 15))
    assert lines[0][1] == "digitsN random 0.1 seed 0 mlp epochs"
    assert [accuracy for *_, accuracy in lines] == [f"{record['accuracy']['last']:.2%}" for record in found]
    assert "14 of 14 runs done" in study[1]
    assert not Path("results/study/running").exists()
    assert not Path("results/study/.locks").exists()


def test_a_study_s_own_configuration_goes_on_with_it(inside, capsys):
    written = yaml.safe_load(Path("results/study/study.yaml").read_text())
    assert not written.keys() & {"data", "save", "model-dir", "cache", "ckpt", "device", "allow-plugins", "typed"}
    assert call("--config results/study/study.yaml --dry-run") == 0
    assert "14 runs: 14 done" in capsys.readouterr().out


def test_the_whole_data_is_trained_on_once_as_base_network_and_as_baseline(inside):
    found = {(record["method"], record["seed"]): record for record in records()}
    for seed in (0, 1):
        assert found["moderate", seed]["base_accuracy"] == found["full", seed]["accuracy"]["last"]
        assert found["moderate", seed]["seconds"]["base"] == found["full", seed]["seconds"]["train"]
    assert found["random", 0]["base_accuracy"] is None
    assert len(list(Path("results/study/ckpt/digitsN-pool200").iterdir())) == 2


def test_the_accuracy_is_that_of_training_on_the_coreset_by_hand(inside):
    record = next(record for record in records() if record["method"] == "moderate")
    coreset = Coreset.load(Path("results/study") / record["indices"])
    train, test = mc.load_dataset("digitsN"), mc.load_dataset("digitsN", train=False)
    recipe = Recipe(**{**record["recipe"], "milestones": tuple(record["recipe"]["milestones"])})
    network = mc.create_network("mlp", 10, 1, image_size=8)
    mc.train(network, train.subset(np.sort(coreset.indices)), recipe, seed=0, record=())
    assert mc.evaluate(network, test)["accuracy"] == record["accuracy"]["last"]
    assert record["bad"]["kept"] == train.bad[coreset.indices].mean()


def test_a_map_of_the_features_is_kept_for_each_base_network(inside):
    train = mc.load_dataset("digitsN")
    names = set()
    for record in records():
        coreset = Coreset.load(Path("results/study") / record["indices"])
        names.add(coreset.manifest["map"])
        assert (coreset.manifest["map"] is None) == (record["method"] in ("random", "full"))
    names.remove(None)
    assert len(names) == 2
    for name in names:
        found = DataMap.load(Path("results/study") / name, len(train))
        assert len(found.rows) == 200 and not np.array_equal(found.rows, np.arange(200))  # of a pool of all
        assert np.array_equal(found.bad, train.bad[found.rows])


def test_again_nothing_is_done_twice(inside, capsys):
    before = Path("results/study/runs.jsonl").read_bytes()
    assert call(SMALL) == 0
    assert "14 of 14 runs are done already" in capsys.readouterr().err
    assert Path("results/study/runs.jsonl").read_bytes() == before


def test_dry_run_lists_and_counts(inside, here, capsys):
    assert call(f"{SMALL} --seeds 0 1 2 --dry-run") == 0
    assert "21 runs: 0 done, 0 failed, 21 to do (21 trainings)" in capsys.readouterr().out
    assert not list(here.iterdir())


def test_a_run_s_command_repeats_it(inside, capsys):
    record = records()[3]
    assert call(shlex.join(shlex.split(record["command"])[1:]) + " --dry-run") == 0
    assert "1 runs: 1 done, 0 failed, 0 to do" in capsys.readouterr().out


def test_coreset_show_tells_what_weights_are_worth(here, capsys):
    mc.Coreset([4, 2, 7], 10, 0.3, method="craig", weights=np.array([1.0, 1.0, 2.0])).save("weighted.npz")
    assert call("show weighted.npz --no-data", "coreset") == 0
    shown = capsys.readouterr().out
    assert "kept       3 of 10; dropped 7\n" in shown
    assert "weights    1 to 2, sum 4\n" in shown
    assert "worth      2.667 samples of equal weight\n" in shown  # 4 squared over 6


def test_coreset_show_tells_what_each_class_weighs(here, capsys):
    labels = mc.load_dataset("digits").labels
    places = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    for name, weights in (("weighted", np.array([1.0] * 9 + [3.0])), ("plain", None)):
        mc.Coreset(places, len(labels), 0.01, method="craig", weights=weights).save(f"{name}.npz")
    assert call("show weighted.npz --dataset digits --classes", "coreset") == 0
    shown = capsys.readouterr().out
    assert "per class  min 1, median 1, max 1; 8.3% to 25.0% of the weight\n" in shown  # 1 and 3 of 12
    assert "0: 1, 8.3% of the weight\n" in shown
    assert "9: 1, 25.0% of the weight\n" in shown
    assert call("diff plain.npz weighted.npz --dataset digits --classes", "coreset") == 0
    shown = capsys.readouterr().out
    assert "min 1, median 1, max 1 / min 1, median 1, max 1; 8.3% to 25.0% of the weight\n" in shown
    assert "9: 1 / 9: 1, 25.0% of the weight\n" in shown


def test_coreset_diff_tells_inner_entries_that_differ(here, capsys):
    for name, numpy in (("a", "1.26.4"), ("b", "1.26.3")):
        notes = {"device": "CPU", "versions": {"numpy": numpy, "torch": "2.13.0"}}
        mc.Coreset([4, 2, 7], 10, 0.3, method="random", manifest=notes).save(f"{name}.npz")
    assert call("diff a.npz b.npz --no-data", "coreset") == 0
    assert capsys.readouterr().out.endswith("\n  versions   numpy: 1.26.4 / 1.26.3\n")


@pytest.mark.parametrize(("pools", "told"), [
    ((None, None), "0.200; by chance about 0.154"), ((range(8), range(8)), "0.200; by chance about 0.200"),
    ((range(8), None), "0.200")])
def test_coreset_diff_tells_what_chance_would_share(pools, told, here, capsys):
    """4 and 2 of 10 at random share 4 * 2 / 10 = 0.8, of 5.2 that are in either; of a pool of 8 they share 1 of 5."""
    for name, rows, pool in zip("ab", ([0, 2, 4, 6], [6, 7]), pools, strict=True):
        mc.Coreset(rows, 10, 0.3, method="random", pool=pool and np.array(pool)).save(f"{name}.npz")
    assert call("diff a.npz b.npz --no-data", "coreset") == 0
    assert f"\n  Jaccard    {told}\n" in capsys.readouterr().out


def test_coreset_show_and_diff(inside, capsys):
    first, second = (f"results/study/{records()[i]['indices']}" for i in (2, 3))
    assert call(f"show {first} --classes --export list.txt", "coreset") == 0
    shown = capsys.readouterr().out
    assert "moderate, rate 0.1, seed 0" in shown
    assert "kept         20 of 200, a pool of 1,437; dropped 180" in shown
    assert "% of the data" in shown
    assert "\n  pool_seed    0\n  arch         mlp\n" in shown
    assert re.search(r"\n  costs        seconds: base [\d.]+, .*\n               peak_mb: ", shown)
    assert [int(line) for line in Path("list.txt").read_text().split()] == Coreset.load(first).indices.tolist()
    assert call(f"diff {first} {second}", "coreset") == 0
    shown = capsys.readouterr().out
    masks = [Coreset.load(path).keep_mask for path in (first, second)]
    assert f"Jaccard    {(masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum():.3f}; by chance" in shown
    assert "rate       0.1 / 0.2" in shown
    assert "takes 2 files, got 1" in refusal(capsys, f"diff {first}", "coreset")
    assert "chosen by other labels" in refusal(capsys, f"show {first} --dataset digits", "coreset")
    assert call(f"show {first} --data nowhere", "coreset") == 0
    assert "without classes and bad samples" in capsys.readouterr().err
    assert not Path("nowhere").exists()


def test_a_failing_run_is_recorded_and_the_others_go_on(here, capsys):
    line = ("--dataset digitsN@0.4 --prepare 'label_noise --dataset digitsN@0.4 --ratio 0.4' 'corrupt --dataset digits'"
            " --pool 100 --epochs 1 --methods ccs:mis_ratio=0.95 random --rates 0.2 0.3")
    assert call(line) == 1
    assert "2 of 4 runs done, 2 failed" in capsys.readouterr().out
    assert [record["status"] for record in records()] == ["failed", "failed", "done", "done"]
    assert "mis_ratio 0.95 leaves 5 samples" in records()[0]["error"]
    assert records()[0]["options"] == {"mis_ratio": 0.95}
    assert records()[2]["variant"] == "0.4"
    assert not (here / "data/corrupt").exists()  # it was not asked for
    assert call(line) == 1
    assert len(records()) == 4
    assert call(f"{line} --retry") == 1
    assert len(records()) == 6
    noise = here / "data/noisy/digits@0.4.npy"
    noise.unlink()
    assert call("--dataset digitsN@0.4 --ratio 0.1 --force", "label-noise") == 0
    assert "holds results on other images or labels of digitsN@0.4" in refusal(capsys, f"{line} --seed 5")


def test_networks_and_protocols_share_what_is_the_same(here, capsys):
    line = ("--dataset digits --pool 100 --epochs 1 --methods moderate full --rate 0.1 --archs mlp-w8 mlp-w16 "
            "--cross mlp-w8 --protocols epochs iterations --balance yes no")
    assert call(f"{line} --dry-run") == 0
    # moderate: 3 pairs of networks x 2 protocols x 2 balances; full: 2 networks
    assert "24 runs: 0 done, 0 failed, 24 to do (14 trainings)" in capsys.readouterr().out
    assert call(line) == 0
    found = records()
    whole = [record for record in found if record["method"] == "full"]
    assert len({record["accuracy"]["last"] for record in whole if record["train_arch"] == "mlp-w8"}) == 1
    base = {record["select_arch"]: record["seconds"]["base"] for record in found if record["method"] == "moderate"}
    assert {record["train_arch"]: record["seconds"]["train"] for record in whole} == base  # the same trainings
    assert {record["recipe"]["iterations"] for record in found if record["protocol"] == "iterations"} == {2}
    assert {record["recipe"]["epochs"] for record in found if record["protocol"] == "epochs"} == {1}
    assert all(f"--protocols {record['protocol']} " in record["command"] for record in found)
    assert len(list(Path("results/study/indices").iterdir())) == 5


# Disturbances

def test_two_processes_share_the_work(study, tmp_path):
    processes = [start(SMALL, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = sorted(without_times(records(tmp_path / "results/study")), key=lambda record: record["key"])
    assert found == sorted(without_times(records(study[0] / "results/study")), key=lambda record: record["key"])
    assert sum(output.count("left\n") for output, _ in outputs) == 14


def kill_repeatedly(line, folder, times):
    """Start a study, kill -9 it ``times`` times in the middle of its work, and let it end."""
    rng = random.Random(times)
    for _ in range(times):
        process, wanted = start(line, folder), count_finished(folder) + rng.randint(1, 2)
        while process.poll() is None and count_finished(folder) < wanted:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
    left = count_finished(folder)
    run_undisturbed(line, folder)
    assert 0 < left < count_finished(folder)  # no kill came too late


def count_finished(folder):
    """How many whole lines the results have."""
    path = folder / "results/study/runs.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.parametrize(("times", "line"), [(2, SMALL), pytest.param(10, f"{SMALL} {' '.join(map(str, range(2, 6)))}",
                                                                      marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_like_an_undisturbed_one(times, line, study, tmp_path_factory):
    disturbed, whole = tmp_path_factory.mktemp("disturbed"), study[0]
    if line != SMALL:
        whole = tmp_path_factory.mktemp("whole")
        run_undisturbed(line, whole)
    kill_repeatedly(line, disturbed, times)
    assert without_times(records(disturbed / "results/study")) == without_times(records(whole / "results/study"))
    left = {path.name for path in (disturbed / "results/study").iterdir()} - {".locks"}
    assert left == {"runs.jsonl", "study.yaml", "indices", "ckpt", "evidence-cache", "maps"}


def test_ctrl_c_ends_cleanly(tmp_path):
    process = start(f"{SMALL} --seeds 0 1 2 3 4 5", tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "results/study/runs.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert "Traceback" not in errors
    assert all(record["status"] == "done" for record in records(tmp_path / "results/study"))


def test_the_time_left_goes_by_the_samples_that_are_presented(tmp_path, monkeypatch, capsys):
    runs = plans("--dataset digits --arch mlp --method random --rates 0.1 0.2 0.3 0.4 --epochs 2")
    store = Store(tmp_path)
    store.append({"key": runs[3].key(), "status": "failed"})
    store.refresh()
    tally, now = Tally(runs, store, retry=True), iter((1000.0, 1050.0, 1120.0, 1180.0, 1240.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    tally.begin({"digits": 100})
    done = {"status": "done", "accuracy": {"last": 0.5}, "bad": {"kept": 0.25}, "seconds": {"train": 8.0}}
    for run, told in zip(runs, (done, {**done, "bad": None}, {**done, "seconds": {"train": None}},
                                {"status": "failed", "error": "no"}), strict=True):
        record = {"key": run.key(), **told}
        store.append(record)
        store.refresh()
        tally.tell(run, record)
    # 10, 20, 30 and 40 samples an epoch: after 50 s a tenth is done, after 120 s three tenths, after 180 s six.
    assert capsys.readouterr().out.splitlines() == [
        "[1/4] digits random 0.1 seed 0 mlp epochs: 50.00%, 25.0% bad, 8.0 s; about 8 minutes left",
        "[2/4] digits random 0.2 seed 0 mlp epochs: 50.00%, 8.0 s; about 5 minutes left",
        "[3/4] digits random 0.3 seed 0 mlp epochs: 50.00%, 25.0% bad; about 2 minutes left",
        "[4/4] digits random 0.4 seed 0 mlp epochs: failed: no; about 0 s left"]


@pytest.mark.parametrize(("measured", "seconds"), [((3, 4), 7), ((3,), None), ((4,), None), ((), None)])
def test_what_several_base_networks_cost_is_their_sum_if_all_is_known(here, monkeypatch, measured, seconds):
    """Where a process ended after a training and before it noted its cost, that is not known."""
    def trained(data, split, recipe, folder, seed, steps):
        if seed in measured:
            steps.seconds["train"], steps.peak_mb["train"] = seed, 1.0
        return mc.create_network("mlp", 10, 1, image_size=8), folder / "best.ckpt"

    monkeypatch.setattr(bench, "trained_network", trained)
    sources = job_of(parser("experiment").parse_args(["--dataset", "digits"])).plan.sources
    cell = Cell("digits", 100, 0, 3, "mlp", mc.load_recipe("digits", arch="mlp"), runs=2)
    asked = bench.Bench(sources, "CPU", Claims(here / "locks"), {}, {cell})
    for _ in range(2):  # the second time by what is noted
        evidence, costs = asked.gather(cell, asked.load(cell), ("features",))
        assert len(evidence.runs) == 2 and evidence.features.shape[0] == 100
        assert costs["seconds"]["base"] == seconds and costs["seconds"]["extract"] > 0


def test_a_torn_last_line_is_ignored_and_overwritten(tmp_path):
    store = Store(tmp_path)
    store.append({"key": "a", "status": "done"})
    with open(store.path, "ab") as stream:
        stream.write('{"key": "b", "status": "dö'.encode()[:-1])
    again = Store(tmp_path)
    assert list(again.records) == ["a"]
    again.append({"key": "c", "status": "failed"})
    store.refresh()
    assert list(store.records) == list(Store(tmp_path).records) == ["a", "c"]
    assert store.path.read_text() == '{"key": "a", "status": "done"}\n{"key": "c", "status": "failed"}\n'


def test_the_latest_record_of_a_key_counts_and_no_record_is_said(tmp_path):
    store = Store(tmp_path)
    for status in ("failed", "done"):
        store.append({"key": "a", "status": status})
    assert Store(tmp_path).records["a"]["status"] == "done"
    store.path.write_text('{"key": "a", "status": "done"}\n{"key": 1}\n')
    with pytest.raises(MsCoresetError, match=r"runs.jsonl, line 2: no record of a run"):
        Store(tmp_path)


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    import errno

    store = Store(tmp_path)
    store.append({"key": "a", "status": "done"})
    before = store.path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MsCoresetError, match="No space left"):
        store.append({"key": "b", "status": "done"})
    assert store.path.read_bytes() == before


def test_a_claim_is_one_s_own_until_it_ends_however_it_ends(tmp_path):
    claims = Claims(tmp_path / "locks")
    with claims.claim("a") as mine, Claims(tmp_path / "locks").claim("a") as other, claims.claim("b") as third:
        assert (mine, other, third) == (True, False, True)
    assert not (tmp_path / "locks").exists()
    code = ("import time; from ms_coreset.experiment.store import Claims\n"
            f"with Claims({str(tmp_path / 'locks')!r}).claim('a'): print('mine', flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "mine\n"
    with claims.claim("a") as mine:
        assert not mine
    process.kill()
    process.communicate()
    with claims.claim("a") as mine:
        assert mine


# Plans

def plans(line):
    arguments = parser("experiment").parse_args(shlex.split(line))
    return plan_runs(job_of(arguments).plan, "CPU")


def test_equal_inputs_have_equal_keys_and_others_have_others():
    line = "--dataset CIFAR10N --method ccs:mis_ratio=0.3 --arch lenet"
    (run,) = plans(line)
    assert [other.key() for other in plans(line)] == [run.key()]
    others = ["--dataset CIFAR10", "--pool 100", "--pool 100 --pool-seed 1", "--method ccs", "--rate 0.3", "--seed 1",
              "--method ccs:mis_ratio=0.2", "--method el2n", "--arch resnet18", "--arch resnet18-w16", "--lr 0.5",
              "--train-archs mlp", "--protocols iterations", "--balance", "--epochs 3", "-se 4", "--runs 2"]
    keys = [other.key() for option in others for other in plans(f"{line} {option}")]
    assert len({run.key(), *keys}) == 1 + len(others)
    # What asks no network does not depend on how one is trained.
    assert len({run.work() for option in ("", "-se 4", "--runs 2")
                for run in plans(f"--dataset CIFAR10 --arch lenet --method random {option}")}) == 1


def test_seeds_are_outermost_and_nothing_is_planned_twice():
    runs = plans("--dataset digits MNIST --methods moderate random --rates 0.1 0.1 0.2 --seeds 1 0 --archs lenet")
    assert [(run.cell.seed, run.cell.dataset, run.method.name, run.rate) for run in runs] == list(itertools.product(
        (1, 0), ("digits", "MNIST"), ("moderate", "random"), (0.1, 0.2)))


def test_the_recipe_s_width_is_of_its_own_network(tmp_path):
    """Another network has the width of its name, or none; one that --width gives goes before the recipe's."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("arch: airbench\nwidth: 16\nepochs: 2\n")
    line = f"--dataset digits --recipe {recipe} --archs airbench airbench-w8 mlp mlp-w4"

    def widths(line):
        return [(run.cell.arch, run.cell.recipe.arch, run.cell.recipe.width) for run in plans(line)]

    assert widths(f"{line} --method moderate") == [
        ("airbench-w16", "airbench", 16), ("airbench-w8", "airbench", 8), ("mlp", "mlp", None), ("mlp-w4", "mlp", 4)]
    assert widths(f"{line} --method moderate --width 12")[::2] == [
        ("airbench-w12", "airbench", 12), ("mlp-w12", "mlp", 12)]


def test_a_run_s_command_plans_that_run_alone():
    line = ("--dataset digits MNIST --archs mlp lenet --cross mlp --methods moderate entropy --rates 0.1 0.2 "
            "--seed 3 --protocols epochs iterations --balance yes no --evidence network patches --epochs 2 "
            "--samplers rs2:stratified=true")
    study, runs = job_of(parser("experiment").parse_args(shlex.split(line))).plan, plans(line)
    assert len(runs) == 240  # 5 pairs of what is asked and what trains, and 2 of each other
    for run in runs[::3]:
        command = command_of(study, shlex.split(line), run).removeprefix("experiment ")
        assert [alone.key() for alone in plans(command)] == [run.key()]


def run_of(protocol, **recipe):
    recipe = Recipe(**{"batch_size": 100, **recipe})
    cell = Cell("digits", None, 0, 0, "mlp", recipe)
    return Run(cell, Choice("random"), False, 0.1, "mlp", protocol, recipe)


def test_protocols_hold_epochs_or_updates_equal():
    of_epochs, of_updates = (run_of(protocol, epochs=6, milestones=(3, 4), eval_every=2, schedule="multistep")
                             for protocol in ("epochs", "iterations"))
    assert of_epochs.recipe_for(1000, 150) == of_epochs.recipe
    made = of_updates.recipe_for(1000, 150)  # 60 updates, two a pass
    assert (made.epochs, made.milestones, made.eval_every) == (30, (15, 20), 10)
    assert of_updates.recipe_notes(1000)["iterations"] == 60
    assert of_updates.recipe_notes(1000)["epochs"] is None
    assert of_updates.recipe_for(1000, 1000).epochs == 6
    by_updates = run_of("epochs", iterations=45)
    assert by_updates.recipe_for(1000, 150).epochs == 5
    assert run_of("iterations", iterations=45).recipe_for(1000, 150).epochs == 23
    held_out = run_of("iterations", epochs=4, validation=0.1)  # 9 updates a pass over all, 1 over 100
    assert held_out.recipe_for(1000, 100).epochs == 36


def test_samplers_make_as_many_updates_as_coresets():
    line = ("--dataset digits --arch mlp --epochs 6 --batch-size 100 --rates 0.15 0.5 --protocols epochs iterations "
            "--methods random --samplers rs2 infobatch:ratio=0.3 full")
    for run in plans(line):
        kept = round(run.rate * 1000)
        of_coreset = run.recipe_for(1000, kept)
        updates = of_coreset.epochs * -(-kept // 100)
        assert updates == {"epochs": 12 if run.rate < 0.5 else 30, "iterations": 60}[run.protocol]
        if run.choice is None:
            assert run.recipe_for_sampler(1000).iterations == updates
            assert run.sampling.rate == (run.rate if run.method.name == "rs2" else 1)
            assert run.place()["sampler"] and run.recipe_notes(1000) == dataclasses.replace(
                run, method=Choice("random")).recipe_notes(1000)


def test_rs2_is_among_what_is_compared_by_default():
    names = [run.method.name for run in plans("--dataset digits")]
    assert names == ["random", "moderate", "full", "rs2"]
    assert [run.method.name for run in plans("--dataset digits --samplers")] == names[:3]
    assert [run.method.name for run in plans("--dataset digits --methods random")] == names[:1]
    assert job_of(parser("experiment").parse_args(["--dataset", "digits", "--samplers"])).settings["samplers"] == []


def test_milestones_of_a_sampler_are_at_the_same_updates():
    recipe = {"epochs": 6, "milestones": (3, 4), "eval_every": 2, "schedule": "multistep"}
    of_part, of_all = (dataclasses.replace(run_of("epochs", **recipe), method=Sampling(name)).recipe_for_sampler(1000)
                       for name in ("rs2", "infobatch"))  # 1 update an epoch of 100 samples, 10 of all
    assert (of_part.iterations, of_part.milestones, of_part.eval_every) == (6, (3, 4), 2)
    assert (of_all.iterations, of_all.eval_every) == (6, 1)
    assert of_all.milestones == pytest.approx((0.3, 0.4))


def test_samplers_are_the_same_work_whatever_is_asked_and_others_than_methods():
    line = "--dataset CIFAR10N --arch lenet --methods --samplers"
    one, *_ = plans(f"{line} full")
    assert one.work() not in {run.work() for run in (*plans("--dataset CIFAR10N --arch lenet --method full"),
                                                     *plans(f"{line} rs2"), *plans(f"{line} full --rate 0.3"))}
    assert one.work() == plans(f"{line} full --balance yes --evidence patches")[0].work()


def test_deepcore_s_command_is_understood():
    arguments = parser("experiment").parse_args(shlex.split(
        "--fraction 0.5 --dataset CIFAR10 --num_exp 2 -se 10 --selection Glister --model ResNet18 --cross LeNet "
        "--lr 0.1 -sp ./result --batch 128 --balance True --data_path d --epochs 30 -ti 5 -wd 0.01"))
    runs = plan_runs(job_of(arguments).plan, "CPU")
    assert [(run.cell.seed, run.train_arch) for run in runs] == [
        (seed, arch) for seed in (0, 1) for arch in ("resnet18", "lenet")]
    first = runs[0]
    assert (first.method.name, first.balance, first.rate, first.cell.arch) == ("glister", True, 0.5, "resnet18")
    assert (first.recipe.batch_size, first.recipe.lr, first.recipe.epochs) == (128, 0.1, 30)
    assert (first.recipe.eval_every, first.recipe.weight_decay) == (5, 0.01)
    assert first.cell.recipe.epochs == 10
    assert (arguments.save, arguments.data) == ("./result", "d")
    for typed, name in (("Submodular", "graph_cut"), ("Submodular --submodular LogDeterminant", "log_determinant"),
                        ("Uncertainty", "entropy"), ("Uncertainty --uncertainty Margin", "margin"),
                        ("kCenterGreedy", "k_center"), ("Uniform", "random"), ("el2n-strata:strata=5", "el2n-strata")):
        assert plans(f"--dataset CIFAR10 --model LeNet --selection {typed}")[0].method.name == name


@pytest.mark.parametrize("path", sorted((ROOT / "configs/experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_whole(path):
    runs = plans(f"--config {path.stem}")
    assert len(runs) > 10
    assert {run.method.name for run in runs} >= {"random", "full"}


def test_a_configuration_is_what_would_be_typed(here, capsys):
    values = {"datasets": "digits", "methods": ["random", {"ccs": {"mis_ratio": 0.1, "strata": 5}}],
              "rates": [0.1, 0.2], "balance": [True, False], "no_download": True, "nesterov": False,
              "label": {"digits": "the digits"}, "lr": None, "selection-epochs": 3}
    Path("mine.yaml").write_text(yaml.safe_dump(values))
    typed = ("--datasets digits --methods random ccs:mis_ratio=0.1,strata=5 --rates 0.1 0.2 --balance yes no "
             "--no-download --no-nesterov --label 'digits=the digits' -se 3")
    of_file, of_flags = (vars(parser("experiment").parse_args(shlex.split(line)))
                         for line in ("--config mine.yaml --rates 0.3", typed))
    differing = {name for name in of_file if of_file[name] != of_flags[name]}
    assert differing == {"config", "typed", "rates"}
    assert of_file["rates"] == [0.3]


@pytest.mark.parametrize(("line", "message"), [
    ("--dataset digitN", "unknown data set 'digitN': did you mean 'digitsN'"),
    ("--dataset digits --methods moderat", "unknown method 'moderat': did you mean 'moderate'"),
    ("--dataset digits --methods ccs:mis_ration=1", "no option 'mis_ration', did you mean 'mis_ratio'"),
    ("--dataset digits --methods random:mis_ratio=1", "random has no option"),
    ("--dataset digits --samplers rs3", "unknown sampler 'rs3': did you mean 'rs2'"),
    ("--dataset digits --samplers reselect:method=aum", "aum needs the training dynamics of a whole run"),
    ("--dataset digits --samplers rho", "rho narrows batches down"),
    ("--dataset digits --samplers infobatch:rtio=1", "infobatch has no option 'rtio'"),
    ("--dataset digits --methods --samplers", "neither a method nor a sampler"),
    ("--dataset digits --methods ccs:5", "write NAME:OPTION=VALUE"),
    ("--dataset digits --arch resnet19", "unknown network 'resnet19'"),
    ("--dataset digits --cross lenett", "unknown network 'lenett'"),
    ("--dataset digits --rate 1.5", "rate 1.5: must be"),
    ("--dataset digits --seed -1", "seed -1"),
    ("--dataset digits --recipe nope", "unknown recipe 'nope'"),
    ("--dataset digits --epochs 0", "epochs is 0"),
    ("--dataset digits --pool 5000", "pool of 5000 samples"),
    ("--dataset digits --prepare 'rm -rf x'", "begin with one of label-noise"),
    ("--dataset digits --label x", "write NAME=TEXT"),
    ("--config nope", "no configuration nope: there are digits"),
    ("--rate 0.5", "--datasets is missing")])
def test_mistakes(line, message, here, capsys):
    assert message in refusal(capsys, line)


@pytest.mark.parametrize(("text", "message"), [
    ("dataset: digits\nmehtods: random", "unknown key 'mehtods', did you mean 'methods'"),
    ("- digits", "holds no options"), ("a: [", "is not YAML"), ("verify: maybe", "verify is 'maybe', must be true or")])
def test_mistakes_in_a_configuration(text, message, here, capsys):
    Path("mine.yaml").write_text(text)
    assert message in refusal(capsys, "--config mine.yaml")


@pytest.mark.parametrize(("text", "flags"), [
    ("save: elsewhere", "--save"), ("data: /elsewhere", "--data"),
    ("model_dir: elsewhere\ncache: x", "--cache, --model-dir"),
    ("ckpt: a.ckpt", "--ckpt"), ("recipe: elsewhere.yaml", "--recipe"), ("device: GPU", "--device"),
    ("save-path: elsewhere", "--save"), ("data_path: ../x", "--data")])
def test_a_configuration_names_no_place(text, flags, here, capsys):
    Path("mine.yaml").write_text(f"datasets: digits\n{text}\n")
    told = refusal(capsys, "--config mine.yaml")
    assert "mine.yaml says what only you can, where things are or on what they run: type" in told
    assert all(flag in told for flag in flags.split(", "))
    assert [path.name for path in here.iterdir()] == ["mine.yaml"]


def test_a_place_that_is_typed_or_would_be_taken_anyway_may_stand_in_a_configuration(here):
    Path("mine.yaml").write_text("datasets: digits\ndata: data\nsave: elsewhere\ndevice: auto\nrecipe: digits\n")
    arguments = parser("experiment").parse_args(["--config", "mine.yaml", "--save", "here"])
    assert (arguments.save, arguments.data, arguments.recipe) == ("here", "data", "digits")


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/elsewhere", "a/b"])
def test_a_study_s_name_is_no_path(name, here, capsys):
    Path("mine.yaml").write_text(yaml.safe_dump({"datasets": "digits", "name": name}))
    for line in ("--config mine.yaml", f"--dataset digits --name {name}"):
        assert f"--name {name}: a study's name is no path" in refusal(capsys, line)


@pytest.mark.parametrize(("line", "message"), [
    ("corrupt --plugin evil.py", "leave out --plugin"), ("corrupt --plug=evil.py", "leave out --plugin"),
    ("corrupt --data elsewhere", "leave out --data"), ("corrupt --preview drawn.png", "leave out --preview"),
    ("attack --model-dir elsewhere", "leave out --model-dir"), ("attack --recipe a.yaml", "leave out --recipe"),
    ("attack --ckpt a.ckpt --device GPU", "leave out --ckpt, --device"), ("corrupt 'x", "is no command")])
def test_a_command_that_prepares_runs_no_code_and_names_no_place(line, message, here, capsys):
    Path("evil.py").write_text("open('canary', 'w')")
    line += " --dataset digitsC"
    Path("mine.yaml").write_text(yaml.safe_dump({"datasets": "digitsC", "prepare": line, "pool": 50, "epochs": 1}))
    assert message in refusal(capsys, "--config mine.yaml --methods random")
    assert not {"canary", "elsewhere", "drawn.png"} & {path.name for path in here.iterdir()}


def test_no_part_of_a_method_spells_another_option(here, capsys):
    for spec in ({"ccs": {"mis_ratio": "0.3,strata=7"}}, {"ccs:strata=7": {"mis_ratio": 0.3}},
                 {"ccs": {"mis_ratio=0.3,strata": 7}}):
        Path("mine.yaml").write_text(yaml.safe_dump({"datasets": "digits", "methods": [spec]}))
        assert "is no name with a value" in refusal(capsys, "--config mine.yaml")


def test_mistakes_that_argparse_finds(here, capsys):
    Path("mine.yaml").write_text("dataset: digits\npool: ten")
    for line in ("--dataset digits --protocols steps", "--config mine.yaml"):
        with pytest.raises(SystemExit) as stopped:
            call(line)
        assert stopped.value.code == 2


def test_help_starts_without_the_heavy_packages():
    probe = ("import sys\nfrom ms_coreset.cli import main\ntry:\n    main(['--help'], 'experiment')\n"
             "except SystemExit:\n    pass\nassert not {'mindspore', 'torch', 'sklearn', 'scipy'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("framework", ["torch", pytest.param("mindspore", marks=pytest.mark.mindspore)])
def test_samplers_beside_coresets_at_equal_updates(framework, tmp_path, monkeypatch):
    if framework == "torch":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    line = ("--dataset digits --arch mlp --pool 150 --epochs 4 --batch-size 10 --methods random moderate full "
            "--samplers rs2 infobatch:delta=1.0 rcap full reselect:method=moderate,every=2 --rates 0.2 0.5 "
            f"--framework {framework} --device CPU")
    assert call(line) == 0
    found = records()
    assert [record["method"] for record in found if record.get("sampler")] == [
        name for name in ("rs2", "infobatch", "rcap", "full", "reselect") for _ in range(2)]
    for record in found:
        assert record["status"] == "done" and record["seconds"]["train"] > 0
        assert record["updates"] == {0.2: 12, 0.5: 32, 1.0: 60}[record["rate"]]  # 3, 8 and 15 an epoch
        if record.get("sampler"):
            assert (record["indices"], record["k"], record["bad"]) == (None, None, None)
    seen = {(record["method"], record["rate"]): record["presented"] for record in found if record.get("sampler")}
    assert seen["rs2", 0.2] == seen["rcap", 0.2] == 120 and seen["rs2", 0.5] == 300
    assert call(line) == 0 and len(records()) == len(found)
    assert call("results/study --markdown tables.md", "report") == 0
    tables = Path("tables.md").read_text(encoding="utf-8")
    assert re.search(r"\| sampler rs2 \| 12; \d+\.\d s \| 32; \d+\.\d s \|", tables)
    assert re.search(r"\| trained on all \| 60; \d+\.\d s \|", tables)
    page = Path("results/study/report.html").read_text(encoding="utf-8")
    assert "sampler full" in page and "samples seen" in page and "names no coreset file" not in page
    assert "0 failed, 0 missing" in page
    repeated = found[5]["command"].removeprefix("experiment ")
    assert call(repeated) == 0 and len(records()) == len(found)  # the run that it names is done
