"""A small H.264 stream whose frames are coded field by field, written bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.media.media_clips import numbered_frame

WIDTH, HEIGHT = 96, 64


class Bits:
    """Writes bits and Exp-Golomb codes."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int) -> None:
        self.text += f"{value:0{count}b}"

    def number(self, value: int) -> None:
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code

    def align(self) -> None:
        self.text += "0" * (-len(self.text) % 8)

    def unit(self, header: int) -> bytes:
        """The NAL unit, with its start code."""
        self.text += "1"
        self.align()
        return unit(header, self.bytes())

    def bytes(self) -> bytes:
        return int(self.text, 2).to_bytes(len(self.text) // 8, "big")


def unit(header: int, payload: bytes) -> bytes:
    """A NAL unit in which no start code can show."""
    for low in range(4):
        payload = payload.replace(bytes([0, 0, low]), bytes([0, 0, 3, low]))
    return b"\0\0\0\1" + bytes([header]) + payload


def parameter_sets() -> bytes:
    """Main profile, frames or fields, no B-frames, variable length codes."""
    sps = Bits()
    for byte in (77, 0, 30):
        sps.put(byte, 8)
    for value in (0, 0, 2, 1):  # its number, 4 bits of frame number, shown as decoded, references
        sps.number(value)
    sps.put(0, 1)
    sps.number(WIDTH // 16 - 1)
    sps.number(HEIGHT // 32 - 1)
    sps.put(0b00100, 5)  # fields may come, not mixed within a frame; no cropping, no extras
    pps = Bits()
    pps.number(0)
    pps.number(0)
    pps.put(0, 2)
    for _ in range(3):
        pps.number(0)
    pps.put(0, 3)
    for _ in range(3):
        pps.number(0)
    pps.put(0b100, 3)  # slices say that there is no deblocking
    return sps.unit(0x67) + pps.unit(0x68)


def picture(planes: Sequence[np.ndarray], frame_number: int, field: int | None, idr: bool) -> bytes:
    """A frame, or its top (0) or bottom (1) field, as macroblocks of plain values."""
    head = Bits()
    for value in (0, 7, 0):
        head.number(value)
    head.put(frame_number % 16, 4)
    head.put(field is not None, 1)
    if field is not None:
        head.put(field, 1)
        planes = [plane[field::2] for plane in planes]
    if idr:
        head.number(0)
    head.put(0, 2 if idr else 1)
    head.number(0)
    head.number(1)
    text = bytearray()
    luma, *chroma = planes
    for y in range(luma.shape[0] // 16):
        for x in range(luma.shape[1] // 16):
            head.number(25)
            head.align()
            if head.text:
                text += head.bytes()
                head = Bits()
            text += luma[16 * y : 16 * y + 16, 16 * x : 16 * x + 16].tobytes()
            for plane in chroma:
                text += plane[8 * y : 8 * y + 8, 8 * x : 8 * x + 8].tobytes()
    return unit(0x65 if idr else 0x61, bytes(text) + b"\x80")


def make_field_clip(path: Path, frames: int = 12, whole: Sequence[int] = ()) -> Path:
    """Write numbered frames at 25 a second, a packet a field.

    Args:
        path: its name; the extension chooses the container.
        frames: how many.
        whole: numbers of the frames that are not cut in fields.
    """
    pictures: list[tuple[int, bytes, bool]] = []  # half frames from the start, packet, keyframe
    for number in range(frames):
        rgb = av.VideoFrame.from_ndarray(numbered_frame(number, WIDTH, HEIGHT), format="rgb24")
        yuv = np.clip(rgb.reformat(format="yuv420p").to_ndarray(), 16, 235)
        planes = [yuv[:HEIGHT], *yuv[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)]
        key = number % 4 == 0
        for field in (None,) if number in whole else (0, 1):
            first = key and not field
            data = picture(planes, number % 4, field, first)
            pictures.append((2 * number + (field or 0), parameter_sets() * first + data, first))
    raw = path.with_suffix(".raw.h264")
    raw.write_bytes(b"".join(data for _, data, _ in pictures))
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for stamp, data, key in pictures:
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 50)
            packet.pts = packet.dts = stamp
            packet.is_keyframe = key
            target.mux(packet)
    raw.unlink()
    return path
