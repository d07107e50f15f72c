"""Both packages against what the peers' own code computed.

The vectors lie in the folder that the environment variable MS_CORESET_VECTORS names, by default in
``../shared/vectors`` beside the repository: a sub-folder for each set of inputs.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref

FOLDER = Path(os.environ.get("MS_CORESET_VECTORS") or Path(__file__).resolve().parents[2] / "shared" / "vectors")
SETS = sorted(path.parent for path in FOLDER.glob("*/inputs.npz"))
ABSENT = pytest.param(None, marks=pytest.mark.skip(reason=f"no peer vectors in {FOLDER}; set MS_CORESET_VECTORS"))

pytestmark = [
    pytest.mark.parametrize("folder", SETS or [ABSENT], ids=lambda folder: getattr(folder, "name", "absent")),
    pytest.mark.parametrize("package", [mc, torch_ref], ids=["mindspore", "torch"]),
]


def read(folder, package, peer):
    """Evidence from a set's inputs, and the arrays of one peer."""
    with np.load(folder / "inputs.npz") as inputs:
        evidence = package.Evidence(labels=inputs["y"], features=inputs["emb"], logits=inputs["logits"])
    with np.load(folder / f"peer_{peer}.npz") as archive:
        return evidence, {name: archive[name] for name in archive.files}


def number(name):
    """The rate in a key such as ``moderate/rate0.1/drop_ids``."""
    return float(name.split("/")[-2].lstrip("ratef"))


def test_moderate_distance(folder, package):
    evidence, peer = read(folder, package, "others")
    np.testing.assert_allclose(package.score("center_distance", evidence), peer["moderate/distance"], rtol=1e-12)


def test_moderate_dropped_ids(folder, package):
    evidence, peer = read(folder, package, "others")
    names = [name for name in peer if name.startswith("moderate/rate")]
    assert names
    for name in names:
        coreset = package.select("moderate", evidence, number(name))
        ranked = np.argsort(coreset.scores, kind="stable")
        dropped = ranked[~np.isin(ranked, coreset.indices)]
        np.testing.assert_array_equal(dropped, peer[name], err_msg=name)


def test_uniform(folder, package):
    evidence, peer = read(folder, package, "deepcore")
    names = [name for name in peer if name.startswith("dc/Uniform/")]
    assert names
    for name in names:
        coreset = package.select("random", evidence, number(name), balance="/bal/" in name, seed=7)
        np.testing.assert_array_equal(coreset.indices, peer[name], err_msg=name)
