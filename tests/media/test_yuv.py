"""RGB to the planes of an encoder, beside the definition."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_mlx.media.yuv import rgb_to_yuv420

RED_BLUE = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@pytest.mark.parametrize("matrix", RED_BLUE)
def test_luma_and_colours_are_within_a_step_of_their_definition(matrix: int) -> None:
    squares = np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)
    picture = squares.repeat(2, axis=0).repeat(2, axis=1)
    planes = rgb_to_yuv420(picture, matrix).to_ndarray()
    assert planes.shape == (72, 80) and planes.dtype == np.uint8
    red, green, blue = (squares[..., channel] / 255.0 for channel in range(3))
    of_red, of_blue = RED_BLUE[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    bluish, reddish = (blue - luma) / (1 - of_blue), (red - luma) / (1 - of_red)
    colours = planes[48:].reshape(2, 24, 40)
    assert abs(planes[:48:2, ::2] - (16 + 219 * luma)).max() < 0.75
    assert np.array_equal(planes[:48:2, ::2], planes[1:48:2, 1::2])
    assert abs(colours[0] - (128 + 112 * bluish)).max() < 0.75
    assert abs(colours[1] - (128 + 112 * reddish)).max() < 0.75


@pytest.mark.parametrize(("grey", "luma"), [(0, 16), (255, 235)])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_black_white_and_grey_have_no_colour(matrix: int, grey: int, luma: int) -> None:
    planes = rgb_to_yuv420(np.full((4, 6, 3), grey, np.uint8), matrix).to_ndarray()
    assert (planes[:4] == luma).all() and (planes[4:] == 128).all()


@pytest.mark.parametrize("size", [(2, 2), (6, 34), (270, 482)])
def test_every_row_of_a_frame_is_there(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    picture = picture[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
    back = rgb_to_yuv420(picture, 5).to_ndarray(format="rgb24", src_colorspace="ITU601")
    assert back.shape == picture.shape
    assert abs(back[..., 1].astype(int) - picture[..., 1]).mean() < 4


def test_colours_are_means_of_four_pixels() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 0] = 255, 0, 0
    planes = rgb_to_yuv420(picture, 1).to_ndarray()
    assert planes[2, 1] == 128 + 112 // 4
