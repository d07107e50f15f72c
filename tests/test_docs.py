"""Documentation that is made from the code is what the code says; links lead somewhere."""

import importlib
import inspect
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import ms_coreset as mc
from tests.mutants import trial

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_methods_page_is_up_to_date():
    generate = runpy.run_path(str(ROOT / "docs" / "generate_methods.py"))
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert written.startswith(generate["page"]()), "run python docs/generate_methods.py"


def test_dependencies_page_has_the_versions_that_are_tested_together():
    generate = runpy.run_path(str(ROOT / "docs" / "generate_dependencies.py"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    _, *written = re.findall(r"^\| (\S+) \| (\S+) \|", page, re.M)
    assert written == generate["pins"](), "run python docs/generate_dependencies.py"


@pytest.mark.parametrize("package", ["selectors", "training", "extraction", "datasets", "cli"])
def test_every_module_that_mutants_change_has_tests_for_it(package):
    modules = trial.modules_of([package])
    assert len(modules) == len(list((ROOT / "ms_coreset" / package).rglob("*.py")))
    assert all((ROOT / file).is_file() for module in modules for file in trial.tests_for(module))
    named = [ROOT / "ms_coreset" / name for name in trial.TESTS if name.split("/")[0] == package]
    assert all(path.is_dir() or path.with_suffix(".py").is_file() for path in named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize(("repository", "link"), [
    ("https://example.org/x", "[Methods and scores](https://example.org/x/blob/main/docs/methods.md)"),
    (None, "Methods and scores (`docs/methods.md`)")])
def test_a_package_index_is_given_no_relative_links(monkeypatch, repository, link):
    monkeypatch.setitem(sys.modules, "setuptools", SimpleNamespace(setup=dict, find_packages=lambda include: include))
    for_an_index = runpy.run_path(str(ROOT / "setup.py"))["for_an_index"]
    text = for_an_index((ROOT / "README.md").read_text(encoding="utf-8"), repository)
    assert link in text and "[MindSpore](https://www.mindspore.cn/en)" in text
    assert not re.search(r"\]\((?!https://)", text)


def test_the_version_stands_in_the_package_and_is_told_alike():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert "version" in project["dynamic"]
    assert newest.groups() == (citation["version"], str(citation["date-released"]))
    assert citation["version"] == mc.__version__


def test_every_public_name_is_on_the_page_of_them():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: ms_coreset\.(\w+)$", page, re.M)) == mc.__all__


def public_functions():
    """Every function and method of ``mc.__all__`` that users call, by name."""
    for name in mc.__all__:
        value = getattr(mc, name)
        if not inspect.isclass(value):
            yield name, value
            continue
        for attribute, member in vars(value).items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function) and not attribute.startswith("_") and function.__name__ != "<lambda>":
                yield f"{name}.{attribute}", function


@pytest.mark.parametrize("name", dict(public_functions()))
def test_what_is_public_says_its_types(name):
    function = dict(public_functions())[name]
    signature = inspect.signature(function)
    bare = [parameter.name for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")]
    assert not bare
    assert signature.return_annotation is not signature.empty
    assert inspect.getdoc(function)


def commands_in(page):
    """The commands of a page that begin with "python scripts/", whole ones."""
    text = page.read_text(encoding="utf-8")
    return [line for line in re.findall(r"python scripts/[^`|\n]+", text) if "..." not in line and "$" not in line]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_in(page)], ids=lambda page: page.name)
def test_commands_have_these_options(page):
    for line in commands_in(page):
        _, script, *words = shlex.split(line, comments=True)
        module = importlib.import_module(f"ms_coreset.cli.{Path(script).stem}")
        if "--plugin" not in words:  # those are run, in test_extending
            module.parser(script).parse_args(words)


@pytest.mark.parametrize(("section", "least"), [("datacull and dPrune", 14), ("cleanlab and FiftyOne", 12),
                                                ("submodlib and apricot", 30)])
def test_every_row_beside_the_libraries_is_possible(section, least, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    text = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = [line.rsplit(" | ", 1)[1] for line in text.splitlines() if line.startswith("| ")][1:]
    rng = np.random.RandomState(0)
    features = rng.rand(40, 5)
    known = mc.Evidence(labels=np.arange(40) % 2, features=features, logits=rng.randn(40, 2))
    names = {"mc": mc, "np": np, "X": features, "y": known.labels, "known": known, "n": 40, "k": 8, "d": 5, "c_of_y": 2,
             "K": features @ features.T, "Q": features[:3] + 0.1, "P": features[5:7], "w": np.ones(5),
             "c": np.arange(1.0, 41), "first": [3, 1], "s": rng.rand(40)}
    assert len(rows) >= least
    for row in rows:
        calls = re.findall(r"`((?:\w+ = |1 - |np\.\w+\(-?)?(?:mc|sieve)\.\w+\([^`]*\)(?:\.\w+)?(?: > 0.5\))?)`", row)
        assert calls or "in two rounds" in row or "python scripts/" in row, row
        for call in calls:
            name, _, expression = call.rpartition(" = ") if call.startswith("sieve = ") else ("", "", call)
            chosen = eval(expression, names)
            names |= {name: chosen} if name else {}
            if call.startswith("mc.select") and "cost=" not in call:
                assert len(getattr(chosen, "indices", chosen)) in (8, 10, 32), call


def test_the_library_names_nothing_that_only_a_checkout_has():
    for module in (ROOT / "ms_coreset").rglob("*.py"):
        assert not re.search(r"scripts/|pip install.* -e", module.read_text(encoding="utf-8")), module
