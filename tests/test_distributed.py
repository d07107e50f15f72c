"""Several processes do together what one does alone: what they exchange, and two real ones under msrun."""

import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed_job import everything, evidence, require_same, worth
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.device import set_device
from ms_coreset.distributed import Alone, current

ROOT = Path(__file__).parents[1]
MSRUN = Path(sys.executable).with_name("msrun")
launches = pytest.mark.skipif(not MSRUN.exists() or not shutil.which("tail"), reason="needs msrun and tail")


@pytest.fixture(scope="module", autouse=True)
def device():
    """Set before anything runs on it: afterwards it can't be."""
    return set_device("CPU")


class OfRank(Alone):
    """What one of several ranks would do by itself."""

    def __init__(self, rank, size):
        self.rank, self.size, self.first = rank, size, rank == 0


@given(st.integers(0, 300), st.integers(1, 9), st.integers(1, 70))
def test_shares_cover_everything_once_in_whole_steps(n, size, step):
    parts = [OfRank(rank, size).part(n, step) for rank in range(size)]
    assert np.array_equal(np.concatenate([np.arange(n)[part] for part in parts]), np.arange(n))
    assert all(part.start % step == 0 for part in parts if part.stop > part.start)
    steps = [-(-(part.stop - part.start) // step) for part in parts]
    assert max(steps) - min(steps) <= 1


def test_a_part_of_the_evidence_has_all_fields():
    whole, rows = evidence(), np.array([2, 5, 11])
    part = whole.part(rows)
    assert np.array_equal(part.features, whole.features[rows]) and np.array_equal(part.boundary, whole.boundary[rows])
    assert np.array_equal(part.dynamics.loss, whole.dynamics.loss[:, rows]) and part.validation is None
    assert np.shares_memory(whole.part(np.arange(3, 9)).features, whole.features)


def test_alone_nothing_is_exchanged():
    ranks = current()
    assert (ranks.rank, ranks.size, ranks.first) == (0, 1, True)
    assert ranks.part(7) == slice(0, 7) and ranks.agree(True) == 1
    assert np.array_equal(ranks.join(np.arange(3)), np.arange(3))
    assert ranks.from_first(lambda: {"a": np.ones(2)})["a"].sum() == 2


@pytest.mark.parametrize("n", [5, 1])  # 1: the first has none
@pytest.mark.parametrize("weighted", [False, True])
def test_the_shares_of_a_batch_make_up_the_whole(weighted, n):
    import mindspore
    from mindspore import Tensor, ops

    from ms_coreset.networks import create_network
    from ms_coreset.training.parallel import over_ranks

    network = create_network("mlp", 3, 1, image_size=4, seed=1)
    parameters = list(network.trainable_params())

    def forward(images, labels, weights):
        logits = network(images)
        return (ops.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum(), logits

    gradient = mindspore.value_and_grad(forward, None, parameters, has_aux=True)

    def local(images, labels, weights):
        weights = np.ones(len(labels)) if weights is None else weights
        (loss, logits), gradients = gradient(Tensor(images), Tensor(labels), Tensor(weights.astype(np.float32)))
        return loss, logits, gradients

    rng = np.random.RandomState(0)
    images, labels = rng.randn(n, 1, 4, 4).astype(np.float32), rng.randint(0, 3, n).astype(np.int32)
    weights = np.array([2, 0, 1, 0.5, 3])[:n] if weighted else None
    whole = local(images, labels, weights)
    shares = []
    for rank in range(2):  # each sums with itself alone
        group = OfRank(rank, 2)
        shares.append(over_ranks(local, network, parameters, group)(images[group.part(n)], labels, weights))
    for found, expected in zip(zip(*(share[2] for share in shares), strict=True), whole[2], strict=True):
        assert np.allclose(sum(gradient.asnumpy() for gradient in found), expected.asnumpy(), atol=1e-6)
    assert sum(float(share[0]) for share in shares) == pytest.approx(float(whole[0]))
    assert np.allclose(shares[0][1].asnumpy() + shares[1][1].asnumpy(), whole[1].asnumpy(), atol=1e-6)


def test_ranks_note_after_every_round_how_far_they_are(tmp_path, monkeypatch):
    """An interruption costs a round: here two batches of 10 of each of two ranks."""
    def stopping(self, x):
        seen.append(len(x))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return features(self, x)

    module = importlib.import_module("ms_coreset.extraction.extract")
    network, split = mc.create_network("mlp", 10, 1, image_size=8), mc.load_dataset("digits").subset(np.arange(100))
    features, seen = type(network).features, []
    monkeypatch.setattr(type(network), "features", stopping)
    monkeypatch.setattr(module, "ROUND", 2)
    monkeypatch.setattr(module, "current", lambda: OfRank(0, 2))
    with pytest.raises(KeyboardInterrupt):
        mc.extract(network, split, batch_size=10, cache=tmp_path)
    assert [json.loads(path.read_text())["rows"] for path in tmp_path.glob("*/features.json")] == [40]


def test_the_others_find_the_files_of_the_first_before_its_first_batch(tmp_path, monkeypatch):
    """And each fills its own rows of them."""
    def stopping(self, x):
        raise KeyboardInterrupt

    module = importlib.import_module("ms_coreset.extraction.extract")
    network, split = mc.create_network("mlp", 10, 1, image_size=8), mc.load_dataset("digits").subset(np.arange(50))
    alone = mc.extract(network, split, batch_size=10)
    monkeypatch.setattr(module, "current", lambda: OfRank(0, 2))
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr(type(network), "features", stopping)
        mc.extract(network, split, batch_size=10, cache=tmp_path)
    monkeypatch.setattr(module, "current", lambda: OfRank(1, 2))
    found = mc.extract(network, split, batch_size=10, cache=tmp_path)
    for name in ("features", "logits"):
        written = getattr(found, name)
        assert not written[:20].any() and np.array_equal(written[20:], getattr(alone, name)[20:])


def _launch(folder, *command, ranks=2):
    """(exit code, output) of msrun with a script on some ranks, and what each rank's log holds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PATH": f"{MSRUN.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                   "OMP_NUM_THREADS": "1"}
    done = subprocess.run([MSRUN, f"--worker_num={ranks}", f"--local_worker_num={ranks}", f"--master_port={port}",
                           "--log_dir=log", "--join=True", *map(str, command)], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    return done, [(folder / "log" / f"worker_{rank}.log").read_text() for rank in range(ranks)]


def _first_weights(folder):
    """A checkpoint of a network with its first weights, for digits."""
    from ms_coreset.networks import create_network
    from ms_coreset.networks.weights import save_weights

    save_weights(create_network("mlp", 10, 1, image_size=8, seed=4), folder / "base.ckpt")
    return folder / "base.ckpt"


@launches
def test_two_processes_select_what_one_does(tmp_path, monkeypatch):
    typed = ["--dataset", "digits", "--rate", "0.2", "--device", "CPU", "--ckpt", str(_first_weights(tmp_path))]
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    done, logs = _launch(tmp_path / "two", ROOT / "scripts" / "select.py", *typed)
    assert done.returncode == 0, done.stdout
    assert "2: a share of the scores each; one process chooses the same" in logs[0]
    assert "note:" not in logs[1] and "kept" not in logs[1]  # only rank 0 speaks
    monkeypatch.chdir(tmp_path / "one")
    assert main(typed, "select") == 0
    one, two = (Coreset.load(tmp_path / place / "index" / "digits-moderate-0.2.npz") for place in ("one", "two"))
    assert one.indices.tobytes() == two.indices.tobytes() and one.scores.tobytes() == two.scores.tobytes()
    assert two.manifest["ranks"] == 2 and two.manifest["exact"] and "ranks" not in one.manifest
    first, second = (sorted((tmp_path / place / "cache").glob("*/features.npy")) for place in ("one", "two"))
    assert first[0].read_bytes() == second[0].read_bytes()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two ranks have done of ``distributed_job``."""
    folder = tmp_path_factory.mktemp("together")
    done, _ = _launch(folder, ROOT / "tests" / "distributed_job.py", "found.npz")
    assert done.returncode == 0, done.stdout
    with np.load(folder / "found.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    """The same, done by this process."""
    return everything(tmp_path_factory.mktemp("alone"))


@pytest.mark.slow
@launches
def test_all_that_is_exact_is_the_same_to_the_last_bit(together, by_one):
    require_same(together, by_one)


# Measured on these samples, as shares of what the greedy of one process reaches: 0.9956, 0.9997 and 0.9857; 50 samples
# at random: 0.973, 0.971 and 0.59.
@pytest.mark.slow
@launches
@pytest.mark.parametrize(("method", "least"), [("facility_location", 0.98), ("graph_cut", 0.98),
                                               ("log_determinant", 0.95)])
def test_two_rounds_come_near_the_greedy_of_one_process(method, least, together, by_one):
    two, one = (worth(method, found[f"{method}.0.all.indices"]) for found in (together, by_one))
    assert two >= least * one


@pytest.mark.slow
@launches
def test_two_rounds_of_k_center_keep_the_radius_small(together, by_one):
    features = evidence().features.astype(float)
    distances = np.sqrt(((features[:, None] - features)**2).sum(axis=2))
    two, one = (distances[:, found["k_center.0.all.indices"]].min(axis=1).max() for found in (together, by_one))
    assert two <= 1.3 * one  # farthest-first is within twice the best, two rounds within four times


@pytest.mark.slow
@launches
def test_two_processes_train_the_same_network(tmp_path, monkeypatch):
    typed = ["--dataset", "digitsN", "--device", "CPU", "--epoch", "3", "--arch", "lenet", "--batch-size", "359"]
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    done, logs = _launch(tmp_path / "two", ROOT / "scripts" / "score.py", *typed)
    assert done.returncode == 0, done.stdout
    assert "2 ranks share every batch" in logs[0]
    monkeypatch.chdir(tmp_path / "one")
    assert main(typed, "score") == 0
    one, two = (np.load(tmp_path / place / "scores" / "digitsN-lenet.npz") for place in ("one", "two"))
    assert one.files == two.files
    for name in one.files:
        largest = np.abs(one[name]).max()
        assert np.abs(one[name] - two[name]).max() <= 1e-5 * max(1, largest), name


@pytest.mark.slow
@launches
def test_batch_normalization_by_shares_is_said(tmp_path):
    done, logs = _launch(tmp_path, ROOT / "scripts" / "select.py", "--dataset", "digits", "--rate", "0.5", "--pool",
                         "50", "--arch", "resnet18", "--width", "4", "--epoch", "2", "--batch-size", "16", "--device",
                         "CPU", "--method", "el2n")
    assert done.returncode == 0, done.stdout
    assert "by share go batch normalisation: not the network that one process trains" in logs[0]
    assert len(Coreset.load(tmp_path / "index" / "digits-el2n-0.5.npz")) == 25


@pytest.mark.slow
@launches
def test_an_error_on_one_rank_ends_all_with_one_line(tmp_path):
    features = np.random.RandomState(0).randn(40, 3)
    features[33, 1] = np.nan  # of rank 1's share
    np.savez(tmp_path / "mine.npz", labels=np.arange(40) % 2, features=features)
    done, logs = _launch(tmp_path, ROOT / "scripts" / "select.py", "--dataset", "arrays", "--data", "mine.npz",
                         "--rate", "0.2", "--device", "CPU")
    assert done.returncode != 0
    assert [line for log in logs for line in log.splitlines() if line.startswith("error:")] == [
        "error: rank 1: features of sample 33 are not finite"]
    assert "Traceback" not in "".join(logs)
    assert set(re.findall(r"Error code: (\S+?)\.", done.stdout)) == {"2"}
    assert not list(tmp_path.glob("index/*"))


ENDS_BADLY = """
import ctypes, sys, atexit
from ms_coreset.distributed import ranks

atexit.register(ctypes.string_at, 0)  # as what MindSpore does at the end may

def run():
    group = object.__new__(ranks.Ranks)
    group.first, group.broken = True, True
    ranks._process.group = group
    print("told", end="")
    return int(sys.argv[1])

sys.exit(ranks.take_part(run))
"""


def test_a_rank_that_failed_ends_with_its_code_whatever_would_crash_at_the_end():
    environment = {**os.environ, "RANK_SIZE": "2", "PYTHONPATH": str(ROOT)}
    ended = [subprocess.run([sys.executable, "-c", ENDS_BADLY, code], env=environment, capture_output=True, text=True)
             for code in ("2", "0")]
    assert (ended[0].returncode, ended[0].stdout) == (2, "told")
    assert ended[1].returncode == -signal.SIGSEGV  # all else ends as Python does


@pytest.mark.slow
@launches
def test_a_mistake_of_all_is_told_once(tmp_path):
    done, logs = _launch(tmp_path, ROOT / "scripts" / "train.py", "--dataset", "digits")
    assert done.returncode != 0
    assert [line for log in logs for line in log.splitlines() if "error:" in line] == [
        "error: train runs in one process: start it without msrun, which is for select, score"]


@pytest.mark.slow
@launches
def test_the_others_do_not_wait_for_a_rank_that_died(tmp_path):
    done, _ = _launch(tmp_path, ROOT / "tests" / "distributed_job.py", "--die")
    assert done.returncode != 0 and "Error code: 9" in done.stdout
