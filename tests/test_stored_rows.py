"""Arrays that lie in files: several as one, parts that stay there, folders of .npy files, mapped .safetensors files."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset import evidence_checks, rows, stored_rows
from ms_coreset.checksums import array_digest
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.safetensors_files import map_tensors, read_tensors
from ms_coreset.selectors import centers, row_blocks
from ms_coreset.stored_rows import JoinedRows, StoredRows

N, C = 240, 4
RNG = np.random.RandomState(0)
LABELS = RNG.permutation(np.arange(N) % C)
FEATURES = (RNG.randn(N, 6) + LABELS[:, None]).astype(np.float16)
LOGITS = (RNG.randn(N, C) + 3 * np.eye(C)[LABELS]).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def in_parts(array, *ends):
    return np.split(array, ends)


def stored(array=FEATURES, *ends):
    return StoredRows("features", JoinedRows("features", in_parts(array, *ends)))


class Watched:
    """An array in a file that notes the longest slice that was read."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.longest = array, array.shape, array.dtype, 0

    def __getitem__(self, places):
        found = self._array[places]
        self.longest = max(self.longest, len(found))
        return found


# Several files as one array


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_parts_are_one_array(data):
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    whole = np.arange(2 * sum(sizes)).reshape(-1, 2)
    joined = stored(whole, *np.cumsum(sizes)[:-1])
    n, place = len(whole), st.integers(-len(whole) - 2, len(whole) + 2)
    assert joined.shape == whole.shape and joined.dtype == whole.dtype
    np.testing.assert_array_equal(joined, whole)
    found = data.draw(st.slices(n + 1))
    np.testing.assert_array_equal(joined[found], whole[found])
    first, last = data.draw(place), data.draw(place)
    part = joined.part(slice(first, last))
    np.testing.assert_array_equal(part, whole[first:last])
    np.testing.assert_array_equal(part.part(slice(1, 3)), whole[first:last][1:3])
    np.testing.assert_array_equal(part[:, [1]], whole[first:last][:, [1]])
    if n:
        places = np.array(data.draw(st.lists(st.integers(-n, n - 1), max_size=8)), int)
        np.testing.assert_array_equal(joined[places], whole[places])


def test_rows_at_scattered_places_are_read_alone(monkeypatch):
    monkeypatch.setattr(stored_rows, "_BLOCK_BYTES", 60)
    read = []

    def noted(array, places):
        read.extend(places)
        return array

    whole = StoredRows("features", JoinedRows("features", in_parts(FEATURES, 5, 170)), noted)
    places = np.array([200, 3, 3, -1, 170, 169])
    np.testing.assert_array_equal(whole[places], FEATURES[places])
    assert read == [3, 3, 169, 170, 200, N - 1]
    part = whole.part(slice(100, 180))
    np.testing.assert_array_equal(part[np.array([79, 0])], FEATURES[[179, 100]])
    assert read[-2:] == [100, 179]


def test_rows_of_one_file_are_not_copied():
    array = FEATURES.copy()
    assert np.shares_memory(stored(array, 100)[20:90], array)
    assert not np.shares_memory(np.array(stored(array)), array)
    assert np.array(stored(array), np.float64).dtype == np.float64


@pytest.mark.parametrize("parts", [[FEATURES, FEATURES[:, :3]], [FEATURES, FEATURES.astype(np.float32)]])
def test_parts_that_differ_are_refused(parts):
    with pytest.raises(MsCoresetError, match=r"features 1 is float.*, features 0 is float16 of shape .*must be alike"):
        JoinedRows("features", parts)


def test_consecutive_rows_of_a_file_stay_there():
    given = stored(FEATURES, 100)
    part = rows.take(given, np.arange(90, 130))
    assert isinstance(part, StoredRows)
    np.testing.assert_array_equal(part, FEATURES[90:130])
    np.testing.assert_array_equal(rows.take(given, [7, 3]), FEATURES[[7, 3]])
    evidence = mc.Evidence(LABELS, given)
    assert isinstance(evidence.part(np.arange(50)).features, StoredRows)


def test_evidence_takes_a_list_of_files(tmp_path):
    for number, part in enumerate(in_parts(FEATURES, 100, 100, 230)):
        np.save(tmp_path / f"{number}.npy", part)
    maps = [np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in (0, 2, 3)]
    evidence = mc.Evidence(LABELS, maps)
    assert isinstance(evidence.features, StoredRows) and evidence.features.dtype == np.float16
    np.testing.assert_array_equal(evidence.features, FEATURES)
    with pytest.raises(MsCoresetError, match="parts of one array must be alike"):
        mc.Evidence(LABELS, [maps[0], maps[1].astype(np.float32).view(np.memmap)])


def test_rows_that_are_no_probabilities_are_named_by_their_place_in_all():
    shares = np.full((N, C), 1 / C)
    shares[150] = 2
    evidence = mc.Evidence(LABELS, probabilities=stored(shares, 100)).part(np.arange(120, N))
    with pytest.raises(MsCoresetError, match="probabilities of sample 150 are none"):
        mc.score("entropy", evidence)


@pytest.mark.parametrize("array", [FEATURES, np.asfortranarray(FEATURES), FEATURES[:0], FEATURES[:, :0], LABELS,
                                   np.array("text"), FEATURES[::2]])
def test_the_checksum_of_an_array_is_that_of_its_content(array, monkeypatch):
    expected = array_digest(np.ascontiguousarray(array))
    monkeypatch.setattr(rows, "ROWS_BYTES", 1000)
    assert array_digest(array) == expected
    if array.ndim == 2:
        assert array_digest(StoredRows("features", array)) == expected


@pytest.mark.parametrize("size", [64, 400, 10**6])
def test_the_mean_of_rows_does_not_depend_on_blocks_or_files(size, monkeypatch):
    expected = centers.class_mean(FEATURES)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", size)
    assert abs(centers.class_mean(stored(FEATURES, 7, 130)) - expected).max() < 1e-15
    assert (centers.class_mean(stored(FEATURES, 7, 130)) == centers.class_mean(FEATURES)).all()


@pytest.mark.parametrize("labels", [LABELS, np.sort(LABELS), None], ids=["mixed", "sorted", "none"])
@pytest.mark.parametrize("method, options", [
    ("random", {}), ("moderate", {}), ("moderate", {"center": "mean"}), ("herding", {}), ("k_center", {}),
    ("k_center", {"balance": True}), ("el2n", {}), ("loss", {}), ("grand", {}), ("entropy", {})])
def test_methods_that_go_by_blocks_read_no_file_whole(labels, method, options, monkeypatch):
    if labels is None and (options or method not in ("random", "herding", "k_center", "entropy")):
        return
    plain = mc.select(method, mc.Evidence(labels, FEATURES, LOGITS), 0.1, seed=3, **options)
    for module, name, size in ((row_blocks, "BLOCK_BYTES", 4000), (stored_rows, "_BLOCK_BYTES", 400),
                               (rows, "ROWS_BYTES", 2000), (evidence_checks, "BLOCK_NUMBERS", 100)):
        monkeypatch.setattr(module, name, size)
    features, logits = Watched(FEATURES), Watched(LOGITS)
    found = mc.select(method, mc.Evidence(labels, features, logits), 0.1, seed=3, **options)
    np.testing.assert_array_equal(found.indices, plain.indices)
    assert max(features.longest, logits.longest) < N // 2


# Folders


def folder(path, **arrays):
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name.replace('_', '-')}.npy", array)
    return path


def loaded(path, **options):
    return mc.load_dataset("arrays", path, log=lambda line: None, **options)


def test_a_folder_is_one_array_in_natural_order(tmp_path):
    one, two, ten = in_parts(FEATURES, 50, 120)
    path = folder(tmp_path / "own", part_1=one, part_2=two, part_10=ten, labels_9=LABELS[:30], labels_10=LABELS[30:],
                  logits=LOGITS)
    (path / ".part-0.npy").write_bytes(b"not yet")
    (path / "readme.txt").write_text("how it was made")
    split = loaded(path)
    assert split.name == "arrays-own" and split.images is None and loaded(path, train=False) is None
    assert isinstance(split.known["features"], StoredRows) and isinstance(split.known["logits"], np.memmap)
    np.testing.assert_array_equal(split.known["features"], FEATURES)
    np.testing.assert_array_equal(split.known["logits"], LOGITS)
    np.testing.assert_array_equal(split.labels, LABELS)
    places = np.array([200, 3, 60])
    np.testing.assert_array_equal(split.subset(places).known["features"], FEATURES[places])


def test_a_folder_without_labels_has_none(tmp_path):
    assert loaded(folder(tmp_path / "own", a=FEATURES[:9], b=FEATURES[9:])).known_labels is None


def test_texts_are_labels_in_parts(tmp_path):
    texts = np.array(["ant", "bee", "cat", "wasp"])[LABELS]
    path = folder(tmp_path / "own", a=FEATURES, labels_0=texts[:3].astype("U4"), labels_1=texts[3:].astype("U9"))
    split = loaded(path)
    assert split.classes == ("ant", "bee", "cat", "wasp")
    np.testing.assert_array_equal(split.labels, LABELS)


@pytest.mark.parametrize("arrays, message", [
    ({}, "own holds no .npy files: put features there"),
    ({"a": FEATURES, "b": FEATURES[:, :2]}, r"own/b.npy is float16 of shape \(240, 2\), .*own/a.npy is"),
    ({"a": FEATURES, "b": FEATURES.astype(float)}, "own/b.npy is float64 of shape"),
    ({"a": FEATURES, "b": LABELS}, r"own/b.npy must be a part \(n, columns\) of the features, got int64"),
    ({"a": FEATURES, "labels": LABELS[:, None]}, r"own/labels.npy must be labels \(n,\)"),
    ({"a": FEATURES, "labels_0": LABELS[:9], "labels_1": LABELS[9:].astype(str)}, "own/labels-1.npy must be labels"),
    ({"a": FEATURES, "labels": LABELS[:9]}, "240 .*9|9 .*240"),
    ({"a": FEATURES.astype(str)}, "own: features must be numbers of shape"),
])
def test_folders_that_do_not_fit_are_refused_by_name(tmp_path, arrays, message):
    with pytest.raises(MsCoresetError, match=message) as error:
        loaded(folder(tmp_path / "own", **arrays))
    assert "\n" not in str(error.value)


def test_a_damaged_part_is_named(tmp_path):
    path = folder(tmp_path / "own", a=FEATURES, b=FEATURES)
    (path / "b.npy").write_bytes((path / "b.npy").read_bytes()[:-1])
    with pytest.raises(MsCoresetError, match=r"own/b\.npy is not a whole .npy file"):
        loaded(path)


# .safetensors


def bfloat16(array):
    """float32 as bits of bfloat16, cut off."""
    return (np.asarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def write_tensors(path, kinds=(), pad=0, **arrays):
    names = {"float32": "F32", "float16": "F16", "int64": "I64", "float64": "F64", "uint8": "U8"}
    header, content = {}, b""
    for name, array in arrays.items():
        end = len(content) + array.nbytes
        header[name] = {"dtype": dict(kinds).get(name) or names[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [len(content), end]}
        content += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + pad)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


@pytest.mark.parametrize("pad", [0, 3], ids=["aligned", "not aligned"])
def test_a_safetensors_file_is_mapped(tmp_path, pad):
    path = write_tensors(tmp_path / "own.safetensors", pad=pad, features=FEATURES, labels=LABELS, logits=LOGITS)
    split = loaded(path)
    assert isinstance(split.known["features"], np.memmap) and split.known["features"].dtype == np.float16
    np.testing.assert_array_equal(split.known["features"], FEATURES)
    np.testing.assert_array_equal(split.known["logits"], LOGITS)
    np.testing.assert_array_equal(split.labels, LABELS)
    found = mc.select("moderate", mc.Evidence(split.labels, **split.known), 0.2)
    assert found.indices.tolist() == mc.select("moderate", mc.Evidence(LABELS, FEATURES), 0.2).indices.tolist()


def test_bfloat16_becomes_float32_when_rows_are_read(tmp_path):
    bits = bfloat16(FEATURES)
    path = write_tensors(tmp_path / "own.safetensors", kinds={"features": "BF16"}, features=bits, labels=LABELS)
    features = loaded(path).known["features"]
    assert isinstance(features, StoredRows) and features.dtype == np.float32
    np.testing.assert_array_equal(features, (bits.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_array_equal(features[[5, 2]], read_tensors(path)["features"][[5, 2]])


def test_what_safetensors_wrote_is_mapped(tmp_path):
    torch, save_file = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch").save_file
    given = {"features": torch.tensor(FEATURES).bfloat16(), "labels": torch.tensor(LABELS)}
    save_file(given, tmp_path / "own.safetensors")
    split = loaded(tmp_path / "own.safetensors")
    np.testing.assert_array_equal(split.known["features"], given["features"].float().numpy())
    np.testing.assert_array_equal(split.labels, LABELS)


@pytest.mark.parametrize("arrays, message", [
    ({"features": FEATURES, "embeddings": FEATURES}, "own.safetensors holds 'embeddings': its arrays may be labels"),
    ({"features": LABELS}, "own.safetensors: features must be numbers of shape"),
    ({"labels": LABELS.astype(float), "features": FEATURES}, "own.safetensors: labels must be .* whole numbers"),
])
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path, arrays, message):
    with pytest.raises(MsCoresetError, match=message):
        loaded(write_tensors(tmp_path / "own.safetensors", **arrays))


@settings(max_examples=200, deadline=None)
@given(end=st.integers(0, 400), place=st.integers(0, 400), bit=st.integers(0, 7))
def test_damaged_tensors_are_refused_as_when_they_are_read(tmp_path_factory, end, place, bit):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    content = bytearray(write_tensors(path, features=FEATURES[:9], labels=LABELS[:9]).read_bytes())
    content[min(place, len(content) - 1)] ^= 1 << bit
    path.write_bytes(content[:max(end, 1)])
    try:
        expected = read_tensors(path)
    except MsCoresetError as error:
        with pytest.raises(MsCoresetError, match=r"damaged\.safetensors is not a whole \.safetensors file"):
            map_tensors(path)
        assert "whole .safetensors file" in str(error)
        return
    found = map_tensors(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


# Commands


@pytest.mark.parametrize("typed", ["--method k_center", "--method moderate --balance", "--method el2n",
                                   "--method herding", "--score center_distance --rule top"])
def test_a_folder_chooses_what_one_file_does(tmp_path, monkeypatch, typed):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", labels=LABELS, features=FEATURES, logits=LOGITS)
    folder(tmp_path / "own", part_0=FEATURES[:70], part_1=FEATURES[70:], labels=LABELS, logits_0=LOGITS[:200],
           logits_1=LOGITS[200:])
    write_tensors(tmp_path / "own.safetensors", labels=LABELS, features=FEATURES, logits=LOGITS)
    found = []
    for data in ("own.npz", "own", "own.safetensors"):
        assert main(f"--dataset arrays --data {data} --rate 0.1 --save of-{data} {typed}".split(), "select") == 0
        found.append(mc.Coreset.load(next((tmp_path / f"of-{data}").glob("*.npz"))))
    assert found[0].indices.tolist() == found[1].indices.tolist() == found[2].indices.tolist()
    assert found[0].manifest["data"] == found[1].manifest["data"] == found[2].manifest["data"]


def test_scores_and_duplicates_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    features = FEATURES.copy()
    features[200] = features[3]
    folder(tmp_path / "own", part_0=features[:70], part_1=features[70:], labels=LABELS)
    assert main(["--dataset", "arrays", "--data", "own", "--scores", "center_distance"], "score") == 0
    with np.load("scores/arrays-own.npz") as scores:
        np.testing.assert_array_equal(scores["center_distance"], mc.score("center_distance",
                                                                           mc.Evidence(LABELS, features)))
    assert main(["--dataset", "arrays", "--data", "own", "--metric", "euclidean", "--threshold", "0"],
                "duplicates") == 0
