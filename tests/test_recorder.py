"""``mc.Recorder``: the dynamics of anyone's loop, and what is chosen by them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.dynamics import FIELDS, RECORDS, TrainingDynamics, measure
from ms_coreset.training.streams import load_dynamics

N, C, EPOCHS = 30, 4, 6
LABELS = np.random.RandomState(0).randint(0, C, N)


def logits_of(epoch):
    return np.random.RandomState(epoch).randn(N, C).astype(np.float32) * 3


def show(recorder, first=0, last=EPOCHS, batch=7):
    """Epochs in batches of shuffled samples."""
    for epoch in range(first, last):
        order = np.random.RandomState([1, epoch]).permutation(N)
        for start in range(0, N, batch):
            rows = order[start:start + batch]
            recorder.record(epoch, rows, logits_of(epoch)[rows], LABELS[rows])


def arrays_of(dynamics):
    names = ("streamed",) if hasattr(dynamics, "streamed") else RECORDS
    found = {name: getattr(dynamics, name) for name in names if getattr(dynamics, name) is not None}
    return {name: np.asarray(values) for name, values in (found.get("streamed") or found).items()}


def assert_same(one, other):
    one, other = arrays_of(one), arrays_of(other)
    assert one.keys() == other.keys() and one
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


@pytest.mark.parametrize("epochs", [None, EPOCHS])
@pytest.mark.parametrize("stored", [True, False])
def test_fields_are_those_of_the_logits(epochs, stored, tmp_path):
    with mc.Recorder(N, folder=tmp_path / "d" if stored else None, epochs=epochs) as recorder:
        show(recorder)
    found = TrainingDynamics.load(tmp_path / "d") if stored else recorder.dynamics()
    assert set(arrays_of(found)) == set(FIELDS)
    for epoch in range(EPOCHS):
        for name, values in measure(logits_of(epoch), LABELS).items():
            np.testing.assert_allclose(getattr(found, name)[epoch], values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("library", ["torch", "mindspore"])
def test_tensors_are_taken_as_they_are(library):
    module = pytest.importorskip(library)
    plain, tensors = mc.Recorder(N), mc.Recorder(N)
    logits = logits_of(0)
    plain.record(0, np.arange(N), logits, LABELS)
    as_tensor = module.tensor if library == "torch" else module.Tensor
    given = as_tensor(logits)
    if library == "torch":
        given.requires_grad_()
    tensors.record(0, as_tensor(np.arange(N)), given, as_tensor(LABELS))
    assert_same(plain.dynamics(), tensors.dynamics())


@pytest.mark.parametrize("fields", [None, (*FIELDS, "divergence"), ("loss",), "stream"])
@pytest.mark.parametrize("stopped", [1, 3, 5])
def test_stopped_in_an_epoch_it_goes_on_to_the_same(fields, stopped, tmp_path):
    options = {"fields": fields, "epochs": EPOCHS if fields == "stream" else None}
    with mc.Recorder(N, folder=tmp_path / "whole", **options) as recorder:
        show(recorder)
    first = mc.Recorder(N, folder=tmp_path / "parts", **options)
    show(first, 0, stopped)
    rows = np.arange(5)
    first.record(stopped, rows, logits_of(99)[rows], LABELS[rows])  # of an epoch that is not finished
    with mc.Recorder(N, folder=tmp_path / "parts", resume=True, **options) as second:
        show(second, stopped)
    assert_same(load_dynamics(tmp_path / "whole"), load_dynamics(tmp_path / "parts"))


@settings(max_examples=30, deadline=None)
@given(seen=st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=9), min_size=1, max_size=4))
def test_what_an_epoch_does_not_show_is_not_a_number_and_the_last_of_two_counts(seen):
    recorder = mc.Recorder(N, fields=("probability", "correct"))
    expected = np.full((len(seen), N), np.nan)
    for epoch, rows in enumerate(seen):
        logits = np.random.RandomState(len(rows)).randn(len(rows), C)
        recorder.record(epoch, np.array(rows), logits, LABELS[rows])
        values = measure(logits, LABELS[rows])["probability"]
        for row, value in zip(rows, values, strict=True):
            expected[epoch, row] = value
    np.testing.assert_allclose(recorder.dynamics().probability, expected, rtol=1e-6)
    assert not recorder.dynamics().correct[np.isnan(expected)].any()


def test_validation_losses_are_kept(tmp_path):
    with mc.Recorder(N, folder=tmp_path, fields=("loss", "validation_loss")) as recorder:
        for epoch in range(2):
            recorder.record(epoch, np.arange(20), logits_of(epoch)[:20], LABELS[:20])
            recorder.record_validation(epoch, np.arange(20, N), np.full(10, epoch + 0.5))
    found = TrainingDynamics.load(tmp_path)
    assert np.isnan(found.validation_loss[:, :20]).all() and np.isnan(found.loss[:, 20:]).all()
    assert (found.validation_loss[:, 20:] == np.array([[0.5], [1.5]])).all()


@pytest.mark.parametrize(("make", "record", "message"), [
    ({"fields": ("los",)}, None, "can't record los"),
    ({"fields": "stream"}, None, "say how many epochs there will be"),
    ({"fields": "loss"}, None, "record loss: fields of the training dynamics, or 'stream' alone"),
    ({"n": 0}, None, "n 0"),
    ({"epochs": 2}, (2, [0], [[1.0, 2]], [0]), "epoch 2"),
    ({}, (0, [N], [[1.0, 2]], [0]), "must be from 0 to 29"),
    ({}, (0, [0, 1], [[1.0, 2]], [0]), "must be .B,. whole numbers"),
    ({}, (0, [0], [1.0], [0]), "must be .B,. whole numbers"),
    ({}, (0, [0], [[1.0, 2]], [2]), "that of sample 0 is 2")])
def test_what_does_not_fit_is_refused(make, record, message):
    with pytest.raises(MsCoresetError, match=message):
        recorder = mc.Recorder(make.pop("n", N), **make)
        recorder.record(*(value if place == 0 else np.array(value) for place, value in enumerate(record)))


def test_epochs_do_not_go_back_and_other_samples_are_not_gone_on_with(tmp_path):
    recorder = mc.Recorder(N, folder=tmp_path)
    show(recorder, 0, 2)
    with pytest.raises(MsCoresetError, match="epoch 0: 1 is being recorded"):
        show(recorder, 0, 1)
    with pytest.raises(MsCoresetError, match=r"can't go on: .*probability.npy is of shape"):
        mc.Recorder(N + 1, folder=tmp_path, resume=True)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with mc.Recorder(N, folder="dynamics", fields=(*FIELDS, "divergence")) as recorder:
        show(recorder)
    np.savez("mine.npz", labels=LABELS)
    return tmp_path


@pytest.mark.parametrize("method", ["ccs", "dual", "forgetting", "eva"])
def test_select_takes_it_for_the_user_s_arrays(recorded, method, capsys):
    line = ["select", "--dataset", "arrays", "--data", "mine.npz", "--rate", "0.3", "--method", method]
    assert main([*line, "--dynamics", "dynamics"]) == 0
    made = mc.Coreset.load(next(Path("index").glob("*.npz")))
    evidence = mc.Evidence(labels=LABELS, dynamics=TrainingDynamics.load("dynamics"))
    assert made.indices.tolist() == mc.select(method, evidence, 0.3).indices.tolist()
    assert main([*line[:3], "--data", "mine.npz", "--rate", "0.3", "--method", method]) == 2
    assert "dynamics" in capsys.readouterr().err
    path = str(next(Path("index").glob("*.npz")))
    assert main(["select", "--from-manifest", path, "--data", "mine.npz"]) == 2
    assert "no folder of training dynamics dynamics is taken because a file says so" in capsys.readouterr().err
    assert main(["select", "--from-manifest", path, "--data", "mine.npz", "--dynamics", "dynamics", "--save", "b"]) == 0


def test_score_writes_all_scores_of_it(recorded):
    assert main(["score", "--dataset", "arrays", "--data", "mine.npz", "--dynamics", "dynamics"]) == 0
    with np.load(next(Path("scores").glob("*.npz"))) as found:
        assert {"forgetting", "aum", "dual", "dyn_unc", "eva", "tdds"} <= set(found.files)


def test_a_pool_has_its_part_of_it(recorded):
    found = mc.run_selection(dataset="arrays", data="mine.npz", dynamics="dynamics", method="forgetting", rate=0.5,
                             pool=16)
    assert len(found.coreset) == 8
    pool = found.coreset.pool
    evidence = mc.Evidence(labels=LABELS, dynamics=TrainingDynamics.load("dynamics")).part(pool)
    assert found.coreset.indices.tolist() == pool[mc.select("forgetting", evidence, 0.5).indices].tolist()


@pytest.mark.parametrize(("line", "message"), [
    ("--method random --dynamics dynamics", "--dynamics dynamics is of no use to random"),
    ("--method forgetting --dynamics nowhere", "no training dynamics in nowhere")])
def test_what_is_of_no_use_or_not_there_is_said(recorded, line, message, capsys):
    assert main(["select", "--dataset", "arrays", "--data", "mine.npz", "--rate", "0.3", *line.split()]) == 2
    assert message in capsys.readouterr().err


def test_dynamics_of_other_samples_are_refused(recorded, capsys):
    np.savez("fewer.npz", labels=LABELS[:20])
    line = "select --dataset arrays --data fewer.npz --rate 0.3 --method forgetting --dynamics dynamics"
    assert main(line.split()) == 2
    assert "30 dynamics but 20 labels" in capsys.readouterr().err


def test_a_study_has_no_use_for_it(recorded):
    with pytest.raises(MsCoresetError, match="dynamics"):
        mc.run_study(datasets=["digits"], methods=["random"], dynamics="dynamics")
    assert not list(Path().glob("results/*"))


def test_nothing_is_recorded_after_the_end(tmp_path):
    with mc.Recorder(N, folder=tmp_path) as recorder:
        show(recorder, 0, 2)
    before = arrays_of(TrainingDynamics.load(tmp_path))
    with pytest.raises(MsCoresetError, match=r"^epoch 0: this recorder was closed"):
        show(recorder, 0, 1)
    for name, values in arrays_of(TrainingDynamics.load(tmp_path)).items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("epoch", ["1", 1.0, -1, None])
def test_what_is_no_epoch_is_refused(epoch):
    with pytest.raises(MsCoresetError, match=rf"^epoch {epoch}: must be a whole number"):
        mc.Recorder(N).record(epoch, [0], logits_of(0)[:1], LABELS[:1])


@pytest.mark.parametrize("fields", [None, ("loss",), "stream"])
def test_held_out_losses_that_nothing_keeps_are_refused(fields):
    with pytest.raises(MsCoresetError, match="the field 'validation_loss', which is not among"):
        mc.Recorder(N, fields=fields, epochs=EPOCHS).record_validation(0, [0, 1], [0.5, 0.5])


@pytest.mark.parametrize("indices, losses", [([-1, 2], [1, 2]), ([0, N], [1, 2]), ([0, 1], [1]), ([0.5, 1], [1, 2])])
def test_held_out_losses_of_no_sample_are_refused(indices, losses):
    with pytest.raises(MsCoresetError, match="indices"):
        mc.Recorder(N, fields=("validation_loss",)).record_validation(0, indices, losses)


@pytest.mark.parametrize("fields", [None, ("loss",), "stream"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_record_is_not_begun_anew_unless_that_is_said(fields, finished, tmp_path):
    options = {"folder": tmp_path, "epochs": EPOCHS}
    former = mc.Recorder(N, fields=fields, **options)
    show(former, 0, EPOCHS if finished else 2)
    if finished:
        former.close()
    else:
        former.record(2, np.arange(3), logits_of(2)[:3], LABELS[:3])
    files = sorted(tmp_path.rglob("*.np?"))
    with pytest.raises(MsCoresetError, match="holds a record: resume=True goes on with it, overwrite=True"):
        mc.Recorder(N, fields=fields, **options)
    with pytest.raises(MsCoresetError, match="resume and overwrite: go on"):
        mc.Recorder(N, fields=fields, resume=True, overwrite=True, **options)
    with pytest.raises(MsCoresetError, match="can't record los"):
        mc.Recorder(N, fields=("los",), overwrite=True, **options)
    assert sorted(tmp_path.rglob("*.np?")) == files
    with mc.Recorder(N, fields=("probability", "correct"), overwrite=True, **options) as recorder:
        show(recorder, 0, 3)
    assert sorted(arrays_of(load_dynamics(tmp_path))) == ["correct", "probability"]
    assert np.isnan(load_dynamics(tmp_path).probability[3:]).all()


def test_where_there_is_no_record_any_of_them_begins(tmp_path):
    for number, how in enumerate(({}, {"resume": True}, {"overwrite": True})):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "labels.npy").write_bytes(b"mine")
        with mc.Recorder(N, folder=folder, **how) as recorder:
            show(recorder, 0, 2)
        assert (folder / "labels.npy").read_bytes() == b"mine"
        assert len(load_dynamics(folder).loss) == 2
