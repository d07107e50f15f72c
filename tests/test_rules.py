"""Rules by name: one registry of them with their options, for texts, flags, lists and plugins alike."""

import shlex

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import RULES
from ms_coreset.selectors.choice import Choice
from ms_coreset.selectors.options import Count
from ms_coreset.selectors.quota import Request

mc.set_device("CPU")
N = 60


def evidence(n=N, classes=3, seed=0, **fields):
    rng = np.random.RandomState(seed)
    arrays = {"features": rng.randn(n, 4), "logits": rng.randn(n, classes)}
    return mc.Evidence(np.arange(n) % classes, **{**arrays, **fields})


@pytest.fixture
def thinned():
    """A rule of one's own: every ``step``-th of the ranking, with an option that the score ``el2n`` has, too."""
    @mc.register_rule("thinned", needs=("logits",), nested=lambda options: options["step"] == 2)
    def thinned(values, evidence, request, step: Count = 2, first=0):
        """Every ``step``-th of the ranking."""
        def pick(rows, k):
            return rows[np.argsort(-values[rows], kind="stable")[first::step][:k]]

        return mc.Selection(mc.pick_by_group(evidence.labels, request, pick))

    yield
    RULES.remove("thinned")


def test_a_rule_of_ones_own_goes_every_way(thinned):
    order = np.argsort(-mc.score("loss", evidence()), kind="stable")
    choice = Choice.parse("Loss-Thinned:step=4")
    assert (choice.text, choice.needs, choice.nested) == ("loss-thinned:step=4", ("logits",), False)
    assert Choice.parse("loss-thinned").nested
    coreset = choice.choose(evidence(), Request(0.2))
    np.testing.assert_array_equal(coreset.indices, order[:4 * 12:4])
    np.testing.assert_array_equal(coreset.scores, mc.score("loss", evidence()))
    assert coreset.options == {"step": 4, "balance": False}
    assert mc.describe("thinned") == {"name": "thinned", "summary": "Every ``step``-th of the ranking.", "source": "",
                                      "needs": ["labels", "logits"], "options": {"step": 2, "first": 0},
                                      "cost": "n log n"}
    assert mc.list_rules("th*") == ["thinned"]


def test_an_option_that_score_and_rule_have_goes_to_both(thinned):
    rng = np.random.RandomState(1)
    dynamics = mc.TrainingDynamics(error_norm=rng.rand(5, N).astype(np.float32))
    recorded = evidence(dynamics=dynamics)
    coreset = mc.select_by("el2n", "thinned", recorded, rate=0.1, first=2)
    values = mc.score("el2n", recorded, first=2)
    assert (values != mc.score("el2n", recorded)).any()
    np.testing.assert_array_equal(coreset.scores, values)
    np.testing.assert_array_equal(coreset.indices, np.argsort(-values, kind="stable")[2:2 + 12:2])


@pytest.mark.parametrize(("text", "message"), [
    ("loss-thinned:step=0", "thinned: step 0: must be a whole number, 1 or more"),
    ("loss-thinned:stop=1", "loss by thinned has no option 'stop', did you mean 'step'"),
    ("loss-thinner", "unknown method 'loss-thinner'")])
def test_mistakes_are_of_the_rule(thinned, text, message):
    with pytest.raises(MsCoresetError) as error:
        Choice.parse(text)
    assert message in str(error.value)


def test_what_a_rule_lacks_is_named(thinned):
    with pytest.raises(MsCoresetError, match="thinned needs logits, which this evidence lacks"):
        mc.select_by("center_distance", "thinned", evidence(logits=None), rate=0.2)


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """A folder with a data set of arrays, and a function that runs ``select`` on it and gives the coreset."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", labels=evidence().labels, features=evidence().features, logits=evidence().logits)

    def select(options, save="index"):
        assert main(shlex.split(f"--dataset arrays --data mine.npz --save {save} {options}"), "select") == 0
        path = max((tmp_path / save).glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        return path, mc.Coreset.load(path)

    return select


def test_a_rule_is_typed_in_both_spellings_listed_and_repeated(thinned, arrays, capsys):
    path, by_flags = arrays("--rate 0.1 --score loss --rule thinned --step 3")
    _, by_text = arrays("--rate 0.1 --method loss-thinned:step=3", "other")
    np.testing.assert_array_equal(by_flags.indices, by_text.indices)
    assert by_flags.options == by_text.options == {"step": 3, "balance": False}
    assert main(["--from-manifest", str(path), "--data", "mine.npz"], "select") == 0
    capsys.readouterr()
    assert main(["--list"], "select") == 0
    listed = capsys.readouterr().out
    assert "thinned: Every ``step``-th of the ranking.\n  needs labels, logits; cost n log n\n" in listed
    assert "  options: --strata 50, --mis-ratio 0.0, --cutoff-score accumulated_margin" in listed
