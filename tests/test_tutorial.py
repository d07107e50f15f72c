"""docs/tutorial.md: its commands run one after the other in an empty folder, and print what it shows."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def mask(text):
    """The lines of a text, numbers and spaces apart: what other machines print, too."""
    return [re.sub(r"\s+", " ", re.sub(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", "#", line)).strip()
            for line in text.splitlines()]


def run(line, here):
    """What a command of the page prints, a Python program of the page likewise."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *line], cwd=here, env=environment, text=True, capture_output=True,
                          timeout=3600)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_page_is_made_of_commands_and_what_they_print():
    assert {kind for kind, _ in BLOCKS} == {"bash", "text", "python"}
    commands = [line for kind, text in BLOCKS[1:] if kind == "bash" for line in text.strip().splitlines()]
    assert len(commands) >= 8
    assert all(line.startswith("python scripts/") for line in commands)
    assert BLOCKS[0][1].startswith("python3 -m venv")  # the installation, which the tests run after


@pytest.mark.slow
def test_every_command_runs_and_prints_what_is_shown(tmp_path):
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    printed = ""
    for kind, text in BLOCKS[1:]:
        if kind == "bash":
            printed = "".join(run(shlex.split(line)[1:], tmp_path) for line in text.strip().splitlines())
        elif kind == "python":
            printed = run(["-c", text], tmp_path)
        else:
            lines = mask(printed)
            for line in mask(text):
                assert line == "..." or line in lines, f"{line}\nis not among\n{printed}"
