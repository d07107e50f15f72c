"""Scores over time that are added up while training: the same values as from the record of all epochs, less memory."""

import dataclasses

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.dynamics import RECORDS, FieldRecorder
from ms_coreset.training.streams import StreamedDynamics, StreamRecorder, load_dynamics
from tests.test_training import RECIPE, Stopped, new_network, toy_split

STREAMED = [field.name for field in dataclasses.fields(StreamedDynamics)]
LABELS = np.arange(40) % 3


def learn(recorders, epochs, unseen=()):
    """Show the recorders the same epochs: all samples but 30 to 39, which are held out, and the ``unseen`` ones of an
    epoch, as pairs (epoch, sample)."""
    rng = np.random.RandomState(0)
    for epoch in range(epochs):
        rows = np.array([row for row in rng.permutation(30) if (epoch, row) not in unseen])
        logits = rng.randn(len(rows), 3).astype(np.float32)
        losses = rng.rand(10)
        for recorder in recorders:
            for part in np.array_split(np.arange(len(rows)), 4):
                recorder.record(epoch, rows[part], logits[part], LABELS[rows[part]])
            recorder.record_validation(epoch, np.arange(30, 40), losses)
            recorder.flush()


def scores_of(dynamics):
    return {name: mc.score(name, mc.Evidence(LABELS, dynamics=dynamics)) for name in STREAMED}


@pytest.mark.parametrize(("epochs", "unseen"), [(4, ()), (10, ()), (14, ()), (25, ((3, 5), (4, 5), (24, 7), (0, 8)))])
def test_streamed_scores_are_those_of_the_whole_record(epochs, unseen):
    whole, streamed = FieldRecorder(RECORDS, epochs, 40), StreamRecorder(LABELS, epochs, True)
    learn((whole, streamed), epochs, unseen)
    ours = scores_of(streamed.dynamics())
    for name, values in scores_of(whole.dynamics()).items():
        assert np.isnan(values).sum() >= 10, name
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


def size(thing):
    """Bytes of the arrays in an object's attributes, and in those of these."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    inner = thing.values() if isinstance(thing, dict) else vars(thing).values() if hasattr(thing, "__dict__") else ()
    return sum(map(size, inner))


def test_memory_does_not_grow_with_the_epochs():
    few, many = (StreamRecorder(LABELS, epochs, True) for epochs in (20, 20_000))
    learn((few, many), 20)
    assert size(few) == size(many) > 1000
    assert size(FieldRecorder(RECORDS, 200, 40)) > 9 * size(FieldRecorder(RECORDS, 20, 40))


def test_what_few_epochs_or_nothing_held_out_leave():
    assert set(StreamRecorder(LABELS, 1, True)._accumulators) == {"forgetting", "correctness", "aum",
                                                                  "accumulated_margin"}
    assert "tdds" not in StreamRecorder(LABELS, 2, True)._accumulators
    assert "cld" not in StreamRecorder(LABELS, 20, False)._accumulators


@pytest.mark.parametrize(("name", "options", "message"), [
    ("eva", {}, "eva: training with --record stream kept dyn_unc, .*: train without it for a record of every epoch"),
    ("el2n", {"first": 0}, "el2n: training with --record stream kept"),
    ("dual", {"window": 5}, "dual: window 5: .* with its default options alone"),
    ("aum", {"epochs": 3}, "aum: epochs 3: .* default options alone")])
def test_what_was_not_streamed_is_refused(name, options, message):
    recorder = StreamRecorder(LABELS, 4, True)
    learn((recorder,), 4)
    with pytest.raises(MsCoresetError, match=message):
        mc.score(name, mc.Evidence(LABELS, dynamics=recorder.dynamics()), **options)


def test_streamed_scores_of_other_samples_are_refused():
    with pytest.raises(MsCoresetError, match="streamed scores of 3 samples, but 2 labels"):
        mc.score("aum", mc.Evidence([0, 1], dynamics=StreamedDynamics(aum=np.ones(3))))
    with pytest.raises(MsCoresetError, match="the streamed aum must be numbers of shape"):
        StreamedDynamics(aum=np.ones(3), dual=np.ones(4))
    assert mc.Evidence([0, 1, 0], dynamics=StreamedDynamics(aum=np.arange(3.0))).part(
        np.array([2, 0])).dynamics.aum.tolist() == [2, 0]


@pytest.mark.mindspore
@pytest.mark.parametrize("stopped", [0, 2, 3])
def test_training_streams_and_goes_on_where_it_stopped(tmp_path, monkeypatch, stopped):
    recipe = dataclasses.replace(RECIPE, validation=0.2, epochs=5)
    whole = mc.train(new_network(), toy_split(n=60), recipe, folder=tmp_path / "whole")
    record = StreamRecorder.record

    def stop(self, epoch, *values):
        record(self, epoch, *values)
        if epoch == stopped:
            raise Stopped

    monkeypatch.setattr(StreamRecorder, "record", stop)
    with pytest.raises(Stopped):
        mc.train(new_network(), toy_split(n=60), recipe, folder=tmp_path / "part", record="stream")
    monkeypatch.undo()
    result = mc.train(new_network(), toy_split(n=60), recipe, folder=tmp_path / "part", record="stream",
                      resume=True)
    again = mc.train(new_network(), toy_split(n=60), recipe, folder=tmp_path / "part", record="stream",
                     resume=True)
    labels = toy_split(n=60).labels
    for name in STREAMED:
        expected = mc.score(name, mc.Evidence(labels, dynamics=whole.dynamics))
        for dynamics in (result.dynamics, again.dynamics, load_dynamics(tmp_path / "part" / "dynamics")):
            np.testing.assert_array_equal(mc.score(name, mc.Evidence(labels, dynamics=dynamics)), expected)
    assert [path.name for path in (tmp_path / "part" / "dynamics").iterdir()] == ["streamed"]
    assert {path.stem for path in (tmp_path / "part" / "dynamics" / "streamed").iterdir()} == set(STREAMED)


@pytest.mark.mindspore
def test_a_training_anew_takes_the_other_record_s_place(tmp_path):
    mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, record="stream")
    mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path)
    assert load_dynamics(tmp_path / "dynamics").loss is not None
    mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, record="stream")
    assert set(load_dynamics(tmp_path / "dynamics").streamed) == {*STREAMED} - {"cld"}


@pytest.mark.mindspore
def test_a_run_that_was_begun_without_is_not_gone_on_with(tmp_path, monkeypatch):
    def stop(self, epoch, *_):
        if epoch == 1:
            raise Stopped

    monkeypatch.setattr(FieldRecorder, "record", stop)
    with pytest.raises(Stopped):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path)
    with pytest.raises(MsCoresetError, match="can't go on with --record stream: nothing was added up in the 1 epochs"):
        mc.train(new_network(), toy_split(), RECIPE, folder=tmp_path, record="stream", resume=True)


@pytest.mark.mindspore
@pytest.mark.parametrize("record", ["margin", ("stream", "margin")])
def test_other_words_are_refused(record):
    with pytest.raises(MsCoresetError, match=r"record .*: fields of the training dynamics, or 'stream' alone"):
        mc.train(new_network(), toy_split(), RECIPE, record=record)


@pytest.mark.mindspore
def test_the_commands_stream(tmp_path, monkeypatch, capsys):
    from ms_coreset.cli import main

    monkeypatch.chdir(tmp_path)
    common = "--dataset digits --arch mlp --width 8 --epochs 4 --validation 0.1"
    assert main(f"score {common} --record stream --scores dual cld".split()) == 0
    assert "of 1,437 samples are NaN in dual, cld" in capsys.readouterr().err
    assert main(f"select {common} --method tdds --rate 0.2".split()) == 0
    assert main(f"select {common} --method eva --rate 0.2".split()) == 2
    assert "training with --record stream kept" in capsys.readouterr().err


@pytest.mark.mindspore
@pytest.mark.parametrize(("record", "validation", "without"), [
    ("", "--validation 0.1", set()), ("", "", {"cld"}),
    ("--record stream", "--validation 0.1", {"eva"}), ("--record stream", "", {"eva", "cld"})])
def test_score_writes_all_that_the_record_allows(tmp_path, monkeypatch, capsys, record, validation, without):
    from ms_coreset.cli import main

    monkeypatch.chdir(tmp_path)
    line = f"score --dataset digits --pool 200 --arch mlp --width 8 --epochs 4 {record} {validation}"
    assert main(line.split()) == 0
    (path,) = (tmp_path / "scores").glob("*.npz")
    # deepfool and zcore are costly, and the others are of scores that are made elsewhere
    expected = set(mc.list_scores()) - {"deepfool", "zcore", "imported", "extrapolated"} - without
    with np.load(path) as found:
        assert set(found.files) - {"index", "label"} == expected
        assert all(np.isfinite(found[name]).any() for name in expected)
    said = capsys.readouterr().err
    for name in without:
        assert f"note: left out, {name}" in said
    assert ("(--validation 0.1)" in said) == ("cld" in without)
