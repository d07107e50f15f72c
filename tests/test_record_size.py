"""What recording is told to take is what it takes."""

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError
from ms_coreset.training.dynamics import FIELDS, RECORDS, FieldRecorder
from ms_coreset.training.streams import StreamRecorder
from tests.test_streams import size

N, C = 700, 9
LABELS = np.arange(N) % C


def shown(recorder):
    """The recorder after an epoch."""
    recorder.record(0, np.arange(N), np.random.RandomState(0).randn(N, C).astype(np.float32), LABELS)
    recorder.record_validation(0, np.arange(70), np.ones(70))
    recorder.flush()
    return recorder


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("epochs", [5, 10, 300])
def test_streams(epochs, validated):
    told = mc.estimate_record(N, classes=C, epochs=epochs, record="stream", validated=validated)
    assert told.memory == pytest.approx(size(shown(StreamRecorder(LABELS, epochs, validated))), abs=4 * C)


@pytest.mark.parametrize("record", [FIELDS, RECORDS, ("correct",), ("divergence", "loss"), ()])
def test_records_in_memory_and_in_files(tmp_path, record):
    told = mc.estimate_record(N, classes=C, epochs=6, record=record, folder=False)
    assert told.memory == size(shown(FieldRecorder(record, 6, N))) and told.disk == 0
    recorder = shown(FieldRecorder(record, 6, N, tmp_path))
    recorder.keep_state(1)
    told = mc.estimate_record(N, classes=C, epochs=6, record=record)
    assert told.disk == pytest.approx(sum(path.stat().st_size for path in tmp_path.iterdir()), abs=2000)
    assert told.memory == (4 * N * C + 4 * N if "divergence" in record else 0)


def test_what_is_recorded_by_default_follows_from_the_size():
    assert mc.estimate_record(N, classes=C, epochs=6) == mc.estimate_record(N, classes=C, epochs=6, record=RECORDS)
    large = {"n": 1_281_167, "classes": 1000, "epochs": 90}
    assert mc.estimate_record(**large) == mc.estimate_record(**large, record=(*FIELDS, "validation_loss"))
    assert str(mc.estimate_record(**large, record="stream")) == "5.1 GB of memory, 5.1 GB of files"


@pytest.mark.parametrize(("wrong", "message"), [
    ({"n": 0}, "n 0"), ({"classes": 0}, "classes 0"), ({"epochs": 1.5}, "epochs 1.5"),
    ({"record": ("speed",)}, "can't record speed"), ({"record": "loss"}, "or 'stream' alone")])
def test_what_can_not_be_meant(wrong, message):
    with pytest.raises(MsCoresetError, match=message):
        mc.estimate_record(**{"n": N, "classes": C, "epochs": 6, **wrong})
