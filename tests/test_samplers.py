"""Samplers: invariants over all that are registered, by hand, resumed, on several ranks."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_on_ranks import together  # noqa: F401  a fixture

import ms_coreset as mc
from ms_coreset.distributed import current
from ms_coreset.errors import MsCoresetError
from ms_coreset.samplers import SAMPLERS
from ms_coreset.samplers.rcap import _capped_shares

OPTIONS = {"full": [{}], "infobatch": [{}, {"ratio": 0.3, "delta": 0.6}], "rho": [{"irreducible": ..., "keep": 0.3}],
           "rcap": [{}, {"beta": 0.5}], "reselect": [{}, {"every": 2, "warm": 1}],
           "rs2": [{}, {"replacement": True}, {"stratified": True}]}
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]
EPOCHS = 5


def make(name, options, labels, epochs=EPOCHS, rate=0.3, seed=0):
    given_rate = {"rate": rate} if SAMPLERS[name].takes_rate else {}
    if name == "reselect":
        given_rate["rate"] = max(rate, 1 / len(labels))  # a method refuses to keep none
    if "irreducible" in options:
        options = {**options, "irreducible": np.random.RandomState(9).rand(len(labels))}
    return mc.create_sampler(name, labels, epochs, seed=seed, **given_rate, **options)


def labels_of(n, classes, seed=0):
    return np.random.RandomState(seed).randint(0, classes, n)


def epochs_of(sampler, first=0, seed=0):
    """What the epochs from ``first`` on present, with losses reported after each."""
    found = []
    for epoch in range(first, sampler.training.epochs):
        indices, weights = sampler.begin_epoch(epoch)
        found.append((indices.tolist(), weights.tolist()))
        sampler.report(indices, np.random.RandomState([seed, epoch]).rand(len(sampler))[indices])
    return found


def test_every_registered_sampler_is_tried_here():
    assert set(OPTIONS) == set(mc.list_samplers())


@pytest.mark.parametrize(("name", "options"), CASES)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 60), classes=st.integers(1, 7), rate=st.floats(0.01, 1), seed=st.integers(0, 2**32 - 1))
def test_epochs_are_of_places_none_twice_and_the_same_for_the_same_seed(name, options, n, classes, rate, seed):
    labels = labels_of(n, classes)
    before = np.random.get_state()[1].copy()
    sampler = make(name, options, labels, rate=rate, seed=seed)
    epochs = epochs_of(sampler)
    for indices, weights in epochs:
        assert len(set(indices)) == len(indices) == len(weights)
        assert set(indices) <= set(range(n)) and min(weights) > 0
        assert not sampler.fixed_size or len(indices) == sampler.training.size
    assert epochs == epochs_of(make(name, options, labels, rate=rate, seed=seed))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # the user's generator is left alone


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("stopped_in", range(EPOCHS))
def test_resumed_in_the_middle_of_an_epoch_it_goes_on_as_if_nothing_had_been(name, options, stopped_in, tmp_path):
    labels = labels_of(37, 4)
    whole = epochs_of(make(name, options, labels))
    first = make(name, options, labels)
    for epoch in range(stopped_in + 1):
        indices, _ = first.begin_epoch(epoch)
        losses = np.random.RandomState([0, epoch]).rand(37)
        told = indices if epoch < stopped_in else indices[:len(indices) // 2]
        first.report(told, losses[told])
    np.savez(tmp_path / "state.npz", **first.state_dict())
    second = make(name, options, labels, seed=0)
    with np.load(tmp_path / "state.npz") as state:
        second.load_state_dict(state)
    again = second.begin_epoch(stopped_in)
    assert again.indices.tolist() == indices.tolist()
    second.report(indices, losses[indices])
    assert epochs_of(second, stopped_in + 1) == whole[stopped_in + 1:]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_ranks_that_each_saw_a_part_of_the_losses_have_the_epochs_of_one(name, options, together):  # noqa: F811
    labels = labels_of(40, 4)
    alone = epochs_of(make(name, options, labels))

    def work():
        sampler, found = make(name, options, labels), []
        for epoch in range(EPOCHS):
            indices, weights = sampler.begin_epoch(epoch)
            found.append((indices.tolist(), weights.tolist()))
            own = indices[current().rank::current().size]
            sampler.report(own, np.random.RandomState([0, epoch]).rand(40)[own])
        return found

    assert together(3, work) == [alone] * 3


@pytest.mark.parametrize(("name", "options"), CASES)
def test_ranks_go_on_from_what_the_first_has_saved_at_an_epoch_s_end(name, options, together):  # noqa: F811
    labels = labels_of(40, 4)
    alone = epochs_of(make(name, options, labels))

    def tell(sampler, epoch):
        own = sampler.begin_epoch(epoch).part(current().rank, current().size).indices
        sampler.report(own, np.random.RandomState([0, epoch]).rand(40)[own])

    def first_half():
        sampler = make(name, options, labels)
        for epoch in range(2):
            tell(sampler, epoch)
        sampler.end_epoch()
        return sampler.state_dict()

    saved = together(3, first_half)[0]

    def second_half():
        sampler, found = make(name, options, labels), []
        sampler.load_state_dict(saved)
        for epoch in range(2, EPOCHS):
            tell(sampler, epoch)
            indices, weights = sampler.begin_epoch(epoch)
            found.append((indices.tolist(), weights.tolist()))
        return found

    assert together(3, second_half) == [alone[2:]] * 3


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 50), rate=st.floats(0.02, 1), epochs=st.integers(1, 12), seed=st.integers(0, 1000))
def test_rs2_presents_every_sample_as_often(n, rate, epochs, seed):
    sampler = mc.create_sampler("rs2", labels_of(n, 3), epochs, rate=rate, seed=seed)
    pieces = [sampler.begin_epoch(epoch).indices for epoch in range(epochs)]
    counts, fair = np.bincount(np.concatenate(pieces), minlength=n), epochs * sampler.training.size / n
    assert counts.min() >= np.floor(fair) - 1 and counts.max() <= np.ceil(fair) + 1
    whole = n // sampler.training.size
    assert len(set(np.concatenate(pieces[:whole]))) == len(np.concatenate(pieces[:whole]))


def test_rs2_of_strata_has_each_class_s_share():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    sampler = mc.create_sampler("rs2", labels, 8, rate=0.2, stratified=True)
    for epoch in range(8):
        assert np.bincount(labels[sampler.begin_epoch(epoch).indices]).tolist() == [10, 6, 4]


def test_infobatch_by_hand():
    """Losses 1 to 8, mean 4.5: four are easy, of which half are drawn with the weight 2."""
    sampler = mc.create_sampler("infobatch", np.zeros(8, int), 4, delta=0.75)
    assert sorted(sampler.begin_epoch(0).indices) == list(range(8))  # nothing is known: none is below the mean
    sampler.report(np.arange(8), np.arange(1, 9))
    indices, weights = sampler.begin_epoch(1)
    assert set(indices) >= {4, 5, 6, 7} and len(indices) == 6
    assert {int(i): w for i, w in zip(indices, weights, strict=True) if i >= 4} == {4: 1, 5: 1, 6: 1, 7: 1}
    assert sorted(weights) == [1, 1, 1, 1, 2, 2] and weights.sum() == 8
    sampler.report(np.array([0, 1]), np.array([np.nan, np.inf]))
    assert sampler.skipped == 2 and len(sampler.begin_epoch(2).indices) == 6  # as if nothing had been told
    assert sorted(sampler.begin_epoch(3).indices) == list(range(8))
    assert set(sampler.begin_epoch(3).weights) == {1}


def test_rcap_takes_most_of_what_is_hard_and_no_class_beyond_its_size():
    labels = np.repeat([0, 1], [5, 95])
    sampler = mc.create_sampler("rcap", labels, 40, rate=0.3, beta=0.1)
    losses, seen = np.where(np.arange(100) % 2, 0.69, 0.1), np.zeros(100)
    for epoch in range(40):
        indices = sampler.begin_epoch(epoch).indices
        assert len(indices) == 30
        seen[indices] += 1
        sampler.report(np.arange(100), losses)
    assert seen[5:][losses[5:] > 0.5].mean() > 2 * seen[5:][losses[5:] < 0.5].mean()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.just(0.0) | st.floats(1e-6, 5)), min_size=1, max_size=8),
       st.floats(0.01, 1))
def test_shares_are_whole_numbers_within_the_sizes_and_all_in_all(classes, rate):
    sizes, weights = (np.array(values) for values in zip(*classes, strict=True))
    k = max(1, round(rate * sizes.sum()))
    counts = _capped_shares(k, weights, sizes)
    assert counts.sum() == k and (counts >= 0).all() and (counts <= sizes).all()


def test_shares_by_hand():
    """Weights 3 : 1 : 1 of 10, but the first has 4: the other six go to the others alike."""
    assert _capped_shares(10, np.array([3.0, 1, 1]), np.array([4, 10, 10])).tolist() == [4, 3, 3]
    assert _capped_shares(4, np.array([1.0, 1, 1]), np.array([9, 9, 9])).tolist() == [2, 1, 1]
    assert _capped_shares(3, np.array([0.0, 0]), np.array([2, 1])).tolist() == [2, 1]


def test_rho_takes_what_is_learnable_and_of_equal_ones_the_first():
    sampler = mc.create_sampler("rho", np.zeros(6, int), 1, irreducible=np.array([0, 2, 0, 0, np.nan, 0]), keep=0.5)
    assert sampler.screens and sorted(sampler.begin_epoch(0).indices) == list(range(6))
    batch = np.array([5, 4, 3, 2, 1, 0])
    assert sampler.screen(batch, np.array([1, 9, 1, 1, 2.5, 3])).tolist() == [0, 5, 3]
    assert mc.create_sampler("full", np.zeros(6, int), 1).screen(batch, np.zeros(6)).tolist() == batch.tolist()


@pytest.mark.parametrize(("name", "options", "message"), [
    ("rs3", {}, "did you mean 'rs2'"),
    ("rs2", {"rate": 0}, "rate 0: must be above 0"),
    ("rs2", {"rate": 0.5, "ratio": 0.5}, "rs2 has no option 'ratio'; its options: replacement, stratified"),
    ("infobatch", {"ratio": 0.95}, "infobatch: ratio 0.95: must be from 0 to 0.9"),
    ("infobatch", {"rate": 0.5}, "give it as ratio"),
    ("full", {"rate": 0.5}, "presents all samples"),
    ("rcap", {"rate": 0.5, "beta": 0}, "beta 0: must be a finite number above 0"),
    ("rho", {}, "rho needs an irreducible loss of each of 6 samples, not none"),
    ("rho", {"irreducible": np.zeros(5)}, "not an array of shape"),
    ("rs2", {"seed": -1}, "seed -1")])
def test_what_can_t_be_meant_is_refused(name, options, message):
    with pytest.raises(MsCoresetError, match=message.replace("(", r"\(")):
        mc.create_sampler(name, np.zeros(6, int), 3, **options)


def test_the_order_of_epochs_and_the_shape_of_losses_are_checked():
    sampler = mc.create_sampler("rs2", np.zeros(6, int), 2, rate=0.5)
    with pytest.raises(MsCoresetError, match="epoch 1 of 2: 0 were begun"):
        sampler.begin_epoch(1)
    sampler.begin_epoch(0), sampler.begin_epoch(1)
    with pytest.raises(MsCoresetError, match="epoch 2 of 2"):
        sampler.begin_epoch(2)
    for indices, losses, message in (([0, 1], [1.0], "one for each"), ([6], [1.0], "must be from 0 to 5"),
                                     ([-1], [1.0], "must be from 0 to 5")):
        with pytest.raises(MsCoresetError, match=message):
            sampler.report(np.array(indices), np.array(losses))
    with pytest.raises(MsCoresetError, match="not the state of a sampler rs2 of 6 samples"):
        sampler.load_state_dict(mc.create_sampler("rs2", np.zeros(7, int), 2, rate=0.5).state_dict())
    with pytest.raises(MsCoresetError, match="labels of shape"):
        mc.create_sampler("rs2", np.zeros((2, 2)), 2)


@pytest.mark.parametrize("batch", [1, 7, 40, 100])
def test_batches_are_the_epoch_in_parts(batch):
    epoch = make("infobatch", {}, labels_of(40, 3)).begin_epoch(0)
    parts = epoch.batches(batch)
    assert [len(part.indices) for part in parts[:-1]] == [batch] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), epoch.indices)
    np.testing.assert_array_equal(np.concatenate([part.weights for part in parts]), epoch.weights)


@pytest.mark.parametrize("ranks", [1, 2, 3, 50])
def test_parts_of_ranks_are_as_long_as_one_another_and_together_the_epoch(ranks):
    epoch = make("infobatch", {}, labels_of(40, 3)).begin_epoch(0)
    parts = [epoch.part(rank, ranks) for rank in range(ranks)]
    assert {len(part.indices) for part in parts} == {-(-40 // ranks)}
    joined = np.stack([part.indices for part in parts], axis=1).ravel()
    np.testing.assert_array_equal(joined[:40], epoch.indices)
    np.testing.assert_array_equal(joined, np.resize(epoch.indices, len(joined)))


@pytest.mark.parametrize(("rank", "ranks"), [(2, 2), (-1, 2), (0, 0), (0.5, 2)])
def test_ranks_that_there_are_not_are_refused(rank, ranks):
    with pytest.raises(MsCoresetError, match=r"^ranks? "):
        make("rs2", {}, labels_of(20, 3)).begin_epoch(0).part(rank, ranks)


def test_weights_of_samples_by_their_places():
    sampler = make("infobatch", {}, labels_of(40, 3))
    assert sampler.weights_of([3]).tolist() == [0]  # no epoch was begun
    sampler.begin_epoch(0)
    sampler.report(np.arange(40), np.arange(40.0))
    indices, weights = sampler.begin_epoch(1)
    assert set(weights) == {1, 2}
    np.testing.assert_array_equal(sampler.weights_of(indices), weights)
    assert not sampler.weights_of(np.setdiff1d(np.arange(40), indices)).any()
    again = make("infobatch", {}, labels_of(40, 3))
    again.load_state_dict(sampler.state_dict())
    np.testing.assert_array_equal(again.weights_of(indices), weights)
    for wrong in ([40], [-1]):
        with pytest.raises(MsCoresetError, match="must be from 0 to 39"):
            sampler.weights_of(wrong)


def test_the_order_of_a_loader_is_the_epoch_s():
    sampler = mc.create_sampler("rs2", np.zeros(10, int), 3, rate=0.5)
    order, half = sampler.order(), sampler.order(1, 2)
    assert len(order) == 5 and len(half) == 3
    with pytest.raises(MsCoresetError, match="call set_epoch"):
        iter(order)
    for epoch in (0, 1, 1, 2):
        order.set_epoch(epoch), half.set_epoch(epoch)
        assert list(order) == sampler.begin_epoch(epoch).indices.tolist() and len(order) == 5
        assert list(half) == sampler.begin_epoch(epoch).part(1, 2).indices.tolist() and len(half) == 3
    all_of_it = mc.create_sampler("infobatch", np.zeros(10, int), 3).order(0, 3)
    assert len(all_of_it) == 4


def test_the_end_of_an_epoch_takes_in_what_was_reported():
    """A state that is saved there is the same on all ranks; the next epoch is the same as without."""
    once, twice = (make("infobatch", {}, labels_of(40, 3)) for _ in range(2))
    for sampler in (once, twice):
        sampler.begin_epoch(0)
        sampler.report(np.arange(40), np.arange(40.0))
    twice.end_epoch()
    assert np.isnan(twice.state_dict()["pending"]).all() and twice.losses.tolist() == np.arange(40.0).tolist()
    np.testing.assert_array_equal(once.begin_epoch(1).indices, twice.begin_epoch(1).indices)


def test_the_page_s_programs_run_and_learn(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[1] / "docs" / "samplers.md"
    names = {}
    for program in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(program, names)
    assert names["accuracy"] > 0.95
    assert len(names["sampler"].begin_epoch(9).indices) == 1797  # the last epochs are whole
    assert np.isfinite(names["again"].losses).all()


def test_one_s_own_sampler_is_known_by_its_name():
    @mc.register_sampler("first_ones")
    class FirstOnes(mc.Sampler):
        def __init__(self, training, times: int = 1):
            super().__init__(training)
            self._times = times

        def _draw(self, epoch):
            return np.arange(self._times), None

    try:
        sampler = mc.create_sampler("first-ones", np.zeros(6, int), 2, times=3)
        assert sampler.begin_epoch(0).indices.tolist() == [0, 1, 2]
        assert sampler.begin_epoch(1).weights.tolist() == [1, 1, 1]
        with pytest.raises(MsCoresetError, match=r"times 1\.5: must be a whole number"):
            mc.create_sampler("first_ones", np.zeros(6, int), 2, times=1.5)
    finally:
        SAMPLERS.remove("first_ones")


@pytest.mark.parametrize("epoch", [-1, -2, True, 0.0, "a", None])
def test_what_is_no_epoch_is_refused(epoch):
    with pytest.raises(MsCoresetError, match=rf"^epoch {epoch}: must be a whole number"):
        make("rs2", {}, labels_of(20, 3)).begin_epoch(epoch)


@pytest.mark.parametrize("size", [0, -3, 2.5, "8"])
def test_batches_of_no_size_are_refused(size):
    with pytest.raises(MsCoresetError, match=rf"^size {re.escape(str(size))}: must be a whole number"):
        make("rs2", {}, labels_of(20, 3)).begin_epoch(0).batches(size)


@pytest.mark.parametrize("indices, losses", [
    ([0.0, 1.0], [1.0, 2.0]), ([True, False], [1.0, 2.0]), ([0, 1], ["a", "b"]), ([0, 20], [1.0, 2.0]),
    ([-1, 0], [1.0, 2.0])])
def test_losses_of_no_sample_are_refused(indices, losses):
    sampler = mc.create_sampler("rho", labels_of(20, 3), 5, irreducible=np.zeros(20))
    for take in (sampler.report, sampler.screen):
        with pytest.raises(MsCoresetError, match=r"^indices "):
            take(indices, losses)


def test_losses_of_an_empty_batch_change_nothing():
    sampler = make("infobatch", {}, labels_of(20, 3))
    sampler.report([], [])
    sampler.begin_epoch(0)
    assert np.isnan(sampler.losses).all() and sampler.skipped == 0


def test_no_state_is_no_state():
    with pytest.raises(MsCoresetError, match=r"^not the state of a sampler infobatch"):
        make("infobatch", {}, labels_of(20, 3)).load_state_dict(None)


def work_of(name, options, total, batch, n=37, rate=0.3):
    """The sizes of the epochs of a training of ``total`` updates."""
    sampler, sizes = make(name, options, labels_of(n, 4), mc.Updates(total, batch), rate), []
    while not sampler.is_last:
        indices, weights = sampler.begin_epoch(len(sizes))
        assert len(indices) == len(weights) == len(set(indices.tolist())) > 0
        sampler.report(indices, np.random.RandomState(len(sizes)).rand(n)[indices])
        sizes.append(len(indices))
    with pytest.raises(MsCoresetError, match=f"of {total} updates of {batch} samples: {len(sizes)} were begun"):
        sampler.begin_epoch(len(sizes))
    return sizes


@pytest.mark.parametrize(("name", "options"), CASES)
@settings(max_examples=25, deadline=None)
@given(total=st.integers(1, 60), batch=st.integers(1, 50), n=st.integers(1, 60), rate=st.floats(0.01, 1))
def test_a_training_of_so_many_updates_has_exactly_these(name, options, total, batch, n, rate):
    sizes = work_of(name, options, total, batch, n, rate)
    assert sum(-(-size // batch) for size in sizes) == total


def test_the_last_epoch_of_so_many_updates_is_cut_short():
    assert work_of("full", {}, 9, 10) == [37, 37, 10]  # four updates each, and what is left
    assert work_of("rs2", {}, 5, 4) == [11, 8]  # three, and two of four samples
    sizes = work_of("infobatch", {}, 40, 10)
    # 0.875 of 40 is 35: the first epoch after which another of all samples would end beyond is whole.
    done = np.cumsum([-(-size // 10) for size in sizes])
    whole = 1 + int(np.flatnonzero(done + 4 > 35)[0])
    assert sizes[whole] == 37 and max(sizes[1:whole]) < 37 and len(sizes) > 10


@pytest.mark.parametrize(("lengths", "words"), [
    ((5, 10), "of 10 epochs, not of 5 epochs"),
    ((mc.Updates(9, 4), mc.Updates(9, 8)), "of 9 updates of 8 samples, not of 9 updates of 4 samples"),
    ((5, mc.Updates(9, 8)), "of 9 updates of 8 samples, not of 5 epochs")])
def test_the_state_of_a_training_of_another_length_is_refused(lengths, words):
    own, other = (make("rs2", {}, labels_of(20, 3), length) for length in lengths)
    own.load_state_dict(own.state_dict())
    with pytest.raises(MsCoresetError, match=f"^the state of a sampler rs2 of a training {words}$"):
        own.load_state_dict(other.state_dict())


@pytest.mark.parametrize(("length", "words"), [
    (0, "epochs 0"), (2.5, "epochs 2.5"), (mc.Updates(0, 5), "updates 0"), (mc.Updates(5, 0), "batch size of ")])
def test_no_length_is_refused(length, words):
    with pytest.raises(MsCoresetError, match=f"^{words}.*: must be a whole number"):
        make("rs2", {}, labels_of(20, 3), length)
