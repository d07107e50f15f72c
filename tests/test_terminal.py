"""What comes from outside is printed, and written to pages, through one place that makes it harmless."""

import ast
import contextlib
import json
import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

import ms_coreset as mc
from ms_coreset import terminal
from ms_coreset.cli import main
from ms_coreset.experiment.report import write_report
from ms_coreset.experiment.report.markup import escape, tag
from ms_coreset.progress import Progress
from tests.fuzz.outcomes import control_characters

ROOT = Path(__file__).resolve().parents[1]
EVIL = "\x1b[2J\x07\x9b31m\u202egnp\x7f<script>alert(1)</script>[x](javascript:y)\n\rnote: forged"


def test_lines_are_printable():
    assert terminal.printable("a\n\tb \x1b[2J\x9b\u202e\udcff") == "a\n\tb \\x1b[2J\\x9b\\u202e\\udcff"
    assert terminal.one_line("a\nb\tc  d\x1b") == "a b c d\\x1b"
    assert len(terminal.one_line("x" * 10**6)) < 5000


def test_nothing_else_prints():
    """No ``print``, and no writing to a stream, but in ``terminal``."""
    found = []
    for path in sorted((ROOT / "ms_coreset").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"print|.*\b(print_exc|getLogger)|sys\.(stdout|stderr)\.write", called):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert [place for place in found if not place.startswith("ms_coreset/terminal.py")] == []


def test_everything_that_tells_is_cleaned(capsys, caplog, monkeypatch):
    monkeypatch.setattr("ms_coreset.progress.LINE_INTERVAL", 0)
    with Progress(2, EVIL, start=1) as progress:
        progress.update(1)
    terminal.say(EVIL)
    terminal.complain(EVIL)
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1 and len(told.err.splitlines()) == 2
    assert control_characters(told.out + told.err) is None
    with terminal.printable_warnings():
        warned = warnings.formatwarning(EVIL, UserWarning, "file\x1b", 1, "x = '\x1b'")
    assert len(warned.splitlines()) == 2 and control_characters(warned) is None
    with caplog.at_level(logging.WARNING, "ms_coreset"):
        terminal.warn(EVIL)
    assert control_characters(caplog.messages[0]) is None


def test_pages_hold_no_control_characters():
    assert control_characters(escape(EVIL) + tag("a", EVIL, title=EVIL)) is None
    assert "<script" not in escape(EVIL)


def hostile_arrays(folder):
    """An .npz of images whose classes' names are hostile, and a coreset of it whose notes are."""
    rng, classes = np.random.RandomState(0), np.array([f"{EVIL}{number}" for number in range(3)])
    labels = np.arange(30) % 3
    np.savez(folder / "mine.npz", images=rng.randint(0, 255, (30, 8, 8, 1)).astype(np.uint8), labels=labels,
             classes=classes, test_images=rng.randint(0, 255, (6, 8, 8, 1)).astype(np.uint8),
             test_labels=np.arange(6) % 3)
    notes = {EVIL: EVIL, "dataset": "arrays", "command": EVIL, "versions": {EVIL: [EVIL]}, "device": EVIL,
             "arguments": {"dataset": "arrays", "rate": 0.5, "method": "random", "data": EVIL}}
    for name in ("a", "b\x1b[2J"):
        mc.Coreset(np.arange(3) + len(name), 30, 0.5, method=EVIL, options={EVIL: EVIL}, weights=np.ones(3),
                   manifest=notes).save(folder / f"{name}.npz")


COMMANDS = (
    ("coreset", "show", "a.npz", "--dataset", "arrays", "--data", "mine.npz", "--classes"),
    ("coreset", "diff", "a.npz", "b\x1b[2J.npz", "--dataset", "arrays", "--data", "mine.npz", "--classes"),
    ("coreset", "show", f"{EVIL}.npz"), ("coreset", "show", "a.npz", "--export", "kept\x1b[2J.csv", "--no-data"),
    ("select", "--from-manifest", "a.npz", "--data", "mine.npz", "--save", "out\x1b[2J"),
    ("select", "--dataset", EVIL), ("select", f"--{EVIL}"), ("select", "--dataset", "arrays", "--method", EVIL),
    ("select", "--dataset", "arrays", "--data", "mine.npz", "--method", "random", "--rate", "0.5", "--save", "\x9bout"),
    ("train", "--dataset", "arrays", "--data", "mine.npz", "--coreset", "a.npz", "--arch", "mlp", "--epoch", "1",
     "--model-dir", "ckpt\x1b[2J"),
    ("score", "--dataset", "arrays", "--data", "mine.npz", "--arch", "mlp", "--epoch", "1", "--scores", "el2n",
     "--save", "scores\u202e"),
    ("label-noise", "--dataset", "arrays", "--data", "mine.npz", "--preview", "drawn\x1b[2J.png"),
    ("corrupt", "--dataset", "arrays", "--data", "mine.npz", "--shares", f"{EVIL}=0.5"),
    ("corrupt", "--dataset", "arrays", "--data", "mine.npz", "--preview", "drawn\x1b[2J.png"),
    ("attack", "--dataset", "arrays", "--data", "mine.npz", "--arch", "mlp", "--epoch", "1"),
    ("convert-tiny", "--data", EVIL), ("convert-checkpoint", EVIL, "x.ckpt"),
    ("convert-checkpoint", "a.npz", f"x{EVIL}.ckpt"), ("report", EVIL), ("report", "study", "--markdown", "t\x1b.md"),
    ("experiment", "--config", "mine.yaml", "--dry-run"), ("experiment", "--config", EVIL),
    ("experiment", "--config", "evil.yaml"),
    ("experiment", "--dataset", "digits", "--methods", "random", "--rate", "0.1", "--pool", "60", "--epoch", "1",
     "--label", f"digits={EVIL}", "--save", "out\x1b[2J"), (EVIL,))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    hostile_arrays(folder)
    (folder / "mine.yaml").write_text(yaml.safe_dump({"datasets": "digits", "label": {"digits": EVIL}, "rates": 0.1,
                                                      "methods": ["random"], "name": "x\x1b[2J"}))
    (folder / "evil.yaml").write_text(yaml.safe_dump({EVIL: EVIL}))
    record = {"key": "a", "status": "done", "dataset": EVIL, "method": EVIL, "rate": 0.5, "seed": 0, "label": EVIL,
              "accuracy": {"last": 0.5}, "train_arch": EVIL, "command": EVIL, "indices": EVIL, "n": 30,
              "bad": {"available": 0.5, "kept": 0.1, "kinds": {EVIL: {"available": 0.5, "kept": 0.1}}}}
    (folder / "study").mkdir()
    (folder / "study/runs.jsonl").write_text("".join(json.dumps({**record, "key": key, "seed": seed}) + "\n"
                                                     for seed, key in enumerate("ab")))
    (folder / "study/study.yaml").write_text(yaml.safe_dump({"methods": [EVIL], "rates": [0.5, 0.7], "name": EVIL}))
    return folder


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: terminal.printable(" ".join(words[:3]))[:40])
def test_no_command_prints_control_characters(words, hostile, monkeypatch, capsys):
    monkeypatch.chdir(hostile)
    with contextlib.suppress(SystemExit):
        main(list(words))
    told = capsys.readouterr()
    assert told.out + told.err
    assert control_characters(told.out + told.err) is None
    assert not any(line.startswith("note: forged") for line in (told.out + told.err).splitlines())


def test_markdown_and_page_of_a_hostile_study(hostile):
    write_report(hostile / "study", output=hostile / "page.html", data=hostile, markdown=hostile / "tables.md",
                 command=EVIL)
    for name in ("page.html", "tables.md"):
        text = (hostile / name).read_text(encoding="utf-8")
        assert "alert(1)" in text and "<script" not in text and control_characters(text) is None
    tables = (hostile / "tables.md").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\[x\\](javascript:y)" in tables
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1  # no cell makes another


def test_commands_of_a_study_are_words(hostile):
    """What a record says was typed can be pasted into a shell: none of its words is more than a word."""
    from ms_coreset.experiment.report.page import _command

    assert _command("experiment --rates 0.1; touch canary $(id)") == "experiment --rates '0.1;' touch canary '$(id)'"
    assert _command(["a b", "`id`"]) == "'a b' '`id`'" and _command("a 'b\nc") == "'a '\"'\"'b\nc'"


def test_what_is_to_be_typed_next_is_quoted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--dataset", "digits", "--method", "random", "--rate", "0.1", "--save", "a; touch b"], "select") == 0
    assert "--coreset 'a; touch b/digits-random-0.1.npz'" in capsys.readouterr().out

