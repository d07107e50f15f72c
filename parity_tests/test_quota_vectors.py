"""Quotas of both packages against arrays computed from the papers' texts, and against DRoP's normalised scores.

See ``test_text_vectors`` on the former.
"""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref
from parity_tests.peer_cases import load, with_recall
from parity_tests.peer_vectors import with_peers
from parity_tests.test_text_vectors import arrays_of, scored_by

pytestmark = [with_peers, pytest.mark.parametrize("package", [mc, torch_ref], ids=["ms_coreset", "torch_ref"])]


def counts_of(coreset, labels):
    return np.bincount(labels[coreset.indices], minlength=labels.max() + 1)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("classes", ["real", "crafted"])
def test_drop(folder, package, classes, rate):
    arrays, (inputs, peers) = arrays_of(folder), load(folder)
    real = classes == "real"
    sizes = np.bincount(inputs.labels) if real else peers["drop/crafted_sizes"]
    evidence = with_recall(package, sizes, peers["drop/recall_mean_of_3" if real else "drop/crafted_recall"])
    counts = arrays[f"drop/{classes}/f{rate}/counts"]
    coreset = package.select("random", evidence, counts.sum() / len(evidence.labels), quota="drop")
    np.testing.assert_array_equal(counts_of(coreset, evidence.labels), counts)


def test_difficulty(folder, package):
    arrays, evidence = arrays_of(folder), scored_by(package, folder, load(folder)[1]["in/el2n_mean"])
    counts = arrays["nucs/f0.3/counts"]
    coreset = package.select("random", evidence, counts.sum() / len(evidence.labels), quota="difficulty",
                             quota_score="deepfool")
    np.testing.assert_array_equal(counts_of(coreset, evidence.labels), counts)
    if package is mc:
        np.testing.assert_allclose(coreset.manifest["quota"]["difficulty"], arrays["nucs/class_difficulty_trim5"])


def test_normalized_scores(folder, package):
    """The peer's quota is how many of each class are among the highest of all, as a share of their number."""
    peers = load(folder)[1]
    keys = [key for key in peers if key.startswith("drop/real/k") and key.endswith("normalize_quota")]
    assert keys
    for key in keys:
        evidence, k = scored_by(package, folder, peers["in/el2n_mean"]), int(key.split("/")[2][1:])
        coreset = package.select_by("deepfool", "top", evidence, rate=k / len(evidence.labels), normalize="class")
        np.testing.assert_allclose(counts_of(coreset, evidence.labels), k * peers[key], atol=1e-9)
