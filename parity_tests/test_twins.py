"""Everything that can be named in the MindSpore package has a twin, and neither package knows the other."""

import ast
from pathlib import Path

import pytest

import ms_coreset as mc
import torch_ref

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("listed", "twins"),
    [(mc.list_methods, torch_ref.METHODS), (mc.list_scores, torch_ref.SCORES), (mc.list_networks, torch_ref.NETWORKS)],
    ids=["methods", "scores", "networks"],
)
def test_every_name_has_a_twin(listed, twins):
    names = set(listed())
    assert names, "nothing is registered"
    assert not names - set(twins), "without a torch_ref twin"


TRAINS_BY_TORCH = ROOT / "ms_coreset" / "engines" / "of_torch.py"  # --framework torch: networks, and no selection


@pytest.mark.parametrize(("package", "other"), [("torch_ref", "ms_coreset"), ("ms_coreset", "torch_ref")])
def test_packages_do_not_import_each_other(package, other):
    sources = sorted({*(ROOT / package).rglob("*.py")} - {TRAINS_BY_TORCH})
    assert sources
    for source in sources:
        assert other not in imported_packages(source), f"{source.relative_to(ROOT)} imports {other}"


def test_by_torch_only_networks_are_trained_and_asked():
    parts = {node.module for node in ast.walk(ast.parse(TRAINS_BY_TORCH.read_text(encoding="utf-8")))
             if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch_ref")}
    assert parts and not parts & {"torch_ref", *(f"torch_ref.{path.stem}" for path in (ROOT / "torch_ref").glob("*.py")
                                                 if path.stem not in (
                                                     "training", "extraction", "attack", "torchvision_compat",
                                                     "__init__"))}


def test_torch_ref_does_not_need_mindspore():
    for source in (ROOT / "torch_ref").rglob("*.py"):
        assert "mindspore" not in imported_packages(source)


def imported_packages(source):
    """Top-level names of all that a file imports, also inside functions, and of names given to import_module."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            found |= {word.value.split(".")[0] for word in node.args
                      if isinstance(word, ast.Constant) and isinstance(word.value, str)}
    return found
