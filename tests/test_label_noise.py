import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.perturbations.label_noise import asymmetric_noise, human_noise, symmetric_noise, target_classes

seeds = st.integers(0, 2**32 - 1)
ratios = st.floats(0, 1)


@st.composite
def labels_and_classes(draw):
    """Labels and the number of classes they come from, of which some may have no sample."""
    num_classes = draw(st.integers(2, 12))
    return np.array(draw(st.lists(st.integers(0, num_classes - 1), max_size=60)), dtype=np.int64), num_classes


@given(labels_and_classes(), ratios, seeds)
def test_exact_noise_replaces_exactly_the_asked_share(data, ratio, seed):
    labels, num_classes = data
    noisy, manifest = symmetric_noise(labels, num_classes, ratio, seed=seed)
    assert (noisy != labels).sum() == manifest["flipped"] == round(ratio * len(labels))


@given(labels_and_classes(), ratios, seeds, st.booleans())
def test_noise_is_within_the_classes_and_told_by_the_manifest(data, ratio, seed, exact):
    labels, num_classes = data
    before = labels.copy()
    noisy, manifest = symmetric_noise(labels, num_classes, ratio, seed=seed, exact=exact)
    np.testing.assert_array_equal(labels, before)
    assert noisy.dtype == np.int64 and noisy.shape == labels.shape
    assert ((noisy >= 0) & (noisy < num_classes)).all()
    assert manifest == {
        "kind": "symmetric_label_noise", "ratio": ratio, "seed": seed, "exact": exact, "n": len(labels),
        "ratio_realised": (noisy != labels).mean() if len(labels) else 0, "num_classes": num_classes,
        "flipped": (noisy != labels).sum(), "clean_labels": array_digest(labels), "noisy_labels": array_digest(noisy)}


@given(labels_and_classes(), ratios, seeds, st.booleans())
def test_same_seed_same_bytes(data, ratio, seed, exact):
    labels, num_classes = data
    first, second = (symmetric_noise(labels, num_classes, ratio, seed=seed, exact=exact) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes() and first[1] == second[1]


def test_other_seed_other_noise():
    labels = np.arange(1000) % 10
    assert (symmetric_noise(labels, 10, seed=0)[0] != symmetric_noise(labels, 10, seed=1)[0]).any()


def test_noise_leaves_the_global_generator_alone():
    state = np.random.get_state()[1].copy()
    symmetric_noise(np.zeros(10, np.int64), 2)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("exact", [True, False])
def test_target_classes_are_uniform_over_the_others(exact):
    labels = np.repeat(np.arange(10), 5000)
    noisy, _ = symmetric_noise(labels, 10, ratio=0.5, seed=3, exact=exact)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, noisy), 1)
    off_diagonal = [np.delete(row, label) for label, row in enumerate(counts)]
    assert min(chisquare(row).pvalue for row in off_diagonal) > 1e-4


def test_every_sample_is_as_likely_to_be_replaced():
    """Over many seeds no place is preferred."""
    labels = np.zeros(20, np.int64)
    hits = sum(symmetric_noise(labels, 2, 0.25, seed=seed)[0] for seed in range(2000))
    assert chisquare(hits).pvalue > 1e-4


def test_independent_noise_varies_around_the_ratio():
    labels = np.zeros(2000, np.int64)
    flipped = [symmetric_noise(labels, 5, 0.3, seed=seed, exact=False)[1]["flipped"] for seed in range(50)]
    assert len(set(flipped)) > 10
    assert binomtest(sum(flipped), 50 * 2000, 0.3).pvalue > 1e-4


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("ratio", [0, 1])
def test_none_and_all(ratio, exact):
    labels = np.arange(300) % 3
    assert (symmetric_noise(labels, 3, ratio, exact=exact)[0] != labels).sum() == ratio * 300


@pytest.mark.parametrize("arguments, message", [
    ({"ratio": -0.1}, "ratio -0.1"), ({"ratio": 1.01}, "ratio 1.01"), ({"ratio": float("nan")}, "ratio nan"),
    ({"num_classes": 1}, "among 1 classes"), ({"seed": -1}, "seed -1"), ({"seed": 2**32}, "seed 4294967296"),
    ({"num_classes": 2}, "labels are 0 to 2"), ({"labels": np.array([-1, 0])}, "labels are -1 to 0"),
    ({"labels": np.zeros(3)}, "float64"), ({"labels": np.zeros((3, 1), int)}, "shape"),
])
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(MsCoresetError, match=message) as error:
        symmetric_noise(**{"labels": np.array([0, 1, 2]), "num_classes": 3} | arguments)
    assert "\n" not in str(error.value)


# Asymmetric noise

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def test_published_pairs_of_cifar10():
    targets, rule = target_classes("CIFAR10", CIFAR10)
    mistaken = {CIFAR10[own]: CIFAR10[other] for own, other in enumerate(targets) if own != other}
    assert rule == "published"
    assert mistaken == {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}


def test_classes_of_cifar100_go_round_their_superclass(real_data):
    from ms_coreset.datasets import load_dataset

    classes = load_dataset("CIFAR100", real_data / "exact", download=False, log=lambda line: None).classes
    targets, rule = target_classes("CIFAR100", classes)
    assert rule == "published"
    place = {name: number for number, name in enumerate(classes)}
    assert classes[targets[place["otter"]]] == "seal" and classes[targets[place["whale"]]] == "beaver"
    assert sorted(targets) == list(range(100))
    # Five steps lead back to where one began, and fewer do not.
    reached = np.arange(100)
    for step in range(1, 6):
        reached = targets[reached]
        assert (reached == np.arange(100)).all() == (step == 5)


@pytest.mark.parametrize(("name", "next_class"), [("digits", False), ("CIFAR10", True), ("CIFAR100", False)])
def test_next_class_where_no_pairs_are_published_or_wanted(name, next_class):
    """CIFAR-100's pairs do not fit these names, as those of a stand-in."""
    targets, rule = target_classes(name, CIFAR10, next_class)
    assert (targets.tolist(), rule) == ([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], "next class")


@given(labels_and_classes(), ratios, seeds)
def test_exact_asymmetric_noise_replaces_the_share_of_what_can_be_mistaken(data, ratio, seed):
    labels, num_classes = data
    targets = np.arange(num_classes)
    targets[0] = 1
    noisy, manifest = asymmetric_noise(labels, targets, ratio, seed=seed)
    flipped = noisy != labels
    assert flipped.sum() == manifest["flipped"] == round(ratio * (labels == 0).sum())
    assert set(noisy[flipped]) <= {1} and set(labels[flipped]) <= {0}
    assert (manifest["ratio"], manifest["seed"], manifest["targets"]) == (ratio, seed, targets.tolist())


def test_asymmetric_noise_by_chance_varies_around_the_ratio():
    labels = np.repeat([0, 1], 1000)
    flipped = [asymmetric_noise(labels, [1, 1], 0.3, seed=seed, exact=False)[1]["flipped"] for seed in range(50)]
    assert len(set(flipped)) > 10
    assert binomtest(sum(flipped), 50 * 1000, 0.3).pvalue > 1e-4


def test_asymmetric_noise_of_every_class_has_the_ratio_of_all():
    labels = np.arange(1000) % 10
    noisy, manifest = asymmetric_noise(labels, (np.arange(10) + 1) % 10, 0.35, seed=2)
    assert manifest["ratio_realised"] == 0.35
    np.testing.assert_array_equal(np.unique((noisy - labels) % 10), [0, 1])
    again = asymmetric_noise(labels, (np.arange(10) + 1) % 10, 0.35, seed=2)
    assert again[0].tobytes() == noisy.tobytes()


# Labels that someone gave


def test_given_labels_replace_the_true_ones():
    noisy, manifest = human_noise(np.array([0, 1, 2, 2]), 3, np.array([0, 2, 2, 1]))
    assert noisy.tolist() == [0, 2, 2, 1]
    assert (manifest["kind"], manifest["flipped"], manifest["ratio_realised"]) == ("human_label_noise", 2, 0.5)


@pytest.mark.parametrize(("given", "message"), [(np.array([0, 1]), "2 labels were given for 3"),
                                                (np.array([0, 1, 3]), "labels are 0 to 3")])
def test_given_labels_must_fit(given, message):
    with pytest.raises(MsCoresetError, match=message):
        human_noise(np.array([0, 1, 2]), 3, given)
