"""What things were made from: nothing is used again for other data, another normalisation or another network."""

import dataclasses
import os
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mindspore import nn, ops
from mindspore.common.initializer import Constant
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.coreset import Coreset
from ms_coreset.datasets import make_attack
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction.cache import evidence_key
from ms_coreset.identity import is_relabeled, layers_digest
from ms_coreset.json_files import read_json, write_json
from ms_coreset.networks.weights import read_checkpoint, write_checkpoint
from ms_coreset.training.loop import data_digest
from ms_coreset.training.recipe import Recipe

RECIPE = Recipe(arch="mlp", width=8, epochs=2, batch_size=16, lr=0.05)
SMALL = "--arch mlp --width 8 --epoch 1 --batch-size 16"
N = 40


@pytest.fixture(scope="module", autouse=True)
def device():
    mc.set_device("CPU")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arrays(seed=0):
    rng = np.random.RandomState(seed)
    return {"images": rng.randint(0, 255, (N, 8, 8)).astype(np.uint8), "labels": np.arange(N) % 4,
            "test_images": rng.randint(0, 255, (8, 8, 8)).astype(np.uint8), "test_labels": np.arange(8) % 4}


def write(name="mine.npz", **changes):
    """A file of arrays in this folder."""
    np.savez(name, **{name: value for name, value in {**arrays(), **changes}.items() if value is not None})


def toy(**changes):
    split = mc.Split("toy", arrays()["images"][..., None], np.arange(N) % 4, classes=tuple("abcd"), mean=(0.4,),
                     std=(0.2,))
    return dataclasses.replace(split, **changes)


def call(line, command="select"):
    return main(shlex.split(line), command)


def refusal(capsys, line, command="train"):
    capsys.readouterr()
    assert call(line, command) == 2
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return error


# Networks and their evidence


class Net(mc.Classifier):
    """Two dense layers, and between them what no weight tells."""

    def __init__(self, activation, power=1):
        super().__init__()
        self.first, self.fc = (nn.Dense(*sides, Constant(-0.02), has_bias=False) for sides in ((64, 6), (6, 4)))
        self.activation, self.power = activation, power

    def features(self, x):
        return self.activation(self.first(x.reshape(len(x), -1))) ** self.power


class Doubled(Net):
    """Another class of the same settings."""

    def features(self, x):
        return 2 * super().features(x)


def bound_values(function):
    return lambda x: function(x)


@pytest.mark.parametrize(("one", "other"), [
    (lambda: Net(ops.tanh), lambda: Net(ops.relu)), (lambda: Net(nn.Tanh()), lambda: Net(nn.ReLU())),
    (lambda: Net(ops.Tanh()), lambda: Net(ops.ReLU())),
    (lambda: Net(nn.LeakyReLU(0.1)), lambda: Net(nn.LeakyReLU(0.3))),
    (lambda: Net(lambda x: ops.tanh(x)), lambda: Net(lambda x: ops.relu(x))),
    (lambda: Net(bound_values(ops.tanh)), lambda: Net(bound_values(ops.relu))),
    (lambda: Net(ops.tanh, 1), lambda: Net(ops.tanh, 2)), (lambda: Net(ops.tanh), lambda: Doubled(ops.tanh))])
def test_evidence_of_equal_weights_is_not_taken_from_another_architecture(one, other, tmp_path):
    split = toy()
    wanted = [mc.extract(make(), split).features for make in (one, other)]
    assert not np.array_equal(*wanted)
    for _ in range(2):  # made, and from the cache
        for make, features in zip((one, other), wanted, strict=True):
            np.testing.assert_array_equal(mc.extract(make(), split, cache=tmp_path).features, features)
    assert len(list(tmp_path.iterdir())) == 2
    assert layers_digest(one()) == layers_digest(one())


def test_evidence_is_keyed_by_all_that_decides_it():
    network, split = mc.create_network("mlp", 4, 1, image_size=8, width=8), toy()
    key = evidence_key(network, split)
    assert evidence_key(mc.create_network("mlp", 4, 1, image_size=8, width=8), toy()) == key
    others = [evidence_key(network, toy(mean=(0.5,))), evidence_key(network, toy(std=(0.3,))),
              evidence_key(network, toy(images=255 - split.images)),
              evidence_key(mc.create_network("mlp", 4, 1, image_size=8, width=8, seed=1), split)]
    assert len({key, *others}) == 5
    assert evidence_key(network, toy(labels=split.labels[::-1].copy())) == key  # networks do not see them


def test_the_digest_of_data_has_the_normalization_in_it():
    assert data_digest(toy()) == data_digest(toy())
    assert len({data_digest(split) for split in (toy(), toy(mean=(0.5,)), toy(std=(0.3,)),
                                                 toy(labels=toy().labels[::-1].copy()))}) == 4


# Training that goes on


def train(folder, split=None, network=None, resume=True):
    network = network or mc.create_network("mlp", 4, 1, image_size=8, width=8)
    return mc.train(network, split or toy(), RECIPE, folder=folder, resume=resume)


@pytest.mark.parametrize(("change", "message"), [
    ({"split": toy(mean=(0.5,))}, r"mean was \[0.4\], is \[0.5\] now"),
    ({"split": toy(std=(0.3,))}, r"std was \[0.2\], is \[0.3\] now"),
    ({"network": "other"}, r"network was .*'image_size': 8.*, is .*'class': 'test_identity.Net'")])
def test_training_goes_on_only_as_it_began(change, message, tmp_path):
    train(tmp_path)
    if "network" in change:
        change = {"network": Net(ops.relu)}
    with pytest.raises(MsCoresetError, match=rf"can't resume from .*last\.ckpt: {message}"):
        train(tmp_path, **change)


@pytest.mark.parametrize("make", [lambda: Net(ops.tanh), lambda: mc.create_network("lenet", 4, 1, image_size=8),
                                  lambda: mc.create_network("resnet18", 4, 1, image_size=8, width=4)])
def test_a_network_that_was_used_is_what_it_was(make):
    network, split = make(), toy().subset(np.arange(8))
    digest = layers_digest(network)
    mc.train(network, split, RECIPE, record=())
    mc.extract(network, split)
    mc.deepfool_distances(network, split, max_iter=1)
    mc.evaluate(network, split)
    assert layers_digest(network) == layers_digest(make()) == digest


def test_a_network_of_one_s_own_goes_on_by_its_layers(tmp_path):
    train(tmp_path, network=Net(ops.tanh))
    train(tmp_path, network=Net(ops.tanh))
    with pytest.raises(MsCoresetError, match=r"can't resume from .*: network was .*'layers': "):
        train(tmp_path, network=Net(ops.relu))


def forget_notes(path):
    """Let the checkpoint ``path`` tell only what checkpoints told before the normalisation was among it."""
    content, notes = read_checkpoint(path)
    for name in ("mean", "std", "network"):
        del notes["run"][name]
    write_checkpoint(path, content, notes)


def test_training_of_before_goes_on_with_a_word(tmp_path, caplog):
    first = train(tmp_path)
    forget_notes(tmp_path / "last.ckpt")
    again = train(tmp_path)
    assert again.history == first.history
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path / 'last.ckpt'} does not tell its mean, std: taken to be as now"
    with pytest.raises(MsCoresetError, match="network was"):  # this it tells in another place
        train(tmp_path, network=Net(ops.relu))
    with pytest.raises(MsCoresetError, match="data was"):
        train(tmp_path, toy(labels=toy().labels[::-1].copy()))


def test_a_base_network_of_another_normalization_is_told(here, capsys):
    write(mean=0.4, std=0.2)
    line = f"--dataset arrays --data mine.npz --rate 0.2 {SMALL}"
    assert call(line) == 0
    shutil.copy("index/arrays-mine-moderate-0.2.npz", "first.npz")
    assert "trained with" not in capsys.readouterr().err
    write(mean=0.5, std=0.2)
    assert call(line) == 0
    assert "it was trained with mean [0.4], not [0.5]: delete ckpt" in capsys.readouterr().err
    call("--from-manifest first.npz --data mine.npz")
    assert "note: data mean: [0.4], now [0.5]" in capsys.readouterr().err
    forget_notes(Path("ckpt/arrays-mine/mlp-w8/last.ckpt"))
    assert call(line) == 0
    assert "last.ckpt does not tell its mean, std: taken to be as now" in capsys.readouterr().err


def test_training_dynamics_of_other_data_are_refused(here, capsys):
    write()
    line = f"--dataset arrays --rate 0.2 --method correctness {SMALL}"
    assert call(f"{line} --data mine.npz") == 0
    write("other.npz", labels=np.arange(N)[::-1] % 4)
    error = refusal(capsys, f"{line} --data other.npz --ckpt ckpt/arrays-mine/mlp-w8/best.ckpt", "select")
    assert "dynamics in ckpt/arrays-mine/mlp-w8 are of other images or labels than arrays-other has" in error
    assert call(f"{line} --data mine.npz --ckpt ckpt/arrays-mine/mlp-w8/best.ckpt") == 0


def test_a_coreset_of_before_does_not_tell_its_normalization(here, capsys):
    write()
    assert call(f"--dataset arrays --data mine.npz --rate 0.2 --method random {SMALL}") == 0
    coreset = Coreset.load("index/arrays-mine-random-0.2.npz")
    known = {name: coreset.manifest["data"][name] for name in ("images", "labels")}
    dataclasses.replace(coreset, manifest={**coreset.manifest, "data": known}).save("first.npz")
    capsys.readouterr()
    assert call("--from-manifest first.npz --data mine.npz") == 0
    assert "note: data mean: not recorded, now [0.4891" in capsys.readouterr().err


def test_attacked_images_are_of_one_normalization_and_one_network(tmp_path, caplog):
    network = mc.create_network("mlp", 4, 1, image_size=8, width=8)
    path = make_attack(toy(), network, tmp_path)
    written = path.stat().st_mtime_ns
    with pytest.raises(MsCoresetError, match=r"exists already \(mean \[0.4\], not \[0.5\]\)"):
        make_attack(toy(mean=(0.5,)), network, tmp_path)
    manifest = read_json(path.with_suffix(".json"))
    write_json(path.with_suffix(".json"), {key: value for key, value in manifest.items() if key not in ("mean", "std")})
    make_attack(toy(), network, tmp_path)
    assert "does not tell its mean, std: taken to be as now" in caplog.text
    assert path.stat().st_mtime_ns == written


# Coresets and the data that they are used on


@pytest.fixture
def coreset_folder(here, capsys):
    """A folder with a coreset of mine.npz, chosen by its features."""
    write(features=np.random.RandomState(1).randn(N, 5))
    assert call("--dataset arrays --data mine.npz --rate 0.2") == 0
    capsys.readouterr()
    return "index/arrays-mine-moderate-0.2.npz"


def train_line(part, data="mine.npz"):
    return f"--dataset arrays --data {data} --no-save --result result.json {SMALL} {part}"


@pytest.mark.parametrize("option", ["--coreset index/arrays-mine-moderate-0.2.npz", "--prune index/arrays-mine.bin"])
def test_training_on_other_images_is_refused(option, coreset_folder, capsys):
    assert call(train_line(option), "train") == 0
    write("other.npz", **arrays(seed=5))
    error = refusal(capsys, train_line(option, "other.npz"))
    assert "was chosen from other images than arrays-other has: give the --dataset, --data" in error
    write("longer.npz", images=np.tile(arrays()["images"], (2, 1, 1)), labels=np.arange(2 * N) % 4)
    error = refusal(capsys, train_line(option, "longer.npz"))
    assert f"is of a data set of {N} samples, arrays-longer has {2 * N}" in error


@pytest.mark.parametrize("option", ["--coreset index/arrays-mine-moderate-0.2.npz", "--prune index/arrays-mine.bin"])
def test_labels_that_were_changed_on_purpose_are_said(option, coreset_folder, capsys):
    write("other.npz", labels=np.arange(N)[::-1] % 4)
    assert call(train_line(option, "other.npz"), "train") == 0
    assert "was chosen by other labels of these images than arrays-other has" in capsys.readouterr().err


def test_a_noisy_set_s_coreset_serves_the_clean_one_and_the_other_way_round(here, capsys):
    for name, other in (("digitsN", "digits"), ("digits", "digitsN")):
        assert call(f"--dataset {name} --rate 0.1 --method random") == 0
        coreset = Coreset.load(f"index/{name}-random-0.1.npz")
        capsys.readouterr()
        assert call(f"--dataset {other} --coreset index/{name}-random-0.1.npz --no-save --result r.json {SMALL}",
                    "train") == 0
        assert f"was chosen by other labels of these images than {other} has" in capsys.readouterr().err
        told = {key: coreset.manifest[key] for key in ("labels", "perturbation")}  # without the images' checksum
        split = mc.load_dataset(other, "data")
        assert is_relabeled(dataclasses.replace(coreset, manifest=told), split)
        assert not is_relabeled(dataclasses.replace(coreset, manifest=told), mc.load_dataset(name, "data"))


def test_a_coreset_that_tells_less_is_compared_by_what_it_tells(here, capsys):
    write()
    labels = np.arange(N) % 4
    for kind in (np.int64, np.int32, np.uint8):
        mc.select("random", mc.Evidence(labels.astype(kind)), 0.2).save("labels.npz")
        assert call(train_line("--coreset labels.npz"), "train") == 0
    mc.select("random", mc.Evidence(labels[::-1].copy()), 0.2).save("labels.npz")
    assert "was chosen by other labels than arrays-mine has" in refusal(capsys, train_line("--coreset labels.npz"))
    for name, n in (("none.npz", N), ("other.npz", N + 1)):
        Coreset(np.arange(5), n, 0.1, method="theirs", manifest={"data": "?", "perturbation": 3}).save(name)
    assert call(train_line("--coreset none.npz"), "train") == 0
    assert f"of {N + 1} samples, arrays-mine has {N}" in refusal(capsys, train_line("--coreset other.npz"))


def test_pool_and_held_out_samples_leave_the_labels_comparable(here, capsys):
    write(features=np.random.RandomState(1).randn(N, 5), logits=np.random.RandomState(2).randn(N, 4))
    for options in ("--pool 20", "--method glister --held-out 0.2"):
        assert call(f"--dataset arrays --data mine.npz --rate 0.2 --save index {options}") == 0
    paths = list(Path("index").glob("*.npz"))
    assert len(paths) == 2
    for path in paths:
        assert call(train_line(f"--coreset {path}"), "train") == 0
        assert "other labels" not in capsys.readouterr().err


@pytest.fixture
def photos(here):
    """A folder of small image files, and a coreset of it."""
    rng = np.random.RandomState(0)
    for label in "ab":
        for i in range(6):
            path = here / "photos" / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.randint(0, 255, (10, 10, 3)).astype(np.uint8)).save(path)
    assert call("--dataset folder --data photos --rate 0.5 --method random") == 0
    return "index/folder-photos-random-0.5.npz"


def test_a_copy_of_the_files_and_another_size_are_the_same_images(photos, here, capsys):
    line = f"--coreset {photos} --no-save --result r.json {SMALL} --dataset folder"
    shutil.copytree("photos", "copy")
    for path in Path("copy").rglob("*.png"):
        os.utime(path, (1, 1))
    for other in ("--data photos", "--data copy", "--data photos --image-size 8"):
        assert call(f"{line} {other}", "train") == 0
    Path("copy/a/0.png").rename("copy/a/00.png")
    assert "was chosen from other images than folder-copy has" in refusal(capsys, f"{line} --data copy")


def test_show_of_data_of_one_s_own(photos, here, capsys):
    capsys.readouterr()
    assert call(f"show {photos}", "coreset") == 0
    shown = capsys.readouterr()
    assert "random, rate 0.5" in shown.out
    assert "per class" not in shown.out
    assert "note: without classes and bad samples: folder-photos is data of your own: --data says where it lies" in (
        shown.err)
    assert call(f"show {photos} --data photos --classes", "coreset") == 0
    kept = Counter("ab"[row // 6] for row in Coreset.load(photos).indices)
    assert f"a: {kept['a']}\n" in capsys.readouterr().out
    shutil.copytree("photos", "more")
    Image.new("RGB", (10, 10)).save("more/a/more.png")
    error = refusal(capsys, f"show {photos} --data more", "coreset")
    assert "is of a data set of 12 samples, folder-more has 13" in error


def test_show_takes_the_size_of_then(here, photos, capsys):
    assert call("--dataset folder --data photos --image-size 8 --rate 0.5 --method random") == 0
    capsys.readouterr()
    assert call("show index/folder-photos-8px-random-0.5.npz --data photos", "coreset") == 0
    shown = capsys.readouterr()
    assert "per class" in shown.out
    assert not shown.err


def test_show_of_arrays_and_of_other_labels(coreset_folder, capsys):
    assert call(f"show {coreset_folder}", "coreset") == 0
    assert "arrays-mine is data of your own: --data says where" in capsys.readouterr().err
    assert call(f"show {coreset_folder} --data mine.npz", "coreset") == 0
    assert "per class" in capsys.readouterr().out
    write("other.npz", labels=np.arange(N)[::-1] % 4)
    assert "other labels than arrays-other has" in refusal(capsys, f"show {coreset_folder} --data other.npz", "coreset")


def test_coresets_of_other_data_are_not_compared(coreset_folder, capsys):
    write("other.npz", **arrays(seed=5), features=np.random.RandomState(1).randn(N, 5))
    assert call("--dataset arrays --data other.npz --rate 0.2") == 0
    other = "index/arrays-other-moderate-0.2.npz"
    error = refusal(capsys, f"diff {coreset_folder} {other} --no-data", "coreset")
    assert f"{coreset_folder} is of other images than {other}: only coresets of the same data can be compared" in error
    assert call(f"diff {coreset_folder} {coreset_folder} --data mine.npz", "coreset") == 0


def test_coresets_of_clean_and_of_corrupted_images_are_compared(here, capsys):
    for name in ("digits", "digitsC"):
        assert call(f"--dataset {name} --rate 0.1 --method random") == 0
    clean, corrupted = (f"index/{name}-random-0.1.npz" for name in ("digits", "digitsC"))
    assert call(f"diff {corrupted} {clean}", "coreset") == 0
    assert re.search(r"Jaccard +1.000;", capsys.readouterr().out)
    assert "from other images than digits has" in refusal(
        capsys, f"--dataset digits --coreset {corrupted} --no-save --result r.json {SMALL}")


# Studies

STUDY = "--dataset arrays --data mine.npz --methods moderate --rates 0.2 --epochs 1 --arch mlp-w8 --batch-size 16"


def test_a_study_does_not_go_on_with_another_normalization(here, capsys):
    write(mean=0.4, std=0.2)
    assert call(STUDY, "experiment") == 0
    write(mean=0.5, std=0.2)
    error = refusal(capsys, f"{STUDY} --seeds 0 1", "experiment")
    assert "holds results on images of another mean or deviation of arrays: give another --save" in error
    networks = len(list(Path("results/study/ckpt").rglob("best.ckpt")))
    assert call(f"{STUDY} --save elsewhere --model-dir results/study/ckpt", "experiment") == 0
    assert len(list(Path("results/study/ckpt").rglob("best.ckpt"))) == networks + 1


def test_a_coreset_that_an_interrupted_study_left_is_of_its_data(here, capsys):
    write()
    assert call(STUDY, "experiment") == 0
    Path("results/study/runs.jsonl").unlink()
    write(images=255 - arrays()["images"])
    assert call(STUDY, "experiment") == 1
    assert "was chosen from other images than arrays-mine has: delete it to have it chosen anew" in (
        capsys.readouterr().out)
