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

# Networks that repeat the blocks of a smaller one: their slow tests are for before a release.
DEEPER = {"mobilenet_v3_large", "preact_resnet34", "preact_resnet50", "resnet34", "resnet101", "resnet152", "vgg13",
          "vgg16", "vgg19", "wide_resnet101_2", "wrn16_8", "wrn28_10"}

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start, and press it on.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a run decides whether a change lands, it tries the same examples each time; elsewhere always new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed" if os.environ.get("CI") else "fresh")


def pytest_report_header():
    left_out = ", ".join(collect_ignore)
    return None if MINDSPORE else f"MindSpore is not installed: left out are tests that need it, {left_out}"


@pytest.hookimpl(tryfirst=True)  # before -m chooses by these markers
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and hasattr(item, "callspec") and item.callspec.params.get("name") in DEEPER:
            item.add_marker(pytest.mark.exhaustive)
        if not MINDSPORE and item.get_closest_marker("mindspore"):
            item.add_marker(pytest.mark.skip(reason="MindSpore is not installed"))
