"""The drawing in CONTRIBUTING.md: imports go down only, in functions, too, and in no circle."""

import ast
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ms_coreset

LIBRARY = Path(ms_coreset.__file__).parent
# From the ground up: a module or package imports from floors below its own, or from itself.
FLOORS = [
    {"kinds", "terminal"},
    {"errors", "pickles", "progress"},
    {"stored_rows"},
    {"arrays", "batches", "distributed", "files", "locks", "randomness", "registry", "rows"},
    {"checksums", "device", "evidence_checks", "json_files", "npy_files", "npz", "pickle_files",
     "safetensors_files", "softmax", "tables", "yaml_files"},
    {"engines"},
    {"coreset", "evidence", "identity"},
    {"networks", "perturbations", "selectors"},
    {"datasets", "estimator", "samplers"},
    {"extraction"},
    {"training"},
    {"jobs"},
    {"experiment"},
    {"cli"},
    {"__main__"}]
_SLOW_TO_START = ("mindspore", "torch")


def _asks_for_types(condition):
    return isinstance(condition, ast.Name) and condition.id == "TYPE_CHECKING"


class House:
    """Who imports whom in a package below ``root``; what is imported for annotations alone, which never run, is not.

    imports: module -> {imported module: line}, in functions, too; lazy: those that are in functions alone; outside:
    module -> the packages of others that it imports when it is imported
    """

    def __init__(self, root):
        self.root, self._name = root, root.name
        self.imports, self.lazy, self.outside = defaultdict(dict), defaultdict(dict), defaultdict(set)
        for path in sorted(root.rglob("*.py")):
            self._read(path)

    def _read(self, path):
        module, tree = self._module(path), ast.parse(path.read_text(encoding="utf-8"))
        self.imports[module] = {}
        inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef | ast.Lambda)
                  for node in ast.walk(function)}
        for_types = {id(node) for block in ast.walk(tree) if isinstance(block, ast.If) and _asks_for_types(block.test)
                     for node in ast.walk(block)}
        for node in ast.walk(tree):
            for imported in () if id(node) in for_types else self._imports_of(node):
                own = imported.partition(".")[0] == self._name
                if own and imported != self._name:
                    self.imports[module].setdefault(imported, node.lineno)
                    if id(node) in inside:
                        self.lazy[module][imported] = node.lineno
                elif not own and id(node) not in inside:
                    self.outside[module].add(imported.partition(".")[0])

    def _imports_of(self, node):
        """Modules that a statement imports; of names from a package, those that are modules of it."""
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        assert not node.level, "imports are absolute"
        found = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if self._is_module(name) else node.module for name in found]

    def _is_module(self, name):
        path = self.root.parent.joinpath(*name.split("."))
        return path.is_dir() or path.with_suffix(".py").is_file()

    def _module(self, path):
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def rooms(self):
        """Room, the first part below the root, -> {room it imports from: where}."""
        found = defaultdict(dict)
        for module, imported in self.imports.items():
            for other, line in imported.items():
                if _room(module) != _room(other):
                    found[_room(module)].setdefault(_room(other), f"{module}:{line} imports {other}")
        return found

    def upward(self, floors):
        """Where an import does not go to a lower floor."""
        height = {room: number for number, rooms in enumerate(floors) for room in rooms}
        return [where for room, others in self.rooms().items() for other, where in others.items()
                if height[room] <= height[other]]

    def slow(self):
        """Modules whose import starts MindSpore or torch."""
        starting = {module for module, packages in self.outside.items() if packages & {*_SLOW_TO_START}}
        while more := {module for module, imported in self.imports.items() if module not in starting
                       and any(other in starting for other in imported.keys() - self.lazy[module].keys())}:
            starting |= more
        return starting


def _room(module):
    return [*module.split("."), module][1]


def circle(graph):
    """One of a graph, as a list, or None."""
    try:
        TopologicalSorter({node: list(others) for node, others in graph.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return None


@pytest.fixture(scope="module")
def house():
    return House(LIBRARY)


def test_every_room_has_its_floor(house):
    rooms = {_room(module) for module in house.imports} - {"ms_coreset"}
    assert rooms == set().union(*FLOORS)
    assert len(rooms) == sum(map(len, FLOORS))


def test_imports_go_down(house):
    assert house.upward(FLOORS) == []


def test_no_rooms_and_no_modules_import_one_another_in_a_circle(house):
    assert circle(house.rooms()) is None
    assert circle(house.imports) is None


def test_the_library_starts_nothing_but_by_what_is_imported_late(house):
    """What a function imports of ours alone is what starts MindSpore or torch, and in a command once."""
    slow = house.slow()
    assert {f"{module} imports {other}" for module, others in house.lazy.items() for other in others.keys() - slow
            } == set()
    assert all(len(others) == 1 for module, others in house.lazy.items() if others and _room(module) == "cli")
    assert {module for module in slow if _room(module) == "cli"} == set()


def test_one_file_knows_torch_ref(house):
    assert {module for module, packages in house.outside.items() if "torch_ref" in packages} == {
        "ms_coreset.engines.of_torch"}
    assert [path.name for path in LIBRARY.rglob("*.py") if re.search(r"import torch_ref|from torch_ref",
                                                                     path.read_text(encoding="utf-8"))
            ] == ["of_torch.py"]


def test_each_framework_s_collectives_are_one_file():
    """What ranks do is told by no framework's names."""
    found = {path.name: set(re.findall(r"^\s*(?:import|from) (mindspore|torch)\b", path.read_text(encoding="utf-8"),
                                       re.MULTILINE)) for path in (LIBRARY / "distributed").glob("*.py")}
    assert {name: frameworks for name, frameworks in found.items() if frameworks} == {
        "of_mindspore.py": {"mindspore"}, "of_torch.py": {"torch"}}


def test_only_commands_know_of_argparse_and_they_write_into_no_namespace(house):
    assert {_room(module) for module, packages in house.outside.items() if "argparse" in packages} == {"cli"}
    for path in (LIBRARY / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                assert ast.unparse(node.value) != "arguments", (path, node.lineno)
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert not re.fullmatch(r"vars\(.*\)\.\w+", called) or called.endswith(".items"), (path, node.lineno)
                if called.endswith("Namespace"):  # one for the parser to fill
                    assert (path.name, node.args, node.keywords) == ("configuration.py", [], [])


def test_the_drawing_names_every_package():
    text = (LIBRARY.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = text.split("## The house")[1].split("```")[1]
    for package in (path.parent.name for path in LIBRARY.glob("*/__init__.py")):
        assert f"{package}/" in drawing
        assert f"| `ms_coreset/{package}/` |" in text or package == "distributed"


@pytest.fixture
def builder(tmp_path):
    """A function that builds a package of these modules, and gives its ``House``."""
    def build(**modules):
        for name, text in {"__init__": "", **modules}.items():
            path = tmp_path / "ms_coreset" / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return House(tmp_path / "ms_coreset")

    return build


def test_an_arrow_upwards_is_found_in_a_function_too(builder):
    found = builder(low="def f():\n    from ms_coreset.high import g", high="import ms_coreset.low")
    assert found.upward([{"low"}, {"high"}]) == ["ms_coreset.low:2 imports ms_coreset.high"]
    assert found.upward([{"low", "high"}]) == ["ms_coreset.high:1 imports ms_coreset.low",
                                               "ms_coreset.low:2 imports ms_coreset.high"]
    assert set(circle(found.rooms())) == {"low", "high"}


def test_a_circle_within_a_package_is_found(builder):
    found = builder(**{"room__in__a": "from ms_coreset.room import b", "room__in__b": "from ms_coreset.room.c import x",
                       "room__in__c": "class C:\n    def f(self):\n        import ms_coreset.room.a"})
    assert circle(found.rooms()) is None
    assert {f"ms_coreset.room.{name}" for name in "abc"} == set(circle(found.imports))


def test_what_starts_mindspore_is_found_through_others(builder):
    late = "def f():\n    "
    found = builder(a="import mindspore.ops", b="from ms_coreset.a import x", c=f"{late}from ms_coreset.b import y",
                    d=f"{late}import torch", e=f"{late}from ms_coreset import d")
    assert found.slow() == {"ms_coreset.a", "ms_coreset.b"}
    assert {**found.lazy} == {"ms_coreset.c": {"ms_coreset.b": 2}, "ms_coreset.e": {"ms_coreset.d": 2}} | {
        module: {} for module in found.lazy if module[-1] not in "ce"}
