"""Several processes of PyTorch's: what test_distributed tries under msrun, under torchrun and without MindSpore."""

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed_job import everything, evidence, require_same

import ms_coreset as mc
from ms_coreset.coreset import Coreset
from ms_coreset.distributed import MSRUN, TORCHRUN, Alone, launcher, local_rank, ranks
from ms_coreset.engines import engine_of, torch_engine
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs import base_network
from ms_coreset.training.parallel import average_statistics, over_ranks

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

ROOT = Path(__file__).parents[1]
VARIABLES = ("MS_ROLE", "RANK_SIZE", "RANK_ID", "MS_NODE_ID", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class OfRank(Alone):
    """What one of several ranks of PyTorch's would do by itself."""

    framework = "torch"

    def __init__(self, rank, size):
        self.rank, self.size, self.first = rank, size, rank == 0


@pytest.fixture
def environment(monkeypatch):
    """A function that sets the variables by which launchers speak, and unsets all others."""
    def to(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return to


def run(folder, *command):
    """What a process prints that runs where MindSpore can't be had."""
    blocked = folder / "blocked"
    blocked.mkdir(exist_ok=True)
    (blocked / "sitecustomize.py").write_text("import sys; sys.modules['mindspore'] = None")
    given = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    path = os.pathsep.join(map(str, (blocked, ROOT, ROOT / "tests")))
    return subprocess.run([sys.executable, *map(str, command)], cwd=folder, text=True, capture_output=True, timeout=900,
                          env={**given, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})


def torchrun(folder, *command, processes=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return run(folder, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}",
               *command)


def errors_of(done):
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


# Who started this process

@pytest.mark.parametrize(("variables", "expected", "first"), [
    ({}, None, None),
    ({"WORLD_SIZE": "1", "RANK": "0"}, None, None),
    ({"WORLD_SIZE": "2", "RANK": "1"}, None, None),  # said by a cluster
    ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}, TORCHRUN, False),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, TORCHRUN, True),
    ({"RANK_SIZE": "2", "RANK_ID": "1"}, MSRUN, False),
    ({"MS_ROLE": "MS_WORKER", "MS_NODE_ID": "0", "RANK_ID": "1"}, MSRUN, True),
    ({"MS_ROLE": "MS_SCHED", "WORLD_SIZE": "2", "RANK": "1"}, MSRUN, True)])
def test_the_launcher_is_told_by_its_variables(variables, expected, first, environment):
    environment(**variables)
    assert launcher() is expected
    assert expected is None or expected.is_of_first is first
    assert local_rank() == int(variables.get("LOCAL_RANK", 0))


def test_variables_that_lead_nowhere_are_said_in_one_line(tmp_path, environment, monkeypatch):
    environment(WORLD_SIZE="2", RANK="0", LOCAL_RANK="0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr(ranks, "_process", process := ranks._Process())
    process.taking_part = True
    with pytest.raises(ranks.NotConnected, match=r"can't join the other processes: .*MASTER_ADDR.*; start them with "
                                                 r"torchrun \(docs/scale.md\)"):
        ranks.connect()


def test_networks_of_the_other_framework_are_refused(monkeypatch):
    network = mc.create_network("mlp", 2, 1, image_size=4, framework="torch")
    of_mindspore, of_torch = OfRank(0, 2), OfRank(0, 2)
    of_mindspore.framework = "mindspore"
    monkeypatch.setattr(ranks._process, "group", of_mindspore)
    for call in (lambda: engine_of(network), lambda: mc.create_network("mlp", 2, 1, image_size=4, framework="torch")):
        with pytest.raises(MsCoresetError, match="networks by PyTorch: several processes share them where torchrun "
                                                 "starts them; these are connected by MindSpore"):
            call()
    monkeypatch.setattr(ranks._process, "group", of_torch)
    assert engine_of(network).name == "torch"
    with pytest.raises(MsCoresetError, match="networks by MindSpore: several processes share them where msrun starts"):
        mc.create_network("mlp", 2, 1, image_size=4)


# Devices

@pytest.fixture
def gpus(monkeypatch, environment):
    """The devices that a PyTorch sets which says that it has two GPUs, in process 1 of several."""
    environment(WORLD_SIZE="4", RANK="3", LOCAL_RANK="1")
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *given, **more: None)
    yield calls
    mc.set_device("CPU")


def test_each_process_takes_a_gpu_of_its_own(gpus, environment):
    engine = type(torch_engine())()
    assert engine.set_device("auto", "float32") == "cuda"
    assert engine.device == torch.device("cuda", 1) and gpus == [engine.device]
    assert engine.set_device("cpu", "float32") == "CPU" and len(gpus) == 1
    environment(WORLD_SIZE="4", RANK="2", LOCAL_RANK="2")
    with pytest.raises(MsCoresetError, match="process 2 of this machine has none, PyTorch finds 2: torchrun "
                                             "--nproc-per-node 2"):
        engine.set_device("cuda", "float32")


def test_several_processes_do_not_share_what_they_can_not(gpus, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(MsCoresetError, match=r"device mps: .* take --device cpu"):
        type(torch_engine())().set_device("mps", "float32")
    monkeypatch.setattr("ms_coreset.device.available_devices", lambda: ["Ascend", "CPU"])
    with pytest.raises(MsCoresetError, match=r"device Ascend: by MindSpore, several processes .* when msrun starts"):
        mc.set_device("auto")


# Training: one rank's part of it

@pytest.mark.parametrize("n", [5, 1])  # 1: the first has none
@pytest.mark.parametrize("weighted", [False, True])
def test_the_shares_of_a_batch_make_up_the_whole(weighted, n):
    network = mc.create_network("mlp", 3, 1, image_size=4, seed=1, framework="torch")
    trainer, rng = network.trainer(mc.load_recipe("digits")), np.random.RandomState(0)
    images, labels = rng.randn(n, 1, 4, 4).astype(np.float32), rng.randint(0, 3, n).astype(np.int32)
    weights = np.array([2, 0, 1, 0.5, 3])[:n] if weighted else None
    loss, logits, gradients = trainer.backward(images, labels, weights)
    whole = [gradient.clone() for gradient in gradients]
    shares = []
    for rank in range(2):  # each sums with itself alone
        group = OfRank(rank, 2)
        backward = over_ranks(trainer.backward, network, trainer.parameters, group)
        shares.append(backward(images[group.part(n)], labels, weights))
    for place, expected in enumerate(whole):
        assert torch.allclose(shares[0][2][place] + shares[1][2][place], expected, atol=1e-6)
    assert float(shares[0][0] + shares[1][0]) == pytest.approx(float(loss))
    assert torch.allclose(shares[0][1] + shares[1][1], logits, atol=1e-6)


def test_running_statistics_are_averaged(monkeypatch):
    networks = [mc.create_network("resnet18", 2, 1, image_size=8, width=2, seed=seed, framework="torch")
                for seed in (0, 1)]
    for place, network in enumerate(networks):
        network.set_train(True)
        network(torch.from_numpy(np.random.RandomState(place).randn(6, 1, 8, 8).astype(np.float32)))
    found = [[each.asnumpy() for each in network.get_parameters()] for network in networks]
    pair = OfRank(0, 2)
    pair.sum = lambda own: own + torch.cat([torch.from_numpy(each.asnumpy()).reshape(-1)
                                            for each in networks[1].get_parameters() if not each.requires_grad])
    average_statistics(networks[0], pair)
    for parameter, first, second in zip(networks[0].get_parameters(), *found, strict=True):
        expected = first if parameter.requires_grad else (first + second) / 2
        np.testing.assert_array_equal(parameter.asnumpy(), expected, err_msg=parameter.name)
    assert any(not parameter.requires_grad for parameter in networks[0].get_parameters())


@pytest.mark.parametrize("framework", [pytest.param("mindspore", marks=pytest.mark.mindspore), "torch"])
@pytest.mark.parametrize(("arch", "options", "told"), [
    ("mlp", {}, ""), ("resnet18", {"width": 2}, "batch normalisation"), ("alexnet", {"image_size": 32}, "dropout"),
    ("inception_v3", {"image_size": 32, "dropout": 0.5}, "batch normalisation and dropout")])
def test_what_goes_by_share_is_said(arch, options, told, framework, monkeypatch, capsys):
    network = mc.create_network(arch, 2, 1, **{"image_size": 8, **options}, framework=framework)
    group = OfRank(0, 2)
    group.framework = framework
    monkeypatch.setattr(base_network, "current", lambda: group)
    base_network._note_ranks(network)
    departure = f"; by share go {told}: not the network that one process trains" if told else ""
    assert capsys.readouterr().err == f"note: 2 ranks share every batch{departure}\n"


# Two processes

def test_two_processes_select_from_arrays_what_one_does(tmp_path):
    known = evidence()
    np.savez(tmp_path / "known.npz", labels=known.labels, features=known.features, logits=known.logits)
    typed = shlex.split("-m ms_coreset select --dataset arrays --data known.npz --method el2n --rate 0.2 --save")
    done = torchrun(tmp_path, *typed, "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kept  ") == 1  # only rank 0 speaks
    assert "2: a share of the scores each; one process chooses the same" in done.stdout
    assert run(tmp_path, *typed, "one").returncode == 0
    one, two = (Coreset.load(tmp_path / place / "arrays-known-el2n-0.2.npz") for place in ("one", "two"))
    assert one.indices.tobytes() == two.indices.tobytes() and one.scores.tobytes() == two.scores.tobytes()
    assert two.manifest["ranks"] == 2 and two.manifest["exact"] and "ranks" not in one.manifest


@pytest.mark.slow
def test_all_that_is_exact_is_the_same_to_the_last_bit(tmp_path):
    done = torchrun(tmp_path, ROOT / "tests" / "distributed_job.py", "found.npz")
    assert done.returncode == 0, done.stderr
    (tmp_path / "alone").mkdir()
    with np.load(tmp_path / "found.npz") as found:
        require_same(dict(found), everything(tmp_path / "alone", "torch"))


@pytest.mark.slow
def test_two_processes_train_the_same_network(tmp_path):
    # Odd shares, and of the last batch, a sample, none for rank 0.
    typed = [ROOT / "scripts" / "score.py", *shlex.split("--dataset digitsN --framework torch --device cpu --arch mlp "
                                                         "--epoch 4 --batch-size 323 --validation 0.1")]
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    done = torchrun(tmp_path / "two", *typed)
    assert done.returncode == 0, done.stderr
    assert "note: 2 ranks share every batch\n" in done.stderr
    assert run(tmp_path / "one", *typed).returncode == 0
    one, two = (np.load(tmp_path / place / "scores" / "digitsN-mlp-torch.npz") for place in ("one", "two"))
    assert one.files == two.files and "cld" in one.files
    for name in one.files:
        largest = np.abs(np.nan_to_num(one[name])).max()
        apart = 1e-3 if name == "cld" else 1e-5  # a correlation of three differences, of losses that hardly differ
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=apart * max(1, largest), err_msg=name)


@pytest.mark.slow
def test_an_error_on_one_rank_ends_all_with_one_line(tmp_path):
    features = np.random.RandomState(0).randn(40, 3)
    features[33, 1] = np.nan  # of rank 1's share
    np.savez(tmp_path / "mine.npz", labels=np.arange(40) % 2, features=features)
    done = torchrun(tmp_path, ROOT / "scripts" / "select.py", "--dataset", "arrays", "--data", "mine.npz", "--rate",
                    "0.2")
    assert done.returncode != 0
    assert errors_of(done) == ["error: rank 1: features of sample 33 are not finite"]
    assert "exitcode  : 2" in done.stderr and not list(tmp_path.glob("index/*"))


@pytest.mark.slow
def test_a_mistake_of_all_is_told_once(tmp_path):
    done = torchrun(tmp_path, "-m", "ms_coreset", "train", "--dataset", "digits", "--framework", "torch")
    assert done.returncode != 0
    assert errors_of(done) == [
        "error: train runs in one process: start it without torchrun, which is for select, score"]


@pytest.mark.slow
def test_the_others_do_not_wait_for_a_rank_that_died(tmp_path):
    done = torchrun(tmp_path, ROOT / "tests" / "distributed_job.py", "--die")
    assert done.returncode != 0 and "exitcode  : 9" in done.stderr


@pytest.mark.slow
def test_processes_that_no_launcher_watches_notice_it_themselves(tmp_path):
    """As on another machine: the connection breaks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    first, second = (subprocess.Popen(
        [sys.executable, ROOT / "tests" / "distributed_job.py", "--die"], cwd=tmp_path, text=True,
        stderr=subprocess.PIPE, env={**told, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1"))
    assert second.wait(timeout=300) == 9
    said = first.communicate(timeout=300)[1]
    assert first.returncode and "rank 0 of 2 has lost the others; the one that ended first says why" in said


OF_A_PROGRAM = """
import numpy as np
import torch
import ms_coreset as mc
from torch import distributed
from distributed_job import RATE, evidence
from ms_coreset.distributed import current, process_group

distributed.init_process_group("gloo")
rank, known = distributed.get_rank(), evidence()
alone = mc.select("gradmatch", known, RATE, balance=True)
assert "ranks" not in alone.manifest and current().size == 1
with process_group() as group:
    assert (group.rank, group.size, group.first) == (rank, 2, rank == 0) and current() is group
    shared = mc.select("gradmatch", known, RATE, balance=True)
assert shared.manifest["ranks"] == 2 and current().size == 1
assert shared.indices.tobytes() == alone.indices.tobytes() and shared.weights.tobytes() == alone.weights.tobytes()
for place in (0, 1):  # in an exchange, or when the other rank is done
    try:
        with process_group() as group:
            if rank == 1:
                mc.select("nothing", known, RATE)
            group.wait() if place == 0 else None
    except mc.MsCoresetError as error:
        assert str(error).startswith("rank 1: unknown method 'nothing'"), error
    else:
        raise AssertionError("no error")
    assert current().size == 1
total = torch.ones(1)
distributed.all_reduce(total)  # the program's own group is as it was
print(f"rank {rank} has {total.item()}\\n", end="", flush=True)  # at once: both write to one pipe
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_a_program_s_own_process_group_is_used_where_it_says_so(tmp_path):
    (tmp_path / "program.py").write_text(OF_A_PROGRAM)
    done = torchrun(tmp_path, "program.py")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0 has 2.0", "rank 1 has 2.0"]


def test_a_process_group_has_to_be_there(monkeypatch):
    with pytest.raises(MsCoresetError, match=r"process_group: call torch.distributed.init_process_group first"), \
            ranks.process_group():
        pass
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(ranks._process, "taking_part", True)
    with pytest.raises(MsCoresetError, match="this process shares its work already"), ranks.process_group():
        pass
