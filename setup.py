"""Installs ms_coreset; the metadata is in pyproject.toml, this adds what that can't say."""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def for_an_index(text, repository):
    """A page of the checkout for a package index, where its relative links would lead nowhere.

    They lead into ``repository``; where its address is not known, the path takes the link's place.
    """
    linked = rf"[\1]({repository}/blob/main/\2)" if repository else r"\1 (`\2`)"
    return re.sub(r"\[([^]]+)\]\((?!https?:)([^)]+)\)", linked, text)


urls = tomllib.loads(read("pyproject.toml"))["project"].get("urls", {})
setup(
    long_description=for_an_index(read("README.md"), urls.get("Repository")),
    long_description_content_type="text/markdown",
    # The configurations lie beside the package.
    packages=[*find_packages(include=["ms_coreset*", "torch_ref*"]), "ms_coreset.configs",
              "ms_coreset.configs.experiments"],
    package_dir={"ms_coreset.configs": "configs"},
    package_data={"": ["py.typed", "*.yaml"]},
)
