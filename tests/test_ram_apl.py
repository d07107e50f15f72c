"""RAM-APL by hand, of one network and of several."""

import numpy as np
import pytest

import ms_coreset as mc
from ms_coreset.errors import MsCoresetError

LABELS = np.array([5, 5, 5, 2, 2, 9])
FIRST = np.array([[0.0, 0], [1, 0], [5, 0], [10, 0], [12, 0], [6, 0]])  # means 2, 11 and 6
OTHER = FIRST[[1, 0, 2, 3, 4, 5]]
RANKS = np.array([1 / 3, 0, 2 / 3, 0, 1 / 2, 0])
MISSES = np.array([0, 0, 1, 0, 0, 0])  # the third is nearer to the single sample of class 9


def weight(kept, a=0.2, kappa=1.0):
    return a + (1 - a) / (1 + np.exp(kappa * (kept - 0.5)))


@pytest.mark.parametrize("options", [{}, {"kept": 0.1}, {"kept": 1.0, "a": 0.0, "kappa": 8.0}])
def test_by_hand(options):
    w = weight(**{"kept": 0.5, **options})
    np.testing.assert_allclose(mc.score("ram_apl", mc.Evidence(LABELS, FIRST), **options),
                               -(w * RANKS + (1 - w) * MISSES), atol=1e-15)


def test_several_networks_are_averaged():
    one, two = mc.Evidence(LABELS, FIRST), mc.Evidence(LABELS, OTHER)
    both = mc.score("ram_apl", mc.Evidence(LABELS, runs=(one, two)))
    np.testing.assert_allclose(both, (mc.score("ram_apl", one) + mc.score("ram_apl", two)) / 2)
    assert both[0] == both[1] != mc.score("ram_apl", one)[0]
    assert mc.select("ram_apl", mc.Evidence(LABELS, runs=(one, two)), 0.34, balance=True).indices.tolist() == [3, 0]


def test_the_method_weighs_by_its_rate():
    evidence = mc.Evidence(LABELS, FIRST)
    for rate in (0.2, 0.9):
        np.testing.assert_array_equal(mc.select("ram_apl", evidence, rate).scores,
                                      mc.score("ram_apl", evidence, kept=rate))
    with pytest.raises(MsCoresetError, match="ram_apl has no option 'kept'"):
        mc.select("ram_apl", evidence, 0.5, kept=0.3)


def test_equal_distances_rank_the_lowest_index_first():
    """The authors' code sorts them anyhow."""
    evidence = mc.Evidence(np.zeros(40, int), np.tile([[1.0], [-1.0]], (20, 1)))
    assert mc.select("ram_apl", evidence, 0.25, balance=True).indices.tolist() == list(range(10))


def test_a_mean_that_is_as_near_is_not_nearer():
    same = mc.Evidence(np.array([0, 0, 1, 1]), np.array([[0.1, 3], [0.3, 3], [0.3, 3], [0.1, 3]]) + 1e6)
    assert mc.score("ram_apl", same).min() == pytest.approx(-weight(0.5) / 2)


@pytest.mark.parametrize("shift", [0, 1e9])
def test_the_origin_does_not_matter(shift):
    rng = np.random.RandomState(0)
    labels, features = rng.randint(0, 4, 80), rng.randint(0, 50, (80, 3)).astype(float)
    np.testing.assert_array_equal(mc.score("ram_apl", mc.Evidence(labels, features + shift)),
                                  mc.score("ram_apl", mc.Evidence(labels, features)))


def test_every_class_far_away_by_blocks(monkeypatch):
    rng = np.random.RandomState(1)
    labels, features = rng.randint(0, 4, 80), rng.randn(80, 3)
    whole = mc.score("ram_apl", mc.Evidence(labels, features))
    monkeypatch.setattr("ms_coreset.selectors.row_blocks.BLOCK_BYTES", 400)
    np.testing.assert_array_equal(mc.score("ram_apl", mc.Evidence(labels, features)), whole)
