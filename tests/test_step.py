"""The compiled update of training against the one that goes operation by operation, and mixed precision."""

import dataclasses

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn
from test_training import RECIPE, arrays_of, network_with_dropout, new_network, toy_split

import ms_coreset as mc
from ms_coreset import device
from ms_coreset.errors import MsCoresetError
from ms_coreset.networks.layers import Classifier, Dropout, linear
from ms_coreset.training import step
from ms_coreset.training.step import Compiled


@pytest.fixture(autouse=True)
def off():
    """As it is by default, before and after each test."""
    mc.set_device("CPU")
    yield
    mc.set_device("CPU")


def images_of(split, n=5, size=32):
    rng = np.random.RandomState(0)
    return mc.Split(split, rng.randint(0, 256, (n, size, size, 3)).astype(np.uint8), np.arange(n) % 3,
                    classes=tuple("abc"), mean=(0.4,) * 3, std=(0.3,) * 3)


def trained(network, split, recipe, compiled, **options):
    """(the network's arrays and the history, after a training)."""
    mc.set_device("CPU", compile="on" if compiled else "off")
    result = mc.train(network, split, recipe, **options)
    return arrays_of(network), result


def assert_equal(found, expected):
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture
def compiling(monkeypatch):
    """The shapes that graphs were made for, and whether any was given up."""
    made, former = [], Compiled._compile

    def compile_noted(self, shape, operands):
        found = former(self, shape, operands)
        made.append("given up" if self._given_up else shape[0][0])
        return found

    monkeypatch.setattr(Compiled, "_compile", compile_noted)
    return made


QUICK = ("resnet18", "mobilenet_v3_small", "airbench")  # batch normalisation; dropout; frozen weights


def networks():
    for name in mc.list_networks():
        yield pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize("name", list(networks()))
def test_every_network_learns_the_same_compiled(name, compiling):
    """Three updates of two shapes, bit for bit."""
    options = {"width": 4} if "resnet" in name or name in ("senet18", "mlp", "airbench") else {}
    size = 75 if name.startswith("inception") else 32
    recipe = mc.Recipe(arch=name, epochs=2, batch_size=3, lr=0.01, whiten=name == "airbench", clip_norm=1.0)

    def learn(compiled):
        network = mc.create_network(name, 3, 3, image_size=size, seed=1, **options)
        return trained(network, images_of("toy", size=size), recipe, compiled)

    (expected, slow), (found, fast) = learn(False), learn(True)
    assert compiling == [3, 2]
    assert_equal(found, expected)
    assert fast.history == slow.history
    for field in ("loss", "probability"):
        np.testing.assert_array_equal(getattr(fast.dynamics, field), getattr(slow.dynamics, field))
