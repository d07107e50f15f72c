"""Names, not places: tables of files, and folders with the kept ones alone."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs import kept_files
from ms_coreset.jobs.score_files import FIELD, with_scores

HEADER = ["index", "path", "label", "class", "score", "weight", "state"]
NAMES = [f"train/{name}/{number}.png" for name in ("cat", "dog, wet") for number in range(3)]


def quietly(root, **options):
    return mc.load_dataset("folder", root, download=False, log=lambda line: None, **options)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Six photographs of two classes, one of which has a comma in its name."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(NAMES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def coreset(photos):
    """Of the six: 4, 0 and 2 kept, 5 outside the pool; written to some.npz with what its data are known by."""
    split = quietly(photos)
    from ms_coreset.identity import data_identity

    made = mc.Coreset([4, 0, 2], 6, 0.5, method="el2n", weights=np.array([1.0, 2.5, 0.5]), pool=np.arange(5),
                      scores=np.array([0.5, 0.1, 0.4, 0.2, 0.9, np.nan]),
                      manifest={"dataset": "folder-photos", "data": data_identity(split),
                                "arguments": {"dataset": "folder"}})
    made.save("some.npz")
    return made


def table(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.reader(stream))


def below(folder):
    return sorted(Path(place, name).relative_to(folder).as_posix() for place, _, names in os.walk(folder)
                  for name in names)


# Tables


def test_a_table_has_all_samples_by_their_files(photos, coreset):
    coreset.export("kept.csv", quietly(photos))
    assert table("kept.csv") == [
        HEADER, ["4", NAMES[4], "1", "dog, wet", "0.9", "1.0", "kept"],
        ["0", NAMES[0], "0", "cat", "0.5", "2.5", "kept"],
        ["2", NAMES[2], "0", "cat", "0.4", "0.5", "kept"], ["1", NAMES[1], "0", "cat", "0.1", "", "dropped"],
        ["3", NAMES[3], "1", "dog, wet", "0.2", "", "dropped"], ["5", NAMES[5], "1", "dog, wet", "", "", "outside"]]
    with pytest.raises(MsCoresetError, match="the split has 5"):
        coreset.export("kept.csv", quietly(photos).subset(np.arange(5)))


def test_data_that_do_not_lie_in_files_have_places_alone(tmp_path):
    split = mc.load_dataset("digits", tmp_path)
    assert split.file_names() is None
    mc.Coreset([7], len(split), 0.1, method="random").export(tmp_path / "kept.csv", split)
    rows = table(tmp_path / "kept.csv")
    assert len(rows) == 1 + len(split)
    assert rows[1] == ["7", "", str(split.labels[7]), split.classes[split.labels[7]], "", "1.0", "kept"]
    assert {row[1] for row in rows[1:]} == {""}


def test_parquet_has_the_same_columns(photos, coreset):
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)  # also one for another NumPy
    coreset.export("kept.parquet", quietly(photos))
    coreset.export("kept.csv", quietly(photos))
    found = parquet.read_table("kept.parquet")
    assert found.column_names == HEADER
    assert [str(kind) for kind in found.schema.types] == ["int64", "string", "int64", "string", "double", "double",
                                                          "string"]
    rows = [["" if row[name] is None else str(row[name]) for name in HEADER] for row in found.to_pylist()]
    assert rows == table("kept.csv")[1:]


def test_parquet_without_pyarrow_is_refused(photos, coreset, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main(["show", "some.npz", "--no-data", "--export", "kept.parquet"], "coreset") == 2
    assert "kept.parquet: .parquet needs pyarrow (pip install pyarrow): import of pyarrow" in capsys.readouterr().err
    assert not Path("kept.parquet").exists()


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="there names of files are text")
def test_a_file_whose_name_is_no_text_keeps_its_bytes(photos):
    strange = os.path.join(os.fsencode(photos), b"train/cat/\xff.png")
    shutil.copy(photos / NAMES[0], strange)
    split = quietly(photos)
    (place,) = (i for i, name in enumerate(split.file_names()) if "\udcff" in name)
    coreset = mc.Coreset([place], len(split), 0.1, method="random")
    coreset.export("kept.csv", split)
    assert b"train/cat/\xff.png" in Path("kept.csv").read_bytes()
    mc.link_kept(coreset, split, "kept")
    assert os.listdir(b"kept/train/cat") == [b"\xff.png"]
    pytest.importorskip("pyarrow", exc_type=ImportError)
    with pytest.raises(MsCoresetError, match="no Unicode text"):
        coreset.export("kept.parquet", split)


def test_scores_are_written_with_files_and_found_again_when_there_are_more_of_them(photos, capsys):
    assert main(["--dataset", "folder", "--data", "photos", "--evidence", "patches", "--filters", "8", "--scores",
                 "el2n"], "score") == 0
    (path,) = Path("scores").glob("*.csv")
    rows = table(path)
    assert rows[0] == ["index", "path", "label", "el2n"] and [row[1] for row in rows[1:]] == NAMES
    first = with_scores(quietly(photos), str(path)).known[FIELD]
    shutil.copy(photos / NAMES[5], photos / "train/cat/0a.png")  # the others' places move on
    split = quietly(photos)
    again = with_scores(split, str(path)).known[FIELD]
    assert [again[split.file_names().index(name)] for name in NAMES] == first.tolist()
    assert np.isnan(again[split.file_names().index("train/cat/0a.png")])


# Folders


def test_links_are_laid_out_as_the_data_and_the_same_call_changes_nothing(photos, coreset, capsys):
    for told in ("3 links", "3 there already"):
        assert main(["show", "some.npz", "--data", "photos", "--link", "kept", "--export", "kept.csv"], "coreset") == 0
        assert f"{told}, in kept, named as in photos" in capsys.readouterr().out
    assert below("kept") == sorted(NAMES[i] for i in (4, 0, 2))
    assert all(os.readlink(f"kept/{name}") == str(photos / name) for name in below("kept"))
    assert quietly("kept").file_names() == below("kept")  # as a data set
    assert len(table("kept.csv")) == 7


def test_copies_have_the_bytes_and_the_times(photos, coreset):
    os.utime(photos / NAMES[0], (1000, 2000))
    done = mc.link_kept(coreset, quietly(photos), "kept", copy=True)
    assert (done.linked, done.copied, done.there) == (0, 3, 0)
    for name in below("kept"):
        assert not os.path.islink(f"kept/{name}")
        assert Path("kept", name).read_bytes() == (photos / name).read_bytes()
    assert os.stat(f"kept/{NAMES[0]}").st_mtime == 2000
    assert mc.link_kept(coreset, quietly(photos), "kept").there == 3  # a copy serves where a link would
    shutil.rmtree("kept")
    mc.link_kept(coreset, quietly(photos), "kept")
    with pytest.raises(MsCoresetError, match="something else than a copy"):
        mc.link_kept(coreset, quietly(photos), "kept", copy=True)


def test_copies_are_made_where_links_cannot_be(photos, coreset, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    assert mc.link_kept(coreset, quietly(photos), "kept").copied == 3


@pytest.mark.parametrize("copy", [False, True])
def test_what_was_interrupted_goes_on(photos, coreset, monkeypatch, copy):
    make, made = kept_files._make, []

    def interrupted(*arguments):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(kept_files, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mc.link_kept(coreset, quietly(photos), "kept", copy=copy)
    monkeypatch.undo()
    monkeypatch.chdir(photos.parent)
    done = mc.link_kept(coreset, quietly(photos), "kept", copy=copy)
    assert (done.linked + done.copied, done.there) == (2, 1)
    assert below("kept") == sorted(NAMES[i] for i in (4, 0, 2))


def put(path, text="mine"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def link_to_a_folder(path):
    Path("elsewhere").mkdir()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(Path("elsewhere").resolve(), path)


@pytest.mark.parametrize(("before", "folder", "message"), [
    (lambda: put(f"kept/{NAMES[0]}"), "kept", "0.png is there, and is something else: nothing is written over"),
    (lambda: put("kept/train/cat/1.png"), "kept", "holds 1 images that were not kept, such as train/cat/1.png"),
    (lambda: put("kept"), "kept", "kept is no folder"),
    (lambda: link_to_a_folder("kept/train"), "kept", "kept/train is a link to a folder, through which nothing is w"),
    (lambda: (Path("kept/train/cat").mkdir(parents=True), os.symlink("/etc/hostname", f"kept/{NAMES[0]}")), "kept",
     "0.png is there, and is something else"),
    (lambda: None, "photos/kept", "photos/kept lies in the data set's folder"),
    (lambda: None, "photos", "photos lies in the data set's folder"),
    (lambda: os.symlink("photos", "other"), "other/kept", "other/kept lies in the data set's folder")])
def test_nothing_is_written_over_or_elsewhere(photos, coreset, before, folder, message):
    before()
    split = quietly(photos)
    kept = {name: Path(name).read_bytes() for name in below(".") if Path(name).is_file()}
    with pytest.raises(MsCoresetError, match=message):
        mc.link_kept(coreset, split, folder)
    assert all(Path(name).read_bytes() == content for name, content in kept.items())
    assert not Path("elsewhere").exists() or not os.listdir("elsewhere")


def test_names_that_lead_elsewhere_are_not_linked(photos, coreset, monkeypatch):
    split = quietly(photos)
    monkeypatch.setattr(type(split.images), "file_names", lambda self: [*"ab", "../a.png", *"cde"])
    with pytest.raises(MsCoresetError, match=r"\.\./a\.png does not lie in the data set's folder"):
        mc.link_kept(coreset, split, "kept")


def test_a_moved_folder_serves_and_a_changed_one_is_refused(photos, coreset, capsys):
    shutil.copytree(photos, "moved")  # with other times
    assert main(["show", "some.npz", "--data", "moved", "--link", "kept"], "coreset") == 0
    assert os.readlink(f"kept/{NAMES[0]}") == os.path.abspath(f"moved/{NAMES[0]}")
    for change, told in ((lambda: Path("moved", NAMES[1]).rename("moved/train/cat/one.png"), "from other images than"),
                         (lambda: Path("moved", NAMES[5]).unlink(), "of a data set of 6 samples, folder-moved has 5")):
        change()
        capsys.readouterr()
        assert main(["show", "some.npz", "--data", "moved", "--link", "others"], "coreset") == 2
        assert told in capsys.readouterr().err
        with pytest.raises(MsCoresetError, match=r"the coreset (was chosen|is of)"):
            mc.link_kept(coreset, quietly("moved"), "others")
    assert not Path("others").exists()


def test_a_file_that_goes_meanwhile_is_named(photos, coreset):
    split = quietly(photos)
    split.fingerprint(), split.origin  # looked at once
    (photos / NAMES[2]).unlink()
    with pytest.raises(MsCoresetError, match=r"cat/2\.png is gone: the data set has changed"):
        mc.link_kept(coreset, split, "kept")


@pytest.mark.parametrize(("typed", "message"), [
    ("show some.npz --no-data --link kept", "--no-data asks for none"),
    ("show some.npz --copy", "--copy goes with --link DIR"),
    ("show some.npz --link kept", "the data set is not at hand"),
    ("diff some.npz some.npz --export kept.csv", "go with coreset show"),
    ("show digits.npz --link kept", "digits does not lie in files")])
def test_what_cannot_be_meant(photos, coreset, typed, message, capsys):
    mc.Coreset([4], 1437, 0.5, method="random", manifest={"dataset": "digits"}).save("digits.npz")
    assert main(typed.split(), "coreset") == 2
    assert message in capsys.readouterr().err
    assert not Path("kept").exists()
