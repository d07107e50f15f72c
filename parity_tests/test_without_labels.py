"""Without labels this package chooses what torch_ref does where all samples are of one class."""

import numpy as np
import pytest

import ms_coreset as mc
import torch_ref

mc.set_device("CPU")
N = 50
RNG = np.random.RandomState(0)
ARRAYS = {"features": RNG.rand(N, 5), "logits": RNG.randn(N, 4), "imported": RNG.rand(N), "boundary": RNG.rand(N)}
CASES = [("random", {}), ("k_center", {}), ("k_center", {"metric": "cosine"}), ("herding", {}), ("imported", {}),
         ("contextual_diversity", {}), ("deepfool", {}), ("entropy", {}), ("cal", {"within_class": False}),
         ("ccs", {"score": "margin"}), *((name, {"kernel": "features"}) for name in
                                         ("facility_location", "graph_cut", "log_determinant", "disparity_sum",
                                          "disparity_min", "saturated_coverage", "sum_redundancy"))]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_same_choice(name, options):
    ours = mc.select(name, mc.Evidence(**ARRAYS), 0.3, seed=2, **options)
    theirs = torch_ref.select(name, torch_ref.Evidence(np.zeros(N, int), **ARRAYS), 0.3, seed=2, **options)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
