"""Installs ms_coreset; the metadata is in pyproject.toml, this adds what that can't say."""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def readme():
    """README.md for a package index, where links into the repository lead nowhere.

    With a ``Repository`` in pyproject.toml's ``[project.urls]`` they lead there; without, the path is named instead.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project.get("urls", {}).get("Repository")
    linked = rf"[\1]({repository}/blob/main/\2)" if repository else r"\1 (`\2`)"
    return re.sub(r"\[([^]]+)\]\((?!https?:)([^)]+)\)", linked, (ROOT / "README.md").read_text(encoding="utf-8"))


setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    # The configurations lie beside the package.
    packages=[*find_packages(include=["ms_coreset*", "torch_ref*"]), "ms_coreset.configs",
              "ms_coreset.configs.experiments"],
    package_dir={"ms_coreset.configs": "configs"},
    package_data={"": ["py.typed", "*.yaml"]},
)
