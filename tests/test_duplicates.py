"""Samples that are the same or nearly so: groups by hand and by brute force, files, splits, labels, the command."""

import csv
import io
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.extraction import picture_features as pictures_of
from ms_coreset.extraction.picture_features import picture_features
from ms_coreset.selectors import near_duplicates as near
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.near_duplicates import near_duplicates, whitened
from ms_coreset.selectors.neighbors import close_pairs

mc.set_device("CPU")


def groups_of(found):
    return [places.tolist() for places in found.each()]


def keys_of(rows):
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


# Pairs and groups of arrays


@pytest.mark.parametrize("offset", [0, 1e5])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_close_pairs_are_all_there_are(offset, kind, monkeypatch):
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 6 * 90 * 7)  # several blocks
    rows = (np.random.RandomState(0).randn(90, 5) + offset).astype(kind)
    distances = np.linalg.norm(rows[:, None].astype(float) - rows[None], axis=2)
    for radius in (0, 0.5, 1.3, 100):
        found = [np.concatenate(part) for part in zip(*close_pairs(rows, radius), strict=True)]
        expected = np.argwhere(np.triu(distances <= radius, 1))
        assert sorted(zip(*map(np.ndarray.tolist, found[:2]), strict=True)) == sorted(map(tuple, expected.tolist()))
        np.testing.assert_allclose(found[2], distances[found[0], found[1]], rtol=1e-9)


def test_rows_at_the_very_radius_are_in_it():
    rows = np.array([[0.0], [0.1], [0.2], [0.30000000000000004]])
    (found,) = close_pairs(rows, 0.1)
    assert list(zip(found[0], found[1], strict=True)) == [(0, 1), (1, 2), (2, 3)]


def test_groups_by_hand():
    """A chain 0, 3, 4 of steps of 1, a pair that is the same, and one alone."""
    rows = np.array([[0.0], [50], [20], [1], [2], [20], [90]])
    found = near_duplicates(rows, keys_of(rows), metric="euclidean", threshold=1)
    assert groups_of(found) == [[0, 3, 4], [2, 5]]
    assert len(found) == 2 and found.numbers.tolist() == [0, 0, 0, 1, 1]
    assert found.mates.tolist() == [3, 0, 3, 5, 2]  # of the equally near 0 and 4 the lower
    assert found.nearness.tolist() == [1, 1, 1, 0, 0]
    assert found.equal.tolist() == [False, False, False, True, True]


def test_what_is_the_same_goes_before_what_is_near():
    rows = np.array([[0.0], [0.1], [0.0]])
    found = near_duplicates(rows, np.array([4, 2, 4]), metric="euclidean", threshold=1)
    assert groups_of(found) == [[0, 1, 2]]
    assert found.mates.tolist() == [2, 0, 0]
    assert found.equal.tolist() == [True, False, True]


def test_the_same_keys_are_the_same_whatever_their_features():
    rows = np.eye(4)
    found = near_duplicates(rows, np.array([0, 1, 0, 2]))
    assert groups_of(found) == [[0, 2]] and found.nearness.tolist() == [1, 1]
    assert groups_of(near_duplicates(rows, np.arange(4), metric="cosine")) == []
    assert len(near_duplicates(rows[:1], np.zeros(1, int))) == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_groups_are_those_of_brute_force(data):
    n, d = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))
    rows = np.array(data.draw(st.lists(st.lists(st.integers(-3, 3), min_size=d, max_size=d), min_size=n, max_size=n)),
                    float)
    metric = data.draw(st.sampled_from(["euclidean", "cosine"]))
    threshold = data.draw(st.sampled_from([0, 1, 1.5] if metric == "euclidean" else [0.6, 0.9, 1]))
    found = near_duplicates(rows, np.arange(n), metric=metric, threshold=threshold)
    alike = np.zeros((n, n), bool)
    for i in range(n):
        for j in range(n):
            if metric == "euclidean":
                alike[i, j] = np.linalg.norm(rows[i] - rows[j]) <= threshold + 1e-12
            elif rows[i].any() and rows[j].any():
                cosine = rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
                alike[i, j] = cosine >= threshold - 1e-9
            else:
                alike[i, j] = not rows[i].any() and not rows[j].any()
    reach = np.linalg.matrix_power(alike.astype(int) + np.eye(n, dtype=int), n) > 0
    expected = {tuple(np.flatnonzero(row)) for row in reach if row.sum() > 1}
    assert {tuple(group) for group in groups_of(found)} == expected


def test_whitened_rows_by_hand():
    """Two directions of variances 4 and 1 become nearly alike; one of none is left out."""
    rows = np.array([[2.0, 1, 7], [2, -1, 7], [-2, 1, 7], [-2, -1, 7]])
    expected = np.abs(rows[:, :2]) / np.sqrt([4 + 0.2, 1 + 0.2])
    np.testing.assert_allclose(np.abs(whitened(rows)), expected, rtol=1e-12)
    np.testing.assert_allclose(np.abs(whitened(rows * 1e200)), expected, rtol=1e-12)
    assert (whitened(np.ones((3, 2))) == 0).all()


def test_what_most_samples_share_does_not_make_them_alike():
    rng = np.random.RandomState(1)
    rows = 100 + rng.randn(300, 40)
    rows[7] = rows[3] + 0.05 * rng.randn(40)
    assert groups_of(near_duplicates(rows, np.arange(300))) == [[3, 7]]
    with pytest.raises(MsCoresetError, match="calls more than 50 pairs a sample alike: give one nearer to 1"):
        near_duplicates(np.tile(rows, (3, 1)) + np.arange(900)[:, None] * 1e-9, np.arange(900), metric="cosine",
                        threshold=0.9)


@pytest.mark.parametrize(("metric", "threshold", "message"), [
    ("euclidean", None, "give the threshold, the largest distance"), ("euclidean", -1, "must be 0 or more"),
    ("euclidean", np.inf, "must be 0 or more"), ("cosine", 0.5, "must be above 0.5, and at most 1,"),
    ("cosine", 1.01, "above 0.5"), ("whitened", np.nan, "above 0.5"), ("whitened", True, "above 0.5"),
    ("whitened", "0.9", "above 0.5"), ("manhattan", 0.9, "metric 'manhattan': must be one of whitened")])
def test_thresholds_that_cannot_be_meant(metric, threshold, message):
    with pytest.raises(MsCoresetError, match=re.escape(message)):
        mc.duplicates(np.eye(3), metric=metric, threshold=threshold)


# Pictures


def drawing(seed, size=32):
    """A picture with structure: coloured boxes on a gradient."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:size, :size] / size
    pixels = (rng.randint(0, 200, 3) + 55 * (x * rng.rand() + y * rng.rand())[..., None]).astype(np.uint8)
    for _ in range(8):
        top, left = rng.randint(0, size - 6, 2)
        height, width = rng.randint(3, 14, 2)
        pixels[top:top + height, left:left + width] = rng.randint(0, 256, 3)
    return pixels


def jpeg(pixels, quality=80):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def split_of(images, labels=None, train=True, classes=("a", "b")):
    return mc.Split("drawn", np.stack(images), np.zeros(len(images), int) if labels is None else np.array(labels),
                    classes=classes, mean=(0.5,) * 3, std=(0.25,) * 3, train=train)


@pytest.fixture(scope="module")
def drawings():
    return [drawing(seed) for seed in range(60)]


def test_altered_copies_are_found_and_others_are_not(drawings):
    copies = [drawings[3], jpeg(drawings[5]), drawings[9][:, ::-1],
              np.clip(1.1 * drawings[12], 0, 255).astype(np.uint8)]
    found = mc.duplicates(split_of([*drawings, *copies]))
    assert groups_of(found.groups) == [[3, 60], [5, 61], [9, 62], [12, 63]]
    assert list(found.kinds) == ["pixels", "pixels", *["near"] * 6]
    assert found.equal.tolist() == [True, False, False, False]
    assert found.dropped.tolist() == [60, 61, 62, 63]
    assert found.compared == "random patches"
    assert found.kept.indices.tolist() == list(range(60))
    assert found.kept.options == {"metric": "whitened", "threshold": 0.7, "drop_leaks": False}


def test_blank_pictures_of_different_colors_are_not_alike(drawings):
    blank = [np.full((32, 32, 3), color, np.uint8) for color in ((0, 0, 0), (255, 255, 255), (0, 0, 0))]
    found = mc.duplicates(split_of([*drawings, *blank]))
    assert groups_of(found.groups) == [[60, 62]]


def test_labels_and_the_test_split(drawings):
    train = split_of([*drawings[:30], drawings[0], drawings[4], drawings[7]], [0] * 30 + [1, 0, 0])
    test = split_of([drawings[40], jpeg(drawings[4]), drawings[9]], [1, 1, 0], train=False)
    found = mc.duplicates(train, test)
    assert groups_of(found.groups) == [[0, 30], [4, 31, 34], [7, 32], [9, 35]]
    assert found.leaks.tolist() == [False, True, False, True]
    assert found.conflicts.tolist() == [True, True, False, False]
    assert found.dropped.tolist() == [30, 31, 32]
    table = {name: values for name, (_, values) in found.table().items()}
    assert table["split"] == ["train"] * 4 + ["test"] + ["train"] * 3 + ["test"]
    assert table["index"] == [0, 30, 4, 31, 1, 7, 32, 9, 2]
    assert table["mate"] == ["train 30", "train 0", "train 31", "train 4", "train 4", "train 32", "train 7", "test 2",
                             "train 9"]
    assert table["state"] == ["kept", "dropped", "kept", "dropped", None, "kept", "dropped", "kept", None]
    assert table["conflict"] == ["labels"] * 5 + [None] * 4
    assert table["leak"] == [None] * 2 + ["test"] * 3 + [None] * 2 + ["test"] * 2
    assert table["size"] == [2, 2, 3, 3, 3, 2, 2, 2, 2]
    strict = mc.duplicates(train, test, drop_leaks=True)
    assert strict.dropped.tolist() == [4, 9, 30, 31, 32]
    assert 4 not in strict.kept.indices
    with pytest.raises(MsCoresetError, match="every sample of drawn would be dropped"):
        mc.duplicates(train.subset(np.array([9])), test, drop_leaks=True).kept  # noqa: B018


def test_features_of_pictures_do_not_look_at_labels_and_mirror_alike(drawings, tmp_path):
    split, other = split_of(drawings), split_of(drawings, np.arange(60) % 2)
    rows = picture_features([split])[0]
    assert rows.shape == (60, 8 * 32 + 6) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, picture_features([other])[0])
    mirrored = split_of([image[:, ::-1] for image in drawings])
    _, twin = picture_features([split, mirrored])
    np.testing.assert_allclose(twin, picture_features([split, split])[0], atol=2e-4)
    grey = mc.load_dataset("digits", tmp_path).subset(np.arange(50))
    assert picture_features([grey])[0].shape == (50, 8 * 32 + 2)


def test_features_are_kept_and_continued(drawings, tmp_path, monkeypatch):
    split = split_of(drawings)
    expected = picture_features([split])[0]
    monkeypatch.setattr(pictures_of, "ROUND_BYTES", 20 * 32 * 32 * 3)
    encode, asked = pictures_of.encode_block, []

    def interrupted(*arguments):
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(encode(*arguments))

    monkeypatch.setattr(pictures_of, "encode_block", interrupted)
    monkeypatch.setattr("ms_coreset.extraction.cache.SAVE_INTERVAL", -1)
    with pytest.raises(KeyboardInterrupt):
        picture_features([split], cache=tmp_path)
    asked.clear()
    monkeypatch.setattr(pictures_of, "encode_block", lambda *arguments: asked.append(encode(*arguments)))
    np.testing.assert_allclose(picture_features([split], cache=tmp_path)[0], expected, rtol=1e-5, atol=1e-6)
    assert len(asked) == 2  # of three blocks
    picture_features([split], cache=tmp_path)
    assert len(asked) == 2


# Arrays


def test_arrays_and_evidence_bring_their_features():
    rng = np.random.RandomState(0)
    rows = rng.randn(50, 8)
    rows[20], rows[31] = rows[4], rows[9] + 1e-4
    found = mc.duplicates(rows, metric="cosine", threshold=0.999)
    assert groups_of(found.groups) == [[4, 20], [9, 31]]
    assert list(found.kinds) == ["features", "features", "near", "near"]
    assert found.labels is None and not found.conflicts.any() and found.test is None
    labels = np.where(np.arange(50) == 20, 7, 3)
    told = mc.duplicates(mc.Evidence(labels=labels, features=rows), metric="euclidean", threshold=0.01)
    assert told.conflicts.tolist() == [True, False]
    assert told.table()["class"][1] == ["3", "7", "3", "3"] and "distance" in told.table()
    leaks = mc.duplicates(rows[:25], rows[25:], metric="euclidean", threshold=0.01)
    assert groups_of(leaks.groups) == [[4, 20], [9, 31]] and leaks.leaks.tolist() == [False, True]


@pytest.mark.parametrize(("given", "message"), [
    ({"data": np.zeros(3)}, "features"), ({"data": np.array([[1, np.nan]])}, "finite"),
    ({"data": np.eye(3), "test": np.eye(4)}, "features of 3 and 4 numbers can't be compared"),
    ({"data": np.eye(3), "features": np.eye(4)}, r"features must be \(3, d\) numbers"),
    ({"data": mc.Evidence(np.zeros(3, int), logits=np.eye(3))}, "no features to compare")])
def test_arrays_that_are_none(given, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.duplicates(given.pop("data"), given.pop("test", None), **given)


def test_splits_that_do_not_fit(drawings):
    train = split_of(drawings[:8])
    with pytest.raises(MsCoresetError, match="images of shapes"):
        mc.duplicates(train, split_of([image[:16, :16] for image in drawings[:4]], train=False))
    with pytest.raises(MsCoresetError, match="features of one split alone"):
        mc.duplicates(train, split_of(drawings[:4], train=False), features=np.eye(8))


# Files, and the command


@pytest.fixture
def photos(tmp_path, monkeypatch, drawings):
    """Two classes of ten; one file is copied, one saved without loss, one with, and one is in the test split, too."""
    monkeypatch.chdir(tmp_path)
    for part, name, numbers in (("train", "cat", range(10)), ("train", "dog", range(10, 20)),
                                ("val", "cat", range(20, 24)), ("val", "dog", range(24, 28))):
        for number in numbers:
            path = Path("photos", part, name, f"{number:02}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawings[number]).save(path)
    shutil.copy("photos/train/cat/03.png", "photos/train/dog/copy.png")
    Image.fromarray(drawings[5]).save("photos/train/cat/saved.bmp")
    Image.fromarray(drawings[12]).save("photos/train/dog/small.jpg", quality=85)
    shutil.copy("photos/train/dog/14.png", "photos/val/dog/known.png")
    return Path("photos")


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_photographs_in_one_command(photos, capsys):
    assert main(["--data", "photos"], "duplicates") == 0
    said = capsys.readouterr().out
    assert "duplicates in folder-photos: 4 groups with 8 of 32 samples" in said
    assert "  same       4 in their bytes, 2 in their pixels, 2 nearly" in said
    assert "  test       1 groups have training and test samples" in said
    assert "  labels     1 groups have different ones" in said
    assert "  left       20 of 23 training samples" in said
    rows = table("duplicates/folder-photos.csv")
    assert [(row["path"], row["class"], row["kind"], row["mate"], row["state"]) for row in rows] == [
        ("train/cat/03.png", "cat", "bytes", "train/dog/copy.png", "kept"),
        ("train/dog/copy.png", "dog", "bytes", "train/cat/03.png", "dropped"),
        ("train/cat/05.png", "cat", "pixels", "train/cat/saved.bmp", "kept"),
        ("train/cat/saved.bmp", "cat", "pixels", "train/cat/05.png", "dropped"),
        ("train/dog/12.png", "dog", "near", "train/dog/small.jpg", "kept"),
        ("train/dog/small.jpg", "dog", "near", "train/dog/12.png", "dropped"),
        ("train/dog/14.png", "dog", "bytes", "val/dog/known.png", "kept"),
        ("val/dog/known.png", "dog", "bytes", "train/dog/14.png", "")]
    page = Path("duplicates/folder-photos.html").read_text()
    for title in ("Training and test samples: 1 group", "Different labels: 1 group", "The same: 1 group",
                  "Nearly the same: 1 group"):
        assert title in page
    assert page.count("<img ") == 4 and "val/dog/known.png, dog: same bytes as train/dog/14.png" in page
    assert "train/dog/small.jpg, dog: " in page and ", dropped" in page


def test_what_is_left_goes_on(photos, capsys):
    assert main(["--data", "photos", "--drop-leaks", "--no-test"], "duplicates") == 0
    assert "  test       not looked at" in capsys.readouterr().out
    left = "duplicates/folder-photos-kept.npz"
    assert main(["show", left, "--dataset", "folder", "--data", "photos", "--link", "clean"], "coreset") == 0
    assert "20 links" in capsys.readouterr().out
    assert not os.path.exists("clean/train/dog/copy.png") and os.path.exists("clean/train/cat/03.png")
    words = ["--dataset", "folder", "--data", "photos", "--among", left, "--evidence", "patches", "--filters", "8"]
    assert main([*words, "--method", "el2n", "--rate", "0.5"], "select") == 0
    (path,) = Path("index").glob("*.npz")
    coreset, kept = mc.Coreset.load(path), mc.Coreset.load(left)
    assert len(coreset) == 10 and not set(coreset.indices) - set(kept.indices)
    assert coreset.pool.tolist() == sorted(kept.indices.tolist())
    capsys.readouterr()
    again = ["--from-manifest", str(path), "--data", "photos"]
    assert main(again, "select") == 2
    assert "no coreset duplicates/folder-photos-kept.npz is taken because a file says so" in capsys.readouterr().err
    assert main([*again, "--among", left], "select") == 0
    assert main([*words, "--scores", "el2n", "--pool", "6"], "score") == 0
    (scores,) = Path("scores").glob("*.csv")
    assert len({int(row["index"]) for row in table(scores)} & set(kept.indices.tolist())) == 6
    os.remove("photos/train/cat/00.png")
    assert main([*words, "--rate", "0.5"], "select") == 2
    assert "--among names a coreset of the data that are chosen from" in capsys.readouterr().err


def test_pictures_in_no_class_have_no_labels(photos, capsys):
    Path("loose").mkdir()
    for name in ("cat/03.png", "dog/copy.png", "cat/01.png"):
        shutil.copy(photos / "train" / name, Path("loose", Path(name).name))
    assert main(["--data", "loose"], "duplicates") == 0
    said = capsys.readouterr()
    assert "loose has no class folders: its 3 images are taken without labels" in said.err
    assert "  labels     none are known" in said.out and "  test       not looked at" in said.out
    assert [row["path"] for row in table("duplicates/folder-loose.csv")] == ["03.png", "copy.png"]


def test_a_file_of_features(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = np.random.RandomState(0).randn(30, 6).astype(np.float32)
    rows[11] = rows[2]
    np.save("features.npy", rows)
    assert main(shlex.split("--dataset arrays --data features.npy --metric cosine --save found"), "duplicates") == 0
    assert "  same       2 in their features" in capsys.readouterr().out
    assert [row["mate"] for row in table("found/arrays-features.csv")] == ["train 11", "train 2"]
    assert "no pictures" in Path("found/arrays-features.html").read_text()
    assert mc.Coreset.load("found/arrays-features-kept.npz").dropped.tolist() == [11]


@pytest.mark.mindspore
def test_features_of_a_network(photos, capsys):
    network = mc.create_network("lenet", 2, 3, image_size=32)
    mc.save_weights(network, "net.ckpt")
    assert main(shlex.split("--data photos --ckpt net.ckpt --no-test --threshold 0.95"), "duplicates") == 0
    said = capsys.readouterr()
    assert "features of net.ckpt: the default threshold was measured with random patches" in said.err
    rows = table("duplicates/folder-photos.csv")
    assert {row["path"] for row in rows} >= {"train/cat/03.png", "train/dog/copy.png", "train/cat/saved.bmp"}
    assert "given features" in Path("duplicates/folder-photos.html").read_text()


@pytest.mark.parametrize(("typed", "message"), [
    ("", "what is to be looked at? --data names a folder"), ("--data photos --arch lenet", "--ckpt FILE names it"),
    ("--data photos --metric euclidean", "give the threshold"), ("--data nothing", "nothing"),
    ("--data photos --threshold 2", "threshold 2.0: must be above 0.5")])
def test_what_cannot_be_meant(photos, typed, message, capsys):
    assert main(typed.split(), "duplicates") == 2
    assert message in capsys.readouterr().err
    assert not Path("duplicates/folder-photos.csv").exists()


def test_a_page_keeps_small_and_escapes_names(drawings, tmp_path, monkeypatch):
    monkeypatch.setattr("ms_coreset.experiment.report.duplicates.GROUPS", 2)
    train = split_of([*drawings[:10], *drawings[:3]], classes=("<b>", "b"))
    files = mc.write_duplicates(mc.duplicates(train), tmp_path, command="duplicates --data '<x>'")
    page = files.page.read_text()
    assert "The first 2 of 3 groups" in page and page.count("<img ") == 2
    assert "&lt;b&gt;" in page and "<b>" not in page and "&lt;x&gt;" in page
    assert len(table(files.table)) == 6
    monkeypatch.setattr("ms_coreset.experiment.report.duplicates.BUDGET", 1)
    assert "left out, to keep the page small" in mc.write_duplicates(mc.duplicates(train), tmp_path).page.read_text()


def test_a_group_of_almost_all_is_doubted(capsys):
    rows = np.cumsum(np.full((60, 1), 1.0), axis=0)
    found = mc.duplicates(rows, metric="euclidean", threshold=1)
    assert len(found.groups) == 1
    assert "one group has 60 of 60 samples: if they are not alike, the threshold 1 is too" in capsys.readouterr().err


def test_defaults_are_those_that_were_measured():
    assert near.THRESHOLDS == {"whitened": 0.7, "cosine": 0.99, "euclidean": None}


def test_what_is_left_knows_its_data_set(photos, capsys):
    """``coreset show`` finds classes and files as for a coreset of ``select``; no repetition is made of it."""
    assert main(["--data", "photos", "--image-size", "8"], "duplicates") == 0
    left = "duplicates/folder-photos-8px-kept.npz"
    assert main(["show", left, "--data", "photos", "--export", "kept.csv", "--link", "clean"], "coreset") == 0
    assert "per class" in capsys.readouterr().out and table("kept.csv")[0]["path"]
    assert os.path.exists("clean/train/cat/03.png")
    assert main(["--from-manifest", left, "--data", "photos"], "select") == 2
    assert "does not tell by which options it was made" in capsys.readouterr().err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_no_number_is_named(value):
    rows = np.ones((9, 3))
    rows[4, 1] = value
    with pytest.raises(MsCoresetError, match=r"^features of sample 4 are not finite"):
        mc.duplicates(rows)
    with pytest.raises(MsCoresetError, match=r"^test features of sample 4 are not finite"):
        mc.duplicates(np.ones((5, 3)), rows)
