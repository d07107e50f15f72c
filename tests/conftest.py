import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # the processes of a run share the cores; before NumPy starts threads
    _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // _workers)))


@pytest.fixture(scope="session")
def real_data():
    """Folder with real data sets, each laid out as its publisher does; tests that want one look for it themselves."""
    folder = os.environ.get("MS_CORESET_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MS_CORESET_DATA names no folder with real data")
    return Path(folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which the test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
