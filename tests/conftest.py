import os
from pathlib import Path

import pytest


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
