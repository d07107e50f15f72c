"""The result of a selection and its files."""

import inspect
import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ms_coreset as mc
from ms_coreset.coreset import Coreset, read_dropped
from ms_coreset.datasets.split import Split
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS
from ms_coreset.training.dynamics import RECORDS

PLAIN = ("n", "rate", "method", "options", "seed", "manifest")


@pytest.fixture
def coreset():
    return Coreset(np.array([4, 0, 2]), n=6, rate=0.5, method="moderate", options={"center": "median"}, seed=3,
                   weights=np.array([1.0, 2.5, 0.5]), scores=np.array([3.0, 9, 5, 1, 4, 1]),
                   manifest={"dataset": "toy"})


def test_mask_and_dropped_by_hand(coreset):
    assert coreset.keep_mask.tolist() == [True, False, True, False, True, False]
    assert coreset.dropped.tolist() == [3, 5, 1]  # by rising score, the tie by place
    assert Coreset(np.array([4, 0]), 5, 0.4, method="random").dropped.tolist() == [1, 2, 3]


def test_saved_and_loaded_is_the_same(coreset, tmp_path):
    coreset.save(tmp_path / "c.npz")
    again = Coreset.load(tmp_path / "c.npz")
    for name in ("indices", "weights", "scores"):
        np.testing.assert_array_equal(getattr(again, name), getattr(coreset, name))
    assert (again.n, again.rate, again.method, again.options, again.seed, again.manifest) == (
        6, 0.5, "moderate", {"center": "median"}, 3, {"dataset": "toy"})
    assert again.pool is None


def test_dropped_file_is_what_the_moderate_repository_reads(coreset, tmp_path):
    coreset.save_dropped(tmp_path / "toy.bin")
    with open(tmp_path / "toy.bin", "rb") as stream:
        dropped = pickle.load(stream)
    assert dropped.dtype == np.int64
    assert dropped.tolist() == [3, 5, 1]
    assert read_dropped(tmp_path / "toy.bin", 6).tolist() == [0, 2, 4]


def test_dropped_file_of_another_data_set_is_refused(coreset, tmp_path):
    coreset.save_dropped(tmp_path / "toy.bin")
    with pytest.raises(MsCoresetError, match="drops sample 5, but the training split has 5"):
        read_dropped(tmp_path / "toy.bin", 5)


@pytest.mark.parametrize("content", [{"a": 1}, np.zeros((2, 2), int), np.array([0.5]), [[1], [2]]])
def test_dropped_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(MsCoresetError, match=r"x\.bin does not hold a list of dropped places"):
        read_dropped(tmp_path / "x.bin", 6)


def test_dropping_everything_is_refused(tmp_path):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(np.arange(4)))
    with pytest.raises(MsCoresetError, match="drops every sample"):
        read_dropped(tmp_path / "x.bin", 4)


def test_pickle_that_runs_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "x.bin").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(MsCoresetError, match="system"):
        read_dropped(tmp_path / "x.bin", 6)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("indices", "message"), [
    (np.array([0, 6]), "index 6 is out of range"), (np.array([1, 1]), "each index once"),
    (np.array([0.0]), "array of integers"), (np.array([-1, 2]), "out of range")])
def test_impossible_indices_are_refused(indices, message):
    with pytest.raises(MsCoresetError, match=message):
        Coreset(indices, 6, 0.5, method="random")


def test_weights_must_fit():
    with pytest.raises(MsCoresetError, match="weights"):
        Coreset(np.array([0, 1]), 6, 0.5, method="craig", weights=np.ones(3))


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"nonsense"])
def test_damaged_file_is_refused(coreset, tmp_path, damage):
    coreset.save(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_bytes(damage((tmp_path / "c.npz").read_bytes()))
    with pytest.raises(MsCoresetError, match="not a whole coreset file"):
        Coreset.load(tmp_path / "c.npz")


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(MsCoresetError, match=r"no coreset file .*ms-coreset select"):
        Coreset.load(tmp_path / "none.npz")


def test_unwritable_folder_is_one_clear_error_and_leaves_nothing(coreset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MsCoresetError, match="can't write"):
        coreset.save(tmp_path / "file" / "c.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_summary_counts_by_hand():
    split = Split("toy", np.zeros((6, 2, 2, 1), np.uint8), np.array([0, 0, 0, 1, 1, 1]), classes=("a", "b"),
                  mean=(0.5,), std=(0.5,), bad=np.array([True, False, False, True, False, False]),
                  bad_kinds=np.array([2, 0, 0, 1, 0, 0], np.int8), manifest={"kinds": ["fog", "blur", "noise"]})
    summary = Coreset(np.array([0, 1, 4]), 6, 0.5, method="random").summary(split)
    assert summary == {"kept": 3, "available": 6, "per_class": (1, 1.5, 2),
                       "bad_available": pytest.approx(1 / 3), "bad_kept": pytest.approx(1 / 3),
                       "bad_by_kind": {"fog": (1 / 6, 0), "blur": (1 / 6, 1 / 3), "noise": (0, 0)}}


def test_summary_of_a_pool_is_of_the_pool():
    split = Split("toy", np.zeros((6, 2, 2, 1), np.uint8), np.array([0, 0, 0, 1, 1, 1]), classes=("a", "b"),
                  mean=(0.5,), std=(0.5,), bad=np.array([True, True, True, True, False, False]))
    summary = Coreset(np.array([0, 1]), 3, 0.5, method="random").within(np.array([3, 4, 5]), 6).summary(split)
    assert (summary["available"], summary["bad_available"], summary["bad_kept"]) == (3, pytest.approx(1 / 3), 0.5)


def test_coreset_of_a_pool_points_into_the_whole():
    part = Coreset(np.array([2, 0]), 3, 0.5, method="moderate", scores=np.array([0.1, 0.2, 0.3]))
    whole = part.within(np.array([1, 5, 7]), 9)
    assert whole.indices.tolist() == [7, 1]
    assert whole.n == 9
    assert np.isnan(whole.scores[[0, 2, 3, 4, 6, 8]]).all()
    assert whole.scores[[1, 5, 7]].tolist() == [0.1, 0.2, 0.3]
    assert set(whole.dropped) == set(range(9)) - {1, 7}


def test_exports(coreset, tmp_path):
    for suffix in ("txt", "csv", "json"):
        coreset.export(tmp_path / f"c.{suffix}")
    assert (tmp_path / "c.txt").read_text().split() == ["4", "0", "2"]
    assert (tmp_path / "c.csv").read_text().splitlines() == [
        "index,path,label,class,score,weight,state", "4,,,,4.0,1.0,kept", "0,,,,3.0,2.5,kept",
        "2,,,,5.0,0.5,kept"]
    assert json.loads((tmp_path / "c.json").read_text()) == {"indices": [4, 0, 2], "weights": [1.0, 2.5, 0.5]}
    with pytest.raises(MsCoresetError, match="must end in"):
        coreset.export(tmp_path / "c.xml")


def test_places_sorted_by_index_keep_their_weights():
    places, weights = Coreset([4, 2, 7], 10, 0.3, method="craig", weights=np.array([1.0, 5.0, 2.0])).sort_by_index()
    assert (places.tolist(), weights.tolist()) == ([2, 4, 7], [5.0, 1.0, 2.0])
    assert Coreset([4, 2], 10, 0.2, method="random").sort_by_index()[1] is None


def test_the_old_name_of_sort_by_index_warns():
    coreset = Coreset([4, 2], 10, 0.2, method="craig", weights=[1.0, 5.0])
    with pytest.warns(DeprecationWarning, match="it is now Coreset.sort_by_index") as caught:
        places, weights = coreset.ascending()
    assert (places.tolist(), weights.tolist()) == ([2, 4], [5.0, 1.0])
    assert caught[0].filename == __file__


def test_a_coreset_is_of_one_data_set():
    coreset = Coreset(np.array([2, 0]), 3, 0.5, method="moderate", pool=np.array([0, 2]))
    for size in (2, 4, 1000):
        with pytest.raises(MsCoresetError, match=f"of a data set of 3 samples, the pool has {size}"):
            coreset.within(np.arange(size), 2000)
        split = Split("toy", np.zeros((size, 2, 2, 1), np.uint8), np.zeros(size, int), classes=("a",), mean=(0.5,),
                      std=(0.5,))
        with pytest.raises(MsCoresetError, match=f"of a data set of 3 samples, the split has {size}"):
            coreset.summary(split)
    for pool in ([0, 1, 9], [0, 1, -1], [0, 1, 1], [0.0, 1.0, 2.0]):
        with pytest.raises(MsCoresetError, match="pool ind"):
            coreset.within(pool, 9)
    assert coreset.within([1, 5, 7], 9).pool.tolist() == [1, 7]


def test_a_torch_subset_is_of_the_same_data_set():
    pytest.importorskip("torch")
    coreset = Coreset(np.array([2, 0]), 3, 0.5, method="moderate")
    assert list(coreset.to_torch_subset("abc")) == ["c", "a"]
    for other in ("ab", "abcd", ""):
        with pytest.raises(MsCoresetError, match=f"of a data set of 3 samples, this one has {len(other)}"):
            coreset.to_torch_subset(other)
    with pytest.raises(MsCoresetError, match="has no length"):
        coreset.to_torch_subset(iter("abc"))


# What an option may be, whichever method it belongs to, in the type that loops over NumPy's numbers give.
NUMPY_VALUES = {
    "metric": np.str_("cosine"), "variant": np.str_("paper"), "lam": np.float32(0.3), "refill": np.str_("none"),
    "batch_size": np.uint8(16),
    "eta": np.float16(0.5), "aggregate": np.str_("sum"), "rounds": np.int16(3), "center": np.str_("mean"),
    "strata": np.int64(7), "mis_ratio": np.float32(0.1), "score": np.str_("el2n"), "cutoff_score": np.str_("loss"),
    "neighbors": np.int32(3), "within_class": np.bool_(False), "direction": np.str_("lowest"), "first": np.int64(0),
    "last": np.uint32(2), "never_learned": np.str_("zero"), "kernel": np.str_("features"),
    "greedy": np.str_("stochastic"), "epsilon": np.float64(0.2), "beta": np.float32(0.5), "jitter": np.float32(1e-3),
    "already_selected": np.array([3, 8], np.uint16), "start": np.str_("mean"), "window": np.int8(3),
    "epochs": np.int64(4), "early": np.uint8(2), "late": np.str_("2-4"), "weight": np.float32(0.25),
    "a": np.float32(0.5), "kappa": np.float16(2), "weighting": np.str_("distance"),
    "probes": np.int16(0), "tau": np.float32(0.75), "confidence": np.str_("max"), "turns": np.bool_(False),
    "gamma": np.float32(0.5), "density": np.str_("product"), "discount": np.str_("weighted"),
    "symmetric": np.bool_(False), "scale": np.str_("median"), "draws": np.int64(9), "exponent": np.float16(2),
    "keep": np.str_("easy"), "clusters": np.int8(3), "groups": np.str_("labels"), "per_group": np.bool_(True),
    "cluster_seed": np.uint8(2), "reading": np.str_("kept"), "eps": np.float32(0.125), "dims": np.int32(2),
    "per_batch": np.bool_(True), "solver": np.str_("cpu"), "reach": np.float32(8),
    "alpha": np.float32(0.25), "concave": np.str_("log"), "threshold": np.float32(0.5), "nu": np.float16(0.5),
    "over": np.str_("all"), "weights": np.array([1.0, 2.0, 0.5]),
    "functions": np.str_("facility_location+0.5*sum_redundancy")}
OPTIONS = [(name, option) for name in mc.list_methods() for option in METHODS[name].options]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_options_of_numpy_are_saved_as_they_were_chosen_by(name, option, tmp_path):
    rng, labels = np.random.RandomState(0), np.arange(40) % 4
    recorded = {name: rng.rand(4, 40).astype(np.float32) for name in RECORDS if name != "correct"}
    dynamics = mc.TrainingDynamics(**recorded, correct=rng.rand(4, 40) < 0.5)
    evidence = mc.Evidence(labels, rng.rand(40, 3), rng.randn(40, 4), dynamics=dynamics, boundary=rng.rand(40),
                           imported=rng.rand(40), like=rng.rand(4, 3))
    value = NUMPY_VALUES[option]
    chosen = mc.select(name, evidence, np.float32(0.25), balance=np.bool_(True), seed=np.int64(3), **{option: value})
    chosen.save(tmp_path / "c.npz")
    again = Coreset.load(tmp_path / "c.npz")
    assert {name: getattr(again, name) for name in PLAIN} == {name: getattr(chosen, name) for name in PLAIN}
    assert again.options[option] == value.tolist() and type(again.options[option]) is type(value.tolist())
    assert [type(getattr(chosen, name)) for name in PLAIN] == [int, float, str, dict, int, dict]
    np.testing.assert_array_equal(again.indices, chosen.indices)
    plainly = mc.select(name, evidence, 0.25, balance=True, seed=3, **{option: value.tolist()})
    np.testing.assert_array_equal(plainly.indices, chosen.indices)


def test_whatever_a_coreset_is_made_of_is_plain(tmp_path):
    coreset = Coreset([1, 0], np.int64(4), np.float16(0.5), method=np.str_("mine"),
                      options={"a": np.arange(2), "b": (1, np.int8(2))}, seed=np.uint32(5), weights=[1, 2],
                      manifest={"when": {"k": np.float32(0.5)}, 3: np.bool_(True)})
    coreset.manifest["later"] = np.int64(3)
    coreset.save(tmp_path / "c.npz")
    again = Coreset.load(tmp_path / "c.npz")
    assert (again.n, again.rate, again.method, again.seed) == (4, 0.5, "mine", 5)
    assert again.options == coreset.options == {"a": [0, 1], "b": [1, 2]}
    assert again.manifest == {"when": {"k": 0.5}, "3": True, "later": 3}
    assert coreset.sort_by_index()[1].tolist() == [2, 1]


def test_what_no_file_can_keep_is_named_and_nothing_is_written(tmp_path):
    coreset = Coreset([1, 0], 4, 0.5, method="mine", options={"how": print})
    with pytest.raises(MsCoresetError, match="a builtin_function_or_method in the options or the manifest can't be"):
        coreset.save(tmp_path / "c.npz")
    assert not list(tmp_path.iterdir())


def test_arrays_from_elsewhere_make_a_coreset():
    torch = pytest.importorskip("torch")
    coreset = Coreset(torch.tensor([2, 0]), 3, 0.5, method="mine", weights=torch.tensor([1.0, 2.0], requires_grad=True),
                      scores=torch.rand(3), pool=torch.tensor([0, 2]))
    assert {type(array) for array in (coreset.indices, coreset.weights, coreset.scores, coreset.pool)} == {np.ndarray}
    with pytest.raises(MsCoresetError, match="scores: a masked array"):
        Coreset([0], 3, 0.5, method="mine", scores=np.ma.array([1.0, 2, 3]))


# In the ways of other libraries

WEIGHED = Coreset(np.array([4, 0, 3]), 6, 0.5, method="craig", weights=np.array([1.5, 2.0, 0.5]),
                  scores=np.array([0.4, np.nan, 0.1, 0.3, 0.9, 0.2]), pool=np.array([0, 2, 3, 4, 5]))


def test_a_coreset_is_iterated_and_an_index_of_arrays():
    assert list(WEIGHED) == [4, 0, 3] and all(type(place) is int for place in WEIGHED)
    assert np.arange(10, 16)[WEIGHED].tolist() == [14, 10, 13]
    assert np.asarray(WEIGHED, np.float32).dtype == np.float32
    np.array(WEIGHED)[0] = 5
    assert list(WEIGHED) == [4, 0, 3]


def test_a_table_of_pandas():
    pandas = pytest.importorskip("pandas")
    split = Split("own", None, np.array([0, 1, 0, 1, 0, 1]), classes=("cat", "dog"), mean=(), std=(), train=True)
    frame, alone = WEIGHED.to_frame(split), WEIGHED.to_frame()
    assert frame["index"].tolist() == [4, 0, 3, 1, 2, 5] and alone["index"].tolist() == [4, 0, 3]
    assert frame["class"].tolist() == ["cat", "cat", "dog", "dog", "cat", "dog"]
    assert frame["state"].tolist() == ["kept"] * 3 + ["outside", "dropped", "dropped"]
    assert frame["score"].tolist()[:3] == [0.9, 0.4, 0.3] and pandas.isna(frame["score"][3])
    assert frame["weight"].tolist()[:3] == [1.5, 2.0, 0.5] and frame["weight"][3:].isna().all()
    assert frame["label"].dtype == "Int64" and alone["label"].isna().all()


def test_a_table_in_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    WEIGHED.to_parquet(tmp_path / "kept")
    assert parquet.read_table(tmp_path / "kept").to_pydict()["weight"] == [1.5, 2.0, 0.5]


def test_a_data_set_of_hugging_face():
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"text": list("abcdef"), "label": [0, 1, 0, 1, 0, 1]})
    kept = WEIGHED.to_hf(whole)
    assert kept._data.column("text").equals(whole._data.column("text"))  # nothing of it is copied
    assert kept["text"][:] == ["e", "a", "d"] and kept["coreset_index"][:] == [4, 0, 3]
    assert kept["coreset_weight"][:] == [1.5, 2.0, 0.5] and kept["coreset_score"][:] == [0.9, 0.4, 0.3]
    assert "coreset_score" not in Coreset(np.array([1]), 6, 0.1, method="random").to_hf(whole).column_names
    with pytest.raises(MsCoresetError, match="a column coreset_index already"):
        Coreset(np.array([1]), 3, 0.1, method="random").to_hf(kept)
    with pytest.raises(MsCoresetError, match="of a DatasetDict give one split"):
        WEIGHED.to_hf(datasets.DatasetDict({"train": whole}))
    with pytest.raises(MsCoresetError, match="has 5"):
        WEIGHED.to_hf(whole.select(range(5)))


class FiftyOne:
    """What ``to_fiftyone`` uses of a ``fiftyone.Dataset``, as its documentation has it; a view shares the samples."""

    def __init__(self, samples):
        self.samples = samples

    def values(self, field_or_expr):
        return [[sample[field] for sample in self.samples] for field in field_or_expr]

    def has_field(self, path):
        return any(path in sample for sample in self.samples)

    def set_values(self, field_name, values, key_field=None):
        by_key = {sample[key_field]: sample for sample in self.samples}
        for key, value in values.items():
            by_key[key][field_name] = value
        assert any(value is not None for value in values.values()) or all(field_name in by_key[key] for key in values)

    def select_by(self, field, values):
        return FiftyOne([sample for sample in self.samples if sample.get(field) in values])

    def tag_samples(self, tags):
        for sample in self.samples:
            sample["tags"] = sorted({*sample["tags"], tags})

    def untag_samples(self, tags):
        for sample in self.samples:
            sample["tags"] = [tag for tag in sample["tags"] if tag not in tags]


@pytest.fixture
def photos(tmp_path):
    """Six photographs in two folders, as a split."""
    for i in range(6):
        path = tmp_path / "photos" / "train" / "ab"[i // 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    return mc.load_dataset("folder", tmp_path / "photos", log=lambda line: None)


@pytest.mark.parametrize("moved", [False, True])
def test_samples_of_fiftyone_are_found_by_their_files(photos, tmp_path, moved):
    root = "/elsewhere" if moved else str(tmp_path / "photos")
    files = [*photos.file_names()[:5], "train/other/0.png"]
    whole = FiftyOne([{"id": f"id{i}", "filepath": f"{root}/{name}", "tags": ["mine"]} for i, name in enumerate(files)])
    view = WEIGHED.to_fiftyone(whole, photos)
    assert [sample["id"] for sample in view.samples] == ["id0", "id3", "id4"]
    first, second, *_, stranger = whole.samples
    assert first == {"id": "id0", "filepath": f"{root}/train/a/0.png", "tags": ["coreset_kept", "mine"],
                     "coreset_kept": True, "coreset_weight": 2.0, "coreset_score": WEIGHED.scores[0]}
    assert second["tags"] == ["coreset_dropped", "mine"] and second["coreset_weight"] is None
    assert stranger.keys() == {"id", "filepath", "tags"}
    Coreset(np.array([1]), 6, 0.1, method="random").to_fiftyone(whole, photos)
    assert (first["coreset_kept"], first["coreset_score"], first["tags"]) == (False, None, ["coreset_dropped", "mine"])


def test_what_is_no_data_set_of_these_files_is_refused(photos):
    twice = [{"id": str(i), "filepath": f"/{i}/train/a/0.png"} for i in range(2)]
    for samples, message in (([], "no samples of FiftyOne's data set have a file of folder-photos such as train/a/0"),
                             (twice, "several samples")):
        with pytest.raises(MsCoresetError, match=message):
            WEIGHED.to_fiftyone(FiftyOne(samples), photos)
    with pytest.raises(MsCoresetError, match="a list is no Dataset of FiftyOne"):
        WEIGHED.to_fiftyone([], photos)


@pytest.mark.parametrize("name", ["values", "has_field", "set_values", "select_by", "tag_samples", "untag_samples"])
def test_fiftyone_s_own_data_sets_take_the_same_calls(name):
    """Its data sets live in MongoDB, which no package brings: compared is what its functions take."""
    own = getattr(pytest.importorskip("fiftyone", exc_type=ImportError).Dataset, name)
    ours = list(inspect.signature(getattr(FiftyOne, name)).parameters)
    theirs = list(inspect.signature(own).parameters)
    assert ours == [parameter for parameter in theirs if parameter in ours] and ours[:2] == theirs[:2]


@pytest.mark.slow
def test_the_page_s_programs_run(tmp_path, monkeypatch):
    for package in ("datasets", "pandas", "pyarrow", "torch"):
        pytest.importorskip(package, exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[1] / "docs" / "libraries.md"
    names = {}
    for program in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(program, names)
    assert names["network"].score(names["X"], names["y"]) > 0.9 and len(names["kept"]) == len(names["X_kept"]) == 359
    assert len(names["frame"]) == len(names["part"]) == 359 and os.path.getsize("kept.parquet")
    assert len(names["fifth"]) == 359 and len(names["shards"]) == 50 and len(names["losses"]) == 2
