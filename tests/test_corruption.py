"""Corruptions: pixels by hand, what OpenCV computes, shares and seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare, kstest, norm

from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.perturbations.corruption import (
    KINDS,
    assign_kinds,
    blur_degree,
    blur_kernel,
    corrupt,
    corrupt_rows,
    corruption_options,
    fog,
    motion_blur,
)
from ms_coreset.randomness import stream

SHAPES = [(8, 1), (28, 1), (32, 3), (64, 3), (224, 3)]


def pattern(size, channels):
    """An image without randomness, that any program can make again."""
    return (np.arange(size * size * channels)**2 % 251).astype(np.uint8).reshape(size, size, channels)


def photos(n, size=32, channels=3, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n, size, size, channels)).astype(np.uint8)


def only(kind, images, **options):
    """All images corrupted in one way."""
    return corrupt(images, {kind: 1.0}, **options)[0]


# Motion blur


def test_kernel_of_15_is_that_of_opencv():
    """Two equal rows; 1024 times what warpAffine of OpenCV 5.0 gave, of which the sum is 15 times 0.6979."""
    kernel = blur_kernel(15)
    row = [378, 432, 272, 341, 420, 348, 278, 400, 400, 278, 348, 420, 341, 272, 432]
    np.testing.assert_array_equal(kernel[7:9], [row, row])
    assert kernel.sum() == 2 * sum(row)
    assert kernel.sum() / 1024 / 15 == pytest.approx(0.6979, abs=5e-5)


def test_kernel_of_3_by_hand():
    """Turned by 45 degrees about (1.5, 1.5): the pixel (1, 1) looks at (1.5, 0.79), and so on."""
    np.testing.assert_array_equal(blur_kernel(3), [[0, 0, 0], [278, 400, 400], [278, 400, 400]])


@pytest.mark.parametrize(("size", "degree"), [(8, 3), (16, 7), (28, 13), (32, 15), (48, 15), (64, 15), (224, 53)])
def test_length_of_the_blur(size, degree):
    assert blur_degree(size) == degree


def test_blur_of_a_point_by_hand():
    """A white pixel at (3, 4) becomes the mirrored kernel, 255 (278, 400) / 3072 = 23.1, 33.2, stretched to 255."""
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[0, 3, 4] = 255
    expected = np.zeros((8, 8))
    expected[2:4, 3:5] = 255  # the kernel's centre is its middle pixel, so its rows 1 and 2 look at 0 and 1 below
    expected[2:4, 5] = np.rint(23 * 255 / 33)
    np.testing.assert_array_equal(motion_blur(image)[0, ..., 0], expected)


def test_blur_mirrors_borders_without_the_edge():
    """In columns of value 10 x, the last but one stands in for what lies beyond the last."""
    image = np.tile(10 * np.arange(8, dtype=np.uint8), (8, 1))[None, :, :, None]
    weights = 2 * np.array([278, 400, 400]) / 3072
    columns = np.array([10, *range(0, 80, 10), 60])
    blurred = np.rint([weights @ columns[x:x + 3] for x in range(8)])
    stretched = np.rint((blurred - blurred.min()) * 255 / (blurred.max() - blurred.min()))
    np.testing.assert_array_equal(motion_blur(image)[0, ..., 0], np.tile(stretched, (8, 1)))


def test_blur_of_a_small_image_is_opencvs():
    """filter2D and normalize of OpenCV 5.0."""
    np.testing.assert_array_equal(motion_blur(pattern(8, 1)[None])[0, ..., 0], [
        [0, 10, 30, 52, 79, 109, 141, 151], [22, 45, 92, 144, 198, 255, 235, 250],
        [50, 84, 161, 158, 158, 188, 196, 218], [79, 129, 233, 176, 124, 126, 161, 191],
        [114, 97, 146, 144, 119, 124, 131, 168], [153, 149, 146, 171, 119, 124, 104, 149],
        [198, 205, 230, 203, 178, 156, 139, 134], [198, 205, 230, 203, 178, 156, 139, 134]])


@pytest.mark.parametrize(("size", "channels", "digest"), [
    (8, 1, "ef74afcf6d184e6e75f0fc91dcdedb4d"), (28, 1, "b83a537b165d9533e763613efdbe75d8"),
    (32, 3, "22226fbdfb64394999f64fd2248772c1"), (64, 3, "2e5920ae3279c60f5e0dc73fadb45c6a"),
    (224, 3, "547c69288130b1273c6fc4bf85e3950e")])
def test_blur_is_opencvs(size, channels, digest):
    """Checksums of what warpAffine, filter2D and normalize of OpenCV 5.0 made of the pattern."""
    assert array_digest(motion_blur(pattern(size, channels)[None])[0]) == digest


@given(st.integers(0, 2**32 - 1))
def test_blur_is_opencvs_on_any_image(seed):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed; checksums of its results are compared always")
    (image,) = photos(1, seed=seed)
    turned = cv2.warpAffine(np.eye(15), cv2.getRotationMatrix2D((7.5, 7.5), 45, 1), (15, 15))
    blurred = cv2.filter2D(image, -1, turned / 15)
    difference = motion_blur(image[None])[0] - cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(int)
    assert np.abs(difference).max() <= 4 and (difference != 0).mean() < 0.001  # a half that went the other way


@pytest.mark.parametrize("gray", [0, 1, 90, 255])
def test_blur_leaves_an_image_without_contrast_as_it_is(gray):
    """OpenCV's normalize makes it black, which is what the repository writes."""
    images = np.concatenate([np.full((1, 32, 32, 3), gray, np.uint8), pattern(32, 3)[None]])
    np.testing.assert_array_equal(only("motion_blur", images)[0], images[0])
    assert not only("motion_blur", images, mode="repo")[0].any()
    np.testing.assert_array_equal(*(only("motion_blur", images, mode=mode)[1] for mode in ("paper", "repo")))


def test_blur_of_one_color_is_stretched_over_its_channels():
    """178, 89 and 0 are left of 255, 128 and 0."""
    image = np.full((1, 32, 32, 3), [255, 128, 0], np.uint8)
    assert np.unique(motion_blur(image)[0, ..., 1]).tolist() == [round(89 * 255 / 178)]
    np.testing.assert_array_equal(motion_blur(image)[..., ::2], image[..., ::2])


def test_blur_that_leaves_no_contrast_leaves_the_image_as_it_is():
    image = np.full((1, 32, 32, 1), 90, np.uint8)
    image[0, 3, 3] = 91
    np.testing.assert_array_equal(motion_blur(image), image)


# Fog


def test_fog_by_hand():
    """At 32 pixels, t is exp(-0.4 sqrt(32)) = 0.10406 in the middle and exp(-0.4 (5.65685 - 0.90510)) in the corner."""
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[0, 16, 16] = 255
    foggy = only("fog", images)[0]
    assert foggy[16, 16].tolist() == [round(255 * (0.10406 + 0.5 * (1 - 0.10406)))] * 3 == [141] * 3
    assert foggy[0, 0].tolist() == [round(127.5 * (1 - 0.14946))] * 3 == [108] * 3


@pytest.mark.parametrize(("size", "low", "high"), [(32, 0.1041, 0.1495), (64, 0.0408, 0.0841), (8, 0.1041, 0.1495),
                                                   (224, 0.0408, 0.0841)])
def test_range_of_the_fog(size, low, high):
    """The weight t of a white image's pixels, x t + (1 - t) / 2, is that of the nearer of the published sizes."""
    weight = 2 * fog(np.full((1, size, size, 1), 255)) - 1
    assert (weight.min(), weight.max()) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_fog_of_the_repository_is_black():
    images = photos(3)
    assert not only("fog", images, mode="repo").any()
    assert only("fog", images).min() > 90


# Low resolution


def test_low_resolution_is_a_quarter():
    image = photos(1, 64)[0]
    expected = Image.fromarray(image).resize((16, 16), Image.BICUBIC).resize((64, 64), Image.BICUBIC)
    np.testing.assert_array_equal(only("low_resolution", image[None])[0], np.asarray(expected))


@pytest.mark.parametrize(("size", "channels"), SHAPES)
def test_low_resolution_keeps_what_does_not_change_within_the_image(size, channels):
    images = np.full((1, size, size, channels), 77, np.uint8)
    np.testing.assert_array_equal(only("low_resolution", images), images)


def test_low_resolution_takes_fine_detail_away_and_leaves_coarse():
    stripes = np.tile(255 * (np.arange(32) % 2).astype(np.uint8), (32, 1))[None, :, :, None]
    assert np.abs(only("low_resolution", stripes)[0, :, 8:-8].astype(int) - 127.5).max() < 10
    halves = np.tile(255 * (np.arange(32) // 16).astype(np.uint8), (32, 1))[None, :, :, None]
    blurred = only("low_resolution", halves)[0]
    assert blurred[:, :8].max() < 30 and blurred[:, -8:].min() > 225


# Occlusion


@pytest.mark.parametrize(("size", "first", "last"), [(32, 5, 20), (64, 5, 45), (8, 1, 4), (28, 4, 17), (224, 18, 161),
                                                     (48, 5, 32)])
def test_occlusion_covers_the_same_box(size, first, last):
    images = np.full((2, size, size, 1), 9, np.uint8)
    expected = images.copy()
    expected[:, first:last + 1, first:last + 1] = 0
    np.testing.assert_array_equal(only("occlusion", images), expected)


def test_random_occlusion_covers_all_places_alike():
    covered = only("occlusion", np.ones((2000, 32, 32, 1), np.uint8), random_occlusion=True)[..., 0] == 0
    assert (covered.sum(axis=(1, 2)) == 16 * 16).all()
    tops, lefts = covered.any(axis=2).argmax(axis=1), covered.any(axis=1).argmax(axis=1)
    for places in (tops, lefts):
        counts = np.bincount(places, minlength=17)
        assert len(counts) == 17 and chisquare(counts).pvalue > 1e-4
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.1


# Gaussian noise


def test_noise_by_hand():
    """128/255 plus the row's own draws; below 0 and above 1 is cut off."""
    images = np.full((2, 4, 4, 1), 128, np.uint8)
    drawn = stream(5, "gaussian noise", 1).normal(0.2, 1, (4, 4, 1))
    expected = [[round(255 * min(max(128 / 255 + z, 0), 1)) for z in line] for line in drawn[..., 0]]
    np.testing.assert_array_equal(only("gaussian_noise", images, seed=5)[1, ..., 0], expected)
    truncated = [[int(255 * min(max(128 / 255 + z, 0), 1)) for z in line] for line in drawn[..., 0]]
    np.testing.assert_array_equal(only("gaussian_noise", images, seed=5, mode="repo")[1, ..., 0], truncated)


def test_noise_has_mean_02_and_deviation_1():
    """As far as it is not cut off: of black images the values between, by the normal distribution's tails."""
    values = only("gaussian_noise", np.zeros((30, 32, 32, 3), np.uint8)).ravel()
    assert (values == 0).mean() == pytest.approx(norm.cdf(0.5 / 255, 0.2, 1), abs=0.005)
    assert (values == 255).mean() == pytest.approx(norm.sf(254.5 / 255, 0.2, 1), abs=0.005)
    between = (values[(values > 0) & (values < 255)] + stream(0, "test").uniform(
        -0.5, 0.5, ((values > 0) & (values < 255)).sum())) / 255
    low, high = norm.cdf([0.5 / 255, 254.5 / 255], 0.2, 1)
    assert kstest((norm.cdf(between, 0.2, 1) - low) / (high - low), "uniform").pvalue > 1e-4


# Shares, seeds, parts


@given(st.integers(0, 3000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_the_share_is_exact_and_even(n, ratio, seed):
    kinds = assign_kinds(n, corruption_options(ratio, seed))
    counts = np.bincount(kinds, minlength=6)
    assert abs(counts[1:].sum() - ratio * n) <= 0.5 + 1e-6
    assert np.abs(counts[1:] - ratio * n / 5).max() <= 1 + 1e-6


@pytest.mark.parametrize(("ratio", "each"), [(0.05, 500), (0.1, 1000), (0.2, 2000), (0.3, 3000), (1.0, 10000)])
def test_the_papers_shares_of_50000(ratio, each):
    kinds = assign_kinds(50_000, corruption_options(ratio))
    assert np.bincount(kinds)[1:].tolist() == [each] * 5


def test_each_kind_has_its_own_share():
    shares = {"fog": 0.25, "occlusion": 0.5}
    corrupted, kinds, manifest = corrupt(photos(8, 8, 1), shares)
    assert manifest["counts"] == [0, 2, 0, 4, 0] == np.bincount(kinds, minlength=6)[1:].tolist()
    assert manifest["shares"] == [0, 0.25, 0, 0.5, 0] and manifest["kinds"] == list(KINDS)
    assert manifest["images"] == array_digest(corrupted)


def test_every_sample_is_as_likely_to_get_each_kind():
    counts = np.zeros((20, 6), int)
    for seed in range(2000):
        counts[np.arange(20), assign_kinds(20, corruption_options(0.5, seed))] += 1
    assert min(chisquare(column).pvalue for column in counts.T) > 1e-4


@pytest.mark.parametrize(("size", "channels"), SHAPES)
@pytest.mark.parametrize("mode", ["paper", "repo"])
def test_all_sizes(size, channels, mode):
    images = photos(10, size, channels)
    before = images.copy()
    corrupted, kinds, _ = corrupt(images, 0.5, mode=mode)
    np.testing.assert_array_equal(images, before)
    assert corrupted.dtype == np.uint8 and corrupted.shape == images.shape
    changed = (corrupted != images).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, kinds > 0)
    assert np.bincount(kinds).tolist() == [5, 1, 1, 1, 1, 1]


@given(st.lists(st.integers(1, 29), max_size=5), st.integers(0, 2**32 - 1), st.booleans())
def test_in_parts_the_same_bytes(cuts, seed, random_occlusion):
    images = photos(30, 8, 1)
    whole, kinds, _ = corrupt(images, 0.8, seed, random_occlusion=random_occlusion)
    options = corruption_options(0.8, seed, random_occlusion=random_occlusion)
    parts = [corrupt_rows(images[rows], kinds[rows], rows, options)
             for rows in np.split(np.arange(30), sorted(set(cuts)))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_seeds():
    images = photos(50, 8, 1)
    first, again, other = (corrupt(images, 0.5, seed) for seed in (1, 1, 2))
    assert first[0].tobytes() == again[0].tobytes() and first[2] == again[2]
    assert (first[1] != other[1]).any()
    noise = [only("gaussian_noise", images, seed=seed) for seed in (1, 2)]
    assert (noise[0] != noise[1]).mean() > 0.2


def test_the_global_generator_is_left_alone():
    state = np.random.get_state()[1].copy()
    corrupt(photos(20, 8, 1), 1.0, random_occlusion=True)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_corrupted_samples_are_not_those_of_the_label_noise():
    """Of one seed: each purpose draws for itself."""
    from ms_coreset.perturbations.label_noise import symmetric_noise

    labels = np.zeros(5000, int)
    flipped = symmetric_noise(labels, 2, 0.3)[0] == 1
    corrupted = assign_kinds(5000, corruption_options(0.3)) > 0
    assert (flipped & corrupted).sum() == pytest.approx(450, abs=60)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"shares": 1.2}, "ratio 1.2"), ({"shares": -0.1}, "ratio -0.1"), ({"shares": float("nan")}, "ratio nan"),
    ({"shares": {"fog": 2}}, "share of fog 2"), ({"shares": {"frost": 0.1}}, "unknown corruption 'frost'"),
    ({"shares": {"fog": 0.6, "occlusion": 0.5}}, "add up to 1.1"), ({"mode": "mine"}, "unknown corruption mode 'mine'"),
    ({"seed": -1}, "seed -1"), ({"images": np.zeros((2, 8, 8), np.uint8)}, r"shape \(2, 8, 8\)"),
    ({"images": np.zeros((2, 8, 8, 1))}, "float64")])
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(MsCoresetError, match=message) as error:
        corrupt(**{"images": photos(4, 8, 1)} | arguments)
    assert "\n" not in str(error.value)
