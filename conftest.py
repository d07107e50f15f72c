"""Settings of all tests."""

import importlib.util
import os
import signal

import pytest
from hypothesis import settings

MINDSPORE = importlib.util.find_spec("mindspore") is not None
# What is about networks or begins by training one, and has nothing to do without MindSpore. Elsewhere such tests are
# marked.
collect_ignore = [] if MINDSPORE else [f"tests/test_{name}.py" for name in (
    "adaptive", "attack", "boundary", "checkpoint_files", "cli", "devices", "distributed", "docs", "experiment",
    "extending", "extraction", "faults", "held_out", "identity", "jobs", "networks", "reproducible", "robust_cli",
    "training", "trust", "tutorial", "default_selection")]

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and press it on.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a run decides whether a change lands, it tries the same examples each time; elsewhere always new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed" if os.environ.get("CI") else "fresh")


def pytest_report_header():
    left_out = ", ".join(collect_ignore)
    return None if MINDSPORE else f"MindSpore is not installed: left out are tests that need it, {left_out}"


def pytest_collection_modifyitems(items):
    for item in items:
        if not MINDSPORE and item.get_closest_marker("mindspore"):
            item.add_marker(pytest.mark.skip(reason="MindSpore is not installed"))
