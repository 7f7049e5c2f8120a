"""Small clips made on the fly; each frame carries its number in its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sam2_mlx.media import open_frames

BITS = 6


def numbered_frame(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A picture that tells its number: black and white stripes are its bits.

    The top left corner is red, so that turning and mirroring show.
    """
    frame = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        x0, x1 = (width * (2 * bit + side) // (2 * BITS) for side in (0, 2))
        frame[height // 2 :, x0:x1] = 255 if number >> bit & 1 else 0
    frame[: height // 4, : width // 4] = (255, 0, 0)
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number in a frame that `numbered_frame` made."""
    height, width = frame.shape[:2]
    row = frame[height * 3 // 4, :, 1].astype(int)
    return sum(int(row[width * (2 * bit + 1) // (2 * BITS)] > 128) << bit for bit in range(BITS))


_PIXELS = {"mjpeg": "yuvj420p", "png": "rgb24", "prores_ks": "yuv422p10le", "gif": "rgb8"}


@dataclass
class Recipe:
    """How a clip is made.

    Attributes:
        frames: how many.
        size: (width, height).
        rate: frames a second.
        stamps: milliseconds at which the frames are shown; None for a constant rate.
        codec: of the picture.
        gop: distance of the keyframes.
        bframes: number of B-frames in a row.
        audio: codec of the sound, or None.
        sound_rate: samples a second of the sound.
        tracks: number of sound tracks; each sounds as if 5 s later than the one before.
        options: for the encoder.
        muxer: options for the container.
    """

    frames: int = 24
    size: tuple[int, int] = (96, 64)
    rate: Fraction = Fraction(25)
    stamps: Sequence[int] | None = None
    codec: str = "libx264"
    gop: int = 8
    bframes: int = 2
    audio: str | None = None
    sound_rate: int = 48000
    tracks: int = 1
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)


def make_clip(path: Path, recipe: Recipe | None = None) -> Path:
    """Write a clip.

    Args:
        path: its name; the extension chooses the container.
        recipe: how it is made.

    Returns:
        The path.
    """
    recipe = recipe or Recipe()
    width, height = recipe.size
    with av.open(str(path), "w", options=recipe.muxer) as container:
        stream = container.add_stream(recipe.codec, rate=recipe.rate, options=recipe.options)
        stream.width, stream.height = width, height
        stream.pix_fmt = _PIXELS.get(recipe.codec, "yuv420p")
        stream.gop_size, stream.max_b_frames = recipe.gop, recipe.bframes
        sounds = []
        for _ in range(recipe.tracks if recipe.audio is not None else 0):
            sounds.append(container.add_stream(recipe.audio, rate=recipe.sound_rate))
            sounds[-1].codec_context.layout = "mono"
        if recipe.stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(recipe.frames):
            frame = numbered_frame(number, width, height)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(format=stream.pix_fmt)
            stamps = recipe.stamps
            picture.pts = number if stamps is None else stamps[number]
            picture.time_base = 1 / recipe.rate if stamps is None else Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        for number, sound in enumerate(sounds):
            _write_tone(container, sound, float(recipe.frames / recipe.rate), 5.0 * number)
    return path


def read_numbers(path: Path) -> list[int]:
    """The numbers drawn into every frame of a clip."""
    with open_frames(path) as source:
        return [read_number(frame) for frame in source]


def rising_tone(seconds: float, start: float = 0.0) -> np.ndarray:
    """48 kHz sound, float32 (N,), whose pitch tells the time: 300 Hz + 200 Hz a second."""
    time = start + np.arange(round(seconds * 48000)) / 48000
    return (0.5 * np.sin(2 * np.pi * (300 * time + 100 * time**2))).astype(np.float32)


def read_sound(path: Path, track: int = 0) -> tuple[np.ndarray, float]:
    """The sound of a file as float32 (N,) at 48 kHz from time 0, and when it ends."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48000)
        samples = np.zeros(48000 * 20, np.float32)
        end = 0
        for frame in _decoded(container, container.streams.audio[track]):
            begin = round(float(frame.time) * 48000)
            for part in resampler.resample(frame):
                values = part.to_ndarray().ravel()
                skip = max(0, -begin)
                place = slice(begin + skip, begin + len(values))
                samples[place] = values[skip:]
                begin += len(values)
            end = max(end, begin)
    return samples[:end], end / 48000


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream, of which damaged packets have none."""
    for packet in container.demux(stream):
        with suppress(av.FFmpegError):
            yield from packet.decode()


def pitch_at(samples: np.ndarray, time: float) -> float:
    """The loudest frequency in Hz within a tenth of a second around a time."""
    window = samples[round((time - 0.05) * 48000) : round((time + 0.05) * 48000)]
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window)), 2**18))
    return float(np.argmax(spectrum)) * 48000 / 2**18


def set_rotation(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write (a, b, c, d) of a display matrix into an mp4 file's video track."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    values = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(bytes(data))
    return path


def remux(
    source: Path, target: Path, change: Callable[[av.Packet, float], av.Packet | None]
) -> Path:
    """Copy the packets of a clip, each as `change` gives it back, or not at all.

    Args:
        source: a clip.
        target: name of the copy; the extension chooses the container.
        change: takes a packet and the second at which it is shown.
    """
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in old.demux():
            if packet.size and packet.pts is not None:
                fresh = change(packet, float(packet.pts * packet.time_base))
                if fresh is not None:
                    fresh.stream = streams[packet.stream_index]
                    new.mux(fresh)
    return target


def shifted(packet: av.Packet, seconds: float) -> av.Packet:
    """The packet, shown later."""
    ticks = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packet


def _write_tone(container: object, sound: object, seconds: float, begin: float) -> None:
    tone = rising_tone(seconds, begin)
    for start in range(0, len(tone), 1024):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))
