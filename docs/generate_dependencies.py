"""Writes docs/dependencies.md: what is installed with this package, by whom it is needed, and under which licence.

The versions are those of constraints.txt, the licences what the installed packages say of themselves.
"""

import importlib.metadata
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HEAD = """# Dependencies

Versions of [constraints.txt](../constraints.txt), which were tested together, and the licence that each package states
of itself. Nothing of theirs is copied into this repository; all are installed by pip. Made by
`python docs/generate_dependencies.py`.

| package | version | licence | needed |
|---|---|---|---|
"""


def pins():
    """(name, version) of every line of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("==")) for line in lines if "==" in line]


def page():
    rows = (f"| {name} | {version} | {_license(name)} | {_extra_of(name)} |\n" for name, version in pins())
    return _HEAD + "".join(rows)


def _license(name):
    stated = importlib.metadata.metadata(name)
    if stated.get("License-Expression"):
        return stated["License-Expression"]
    classes = [entry.rpartition(" :: ")[2] for entry in stated.get_all("Classifier", [])
               if entry.startswith("License :: ")]
    return "; ".join(classes) or (stated.get("License") or "not stated").splitlines()[0]


def _extra_of(name):
    """The extra of pyproject.toml that names it, or nothing: others need it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"always": project["dependencies"], **project["optional-dependencies"]}
    return ", ".join(group for group, lines in groups.items() if _plain(name) in map(_plain, map(_name_of, lines))) or (
        "by others here")


def _name_of(line):
    return re.match(r"[\w.-]+", line).group()


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    (ROOT / "docs" / "dependencies.md").write_text(page(), encoding="utf-8")
