"""What a selection is said to take, against what it takes, and what the command does about it."""

import dataclasses
import json
import re
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.cli.common.method_options import choice_of
from ms_coreset.cli.select import parser
from ms_coreset.datasets.split import class_balanced_indices
from ms_coreset.errors import MsCoresetError
from ms_coreset.jobs.gather_evidence import gather, load_pool, sizes_of, sizes_to_gather
from ms_coreset.jobs.sources import DataSource, EvidenceSource, NetworkSource, Runtime, Sources
from ms_coreset.jobs.steps import Steps
from ms_coreset.selectors import METHODS, SCORES, memory
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.estimate import Size
from ms_coreset.selectors.memory import as_bytes, as_text, fits_as_matrices, free_bytes
from ms_coreset.selectors.processors import products_per_second
from ms_coreset.selectors.quota import Request
from ms_coreset.selectors.submodular import similarity

MEASURE = """
import ctypes, json, os, sys
import scipy.linalg, ms_coreset.selectors
import numpy as np
import ms_coreset as mc
from ms_coreset.jobs.steps import Steps

mc.set_device("CPU")

def evidence(sizes, d, dtype):
    rng = np.random.RandomState(0)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    features, logits = (rng.standard_normal((len(labels), width)).astype(dtype) for width in (d, len(sizes)))
    return mc.Evidence(labels, features, 2 * logits)

def measured(method, sizes, d, rate, balance, dtype, options):
    whole = evidence(sizes, d, dtype)
    options = {"memory": "8G", **options}
    few = evidence([max(5, 200 // len(sizes))] * len(sizes), d, dtype)
    mc.select(method, few, 0.2 if balance else 0.02, balance=balance, **options)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be taken again, uncounted
    with open("/proc/self/statm") as stream:  # what libraries and their own buffers take is not counted
        before = int(stream.read().split()[1]) * 4096
    steps = Steps()
    with steps("select"):
        mc.select(method, whole, rate, balance=balance, **options)
    return steps.peak_mb["select"] * 2**20 - before

for line in sys.stdin:  # each in a process of its own, without what others have left
    process = os.fork()
    if not process:
        print(json.dumps(measured(*json.loads(line))), flush=True)
        os._exit(0)
    if os.waitpid(process, 0)[1]:
        print("null", flush=True)
"""


@pytest.fixture(scope="module")
def resident():
    """What tells how many bytes a case takes beside its data, see ``MEASURE``."""
    with subprocess.Popen([sys.executable, "-c", MEASURE], stdin=-1, stdout=-1, text=True) as process:
        def of(*case):
            print(json.dumps(case), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield of


def most_in_one(n, classes):
    """Samples of each class: 90 % of n in one."""
    return [n - (classes - 1) * (n // 10 // (classes - 1)), *[n // 10 // (classes - 1)] * (classes - 1)]


def most_alone(n, classes):
    """Samples of each class: all but one of a sample."""
    return [n - classes + 1, *[1] * (classes - 1)]


def alike(n, classes):
    """Samples of each class: as many of all."""
    return [n // classes] * classes


@pytest.mark.parametrize(("given", "expected"), [
    (0, 0), (12, 12), ("2G", 2 << 30), ("500M", 500 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("1k", 1024),
    ("2T", 2 << 40), (np.int64(7), 7), ("1e9", 10**9)])
def test_bytes(given, expected):
    assert as_bytes(given) == expected


@pytest.mark.parametrize("given", ["-1", -5, "much", "2X", True, ""])
def test_impossible_memory_is_refused(given):
    with pytest.raises(MsCoresetError, match="memory"):
        Request(0.5, memory=given)


def test_by_default_a_share_of_what_is_free():
    assert 0 < as_bytes(None) < 1 << 50


@pytest.mark.parametrize(("available", "limit", "used", "expected"), [
    ("MemFree: 7 kB\nMemAvailable:   3000 kB\n", None, None, 3000 << 10),
    ("MemAvailable: 3000 kB\n", "max\n", "5000\n", 3000 << 10),
    ("MemAvailable: 3000 kB\n", "90000\n", "50000\n", 40000),
    ("MemAvailable: 3000 kB\n", "90000\n", "95000\n", 0),
    ("MemAvailable: 30 kB\n", "9000000\n", "0\n", 30 << 10)])
def test_what_is_free_is_the_less_of_what_system_and_container_say(
        available, limit, used, expected, tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text(available)
    for name, text in (("max", limit), ("current", used)):
        if text is not None:
            (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(memory, "_CGROUP", str(tmp_path / "memory"))
    assert free_bytes() == expected
    assert as_bytes(None) == expected // 2


def test_outside_linux_what_psutil_calls_available_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(memory, "_CGROUP", str(tmp_path / "memory"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=4096 * 1001))
    assert free_bytes() == 4096 * 1001


def test_text():
    assert [as_text(size) for size in (2000, 3 << 20, 5 << 29)] == ["2 KB", "3.0 MB", "2.5 GB"]
    assert [as_text(size) for size in ((1 << 20) - 1, 1 << 20, 1 << 30)] == ["1024 KB", "1.0 MB", "1.0 GB"]


def test_matrices_fit_by_hand():
    need = 8 * (100 * (100 + 7 + 3 * 3) + 50 * (50 + 7 + 3 * 3)) + 40 * 150 + (12 << 20)
    assert fits_as_matrices(need, [100, 50], 7, 3)
    assert not fits_as_matrices(need - 1, [100, 50], 7, 3)


@pytest.mark.parametrize("name", mc.list_methods())
@pytest.mark.parametrize("balance", [False, True])
def test_every_method_has_one_and_it_grows(name, balance):
    small, large = (mc.estimate(name, n, 64, classes=10, rate=0.1, balance=balance,
                                memory="1000T") for n in (10_000, 1_000_000))
    assert 0 < small.peak < large.peak
    assert 0 < small.operations < large.operations
    assert small.fits
    assert name in str(small)


@pytest.mark.parametrize("entry", [*map(METHODS.__getitem__, mc.list_methods()),
                                   *map(SCORES.__getitem__, mc.list_scores())], ids=lambda entry: entry.name)
def test_every_method_and_score_states_what_it_takes(entry):
    assert entry.work is not None


N, D, C = 1_200, 7, 3  # three classes of 400
EVERY = (12 << 20) + 40 * N  # blocks of rows, and a few numbers a sample


def by_hand(balance):
    """(bytes beside ``EVERY``, operations) of each method with its defaults, at a rate of 0.1."""
    m, k, pools = (400, 40, 3) if balance else (1_200, 120, 1)
    copy, logits = (4 * m * D, 4 * m * C) if balance else (0, 0)
    kernel = copy + 8 * m * (D + C + C) + 40 * m
    gradients = copy + logits + 8 * m * (D + C + C)
    by_features = copy + 8 * m * D + 40 * m
    apart = gradients + 40 * m + (0 if balance else 4 * m * D)
    one_by_one, growing = 2 * pools * m * k * D, 2 * pools * m * k * (D + C + k / 2)
    pairs = 400 ** 2 if balance else 3 * 400 ** 2  # craig has no similarities across classes
    return {
        "random": (-16 * N, N), "full": (-16 * N, N), "moderate": (4 * 400 * D, N * D),
        "d2": ((16 if balance else 4) * m * D + 48 * 2 * m * 5, pools * (2 * m * m * D + 4 * m * k)),
        "zcore": (4 * N * D + 48 * N + 24 * 10 * N, 8 * 10 * N * N),
        "extrapolated": (2 * 8 * N * D, 2 * N * N * D),
        "cal": (4 * 400 * D + 4 * 400 * D + 16 * 400 * C + 4 * 400 * C + 240 * 400, 2 * N * 400 * D),
        "herding": (copy + 60 * m, one_by_one),
        "ram_apl": (4 * 400 * D + 16 * 400 * D + 16 * C * D, 2 * N * C * D),
        "tdds": (8 * N * (9 + 2), N * C), "cld": (120 * N, N),
        "gm_matching": (4 * 400 * D + 8 * 400 * (D + 4), 2 * D * 3 * 400 * (40 + 20)),  # within classes, always
        "prune4rel": (copy + logits + 12 * m * D + 80 * m, one_by_one),
        "k_center": (copy + 8 * D * 256, one_by_one),
        "contextual_diversity": (16 * m * C + 32 * 256 * C, 4 * pools * m * C * k),
        "facility_location": (kernel + 8 * m * m, pools * m * m * (D + C)),
        "craig": (apart + 8 * pairs, pools * pairs * (D + C)),
        "lcmat": (4 * 400 * D + 4 * 400 * C + 8 * 400 * (D + C + C) + 40 * 400 + (8 * 400 + 32) * C * (D + 1)
                  + 8 * 400**2, 3 * 400**2 * (D + C + 2 * C * (D + 1))),  # within classes, always, of all 24 columns
        "subzero": (copy + 8 * m * D + 40 * m + 8 * m * m, pools * m * m * (D + C)),
        "prototype": (16 * N * D, 160 * N * D * C + 2 * N * D),  # some steps of as many clusters as classes
        "semdedup": (16 * N * D, 160 * N * D + N * N * D),  # one cluster
        "saturated_coverage": (kernel + 8 * m * m, pools * m * m * (D + C)),
        "graph_cut": (kernel, 8 * N * D * C),
        **dict.fromkeys(("disparity_sum", "disparity_min", "sum_redundancy"), (
            kernel + 8 * m * (min(256, m) + 2), 2 * pools * m * k * (D + C))),
        **dict.fromkeys(("feature_based", "max_coverage"), (copy + 40 * m, 8 * N * D)),
        "set_coverage": (copy + 8 * m, one_by_one),
        "targeted_facility_location": (by_features + 8 * m * D + 8 * m * m, pools * m * m * (D + C)),
        "mixture": (by_features + copy + 8 * m * m, pools * m * m * (D + C)),
        "targeted_graph_cut": (by_features, 8 * N * D * C),
        "targeted_log_determinant": (by_features + 8 * m * k, growing),
        "log_determinant": (kernel + 8 * m * k, growing),
        "gradmatch": (gradients + 8 * m * k + 24 * k * k, growing),
        "glister": (gradients + 32 * m * C, 4 * pools * m * D * C * k)}


@pytest.mark.parametrize("name", mc.list_methods())
@pytest.mark.parametrize("balance", [False, True])
def test_every_method_by_hand(name, balance):
    found = mc.estimate(name, N, D, classes=C, rate=0.1, balance=balance, memory="1G")
    peak, operations = by_hand(balance).get(name, (0, N * (D + C)))  # else a score, sample by sample
    assert (found.peak, found.operations, found.note) == (EVERY + peak, pytest.approx(operations, rel=1e-12), "")


@pytest.mark.parametrize(("options", "peak", "operations"), [
    ({"method": "cal", "within_class": False}, 4 * N * D + 16 * N * C + 240 * N, 2 * N * N * D),
    ({"method": "cal", "within_class": False, "probes": 5, "neighbors": 4}, 4 * N * D + 16 * N * C + 96 * N,
     2 * N * N * D * 5 / 35),
    ({"method": "facility_location", "kernel": "features"}, 8 * N * D + 40 * N + 8 * N * N, N * N * (D + C)),
    ({"method": "facility_location", "kernel": "rbf"}, 8 * N * D + 40 * N + 8 * N * N, N * N * (D + C)),
    ({"method": "facility_location", "kernel": "precomputed"}, 40 * N + (16 << 20) + 0.48 * N * N, N * N),
    ({"method": "gradmatch", "per_batch": True, "batch_size": 100}, 8 * N * (D + C + C) + 8 * 12 * C * (D + 1)
     + 8 * 12 * 2 + 24 * 2**2, 2 * N * 120 * (D + C + 60) / 100),
    ({"method": "craig", "per_batch": True, "batch_size": 100}, 8 * N * (D + C + C) + 40 * N
     + 8 * 12 * (12 + C * (D + 1)), N * N * D * C / 100**2),
    ({"method": "facility_location", "neighbors": 9}, 8 * N * (D + C + C) + 40 * N + 48 * N * 9, 2 * N * N * (D + C)),
    ({"method": "facility_location", "neighbors": 9_999}, 8 * N * (D + C + C) + 40 * N + 48 * N * N,
     2 * N * N * (D + C)),
    ({"method": "glister", "rounds": 5}, 8 * N * (D + C + C) + 32 * N * C, 4 * N * D * C * 5),
    ({"method": "k_center", "n": 16 * N}, 8 * D * N + 40 * 15 * N, 2 * 16 * N * 16 * 120 * D)])
def test_options_by_hand(options, peak, operations):
    found = mc.estimate(**{"n": N, "d": D, "classes": C, "rate": 0.1, "memory": "1T", **options})
    assert (found.peak, found.operations) == (EVERY + peak, pytest.approx(operations, rel=1e-12))


@pytest.mark.parametrize("name", mc.list_methods())
@pytest.mark.parametrize("balance", [False, True])
def test_as_many_of_each_class_are_classes_of_equal_size(name, balance):
    by_number, by_sizes, with_empty = (mc.estimate(name, N, D, classes=classes, rate=0.1, balance=balance, memory="1G")
                                       for classes in (C, np.full(C, 400), [400, 0, 400, 400]))
    assert by_number == by_sizes
    assert with_empty.peak >= by_sizes.peak  # a class without samples has a column of logits


UNEVEN = [1_000, 150, 50]  # samples of each class


@pytest.mark.parametrize(("options", "dtype", "peak", "operations"), [
    ({"method": "moderate"}, "float16", 2 * 1_000 * D, N * D),
    ({"method": "moderate"}, "float64", 8 * 1_000 * D, N * D),
    ({"method": "cal"}, ("float16", "float64"), (2 + 4) * 1_000 * D + (16 + 8) * 1_000 * C + 240 * 1_000,
     2 * (1_000**2 + 150**2 + 50**2) * D),
    ({"method": "herding", "balance": True}, "float64", 8 * 1_000 * D + 60 * 1_000,
     2 * (1_000 * 100 + 150 * 15 + 50 * 5) * D),
    ({"method": "herding"}, "float16", 4 * N * D + 60 * N, 2 * N * 120 * D),  # as float32
    ({"method": "herding"}, "int32", 8 * N * D + 60 * N, 2 * N * 120 * D),  # float32 can't hold them
    ({"method": "k_center"}, "float16", 8 * 256 * D, 2 * N * 120 * D),
    ({"method": "gradmatch", "balance": True}, "float64",
     8 * 1_000 * D + 8 * 1_000 * C + 16 * 1_000 * C + 8 * 1_000 * 100 + 24 * 100**2,
     2 * (1_000 * 100 * (D + C + 50) + 150 * 15 * (D + C + 7.5) + 50 * 5 * (D + C + 2.5))),
    ({"method": "craig"}, "float16", (8 + 2) * N * D + 16 * N * C + 40 * N + 8 * (1_000**2 + 150**2 + 50**2),
     (1_000**2 + 150**2 + 50**2) * (D + C)),
    ({"method": "craig", "balance": True}, "float16",
     (8 + 2) * 1_000 * D + (16 + 2) * 1_000 * C + 40 * 1_000 + 8 * 1_000**2,
     (1_000**2 + 150**2 + 50**2) * (D + C)),
    ({"method": "facility_location", "balance": True}, "float64",
     (8 + 8) * 1_000 * D + 16 * 1_000 * C + 40 * 1_000 + 8 * 1_000**2, (1_000**2 + 150**2 + 50**2) * (D + C))])
def test_uneven_classes_and_types_by_hand(options, dtype, peak, operations):
    found = mc.estimate(**{"n": N, "d": D, "classes": UNEVEN, "rate": 0.1, "memory": "1G", "dtype": dtype, **options})
    assert (found.peak, found.operations) == (EVERY + peak, pytest.approx(operations, rel=1e-12))


def test_herding_converts_features_anew_where_they_do_not_fit_and_chooses_the_same():
    rng = np.random.RandomState(0)
    evidence = mc.Evidence(np.arange(1_000) % 3, rng.standard_normal((1_000, 900)).astype(np.float16))
    need = (12 << 20) + 100 * 1_000 + 4 * 1_000 * 900
    doubt = "the features as float32, 3.4 MB, do not fit: converted for every pick"
    for given, note in ((need, ""), (need - 1, doubt)):
        found = mc.estimate("herding", 1_000, 900, classes=3, rate=0.05, memory=given, dtype="float16")
        assert (found.note, found.fits) == (note, True)
    first, second = (mc.select("herding", evidence, 0.05, memory=given) for given in (need, need - 1))
    np.testing.assert_array_equal(first.indices, second.indices)


@pytest.mark.parametrize(("greedy", "evaluations"), [("lazy", 2.5), ("approximate_lazy", 2.5), ("naive", 10),
                                                     ("stochastic", 1)])
def test_rows_that_do_not_fit_by_hand(greedy, evaluations):
    several = mc.estimate("facility_location", N, D, classes=C, rate=0.3, balance=True, memory="13M", greedy=greedy)
    assert several.operations == pytest.approx(2 * 3 * 400 * 400 * (D + C) * evaluations, rel=1e-12)
    base = EVERY + 8 * N * (D + C + C) + 40 * N
    found = mc.estimate("facility_location", N, D, classes=C, rate=0.1, memory=base + 8 * N * N - 41 * N, greedy=greedy)
    assert found.peak == base + (16 << 20)
    assert found.operations == pytest.approx(2 * N * N * (D + C) * evaluations, rel=1e-12)
    assert "the similarities, 11.0 MB, do not fit" in found.note


def test_one_class_is_not_copied_and_classes_are_no_more_than_samples():
    assert mc.estimate("herding", 100, 7, classes=1, rate=0.1, balance=True).peak == (12 << 20) + 40 * 100 + 60 * 100
    assert mc.estimate("moderate", 5, 7, classes=9, rate=0.1).peak == (12 << 20) + 40 * 5 + 4 * 7
    least = mc.estimate("gradmatch", 100, 7, classes=4, rate=1e-9)  # of one pick at least
    assert least.operations == 2 * 100 * (7 + 4 + 0.5)


@pytest.mark.parametrize(("method", "n", "balance", "memory"), [
    ("log_determinant", 50_000, False, "1G"), ("gradmatch", 40_000, False, "300M"), ("gradmatch", 200_000, True, "60M"),
    ("log_determinant", 300_000, True, "700M"), ("cal", 1_000_000, False, "60M")])
def test_remedies_are_the_least_that_helps(method, n, balance, memory):
    def fits(n, rate, balance):
        return mc.estimate(method, n, 64, classes=10, rate=rate, balance=balance, memory=memory).fits

    remedies = mc.estimate(method, n, 64, classes=10, rate=0.4, balance=balance, memory=memory).remedies
    assert ("balance" in remedies) == (not balance and fits(n, 0.4, True))
    rates, pools = ([remedy for remedy in remedies if remedy.startswith(start)] for start in ("rate", "a pool"))
    halves = [0.4 / 2**i for i in range(1, 11)]
    assert rates == [f"rate {rate:g}" for rate in halves if fits(n, rate, balance)][:1]
    assert pools == [f"a pool of {n >> i} samples" for i in range(1, 20)
                     if n >> i >= 10 and fits(n >> i, 0.4, balance)][:1]


def test_a_pool_of_one_sample_a_class_is_the_smallest_remedy():
    remedies = mc.estimate("moderate", 80, 1_000_000, classes=10, rate=0.5,
                           memory=(12 << 20) + 4 * 1_000_000 + 400).remedies
    assert remedies == ("a pool of 10 samples",)
    assert mc.estimate("moderate", 80, 1_000_000, classes=10, rate=0.5,
                       memory=(12 << 20) + 4 * 1_000_000 + 399).remedies == ()


def test_similarities_by_hand():
    held = mc.estimate("facility_location", 10_000, 64, classes=10, rate=0.1, memory="4G")
    assert 8 * 10**8 < held.peak < 1.1 * 8 * 10**8
    assert not held.note
    computed = mc.estimate("facility_location", 10_000, 64, classes=10, rate=0.1, memory="500M")
    assert computed.fits
    assert "762.9 MB" in computed.note
    assert computed.operations > held.operations
    assert fits_as_matrices(held.peak * 1.1, [10_000], 64, 10)
    assert not fits_as_matrices(8 * 10**8, [10_000], 64, 10)


def test_what_does_not_fit_says_what_would():
    too_large = mc.estimate("log_determinant", 50_000, 512, classes=10, rate=0.1, memory="1G")
    assert not too_large.fits
    with pytest.raises(MsCoresetError, match=r"log_determinant needs about 2\.\d GB.*balance, or rate 0\.0"):
        too_large.require_fit()
    assert mc.estimate("log_determinant", 50_000, 512, classes=10, rate=0.1, balance=True, memory="1G").fits
    for remedy in too_large.remedies:
        if remedy.startswith("rate"):
            assert mc.estimate("log_determinant", 50_000, 512, classes=10, rate=float(remedy.split()[1]),
                               memory="1G").fits
        if remedy.startswith("a pool"):
            assert mc.estimate("log_determinant", int(remedy.split()[3]), 512, classes=10, rate=0.1, memory="1G").fits


@pytest.mark.parametrize(("arguments", "message"), [
    ({"method": "moderat"}, "did you mean 'moderate'"), ({"n": 0}, "n 0"), ({"rate": 2}, "rate 2"),
    ({"colour": 1}, "no option 'colour'"), ({"memory": "x"}, "memory 'x'"), ({"classes": "x"}, "classes x"),
    ({"classes": [5, 4]}, "10 in all"), ({"classes": [11, -1]}, "10 in all"), ({"classes": [[10]]}, "10 in all"),
    ({"classes": [5.0, 5.0]}, "10 in all"), ({"dtype": "text"}, "dtype 'text'"), ({"dtype": "U4"}, "dtype 'U4'"),
    ({"dtype": None}, "dtype None"), ({"dtype": ("float32",) * 3}, "two, of features and of logits")])
def test_mistakes(arguments, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.estimate(**{"method": "moderate", "n": 10, "d": 2, "classes": 2, "rate": 0.5, **arguments})


@pytest.mark.parametrize("typed", ["--method gradmatch --lam 0.1", "--score el2n --rule strata",
                                   "--score center_distance --rule top"])
def test_a_plan_knows_its_estimate(typed):
    plan = choice_of(parser("select").parse_args(["--dataset", "digits", *typed.split()]))
    evidence = mc.Evidence(np.arange(100) % 5, np.ones((100, 8), np.float32), np.ones((100, 5), np.float32))
    assert sizes_of(evidence) == (100, 8, (20, 20, 20, 20, 20), ("float32", "float32"))
    assert plan.estimate(*sizes_of(evidence), Request(0.2, memory="1G")).fits
    with pytest.raises(MsCoresetError, match=r"what would fit: .*memory "):
        plan.estimate(*sizes_of(evidence), Request(0.2, memory=1)).require_fit()


def test_the_largest_class_decides_whether_a_command_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", labels=np.repeat(np.arange(10), most_in_one(3_000, 10)), features=np.ones((3_000, 500)))
    typed = ["select", "--dataset", "arrays", "--data", "own.npz", "--rate", "0.2", "--method", "moderate", "--memory"]
    assert main([*typed, "16M"]) == 2  # 1.1 MB were the classes equal, and 12.1
    assert "moderate needs about 22.4 MB" in capsys.readouterr().err.splitlines()[-1]
    assert main([*typed, "24M"]) == 0


@pytest.mark.parametrize("size", [10, 11, 60, 500, 1_200])
def test_a_pool_is_as_even_as_those_that_are_drawn(size):
    labels = np.repeat(np.arange(4), [1_000, 150, 49, 1])
    drawn = np.bincount(labels[class_balanced_indices(labels, size, 0)])
    whole = Size(N, D, 4, ((1, 1), (49, 1), (150, 1), (1_000, 1)), (np.dtype("f4"),) * 2, 0.1, True, 1 << 30)
    assert [samples for samples, _ in whole.part_of_size(size).groups] == pytest.approx(np.sort(drawn).tolist(), abs=1)


@pytest.mark.parametrize("method", [
    "random", pytest.param("gradmatch", marks=pytest.mark.mindspore)])  # without a network, and before one is trained
def test_the_command_says_it_before_and_refuses(method, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed = ["select", "--dataset", "digits", "--rate", "0.2", "--method", method, "--memory"]
    assert main([*typed, "1K"]) == 2
    first, error = capsys.readouterr().err.splitlines()
    assert first.startswith(f"note: {method}: about")
    assert error.startswith(f"error: {method} needs about")
    assert "what would fit: memory" in error
    assert not list(tmp_path.glob("*/*"))
    if method == "random":
        assert main([*typed, "1G"]) == 0


@pytest.mark.mindspore
def test_what_is_said_before_a_network_is_trained_is_what_is_found_after(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sources = Sources(DataSource("digits"), NetworkSource(overrides={"epochs": 1}), EvidenceSource("network"), 50, 3)
    needs = Choice("moderate").needs
    device, _, _, split = load_pool(sources, Runtime(), Steps())
    before = sizes_to_gather(sources, split, device, needs)
    evidence, checkpoint = gather(sources, split, device, Steps(), ("features", "logits"))
    assert before == sizes_of(evidence)
    by_file = dataclasses.replace(sources, network=NetworkSource(checkpoint=checkpoint))
    assert sizes_to_gather(by_file, split, device, needs) == before
    known = dataclasses.replace(split, known={"features": np.ones((50, 7), np.float16)})
    assert sizes_to_gather(by_file, known, device, needs) == (50, 7, (5,) * 10, ("float16", "float32"))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "n", "d", "rate", "balance"), [
    ("facility_location", 6_000, 256, 0.1, False), ("facility_location", 50_000, 256, 0.02, True),
    ("craig", 20_000, 128, 0.05, False), ("graph_cut", 40_000, 512, 0.01, False),
    ("log_determinant", 10_000, 512, 0.1, False), ("gradmatch", 10_000, 512, 0.1, False),
    ("cal", 20_000, 4096, 0.1, False), ("moderate", 30_000, 4096, 0.1, False), ("k_center", 60_000, 1024, 0.02, True),
    ("herding", 30_000, 4096, 0.01, True)])
def test_the_peak_is_near_what_was_said(method, n, d, rate, balance, resident):
    measured = resident(method, alike(n, 10), d, rate, balance, "float32", {})
    expected = mc.estimate(method, n, d, classes=10, rate=rate, balance=balance, memory="8G").peak
    assert 0.7 < expected / measured < 1.3, (expected / 2**20, measured / 2**20)


LARGE = [  # method, options, samples, features, classes, rate: mostly arrays
    ("herding", {}, 40_000, 512, 10, 0.001), ("herding", {"memory": "60M"}, 40_000, 512, 10, 0.0005),
    ("k_center", {}, 30_000, 1024, 10, 0.002), ("contextual_diversity", {}, 60_000, 8, 100, 0.001),
    ("gradmatch", {}, 12_000, 1024, 10, 0.01), ("gradmatch", {}, 12_000, 64, 500, 0.003),
    ("glister", {}, 12_000, 1024, 10, 0.001), ("glister", {}, 6_000, 64, 500, 0.0005),
    ("moderate", {}, 30_000, 1024, 10, 0.01), ("cal", {}, 1_000, 16_384, 10, 0.1),
    ("cal", {"within_class": False, "neighbors": 1}, 1_000, 16_384, 10, 0.1), ("cal", {}, 3_000, 64, 1_000, 0.1),
    ("facility_location", {}, 4_000, 512, 10, 0.02),
    ("facility_location", {"neighbors": 500}, 6_000, 64, 10, 0.01),
    ("facility_location", {"greedy": "stochastic", "memory": "150M"}, 3_000, 4_096, 10, 0.005),
    ("graph_cut", {}, 12_000, 1024, 10, 0.005), ("graph_cut", {"kernel": "features"}, 12_000, 1024, 10, 0.005),
    ("log_determinant", {}, 12_000, 512, 10, 0.01), ("craig", {}, 4_000, 512, 10, 0.02),
    ("subzero", {}, 4_000, 512, 10, 0.02), ("prototype", {"clusters": 2}, 5_000, 1024, 10, 0.1),
    ("prototype", {"groups": "labels"}, 10_000, 1024, 10, 0.1), ("semdedup", {"clusters": 2}, 3_000, 2_048, 10, 0.1),
    ("el2n", {}, 60_000, 8, 500, 0.1), ("random", {}, 3_000_000, 1, 10, 0.1)]
CONSTANT = 32 << 20  # bytes that may be taken beside 1.3 times what was said


# All types with all sizes of classes, balanced and not, are below, of fewer samples.
TRIED = ((alike, "float16", True), (most_in_one, "float64", False), (most_alone, "float32", True))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "options", "n", "d", "classes", "rate"), LARGE)
def test_no_more_is_taken_than_was_said_whatever_classes_and_types(method, options, n, d, classes, rate, resident):
    for sizes, dtype, balance in TRIED:
        case = (method, sizes(n, classes), d, rate, balance, dtype, options)
        if balance and max(case[1]) * rate <= 0.5:  # none would be kept
            continue
        found, measured = estimate_bytes(*case), resident(*case)
        assert (found - CONSTANT) / 1.3 < measured < 1.3 * found + CONSTANT, (case, found >> 20, measured)


def estimate_bytes(method, sizes, d, rate, balance, dtype, options):
    """Bytes that the estimate says."""
    return mc.estimate(method, sum(sizes), d, classes=sizes, rate=rate, balance=balance, dtype=dtype,
                       **{"memory": "8G", **options}).peak


SMALL = [  # method, options, samples, features, classes, rate: large beside blocks of a 32nd
    ("herding", {}, 1_500, 800, 10, 0.01), ("herding", {"memory": "2M"}, 1_500, 800, 10, 0.01),
    ("k_center", {}, 1_500, 800, 10, 0.01), ("contextual_diversity", {}, 1_500, 4, 300, 0.01),
    ("gradmatch", {}, 1_500, 800, 10, 0.01), ("glister", {}, 1_500, 400, 100, 0.01),
    ("moderate", {}, 1_500, 800, 10, 0.1), ("cal", {}, 400, 2_000, 200, 0.1), ("cal", {}, 200, 4_000, 10, 0.1),
    ("facility_location", {}, 1_000, 400, 10, 0.02), ("facility_location", {"neighbors": 100}, 1_500, 16, 10, 0.01),
    ("saturated_coverage", {}, 1_000, 400, 10, 0.02), ("sum_redundancy", {}, 1_500, 800, 10, 0.01),
    ("disparity_sum", {}, 1_500, 800, 10, 0.01), ("disparity_min", {}, 1_500, 800, 10, 0.01),
    ("feature_based", {}, 1_500, 800, 10, 0.01), ("max_coverage", {}, 1_500, 800, 10, 0.01),
    ("set_coverage", {}, 1_500, 800, 10, 0.01), ("targeted_facility_location", {}, 1_000, 400, 10, 0.02),
    ("mixture", {}, 1_000, 400, 10, 0.02),
    ("targeted_graph_cut", {}, 1_500, 800, 10, 0.01), ("targeted_log_determinant", {}, 1_500, 400, 100, 0.05),
    ("graph_cut", {}, 1_500, 800, 10, 0.01), ("graph_cut", {"kernel": "features"}, 1_500, 800, 10, 0.01),
    ("log_determinant", {}, 1_500, 400, 100, 0.05), ("craig", {}, 1_000, 800, 10, 0.02),
    ("subzero", {}, 1_000, 400, 10, 0.02), ("prototype", {}, 1_500, 800, 10, 0.1),
    ("prototype", {"groups": "labels"}, 1_500, 800, 10, 0.1),
    ("prototype", {"groups": "labels", "metric": "euclidean"}, 1_500, 800, 10, 0.1),
    ("prototype", {"metric": "euclidean"}, 1_500, 800, 10, 0.1), ("semdedup", {}, 1_500, 800, 10, 0.1),
    ("semdedup", {"groups": "labels"}, 1_500, 800, 10, 0.1)]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a 32nd of their size: arrays that are small are large beside them."""
    for place in ("rows.ROWS_BYTES", "selectors.row_blocks.BLOCK_BYTES", "selectors.memory.BLOCKS",
                  "selectors.submodular.similarity.BLOCK_BYTES", "selectors.estimate.BLOCKS",
                  "selectors.submodular.kernel_methods.BLOCKS", "selectors.submodular.kernel_methods.ROWS"):
        module, name = f"ms_coreset.{place}".rsplit(".", 1)
        monkeypatch.setattr(sys.modules[module], name, getattr(sys.modules[module], name) // 32)
    monkeypatch.setattr(similarity, "TILE", 80)
    monkeypatch.setattr(similarity, "HUGE_PAGES_FROM", 1 << 60)  # memory that is not NumPy's is not counted here


@pytest.mark.parametrize(("dtype", "sizes", "balance"), [
    ("float16", most_in_one, True), ("float32", most_alone, False), ("float32", most_alone, True),
    ("float64", most_in_one, False)])
@pytest.mark.parametrize(("method", "options", "n", "d", "classes", "rate"), SMALL)
def test_arrays_are_what_was_said_for_uneven_classes_and_any_type(
        method, options, n, d, classes, rate, dtype, sizes, balance, small_blocks):
    counts, rng = sizes(n, classes), np.random.RandomState(0)
    labels = rng.permutation(np.repeat(np.arange(classes), counts))
    features, logits = (rng.standard_normal((n, width)).astype(dtype) for width in (d, classes))
    evidence, kept = mc.Evidence(labels, features, logits), {"memory": "8G", **options}
    mc.select(method, evidence.part(np.arange(50)), 0.3, **kept)  # what is imported is not counted
    tracemalloc.start()
    mc.select(method, evidence, rate, balance=balance, **kept)
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = estimate_bytes(method, counts, d, rate, balance, dtype, options)
    constant = memory.BLOCKS + 40 * n
    assert (found - constant) / 1.3 <= measured <= 1.3 * found + constant, (found, measured)


def test_what_takes_long_is_told_with_what_is_quicker(monkeypatch):
    monkeypatch.setattr(sys.modules[mc.estimate.__module__], "products_per_second", lambda: 1e10)
    size = {"n": 2_000_000, "d": 256, "classes": 100, "rate": 0.01, "memory": "20G"}
    found = mc.estimate("facility_location", **size, kernel="features", neighbors=50)
    assert dict(found.quicker) == {
        "balance": mc.estimate("facility_location", **size, kernel="features", neighbors=50, balance=True).operations,
        "probes 8": mc.estimate("facility_location", **size, kernel="features", neighbors=50, probes=8).operations}
    assert re.search(r"operations, at least 3 days here; quicker: balance, at least 4\d minutes here, probes 8, at "
                     r"least \d+ minutes here$", str(found))
    assert not dict(mc.estimate("facility_location", **size, neighbors=50).quicker).keys() & {"probes 8"}
    assert mc.estimate("moderate", **size).quicker == () and "here" not in str(mc.estimate("moderate", **size))


def test_the_processors_speed_is_measured():
    assert 1e8 < products_per_second() < 1e14
