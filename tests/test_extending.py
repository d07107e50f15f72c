"""docs/extending.md: its files are plugins, its commands and its Python run, and what they add is taken out again."""

import contextlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset import networks
from ms_coreset.cli import main
from ms_coreset.cli.common import plugins
from ms_coreset.datasets.family import DATASETS
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, SCORES

mc.set_device("CPU")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
REGISTRIES = (METHODS, SCORES, DATASETS, networks._NETWORKS)
# Title -> its blocks, each (language, text).
SECTIONS = {title: re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
            for title, text in re.findall(r"^## (A [^\n]+)$(.*?)(?=^## )", PAGE.read_text(encoding="utf-8"),
                                          re.DOTALL | re.MULTILINE)}


@contextlib.contextmanager
def taken_out_again():
    """Whatever is registered, or imported, within, is not after it."""
    before, modules = [set(registry.names()) for registry in REGISTRIES], set(sys.modules)
    try:
        yield
    finally:
        for registry, names in zip(REGISTRIES, before, strict=True):
            for name in set(registry.names()) - names:
                registry.remove(name)
        for name in set(sys.modules) - modules:
            if name.startswith(plugins._PREFIX) or not hasattr(sys.modules[name], "__spec__") or (
                    getattr(sys.modules[name], "__file__", None) or "").startswith(str(Path.cwd())):
                del sys.modules[name]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with taken_out_again():
        yield tmp_path


def typed(line):
    """Run a command of the page: "python scripts/NAME.py ..."."""
    words = shlex.split(line)
    assert words[0] == "python"
    return main(words[2:], Path(words[1]).stem)


def written(blocks):
    """Write the files among a section's blocks, and return the names of what they are to register."""
    for kind, text in blocks:
        if kind == "python" and (name := re.match(r"# (\w+\.py)\n", text)):
            Path(name[1]).write_text(text)
    return re.findall(r'register_\w+\("(\w+)"', "".join(text for _, text in blocks))


def registered():
    return {name for registry in REGISTRIES for name in registry.names()}


def test_the_page_has_a_section_for_each():
    assert list(SECTIONS) == ["A method", "A score", "A data set", "A network"]
    for blocks in SECTIONS.values():
        assert [kind for kind, _ in blocks] == ["python", "bash", "python"]


@pytest.mark.parametrize("title", SECTIONS)
def test_commands_of_the_page_run_with_the_plugin(title, here, capsys):
    (name,) = written(SECTIONS[title])
    assert name not in registered()
    for kind, text in SECTIONS[title]:
        for line in text.strip().splitlines() if kind == "bash" else ():
            assert typed(line) == 0, capsys.readouterr().err
    assert name in registered()


@pytest.mark.parametrize("title", SECTIONS)
def test_python_of_the_page_runs(title, here):
    (name,) = written(SECTIONS[title])
    exec(SECTIONS[title][-1][1], {})
    assert name in registered()


def test_what_was_added_is_gone():
    assert not {"typical", "length", "stripes", "stripesN", "pooled"} & registered()
    with pytest.raises(MsCoresetError, match="unknown method 'typical'"):
        mc.select("typical", mc.Evidence(np.arange(5)), 0.5)


def test_options_of_a_plugin_s_method_are_the_command_s(here, capsys):
    written(SECTIONS["A method"])
    with pytest.raises(SystemExit):
        main(["--plugin", "typical.py", "--help"], "select")
    assert re.search(r"--power X\s+typical \(2\.0\)", capsys.readouterr().out)
    assert main(["--plugin", "typical.py", "--list"], "select") == 0
    assert "typical: The samples whose features are nearest the mean" in capsys.readouterr().out
    line = "--plugin typical.py --dataset digits --rate 0.1 --method typical --power 0 --epoch 1"
    assert main(shlex.split(line), "select") == 2
    assert "power 0: must be 1 or more" in capsys.readouterr().err


def test_a_configuration_names_a_plugin(here, capsys):
    written(SECTIONS["A score"])
    Path("mine.yaml").write_text("plugin: length.py\ndatasets: digits\nmethods: [length-top]\nepoch: 1\nrates: 0.1\n")
    assert main(["--config", "mine.yaml", "--dry-run"], "experiment") == 0
    assert "1 runs: 0 done" in capsys.readouterr().out


def test_a_selection_by_a_plugin_is_repeated(here, capsys):
    written(SECTIONS["A method"])
    line = "--plugin typical.py --dataset digits --rate 0.1 --method typical --epoch 1"
    assert main(shlex.split(line), "select") == 0
    assert mc.Coreset.load("index/digits-typical-0.1.npz").manifest["command"] == f"select {line}"


@pytest.mark.parametrize(("text", "message"), [
    (None, "no plugin mine.py: give a Python file"),
    ("import ms_coreset as mc\n\n1 / 0\n", "plugin mine.py, line 3: ZeroDivisionError: division by zero"),
    ("def f(:\n", "plugin mine.py: SyntaxError"),
    ("import ms_coreset as mc\nmc.register_method('random')(print)\n",
     "plugin mine.py, line 2: KeyError: \"method 'random' is registered already\"")])
def test_plugins_that_fail(text, message, here, capsys):
    if text is not None:
        Path("mine.py").write_text(text)
    assert main(["--plugin", "mine.py", "--dataset", "digits", "--rate", "0.1"], "select") == 2
    assert message in capsys.readouterr().err


def test_what_a_method_takes_is_said_to_be_unknown():
    with taken_out_again():
        @mc.register_method("mine")
        def mine(evidence, request):
            """Nothing."""

        assert "what the method itself takes is not known" in str(mc.estimate("mine", 100, 5, 2, 0.5))
