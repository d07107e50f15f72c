import os
from pathlib import Path

import pytest

_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:  # they share the processors; said before NumPy starts threads
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))


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
