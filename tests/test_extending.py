"""docs/extending.md: its files are plugins, its commands and its Python run, and what they add is taken out again."""

import contextlib
import importlib
import re
import shlex
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset import networks
from ms_coreset.cli import main
from ms_coreset.cli.common import plugins
from ms_coreset.datasets.family import DATASETS
from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors import METHODS, RULES, SCORES

mc.set_device("CPU")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
REGISTRIES = (METHODS, RULES, SCORES, DATASETS, networks._NETWORKS)
# Title -> its blocks, each (language, text).
SECTIONS = {title: re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
            for title, text in re.findall(r"^## (A [^\n]+)$(.*?)(?=^## )", PAGE.read_text(encoding="utf-8"),
                                          re.DOTALL | re.MULTILINE)}


@contextlib.contextmanager
def unregister_after():
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
    with unregister_after():
        yield tmp_path


def run_line(line):
    """Run a command of the page: "python scripts/NAME.py ..."."""
    words = shlex.split(line)
    assert words[0] == "python"
    return main(words[2:], Path(words[1]).stem)


def write_files(blocks):
    """Write the files among a section's blocks, and return the names of what they are to register."""
    for kind, text in blocks:
        if kind == "python" and (name := re.match(r"# (\w+\.py)\n", text)):
            Path(name[1]).write_text(text)
    return re.findall(r'register_\w+\("(\w+)"', "".join(text for _, text in blocks))


def registered():
    return {name for registry in REGISTRIES for name in registry.names()}


def test_the_page_has_a_section_for_each():
    assert list(SECTIONS) == ["A method", "A score", "A rule", "A data set", "A network"]
    for blocks in SECTIONS.values():
        assert [kind for kind, _ in blocks] == ["python", "bash", "python"]


@pytest.mark.parametrize("title", SECTIONS)
def test_commands_of_the_page_run_with_the_plugin(title, here, capsys):
    (name,) = write_files(SECTIONS[title])
    assert name not in registered()
    for kind, text in SECTIONS[title]:
        for line in text.strip().splitlines() if kind == "bash" else ():
            assert run_line(line) == 0, capsys.readouterr().err
    assert name in registered()


@pytest.mark.parametrize("title", SECTIONS)
def test_python_of_the_page_runs(title, here):
    (name,) = write_files(SECTIONS[title])
    exec(SECTIONS[title][-1][1], {})
    assert name in registered()


def test_what_was_added_is_gone():
    assert not {"typical", "length", "stripes", "stripesN", "pooled"} & registered()
    with pytest.raises(MsCoresetError, match="unknown method 'typical'"):
        mc.select("typical", mc.Evidence(np.arange(5)), 0.5)


def test_options_of_a_plugin_s_method_are_the_command_s(here, capsys):
    write_files(SECTIONS["A method"])
    with pytest.raises(SystemExit):
        main(["--plugin", "typical.py", "--help-all"], "select")
    assert re.search(r"--power X \(default 2\.0\)", capsys.readouterr().out)
    assert main(["--plugin", "typical.py", "--list"], "select") == 0
    assert "typical: The samples whose features are nearest the mean" in capsys.readouterr().out
    line = "--plugin typical.py --dataset digits --rate 0.1 --method typical --power 0 --epoch 1"
    assert main(shlex.split(line), "select") == 2
    assert "power 0: must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["--dry-run", "", "--dry-run --retry"])
def test_a_configuration_s_plugin_is_run_only_when_it_is_allowed(call, here, capsys):
    write_files(SECTIONS["A score"])
    Path("mine.yaml").write_text("plugin: length.py\ndatasets: digits\nmethods: [length-top]\nepoch: 1\nrates: 0.1\n")
    assert main(shlex.split(f"--config mine.yaml {call}"), "experiment") == 2
    assert "mine.yaml names code to run, plugin length.py: --allow-plugins runs it" in capsys.readouterr().err
    assert "length" not in registered() and not Path("results").exists()
    for allowed in ("--allow-plugins", "--plugin length.py"):
        assert main(shlex.split(f"--config mine.yaml --dry-run {allowed}"), "experiment") == 0
        assert "1 runs: 0 done" in capsys.readouterr().out


@pytest.mark.parametrize("text", [
    "allow-plugins: true\nplugin: evil.py", "rates: [0.1, --plugin, evil.py]",
    "prepare: corrupt --dataset digitsC --plugin evil.py",
    "datasets: [digits, --plugin, evil.py]", "prepare: [corrupt --dataset digitsC --plug evil.py]", "config: evil.yaml",
    "seeds: [0, --plugin=evil.py]", "name: --plugin=evil.py\npool: [5, --plugin, evil.py]",
    "methods: [{ccs: {'mis_ratio=0.3 --plugin evil.py': 1}}]", "label: {digits: x}\nplugin: [evil.py]"])
def test_nothing_else_in_a_configuration_runs_code(text, here, capsys):
    Path("evil.py").write_text("open('canary', 'w')")
    Path("mine.yaml").write_text(f"{text}\n" + ("" if "datasets" in text else "datasets: digitsC\n"))
    with contextlib.suppress(SystemExit):
        assert main(["--config", "mine.yaml", "--methods", "random", "--pool", "20"] if "pool" not in text
                    else ["--config", "mine.yaml"], "experiment") == 2
    assert "error:" in capsys.readouterr().err
    assert not Path("canary").exists()


def test_a_selection_by_a_plugin_is_repeated(here, capsys):
    write_files(SECTIONS["A method"])
    line = "--plugin typical.py --dataset digits --rate 0.1 --method typical --epoch 1 --power 1"
    with unregister_after():
        assert main(shlex.split(line), "select") == 0
    path = "index/digits-typical-0.1.npz"
    assert mc.Coreset.load(path).manifest["command"] == f"select {line}"
    assert main(["--from-manifest", path], "select") == 2
    assert f"{path} was made with code that a file can't ask for" in capsys.readouterr().err
    Path("elsewhere").mkdir()
    Path("typical.py").rename("elsewhere/typical.py")
    assert main(["--from-manifest", path, "--plugin", "elsewhere/typical.py"], "select") == 0
    assert "the same coreset now, byte for byte" in capsys.readouterr().out


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


@pytest.mark.parametrize(("words", "message"), [
    ("--p mine.py", "ambiguous option: --p could match --plugin"),
    ("--plugin", "--plugin: expected at least one argument")])
def test_what_is_wrong_with_the_words_the_command_s_own_parser_says(words, message, here, capsys):
    Path("mine.py").write_text("open('canary', 'w')")
    with pytest.raises(SystemExit):
        main(["--dataset", "digits", "--rate", "0.1", *words.split()], "select")
    errors = capsys.readouterr().err
    assert message in errors and "--from-manifest" in errors
    assert not Path("canary").exists()


@pytest.mark.parametrize("register", [mc.register_method, mc.register_score])
def test_what_a_method_or_a_score_takes_is_said_to_be_unknown_unless_it_is_stated(register):
    with unregister_after():
        register("mine")(lambda evidence: None)
        register("told", work=lambda size, options: (3 * size.d * options["width"], size.k, "slow"))(
            lambda evidence, width=7: None)
        mine, told, wide = (mc.estimate(name, 100, 5, classes=2, rate=0.5, memory="12M", **options) for name, options
                            in (("mine", {}), ("told", {}), ("told", {"width": 10})))
    every = (12 << 20) + 40 * 100
    assert (mine.peak, mine.operations, mine.note) == (every, 100, "what the method itself takes is not known")
    assert (told.peak, told.operations, told.note) == (every + 3 * 5 * 7, 50, "slow")
    assert (wide.peak, wide.fits) == (every + 3 * 5 * 10, False)


@pytest.mark.parametrize(("title", "dtype"), [("A method", "float32"), ("A method", "float64"), ("A score", "float32")])
def test_what_is_stated_on_the_page_is_what_is_taken(title, dtype, here):
    (name,) = write_files(SECTIONS[title])
    importlib.import_module(name)
    n, d = 4_000, 500
    evidence = mc.Evidence(np.arange(n) % 2, np.random.RandomState(0).standard_normal((n, d)).astype(dtype))
    tracemalloc.start()
    mc.select(name, evidence, 0.1)
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = mc.estimate(name, n, d, classes=2, rate=0.1, dtype=dtype).peak - (12 << 20)
    assert 0.7 < measured / said < 1.3, (measured, said)
