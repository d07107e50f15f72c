"""Evidence without training, from random patches of the images and ridge regression's left-out answers."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ms_coreset.checksums import array_digest
from ms_coreset.datasets.split import Split
from ms_coreset.distributed import current, first_before_others
from ms_coreset.errors import MsCoresetError, require_kind, require_path, require_whole
from ms_coreset.evidence import Evidence
from ms_coreset.extraction.cache import ExtractionStore
from ms_coreset.extraction.ridge import ridge_left_out
from ms_coreset.json_files import read_json, write_json
from ms_coreset.locks import try_lock
from ms_coreset.npy_files import create_array
from ms_coreset.progress import Progress
from ms_coreset.randomness import check_seed, stream
from ms_coreset.selectors import processors, products, row_blocks
from ms_coreset.selectors.memory import as_bytes

if TYPE_CHECKING:
    from ms_coreset.datasets.pictures import Pictures

VERSION = 1  # of the computation: cached evidence of another version is not used
SMALLEST, LARGEST = 4, 32  # pixels of a side; larger images are reduced to LARGEST
SAMPLED, SAMPLED_IMAGES = 100_000, 10_000  # patches for the whitening, and the images that they are taken from
CONTRAST, WHITENING, THRESHOLD, TEMPERATURE = 10.0, 0.1, 0.25, 10.0
SMALL = 16  # pixels of a side; below it other settings are better
GRID = 2
TESTED = 2000  # samples of the test split
CACHE_BYTES = 1 << 18  # of answers to a block of places: they stay in a processor's cache
ROUND_BYTES = 32 << 20  # of images that are read, or answers that are written, together
TASK = 64  # images of a thread at a time
NOTES = "patches.json"


@dataclass(frozen=True)
class PatchEvidence(Evidence):
    """``Evidence`` from ``patch_evidence``: logits and features, with their accuracy.

    Attributes:
        accuracy: share of the samples whose label has the largest left-out answer, in [0, 1].
        test_accuracy: the same for at most 2,000 samples of the test split, answered by the fit to all training
            samples; None without a test split.
        settings: how it was made, as plain values; "lam" is ridge regression's penalty, chosen by ``accuracy``.
    """

    _: KW_ONLY
    accuracy: float | None = None
    test_accuracy: float | None = None
    settings: dict = field(default_factory=dict)


def patch_evidence(split: Split, filters: int | None = None, seed: int = 0, *, test: Split | None = None,
                   memory: int | str | None = None, cache: str | os.PathLike | None = None) -> PatchEvidence:
    """Compute evidence without a network: left-out answers of ridge regression on random patches.

    The answers to a sample are those of a fit to all other samples. Images of more than 32 pixels are first reduced to
    32, by averaging.

    1. 100,000 random patches, as vectors of pixels 0 to 255: p' = (p - mean p) / sqrt(var p + 10). With mu their mean
       and V E V^T their covariance, W = V (E + 0.1)^(-1/2) V^T whitens them.
    2. K of them are atoms a = (p' - mu) W, at length 1. Filters w = a W, less their mean; offsets o = w . mu.
    3. At every place z = w . p / sqrt(var p + 10) - o, then max(0, z - 1/4) and max(0, -z - 1/4), each averaged over a
       2 x 2 grid (of an odd number of places both halves have the middle one): g, 8 K numbers. For colour images those
       of the mirror image are added, so that both have the same g. They are not added for grey images: many of these
       are characters, whose mirror image is another one.
    4. Left-out answers L (n, C) of ridge regression from g to the labels: ``ridge_left_out``.

    All is computed on the host, whatever the device: the convolutions are limited by memory and not by arithmetic, and
    in float32, the only precision in which Ascend multiplies, the regression's answers would differ. Steps 1 to 3 are
    in single precision, step 4 in double; the result is the same to the bit on any number of processors. Of several
    ranks, the first computes it.

    Sources: random whitened patches, soft thresholds of both signs and average pooling before a linear classifier:
    Coates, Lee and Ng, AISTATS 2011, and Coates and Ng, ICML 2011; that such patches are near to learnt filters, with
    the mirrored twin: Thiry et al., ICLR 2021; left-out answers: Allen 1974 (see ``ridge_left_out``). Ours: to use
    left-out answers as evidence, their length, the temperature 10, the constants.

    Args:
        split: its images and labels (as given) are used; equal labels and repeated images do no harm.
        filters: K; by default 500 for colour, 150 for grey images, 80 for those below 16 pixels, whose patches have 4 x
            4 pixels, not 6 x 6.
        seed: of the draw of the patches, 0 to 2**32 - 1.
        test: a split for ``test_accuracy``; at most 2,000 of its samples are drawn.
        memory: bytes, or a text such as "2G", that g may take (by default half of what is free); a larger g lies in a
            file.
        cache: folder of the cache, or None for arrays in memory. An entry is keyed by images, labels and settings.

    Returns:
        ``PatchEvidence`` in float32: logits 10 L, (n, C); features, (n, C): L less its row mean, at length 1 (with two
        classes or fewer, where only a sign would be left, at the length they have).

    Raises:
        MsCoresetError: for images smaller than 4 pixels.
    """
    require_kind("split", split, Split)
    require_kind("test", test, Split, type(None))
    if cache is not None:
        require_path("cache", cache)
    settings = patch_settings(split, filters, seed)
    test = None if test is None or test.images is None or not len(test) else _draw(test, seed)
    if cache is None:
        found = current().from_first(lambda: _pack(*_make(split, test, settings, memory, None)))
        return _unpack(split.labels, found, settings)
    folder = Path(cache) / _key(split, test, settings)
    with first_before_others(), try_lock(folder / ".lock"):
        arrays, notes = _make(split, test, settings, memory, folder)
    return _evidence(split.labels, arrays, notes, settings)


def patch_settings(split: Split, filters: int | None = None, seed: int = 0) -> dict[str, Any]:
    """The settings with which ``patch_evidence`` will be made of ``split``, as plain values.

    Args:
        split: as in ``patch_evidence``.
        filters: as in ``patch_evidence``.
        seed: as in ``patch_evidence``.

    Returns:
        The settings by name.

    Raises:
        MsCoresetError: as ``patch_evidence``.
    """
    height, width, channels = split.require_images().shape[1:]
    if min(height, width) < SMALLEST:
        raise MsCoresetError(f"images of {width} x {height} pixels are too small for random patches: {SMALLEST} or "
                             "more on each side")
    if filters is not None:
        require_whole("filters", filters, most=100_000)
    size = [min(side, LARGEST) for side in (height, width)]
    color, small = channels > 1, min(size) < SMALL
    return {"version": VERSION, "filters": filters or (80 if small else 500 if color else 150),
            "side": 4 if small else 6, "size": size, "mirrored": color, "seed": check_seed(seed)}


def _draw(test: Split, seed: int) -> Split:
    """At most ``TESTED`` samples of the test split."""
    return test.subset(np.sort(stream(seed, "patches tested").permutation(len(test))[:TESTED]))


def _key(split: Split, test: Split | None, settings: dict[str, Any]) -> str:
    """Name of the cache entry."""
    tested = () if test is None else (test.fingerprint(), array_digest(test.labels))
    return array_digest(np.array([split.fingerprint(), array_digest(split.labels), str(split.num_classes),
                                  repr(sorted(settings.items())), *tested]))


def _make(split: Split, test: Split | None, settings: dict[str, Any], memory: int | str | None,
          folder: Path | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays by name, notes): in memory, or from ``folder``, where they are made anew unless they are complete."""
    shape = len(split), split.num_classes
    store = ExtractionStore({"features": shape, "logits": shape}, folder)
    notes = _notes(folder)
    if store.done < len(split) or notes is None:
        notes = _fill(store, split, test, settings, memory, folder)
        store.finish()
        if folder is not None:
            write_json(folder / NOTES, notes)
    return store.arrays, notes


def _notes(folder: Path | None) -> dict[str, float | None] | None:
    """The notes on complete evidence in ``folder``; None if there are none."""
    if folder is None:
        return None
    with contextlib.suppress(MsCoresetError, KeyError, TypeError, ValueError):
        notes = read_json(folder / NOTES)
        tested = notes["test_accuracy"]
        return {"accuracy": float(notes["accuracy"]), "lam": float(notes["lam"]),
                "test_accuracy": None if tested is None else float(tested)}
    return None


@processors.host_alone()
def _fill(store: ExtractionStore, split: Split, test: Split | None, settings: dict[str, Any], memory: int | str | None,
          folder: Path | None) -> dict[str, Any]:
    """Fill ``store`` with the evidence; returns the notes on it."""
    if folder is not None:
        (folder / NOTES).unlink(missing_ok=True)
    images = split.require_images()
    filters = draw_filters(images, settings["filters"], settings["side"], stream(settings["seed"], "patches"))
    encoder = Encoder(filters, settings["mirrored"])
    with _array((len(split), encoder.size), memory, folder) as features:
        encode(images, encoder, features)
        found = ridge_left_out(features, split.labels, split.num_classes)
        for part in row_blocks.blocks(len(split), 16 * split.num_classes, ROUND_BYTES):
            answers = found.answers(part)
            store.write(np.arange(part.start, part.stop), logits=lambda a=answers: TEMPERATURE * a,
                        features=lambda a=answers: _directions(a))
    tested = None
    if test is not None:
        answers = found.answer(encode(test.require_images(), encoder, np.empty((len(test), encoder.size), np.float32)))
        tested = float((answers.argmax(axis=1) == test.labels).mean())
    return {"accuracy": found.accuracy, "test_accuracy": tested, "lam": found.lam}


@contextlib.contextmanager
def _array(shape: tuple[int, int], memory: int | str | None, folder: Path | None) -> Iterator[np.ndarray]:
    """An array of float32 to be filled: in memory, or in a temporary file if it is larger than ``memory`` allows."""
    if 4 * shape[0] * shape[1] <= as_bytes(memory):
        yield np.empty(shape, np.float32)
        return
    with tempfile.TemporaryDirectory(prefix="patches-", dir=folder) as scratch:
        yield create_array(Path(scratch) / "patches.npy", np.float32, shape)


def encode(images: np.ndarray | Pictures, encoder: Encoder, out: np.ndarray) -> np.ndarray:
    """Fill ``out`` with the features of images, of which only a few are in memory at a time.

    Args:
        images: (n, H, W, channels).
        encoder: that computes the features.
        out: (n, encoder.size).

    Returns:
        ``out``.
    """
    with Progress(len(images), "patches") as progress:
        for part in row_blocks.blocks(len(images), int(np.prod(images.shape[1:])), ROUND_BYTES):
            pixels, into = images[part], out[part]

            def fill(few: slice, pixels: np.ndarray = pixels, into: np.ndarray = into) -> None:
                into[few] = encoder(pixels[few])

            processors.in_threads(fill, [(few,) for few in row_blocks.blocks(len(pixels), 1, TASK)])
            progress.update(len(pixels))
    return out


def _directions(answers: np.ndarray) -> np.ndarray:
    """Answers (m, C) less their row mean, at length 1; as long as they are where C is 2 or less."""
    answers = answers - answers.mean(axis=1, keepdims=True)
    if answers.shape[1] > 2:
        lengths = np.sqrt(np.einsum("ij,ij->i", answers, answers))
        answers /= np.where(lengths > 0, lengths, 1)[:, None]
    return answers


def _evidence(labels: np.ndarray, arrays: dict[str, np.ndarray], notes: dict[str, Any],
              settings: dict[str, Any]) -> PatchEvidence:
    return PatchEvidence(labels, arrays["features"], arrays["logits"], accuracy=notes["accuracy"],
                         test_accuracy=notes["test_accuracy"], settings={**settings, "lam": notes["lam"]})


def _pack(arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays and notes together as arrays, which ranks can send; NaN stands for None."""
    return {**arrays, **{name: np.array(np.nan if value is None else value) for name, value in notes.items()}}


def _unpack(labels: np.ndarray, found: dict[str, np.ndarray], settings: dict[str, Any]) -> PatchEvidence:
    notes = {name: found.pop(name).item() for name in ("accuracy", "test_accuracy", "lam")}
    if np.isnan(notes["test_accuracy"]):
        notes["test_accuracy"] = None
    return _evidence(labels, found, notes, settings)


@dataclass(frozen=True)
class Filters:
    """K filters for patches of side x side pixels.

    Attributes:
        weights: (K, side, side, channels), for patches divided by their deviation.
        offsets: (K,).
    """

    weights: np.ndarray
    offsets: np.ndarray


@processors.one_blas_thread
def draw_filters(images: np.ndarray | Pictures, filters: int, side: int, rng: np.random.RandomState) -> Filters:
    """``Filters`` from random patches of images.

    Args:
        images: (n, H, W, channels).
        filters: largest number of filters; there are fewer where patches are few.
        side: of a patch, in pixels.
        rng: of the draws.

    Returns:
        The filters.
    """
    patches = _random_patches(images, side, rng)
    patches = patches - patches.mean(axis=1, keepdims=True)
    spread = (patches**2).mean(axis=1, keepdims=True)
    patches /= np.sqrt(spread + CONTRAST)
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(products.gram(patches - mean) / max(1, len(patches) - 1))
    whitening = (vectors / np.sqrt(np.maximum(values, 0) + WHITENING)) @ vectors.T
    chosen = np.flatnonzero(spread > 0)[:filters] if spread.any() else [0]  # or one filter of zeros if no patch varies
    atoms = (patches[chosen] - mean) @ whitening
    lengths = np.linalg.norm(atoms, axis=1, keepdims=True)
    atoms /= np.where(lengths > 0, lengths, 1)
    weights = atoms @ whitening
    offsets = weights @ mean
    weights -= weights.mean(axis=1, keepdims=True)
    return Filters(weights.reshape(-1, side, side, images.shape[3]), offsets)


def _random_patches(images: np.ndarray | Pictures, side: int, rng: np.random.RandomState) -> np.ndarray:
    """(m, side * side * channels) float64: patches at m different places, in random order."""
    chosen = np.sort(rng.permutation(len(images))[:SAMPLED_IMAGES])
    pixels = reduce(images[chosen])
    windows = sliding_window_view(pixels, (side, side), (1, 2))  # type: ignore[call-overload]  # typed for one axis
    shape = windows.shape[:3]
    places = rng.permutation(int(np.prod(shape)))[:SAMPLED]
    return windows[np.unravel_index(places, shape)].transpose(0, 2, 3, 1).reshape(len(places), -1).astype(np.float64)


def reduce(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, channels) as float32; sides above ``LARGEST`` become the means of as many equal parts."""
    pixels = np.asarray(images, np.float32)
    for axis in (1, 2):
        if pixels.shape[axis] > LARGEST:
            shares = _shares(pixels.shape[axis])
            pixels = np.moveaxis(np.tensordot(pixels, shares, (axis, 1)), -1, axis)
    return pixels


def _shares(size: int) -> np.ndarray:
    """(LARGEST, size) float32: the share of each of ``size`` pixels in each of ``LARGEST`` equal parts of a line."""
    edges = np.linspace(0, size, LARGEST + 1)
    starts, pixels = edges[:-1, None], np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(starts, pixels)
    return (np.maximum(overlap, 0) * LARGEST / size).astype(np.float32)


class Encoder:
    """Features of images from K filters: answers beyond a threshold, of both signs, averaged over a 2 x 2 grid.

    For a patch p of standard deviation d, a = w . p / sqrt(d^2 + 10) - o, and then max(0, a - 1/4) and max(0, -a -
    1/4).

    Args:
        filters: K filters.
        mirrored: whether those of the mirror image are added, so that both have the same features.
        dtype: floating point type of the computation.

    Attributes:
        size: number of features of an image, 8 K.
    """

    def __init__(self, filters: Filters, mirrored: bool = True, dtype: Any = np.float32) -> None:
        weights = np.asarray(filters.weights, dtype)
        count, self._side, _, channels = weights.shape
        self._half, self._mirrored, self._dtype = self._side // 2, mirrored, dtype
        left, right = weights[:, :, :self._half], weights[:, :, :self._half - 1:-1]
        # Sums and differences of a patch's columns and of those that they mirror give half the sum and half the
        # difference of the answers of a filter and its mirror image: with half the multiplications.
        self._even, self._odd = (np.ascontiguousarray((both / 2).reshape(count, -1).T)
                                 for both in (left + right, left - right))
        offsets = np.asarray(filters.offsets, dtype)
        self._low, self._high = offsets - dtype(THRESHOLD), offsets + dtype(THRESHOLD)
        self._values = self._side**2 * channels  # of a patch
        self.size = 2 * GRID**2 * count

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images (n, H, W, channels): (n, size)."""
        pixels = reduce(images).astype(self._dtype, copy=False)
        out = np.zeros((len(pixels), 2, GRID, GRID, len(self._low)), self._dtype)
        cuts = [_halves(side - self._side + 1) for side in pixels.shape[1:3]]
        places = len(range(*cuts[0][0].indices(LARGEST))) * len(range(*cuts[1][0].indices(LARGEST)))
        for part in row_blocks.blocks(len(pixels), out.itemsize * places * len(self._low), CACHE_BYTES):
            even, odd = self._patches(pixels[part])
            for i, rows in enumerate(cuts[0]):
                for j, columns in enumerate(cuts[1]):
                    self._add(out[part, :, i], j, even[:, rows, columns], odd[:, rows, columns])
        return out.reshape(len(out), -1)

    def _patches(self, pixels: np.ndarray) -> Iterable[np.ndarray]:
        """Views (m, rows, columns, side, side / 2, channels) of the sums and differences of patches' columns."""
        width = pixels.shape[2] - self._side + self._half
        left = sliding_window_view(pixels[:, :, :width], self._half, 2)
        right = sliding_window_view(pixels[:, :, self._half:], self._half, 2)[..., ::-1]
        return (sliding_window_view(np.moveaxis(both, 4, 3), self._side, 1).transpose(0, 1, 2, 5, 3, 4)
                for both in (left + right, left - right))

    def _add(self, out: np.ndarray, column: int, even: np.ndarray, odd: np.ndarray) -> None:
        """Add the means of a part's answers to out (m, 2, GRID, K)."""
        images, places = len(even), even.shape[1] * even.shape[2]
        share = np.full((1, places), 1 / places, self._dtype)
        for z, at in zip(self._answers(even, odd), (column, GRID - 1 - column)[:1 + self._mirrored], strict=True):
            z = z.reshape(images, places, -1)
            out[:, 0, at] += (share @ np.maximum(z, self._high))[:, 0] - self._high
            out[:, 1, at] += self._low - (share @ np.minimum(z, self._low, out=z))[:, 0]

    def _answers(self, even: np.ndarray, odd: np.ndarray) -> tuple[np.ndarray, ...]:
        """Answers (patches, K) of the filters, and of their mirror images."""
        even, odd = (part.copy().reshape(-1, len(self._even)) for part in (even, odd))
        mean = even @ np.full(len(self._even), 1 / self._values, self._dtype)
        squares = np.einsum("ij,ij->i", even, even) + np.einsum("ij,ij->i", odd, odd)
        scale = 1 / np.sqrt(np.maximum(squares / (2 * self._values) - mean * mean, 0) + self._dtype(CONTRAST))
        even *= scale[:, None]
        odd *= scale[:, None]
        sums, differences = even @ self._even, odd @ self._odd
        first = sums + differences
        return (first, np.subtract(sums, differences, out=sums)) if self._mirrored else (first,)


def _halves(places: int) -> tuple[slice, slice]:
    """Two slices of equal length that cover a line of places; of an odd number both have the middle one."""
    return slice(0, (places + 1) // 2), slice(places // 2, places)
