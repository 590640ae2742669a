"""Picture files of every kind become RGB of 8 bits; broken ones are named."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glocal.datasets.images import find_broken, read_image, rgb
from glocal.errors import GlocalError

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1))  # (16, 64)


def test_grey_is_three_equal_channels(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    result = np.asarray(read_image(tmp_path / "a.png"))
    assert result.shape == (16, 64, 3) and (result == RAMP[:, :, None]).all()


def test_sixteen_bits_keep_the_upper_eight(tmp_path):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode.startswith("I")
    result = np.asarray(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(result[:, :, 0], RAMP)
    plain = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert not np.array_equal(plain[:, :, 0], RAMP)  # what a plain conversion makes of it: why this module exists


def test_cmyk_becomes_rgb(tmp_path):
    red = Image.new("RGB", (20, 10), (200, 30, 40))
    red.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    result = read_image(tmp_path / "a.jpg")
    assert result.mode == "RGB" and np.abs(np.asarray(result).astype(int) - np.asarray(red)).max() < 8


def test_transparent_places_become_white(tmp_path):
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2, :, 3] = 255  # black above, nothing below
    Image.fromarray(image).save(tmp_path / "a.png")
    result = np.asarray(read_image(tmp_path / "a.png"))
    assert (result[:2] == 0).all() and (result[2:] == 255).all()
    palette = Image.fromarray(RAMP).convert("P")
    palette.info["transparency"] = 0
    assert rgb(palette).getpixel((0, 0)) == (255, 255, 255)


@given(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]))
def test_every_mode_ends_as_rgb_of_the_same_size(mode):
    result = rgb(Image.new(mode, (7, 5)))
    assert result.mode == "RGB" and result.size == (7, 5)


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "absent"])
def test_broken_files_are_named(tmp_path, kind):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    if kind == "absent":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"not a picture", "empty": b""}[kind])
    with pytest.raises(GlocalError, match=r"a\.jpg: cannot be read as an image \(.*skip_broken"):
        read_image(path)


def test_a_huge_picture_is_named_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("1", (2000, 2000)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with warnings.catch_warnings(), pytest.raises(GlocalError, match=r"huge\.png: cannot be read as an image .*bomb"):
        warnings.simplefilter("ignore")
        read_image(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_image(tmp_path / "huge.png").size == (2000, 2000)  # large, yet not beyond reason


def test_find_broken_says_which(tmp_path):
    for name in "abc":
        Image.fromarray(RAMP).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"x")
    result = find_broken([tmp_path / f"{name}.png" for name in "abc"], read_image)
    assert list(result) == [1] and "b.png" in result[1]
