"""Installs ms_coreset; the metadata is in pyproject.toml, this adds the configurations that lie beside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ms_coreset*", "torch_ref*"]), "ms_coreset.configs"],
    package_dir={"ms_coreset.configs": "configs"},
    package_data={"ms_coreset": ["py.typed"], "ms_coreset.configs": ["*.yaml", "experiments/*.yaml"]},
)
