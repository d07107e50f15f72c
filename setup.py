"""Installs ms_coreset; the metadata is in pyproject.toml, this adds the recipes, which live beside the package."""

from setuptools import setup

setup(
    package_dir={"ms_coreset.configs": "configs"},
    package_data={"ms_coreset.configs": ["*.yaml"]},
)
