"""Corrupted images: a share of the images is blurred, fogged, coarsened, covered in part, or noisy.

These are the five corruptions of the Moderate coreset repository (tmllab/2023_ICLR_Moderate-DS, robust/), which gives
their sizes for images of 32 and of 64 pixels. Other images follow one rule: an image below 32 pixels is treated as one
of 32 scaled down, one above 64 as one of 64 scaled up; images between the two have sizes between.

There are two modes. "paper" is what the paper describes: fog keeps the image's brightness, noise is clipped to the
range of pixels, and the blur does not change an image without contrast. "repo" is what the repository writes, where
that is defined: its fog is never scaled back to 0 .. 255, so that such images are black, and so is the blur of an image
without contrast. Its noise casts negative numbers to uint8, which no standard defines; they become 0 in both modes.
Departures in both: all random numbers are seeded, and the kind of each sample is recorded.
"""

import numbers
from typing import Any

import numpy as np

from ms_coreset.checksums import array_digest
from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.randomness import check_seed, stream

KINDS = ("motion_blur", "fog", "low_resolution", "occlusion", "gaussian_noise")
MODES = ("paper", "repo")
_NOISE_MEAN, _NOISE_DEVIATION = 0.2, 1.0


def corrupt(images: np.ndarray, shares: float | dict = 0.3, seed: int = 0, *, mode: str = "paper",
            random_occlusion: bool = False) -> tuple:
    """Corrupt a share of the images, each in one of five ways: motion blur, fog, coarsening, occlusion, noise.

    Args:
        images: (n, height, width, channels) uint8; not changed.
        shares: share of the images to corrupt, 0 to 1, evenly by the five kinds; or a dict from kind to its own share.
        seed: of the choice of images, of the noise and of the places, 0 to 2**32 - 1.
        mode: "paper" or "repo". "repo" reproduces the Moderate repository, whose fog and flat blurs come out black;
            "paper" is what is meant.
        random_occlusion: whether the covered place is drawn for each image, instead of the same place in all.

    Returns:
        (images, kinds, manifest): the corrupted images; the kind of each, (n,) int8 (0: clean, k: ``KINDS[k - 1]``);
        and a manifest of plain values.

    Raises:
        MsCoresetError: for an argument outside its range.
    """
    options = corruption_options(shares, seed, mode, random_occlusion)
    require_kind("images", images, np.ndarray)
    if images.dtype != np.uint8 or images.ndim != 4 or not images[:1].size:
        raise MsCoresetError(f"images are {images.dtype} of shape {images.shape}: give uint8 of (n, height, width, "
                             "channels)")
    kinds = assign_kinds(len(images), options)
    corrupted = corrupt_rows(images, kinds, np.arange(len(images)), options)
    return corrupted, kinds, {**options, "n": len(images), "counts": count_kinds(kinds),
                              "images": array_digest(corrupted)}


def corruption_options(shares: float | dict[str, float] = 0.3, seed: int = 0, mode: str = "paper",
                       random_occlusion: bool = False) -> dict[str, Any]:
    """The arguments of ``corrupt``, checked, as the plain values that begin its manifest.

    Args:
        shares: as in ``corrupt``.
        seed: as in ``corrupt``.
        mode: as in ``corrupt``.
        random_occlusion: as in ``corrupt``.

    Returns:
        The options by name.

    Raises:
        MsCoresetError: for an argument outside its range.
    """
    if not isinstance(shares, dict):
        # One number is checked first, so that the message is about the number that was typed.
        _require_share("corruption ratio", shares)
        shares = dict.fromkeys(KINDS, shares / len(KINDS))
    unknown = sorted(map(str, shares.keys() - set(KINDS)))
    if unknown:
        raise MsCoresetError(f"unknown corruption {unknown[0]!r}: there are {', '.join(KINDS)}")
    for kind, share in shares.items():
        _require_share(f"share of {kind}", share)
    if sum(shares.values()) > 1 + 1e-9:
        raise MsCoresetError(f"the shares of the corruptions add up to {sum(shares.values()):g}: at most 1")
    require_kind("mode", mode, str)
    require_kind("random_occlusion", random_occlusion, bool, np.bool_)
    if mode not in MODES:
        raise MsCoresetError(f"unknown corruption mode {mode!r}: there are {', '.join(MODES)}")
    return {"kind": "corruption", "kinds": list(KINDS), "shares": [float(shares.get(kind, 0)) for kind in KINDS],
            "seed": check_seed(seed), "mode": mode, "random_occlusion": bool(random_occlusion)}


def assign_kinds(n: int, options: dict[str, Any]) -> np.ndarray:
    """Draw which corruption each of ``n`` samples gets; see ``corrupt``.

    Classes do not matter: the first samples of a permutation are divided by the shares. The number of samples of each
    kind, and of all together, is its share times n, rounded.

    Args:
        n: number of samples.
        options: result of ``corruption_options``.

    Returns:
        (n,) int8.
    """
    # A sum of shares has a rounding error (0.3 as 0.30000000000000004), which must not decide how a count is rounded.
    ends = [round(round(total, 9) * n) for total in np.cumsum(options["shares"]).tolist()]
    order = stream(options["seed"], "corruption").permutation(n)
    kinds = np.zeros(n, np.int8)
    for code, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True), start=1):
        kinds[order[begin:end]] = code
    return kinds


def corrupt_rows(images: np.ndarray, kinds: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Some images corrupted: a function of each image and its row alone, so a data set can be done in parts.

    Args:
        images: (b, height, width, channels) uint8.
        kinds: (b,) codes.
        rows: (b,) places of the images in the whole data set.
        options: result of ``corruption_options``.

    Returns:
        (b, height, width, channels) uint8.
    """
    corrupted = np.array(images)
    for code, function in enumerate((_blur, _add_fog, _coarse, _occlude, _add_noise), start=1):
        chosen = np.flatnonzero(kinds == code)
        if len(chosen):
            corrupted[chosen] = function(corrupted[chosen], np.asarray(rows)[chosen], options)
    return corrupted


def count_kinds(kinds: np.ndarray) -> list[int]:
    """How many samples there are of each kind."""
    return np.bincount(kinds, minlength=len(KINDS) + 1)[1:].tolist()


def motion_blur(images: np.ndarray, mode: str = "paper") -> np.ndarray:
    """A horizontal smear of 15 pixels (3 for images of 8 pixels, 53 for 224), contrast stretched to 0 .. 255.

    The kernel is a diagonal that OpenCV's ``warpAffine`` turns by 45 degrees: two rows of unequal weights. Borders are
    mirrored without the edge. The stretch is over all channels of an image together. The result is equal to OpenCV's,
    except for sums that end in exactly one half, which its Fourier transform may leave on either side.

    An image whose blur has one value only, such as one of a single grey, has no contrast to stretch: it is not changed.
    OpenCV's stretch, and so mode "repo", gives black there.

    Args:
        images: (b, side, side, channels) uint8.
        mode: "paper" or "repo".

    Returns:
        uint8 of the same shape.
    """
    from scipy.ndimage import correlate

    degree = blur_degree(images.shape[1])
    # The weights are whole, so that sums are exact and the division alone is rounded.
    sums = correlate(images.astype(np.float64), blur_kernel(degree)[None, :, :, None].astype(np.float64), mode="mirror")
    blurred = np.rint(sums / (1024 * degree)).astype(np.uint8)
    flat = blurred.min(axis=(1, 2, 3)) == blurred.max(axis=(1, 2, 3))
    without_contrast = np.zeros_like(images) if mode == "repo" else images
    return np.stack([without_contrast[i] if flat[i] else _stretch(image) for i, image in enumerate(blurred)])


def blur_degree(size: int) -> int:
    """Length of the blur in pixels for images of ``size``: 15 from 32 to 64 pixels, otherwise in proportion, odd."""
    return 2 * round((15 * size / _reference(size) - 1) / 2) + 1


def blur_kernel(degree: int) -> np.ndarray:
    """(degree, degree) integers: 1024 times a diagonal of ones, turned by 45 degrees about (degree/2, degree/2).

    It is computed in OpenCV's fixed-point numbers: places are rounded to 1/1024 and then to 1/32, and interpolated
    linearly.
    """
    half, center = np.sqrt(0.5), degree / 2
    place = np.arange(degree)
    along = np.rint(half * place * 1024).astype(int)
    x = (np.rint((center - half * place) * 1024).astype(int)[:, None] + along + 16) >> 5
    y = (np.rint((half * place + center - 2 * half * center) * 1024).astype(int)[:, None] + along + 16) >> 5
    diagonal = np.pad(np.eye(degree, dtype=int), degree)
    (column, right), (row, below) = np.divmod(x + 32 * degree, 32), np.divmod(y + 32 * degree, 32)
    upper = diagonal[row, column] * (32 - right) + diagonal[row, column + 1] * right
    lower = diagonal[row + 1, column] * (32 - right) + diagonal[row + 1, column + 1] * right
    return upper * (32 - below) + lower * below


def fog(images: np.ndarray) -> np.ndarray:
    """``t x + 0.5 (1 - t)`` for pixels x in [0, 1], in float64, unrounded, where t falls towards the middle.

    ``t = exp(-0.4 (sqrt(R) - 0.04 d))`` with R the side and d the distance to (R/2, R/2), for R of 32 to 64.
    """
    _, height, width, _ = images.shape
    reference = _reference(height)
    scale = reference / height
    rows, columns = np.arange(height)[:, None] - height / 2, np.arange(width) - width / 2
    distance = scale * np.sqrt(rows**2 + columns**2)
    t = np.exp(-0.4 * (np.sqrt(reference) - 0.04 * distance))[:, :, None]
    return images / 255 * t + 0.5 * (1 - t)


def occlusion_box(size: int) -> tuple[int, int]:
    """(first row and column, side) of the black square: (5, 16) for 32 pixels, (5, 41) for 64."""
    reference = _reference(size)
    scale = size / reference
    return round(5 * scale), max(1, round((16 + (reference - 32) * 25 / 32) * scale))


def _reference(size: int) -> int:
    return min(max(size, 32), 64)


def _blur(images: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    return motion_blur(images, options["mode"])


def _stretch(image: np.ndarray) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    # As OpenCV: factor and offset in float32, multiplied and added with one rounding. It decides exact halves.
    factor = 255 * (1 / (high - low))
    stretched = image * np.float64(np.float32(factor)) + np.float64(np.float32(-low * factor))
    return np.rint(stretched.astype(np.float32)).astype(np.uint8)


def _add_fog(images: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    # The repository forgets to multiply by 255, and every number below 1 becomes 0.
    return np.zeros_like(images) if options["mode"] == "repo" else np.rint(255 * fog(images)).astype(np.uint8)


def _coarse(images: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Shrunk to a quarter and enlarged again by Pillow's bicubic filter."""
    from PIL import Image

    height, width = images.shape[1:3]
    small = (max(1, round(width / 4)), max(1, round(height / 4)))

    def there_and_back(image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        picture = picture.resize(small, Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(picture).reshape(image.shape)

    return np.stack([there_and_back(image) for image in images])


def _occlude(images: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    first, side = occlusion_box(images.shape[1])
    height, width = images.shape[1:3]
    for image, row in zip(images, rows, strict=True):
        top = left = first
        if options["random_occlusion"]:
            rng = stream(options["seed"], "occlusion", row)
            top, left = rng.randint(height - side + 1), rng.randint(width - side + 1)
        image[top:top + side, left:left + side] = 0
    return images


def _add_noise(images: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Normal noise of mean 0.2 and deviation 1 added to pixels in [0, 1], and clipped."""
    noise = np.stack([stream(options["seed"], "gaussian noise", row).normal(
        _NOISE_MEAN, _NOISE_DEVIATION, images.shape[1:]) for row in rows])
    values = 255 * np.clip(images / 255 + noise, 0, 1)
    return (values if options["mode"] == "repo" else np.rint(values)).astype(np.uint8)


def _require_share(what: str, share: Any) -> None:
    number = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if not number or not 0 <= share <= 1:
        raise MsCoresetError(f"{what} {share} is out of range: give a share from 0 to 1")
