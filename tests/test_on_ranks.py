"""Scores and methods on several ranks that are threads of this process; processes are test_distributed's business."""

import threading
import warnings

import numpy as np
import pytest
from distributed_job import OPTIONS, RATE, evidence, worth
from hypothesis import given
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.distributed import Alone, alone, current, ranks
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import centers
from ms_coreset.selectors.memory import as_bytes
from ms_coreset.selectors.on_ranks import deal, estimate_on_ranks
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.scores import cld
from ms_coreset.selectors.submodular.greedi import value
from ms_coreset.selectors.submodular.greedy import Restricted, lazy
from ms_coreset.selectors.submodular.set_functions import FacilityLocation
from ms_coreset.selectors.submodular.similarity import Dense
from ms_coreset.training.dynamics import TrainingDynamics

IN_ROUNDS = ["facility_location", "graph_cut", "k_center", "log_determinant", "saturated_coverage", "sum_redundancy",
             "feature_based", "max_coverage", "set_coverage"]


class _OfThread(threading.local):
    """What ``ranks._process`` is to a process."""

    taking_part, group, in_turn, streams = False, None, 0, None


class Threads(Alone):
    """One of several ranks that are threads: what they exchange goes through a list."""

    def __init__(self, rank, size, table, barrier):
        self.rank, self.size, self.local_size, self.first = rank, size, size, rank == 0
        self._table, self._barrier = table, barrier

    def gather(self, array):
        self._table[self.rank] = np.array(array)
        self._barrier.wait()
        everybodys = [part.copy() for part in self._table]
        self._barrier.wait()
        return everybodys

    def wait(self):
        self._barrier.wait()

    def from_first(self, make):
        if self.first:
            with alone():
                self._table[0] = make()
        self._barrier.wait()
        found = dict(self._table[0])
        self._barrier.wait()
        return found


@pytest.fixture
def together(monkeypatch):
    """together(size, work): what ``work()`` returns on each of so many ranks."""
    mc.set_device("CPU")
    monkeypatch.setattr(ranks, "_process", _OfThread())

    def run(size, work):
        table, barrier, found, errors = [None] * size, threading.Barrier(size), [None] * size, []

        def of_rank(rank):
            ranks._process.group = Threads(rank, size, table, barrier)
            try:
                found[rank] = work()
            except Exception as error:
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=of_rank, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise next(error for error in errors if not isinstance(error, threading.BrokenBarrierError))
        return found

    return run


def cases(names):
    return [(name, options) for name in names for options in OPTIONS.get(name, [{}])]


def assert_same(found, expected):
    for name in ("indices", "weights", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize(("name", "options"), cases(mc.list_scores()))
def test_scores_are_those_of_one_process(name, options, size, together):
    known = evidence()
    expected = mc.score(name, known, **options)
    for values in together(size, lambda: mc.score(name, known, **options)):
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("quota", [None, "drop", "difficulty"])
@pytest.mark.parametrize("rule", mc.list_rules())
def test_rules_and_quotas_draw_what_one_process_does(rule, quota, together):
    known = evidence()
    asked = {"rate": RATE, "seed": 3, "quota": quota, "normalize": "class"}
    expected = mc.select_by("el2n", rule, known, **asked)
    for found in together(3, lambda: mc.select_by("el2n", rule, known, **asked)):
        assert_same(found, expected)
        assert {**found.manifest, **expected.manifest} == found.manifest


@pytest.mark.parametrize("name", ["herding", "k_center", "facility_location", "random", "gm_matching"])
def test_methods_keep_to_quotas_as_one_process_does(name, together):
    known = evidence()
    expected = mc.select(name, known, RATE, seed=3, quota="difficulty", quota_score="loss")
    for found in together(3, lambda: mc.select(name, known, RATE, seed=3, quota="difficulty", quota_score="loss")):
        assert_same(found, expected)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize(("name", "options"), cases(mc.list_methods()))
def test_methods_choose_what_one_process_does_or_say_that_they_do_not(name, options, balance, size, together):
    known = evidence()
    expected = mc.select(name, known, RATE, balance=balance, seed=3, **options)
    found = together(size, lambda: mc.select(name, known, RATE, balance=balance, seed=3, **options))
    for coreset in found[1:]:
        assert_same(coreset, found[0])
    notes = found[0].manifest
    assert notes["ranks"] == size
    assert notes["exact"] == (balance or name not in IN_ROUNDS or bool(options))
    if notes["exact"]:
        assert_same(found[0], expected)
    assert len(set(found[0].indices.tolist())) == len(expected.indices)


@pytest.mark.parametrize(("name", "balance", "how"), [
    ("el2n", False, "a share of the scores each; one process chooses the same"),
    ("gradmatch", True, "a share of the classes each; one process chooses the same"),
    ("gradmatch", False, "rank 0 chose alone, for this can't be shared; one process chooses the same"),
    ("k_center", True, "a share of the classes each; one process chooses the same"),
    ("k_center", False, "two rounds, from each rank's part and from all these picks: not what one process chooses"),
])
def test_what_is_shared_is_said(name, balance, how, together):
    known = evidence()
    assert together(2, lambda: mc.select(name, known, RATE, balance=balance))[0].manifest["shared"] == how


def test_work_is_shared(together, monkeypatch):
    """A score of single samples looks at a share of them, one of classes at whole classes, a method at its classes."""
    known, seen = evidence(), []
    part = mc.Evidence.part
    monkeypatch.setattr(mc.Evidence, "part", lambda self, rows, *names: seen.append((current().rank, np.array(
        rows))) or part(self, rows, *names))
    together(2, lambda: mc.score("entropy", known))
    assert sorted(len(rows) for _, rows in seen) == [250, 250]
    seen.clear()
    together(2, lambda: mc.select("herding", known, RATE, balance=True))
    shares = [set(known.labels[rows].tolist()) for _, rows in seen]
    assert set.union(*shares) == set(range(6))
    assert not set.intersection(*shares)


def test_scores_that_need_something_of_all_share_the_rest(together, monkeypatch):
    """RAM-APL each class's mean, which is computed once; CLD the held-out losses of each class."""
    known, seen = evidence(), []
    mean, add = centers.class_mean, cld.Correlations.add
    monkeypatch.setattr(centers, "class_mean", lambda rows: seen.append(len(rows)) or mean(rows))
    monkeypatch.setattr(cld.Correlations, "add", lambda self, losses, *more: seen.append(len(losses)) or add(
        self, losses, *more))
    together(2, lambda: mc.score("ram_apl", known))
    assert sorted(seen) == sorted(np.bincount(known.labels))
    seen.clear()
    together(3, lambda: mc.score("cld", known))
    assert sorted(seen) == sorted(5 * [166, 167, 167])


@pytest.mark.parametrize("held_out", [[2, 3, 5, 7, 8, 9], [9]])  # a class has none of them; a rank's share has none
def test_held_out_losses_are_those_of_all(held_out, together):
    rng = np.random.RandomState(0)
    losses = rng.rand(6, 10).astype(np.float32)
    of_validation = np.full_like(losses, np.nan)
    of_validation[:, held_out], losses[:, held_out] = losses[:, held_out], np.nan
    known = mc.Evidence(np.array([0, 0, 0, 1, 1, 1, 2, 2, 0, 1]),
                        dynamics=TrainingDynamics(loss=losses, validation_loss=of_validation))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mc.score("cld", known)
        assert np.isfinite(expected).sum() == 10 - len(held_out)
        for values in together(3, lambda: mc.score("cld", known)):
            np.testing.assert_array_equal(values, expected)


# As shares of what the greedy of one process reaches; 50 samples at random reach 0.973, 0.971 and 0.59.
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize(("name", "least"), [("facility_location", 0.98), ("graph_cut", 0.98),
                                             ("log_determinant", 0.93)])
def test_two_rounds_come_near_one(name, least, size, together):
    known = evidence()
    one = worth(name, mc.select(name, known, RATE).indices)
    assert worth(name, together(size, lambda: mc.select(name, known, RATE, seed=1))[0].indices) >= least * one


@pytest.mark.parametrize("size", [2, 5])
def test_two_rounds_of_k_center_are_within_four_times_the_best_radius(size, together):
    known = evidence()
    distances = np.sqrt(((known.features[:, None].astype(float) - known.features)**2).sum(axis=2))
    one, several = (distances[:, picks].min(axis=1).max() for picks in (
        mc.select("k_center", known, RATE).indices,
        together(size, lambda: mc.select("k_center", known, RATE))[0].indices))
    assert several <= 1.5 * one


def test_another_seed_deals_the_samples_out_otherwise(together):
    known = evidence()
    picks = [together(2, lambda seed=seed: mc.select("graph_cut", known, RATE, seed=seed))[0].indices.tolist()
             for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]


def test_more_ranks_than_samples(together):
    few = evidence().part(np.arange(4))
    for name in IN_ROUNDS:
        assert sorted(together(6, lambda name=name: mc.select(name, few, 1.0))[0].indices) == [0, 1, 2, 3]


def test_each_rank_takes_its_share_of_the_machines_memory(together, monkeypatch):
    monkeypatch.setattr("ms_coreset.selectors.memory.free_bytes", lambda: 8_000)
    assert as_bytes(None) == 4_000
    assert together(4, lambda: as_bytes(None)) == [1_000] * 4


def test_an_error_is_everybodys(together):
    known = evidence()
    with pytest.raises(MsCoresetError, match="keeps none"):
        together(3, lambda: mc.select("herding", known, 1e-9, balance=True))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 5))
def test_classes_are_dealt_out_whole_and_evenly(labels, size):
    labels = np.array(labels)
    groups = classes(labels)
    shares = deal(groups, size)
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(len(labels)))
    assert sum(len(np.unique(labels[rows])) for rows in shares) == len(groups)
    assert max(map(len, shares)) - min(map(len, shares)) <= max(map(len, groups))


def test_only_candidates_are_picked_and_the_value_is_by_hand():
    similarity = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
    restricted = Restricted(FacilityLocation(Dense(similarity)), np.array([0, 2]))
    assert len(restricted) == 2
    # Of all three, 1 covers most (2.1); of 0 (2.0) and 2 (1.3) it is 0.
    assert lazy(restricted, 2).places.tolist() == [0, 1]
    assert value(FacilityLocation(Dense(similarity)), [0, 2]) == pytest.approx(1 + 0.9 + 1)
    assert value(FacilityLocation(Dense(similarity)), []) == 0


def test_the_estimate_of_two_rounds_is_of_the_larger():
    one, eight = (estimate_on_ranks("facility_location", 50_000, 512, 10, 0.01, memory="1T", ranks=ranks)
                  for ranks in (1, 8))
    last = 50_000 // 8 + 7 * 500  # rank 0's samples and the others' picks
    assert eight.peak < one.peak and eight.peak == pytest.approx(8 * last**2, rel=0.3)
    by_hand = mc.estimate("facility_location", last, 512, classes=10, rate=500 / last, memory="1T")
    assert (eight.peak, eight.operations) == (by_hand.peak, by_hand.operations)
    # A rank has fewer samples than are to be picked: it gives all, and the last round has all.
    many = estimate_on_ranks("facility_location", 1_000, 512, 10, 0.5, memory="1T", ranks=8)
    assert many.peak == mc.estimate("facility_location", 1_000, 512, classes=10, rate=0.5, memory="1T").peak
    # What grows with the picks: a part gives as many as all are to.
    several = estimate_on_ranks("log_determinant", 8_000, 64, 10, 0.05, memory="1T", ranks=4)
    rounds = [mc.estimate("log_determinant", m, 64, classes=10, rate=400 / m,
                          memory="1T") for m in (2_000, 2_000 + 3 * 400)]
    assert several.peak == max(each.peak for each in rounds)
    assert estimate_on_ranks("log_determinant", 8_000, 64, 10, 0.05, memory="1T") == mc.estimate(
        "log_determinant", 8_000, 64, classes=10, rate=0.05, memory="1T")
    balanced = (estimate_on_ranks("craig", 50_000, 512, 10, 0.01, True, "1T", ranks) for ranks in (1, 8))
    assert len({estimate.peak for estimate in balanced}) == 1
