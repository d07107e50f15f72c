"""The twin against what the peers' own code computed, and that all of it is compared.

``ms_coreset`` against the same is in test_peers_arrays.

The vectors lie in the folder that the environment variable MS_CORESET_VECTORS names, by default in
``../shared/vectors`` beside the repository: a sub-folder for each set of inputs. See ``peer_cases`` for what is
compared, and how.
"""

from fnmatch import fnmatchcase

import mindspore
import numpy as np
import pytest
import torch
from mindspore import ops

import torch_ref
from ms_coreset.extraction.deepfool import squared_perturbations
from parity_tests.peer_cases import CASES, NOT_COMPARED, cosine_kernel, load
from parity_tests.peer_vectors import with_peers
from torch_ref.distances import cosine_similarities
from torch_ref.last_layer_gradients import gradients

KEYS = {case.key for case in CASES}

pytestmark = with_peers


def distances_by_torch(layers, images):
    """DeepFool distances of a network of dense layers with ReLU between them."""
    modules = []
    for weight, bias in layers:
        dense = torch.nn.Linear(weight.shape[1], len(weight)).double()
        dense.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        modules += [dense, torch.nn.ReLU()]
    return torch_ref.deepfool_distances(torch.nn.Sequential(*modules[:-1]), torch.tensor(images))


def distances_by_mindspore(layers, images):
    (*hidden, last) = [(mindspore.Tensor(weight.T), mindspore.Tensor(bias)) for weight, bias in layers]

    def logits(x):
        for weight, bias in hidden:
            x = ops.relu(ops.matmul(x, weight) + bias)
        return ops.matmul(x, last[0]) + last[1]

    return squared_perturbations(logits, images)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_peer(case, folder):
    inputs, peers = load(folder)
    case.rule(case.compute(torch_ref, inputs), peers[case.key], inputs)


def test_every_array_is_compared_or_has_a_reason(folder):
    _, peers = load(folder)
    assert len(KEYS) == len(CASES)
    left = [key for key in peers.keys() - KEYS if not any(fnmatchcase(key, pattern) for pattern in NOT_COMPARED)]
    assert not left


def test_reasons_are_needed(folder):
    _, peers = load(folder)
    idle = [pattern for pattern in NOT_COMPARED if not any(fnmatchcase(key, pattern) for key in peers.keys() - KEYS)]
    assert not idle


@pytest.mark.parametrize("key", ["dc/gradients_scale1_first5", "cords/gradients_first5"])
def test_gradients_of_the_twin(key, folder):
    inputs, peers = load(folder)
    np.testing.assert_allclose(gradients(inputs.evidence(torch_ref))[:5], peers[key], rtol=1e-4, atol=1e-7)


def test_kernel_of_the_twin(folder):
    inputs, peers = load(folder)
    rows = gradients(inputs.evidence(torch_ref, inputs.rows_of(3)))
    for kernel in (cosine_similarities(rows), cosine_kernel(rows.numpy())):
        np.testing.assert_allclose(kernel, peers["dc/class3_gradcos_kernel"], atol=1e-6)


@pytest.mark.parametrize("distances", [distances_by_mindspore, distances_by_torch], ids=["mindspore", "torch"])
def test_deepfool(distances, folder):
    inputs, peers = load(folder)
    layers = [(inputs[f"mlp_fc{i}_weight"].astype(float), inputs[f"mlp_fc{i}_bias"].astype(float)) for i in (1, 2, 3)]
    some = slice(None, 60)
    actual = distances(layers, inputs["X"][some].astype(float))
    np.testing.assert_allclose(actual, peers["dc/DeepFool/r2_float64"][some], rtol=1e-6)
