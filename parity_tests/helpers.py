"""What the parity tests share: pairs of networks, small data, and comparisons."""

from types import SimpleNamespace

import numpy as np
import torch
from mindspore import Tensor

import ms_coreset as mc
import torch_ref
from ms_coreset.networks.weights import load_weights
from torch_ref.extraction import normalize

NETWORK_CASES = [
    ("mlp", {"width": 24}),
    ("lenet", {}),
    ("resnet18", {"width": 8}),
    ("resnet34", {"width": 8}),
    ("resnet50", {"width": 8}),
    ("resnet18", {"width": 16, "variant": "imagenet"}),
    ("resnet50", {"width": 8, "variant": "imagenet"}),
    ("senet18", {"width": 16, "variant": "imagenet"}),
    ("vgg11", {"batch_norm": False, "side": 2}),
]


def network_pair(name, **options):
    """The network ``name`` of both packages, made with the same arguments."""
    return mc.create_network(name, **options), torch_ref.create_network(name, **options)


def answering_pair(folder, name, **options):
    """A pair with the same, non-trivial BatchNorm statistics, carried over through a .pth file."""
    network, reference = network_pair(name, **options)
    perturb_normalization(reference)
    torch.save(reference.state_dict(), folder / "weights.pth")
    return load_weights(network, folder / "weights.pth"), reference


def dampen(network):
    """Keep float32 rounding from deciding what a unit does, which deep networks magnify from layer to layer.

    Moves what every normalisation gives away from the kink of the ReLU, to either side; what the last one of a
    residual branch adds is scaled down, and moved only where the shortcut may be 0. Otherwise some activation crosses
    zero in one framework alone, and gradients differ from there on: between the frameworks, and as much between
    torch's own float32 and float64, whose VGG-19 (8 pixels) ends with weights that differ by up to half.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.fill_(0.2)
            module.bias.data.fill_(1.0)
            module.bias.data[::4] = -1.0
    for module in network.modules():
        branches = [getattr(module, name) for name in ("bn3", "bn2") if hasattr(module, name)]
        if branches and hasattr(module, "downsample"):
            branches[0].weight.data.fill_(0.1)
            branches[0].bias.data.clamp_(max=0.0)


def perturb_normalization(network, seed=5):
    """Give every BatchNorm statistics and an affine map other than those it starts with."""
    rng = np.random.RandomState(seed)
    for module in network.modules():
        if not isinstance(module, torch.nn.BatchNorm2d):
            continue
        size = module.num_features
        values = {"weight": rng.uniform(0.5, 1.5, size), "bias": rng.normal(0, 0.2, size),
                  "running_mean": rng.normal(0, 0.2, size), "running_var": rng.uniform(0.5, 2, size)}
        for kind, value in values.items():
            getattr(module, kind).data.copy_(torch.from_numpy(value))


def mindspore_weights(network):
    """All parameters and statistics as arrays by name."""
    return {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}


def small_split(n=20, image_size=8, channels=3, classes=4, seed=0):
    """Random images and labels."""
    rng = np.random.RandomState(seed)
    images = rng.randint(0, 256, size=(n, image_size, image_size, channels)).astype(np.uint8)
    mean, std = (0.5, 0.4, 0.45)[:channels], (0.25, 0.3, 0.2)[:channels]
    return mc.Split(name="random", images=images, labels=rng.randint(0, classes, size=n).astype(np.int64),
                    classes=tuple("abcdefgh"[:classes]), mean=mean, std=std)


def answers(network, split):
    """Features and logits of a MindSpore network in evaluation mode, from the torch twin's normalised images."""
    network.set_train(False)
    inputs = Tensor(normalize(split.images, split.mean, split.std).numpy())
    return network.features(inputs).asnumpy(), network(inputs).asnumpy()


def reference_answers(network, split):
    """The same of a torch network."""
    network.eval()
    inputs = normalize(split.images, split.mean, split.std)
    with torch.no_grad():
        return network.features(inputs).numpy(), network(inputs).numpy()


def assert_rows_close(actual, expected, tolerance=1e-4):
    """Each row differs by at most ``tolerance`` of its norm, and each entry by as much of the batch's largest."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    norms = np.linalg.norm(expected, axis=1)
    assert norms.min() > 0, "a row without answers compares nothing"
    assert (np.linalg.norm(actual - expected, axis=1) / norms).max() <= tolerance
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def assert_weights_close(actual, expected, tolerance, floor=0.0):
    """The same names, and arrays whose difference has at most ``tolerance`` of their norm.

    floor: size of an entry below which rounding is all there is: added to the norm for each entry
    """
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        error, norm = np.linalg.norm(actual[name] - array), np.linalg.norm(array)
        assert error <= tolerance * (norm + floor * np.sqrt(array.size)), f"{name}: {error} of {norm}"


def assert_same_weights(actual, expected):
    """The same names, and equal arrays of the same type."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype, name
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


def evidence_pair(labels, features=None):
    """The same evidence for both packages."""
    labels = np.asarray(labels, np.int64)
    return mc.Evidence(labels=labels, features=features), torch_ref.Evidence(labels=labels, features=features)


def full_evidence(package, seed, n=60, classes=4, d=5, epochs=6, duplicates=0, held_out=0):
    """Random evidence with every field; the last samples repeat the first ones. The same for both packages.

    held_out: samples in ``validation``, or 0 for none
    """
    rng = np.random.RandomState(seed)
    rows = np.concatenate([np.arange(n - duplicates), np.arange(duplicates)])
    labels = rng.randint(0, classes, size=n)[rows]
    features, *runs = (rng.standard_normal((n, d)).astype(np.float32)[rows] for _ in range(3))
    logits, *run_logits = (2 * rng.standard_normal((n, classes)).astype(np.float32)[rows] for _ in range(3))
    recorded = {name: rng.uniform(-1, 1, size=(epochs, n)).astype(np.float32)[:, rows]
                for name in ("margin", "logit_margin", "error_norm", "probability", "loss", "divergence",
                             "validation_loss")}
    recorded["correct"] = recorded["margin"] > 0
    recorded["probability"] = np.abs(recorded["probability"])
    validation = full_evidence(package, seed + 1, held_out, classes, d) if held_out else None
    others = tuple(package.Evidence(labels=labels, features=e, logits=z)
                   for e, z in zip(runs, run_logits, strict=True))
    return package.Evidence(labels=labels, features=features, logits=logits, dynamics=SimpleNamespace(**recorded),
                            boundary=rng.uniform(0, 9, size=n)[rows], imported=rng.uniform(-1, 1, size=n)[rows],
                            validation=validation, runs=others)


def outcome(package, method, evidence, rate, **options):
    """The selected indices as a list, or ``ValueError`` where the package refuses."""
    try:
        return package.select(method, evidence, rate, **options).indices.tolist()
    except ValueError:
        return ValueError
