"""What evidence may be made of, and what is refused at the door: labels, arrays from anywhere, probabilities, runs."""

import dataclasses
import warnings

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.arrays import as_array, plain
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, SCORES
from ms_coreset.stored_rows import StoredRows
from ms_coreset.training.dynamics import RECORDS, FieldRecorder
from tests.recording import dynamics_of

pytestmark = pytest.mark.filterwarnings("error::ms_coreset.errors.MsCoresetWarning")
N, C = 60, 4
RNG = np.random.RandomState(0)
LABELS = np.arange(N) % C
FEATURES = RNG.randn(N, 5).astype(np.float32)
LOGITS = (3 * RNG.randn(N, C) + 2 * np.eye(C)[LABELS]).astype(np.float32)
BOUNDARY = RNG.rand(N)
ANSWERS = RNG.randn(5, N, C).astype(np.float32)
DYNAMICS = {name: array for name, array in vars(dynamics_of(ANSWERS, LABELS)).items() if array is not None}
EVERY_METHOD = mc.list_methods()
COMPARING = {"el2n", "loss", "grand", "gradmatch", "glister", "craig", "graph_cut", "facility_location",
             "log_determinant", "lcmat", "disparity_sum", "disparity_min", "saturated_coverage", "sum_redundancy"}


@pytest.fixture(scope="module", autouse=True)
def cpu():
    return mc.set_device("CPU")


def evidence_of(convert=lambda array: array, **fields):
    """Evidence of all that any method needs, each array converted."""
    dynamics = mc.TrainingDynamics(**{name: convert(array) for name, array in DYNAMICS.items()})
    return mc.Evidence(**{"labels": convert(LABELS), "features": convert(FEATURES), "logits": convert(LOGITS),
                          "dynamics": dynamics, "boundary": convert(BOUNDARY),
                          "imported": convert(BOUNDARY), **fields})


def picks(evidence, methods=EVERY_METHOD, rate=0.2):
    return {(name, balance): mc.select(name, evidence, rate, balance=balance).indices.tolist()
            for name in methods for balance in (False, True)}


# Labels that are no columns of the logits

ODD_LABELS = {"from one": LABELS + 1, "unlabelled": np.where(LABELS, LABELS, -1),
              "unlabelled as uint8": np.where(LABELS, LABELS, 255).astype(np.uint8), "with gaps": LABELS * 10,
              "all negative": LABELS - C, "huge": LABELS.astype(np.uint64) + np.uint64(2**63)}


@pytest.mark.parametrize("labels", ODD_LABELS.values(), ids=ODD_LABELS)
def test_labels_that_are_no_columns_are_refused_where_they_are_compared_with_logits(labels):
    evidence = evidence_of(labels=labels)
    for name in EVERY_METHOD:
        if name in COMPARING:
            with pytest.raises(MsCoresetError, match=f"labels must be 0 to 3, the columns of logits that {name}"):
                mc.select(name, evidence, 0.2)
        else:
            assert len(mc.select(name, evidence, 0.2, balance=True))
    for name in mc.list_scores():
        if name in COMPARING:
            with pytest.raises(MsCoresetError, match="labels must be 0 to 3, the columns of logits"):
                mc.score(name, evidence)
        else:
            assert len(mc.score(name, evidence)) == N


def test_whether_labels_are_compared_hangs_on_the_options():
    odd = evidence_of(labels=LABELS - 1)
    for name, options in (("el2n", {"first": 0}), ("facility_location", {"kernel": "features"}),
                          ("graph_cut", {"kernel": "features"}), ("log_determinant", {"kernel": "features"}),
                          ("ccs", {"score": "entropy"})):
        assert len(mc.select(name, odd, 0.2, **options)) == 12
    for choose in (lambda: mc.select("ccs", odd, 0.2,
                                     score="loss"), lambda: mc.select_by("el2n", "window", odd, rate=0.2),
                   lambda: mc.select_by("entropy", "strata", odd, rate=0.2, mis_ratio=0.1, cutoff_score="loss"),
                   lambda: mc.select("ccs", odd, 0.2, score="entropy", mis_ratio=0.1, cutoff_score="grand")):
        with pytest.raises(MsCoresetError, match=r"labels must be 0 to 3.*; that of sample 0 is -1"):
            choose()


def test_labels_of_runs_validation_sets_and_recordings_are_compared_too():
    odd = mc.Evidence(LABELS - 1, FEATURES, LOGITS)
    for name in ("grand", "el2n"):
        with pytest.raises(MsCoresetError, match=f"labels must be 0 to 3, .* every run of {name} compares"):
            mc.score(name, mc.Evidence(LABELS - 1, runs=(odd, odd)))
    for name in ("gradmatch", "glister"):
        with pytest.raises(MsCoresetError, match=f"labels must be 0 to 3, .* the validation set of {name} compares"):
            mc.select(name, mc.Evidence(LABELS, FEATURES, LOGITS, validation=odd), 0.2)
    for labels in (LABELS - 1, LABELS + 1):
        with pytest.raises(MsCoresetError, match="labels must be 0 to 3, the columns of logits"):
            FieldRecorder(("loss",), 1, N).record(0, np.arange(N), LOGITS, labels)


def test_a_score_of_ones_own_may_compare_labels_with_logits():
    @mc.register_score("lookup_for_a_test", needs=("logits",), label_columns=True)
    def lookup(evidence):
        """The label's logit."""
        return evidence.logits[np.arange(len(evidence)), evidence.labels]

    try:
        assert len(mc.select("lookup_for_a_test", evidence_of(), 0.2)) == 12
        for ask in (mc.score, lambda name, evidence: mc.select(name, evidence, 0.2)):
            with pytest.raises(MsCoresetError, match=r"labels must be 0 to 3, .* that lookup_for_a_test compares"):
                ask("lookup_for_a_test", evidence_of(labels=LABELS - 1))
    finally:
        for registry in (METHODS, SCORES):
            registry.remove("lookup_for_a_test")


# Arrays from anywhere

class Stored:
    """An array in a file as h5py gives it: read by slices, or by rising places; counts the numbers that are read."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, 0

    def __len__(self):
        return len(self._array)

    def __array__(self, dtype=None):
        self.read += self._array.size
        return np.array(self._array, dtype)

    def __getitem__(self, rows):
        if not isinstance(rows, slice) and (np.diff(rows) <= 0).any():
            raise TypeError("Indexing elements must be in increasing order")
        self.read += self._array[rows].size
        return self._array[rows].copy()


class Tensor:
    """A tensor with a gradient, on a device, as torch gives it."""

    def __init__(self, array, attached=True, on_device=True):
        self._array, self._attached, self._on_device = array, attached, on_device
        self.shape, self.dtype = array.shape, f"tensor.{array.dtype}"

    def detach(self):
        return Tensor(self._array, False, self._on_device)

    def cpu(self):
        return Tensor(self._array, self._attached, False)

    def __array__(self, dtype=None):
        if self._attached or self._on_device:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.asarray(self._array, dtype)


class Frame:
    """A table of pandas: rows have names, which ``[]`` goes by."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.iloc = array, array.shape, array.dtype, None

    def __array__(self, dtype=None):
        return np.asarray(self._array, dtype)

    def __getitem__(self, name):
        raise KeyError(name)


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def as_matrix(array):
    return np.matrix(array) if array.ndim == 2 else array


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


def in_files(array):
    """Rows in two files, one after the other; (n,) in one."""
    return [Stored(part) for part in np.split(array, [len(array) // 3])] if array.ndim > 1 else Stored(array)


CONVERSIONS = {"a file's": Stored, "two files'": in_files, "tensors": Tensor, "frames": Frame, "read-only": read_only,
               "matrices": as_matrix, "lists": np.ndarray.tolist, "by columns": np.asfortranarray,
               "with gaps": lambda array: np.repeat(array, 2, axis=0)[::2], "big-endian": big_endian}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_arrays_from_anywhere_choose_the_same(convert, expect):
    assert picks(evidence_of(convert)) == expect


@pytest.fixture(scope="module")
def expect():
    return picks(evidence_of())


@pytest.mark.parametrize("package", ["torch", pytest.param("mindspore", marks=pytest.mark.mindspore)])
def test_tensors_choose_the_same(package, expect):
    library = pytest.importorskip(package)
    create = library.Tensor if package == "mindspore" else library.tensor
    cheap = ("moderate", "el2n", "forgetting", "deepfool", "craig", "k_center")
    evidence = evidence_of(create)
    assert type(evidence.features) is type(evidence.labels) is type(evidence.dynamics.loss) is np.ndarray
    assert picks(evidence, cheap).items() <= expect.items()


@pytest.mark.parametrize("package", ["torch", pytest.param("mindspore", marks=pytest.mark.mindspore)])
def test_tensors_of_bfloat16_or_with_a_gradient(package):
    library = pytest.importorskip(package)
    create = library.Tensor if package == "mindspore" else library.tensor
    rounded = mc.Evidence(LABELS, create(FEATURES).astype(library.bfloat16) if package == "mindspore" else
                          create(FEATURES).bfloat16()).features
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, FEATURES, rtol=2**-8)
    if package == "torch":
        np.testing.assert_array_equal(mc.Evidence(LABELS, create(FEATURES).requires_grad_()).features, FEATURES)


def test_tables_and_files_of_the_real_packages(tmp_path, expect):
    pandas = pytest.importorskip("pandas")
    frame = evidence_of(lambda array: (pandas.DataFrame if array.ndim == 2 else pandas.Series)(array))
    assert picks(frame) == expect
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "evidence.h5", "w") as file:
        assert picks(evidence_of(lambda array: file.create_dataset(str(len(file)), data=array))) == expect


@pytest.mark.parametrize("place", ["features", "logits", "probabilities", "boundary", "dynamics"])
def test_what_is_not_used_of_a_file_is_not_read(place, tmp_path):
    arrays = {"features": FEATURES, "logits": LOGITS, "boundary": BOUNDARY, "probabilities": softmax(LOGITS),
              "dynamics": DYNAMICS["loss"]}
    stored = Stored(arrays[place])
    field = mc.TrainingDynamics(loss=stored) if place == "dynamics" else stored
    evidence = mc.Evidence(LABELS, **{place: field})
    mc.select("random", evidence, 0.2)
    assert stored.read == 0


def test_files_are_read_in_blocks(monkeypatch):
    monkeypatch.setattr("ms_coreset.stored_rows._BLOCK_BYTES", 4 * 5 * 8)
    stored = Stored(FEATURES)
    rows, places = StoredRows("features", stored), np.array([59, 3, 3, 40, -60, 12])
    np.testing.assert_array_equal(rows[places], FEATURES[places])
    assert stored.read <= 5 * 8 * 5
    np.testing.assert_array_equal(rows[::7], FEATURES[::7])
    np.testing.assert_array_equal(rows[10:5], FEATURES[10:5])
    np.testing.assert_array_equal(rows[np.array([], int)], FEATURES[:0])
    np.testing.assert_array_equal(rows[FEATURES[:, 0] > 0], FEATURES[FEATURES[:, 0] > 0])
    np.testing.assert_array_equal(rows[-1], FEATURES[-1])
    np.testing.assert_array_equal(rows[:, [1, 0]], FEATURES[:, [1, 0]])
    np.testing.assert_array_equal(rows, FEATURES)
    with pytest.raises(IndexError):
        rows[np.array([60])]


def test_a_file_that_can_not_be_read_is_named():
    stored = Stored(FEATURES)
    evidence = mc.Evidence(LABELS, stored)
    stored._array = None
    with pytest.raises(MsCoresetError, match="features can't be read: "):
        mc.select("moderate", evidence, 0.2)


def test_memory_mapped_arrays_stay_so_and_others_are_not_copied(tmp_path):
    np.save(tmp_path / "f.npy", FEATURES)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    assert mc.Evidence(LABELS, mapped).features is mapped
    evidence = mc.Evidence(LABELS, FEATURES, LOGITS)
    assert (evidence.labels is LABELS, evidence.features is FEATURES, evidence.logits is LOGITS) == (True,) * 3
    assert np.shares_memory(mc.Evidence(LABELS, np.matrix(FEATURES, copy=False)).features, FEATURES)


class Sparse:
    nnz, shape, dtype = 3, (N, 5), np.dtype(float)

    def toarray(self):
        return FEATURES


UNFIT = {"masked": (np.ma.array(FEATURES), r"masked array.*\.filled"), "sparse": (Sparse(), r"sparse.*\.toarray"),
         "generator": ((row for row in FEATURES), "must be numbers, got generator"),
         "objects": (FEATURES.astype(object), "must be numbers, got ndarray of object"),
         "texts": (FEATURES.astype(str), "must be numbers"), "booleans": (FEATURES > 0, "must be numbers"),
         "complex": (FEATURES * 1j, "must be numbers"), "dates": (np.zeros((N, 2), "M8[s]"), "must be numbers"),
         "records": (np.zeros(N, [("a", float)]), "must be numbers"), "a dict": ({1: 2}, "must be numbers, got dict"),
         "ragged": ([[1, 2], [3]], "does not become an array"), "no columns": (FEATURES[:, :0], "array like labels"),
         "a number": (3.0, "array like labels"), "too short": (FEATURES[1:], "array like labels"),
         "images": (FEATURES[:, :, None], "array like labels")}


@pytest.mark.parametrize(("given", "message"), UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize("field", ["features", "logits", "boundary", "probabilities"])
def test_what_is_no_array_of_numbers_is_refused_by_name(field, given, message):
    with pytest.raises(MsCoresetError, match=f"^{field}.*{message}"):
        mc.Evidence(LABELS, **{field: given})


def test_what_has_no_columns_is_said_to():
    with pytest.raises(MsCoresetError, match=r"got shape \(60, 0\), which has no columns"):
        mc.Evidence(LABELS, FEATURES[:, :0])


@pytest.mark.parametrize("given", [np.ma.array(DYNAMICS["loss"]), DYNAMICS["loss"][0], DYNAMICS["loss"].astype(str),
                                   DYNAMICS["loss"][:, 1:], "loss"])
def test_dynamics_that_are_no_arrays_of_one_shape_are_refused(given):
    with pytest.raises(MsCoresetError, match="the training dynamics' loss"):
        mc.TrainingDynamics(margin=DYNAMICS["margin"], loss=given)


@pytest.mark.parametrize("convert", [Stored, Tensor, Frame, np.ndarray.tolist], ids=lambda each: each.__name__)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite_wherever_they_come_from(convert, bad):
    def spoilt(array):
        array = array.copy()
        array[..., 7, -1] = bad
        return convert(array)

    for name, field in (("moderate", {"features": spoilt(FEATURES)}), ("entropy", {"logits": spoilt(LOGITS)}),
                        ("deepfool", {"boundary": convert(np.where(np.arange(N) == 7, bad, BOUNDARY))})):
        with pytest.raises(MsCoresetError, match="of sample 7 are not finite"):
            mc.select(name, mc.Evidence(LABELS, **field), 0.2)
    good, spoilt_too = mc.Evidence(LABELS, FEATURES, LOGITS), mc.Evidence(LABELS, FEATURES, spoilt(LOGITS))
    with pytest.raises(MsCoresetError, match="logits of sample 7 are not finite"):
        mc.score("el2n", mc.Evidence(LABELS, runs=(good, spoilt_too)))
    with pytest.raises(MsCoresetError, match="logits of sample 7 are not finite"):
        mc.select("glister", mc.Evidence(LABELS, FEATURES, LOGITS, validation=spoilt_too), 0.2)
    dynamics = mc.TrainingDynamics(margin=convert(np.where(np.arange(N) == 7, bad, DYNAMICS["margin"])))
    if np.isnan(bad):  # not seen by training
        missing = np.isnan(mc.score("accumulated_margin", evidence_of(dynamics=dynamics)))
        assert np.flatnonzero(missing).tolist() == [7]
        return
    with pytest.raises(MsCoresetError, match=r"margin of sample 7 is infinite"):
        mc.score("accumulated_margin", evidence_of(dynamics=dynamics))


def test_the_cut_off_score_s_evidence_is_looked_at_too():
    spoilt = evidence_of(features=np.where(np.arange(N)[:, None] == 7, np.nan, FEATURES))
    with pytest.raises(MsCoresetError, match="features of sample 7 are not finite"):
        mc.select_by("entropy", "strata", spoilt, rate=0.2, mis_ratio=0.1, cutoff_score="center_distance")


# Labels of other types

@pytest.mark.parametrize(("given", "kept"), [
    (LABELS.astype(float), np.int64), (LABELS.astype(np.float16), np.int64), (LABELS > 1, np.int64),
    (LABELS.astype(np.uint64), np.uint64), (LABELS.astype(np.int8), np.int8), (list(LABELS), np.int64),
    (range(N), np.int64), (Frame(LABELS.astype(float)), np.int64), (Stored(LABELS), np.int64),
    (Tensor(LABELS), np.int64)])
def test_labels_that_are_whole_numbers(given, kept):
    labels = mc.Evidence(given).labels
    assert type(labels) is np.ndarray
    assert labels.dtype == kept
    np.testing.assert_array_equal(labels, np.asarray(as_array("labels", given)))


@pytest.mark.parametrize("given", [
    LABELS + 0.5, np.where(LABELS, LABELS, np.nan), np.where(LABELS, LABELS, np.inf), LABELS * 1e300,
    LABELS.astype(str), LABELS.astype(object), np.ma.array(LABELS), np.eye(C)[LABELS], np.matrix(LABELS), [], 3,
    (label for label in LABELS), LABELS * 1j])
def test_labels_that_are_no_whole_numbers_are_refused(given):
    with pytest.raises(MsCoresetError, match=r"^labels"):
        mc.Evidence(given, FEATURES)


def test_the_first_label_that_is_no_whole_number_is_named():
    with pytest.raises(MsCoresetError, match="that of sample 3 is nan"):
        mc.Evidence(np.where(np.arange(N) == 3, np.nan, LABELS))


@pytest.mark.parametrize("dtype", [np.uint64, np.uint8, np.int8, bool, float])
def test_labels_of_every_type_choose_the_same(dtype):
    binary = LABELS % 2
    fields = {"dynamics": None, "logits": LOGITS[:, :2]}
    methods = [name for name in EVERY_METHOD if "dynamics" not in METHODS[name].needs]
    assert picks(evidence_of(labels=binary.astype(dtype), **fields), methods) == picks(
        evidence_of(labels=binary, **fields), methods)


# Probabilities

def softmax(logits):
    p = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


BY_LOGITS = [name for name in EVERY_METHOD if "logits" in METHODS[name].needs]


@pytest.mark.parametrize("convert", [np.asarray, Stored], ids=["in memory", "in a file"])
def test_probabilities_choose_what_logits_do(convert, expect):
    given = mc.Evidence(LABELS, FEATURES, probabilities=convert(softmax(LOGITS)), boundary=BOUNDARY,
                        imported=BOUNDARY)
    assert picks(given, BY_LOGITS).items() <= expect.items()
    assert dataclasses.replace(given, boundary=None).logits is given.logits


def test_probabilities_of_zero_count_as_the_smallest_there_are():
    for dtype, lowest in ((np.float64, -744.44), (np.float32, -103.28), (np.float16, -16.64), (np.int64, -744.44)):
        logits = mc.Evidence([0, 1], probabilities=np.array([[1, 0], [0, 1]], dtype)).logits
        np.testing.assert_allclose(logits, [[0, lowest], [lowest, 0]], atol=0.01)
        assert logits.dtype == np.float64
    saturated = mc.Evidence(LABELS, FEATURES, probabilities=np.eye(C, dtype=np.float32)[LABELS[::-1]])
    for name in BY_LOGITS:
        scores = mc.select(name, saturated, 0.2).scores
        assert scores is None or np.isfinite(scores).all()


def test_probabilities_in_a_mapped_file_are_not_read_whole(tmp_path):
    np.save(tmp_path / "p.npy", softmax(LOGITS).astype(np.float32))
    evidence = mc.Evidence(LABELS, probabilities=np.load(tmp_path / "p.npy", mmap_mode="r"))
    assert isinstance(evidence.logits, StoredRows)
    np.testing.assert_allclose(mc.score("entropy", evidence), mc.score("entropy", mc.Evidence(LABELS, logits=LOGITS)),
                               rtol=1e-5)


@pytest.mark.parametrize("row", [[0.5, 0.6, 0, 0], [1.2, -0.2, 0, 0], [0, 0, 0, 0], [np.nan, 1, 0, 0], [2, 3, 1, 0]])
@pytest.mark.parametrize("convert", [np.asarray, Stored], ids=["in memory", "in a file"])
def test_rows_that_are_no_probabilities_are_refused(row, convert):
    p = softmax(LOGITS)
    p[[5, 30]] = row
    with pytest.raises(MsCoresetError, match=r"probabilities of sample 5 are none: they must lie in .0, 1. and sum"):
        mc.select("entropy", mc.Evidence(LABELS, probabilities=convert(p)), 0.2)


def test_logits_and_probabilities_together_are_refused():
    with pytest.raises(MsCoresetError, match="logits and probabilities: give one"):
        mc.Evidence(LABELS, logits=LOGITS, probabilities=softmax(LOGITS))


@pytest.mark.parametrize("name", BY_LOGITS)
def test_logits_that_look_like_probabilities_are_warned_of_once(name):
    given = mc.Evidence(LABELS, FEATURES, softmax(LOGITS).astype(np.float16))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mc.select(name, given, 0.2)
    assert [each.category for each in caught] == [mc.MsCoresetWarning]
    assert "every row lies in [0, 1] and sums to 1" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_other_logits_are_not_warned_of():
    nearly = softmax(LOGITS)
    nearly[-1] += 0.1
    for logits in (LOGITS, nearly, np.ones((N, 1))):
        mc.score("entropy", mc.Evidence(LABELS, logits=logits))


# Runs alone, one class

@pytest.mark.parametrize(("name", "options"), [("grand", {}), ("el2n", {}), ("ccs", {"score": "el2n"}),
                                               ("ccs", {"score": "grand", "mis_ratio": 0.1, "cutoff_score": "aum"})])
def test_runs_alone_serve_what_averages_over_them(name, options):
    runs = [mc.Evidence(LABELS, FEATURES, LOGITS), mc.Evidence(LABELS, FEATURES[::-1], LOGITS[::-1])]
    dynamics = mc.TrainingDynamics(**DYNAMICS)
    alone = mc.Evidence(LABELS, runs=runs, dynamics=dynamics)
    full = mc.Evidence(LABELS, FEATURES, LOGITS, runs=tuple(runs), dynamics=dynamics)
    for balance in (False, True):
        assert mc.select(name, alone, 0.2, balance=balance, **options).indices.tolist() == mc.select(
            name, full, 0.2, balance=balance, **options).indices.tolist()
    if name in SCORES:
        np.testing.assert_array_equal(mc.score(name, alone), np.mean([mc.score(name, run) for run in runs], axis=0))
        np.testing.assert_array_equal(mc.select_by(name, "window", alone, rate=0.2).scores, mc.score(name, full))
        part = alone.part(np.array([5, 3, 40]))
        np.testing.assert_array_equal(mc.score(name, part), mc.score(name, alone)[[5, 3, 40]])


def test_runs_serve_nothing_else():
    run = mc.Evidence(LABELS, FEATURES, LOGITS)
    for name in ("entropy", "loss", "moderate", "gradmatch"):
        with pytest.raises(MsCoresetError, match="which this evidence lacks"):
            mc.select(name, mc.Evidence(LABELS, runs=(run, run)), 0.2)
    with pytest.raises(MsCoresetError, match="every run of grand needs features"):
        mc.score("grand", evidence_of(runs=(mc.Evidence(LABELS, logits=LOGITS),)))
    with pytest.raises(MsCoresetError, match="runs must hold at least one"):
        mc.Evidence(LABELS, runs=())
    np.testing.assert_array_equal(mc.score("el2n", evidence_of(runs=(run,)), first=1), DYNAMICS["error_norm"][1:].mean(
        axis=0, dtype=float))


def test_one_class_is_led_over_by_no_other():
    labels, recorder = np.zeros(5, int), FieldRecorder(RECORDS, 4, 5)
    for epoch in range(4):
        recorder.record(epoch, np.arange(5), RNG.randn(5, 1).astype(np.float32), labels)
        recorder.record_validation(epoch, np.arange(5), np.zeros(5))
    evidence = mc.Evidence(labels, FEATURES[:5], LOGITS[:5, :1], dynamics=recorder.dynamics(), boundary=BOUNDARY[:5],
                           imported=BOUNDARY[:5])
    with pytest.raises(MsCoresetError, match=r"^aum: .* of sample 0 is infinite: with one class, the label"):
        mc.score("aum", evidence)
    assert mc.score("accumulated_margin", evidence).tolist() == [-4] * 5
    assert mc.score("margin", evidence).tolist() == [0] * 5
    for name in mc.list_methods():
        if name != "aum":
            assert len(mc.select(name, evidence, 0.4)) in (2, 5)


def test_answers_that_were_no_numbers_are_not_only_blamed_on_held_out_samples():
    dynamics = mc.TrainingDynamics(error_norm=np.full((2, N), np.nan))
    with pytest.raises(MsCoresetError, match="or the network's answers were not numbers"):
        mc.score("el2n", mc.Evidence(LABELS, dynamics=dynamics), first=0)


# Plain values

def test_plain_values():
    given = {"a": np.float32(0.5), 1: (np.arange(2), np.bool_(True)), "c": {"d": np.str_("x")}, "e": None}
    assert plain(given) == {"a": 0.5, "1": [[0, 1], True], "c": {"d": "x"}, "e": None}
    assert [type(value) for value in (plain(given)["a"], plain(given)["1"][1], plain(given)["c"]["d"])] == [
        float, bool, str]


def test_views_of_any_size_are_not_written_out():
    """A number that stands for a million rows of a million is refused for its shape, without 8 TB of memory."""
    endless = np.broadcast_to(np.float32(1), (10**6, 10**6))
    with pytest.raises(mc.MsCoresetError, match="labels must be a non-empty"):
        mc.Evidence(endless)
    with pytest.raises(mc.MsCoresetError, match="strata"):
        mc.select_by("entropy", "strata", mc.Evidence([0, 1], logits=np.eye(2)), rate=0.5, strata=endless)
