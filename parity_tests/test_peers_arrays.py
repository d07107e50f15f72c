"""``ms_coreset`` against what the peers' own code computed: without PyTorch, and but for attacks without MindSpore.

The twin against the same is in test_peer_vectors.
"""

import pytest

import ms_coreset as mc
from parity_tests.peer_cases import CASES, load
from parity_tests.peer_vectors import with_peers


def cases():
    for case in CASES:
        attack = case.key.startswith("attacks/")
        yield pytest.param(case, id=case.key, marks=[pytest.mark.mindspore] if attack else [])


@pytest.mark.parametrize("case", cases())
@with_peers
def test_peer(case, folder):
    inputs, peers = load(folder)
    case.rule(case.compute(mc, inputs), peers[case.key], inputs)
