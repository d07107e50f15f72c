"""Scores made elsewhere: of all samples and of a part, their files, and which sample each is of."""

import dataclasses
import io
import pickle
import shlex
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.score_files import FIELD, read_scores, with_scores
from ms_coreset.networks.torch_pickles import read_arrays
from ms_coreset.selectors.neighbors import nearest_samples
from ms_coreset.selectors.scores.imported import Quality, extrapolation_quality

mc.set_device("CPU")
N = 60
SCORES = np.random.RandomState(5).randn(N)


def evidence(values=SCORES, d=3, **fields):
    rng = np.random.RandomState(0)
    return mc.Evidence(np.arange(len(values)) % 3, rng.randn(len(values), d), imported=values, **fields)


def partly(values=SCORES, every=2):
    return np.where(np.arange(len(values)) % every == 0, values, np.nan)


# As scores


def test_imported_scores_go_with_any_rule():
    np.testing.assert_array_equal(mc.score("imported", evidence()), SCORES)
    order = np.argsort(-SCORES)
    np.testing.assert_array_equal(mc.select("imported", evidence(), 0.1).indices, order[:6])
    np.testing.assert_array_equal(mc.select_by("imported", "offset", evidence(), rate=0.1, offset=0.1).indices,
                                  order[6:12])
    coreset = mc.select("ccs", evidence(), 0.2, score="imported", cutoff_score="imported", mis_ratio=0.2)
    assert not set(order[:12]) & set(coreset.indices)


def test_what_is_no_score_is_refused():
    with pytest.raises(MsCoresetError, match="imported: 30 of 60 samples have no score, the first is sample 1: the sc"):
        mc.score("imported", evidence(partly()))
    with pytest.raises(MsCoresetError, match="imported: the imported score of sample 3 is infinite"):
        mc.score("imported", evidence(np.where(np.arange(N) == 3, np.inf, SCORES)))
    with pytest.raises(MsCoresetError, match=r"imported must be a \(60,\) array like labels"):
        mc.Evidence(np.zeros(N, int), imported=SCORES[:5])
    with pytest.raises(MsCoresetError, match="imported needs imported, which this evidence lacks"):
        mc.select("imported", mc.Evidence(np.zeros(3, int)), 0.5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("weighting", ["mean", "distance"])
def test_extrapolated_scores_by_hand(metric, weighting):
    found = mc.score("extrapolated", evidence(partly()), neighbors=3, metric=metric, weighting=weighting)
    np.testing.assert_array_equal(found[::2], SCORES[::2])
    rows = evidence().features
    compared = rows / np.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows
    for sample in range(1, N, 2):
        near = 2 * np.argsort(np.linalg.norm(compared[::2] - compared[sample], axis=1), kind="stable")[:3]
        distances = np.linalg.norm(rows[near] - rows[sample], axis=1)
        weights = np.exp(-distances) if weighting == "distance" else np.ones(3)
        assert found[sample] == pytest.approx((weights * SCORES[near]).sum() / weights.sum())


def test_features_of_large_norm_have_weights_where_the_authors_code_has_none():
    """There e^-d is 0 for all neighbors, and 0 / 0 no number."""
    far = dataclasses.replace(evidence(partly()), features=1e4 * evidence().features)
    assert np.exp(-1e4) == 0
    found = mc.score("extrapolated", far, neighbors=3, weighting="distance")
    assert np.isfinite(found).all()
    nearest = mc.score("extrapolated", far, neighbors=1)
    np.testing.assert_allclose(found, nearest, atol=0.2)


def test_equally_near_samples_are_taken_by_place_and_too_few_are_refused():
    alike = mc.Evidence(np.zeros(6, int), np.ones((6, 2)), imported=np.array([np.nan, 4, np.nan, 2, 9, 9]))
    assert mc.score("extrapolated", alike, neighbors=2).tolist() == [3, 4, 3, 2, 9, 9]
    assert mc.score("extrapolated", alike, neighbors=4).tolist()[0] == 6
    with pytest.raises(MsCoresetError, match="extrapolated: 4 samples are scored, fewer than the 5 that are asked for"):
        mc.score("extrapolated", alike, neighbors=5)


def test_how_well_the_known_scores_are_met():
    line = np.linspace(-3, 3, 40)
    smooth = mc.Evidence(np.zeros(40, int), line[:, None], imported=np.where(np.arange(40) % 4 == 1, np.nan, line**3))
    quality = extrapolation_quality(smooth, neighbors=2)
    assert quality.scored == 30 and quality.pearson > 0.97 and quality.spearman > 0.97
    assert abs(extrapolation_quality(evidence(partly()), neighbors=2).pearson) < 0.5
    constant = dataclasses.replace(smooth, imported=np.ones(40))
    assert np.isnan(extrapolation_quality(constant, neighbors=2)[:2]).all()
    known, told = line[[0, 1, 3]] ** 3, []
    for i in range(3):  # by its only neighbor, by hand
        others = [j for j in range(3) if j != i]
        told.append(known[min(others, key=lambda j: abs(line[[0, 1, 3]][j] - line[[0, 1, 3]][i]))])
    few = dataclasses.replace(smooth.part(np.arange(4)), imported=np.array([known[0], known[1], np.nan, known[2]]))
    assert extrapolation_quality(few, neighbors=1) == Quality(
        pytest.approx(np.corrcoef(told, known)[0, 1]), pytest.approx(0.0), 3)


def test_the_nearest_are_found_exactly_among_far_away_duplicates():
    rng = np.random.RandomState(0)
    features = np.repeat(rng.randn(40, 5), 3, axis=0) + 1e6
    queries, candidates = np.arange(0, 120, 2), np.arange(0, 120, 5)
    for exclude in (False, True):
        for block, near, distances in nearest_samples(features, queries, candidates, 4, exclude):
            for query, places, found in zip(block, near, distances, strict=True):
                others = candidates[candidates != query] if exclude else candidates
                exact = np.linalg.norm(features[others] - features[query], axis=1)
                order = np.lexsort((others, np.round(exact, 7)))[:4]
                assert places.tolist() == others[order].tolist()
                np.testing.assert_allclose(found, exact[order], atol=1e-8)


# Files


def write(path, text):
    Path(path).write_text(text, encoding="utf-8")
    return path


def lines(rows, header=None, mark=","):
    return "".join(mark.join(map(str, row)) + "\n" for row in ([header] if header else []) + list(rows))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = evidence()
    np.savez("mine.npz", labels=arrays.labels, features=arrays.features, logits=np.random.RandomState(1).randn(N, 3))
    return tmp_path


@pytest.fixture
def split(here):
    return mc.load_dataset("arrays", "mine.npz")


def shuffled(rows=N):
    return np.random.RandomState(3).permutation(rows)


FILES = {
    "plain.csv": lambda: lines([(f"{value!r}",) for value in SCORES.tolist()]),
    "headed.csv": lambda: lines([(f"{value!r}",) for value in SCORES.tolist()], ["el2n"]),
    "placed.csv": lambda: lines([(i, repr(float(SCORES[i]))) for i in shuffled()], ["index", "score"]),
    "pandas.csv": lambda: lines([(i, repr(float(SCORES[i]))) for i in shuffled()], ["", "score"]),
    "tabs.tsv": lambda: lines([(i, repr(float(SCORES[i]))) for i in shuffled()], ["Index", "score"], "\t"),
    "semicolons.txt": lambda: lines([(i, repr(float(SCORES[i]))) for i in shuffled()], ["idx", "score"], ";"),
    "labelled.csv": lambda: lines([(i, i % 3, repr(float(SCORES[i]))) for i in range(N)], ["index", "label", "mine"]),
    "bom.csv": lambda: "\ufeff" + lines([(i, repr(float(SCORES[i]))) for i in range(N)], ["index", "score"]),
}


@pytest.mark.parametrize("name", FILES)
def test_tables_of_text(split, name):
    found = with_scores(split, write(name, FILES[name]()), None)
    np.testing.assert_array_equal(found.known[FIELD], SCORES)
    assert found.known.keys() == {*split.known, FIELD}


def test_arrays_archives_and_pickles(split):
    np.save("scores.npy", SCORES)
    np.savez("scores.npz", index=shuffled(), label=np.zeros(N), mine=SCORES[shuffled()])
    Path("scores.pickle").write_bytes(pickle.dumps({"mine": SCORES, "targets": np.zeros(N, int), "of": "me"}))
    Path("alone.pkl").write_bytes(pickle.dumps(SCORES, protocol=2))
    for name in ("scores.npy", "scores.npz", "scores.pickle", "alone.pkl"):
        np.testing.assert_array_equal(with_scores(split, name, None).known[FIELD], SCORES)


def test_pickles_of_tensors_as_ccs_writes_them(split):
    torch = pytest.importorskip("torch")
    scores = {"accumulated_margin": torch.tensor(SCORES), "forgetting": torch.arange(N), "targets": torch.zeros(N),
              "half": torch.arange(N).bfloat16(), "view": torch.arange(2.0 * N)[::2]}
    for protocol in (2, 4, 5):
        Path("data-score-mine.pickle").write_bytes(pickle.dumps(scores, protocol=protocol))
        found = read_scores("data-score-mine.pickle").columns
        assert found.keys() == {"accumulated_margin", "forgetting", "half", "view"}
        np.testing.assert_array_equal(found["accumulated_margin"], SCORES)
        np.testing.assert_array_equal(found["view"], np.arange(0, 2 * N, 2))
        np.testing.assert_array_equal(found["half"], np.arange(N))
    for zipped in (True, False):
        torch.save(scores, "scores.pt", _use_new_zipfile_serialization=zipped)
        np.testing.assert_array_equal(read_scores("scores.pt").columns["forgetting"], np.arange(N))
    with pytest.raises(MsCoresetError, match="which is meant\\? --scores-key names one of accumulated_margin"):
        with_scores(split, "data-score-mine.pickle", None)
    known = with_scores(split, "data-score-mine.pickle", "forgetting").known[FIELD]
    np.testing.assert_array_equal(known, np.arange(N))


class Called:
    """Is pickled as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _former_storage(torch):
    """The bytes of a storage of 1000 numbers in torch's former format."""
    stream = io.BytesIO()
    torch.save(torch.arange(1000.0).storage(), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def test_pickles_run_nothing(here, capsys):
    torch = pytest.importorskip("torch")
    whole = pickle.dumps({"a": torch.arange(8.0)}, protocol=2)
    hostile = {"plain.pkl": pickle.dumps({"a": Called(print, "run")}), "short.pkl": whole[:-30],
               "text.pkl": pickle.dumps("a"),
               "nested.pkl": whole.replace(b"torch\nFloatStorage", b"os\nsystem         ")}
    for name, content in hostile.items():
        Path(name).write_bytes(content)
        with pytest.raises(MsCoresetError, match=name):
            read_arrays(name)
    storage = Called(torch.storage._load_from_bytes, _former_storage(torch))
    view = torch._utils._rebuild_tensor_v2
    many = {f"{i}": Called(view, storage, 0, (1000,), (1,), False, OrderedDict()) for i in range(40)}
    Path("many.pkl").write_bytes(pickle.dumps(many))
    with pytest.raises(MsCoresetError, match="more than 16 times each"):
        read_arrays("many.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "content", "message"), [
    ("none.csv", None, "can't read none.csv"), ("empty.csv", "", "its lines have no columns"),
    ("ragged.csv", "1,2\n3\n", "its lines have 1 or 2 columns"), ("words.csv", "a\nb\n", "holds no scores"),
    ("two.csv", "1,2\n3,4\n", "several columns of numbers and no line that names them"),
    ("twice.csv", "a,a\n1,2\n", "two of its columns have one name"),
    ("few.csv", "1\n2\n", "has 2 scores without names or places, the training split 60 samples"),
    ("half.csv", "index,score\n0.5,1\n", "places of samples must be whole numbers"),
    ("same.csv", "index,score\n4,1\n4,2\n", "two scores of sample 4"),
    ("other.csv", lines([(i, 1.0) for i in range(30, 90)], ["index", "score"]), "30 of its 60 scores are of no sample"),
    ("infinite.csv", "index,score\n4,inf\n", "its score 0 is infinite"),
    ("named.csv", "file,score\na.png,1\nb.png,2\n", "is not made of files that have names"),
    ("what.xls", "1", "scores are read of .csv, .tsv, .txt, .npy, .npz"), ("bad.npy", "x", "is not a whole .npy file"),
    ("bad.npz", "x", "is not a whole .npz file"), ("bad.pkl", "x", "is not a whole, harmless pickle")])
def test_files_that_are_none(split, name, content, message):
    if content is not None:
        write(name, content)
    with pytest.raises(MsCoresetError) as error:
        with_scores(split, name, None)
    assert message in str(error.value) and name in str(error.value)


def test_a_key_that_is_not_there_and_a_few_strange_scores(split, capsys):
    write("two.csv", lines([(i, i, -i) for i in range(N)], ["index", "one", "other"]))
    with pytest.raises(MsCoresetError, match="no scores 'three'\\? --scores-key names one of one, other"):
        with_scores(split, "two.csv", "three")
    rows = [(i, float(i)) for i in range(300)]
    big = dataclasses.replace(split, labels=np.zeros(299, np.int64), known={})
    write("more.csv", lines(rows, ["index", "score"]))
    assert with_scores(big, "more.csv", None).known[FIELD].tolist() == list(range(299))
    assert "more.csv: 1 of its scores are of no sample: 299" in capsys.readouterr().err


def test_a_file_of_score_and_a_coreset_bring_scores(here):
    line = "--dataset arrays --data mine.npz"
    assert main(shlex.split(f"{line} --scores el2n entropy --pool 30"), "score") == 0
    (table,) = Path("scores").glob("*.csv")
    for name in (table, table.with_suffix(".npz")):
        found = read_scores(str(name))
        assert found.columns.keys() == {"el2n", "entropy"} and len(found.places) == 30
    assert main(shlex.split(f"{line} --method el2n --rate 0.2"), "select") == 0
    (coreset,) = Path("index").glob("*.npz")
    assert read_scores(str(coreset)).columns.keys() == {"scores"}
    options = f"{line} --rate 0.2 --scores-from {table} --scores-key el2n --score extrapolated --rule top --neighbors 4"
    assert main(shlex.split(options), "select") == 0
    (made,) = Path("index").glob("*extrapolated*.npz")
    told = mc.Coreset.load(made).manifest["extrapolation"]
    assert told["scored"] == 30 and -1 <= told["pearson"] <= 1 and -1 <= told["spearman"] <= 1


# Names of samples


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of images of one another's names, and their names below the folder in the split's order."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / "train" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.full((8, 8, 3), 30 * i, np.uint8)).save(tmp_path / f"pictures/train/{name}/{i}.png")
    split = mc.load_dataset("folder", "pictures")
    assert split.images.file_names() == [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(4)]
    return split


@pytest.mark.parametrize("spelling", [
    lambda name: f"train/{name}", lambda name: name, lambda name: f"/data/x/train/{name}",
    lambda name: name.replace("/", "\\")])
def test_names_are_matched_by_their_ends_where_these_tell_samples_apart(folder, spelling):
    names = [f"{kind}/{i}.png" for i in range(4) for kind in ("dog", "cat")]
    write("named.csv", lines([(spelling(name), i) for i, name in enumerate(names)], ["path", "score"]))
    found = with_scores(folder, "named.csv", None).known[FIELD]
    assert found.tolist() == [1, 3, 5, 7, 0, 2, 4, 6]


def test_names_without_their_kind_and_a_class_beside_them(folder, capsys):
    for path in Path("pictures/train/dog").iterdir():
        path.rename(path.with_name(f"dog{path.name}"))
    split = mc.load_dataset("folder", "pictures")
    rows = [("cat", f"{i}", i) for i in range(4)] + [("dog", f"dog{i}.JPEG", 10 + i) for i in range(3)]
    write("named.csv", lines(rows, ["class", "image", "score"]))
    found = with_scores(split, "named.csv", None).known[FIELD]
    np.testing.assert_array_equal(found, [0, 1, 2, 3, 10, 11, 12, np.nan])
    assert "named.csv: 1 of 8 samples have no score: train/dog/dog3.png" in capsys.readouterr().err


def test_names_of_other_data_are_refused_with_some_of_them(folder):
    write("named.csv", lines([(f"n{i}.JPEG", i) for i in range(8)], ["path", "score"]))
    with pytest.raises(MsCoresetError, match=r"8 of its 8 scores are of no sample of .*, such as n0.JPEG, n1.JPEG, n2"):
        with_scores(folder, "named.csv", None)


@pytest.mark.mindspore
def test_named_scores_in_a_command(folder, capsys):
    names = [f"train/{kind}/{i}.png" for kind in ("cat", "dog") for i in range(4)]
    write("named.csv", lines([(name, i) for i, name in enumerate(names)]))
    line = "--dataset folder --data pictures --rate 0.5 --scores-from named.csv"
    assert main(shlex.split(line), "select") == 0
    (path,) = Path("index").glob("*.npz")
    assert mc.Coreset.load(path).indices.tolist() == [7, 6, 5, 4]


# Commands


@pytest.mark.parametrize(("typed", "method", "options"), [
    ("", "imported", {}), ("--method ccs --score imported --cutoff-score imported --mis-ratio 0.2", "ccs", {}),
    ("--rule strata --strata 5", "imported-strata", {"strata": 5}),
    ("--method imported-offset:offset=0.2", "imported-offset", {"offset": 0.2}),
    ("--quota difficulty --quota-score loss", "imported", {"quota": "difficulty", "quota_score": "loss"}),
    ("--score extrapolated --rule beta --c-d 2", None, {})])
def test_imported_scores_in_a_command_and_repeated(here, typed, method, options, capsys):
    np.save("scores.npy", SCORES)
    line = f"--dataset arrays --data mine.npz --rate 0.2 --scores-from scores.npy {typed}"
    if method is None:  # which needs dynamics, too
        assert main(shlex.split(line), "select") == 2
        return
    assert main(shlex.split(line), "select") == 0
    assert "scores of scores.npy" in capsys.readouterr().out
    (path,) = Path("index").glob("*.npz")
    coreset = mc.Coreset.load(path)
    assert coreset.method == method and len(coreset) == 12
    assert {name: coreset.options[name] for name in options} == options
    assert coreset.manifest["came_with_data"][0] == "imported" and "imported" in coreset.manifest["data"]
    assert main(["--from-manifest", str(path), "--data", "mine.npz"], "select") == 2
    assert "no file of scores scores.npy is taken because a file says so" in capsys.readouterr().err
    again = ["--from-manifest", str(path), "--data", "mine.npz", "--scores-from", "scores.npy"]
    assert main(again, "select") == 0
    np.save("scores.npy", -SCORES)
    assert main(again, "select") == 1
    assert "data imported:" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "typed", "message"), [
    ("select", "--method moderate --scores-from s.npy", "--scores-from s.npy is of no use to moderate"),
    ("select", "--method imported", "imported needs scores that were made elsewhere: select --scores-from FILE"),
    ("select", "--score extrapolated --rule top", "extrapolated-top needs scores that were made elsewhere"),
    ("select", "--method random --scores-key a", "--scores-key a goes with --scores-from FILE"),
    ("select", "--method random --scores-low", "--scores-low goes with --scores-from FILE"),
    ("select", "--scores-from none.npy", "can't read none.npy: No such file or directory"),
    ("select", "--scores-from part.npy", "imported: 30 of 60 samples have no score"),
    ("select", "--scores-from part.npy --score extrapolated --rule top --neighbors 31", "30 samples are scored, fewer"),
    ("train", "--reselect-every 1 --method imported --rate 0.2", "imported needs scores that were made else"),
    ("score", "--scores imported", "imported needs scores that were made elsewhere"),
    ("experiment", "--rates 0.2 --methods imported-strata", "imported-strata needs scores that were made elsewhere")])
def test_mistakes_in_commands(here, command, typed, message, capsys):
    np.save("s.npy", SCORES)
    np.save("part.npy", partly())
    rate = " --rate 0.2" if command == "select" else ""
    assert main(shlex.split(f"--dataset arrays --data mine.npz {typed}{rate}"), command) == 2
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert message in last and last.startswith("error: ")


def test_the_call_takes_a_file_of_scores(here):
    np.save("scores.npy", partly())
    result = mc.run_selection(dataset="arrays", data="mine.npz", rate=0.2, method="extrapolated-strata:neighbors=3",
                              scores_from="scores.npy", balance=True)
    assert result.coreset.method == "extrapolated-strata" and len(result.coreset) == 12
    assert result.coreset.manifest["extrapolation"]["scored"] == 30
    assert mc.run_selection(dataset="arrays", data="mine.npz", rate=0.2,
                            scores_from=write("all.csv", FILES["placed.csv"]())).coreset.method == "imported"


def test_low_scores_are_kept_where_that_is_said_and_high_ones_cut_off(here):
    np.save("scores.npy", SCORES)
    line = "--dataset arrays --data mine.npz --rate 0.2 --scores-from scores.npy --scores-low"
    assert main(shlex.split(line), "select") == 0
    coreset = mc.Coreset.load("index/arrays-mine-imported-0.2.npz")
    np.testing.assert_array_equal(coreset.indices, np.argsort(SCORES)[:12])
    np.testing.assert_array_equal(coreset.scores, -SCORES)
    again = shlex.split("--from-manifest index/arrays-mine-imported-0.2.npz --data mine.npz --scores-from scores.npy")
    assert main(again, "select") == 0
    ccs = f"{line} --method ccs --score imported --cutoff-score imported --mis-ratio 0.3"
    assert main(shlex.split(ccs), "select") == 0
    coreset = mc.Coreset.load("index/arrays-mine-ccs-0.2.npz")
    assert not set(np.argsort(SCORES)[:18]) & set(coreset.indices)


def test_scores_that_nobody_asked_for_are_left_out(here):
    assert main(shlex.split("--dataset arrays --data mine.npz"), "score") == 0
    with np.load(next(Path("scores").glob("*.npz"))) as found:
        assert "el2n" in found and "imported" not in found and "extrapolated" not in found


def test_estimates_tell_of_the_neighbors():
    small = mc.estimate("imported", 10_000, 64, classes=10, rate=0.1).peak
    assert mc.estimate("extrapolated", 10_000, 64, classes=10, rate=0.1).peak - small == 2 * 8 * 10_000 * 64
    assert mc.estimate("extrapolated", 10_000, 64, classes=10, rate=0.1, metric="cosine").peak - small == (
        3 * 8 * 10_000 * 64)
