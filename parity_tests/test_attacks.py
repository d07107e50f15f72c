"""The same attacks on the same ResNet: the same pixels, and the same samples fooled."""

import itertools

import numpy as np
import pytest
import torch
from mindspore import Tensor

import ms_coreset as mc
import torch_ref
from ms_coreset.perturbations.attack import answers, attack_options, attack_rows, random_start, to_pixels
from parity_tests.helpers import answering_pair, small_split

MEAN, STD = (0.5, 0.4, 0.45), (0.25, 0.3, 0.2)
EPS, ALPHA, STEPS = 16 / 255, 4 / 255, 5


class OnPixels(torch.nn.Module):
    """The twin's network, with the normalisation inside."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (MEAN, STD))
        return self.network((pixels - mean) / std)


@pytest.fixture(scope="module", params=["resnet18", "lenet"])
def networks(request, tmp_path_factory):
    mc.set_device("CPU")
    folder = tmp_path_factory.mktemp("weights")
    options = {"width": 8} if request.param == "resnet18" else {}
    network, reference = answering_pair(folder, request.param, num_classes=4, in_channels=3, image_size=32, seed=1,
                                        **options)
    return mc.on_pixels(network, MEAN, STD), OnPixels(reference).eval()


@pytest.fixture(scope="module")
def data():
    """Pixels in [0, 1], true labels and the images they come from."""
    split = small_split(16, 32, 3)
    return split.images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255), split.labels, split.images


def is_decided(reference, position, labels):
    """Where the gradient of the loss is not near 0: its sign does not hang on rounding."""
    moved = torch.tensor(position, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(reference(moved), torch.tensor(labels), reduction="sum")
    size = torch.autograd.grad(loss, moved)[0].abs().numpy()
    return size > 1e-4 * size.max(axis=(1, 2, 3), keepdims=True)


def torch_answers(reference, images):
    with torch.no_grad():
        return reference(torch.tensor(images)).numpy().argmax(axis=1)


def assert_same(ours, theirs, clear, networks):
    assert clear.mean() > 0.98
    np.testing.assert_allclose(ours[clear], theirs[clear], atol=1e-5)
    network, reference = networks
    np.testing.assert_array_equal(answers(network, ours), torch_answers(reference, theirs))


@pytest.mark.parametrize("own", [True, False])
def test_gradient_sign(networks, data, own):
    network, reference = networks
    images, labels, _ = data
    target = None if own else labels
    ours, theirs = (package.gradient_sign(given, images, target, eps=EPS)
                    for package, given in ((mc, network), (torch_ref, reference)))
    against = torch_answers(reference, images) if own else labels
    np.testing.assert_array_equal(answers(network, images), torch_answers(reference, images))
    assert_same(ours, theirs, is_decided(reference, images, against), networks)


@pytest.mark.parametrize("start", [False, True])
def test_projected_gradient(networks, data, start):
    network, reference = networks
    images, _, _ = data
    labels = torch_answers(reference, images)
    begin = random_start(images, np.arange(len(images)), EPS, seed=3) if start else None
    theirs = [torch_ref.projected_gradient(reference, images, labels, eps=EPS, alpha=ALPHA, steps=steps, start=begin)
              for steps in range(STEPS + 1)]
    # Each step from the same place: a pixel whose gradient is nearly 0 may go either way, and where it has gone decides
    # of other pixels' signs at the next step.
    for before, after in itertools.pairwise(theirs):
        ours = mc.projected_gradient(network, images, labels, eps=EPS, alpha=ALPHA, steps=1, start=before)
        assert_same(ours, after, is_decided(reference, before, labels), networks)
    stepped = theirs[0]
    for _ in range(STEPS):
        stepped = mc.projected_gradient(network, images, labels, eps=EPS, alpha=ALPHA, steps=1, start=stepped)
    np.testing.assert_array_equal(mc.projected_gradient(network, images, labels, eps=EPS, alpha=ALPHA, steps=STEPS,
                                                        start=begin), stepped)
    fooled = torch_answers(reference, images) != torch_answers(reference, theirs[-1])
    assert fooled.any()


@pytest.mark.parametrize(("name", "eps"), [("gsa", 64 / 255), ("pgd", EPS)])  # one step must go far to fool anyone
def test_the_same_samples_are_fooled_by_the_rounded_images(networks, data, name, eps):
    network, reference = networks
    images, _, pixels = data
    labels = torch_answers(reference, images)
    rows = np.arange(len(images))
    options = attack_options(name, eps, ALPHA, seed=5, **({} if name == "gsa" else {"steps": STEPS}))
    _, kinds = attack_rows(network, pixels, labels, rows, options, len(pixels))
    if name == "gsa":
        theirs = torch_ref.gradient_sign(reference, images, eps=eps)
    else:
        begin = random_start(images, rows, eps, seed=5)
        theirs = torch_ref.projected_gradient(reference, images, labels, eps=eps, alpha=ALPHA, steps=STEPS, start=begin)
    rounded = to_pixels(theirs.transpose(0, 2, 3, 1), pixels, eps).transpose(0, 3, 1, 2) / np.float32(255)
    fooled = torch_answers(reference, rounded) != torch_answers(reference, images)
    assert fooled.any()
    np.testing.assert_array_equal(kinds == 1, fooled)


def test_an_attack_of_ours_fools_the_twin(networks, data):
    """The attacked images mean the same to a network that knows nothing of this package."""
    network, reference = networks
    images, _, _ = data
    labels = torch_answers(reference, images)
    attacked = mc.projected_gradient(network, images, labels, eps=16 / 255, alpha=4 / 255, steps=10)
    assert (torch_answers(reference, attacked) != labels).mean() > 0.5
    np.testing.assert_allclose(network(Tensor(attacked)).asnumpy(),
                               reference(torch.tensor(attacked)).detach().numpy(), atol=1e-4)
