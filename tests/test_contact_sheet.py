"""The sheet of samples: every pixel where it belongs."""

import numpy as np
import pytest
from PIL import Image

from ms_coreset.errors import MsCoresetError
from ms_coreset.perturbations.contact_sheet import Band, difference, draw_contact_sheet, write_contact_sheet


def band(images, captions=None, word="clean"):
    return Band("a title", [(word, images)], captions or ["x"] * len(images))


def places_of(color, sheet):
    """(top, left, height, width) of the box of all pixels of a colour."""
    rows, columns = np.nonzero((np.asarray(sheet) == color).all(axis=2))
    return rows.min(), columns.min(), rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


@pytest.mark.parametrize(("size", "side"), [(8, 96), (28, 84), (32, 96), (64, 128), (224, 224)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_enlarged_by_whole_numbers(size, side, channels):
    image = np.zeros((1, size, size, channels), np.uint8)
    image[:, 0, 0], image[:, 0, 1:], image[:, 1:] = 17, 34, 51
    sheet = draw_contact_sheet([band(image)])
    scale = side // size
    assert places_of(17, sheet)[2:] == (scale, scale)
    assert places_of(51, sheet)[2:] == (side - scale, side)


def test_samples_stand_side_by_side_and_rows_below_each_other():
    first = np.zeros((2, 32, 32, 3), np.uint8)
    first[0, ..., 0], first[1, ..., 0] = 40, 60  # red, as no letter is
    shift = np.array([100, 0, 0], np.uint8)
    sheet = draw_contact_sheet([Band("a title", [("clean", first), ("changed", first + shift)], ["one", "two\nlines"]),
                                band(first + 2 * shift)])
    (top, left, *_), (_, right, *_), (below, *_), (next_band, *_) = (
        places_of((red, 0, 0), sheet) for red in (40, 60, 140, 240))
    assert right == left + 102
    assert below == top + 102
    assert next_band > below + 96 + 2 * 16
    pixels = np.asarray(sheet)
    assert (pixels[below + 96:next_band, left:] < 200).any(axis=(0, 2)).sum() > 20  # the captions


def test_long_words_are_cut_and_the_title_fits():
    image = np.full((1, 32, 32, 1), 40, np.uint8)
    long = draw_contact_sheet([Band("a title of very many words that go on and on", [("clean", image)], ["w" * 60])])
    assert (np.asarray(long)[:, -6:] == 255).all()


def test_difference_by_hand():
    clean, changed = (np.array(values, np.uint8) for values in ([100, 100, 0, 255], [100, 108, 20, 240]))
    assert difference(clean, changed).tolist() == [128, 208, 255, 0]


def test_file_is_a_png_whatever_its_name(tmp_path):
    write_contact_sheet(tmp_path / "new" / "sheet.out", [band(np.zeros((2, 8, 8, 1), np.uint8))])
    assert Image.open(tmp_path / "new" / "sheet.out").format == "PNG"
    (tmp_path / "file").write_text("")
    with pytest.raises(MsCoresetError, match="can't write"):
        write_contact_sheet(tmp_path / "file" / "a.png", [band(np.zeros((1, 8, 8, 1), np.uint8))])
