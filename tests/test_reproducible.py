"""The same command gives the same bytes, and a coreset's file is enough to make it again, or to say what differs."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import ms_coreset as mc
from ms_coreset.checksums import digest
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.identity import data_identity
from ms_coreset.jobs.provenance import changed_arrays
from ms_coreset.selectors import processors, products
from tests.recording import dynamics_of

ROOT = Path(__file__).resolve().parents[1]
NPZ, DROPPED = "index/digitsN-moderate-0.2.npz", "index/digitsN.bin"
MADE = "--dataset digitsN --rate 0.2 --epoch 2"
METHODS = ("random", "moderate", "entropy", "el2n --balance", "ccs", "k_center", "gradmatch",
           "facility_location")


def call(line, command="select"):
    """The exit code of a command in this process."""
    return main(shlex.split(line), command)


def process(line, cwd, threads=1):
    """Run ``select`` in a process of its own."""
    done = subprocess.run([sys.executable, str(ROOT / "scripts/select.py"), *shlex.split(line)], cwd=cwd, text=True,
                          capture_output=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    assert done.returncode == 0, done.stderr
    return done


def files_in(folder):
    """Checksums of the files in a folder, by name."""
    return {path.name: digest(path) for path in sorted(Path(folder).glob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def selection_folder(tmp_path_factory):
    """A folder where ``select.py`` ran in a process of its own, from nothing."""
    folder = tmp_path_factory.mktemp("made")
    process(MADE, folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, selection_folder):
    """A folder that holds nothing but the coreset's file, under another name."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(selection_folder / NPZ, "former.npz")
    return tmp_path


# The same bytes


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_from_nothing_with_any_number_of_threads(selection_folder, tmp_path, threads):
    process(MADE, tmp_path, threads)
    for folder in ("index", "ckpt/digitsN/mlp", "ckpt/digitsN/mlp/dynamics", "data/noisy"):
        assert files_in(tmp_path / folder) == files_in(selection_folder / folder)


def evidence_of(n=1437, d=64, classes=10):
    """Evidence for which BLAS cuts products up."""
    rng = np.random.RandomState(0)
    labels = np.arange(n) % classes
    logits = [rng.randn(n, classes) + 2 * np.eye(classes)[labels] for _ in range(5)]
    return mc.Evidence(labels, (rng.randn(n, d) + 1).astype(np.float32), logits[0],
                       dynamics=dynamics_of(logits, labels), boundary=rng.rand(n),
                       imported=rng.rand(n))


def bytes_of(method, evidence):
    coreset = mc.select(method, evidence, 0.02)
    return [None if array is None else array.tobytes() for array in (coreset.indices, coreset.weights, coreset.scores)]


@pytest.mark.parametrize("method", mc.list_methods())
def test_any_number_of_threads_gives_the_same_bytes(method):
    evidence, found = evidence_of(), []
    for threads in (1, 2, 4):
        with threadpool_limits(threads, user_api="blas"):
            found.append(bytes_of(method, evidence))
    assert found[0] == found[1] == found[2]


def test_large_products_are_cut_up_by_their_size_alone(monkeypatch):
    """In parts, side by side, that are the same on any number of threads, and so are the sums."""
    monkeypatch.setattr(products, "ALONE", 1 << 12)
    rng = np.random.RandomState(0)
    for left, right in ((rng.rand(1, 33), rng.rand(700, 33).T), (rng.rand(40, 33), rng.rand(33, 700))):
        found = []
        for threads in (1, 2, 4):
            with threadpool_limits(threads, user_api="blas"):
                found.append(processors.one_blas_thread(products.multiply)(left, right))
        np.testing.assert_allclose(found[0], left @ right, rtol=1e-13)
        assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_blas_has_its_threads_back_after_a_selection_whoever_else_selects():
    """Two that overlap, of which the first ends first."""
    evidence = evidence_of(100, 3)
    with threadpool_limits(3, user_api="blas"):
        before = threadpool_info()
        first, second = processors.one_blas_thread, processors.one_blas_thread
        with first:
            mc.select("herding", evidence, 0.1)
            second.__enter__()
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {1}
        second.__exit__()
        assert threadpool_info() == before
        with pytest.raises(mc.MsCoresetError, match="rate"):
            mc.select("herding", evidence, 2)
        assert threadpool_info() == before


SELECT = """
import sys
sys.path[:0] = sys.argv[1:]
import ms_coreset as mc
from tests.test_reproducible import bytes_of, evidence_of
from ms_coreset.checksums import array_digest
import numpy as np
mc.set_device("CPU")
for method in ("gradmatch", "glister", "craig", "log_determinant", "grand", "k_center"):
    print([array and array_digest(np.frombuffer(array)) for array in bytes_of(method, evidence_of())])
"""


@pytest.mark.slow
def test_processes_of_any_number_of_threads_select_the_same_bytes():
    found = [subprocess.run([sys.executable, "-c", SELECT, str(ROOT)], text=True, capture_output=True, timeout=300,
                            check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}).stdout
             for threads in (1, 2, 4)]
    assert found[0].count("[") == 6
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("method", METHODS)
def test_same_command_twice(method, selection_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(selection_folder)
    command = f"{MADE} --method {method} --save {tmp_path} --cache {tmp_path / 'cache'}"
    assert call(command) == 0
    first = files_in(tmp_path)
    assert call(command) == 0  # now from evidence in the cache
    assert files_in(tmp_path) == first and len(first) == 2


@pytest.mark.parametrize("arch", ["mlp", "lenet"])
def test_batch_sizes_of_extraction_change_no_choice(arch):
    split = mc.load_dataset("digits").subset(np.arange(400))
    network = mc.create_network(arch, 10, 1, image_size=8)
    evidence = [mc.extract(network, split, batch_size=size) for size in (256, 1, 7, 400)]
    for other in evidence[1:]:
        np.testing.assert_allclose(other.logits, evidence[0].logits, atol=1e-5)
    for method in ("moderate", "entropy", "el2n", "herding", "k_center", "graph_cut", "gradmatch"):
        first, *others = [mc.select(method, one, 0.2).indices for one in evidence]
        for other in others:
            np.testing.assert_array_equal(other, first)


# From the manifest


def test_from_manifest_after_everything_else_is_gone(here, selection_folder, capsys):
    assert call("--from-manifest former.npz") == 0
    printed = capsys.readouterr()
    assert "former.npz: the same coreset now, byte for byte" in printed.out
    assert "training mlp first (2 epochs" in printed.err  # the options of then
    assert files_in("index") == files_in(selection_folder / "index")


@pytest.mark.parametrize("line", [
    "--method ccs --mis-ratio 0.1 --strata 20 --rate 0.25 --seed 3", "--score el2n --rule strata --rate 0.2 --pool 200",
    "--method el2n --runs 2 --rate 0.1 --balance", "--method random --rate 0.2", "--method log_determinant --jitter "
    "1e-5 --rate 0.05 --pool 300"])
def test_from_manifest_of_other_commands(line, here):
    command = f"--dataset digitsC --epoch 1 --arch mlp --width 32 {line}"
    assert call(command) == 0
    first = files_in("index")
    (path,) = Path("index").glob("*.npz")
    path.rename("first.npz")
    shutil.rmtree("index")
    shutil.rmtree("ckpt", ignore_errors=True)
    shutil.rmtree("cache", ignore_errors=True)
    assert call("--from-manifest first.npz") == 0
    assert files_in("index") == first


def test_from_manifest_with_a_recipe_whose_file_is_gone(here):
    Path("mine.yaml").write_text("arch: mlp\nepochs: 2\nlr: 0.03\nschedule: multistep\nmilestones: [1]\n")
    assert call("--dataset digits --rate 0.1 --recipe mine.yaml") == 0
    first = files_in("index")
    shutil.copy("index/digits-moderate-0.1.npz", "first.npz")
    for folder in ("index", "ckpt", "cache"):
        shutil.rmtree(folder)
    Path("mine.yaml").unlink()
    assert call("--from-manifest first.npz") == 0
    assert files_in("index") == first


def test_data_may_lie_elsewhere(here, selection_folder):
    for name in ("data", "ckpt"):
        shutil.copytree(selection_folder / name, Path("elsewhere") / name)
    line = "--from-manifest former.npz --data elsewhere/data --model-dir elsewhere/ckpt --save there"
    assert call(line) == 0
    assert digest("there/digitsN.bin") == digest(selection_folder / DROPPED)
    assert Coreset.load(f"there/{Path(NPZ).name}").manifest["checkpoint"].startswith("elsewhere/ckpt")


def test_changed_data_is_named(here, selection_folder, capsys):
    shutil.copytree(selection_folder / "data", "data")
    shutil.copytree(selection_folder / "index", "index")
    assert call("--dataset digits --seed 5 --ratio 0.2 --force", "label-noise") == 0
    before = files_in("index")
    assert call("--from-manifest former.npz") == 1
    printed = capsys.readouterr()
    assert re.search(r"note: data labels: \w{32}, now \w{32}\n", printed.err)
    assert "data images" not in printed.err
    assert re.search(r"note: base network: \w{32}, now \w{32}\n", printed.err)
    assert "former.npz: another coreset now" in printed.out
    assert re.search(r"  indices: \d+ of 287 samples are the same\n", printed.out)
    assert files_in("index") == before
    assert "is left as it is: another --save keeps the other coreset" in printed.err
    assert call("--from-manifest former.npz --save other") == 1
    assert len(Coreset.load(Path("other") / Path(NPZ).name)) == 287


def test_another_base_network_is_named(here, selection_folder, capsys):
    shutil.copytree(selection_folder / "data", "data")
    assert call("--dataset digitsN --epoch 3 --seed 1", "train") == 0
    capsys.readouterr()
    assert call("--from-manifest former.npz") == 1
    said = capsys.readouterr().err
    assert "note: base seed: 0, now 1" in said and "note: recipe epochs: 2, now 3" in said
    assert "data" not in "".join(line for line in said.splitlines() if ", now " in line)


def test_other_versions_are_named_though_the_coreset_is_the_same(here, selection_folder, capsys, monkeypatch):
    monkeypatch.setattr("ms_coreset.jobs.versions.revision", lambda: "abc")
    monkeypatch.setattr("ms_coreset.jobs.versions.__version__", "99")
    assert call("--from-manifest former.npz") == 0
    printed = capsys.readouterr()
    assert f"note: versions ms_coreset: {mc.__version__}, now 99" in printed.err
    assert re.search(r"note: revision: \S+, now abc", printed.err)
    assert "the same coreset now" in printed.out


def test_a_checkpoint_that_is_gone_is_an_error_and_may_lie_elsewhere(here, selection_folder, capsys):
    shutil.copytree(selection_folder / "ckpt", "ckpt")
    own = "ckpt/digitsN/mlp/best.ckpt"
    assert call(f"--dataset digits --rate 0.2 --ckpt {own} --save own") == 0
    first = files_in("own")
    Path(own).rename("moved.ckpt")
    assert call("--from-manifest own/digits-moderate-0.2.npz --save again") == 2
    assert f"error: no checkpoint {own}" in capsys.readouterr().err
    assert call("--from-manifest own/digits-moderate-0.2.npz --save again --ckpt moved.ckpt") == 0
    again = Coreset.load("again/digits-moderate-0.2.npz")
    assert again.indices.tobytes() == Coreset.load("own/digits-moderate-0.2.npz").indices.tobytes()
    assert first["digits.bin"] == files_in("again")["digits.bin"]


@pytest.mark.parametrize(("typed", "message"), [
    ("--rate 0.3", "--rate 0.3: former.npz was made with 0.2"), ("--method random", "--method random: former.npz was"),
    ("--epoch 3", "--epoch 3: former.npz was made with 2"), ("--balance", "--balance True: former.npz was made with")])
def test_other_options_are_no_repetition(typed, message, here, capsys):
    assert call(f"--from-manifest former.npz {typed}") == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["former.npz"]


def test_files_that_do_not_tell(here, capsys):
    coreset = Coreset.load("former.npz")
    for manifest, message in (({}, "does not tell by which options it was made"),
                              ({"arguments": {"colour": 1}}, "unknown key 'colour'"),
                              ({"arguments": {"balance": "x"}}, "balance is 'x', must be true or false"),
                              ({**coreset.manifest, "recipe": {"colour": 1}}, "its recipe has other keys")):
        Coreset(coreset.indices, coreset.n, 0.2, method="moderate", manifest=manifest).save("other.npz")
        assert call("--from-manifest other.npz") == 2
        assert message in capsys.readouterr().err
    assert call("--from-manifest none.npz") == 2
    assert "no coreset file none.npz" in capsys.readouterr().err


def test_every_array_of_another_coreset_is_named():
    former = Coreset(np.array([1, 2]), 6, 0.5, method="el2n", scores=np.array([0, 3, 2, 1, 0, 0.0]),
                     pool=np.array([1, 2, 3]), weights=np.array([1.0, 2]))
    changed = {"indices": np.array([2, 1]), "scores": former.scores + 1, "pool": np.array([1, 2, 4]),
               "weights": former.weights * 2}
    assert changed_arrays(former, former) == []
    for name, array in changed.items():
        [line] = changed_arrays(former, dataclasses.replace(former, **{name: array}))
        assert line.startswith(f"{name}: ")
    fewer = dataclasses.replace(former, weights=None)
    assert changed_arrays(former, fewer) == ["weights: there are none now"]
    assert changed_arrays(fewer, former) == ["weights: there were none"]


def test_the_order_of_labels_is_in_their_digest():
    """Of the same labels in another order another coreset is chosen."""
    features = np.random.RandomState(0).rand(6, 2)
    digests = {mc.select("moderate", mc.Evidence(labels=np.array(labels), features=features), rate=0.5).manifest[
        "labels"] for labels in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1])}
    assert len(digests) == 3
    splits = [mc.Split("toy", np.zeros((2, 2, 2, 1), np.uint8), np.array(labels), classes=("a", "b"), mean=(0.5,),
                       std=(0.5,))
              for labels in ([0, 1], [1, 0])]
    assert data_identity(splits[0])["labels"] != data_identity(splits[1])["labels"]


# Of a stranger's manifest

EVIL = "import pathlib\npathlib.Path('canary').touch()\n"
AS_MADE = {"dataset": "digits", "rate": 0.2, "method": "random", "seed": 0}


def forge(recorded, **notes):
    """Write ``forged.npz``, whose manifest tells of these options beside ``AS_MADE``, and a plugin that it may name."""
    Path("evil.py").write_text(EVIL)
    Coreset(np.array([1, 2]), 1437, 0.2, method="random", manifest={"arguments": {**AS_MADE, **recorded}, **notes}
            ).save("forged.npz")


@pytest.mark.parametrize(("recorded", "message"), [
    ({"plugin": ["evil.py"]}, "was made with code that a file can't ask for"),
    ({"plugin": "evil.py"}, "type --plugin FILE again"),
    ({"rate": [0.2, "--plugin", "evil.py"]}, "is no single value"),
    ({"rate": "0.2 --plugin evil.py"}, "invalid float value: '0.2 --plugin evil.py'"),
    ({"seed": "--plugin"}, "invalid int value: '--plugin'"),
    ({"rate": True}, "invalid float value: True"), ({"rate": {"a": 1}}, "is no single value"),
    ({"rate": 7}, "rate 7.0: must be"), ({"seed": -1}, "seed -1"), ({"seed": 1.5}, "invalid int value: 1.5"),
    ({"method": "--plugin=evil.py"}, "unknown method '--plugin=evil.py'"),
    ({"method": ["random", "--save", "elsewhere"]}, "is no single value"),
    ({"dataset": "../elsewhere"}, "unknown data set '../elsewhere'"),
    ({"dataset": "digitsN@/../../elsewhere"}, "the variant after @ is made of"),
    ({"rule": "--plugin"}, "is none of top, bottom"), ({"nesterov": "--plugin"}, "must be true or false"),
    ({"config": "evil.yaml"}, "unknown key 'config'"), ({"--plugin": "evil.py"}, "unknown key '--plugin'"),
    ({"neighbors": [3, "--plugin", "evil.py"]}, "is no single value"),
    ({"ckpt": "elsewhere/best.ckpt"}, "type --ckpt FILE")])
def test_values_of_a_manifest_are_values(recorded, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    forge(recorded)
    assert call("--from-manifest forged.npz") == 2
    told = capsys.readouterr()
    assert message in told.err and len(told.err.splitlines()) == 1 and not told.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.py", "forged.npz"]


def test_places_of_a_manifest_are_not_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    there = str(tmp_path / "there")
    forge(dict.fromkeys(("save", "data", "model-dir", "cache"), there) | {"from-manifest": "x.npz", "list": True,
           "device": "Ascend", "recipe": "evil.yaml", "memory": "1", "no-download": True})
    assert call("--from-manifest forged.npz") == 1  # not the coreset that random makes
    said = capsys.readouterr().err
    for flag in ("--data", "--model-dir", "--cache", "--device", "--recipe"):
        assert re.search(rf"note: forged.npz was made with {flag} \S+, .*which has to be typed again", said), flag
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.py", "forged.npz", "index"]
    assert call(f"--from-manifest forged.npz --save {there} --data {there}") == 1  # what is typed is used
    assert sorted(path.suffix for path in Path(there).iterdir()) == [".bin", ".npz"]


def test_what_a_manifest_hands_on_asks_for_nothing(tmp_path, monkeypatch, capsys):
    """A repetition copies the notes of the first one: they are no more to be believed in the copy."""
    monkeypatch.chdir(tmp_path)
    forge({"data": "there"}, command=["select", "--plugin", "evil.py"], dataset="digits; touch canary")
    assert call("--from-manifest forged.npz") == 1
    copy = Coreset.load("index/digits-random-0.2.npz")
    assert copy.manifest["command"] is None and copy.manifest["dataset"] == "digits"
    assert call("--from-manifest index/digits-random-0.2.npz") == 0
    printed = capsys.readouterr().out
    assert "touch" not in printed and not Path("there").exists() and not Path("canary").exists()


def test_manifest_holds_what_decides(selection_folder):
    manifest = Coreset.load(selection_folder / NPZ).manifest
    json.dumps(manifest)
    assert manifest["arguments"]["rate"] == 0.2 and manifest["arguments"]["epoch"] == 2
    assert manifest["recipe"]["epochs"] == 2 and manifest["base"]["seed"] == 0
    assert set(manifest["data"]) == {"images", "labels", "mean", "std"}
    assert "seconds" not in manifest  # what differs from run to run has no place in it
