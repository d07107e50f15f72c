"""Both packages against arrays that were computed from the papers' texts alone, where no authors' code can be run.

They lie beside those of the peers (see ``test_peer_vectors``), in own_frontier.npz.
"""

from functools import cache

import numpy as np
import pytest
import torch

import ms_coreset as mc
import torch_ref
from ms_coreset.selectors.submodular import subzero
from ms_coreset.selectors.submodular.similarity import Cosine
from parity_tests.peer_cases import load
from parity_tests.peer_vectors import with_peers
from torch_ref import subzero as torch_subzero
from torch_ref.distances import cosine_similarities

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
    coreset = package.select_by("deepfool", "best_window", evidence, rate=rate)
    np.testing.assert_array_equal(np.sort(coreset.indices), arrays[f"bws/el2n/f{rate}/kept_sorted"])
    if package is mc:
        windows = coreset.manifest["windows"]
        np.testing.assert_allclose(np.multiply(windows["begin"], len(evidence)), arrays[f"bws/el2n/f{rate}/starts"])
        np.testing.assert_allclose(windows["accuracy"], arrays[f"bws/el2n/f{rate}/accuracy"])


@pytest.mark.parametrize(("rate", "offset"), [(0.3, 0.1), (0.1, 0.4)])
def test_offset(folder, package, rate, offset):
    arrays = arrays_of(folder)
    evidence = scored_by(package, folder, -arrays["elfs/aum_softmax"])
    coreset = package.select_by("deepfool", "offset", evidence, rate=rate, offset=offset)
    np.testing.assert_array_equal(np.sort(coreset.indices), arrays[f"elfs/aum_softmax_f{rate}_beta{offset}_sorted"])


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_subzero(folder, package, rate):
    arrays, (inputs, _) = arrays_of(folder), load(folder)
    coreset = package.select("subzero", inputs.evidence(package), rate, balance=True)
    np.testing.assert_array_equal(coreset.indices, arrays[f"subzero/perclass_f{rate}_gamma0.6/order_class_by_class"])


def densities(package, features, k):
    """(radii, weights) of the samples."""
    if package is mc:
        found = subzero.radii(Cosine.of_features(features), k)
        return found, subzero.density_weights(found)
    found = torch_subzero.radii(2 * cosine_similarities(torch.tensor(features)) - 1, k)
    return found, torch_subzero.weights_of(found)


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_densities_of_subzero(folder, package, rate):
    arrays, (inputs, _) = arrays_of(folder), load(folder)
    features = inputs["emb"][inputs.rows_of(0)].astype(np.float64)
    radii, weights = densities(package, features, int(arrays[f"subzero/class0_f{rate}/K"]))
    np.testing.assert_allclose(radii, arrays[f"subzero/class0_f{rate}/radius"], rtol=1e-9)
    np.testing.assert_allclose(weights, arrays[f"subzero/class0_f{rate}/weight"], rtol=1e-9)


def test_neighborhoods_of_subzero(folder, package):
    neighborhood = subzero.neighborhood if package is mc else torch_subzero.neighbors_for
    for n, k, gamma, expected in arrays_of(folder)["subzero/K_table_N_M_gamma_K"]:
        assert neighborhood(int(n), int(k), gamma) == expected


def test_prototypes_of_classes(folder, package):
    values = package.score("prototype", load(folder)[0].evidence(package), groups="labels")
    np.testing.assert_allclose(values, arrays_of(folder)["prototype/labels_cosine_score_high_is_hard"], atol=1e-11)


def test_semdedup(folder, package):
    values = package.score("semdedup", load(folder)[0].evidence(package), groups="labels")
    np.testing.assert_allclose(values, arrays_of(folder)["semdedup/labels/score_earlier"], atol=1e-11)


@pytest.mark.parametrize(("reading", "key"), [("earlier", "earlier"), ("kept", "greedy"), ("components", "components")])
@pytest.mark.parametrize("eps", [0.01, 0.02, 0.05])
def test_what_semdedup_keeps(folder, package, reading, key, eps):
    values = package.score("semdedup", load(folder)[0].evidence(package), groups="labels", reading=reading, eps=eps)
    expected = arrays_of(folder)[f"semdedup/labels/eps{eps}/{key}_kept"]
    np.testing.assert_array_equal(np.flatnonzero(values >= eps), expected)
