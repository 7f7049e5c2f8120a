"""Frames as cameras and windows have them, against other people's conversions."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from sam2_mlx.apps.fields import Refusal, read_fields
from sam2_mlx.apps.serving.pixels import PIXELS, to_rgb

PICTURE = np.random.default_rng(5).integers(0, 256, (7, 10, 3), np.uint8)


def layout(**changes: Any) -> Any:
    fields = {"format": "RGB", "width": 10, "height": 7, "stride": 30, **changes}
    return read_fields({"pixels": fields}, {"pixels": PIXELS})["pixels"]


def padded(rows: np.ndarray, stride: int, last: int) -> bytes:
    """Rows `stride` bytes apart; the last one ends with its own bytes."""
    wide = np.full((len(rows), stride), 77, np.uint8)
    wide[:, : rows.shape[1]] = rows
    return wide.tobytes()[: stride * (len(rows) - 1) + last]


@pytest.mark.parametrize("stride", [0, 1, 22])
@pytest.mark.parametrize("form", ["RGB", "BGRA", "RGBA"])
def test_packed_formats(form: str, stride: int) -> None:
    pixels = PICTURE[..., ::-1] if form == "BGRA" else PICTURE
    if form != "RGB":
        pixels = np.concatenate([pixels, np.full((7, 10, 1), 9, np.uint8)], axis=2)
    row = pixels.shape[2] * 10
    data = padded(pixels.reshape(7, -1), row + stride, row)
    shape = layout(format=form, stride=row + stride)
    assert shape.length == len(data)
    assert (to_rgb(shape, data) == PICTURE).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_exif(orientation: int) -> None:
    image = Image.fromarray(PICTURE)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    found = to_rgb(layout(orientation=orientation), PICTURE.tobytes())
    assert found.shape == upright.shape and (found == upright).all()
    assert found.flags.c_contiguous


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize("matrix", [601, 709])
@pytest.mark.parametrize("span", ["video", "full"])
def test_nv12_against_ffmpeg(matrix: int, span: str, size: tuple[int, int]) -> None:
    height, width = size
    # Smooth, so that how chroma is spread does not matter.
    y, x = np.mgrid[:height, :width]
    picture = np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], axis=2).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="nv12",
        src_colorspace="ITU709",
        dst_colorspace="ITU601" if matrix == 601 else "ITU709",
        src_color_range="JPEG",
        dst_color_range="MPEG" if span == "video" else "JPEG",
    )
    first, second = (np.frombuffer(bytes(plane), np.uint8) for plane in frame.planes)
    strides = [plane.line_size for plane in frame.planes]
    gap = bytes(13)
    data = first.tobytes() + gap + second.tobytes()
    shape = layout(
        format="NV12",
        width=width,
        height=height,
        stride=strides[0],
        plane2_offset=len(first) + len(gap),
        plane2_stride=strides[1],
        matrix=matrix,
        range=span,
    )
    found = to_rgb(shape, data)
    assert found.shape == picture.shape
    difference = np.abs(found.astype(int) - picture)
    # The other matrix or range is off by tens.
    assert np.median(difference) <= 3 and np.percentile(difference, 95) <= 8


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "YUYV"}, "pixel_format"),
        ({"width": 0}, "bad_frame"),
        ({"height": -1}, "bad_frame"),
        ({"width": 2**31}, "bad_frame"),
        ({"width": 16384, "height": 16384, "stride": 2**20}, "bad_frame"),
        ({"width": 1.5}, "bad_frame"),
        ({"width": True}, "bad_frame"),
        ({"stride": 29}, "bad_frame"),
        ({"offset": -1}, "bad_frame"),
        ({"orientation": 9}, "bad_request"),
        ({"format": "NV12", "stride": 9}, "bad_frame"),
        ({"format": "NV12", "stride": 10, "plane2_offset": 69}, "bad_frame"),
        ({"format": "NV12", "stride": 10, "plane2_stride": 9}, "bad_frame"),
        ({"colour": 3}, "bad_request"),
    ],
)
def test_what_no_frame_is_like_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        _ = layout(**changes).length
    assert refusal.value.code == code
