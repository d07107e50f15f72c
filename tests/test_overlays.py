"""Perturbations on disk: made, found, continued, refused."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.checksums import array_digest
from ms_coreset.coreset import Coreset
from ms_coreset.datasets import default_overlay_path, load_dataset, make_attack, make_corruption, make_label_noise
from ms_coreset.datasets.family import canonical_name, find_dataset
from ms_coreset.datasets.overlays import human_labels, images, noisy_labels
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.json_files import read_json
from ms_coreset.perturbations.attack import attack, on_pixels
from ms_coreset.perturbations.corruption import KINDS, corrupt


@pytest.fixture(scope="module")
def clean():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def network():
    mc.set_device("CPU")
    return mc.create_network("mlp", 10, 1, image_size=8, seed=1)


@pytest.fixture(autouse=True)
def notes_at_once(monkeypatch):
    monkeypatch.setattr(images, "SAVE_INTERVAL", 0)


def quietly(name, root, **options):
    return load_dataset(name, root, log=lambda line: None, **options)


def refusal(match, name, root):
    with pytest.raises(MsCoresetError, match=match) as error:
        quietly(name, root)
    assert "\n" not in str(error.value)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# Names


def test_a_variant_follows_the_letter():
    family, letter, variant = find_dataset("cifar-10n@0.35")
    assert (family.name, letter, variant) == ("CIFAR10", "N", "0.35")
    assert canonical_name("fashion-mnistA@pgd-40") == "FashionMNISTA@pgd-40"
    assert canonical_name("digits") == "digits"


@pytest.mark.parametrize(("name", "message"), [
    ("digits@a", "digits is clean; @ names a variant of digitsN, digitsC, digitsA"), ("digitsN@", "after @"),
    ("digitsN@../x", "made of letters"), ("digitsN@a@b", "made of letters"), ("digitM@a", "unknown data set 'digitM'")])
def test_variants_that_are_no_names(name, message):
    with pytest.raises(MsCoresetError, match=message):
        find_dataset(name)


@pytest.mark.parametrize(("name", "file"), [
    ("digitsC", "corrupt/digits.npy"), ("CIFAR100C", "corrupt/cifar100.npy"), ("cifar100a", "attack/cifar_train.npy"),
    ("digitsN@0.35", "noisy/digits@0.35.npy"), ("CIFAR100A@pgd", "attack/cifar_train@pgd.npy")])
def test_places(tmp_path, name, file):
    assert default_overlay_path(tmp_path, name) == tmp_path / file


# Corrupted images


def test_missing_corruption_is_made_with_the_defaults_and_said(tmp_path, clean):
    lines = []
    split = load_dataset("digitsC", tmp_path, log=lines.append)
    assert lines == [f"corrupted images {tmp_path}/corrupt/digits.npy were missing: made with ratio 0.3, seed 0"]
    expected, kinds, manifest = corrupt(clean.images, 0.3)
    np.testing.assert_array_equal(split.images, expected)
    np.testing.assert_array_equal(split.bad_kinds, kinds)
    np.testing.assert_array_equal(split.bad, kinds > 0)
    np.testing.assert_array_equal(split.labels, clean.labels)
    np.testing.assert_array_equal(split.clean_labels, clean.labels)
    assert split.name == "digitsC" and split.manifest.items() >= {
        "mode": "paper", "seed": 0, "dataset": "digits", "kinds": list(KINDS), "counts": manifest["counts"],
        "clean_images": array_digest(clean.images), "n": 1437}.items()
    assert files(tmp_path / "corrupt") == ["digits.json", "digits.kinds.npy", "digits.npy"]
    load_dataset("digitsC", tmp_path, log=lines.append)
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["digitsC", "digitsA", "digitsN", "digitsC@x", "digitsA@x"])
def test_the_test_split_is_the_clean_one(tmp_path, name):
    test, base = quietly(name, tmp_path, train=False), quietly("digits", tmp_path, train=False)
    np.testing.assert_array_equal(test.images, base.images)
    np.testing.assert_array_equal(test.labels, base.labels)
    assert (test.name, test.bad, test.bad_kinds) == ("digits", None, None)
    assert not list(tmp_path.iterdir())


def test_several_side_by_side(tmp_path, clean):
    make_corruption(clean, tmp_path, 0.1, variant="0.1")
    make_corruption(clean, tmp_path, 0.2, variant="0.2")
    shares = [quietly(name, tmp_path).bad.mean() for name in ("digitsC", "digitsC@0.1", "digitsC@0.2")]
    np.testing.assert_allclose(shares, [0.3, 0.1, 0.2], atol=1e-3)
    assert quietly("DIGITSc@0.2", tmp_path).name == "digitsC@0.2"


@pytest.mark.parametrize(("name", "command"), [("digitsC@x", "corrupt"), ("digitsN@x", "label-noise"),
                                               ("digitsA@x", "attack"), ("digitsA", "attack")])
def test_what_is_not_made_by_itself_is_told_how(tmp_path, name, command):
    refusal(f"is missing: make it with ms-coreset {command} --dataset {name}", name, tmp_path)


def test_the_same_again_is_no_error_and_other_is(tmp_path, clean):
    path = make_corruption(clean, tmp_path, 0.2)
    before = path.stat().st_mtime_ns
    assert make_corruption(clean, tmp_path, 0.2) == path and path.stat().st_mtime_ns == before
    with pytest.raises(MsCoresetError, match=f"{path} exists already \\(seed 0, not 1\\): force a new one, or name"):
        make_corruption(clean, tmp_path, 0.2, seed=1)
    make_corruption(clean, tmp_path, 0.2, seed=1, force=True)
    assert quietly("digitsC", tmp_path).manifest["seed"] == 1


@pytest.mark.mindspore
def test_only_clean_training_images_are_perturbed(tmp_path, network):
    for split in (quietly("digitsC", tmp_path), quietly("digits", tmp_path, train=False)):
        with pytest.raises(MsCoresetError, match="clean training data only"):
            make_corruption(split, tmp_path, force=True)
        with pytest.raises(MsCoresetError, match="clean training data only"):
            make_attack(split, network, tmp_path, force=True)


@pytest.mark.mindspore
def test_data_without_images_can_not_be_corrupted(tmp_path, network):
    split = Split("features", None, np.array([0, 1]), classes=("a", "b"), mean=None, std=None)
    for make in (lambda: make_corruption(split, tmp_path), lambda: make_attack(split, network, tmp_path)):
        with pytest.raises(MsCoresetError, match="has no images"):
            make()


def test_images_are_mapped_not_read(tmp_path):
    split = quietly("digitsC", tmp_path)
    assert isinstance(split.images, np.memmap) and not split.images.flags.writeable
    part = split.subset(np.flatnonzero(split.bad)[:5])
    assert part.bad.all() and (part.bad_kinds > 0).all() and part.images.shape == (5, 8, 8, 1)


@pytest.mark.mindspore
def test_images_in_files_are_perturbed_beside_their_folder(tmp_path, network):
    """The files are read, never written."""
    from PIL import Image

    folder = tmp_path / "photos"
    pixels = np.random.RandomState(0).randint(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    for i, image in enumerate(pixels):
        path = folder / "train" / "ab"[i // 10] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    split = quietly("folderC", folder)
    np.testing.assert_array_equal(split.images, corrupt(pixels)[0])
    assert files(tmp_path / "corrupt") == ["folder-photos.json", "folder-photos.kinds.npy", "folder-photos.npy"]
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before
    assert sorted(path.name for path in folder.iterdir()) == ["train"]
    clean = quietly("folder", folder)
    make_attack(clean, mc.create_network("mlp", 2, 3, image_size=8), tmp_path)
    attacked = quietly("folderA", folder)
    assert attacked.bad.all() and np.abs(attacked.images.astype(int) - pixels).max() <= 8


# Interruption


class Stop(Exception):
    pass


def stop_after(monkeypatch, module, name, calls):
    """Let a function of a module fail when it has been called so many times."""
    function, left = getattr(module, name), iter(range(calls))

    def stopping(*arguments):
        if next(left, None) is None:
            raise Stop
        return function(*arguments)

    monkeypatch.setattr(module, name, stopping)


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_interrupted_corruption_goes_on_to_the_same_bytes(tmp_path, clean, monkeypatch, calls):
    from ms_coreset.datasets.overlays import corrupted_images

    whole = make_corruption(clean, tmp_path / "whole", 0.5, seed=3)
    with monkeypatch.context() as patch:
        stop_after(patch, corrupted_images, "corrupt_rows", calls)
        with pytest.raises(Stop):
            make_corruption(clean, tmp_path, 0.5, seed=3)
    assert not (tmp_path / "corrupt" / "digits.npy").exists()
    assert read_json(tmp_path / "corrupt" / ".digits.part.json")["rows"] == 128 * calls
    path = make_corruption(clean, tmp_path, 0.5, seed=3)
    for suffix in (".npy", ".kinds.npy", ".json"):
        assert path.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()
    assert files(path.parent) == ["digits.json", "digits.kinds.npy", "digits.npy"]


@pytest.mark.mindspore
@pytest.mark.parametrize("name", ["gsa", "pgd"])
def test_interrupted_attack_goes_on_to_the_same_bytes(tmp_path, clean, network, monkeypatch, name):
    from ms_coreset.datasets.overlays import attacked_images as module

    whole = make_attack(clean, network, tmp_path / "whole", seed=3, attack=name)
    with monkeypatch.context() as patch:
        stop_after(patch, module, "attack_rows", 4)
        with pytest.raises(Stop):
            make_attack(clean, network, tmp_path, seed=3, attack=name)
    done = []
    function = module.attack_rows
    monkeypatch.setattr(module, "attack_rows", lambda *given: done.append(given[3][0]) or function(*given))
    path = make_attack(clean, network, tmp_path, seed=3, attack=name)
    assert done[0] == 4 * 128  # what was done is not done again
    for suffix in (".npy", ".kinds.npy", ".json"):
        assert path.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()


def test_interrupted_run_of_another_plan_is_not_continued(tmp_path, clean, monkeypatch):
    from ms_coreset.datasets.overlays import corrupted_images

    with monkeypatch.context() as patch:
        stop_after(patch, corrupted_images, "corrupt_rows", 3)
        with pytest.raises(Stop):
            make_corruption(clean, tmp_path, 0.5, seed=1)
    path = make_corruption(clean, tmp_path, 0.5, seed=2)
    np.testing.assert_array_equal(np.load(path), corrupt(clean.images, 0.5, 2)[0])


@pytest.mark.parametrize("damage", [lambda path: path.write_text("{"), lambda path: path.write_text('{"rows": 5}'),
                                    lambda path: path.with_suffix(".npy").unlink()])
def test_damaged_notes_of_an_interrupted_run_start_anew(tmp_path, clean, monkeypatch, damage):
    from ms_coreset.datasets.overlays import corrupted_images

    with monkeypatch.context() as patch:
        stop_after(patch, corrupted_images, "corrupt_rows", 3)
        with pytest.raises(Stop):
            make_corruption(clean, tmp_path, 0.5)
    damage(tmp_path / "corrupt" / ".digits.part.json")
    path = make_corruption(clean, tmp_path, 0.5)
    np.testing.assert_array_equal(np.load(path), corrupt(clean.images, 0.5)[0])


@pytest.mark.parametrize("last", ["digits.json", "digits.kinds.npy", "digits.npy"])
def test_stopped_while_the_files_get_their_names(tmp_path, clean, monkeypatch, last):
    """Whatever is there then, it is not taken for images without a manifest, and the next run finishes."""
    whole = make_corruption(clean, tmp_path / "whole", 0.5)
    replace = os.replace

    def stopping(source, target):
        if os.path.basename(target) == last:
            raise Stop
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopping)
        with pytest.raises(Stop):
            make_corruption(clean, tmp_path, 0.5)
    assert not (tmp_path / "corrupt" / "digits.npy").exists()
    path = make_corruption(clean, tmp_path, 0.5)
    for suffix in (".npy", ".kinds.npy", ".json"):
        assert path.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()
    assert files(path.parent) == ["digits.json", "digits.kinds.npy", "digits.npy"]


def test_labels_of_before_are_not_left_with_the_manifest_of_others(tmp_path, clean, monkeypatch):
    def stopping(path):
        raise Stop

    path = make_label_noise(clean, tmp_path, 0.1)
    former = path.read_bytes()
    monkeypatch.setattr(noisy_labels, "atomic_write", stopping)
    for ratio, left in ((0.1, former), (0.2, None)):
        with pytest.raises(Stop):
            make_label_noise(clean, tmp_path, ratio, force=True)
        assert (path.read_bytes() if path.exists() else None) == left


def test_two_processes_at_once_make_it_once(tmp_path):
    import subprocess
    import sys

    program = "import ms_coreset as mc; print(mc.load_dataset('digitsC', 'data').fingerprint())"
    both = [subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert printed[0] == printed[1] == array_digest(corrupt(quietly("digits", tmp_path).images)[0]) + "\n"


# What does not fit


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"",
                                    lambda content: content.replace(b"|u1", b"|i1"),
                                    lambda content: content.replace(b"8, 8, 1", b"8, 4, 2")])
def test_damaged_images_are_refused(tmp_path, clean, damage):
    path = make_corruption(clean, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    refusal(f"{path}.*; delete {path} to have it made anew", "digitsC", tmp_path)


def test_images_that_the_manifest_does_not_describe_are_refused(tmp_path, clean):
    path = make_corruption(clean, tmp_path)
    np.save(path, clean.images)
    refusal(r"digits\.npy is not what digits\.json describes; delete", "digitsC", tmp_path)


def test_images_of_other_data_are_refused(tmp_path, clean):
    path = make_corruption(clean, tmp_path)
    other = Split("digits", 255 - clean.images, clean.labels, classes=clean.classes, mean=clean.mean, std=clean.std)
    with pytest.raises(MsCoresetError, match=f"{path} was made for other data than this digits"):
        images.lay_images(other, "digitsC", path, print)


def test_kinds_that_the_manifest_does_not_describe_are_refused(tmp_path, clean):
    path = make_corruption(clean, tmp_path)
    np.save(path.with_suffix(".kinds.npy"), np.zeros(1437, np.int8))
    refusal(r"digits\.npy is not what digits\.json describes", "digitsC", tmp_path)


def test_missing_kinds_are_named(tmp_path, clean):
    path = make_corruption(clean, tmp_path)
    path.with_suffix(".kinds.npy").unlink()
    refusal(r"can.t read \S*digits\.kinds\.npy: No such file", "digitsC", tmp_path)


def test_images_without_a_manifest_are_taken_with_a_word(tmp_path, clean):
    """As the Moderate repository writes them."""
    changed = clean.images.copy()
    changed[[3, 7]] = 255 - changed[[3, 7]]
    path = tmp_path / "attack" / "digits.npy"
    path.parent.mkdir()
    np.save(path, changed)
    lines = []
    split = load_dataset("digitsA", tmp_path, log=lines.append)
    assert lines == [f"{path} has no manifest: taken as it is, 2 of 1437 images differ from the clean ones"]
    assert np.flatnonzero(split.bad).tolist() == [3, 7]
    assert Coreset(np.array([3, 4]), 1437, 0.1,
                   method="x").summary(split)["bad_by_kind"] == {"changed": (2 / 1437, 0.5)}


@pytest.mark.parametrize(("change", "message"), [
    (lambda images: images.astype(np.int8), r"int8 of shape \(1437, 8, 8, 1\), but digits needs uint8"),
    (lambda images: images[:-1], r"uint8 of shape \(1436, 8, 8, 1\), but .* of shape \(1437, 8, 8, 1\)")])
def test_images_without_a_manifest_are_of_the_data_s_type_and_shape(tmp_path, clean, change, message):
    path = tmp_path / "attack" / "digits.npy"
    path.parent.mkdir()
    np.save(path, change(clean.images))
    refusal(f"{message}.*; delete {path} to have it made anew", "digitsA", tmp_path)


def test_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "corrupt").write_text("a file where a folder is needed")
    refusal("can't write .*corrupt", "digitsC", tmp_path)


def test_full_disk_is_an_error_of_one_line(tmp_path, clean, monkeypatch):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ms_coreset.npy_files.reserve", full)
    with pytest.raises(MsCoresetError, match="No space left on device"):
        make_corruption(clean, tmp_path)
    assert not (tmp_path / "corrupt" / "digits.npy").exists()


# Attacked images


@pytest.mark.mindspore
def test_attack_on_disk_is_the_pure_function(tmp_path, clean, network):
    path = make_attack(clean, network, tmp_path, seed=5, batch_size=100, attack="pgd", steps=2,
                       notes={"checkpoint": "a"})
    expected, kinds, manifest = attack(on_pixels(network, clean.mean, clean.std), clean.images, clean.labels, seed=5,
                                       batch_size=100, attack="pgd", steps=2)
    split = quietly("digitsA", tmp_path)
    np.testing.assert_array_equal(split.images, expected)
    np.testing.assert_array_equal(split.bad_kinds, kinds)
    assert split.bad.all()
    assert split.manifest.items() >= {**manifest, "checkpoint": "a", "batch_size": 100, "dataset": "digits"}.items()
    weights = array_digest(*(parameter.asnumpy() for parameter in network.get_parameters()))
    assert read_json(path.with_suffix(".json"))["weights"] == weights


@pytest.mark.mindspore
@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_attack_in_batches_of_no_size(tmp_path, clean, network, size):
    with pytest.raises(MsCoresetError, match=f"batch_size {size}"):
        make_attack(clean, network, tmp_path, batch_size=size)


@pytest.mark.mindspore
def test_an_attack_on_another_network_is_another(tmp_path, clean, network):
    make_attack(clean, network, tmp_path)
    with pytest.raises(MsCoresetError, match=r"exists already \(weights "):
        make_attack(clean, mc.create_network("mlp", 10, 1, image_size=8, seed=2), tmp_path)


# Shares by kind


def test_summary_counts_each_kind(tmp_path):
    split = quietly("digitsC", tmp_path)
    kept = np.flatnonzero(split.bad_kinds == 2)[:10]
    summary = Coreset(np.concatenate([kept, np.flatnonzero(split.bad_kinds == 0)[:30]]), 1437, 0.1,
                      method="x").summary(split)
    assert summary["bad_kept"] == 0.25
    assert summary["bad_by_kind"]["fog"] == (86 / 1437, 0.25)
    assert [kept for _, kept in summary["bad_by_kind"].values()] == [0, 0.25, 0, 0, 0]
    assert sum(share for share, _ in summary["bad_by_kind"].values()) == pytest.approx(summary["bad_available"])


def test_label_noise_is_one_kind(tmp_path):
    split = quietly("digitsN", tmp_path)
    by_kind = Coreset(np.flatnonzero(split.bad), 1437, 0.2, method="x").summary(split)["bad_by_kind"]
    assert by_kind == {"symmetric_label_noise": (287 / 1437, 1.0)}


# Labels that people gave


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture
def cifar():
    rng = np.random.RandomState(0)
    return Split("CIFAR10", np.zeros((50, 2, 2, 3), np.uint8), rng.randint(0, 10, 50), classes=CLASSES, mean=(0.5,) * 3,
                 std=(0.5,) * 3)


def published_file(root, content, folder="cifar-n", name="CIFAR-10_human.pt", compression=zipfile.ZIP_STORED):
    """A file as torch.save writes one that holds no tensors."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / name).write_bytes(stream.getvalue())
    return root / folder / name


def people(clean):
    rng = np.random.RandomState(1)
    given = {key: rng.randint(0, 10, len(clean)) for key in human_labels.PUBLISHED["CIFAR10"][1].values()}
    return {"clean_label": clean.labels, **given}


@pytest.mark.parametrize("folder", ["cifar-n", ""])
@pytest.mark.parametrize(("kind", "key"), [(None, "worse_label"), *human_labels.PUBLISHED["CIFAR10"][1].items()])
def test_labels_of_people(tmp_path, cifar, kind, key, folder):
    content = people(cifar)
    published_file(tmp_path, content, folder)
    path = make_label_noise(cifar, tmp_path, noise="human", human=kind)
    np.testing.assert_array_equal(np.load(path), content[key])
    manifest = read_json(path.with_suffix(".json"))
    assert manifest["human"] == (kind or "worse") and manifest["file"] == "CIFAR-10_human.pt"
    assert manifest["flipped"] == (content[key] != cifar.labels).sum()


def test_labels_of_people_in_another_order_are_refused(tmp_path, cifar):
    content = people(cifar)
    content["clean_label"] = np.roll(content["clean_label"], 1)
    path = published_file(tmp_path, content)
    with pytest.raises(MsCoresetError, match=f"{path}: its clean labels .* are not those of this CIFAR10"):
        make_label_noise(cifar, tmp_path, noise="human")
    assert not (tmp_path / "noisy").exists()


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/ms_coreset_was_here",)


@pytest.mark.parametrize(("content", "message"), [
    ({"clean_label": Hostile()}, "only NumPy arrays and plain containers"), ([1, 2], "holds no labels 'clean_label'"),
    ({"clean_label": [1, 2]}, "holds no labels 'clean_label'"), ({}, "holds no labels 'clean_label'")])
def test_files_that_hold_other_things_are_refused(tmp_path, cifar, content, message):
    path = published_file(tmp_path, content)
    with pytest.raises(MsCoresetError, match=message) as error:
        make_label_noise(cifar, tmp_path, noise="human")
    assert str(path) in str(error.value)


def test_damaged_and_compressed_archives_are_refused(tmp_path, cifar):
    path = published_file(tmp_path, people(cifar))
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"PK\3\4", b""):
        path.write_bytes(damaged)
        with pytest.raises(MsCoresetError, match=f"{path} is not a whole, harmless pickle"):
            make_label_noise(cifar, tmp_path, noise="human")
    published_file(tmp_path, people(cifar), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(MsCoresetError, match="compressed"):
        make_label_noise(cifar, tmp_path, noise="human")


def test_labels_of_people_that_are_not_there(tmp_path, cifar, clean):
    with pytest.raises(MsCoresetError,
                       match=r"cifar-n/CIFAR-10_human.pt is missing: get it from https://github.com/UCSC"):
        make_label_noise(cifar, tmp_path, noise="human")
    with pytest.raises(MsCoresetError, match="no labels given by people are published for digits"):
        make_label_noise(clean, tmp_path, noise="human")
    with pytest.raises(MsCoresetError, match="unknown human labels 'noisy_fine' of CIFAR10: there are worse, aggre"):
        make_label_noise(cifar, tmp_path, noise="human", human="noisy_fine")
    with pytest.raises(MsCoresetError, match="unknown label noise 'pairs'"):
        make_label_noise(clean, tmp_path, noise="pairs")


@pytest.fixture(scope="module")
def whole_cifar(real_data):
    if not (real_data / "cifar-n").is_dir():
        pytest.skip("no CIFAR-N labels")
    base = quietly("CIFAR10", real_data, download=False)
    if len(base) != 50_000:
        pytest.skip("CIFAR-10 is not whole here")
    return base


@pytest.mark.parametrize(("kind", "percent"), [("aggre", 9.0), ("random1", 17.2), ("random2", 18.1), ("random3", 17.6),
                                               ("worse", 40.2)])
def test_real_labels_of_people(whole_cifar, real_data, tmp_path, kind, percent):
    (tmp_path / "cifar-n").symlink_to(real_data / "cifar-n")
    path = make_label_noise(whole_cifar, tmp_path, noise="human", human=kind, variant=kind)
    assert 100 * read_json(path.with_suffix(".json"))["ratio_realised"] == pytest.approx(percent, abs=0.1)


def test_real_labels_of_people_are_refused_for_a_part(real_data, tmp_path):
    if not (real_data / "cifar-n").is_dir() or not (real_data / "exact").is_dir():
        pytest.skip("no CIFAR-N labels, or no part of CIFAR-10")
    (tmp_path / "cifar-n").symlink_to(real_data / "cifar-n")
    base = quietly("CIFAR10", real_data / "exact", download=False)
    with pytest.raises(MsCoresetError, match="its clean labels"):
        make_label_noise(base, tmp_path, noise="human")
