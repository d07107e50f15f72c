"""Notes on what made a result: versions, commit and device."""

import subprocess
from pathlib import Path
from typing import Any

from ms_coreset import __version__
from ms_coreset.device import device_settings
from ms_coreset.engines.frameworks import MINDSPORE
from ms_coreset.jobs.computing import versions_of


def version_notes(device: str, framework: str = MINDSPORE) -> dict[str, Any]:
    """Plain values for a result's notes.

    Args:
        device: its name
        framework: of the networks

    Returns:
        Versions (None: not installed), the checkout's revision, the device and its settings.
    """
    import numpy

    versions = {"ms_coreset": __version__, **versions_of(framework), "numpy": numpy.__version__}
    return {"versions": versions, "revision": revision(), "device": device, **device_settings()}


def revision() -> str | None:
    """The commit of the checkout that runs, with "+dirty" if it was changed; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
