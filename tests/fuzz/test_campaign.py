"""A slice of the campaign for every target, in child processes; ``python -m tests.fuzz`` runs as many as are wanted.

What may become of a case is in ``outcomes``: it is refused in one line, gives the right answer, or one that its format
has nothing to tell from it. All else fails here with the target's name and the case's number, which ``--targets`` and
``--case`` repeat.
"""

import pytest

from . import campaign, corpus, outcomes
from .targets import TARGETS

LIGHT = [name for name, target in TARGETS.items() if target.kind == "file" and "mindspore" not in target.imports]
HEAVY = [name for name in TARGETS if name not in LIGHT]
FEW = {"function": 6, "command": 6, "forged": 60, "file": 40}


def failures(tmp_path, names, cases_of, seed=0):
    cases = [(name, case) for name in names for case in range(cases_of(TARGETS[name].kind))]
    answers = list(campaign.run(cases, tmp_path, seed, seconds=120))
    assert len(answers) == len(cases)
    return [(told["target"], told["case"], told["outcome"], told["words"][:300]) for told in answers
            if told["outcome"] in outcomes.BAD]


def test_a_slice_of_readers(tmp_path):
    assert failures(tmp_path, LIGHT, lambda kind: 60) == []


@pytest.mark.slow
def test_a_slice_of_networks_functions_and_commands(tmp_path):
    assert failures(tmp_path, HEAVY, FEW.get) == []


def test_what_once_failed_fails_no_more(tmp_path):
    """Ends of the interpreter, endless reading, memory by the terabyte, wrong answers: see ``corpus``."""
    entries = corpus.entries()
    cases = [(entry["target"], name) for name, entry in entries.items()]
    answers = list(campaign.run(cases, tmp_path, seconds=120))
    assert [told["case"] for told in answers] == list(entries)
    assert [(told["case"], told["outcome"], told["words"][:300], "was " + entries[told["case"]]["was"])
            for told in answers if told["outcome"] in outcomes.BAD] == []


def test_every_kind_of_failure_is_seen(tmp_path, monkeypatch):
    """Cases that do what must not be done: end the process, take too long, too much memory, write elsewhere."""
    names = ["ends", "hangs", "takes memory", "writes elsewhere", "raises", "answers wrong", "prints pages"]
    monkeypatch.setenv("FUZZ_SELF_TEST", "1")
    answers = campaign.run([(name, 0) for name in names], tmp_path, 0, megabytes=256, seconds=2, starting=10)
    expected = ["crash", "hang", "memory", "reached outside", "other error", "wrong answer", "long message"]
    assert [told["outcome"] for told in answers] == expected


def test_cases_are_a_function_of_seed_and_number(tmp_path):
    """Asked in another order, by another process."""
    cases = [("index .bin", case) for case in range(12)]
    first = {told["case"]: (told["outcome"], told["words"].partition("some.bin")[2])
             for told in campaign.run(cases, tmp_path / "a", 3)}
    again = {told["case"]: (told["outcome"], told["words"].partition("some.bin")[2])
             for told in campaign.run(cases[::-1], tmp_path / "b", 3)}
    assert first == again


def test_campaigns_are_shared_out_by_weight():
    counts = campaign.shares(list(TARGETS.values()), 20_000)
    assert counts.keys() == TARGETS.keys() and abs(sum(counts.values()) - 20_000) < len(TARGETS)
    assert counts["IDX"] > counts["select()"] > counts["list_methods()"] >= 1
