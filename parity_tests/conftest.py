"""Without PyTorch, or MindSpore, there is nothing to compare but with the peers' own arrays."""

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("mindspore") is None:
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py")
                      if path.name != "test_peers_arrays.py"]


@pytest.fixture(scope="session")
def models():
    """torchvision's networks."""
    from torch_ref.torchvision_compat import import_torchvision

    try:
        return import_torchvision().models
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision can't be imported: {error}")
