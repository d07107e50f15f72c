"""Both packages against arrays that were computed from the papers' texts alone, where no authors' code can be run.

They lie beside those of the peers (see ``test_peer_vectors``), in own_frontier.npz.
"""

from functools import cache

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from parity_tests.peer_cases import load
from parity_tests.peer_vectors import with_peers

pytestmark = with_peers


@cache
def arrays_of(folder):
    with np.load(folder / "own_frontier.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(params=[mc, torch_ref], ids=["ms_coreset", "torch_ref"])
def package(request):
    return request.param


def scored_by(package, folder, values):
    """Evidence for which the score ``deepfool`` is ``values``."""
    inputs, _ = load(folder)
    return inputs.evidence(package, boundary=-np.asarray(values, np.float64))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_best_window(folder, package, rate):
    arrays, evidence = arrays_of(folder), scored_by(package, folder, load(folder)[1]["in/el2n_mean"])
    kept = arrays[f"bws/el2n/f{rate}/kept_sorted"]
    coreset = package.select_by("deepfool", "best_window", evidence, rate=len(kept) / len(evidence.labels))
    np.testing.assert_array_equal(np.sort(coreset.indices), kept)
    if package is mc:
        windows = coreset.manifest["windows"]
        np.testing.assert_allclose(np.multiply(windows["begin"], len(evidence)), arrays[f"bws/el2n/f{rate}/starts"])
        np.testing.assert_allclose(windows["accuracy"], arrays[f"bws/el2n/f{rate}/accuracy"])


@pytest.mark.parametrize(("rate", "offset"), [(0.3, 0.1), (0.1, 0.4)])
def test_offset(folder, package, rate, offset):
    arrays = arrays_of(folder)
    evidence = scored_by(package, folder, -arrays["elfs/aum_softmax"])
    kept = arrays[f"elfs/aum_softmax_f{rate}_beta{offset}_sorted"]
    coreset = package.select_by("deepfool", "offset", evidence, rate=len(kept) / len(evidence.labels), offset=offset)
    np.testing.assert_array_equal(np.sort(coreset.indices), kept)
