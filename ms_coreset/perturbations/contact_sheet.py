"""Contact sheets: small images in rows that show what a perturbation did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.files import atomic_write
from ms_coreset.kinds import FilePath

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

COLUMNS = 8
# Pixels: about the least side of an image on the sheet, between images, height of letters and of a line.
_TILE, _GAP, _TEXT, _LINE = 96, 6, 13, 16
_INK, _PAPER, _PALE = (20, 20, 20), (255, 255, 255), (110, 110, 110)


@dataclass(frozen=True)
class Band:
    """Rows of images that belong together, the same samples in each.

    Attributes:
        title: what the band shows.
        rows: pairs of a word and (k, height, width, 1 or 3) uint8.
        captions: k texts below the last row, each of one or more lines.
    """

    title: str
    rows: list
    captions: list


def write_contact_sheet(path: FilePath, bands: Sequence[Band]) -> None:
    """Write the bands below each other as a PNG file; small images are enlarged without smoothing.

    Args:
        path: of the file.
        bands: from top to bottom.

    Raises:
        MsCoresetError: when the file can't be written.
    """
    with atomic_write(path) as stream:
        draw_contact_sheet(bands).save(stream, "PNG")


def draw_contact_sheet(bands: Sequence[Band]) -> Image.Image:
    """The sheet as a Pillow image; see ``write_contact_sheet``."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    margin = 2 * _GAP + max(round(pen.textlength(word, font)) for band in bands for word, _ in band.rows)
    tile = max(_scale(images) * images.shape[1] for band in bands for _, images in band.rows)
    columns = max(len(images) for band in bands for _, images in band.rows)
    heights = [_band_height(band, tile) for band in bands]
    width = max(margin + columns * (tile + _GAP),
                *(2 * _GAP + round(pen.textlength(band.title, font)) for band in bands))
    sheet = Image.new("RGB", (width, _GAP + sum(heights)), _PAPER)
    pen, top = ImageDraw.Draw(sheet), _GAP
    for band, height in zip(bands, heights, strict=True):
        _draw_band(sheet, pen, font, band, margin, top, tile)
        top += height
    return sheet


def difference(clean: np.ndarray, perturbed: np.ndarray, gain: int = 10) -> np.ndarray:
    """``gain`` times the change of each pixel, on grey: uint8, to be looked at.

    Args:
        clean: uint8 images.
        perturbed: uint8, of the same shape.
        gain: factor.

    Returns:
        uint8, of the same shape; grey where nothing changed.
    """
    change = perturbed.astype(np.int16) - clean.astype(np.int16)
    return np.clip(128 + gain * change, 0, 255).astype(np.uint8)


def _band_height(band: Band, tile: int) -> int:
    lines = max(caption.count("\n") + 1 for caption in band.captions)
    return _TEXT + _GAP + len(band.rows) * (tile + _GAP) + lines * _LINE + 2 * _GAP


def _draw_band(sheet: Image.Image, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
               band: Band, margin: int, top: int, tile: int) -> None:
    pen.text((_GAP, top), band.title, _INK, font)
    top += _TEXT + _GAP
    for word, images in band.rows:
        pen.text((_GAP, top + (tile - _TEXT) // 2), word, _PALE, font)
        for column, image in enumerate(images):
            sheet.paste(_enlarge(image), (margin + column * (tile + _GAP), top))
        top += tile + _GAP
    for column, caption in enumerate(band.captions):
        for place, line in enumerate(caption.split("\n")):
            corner = (margin + column * (tile + _GAP), top - _GAP // 2 + place * _LINE)
            pen.text(corner, _shorten(pen, font, line, tile), _PALE, font)


def _shorten(pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, text: str,
             width: int) -> str:
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(text + "..", font) > width:
        text = text[:-1]
    return text + ".."


def _scale(images: np.ndarray) -> int:
    return max(1, round(_TILE / images.shape[1]))


def _enlarge(image: np.ndarray) -> Image.Image:
    from PIL import Image

    scale = _scale(image[None])
    pixels = image.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).convert("RGB")
