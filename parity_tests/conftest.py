"""Without PyTorch there is nothing to compare with."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def models():
    """torchvision's networks."""
    from torch_ref.torchvision_compat import import_torchvision

    try:
        return import_torchvision().models
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision can't be imported: {error}")
