"""Attacks: steps by hand on networks of one layer, the ball around every pixel, seeds and parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor, ops
from scipy.stats import kstest

import ms_coreset as mc
from ms_coreset import create_network
from ms_coreset.errors import MsCoresetError
from ms_coreset.perturbations.attack import (
    answers,
    attack,
    attack_options,
    attack_rows,
    gradient_sign,
    on_pixels,
    projected_gradient,
    random_start,
    to_pixels,
)

EPS = 8 / 255


@pytest.fixture(autouse=True, scope="module")
def device():
    mc.set_device("CPU")


def linear(weights):
    """Logits ``weights @ pixels``, of images of one row."""
    matrix = Tensor(np.array(weights, np.float32).T)

    def logits(images):
        return ops.matmul(images.reshape(images.shape[0], -1), matrix)

    return logits


def row(*pixels):
    return np.array(pixels, np.float32).reshape(1, 1, 1, -1)


def photos(n=12, size=8, channels=1, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randint(0, 256, (n, size, size, channels)).astype(np.uint8), rng.randint(0, 4, n)


def mlp():
    """A network of steep answers: its last layer is enlarged."""
    network = create_network("mlp", 4, 1, image_size=8, width=16, seed=2)
    network.head.weight.set_data(20 * network.head.weight)
    return on_pixels(network, (0.4,), (0.3,))


# Two classes, logits (x0, x1): the loss of class 0 falls with x0 and rises with x1; x2 counts for neither.
TWO = linear([[1, 0, 0], [0, 1, 0]])


def test_gradient_sign_by_hand():
    moved = gradient_sign(TWO, row(0.5, 0.4, 0.3), np.array([0]), eps=0.1)
    np.testing.assert_allclose(moved, row(0.4, 0.5, 0.3), atol=1e-7)


def test_gradient_sign_on_its_own_answer():
    """The second class is the answer: its pixel goes down, whatever the true label."""
    moved = gradient_sign(TWO, row(0.4, 0.5, 0.3), eps=0.1)
    np.testing.assert_allclose(moved, row(0.5, 0.4, 0.3), atol=1e-7)


def test_pixels_stay_pixels():
    np.testing.assert_allclose(gradient_sign(TWO, row(0.05, 0.98, 1), np.array([0]), eps=0.1), row(0, 1, 1), atol=1e-7)


def test_projected_gradient_by_hand():
    """Steps of 0.04: after 1, 2 and 3 of them 0.04, 0.08 and 0.1, the ball's edge."""
    for steps, moved in ((1, 0.04), (2, 0.08), (3, 0.1), (9, 0.1)):
        actual = projected_gradient(TWO, row(0.5, 0.4, 0.3), np.array([0]), eps=0.1, alpha=0.04, steps=steps)
        np.testing.assert_allclose(actual, row(0.5 - moved, 0.4 + moved, 0.3), atol=1e-6)


def test_projected_gradient_turns_round():
    """Logits (|x0 - 0.5|, 0): the loss of class 0 pulls x0 towards 0.5, and over it, and back."""
    def logits(images):
        x = images.reshape(images.shape[0], -1)
        return ops.concat([(x - 0.5).abs(), 0 * x], axis=1)

    places = [projected_gradient(logits, row(0.47), np.array([0]), eps=0.2, alpha=0.04,
                                 steps=steps)[0, 0, 0, 0] for steps in (1, 2, 3)]
    np.testing.assert_allclose(places, [0.51, 0.47, 0.51], atol=1e-6)


def test_it_begins_at_the_start_and_stays_in_the_ball_of_the_image():
    actual = projected_gradient(TWO, row(0.5, 0.4, 0.3), np.array([0]), eps=0.1, alpha=0.04, steps=1,
                                start=row(0.43, 0.35, 0.37))
    np.testing.assert_allclose(actual, row(0.4, 0.39, 0.37), atol=1e-6)


def test_an_image_without_a_gradient_stays():
    images = photos(3)[0]
    flat = linear(np.zeros((2, 64)))
    attacked, kinds, _ = attack(flat, images, np.zeros(3, int))
    np.testing.assert_array_equal(attacked, images)
    assert kinds.tolist() == [2, 2, 2]


def test_random_start_is_uniform_in_the_ball():
    images = np.full((4, 1, 50, 50), 0.5, np.float32)
    drawn = (random_start(images, np.arange(4), 0.1, 0) - 0.5) / 0.1
    assert kstest((drawn.ravel() + 1) / 2, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(drawn.reshape(4, -1))[0, 1]) < 0.1
    clipped = random_start(np.zeros_like(images), np.arange(4), 0.1, 0)
    assert (clipped == 0).mean() == pytest.approx(0.5, abs=0.02) and clipped.max() <= 0.1


@pytest.mark.parametrize(("eps", "levels"), [(8 / 255, 8), (16 / 255, 16), (1 / 255, 1), (0.03, 7), (1.0, 255)])
def test_rounding_stays_in_the_ball(eps, levels):
    clean = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    for sign in (-1, 1):
        moved = np.clip(clean.astype(np.float32) / np.float32(255) + sign * np.float32(eps), 0, 1)
        expected = np.clip(clean.astype(int) + sign * levels, 0, 255)
        np.testing.assert_array_equal(to_pixels(moved, clean, eps), expected)


def test_rounding_by_hand():
    clean = np.full((1, 1, 4, 1), 100, np.uint8)
    moved = (np.array([100.4, 100.6, 103.5, 96.5]) / 255).reshape(clean.shape)
    assert to_pixels(moved, clean, EPS).ravel().tolist() == [100, 101, 104, 96]


@settings(max_examples=20)
@given(st.sampled_from(["gsa", "pgd"]), st.sampled_from([1 / 255, 8 / 255, 0.03]), st.integers(0, 2**32 - 1))
def test_every_pixel_is_in_the_ball_and_in_range(name, eps, seed):
    images, labels = photos(seed=seed)
    before = images.copy()
    steps = {"pgd": 3}.get(name)
    attacked, kinds, manifest = attack(mlp(), images, labels, seed=seed, attack=name, eps=eps, steps=steps)
    np.testing.assert_array_equal(images, before)
    distance = np.abs(attacked.astype(int) - images)
    assert attacked.dtype == np.uint8 and distance.max() <= int(255 * eps + 1e-6)
    if name == "gsa" and eps == EPS:  # every gradient of this network is above 0
        inside = (images > 8) & (images < 247)
        assert (distance[inside] == 8).mean() > 0.9
    assert manifest["counts"] == [(kinds == 1).sum(), (kinds == 2).sum()]


def test_kinds_say_who_was_fooled():
    images, labels = photos(40)
    logits = mlp()
    attacked, kinds, manifest = attack(logits, images, labels, attack="pgd", eps=32 / 255)
    before, after = (answers(logits, pixels.transpose(0, 3, 1, 2) / np.float32(255)) for pixels in (images, attacked))
    np.testing.assert_array_equal(kinds, np.where(before != after, 1, 2))
    assert 0 < manifest["counts"][0] < 40


def test_the_loss_rises():
    images, labels = photos(64)
    logits = mlp()

    def loss(pixels):
        z = logits(Tensor(pixels.transpose(0, 3, 1, 2) / np.float32(255))).asnumpy().astype(float)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(64), labels])

    one = attack(logits, images, labels, attack="gsa", against="true")[0]
    ten = attack(logits, images, labels, attack="pgd", alpha=2 / 255)[0]
    assert (loss(one) > loss(images)).all()
    assert loss(ten).mean() > loss(one).mean() - 1e-3


def test_labels_decide():
    images, labels = photos(20)
    own, true = (attack(mlp(), images, labels, attack="gsa", against=which)[0] for which in ("own", "true"))
    same = answers(mlp(), images.transpose(0, 3, 1, 2) / np.float32(255)) == labels
    assert 0 < same.sum() < 20
    np.testing.assert_array_equal(own[same], true[same])
    assert (own[~same] != true[~same]).any(axis=(1, 2, 3)).all()


def test_the_network_answers_in_evaluation_mode():
    """In training mode BatchNorm would let the images of a batch see each other, and learn from them."""
    network = create_network("resnet18", 4, 3, image_size=8, width=4)
    before = {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}
    network.set_train(True)
    logits = on_pixels(network, (0.5,) * 3, (0.25,) * 3)
    images, labels = photos(6, channels=3)
    whole = attack(logits, images, labels, attack="pgd", steps=2)[0]
    alone = attack_rows(logits, images[4:5], labels[4:5], np.array([4]), attack_options("pgd", steps=2), 1)[0]
    assert (whole[4:5] != alone).mean() < 0.02  # the sign of a gradient that is 0 but for rounding
    for parameter in network.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), before[parameter.name])


def test_normalization_is_inside():
    network = create_network("mlp", 3, 1, image_size=4, seed=1)
    logits = on_pixels(network, (0.3,), (0.2,))
    pixels = np.random.RandomState(0).uniform(size=(2, 1, 4, 4)).astype(np.float32)
    expected = network(Tensor((pixels - np.float32(0.3)) / np.float32(0.2))).asnumpy()
    np.testing.assert_allclose(logits(Tensor(pixels)).asnumpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gsa", "pgd"])
def test_same_seed_same_bytes(name):
    images, labels = photos()
    first, again = (attack(mlp(), images, labels, seed=7, attack=name, batch_size=5) for _ in range(2))
    assert first[0].tobytes() == again[0].tobytes() and first[2] == again[2]
    other = attack(mlp(), images, labels, seed=8, attack=name, batch_size=5)[0]
    assert (other != first[0]).any() == (name == "pgd")


def test_batches_do_not_change_the_start():
    images, labels = photos()
    wholes = [attack(mlp(), images, labels, attack="pgd", steps=1, batch_size=size)[0] for size in (1, 5, 12)]
    for other in wholes[1:]:
        assert (other != wholes[0]).mean() < 0.01


def test_published_defaults():
    assert attack_options() == {
        "kind": "gsa_attack", "kinds": ["gsa, fooled", "gsa, withstood"], "attack": "gsa", "eps": EPS, "alpha": EPS,
        "against": "own", "steps": 1, "random_start": False, "seed": 0}
    pgd = attack_options("pgd")
    assert (pgd["steps"], pgd["alpha"], pgd["against"], pgd["random_start"]) == (10, 2 / 255, "true", True)


@pytest.mark.parametrize(("options", "message"), [
    ({"attack": "fgsm"}, "unknown attack 'fgsm': there are gsa, pgd"), ({"eps": 0}, "eps 0"), ({"eps": 8}, "eps 8"),
    ({"alpha": -1}, "alpha -1"), ({"eps": float("nan")}, "eps nan"), ({"attack": "pgd", "steps": 0}, "steps 0"),
    ({"attack": "pgd", "steps": 2.5}, "steps 2.5"), ({"steps": 10}, "gsa is one step"),
    ({"attack": "pgd", "steps": 10**9}, "steps 1000000000: must be a whole number, 1 to 100,000"),
    ({"random_start": True}, "gsa is one step"), ({"against": "given"}, "attack against 'given'"),
    ({"seed": -1}, "seed -1")])
def test_wrong_options_are_named(options, message):
    with pytest.raises(MsCoresetError, match=message):
        attack_options(**options)


def test_batches_of_no_size_are_refused():
    with pytest.raises(MsCoresetError, match="batch_size 0"):
        attack(TWO, *photos(2), batch_size=0)
