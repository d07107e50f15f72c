"""Data in tables and shards: Hugging Face's datasets, WebDataset, MindRecord."""

import csv
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.datasets.pictures import Pictures
from ms_coreset.errors import MsCoresetError


def quietly(name, root, train=True, **options):
    return mc.load_dataset(name, root, train, log=lambda line: None, **options)


def picture(i, side=8):
    return Image.fromarray(np.full((side, side, 3), 10 * i, np.uint8))


def png(i):
    stream = io.BytesIO()
    picture(i).save(stream, "PNG")
    return stream.getvalue()


def values(split, rows=slice(None)):
    """Which picture each image is."""
    return (split.images[rows][:, 0, 0, 0] // 10).tolist()


# Hugging Face


@pytest.fixture
def hf(tmp_path, monkeypatch):
    """The library, which keeps what it converts below the test's folder."""
    library = pytest.importorskip("datasets", exc_type=ImportError)
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", str(tmp_path / "hf-cache"))
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    library.disable_progress_bars()
    return library


def table(hf, places, **columns):
    """A ``Dataset`` of pictures and columns, each (feature, values)."""
    features = hf.Features({"image": hf.Image(), **{name: feature for name, (feature, _) in columns.items()}})
    return hf.Dataset.from_dict({"image": list(map(picture, places)), **{name: of_each for name, (_, of_each)
                                                                         in columns.items()}}, features=features)


@pytest.fixture
def saved(hf, tmp_path):
    """Twelve and four pictures of two classes, in two splits that are saved."""
    both = hf.DatasetDict({part: table(hf, places, label=(hf.ClassLabel(names=["cat", "dog"]), [i % 2 for i in places]))
                           for part, places in (("train", range(12)), ("test", range(12, 16)))})
    both.save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_set_is_read_by_rows_with_its_splits_and_classes(saved):
    train, test = quietly("hf", saved), quietly("hf", saved, train=False)
    assert isinstance(train.images, Pictures)
    assert (train.name, train.classes, train.images.shape) == ("hf-saved", ("cat", "dog"), (12, 8, 8, 3))
    assert values(train) == list(range(12)) and values(train, [7, 2]) == [7, 2]
    assert train.labels.tolist() == [0, 1] * 6
    assert values(test) == [12, 13, 14, 15] and test.labels.tolist() == [0, 1] * 2
    assert quietly("hf", saved / "train", train=False) is None
    assert quietly("hf", saved, image_size=4).images.shape == (12, 4, 4, 3)


def test_nothing_is_decoded_before_it_is_asked_for(saved, monkeypatch):
    split = quietly("hf", saved)
    opened = []
    decode = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **options: opened.append(1) or decode(*args, **options))
    split.fingerprint()
    part = split.subset(np.array([5, 3, 8]))
    assert not opened
    assert values(part, slice(1, 3)) == [3, 8] and len(opened) == 2


def test_what_is_kept_is_the_same_in_the_library(hf, saved):
    split = quietly("hf", saved)
    coreset = mc.select("random", mc.Evidence(labels=split.labels), rate=0.25, seed=3)
    kept = coreset.to_hf(hf.load_from_disk(saved)["train"])
    assert [np.asarray(image)[0, 0, 0] // 10 for image in kept["image"]] == values(split, coreset.indices)
    assert kept["label"][:] == split.labels[coreset.indices].tolist()


def test_parquet_and_folders_of_images_hold_the_same(hf, saved, tmp_path):
    (tmp_path / "tables").mkdir()
    for part, rows in hf.load_from_disk(saved).items():
        rows.to_parquet(tmp_path / "tables" / f"{part}-00000.parquet")
        for i, row in enumerate(rows):
            path = tmp_path / "photos" / part / ("cat", "dog")[row["label"]] / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            row["image"].save(path)
    first, tables = quietly("hf", saved), quietly("hf", tmp_path / "tables")
    assert tables.origin == first.origin and tables.labels.tolist() == first.labels.tolist()
    assert values(quietly("hf", tmp_path / "tables", train=False)) == [12, 13, 14, 15]
    assert len(quietly("hf", tmp_path / "tables" / "test-00000.parquet")) == 4
    photos = quietly("hf", tmp_path / "photos")
    assert values(photos) == [*range(0, 12, 2), *range(1, 12, 2)] and photos.labels.tolist() == [0] * 6 + [1] * 6
    assert photos.file_names()[1] == "train/cat/02.png" and first.file_names() is None
    mc.Coreset([1], 12, 0.1, method="random").export(tmp_path / "kept.csv", photos)
    with open(tmp_path / "kept.csv", newline="", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["path"] == "train/cat/02.png"


def test_columns_are_named_where_their_kinds_do_not_tell(hf, tmp_path):
    kinds = hf.ClassLabel(names=["animal", "plant"])
    table(hf, range(3), fine=(hf.ClassLabel(names=["cat", "oak", "fir"]), [0, 1, 2]), coarse=(kinds, [0, 1, 1]),
          name=(hf.Value("string"), ["10", "9", "10"])).save_to_disk(tmp_path / "set")
    with pytest.raises(MsCoresetError, match=r"several columns of classes: --label-column names one of fine, coarse$"):
        quietly("hf", tmp_path / "set")
    assert quietly("hf", tmp_path / "set", label_column="coarse").classes == ("animal", "plant")
    named = quietly("hf", tmp_path / "set", label_column="name")
    assert (named.classes, named.labels.tolist()) == (("9", "10"), [1, 0, 1])
    for option, message in (({"label_column": "no"}, "--label-column no: there is no such column, but image, fine,"),
                            ({"image_column": "name", "label_column": "fine"}, "--image-column name holds Value")):
        with pytest.raises(MsCoresetError, match=message):
            quietly("hf", tmp_path / "set", **option)
    with pytest.raises(MsCoresetError, match="column fine: digits is no table"):
        quietly("digits", tmp_path, label_column="fine")


def test_a_test_split_without_labels_gives_way_to_the_validation_split(hf, tmp_path):
    names = hf.ClassLabel(names=["cat", "dog"])
    hf.DatasetDict({part: table(hf, places, label=(names, labels)) for part, places, labels in (
        ("train", range(4), [0, 1, 0, 1]), ("test", range(4, 6), [-1, -1]), ("validation", range(6, 8), [1, 0]))}
                   ).save_to_disk(tmp_path / "set")
    assert values(quietly("hf", tmp_path / "set", train=False)) == [6, 7]
    table(hf, range(3), label=(names, [0, -1, 1])).save_to_disk(tmp_path / "gaps")
    with pytest.raises(MsCoresetError, match="row 1: 1 of 3 samples have no label"):
        quietly("hf", tmp_path / "gaps")
    table(hf, range(3)).save_to_disk(tmp_path / "bare")
    assert quietly("hf", tmp_path / "bare").known_labels is None


def test_a_broken_image_is_named_by_its_row_or_left_out(hf, tmp_path):
    stored = [{"bytes": png(0), "path": None}, {"bytes": b"no image", "path": None}, {"bytes": png(2), "path": None}]
    hf.Dataset.from_dict({"image": stored, "label": [0, 1, 0]}, features=hf.Features(
        {"image": hf.Image(), "label": hf.Value("int64")})).save_to_disk(tmp_path / "set")
    with pytest.raises(MsCoresetError, match=r"row 1 can't be read as an image: it is none of BMP.*--skip-broken"):
        quietly("hf", tmp_path / "set").images[:]
    with pytest.raises(MsCoresetError, match=r"1 of 3 images of hf-set can't be used: row 1"):
        quietly("hf", tmp_path / "set", broken="refuse")
    with pytest.raises(MsCoresetError, match="no image of class 1 can be used"):
        quietly("hf", tmp_path / "set", broken="skip")


def test_what_is_no_data_set_of_the_library_is_one_line(hf, tmp_path):
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "nobody" / "nothing"):
        with pytest.raises(MsCoresetError, match="can't be read by Hugging Face's datasets"):
            quietly("hf", root)
    hf.config.HF_HUB_OFFLINE = False  # the fixture sets it back
    with pytest.raises(MsCoresetError, match="nothing may be fetched"):
        quietly("hf", "nobody/nothing", download=False)


def test_the_command_notes_the_columns_and_finds_the_data_again(hf, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(hf, range(12), a=(hf.ClassLabel(names=["x", "y"]), [0, 1] * 6),
          b=(hf.ClassLabel(names=["left", "right"]), [0] * 6 + [1] * 6)).save_to_disk("set")
    assert main(["--dataset", "hf", "--data", "set", "--label-column", "b", "--method", "random", "--rate", "0.5"],
                "select") == 0
    assert "--label-column b" in capsys.readouterr().out
    assert main(["show", "index/hf-set-b-random-0.5.npz", "--data", "set", "--classes"], "coreset") == 0
    assert "left" in capsys.readouterr().out


# WebDataset


def shard(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def samples(places, labels=(b"cat", b"dog")):
    return [file for i in places for file in ((f"{i:03d}.png", png(i)), (f"{i:03d}.cls", labels[i % 2]))]


@pytest.fixture
def shards(tmp_path):
    """Seven and three pictures in three shards and one."""
    for number, places in enumerate((range(3), range(3, 6), range(6, 7))):
        shard(tmp_path / "shards" / f"toy-train-{number:06d}.tar", samples(places))
    shard(tmp_path / "shards" / "toy-val-000000.tar", samples(range(7, 10)))
    return tmp_path / "shards"


def test_shards_are_one_data_set_whose_places_are_fixed(shards):
    train, test = quietly("webdataset", shards), quietly("wds", shards, train=False)
    assert values(train) == list(range(7)) and values(train, [5, 1]) == [5, 1]
    assert (train.classes, train.labels.tolist()) == (("cat", "dog"), [0, 1, 0, 1, 0, 1, 0])
    assert values(test) == [7, 8, 9] and test.labels.tolist() == [1, 0, 1]
    assert train.file_names()[3] == "toy-train-000001.tar/003.png"
    assert values(quietly("webdataset", shards / "toy-train-000001.tar")) == [3, 4, 5]
    shard(shards / "toy-val-000000.tar", samples(range(7, 10), (b"cat", b"bird")))
    with pytest.raises(MsCoresetError, match=r"toy-val-000000.tar/007.png: label 'bird' is none of the 2 classes"):
        quietly("webdataset", shards, train=False)


def test_labels_of_json_and_numbers(tmp_path):
    shard(tmp_path / "one.tar", [file for i, kind in enumerate((12, 3, 12)) for file in (
        (f"{i}.jpg", png(i)), (f"{i}.json", json.dumps({"id": f"a{i}", "kind": kind}).encode()))])
    split = quietly("webdataset", tmp_path / "one.tar", label_column="kind")
    assert (split.classes, split.labels.tolist()) == (("3", "12"), [1, 0, 1])
    assert quietly("webdataset", tmp_path / "one.tar").known_labels is None
    with pytest.raises(MsCoresetError, match="--label-column no: there is no such column, but jpg, json, id, kind"):
        quietly("webdataset", tmp_path / "one.tar", label_column="no")


@pytest.mark.parametrize(("files", "message"), [
    ([("a.txt", b"x")], "no column of images: --image-column names one of txt"),
    ([("a.png", png(0)), ("a.jpg", png(0))], "several columns of images: --image-column names one of png, jpg"),
    ([*samples(range(2)), ("9.cls", b"cat")], "sample 9 has no .png"),
    ([*samples(range(2)), ("9.png", png(9))], "one.tar/9.png: 1 of 3 samples have no label"),
    ([("a.png", png(0)), ("a.cls", b"x" * (1 << 21))], "one.tar is not a shard .*: a.cls has 2,097,152 bytes")])
def test_shards_that_make_no_data_set(tmp_path, files, message):
    shard(tmp_path / "one.tar", files)
    with pytest.raises(MsCoresetError, match=message):
        quietly("webdataset", tmp_path / "one.tar")


def test_what_is_no_plain_shard_is_one_line(shards, tmp_path):
    whole = (shards / "toy-train-000000.tar").read_bytes()
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(shards, "x")
    (tmp_path / "cut.tar").write_bytes(whole[:700])
    for name in ("packed.tar", "cut.tar"):
        with pytest.raises(MsCoresetError, match=f"{name} is not a .tar file that is not compressed"):
            quietly("webdataset", tmp_path / name)
    with pytest.raises(MsCoresetError, match=r"no shard of WebDataset, \.tar here"):
        quietly("webdataset", tmp_path / "nothing")


def test_the_library_s_own_shards(tmp_path):
    library = pytest.importorskip("webdataset", exc_type=ImportError)
    with library.ShardWriter(str(tmp_path / "toy-%06d.tar"), maxcount=4, verbose=0) as writer:
        for i in range(6):
            writer.write({"__key__": f"sample{i}", "png": picture(i), "cls": i % 3})
    split = quietly("webdataset", tmp_path)
    assert values(split) == list(range(6)) and split.labels.tolist() == [0, 1, 2] * 2
    read = library.WebDataset(sorted(map(str, tmp_path.glob("*.tar"))), shardshuffle=False).decode("rgb8")
    assert [sample["png"][0, 0, 0] // 10 for sample in read] == values(split)


@pytest.mark.slow
def test_select_and_train_on_shards(shards, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("torch")
    data = ["--dataset", "webdataset", "--data", "shards"]
    assert main([*data, "--evidence", "patches", "--filters", "8", "--rate", "0.6"], "select") == 0
    assert main(["show", "index/webdataset-shards-moderate-0.6.npz", "--data", "shards", "--export", "kept.csv"],
                "coreset") == 0
    with open("kept.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7 and rows[0]["state"] == "kept" and rows[0]["path"].startswith("toy-train-")
    assert main([*data, "--coreset", "index/webdataset-shards-moderate-0.6.npz", "--framework", "torch", "--arch",
                 "mlp", "--epochs", "1", "--validation", "0", "--no-save", "--result", "result.json"], "train") == 0
    assert json.loads((tmp_path / "result.json").read_text())["last"]["samples"] == 3


# MindRecord


@pytest.mark.mindspore
def test_mind_records_are_read_by_their_place(tmp_path):
    records = pytest.importorskip("mindspore.mindrecord", exc_type=ImportError)

    def write(name, places, shards):
        writer = records.FileWriter(str(tmp_path / "records" / name), shard_num=shards)
        writer.add_schema({"image": {"type": "bytes"}, "label": {"type": "string"}, "third": {"type": "int64"}}, "toy")
        writer.write_raw_data([{"image": png(i), "label": ("cat", "dog")[i % 2], "third": i % 3} for i in places])
        writer.commit()

    (tmp_path / "records").mkdir()
    write("toy-train.mindrecord", range(11), 2)
    write("toy-test.mindrecord", range(20, 24), 1)
    train, test = quietly("mindrecord", tmp_path / "records"), quietly("mindrecord", tmp_path / "records", train=False)
    assert sorted(values(train)) == list(range(11)) and [i % 2 for i in values(train)] == train.labels.tolist()
    assert values(train, [8, 2, 5]) == [values(train)[i] for i in (8, 2, 5)]
    assert train.classes == ("cat", "dog") and values(test) == [20, 21, 22, 23]
    names = train.file_names()
    assert names[0] == "toy-train.mindrecord0/0" and names[-1].startswith("toy-train.mindrecord1/")
    assert len({*names}) == 11
    thirds = quietly("mindrecord", tmp_path / "records", label_column="third")
    assert [i % 3 for i in values(thirds)] == thirds.labels.tolist()
    (tmp_path / "records" / "toy-test.mindrecord").write_bytes(b"no records")
    with pytest.raises(MsCoresetError, match=r"toy-test\.mindrecord can't be read by MindSpore"):
        quietly("mindrecord", tmp_path / "records", train=False)


@pytest.mark.parametrize("kind", ["webdataset", "mindrecord"])
def test_shards_that_are_all_to_test_on_are_told(kind, tmp_path):
    (tmp_path / f"test-0.{'tar' if kind == 'webdataset' else 'mindrecord'}").write_bytes(b"")
    with pytest.raises(MsCoresetError, match="all its shards are called test or validation"):
        mc.load_dataset(kind, tmp_path)
