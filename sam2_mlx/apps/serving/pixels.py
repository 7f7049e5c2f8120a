"""Frames in the formats that cameras and windows have -> RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sam2_mlx.apps.fields import Refusal, choice, integer, part
from sam2_mlx.apps.serving.messages import Blob
from sam2_mlx.media.frame_source import MAX_PIXELS

MAX_SIDE = 16384
_MAX_OFFSET = 2**31

_Picture = np.ndarray


@dataclass(frozen=True)
class PixelLayout:
    """How the bytes of a frame are to be read.

    Attributes:
        format: BGRA, RGBA, RGB or NV12. Alpha is left out of account.
        width: in pixels, before orientation.
        height: in pixels, before orientation.
        stride: bytes from one row to the next.
        plane2_offset: bytes from the frame's first to the first of NV12's second plane; None is
            right behind the first plane.
        plane2_stride: bytes from one row of the second plane to the next; None is `stride`.
        matrix: 601 or 709, how NV12 holds colours.
        range: video (16 to 235) or full (0 to 255), how NV12 holds brightness.
        map: number of the map that holds the frame; None where the blob does.
        offset: bytes before the frame.
        orientation: 1 to 8, as EXIF counts; the picture is turned upright.
    """

    format: str
    width: int
    height: int
    stride: int
    plane2_offset: int | None
    plane2_stride: int | None
    matrix: int
    range: str
    map: int | None
    offset: int
    orientation: int

    @property
    def length(self) -> int:
        """Bytes from the frame's first to its last.

        Raises:
            Refusal: `bad_frame` if rows overlap or there are too many pixels.
        """
        if self.width * self.height > MAX_PIXELS:
            raise Refusal(
                "bad_frame",
                f"a frame may have {MAX_PIXELS} pixels; got {self.width} x {self.height}",
            )
        if self.format == "NV12":
            _check_stride("stride", self.stride, self.width)
            _check_stride("plane2_stride", self._second_stride, self.width + self.width % 2)
            if self._second_offset < self.stride * (self.height - 1) + self.width:
                raise Refusal("bad_frame", "plane2_offset lies within the first plane")
            rows = (self.height + 1) // 2
            second = self._second_stride * (rows - 1) + self.width + self.width % 2
            return self._second_offset + second
        row = self.width * _CHANNELS[self.format]
        _check_stride("stride", self.stride, row)
        return self.stride * (self.height - 1) + row

    @property
    def _second_offset(self) -> int:
        return self.stride * self.height if self.plane2_offset is None else self.plane2_offset

    @property
    def _second_stride(self) -> int:
        return self.stride if self.plane2_stride is None else self.plane2_stride


_CHANNELS = {"BGRA": 4, "RGBA": 4, "RGB": 3}
PIXEL_FORMATS = (*_CHANNELS, "NV12")

PIXELS = part(
    PixelLayout,
    format=choice(*PIXEL_FORMATS, code="pixel_format"),
    width=integer(1, MAX_SIDE, "bad_frame"),
    height=integer(1, MAX_SIDE, "bad_frame"),
    stride=integer(1, _MAX_OFFSET, "bad_frame"),
    plane2_offset=integer(1, _MAX_OFFSET, "bad_frame").otherwise(),
    plane2_stride=integer(1, _MAX_OFFSET, "bad_frame").otherwise(),
    matrix=choice(601, 709).otherwise(709),
    range=choice("video", "full").otherwise("video"),
    map=integer(0, _MAX_OFFSET).otherwise(),
    offset=integer(0, _MAX_OFFSET, "bad_frame").otherwise(0),
    orientation=integer(1, 8).otherwise(1),
)
"""The field `pixels` of a request."""


def to_rgb(layout: PixelLayout, data: Blob) -> _Picture:
    """Turn the `layout.length` bytes of a frame into an upright picture, uint8 (H, W, 3) RGB."""
    if layout.format == "NV12":
        picture = _from_nv12(layout, data)
    else:
        channels = _CHANNELS[layout.format]
        rows = _rows(data, 0, layout.stride, layout.height, layout.width * channels)
        picture = rows.reshape(layout.height, layout.width, channels)
        if channels == 4:
            code = cv2.COLOR_BGRA2RGB if layout.format == "BGRA" else cv2.COLOR_RGBA2RGB
            picture = cv2.cvtColor(picture, code)
        else:
            picture = picture.copy()
    return np.ascontiguousarray(_UPRIGHT[layout.orientation](picture))


def _check_stride(name: str, stride: int, row: int) -> None:
    if stride < row:
        raise Refusal("bad_frame", f"pixels.{name} is {stride}, but a row has {row} bytes")


def _rows(data: Blob, offset: int, stride: int, height: int, length: int) -> _Picture:
    """(height, length) of rows that lie `stride` apart; the last may end with its pixels."""
    flat = np.frombuffer(data, np.uint8, stride * (height - 1) + length, offset)
    return np.lib.stride_tricks.as_strided(flat, (height, length), (stride, 1), writeable=False)


def _from_nv12(layout: PixelLayout, data: Blob) -> _Picture:
    width, height = layout.width, layout.height
    luma = _rows(data, 0, layout.stride, height, width)
    pairs, lines = (width + 1) // 2, (height + 1) // 2
    chroma = _rows(data, layout._second_offset, layout._second_stride, lines, pairs * 2)
    chroma = chroma.reshape(lines, pairs, 2)
    # Each pair of chroma values belongs to two columns of two rows.
    wide = cv2.resize(chroma, (pairs * 2, lines * 2), interpolation=cv2.INTER_NEAREST)
    planes = np.empty((height, width, 3), np.uint8)
    cv2.mixChannels([luma, wide[:height, :width]], [planes], [0, 0, 1, 1, 2, 2])
    return cv2.transform(planes, _color_matrix(layout.matrix, layout.range == "full"))


def _color_matrix(matrix: int, full: bool) -> np.ndarray:
    """(3, 4): Y, Cb, Cr and 1 to R, G, B.

    Source: ITU-R BT.601-7 and BT.709-6, the luma coefficients and the quantisation of each.
    """
    red, blue = (0.299, 0.114) if matrix == 601 else (0.2126, 0.0722)
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    to_red, to_blue = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    rows = np.array(
        [
            [luma, 0, to_red],
            [luma, -to_blue * blue / green, -to_red * red / green],
            [luma, to_blue, 0],
        ]
    )
    black = np.array([0 if full else 16, 128, 128])
    return np.hstack([rows, -(rows @ black)[:, None]]).astype(np.float32)


_UPRIGHT: dict[int, Callable[[_Picture], _Picture]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}
