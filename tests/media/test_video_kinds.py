"""Videos that are not one frame a packet with a good time: fields, joins, cuts, odd clocks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import open_frames
from sam2_mlx.media.containers import read_packets
from sam2_mlx.media.video_index import _spread
from tests.media.h264_fields import make_field_clip
from tests.media.media_clips import (
    Recipe,
    make_clip,
    numbered_frame,
    read_number,
    remux,
    shifted,
)


def numbers(path: Path, expected: list[int]) -> None:
    """Check the frames of a clip forward and backward."""
    with open_frames(path) as source:
        assert [read_number(frame) for frame in source] == expected
        backward = [read_number(source.read(n)) for n in range(len(expected) - 1, -1, -1)]
        assert backward == expected[::-1]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("whole", [(), (0, 3, 5, 8)])
def test_two_fields_are_one_frame(tmp_path: Path, suffix: str, whole: tuple[int, ...]) -> None:
    path = make_field_clip(tmp_path / f"fields{suffix}", 12, whole)
    with av.open(str(path)) as container:
        packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert packets == 24 - len(whole)  # the file is what it should be
    numbers(path, list(range(12)))
    with open_frames(path) as source:
        assert source.frame_rate == 25
        assert source.times == pytest.approx([number / 25 for number in range(12)])
        assert source.time(12) == Fraction(12, 25)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "interlaced=1:tff=1"}),
        # Each field is a picture of its own to the decoder.
        ("libx265", {"x265-params": "log-level=none:interlace=tff"}),
    ],
)
def test_interlaced_frames_stay_frames(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    recipe = Recipe(frames=30, codec=codec, options=options)
    path = make_clip(tmp_path / "interlaced.mkv", recipe)
    numbers(path, list(range(30)))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_keeps_the_times_of_its_chunks(tmp_path: Path, codec: str, bframes: int) -> None:
    """Where nothing new is shown AVI has empty chunks."""
    stamps = [80 * number for number in range(10)] + [800 + 40 * number for number in range(10)]
    varying = Recipe(frames=20, stamps=stamps, bframes=bframes, codec=codec)
    path = make_clip(tmp_path / "chunks.avi", varying)
    numbers(path, list(range(20)))
    with open_frames(path) as source:
        assert source.times == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.085)
        assert float(source.time(19)) == pytest.approx(1.16, abs=0.045)


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_a_clock_that_does_not_begin_at_zero(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(frames=50, codec="mpeg2video", audio="mp2")
    clip = make_clip(tmp_path / f"clip{suffix}", recipe)
    path = remux(clip, tmp_path / f"late{suffix}", lambda packet, _: shifted(packet, 1.4))
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * container.streams.video[0].time_base
    assert start > 1
    with open_frames(path) as source:
        assert source.origin == start


def test_times_that_only_some_packets_have(tmp_path: Path) -> None:
    """As a program stream has them: one for a pack of small frames."""
    clip = make_clip(tmp_path / "clip.mpg", Recipe(frames=40, bframes=0, audio="mp2"))
    with av.open(str(clip)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert None in stamps and stamps[0] is not None
    numbers(clip, list(range(40)))
    with open_frames(clip) as source:
        assert source.origin == Fraction(stamps[0], 90000)
        assert source.times == pytest.approx([number / 25 for number in range(40)], abs=0.001)


def test_one_time_for_showing_and_decoding(tmp_path: Path) -> None:
    """MXF numbers the packets of H.264, B-frames and all."""
    clip = make_clip(tmp_path / "clip.mxf", Recipe(frames=40, bframes=2, audio="pcm_s16le"))
    numbers(clip, list(range(40)))
    with open_frames(clip) as source:
        assert source.origin == 0
        assert source.times == pytest.approx([number / 25 for number in range(40)])


def test_pieces_whose_clock_starts_anew_follow_each_other(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.ts", Recipe(frames=30, audio="aac"))
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() * 3)
    numbers(path, [*range(30)] * 3)
    with open_frames(path) as source:
        assert source.times == pytest.approx([number / 25 for number in range(90)], abs=0.001)


def test_joined_matroska_files_follow_each_other(tmp_path: Path) -> None:
    pieces = [make_clip(tmp_path / f"{n}.mkv", Recipe(frames=24, gop=12)) for n in range(2)]
    path = tmp_path / "joined.mkv"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    numbers(path, [*range(24), *range(24)])
    with open_frames(path) as source:
        assert source.times == pytest.approx([number / 25 for number in range(48)])


@pytest.mark.parametrize(
    ("begin", "stamps"),
    [
        # As program streams have them where one packet holds several small frames.
        (20, [70200, 70200, 70200, 75600, 79200]),
        # As FFmpeg makes them of a stream without any, before it knows how frames are turned round.
        (0, [-3600, 3600, 7200, 0]),
    ],
)
def test_times_that_are_off_the_pace_are_put_right(begin: int, stamps: list[int]) -> None:
    times = np.arange(40) * 3600
    times[begin : begin + len(stamps)] = stamps
    spread = _spread(times)
    assert spread is not None
    assert np.array_equal(spread, np.arange(40) * 3_600_000)


def test_pieces_that_overlap_a_little_keep_their_clock(tmp_path: Path) -> None:
    """As recorders cut: the second piece begins two frames before the first one ends."""
    one = make_clip(tmp_path / "one.ts", Recipe(frames=30, audio="aac"))

    two = remux(one, tmp_path / "two.ts", lambda packet, _: shifted(packet, (30 - 2) / 25))
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    numbers(path, [*range(30)] * 2)
    with open_frames(path) as source:
        times = np.array(source.times)
        assert (np.diff(times) > 0).all()
        assert times[:28] == pytest.approx(np.arange(28) / 25, abs=0.05)
        assert times[30:] == pytest.approx(np.arange(28, 58) / 25, abs=0.05)
        with av.open(str(path)) as container:
            first = container.streams.video[0].start_time
        assert source.origin == first * Fraction(1, 90000)


def test_times_that_are_all_the_same_leave_the_duration_of_the_header(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", Recipe(frames=30, rate=Fraction(10), bframes=0))
    spoiled = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    for place in places:
        assert spoiled[place] == 0x81  # a block begins with its track; two bytes of time follow
        spoiled[place + 1 : place + 3] = bytes(2)
    path.write_bytes(bytes(spoiled))
    numbers(path, list(range(30)))
    with open_frames(path) as source:
        assert float(source.time(30)) == pytest.approx(3.0, abs=0.11)


@pytest.mark.parametrize("order", ["preview first", "default first"])
def test_the_default_stream_is_the_one_that_is_read(tmp_path: Path, order: str) -> None:
    path = tmp_path / "two.mkv"
    sizes = [(48, 32), (96, 64)] if order == "preview first" else [(96, 64), (192, 128)]
    with av.open(str(path), "w") as container:
        streams = []
        for size in sizes:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p"
            default = av.stream.Disposition.default if size == (96, 64) else 0
            stream.disposition = av.stream.Disposition(default)
            streams.append(stream)
        for number in range(5):
            for stream, size in zip(streams, sizes, strict=True):
                frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    with open_frames(path) as source:
        assert (source.width, source.height) == (96, 64)
        assert source.note is not None and "2 video streams" in source.note
    numbers(path, list(range(5)))


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm", "clip.flv", "clip.avi"])
def test_a_file_that_was_cut_off_says_so(tmp_path: Path, name: str) -> None:
    codec = "libvpx" if name.endswith("webm") else "mpeg4" if name.endswith("avi") else "libx264"
    whole = make_clip(tmp_path / name, Recipe(frames=30, codec=codec, bframes=0))
    with open_frames(whole) as source:
        assert source.note is None
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    whole.write_bytes(data[: places[20] + 5])
    with open_frames(whole) as source:
        assert 18 <= source.num_frames <= 20
        assert source.note is not None and "ends early" in source.note
    numbers(whole, list(range(source.num_frames)))


@pytest.mark.parametrize(("begin", "seconds"), [(0.0, 0.8), (0.5, 0.8), (0.88, 0.6)])
def test_what_an_edit_hides_is_not_missing(tmp_path: Path, begin: float, seconds: float) -> None:
    path = make_clip(tmp_path / "clip.mp4", Recipe(frames=40, gop=8))
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12
    length, media_time = struct.unpack(">Ii", data[place : place + 8])
    assert length == 1600
    # The length counts milliseconds, the place the track's ticks (512 a frame).
    edit = struct.pack(">Ii", round(1000 * seconds), media_time + round(512 * 25 * begin))
    data[place : place + 8] = edit
    path.write_bytes(bytes(data))
    first = round(25 * begin + 0.499)
    with open_frames(path) as source:
        assert source.note is None
    numbers(path, list(range(first, first + round(25 * seconds))))


def test_frames_with_what_pyav_does_not_know_beside_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    part = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    part = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part

    def with_exif(packet: av.Packet, time: float) -> av.Packet:
        data = bytes(packet)
        fresh = av.Packet(data[:2] + part + data[2:])
        for name in ("time_base", "pts", "dts", "duration", "is_keyframe"):
            setattr(fresh, name, getattr(packet, name))
        return fresh

    whole = make_clip(tmp_path / "whole.mov", Recipe(frames=5, codec="mjpeg", bframes=0))
    path = remux(whole, tmp_path / "clip.mov", with_exif)
    # PyAV 18 raises a ValueError where such data is asked for; PyAV 19 has a name for it.
    numbers(path, list(range(5)))


def test_after_damage_the_frames_within_the_decoder_come(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", Recipe(frames=24, gop=24, bframes=2))

    class Breaking:
        def __init__(self, container: Any) -> None:
            self.container = container

        def demux(self, stream: Any) -> Iterator[Any]:
            yield from islice(self.container.demux(stream), 20)
            raise av.InvalidDataError(1, "broken")

    problems: list[av.FFmpegError] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "FRAME"
        packets = read_packets(Breaking(container), stream, problems=problems)
        frames = [frame for packet in packets for frame in packet.decode()]
    assert len(frames) == 20 and len(problems) == 1


def test_a_hole_in_the_middle_is_named_and_what_follows_is_kept(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", Recipe(frames=40, gop=8, bframes=0))
    path = remux(
        whole, tmp_path / "hole.mkv", lambda packet, time: packet if not 0.6 < time < 0.95 else None
    )
    with open_frames(path) as source:
        assert source.num_frames == 32
        assert source.note is not None and "about 8 frames are missing" in source.note
        assert float(source.time(16)) == pytest.approx(0.96, abs=0.001)
    numbers(path, [*range(16), *range(24, 40)])


def test_a_size_that_changes_is_fitted_to_the_first(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.ts", Recipe(frames=10, size=(96, 64)))
    large = make_clip(tmp_path / "large.ts", Recipe(frames=10, size=(192, 128)))
    path = tmp_path / "changes.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with open_frames(path) as source:
        shapes = {frame.shape for frame in source}
        assert shapes == {(64, 96, 3)}
        assert source.note is not None and "192x128" in source.note and "96x64" in source.note
        assert source.note.count("192x128") == 1
    numbers(path, [*range(10)] * 2)


def test_packed_frames_and_placeholders(tmp_path: Path) -> None:
    """MPEG-4 in AVI and VP8's hidden frames: packets that show nothing are no frames."""
    plain = make_clip(tmp_path / "plain.avi", Recipe(frames=24, codec="mpeg4", bframes=0))
    with av.open(str(plain)) as container:
        empty = next(p for p in container.demux(video=0) if p.size)
    header = bytes(empty)[: bytes(empty).index(b"\0\0\1\xb6")]
    assert header  # the stream's own header; a placeholder follows it
    vop = b"\0\0\1\xb6"
    inserted = []

    def with_placeholder(packet: av.Packet, time: float) -> av.Packet:
        number = round(time * 25)
        if number % 6 == 5:
            inserted.append(number)
            skipped = av.Packet(vop + _not_coded(number))
            skipped.pts, skipped.dts, skipped.time_base = packet.pts, packet.dts, packet.time_base
            return skipped
        return packet

    path = remux(plain, tmp_path / "skips.avi", with_placeholder)
    with av.open(str(path)) as container:
        shown = [read_number(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert inserted and len(shown) < 24
    numbers(path, shown)


def _not_coded(number: int) -> bytes:
    """The rest of a frame header that says that nothing is coded: P, same second, 25 a second."""
    seconds, ticks = divmod(number, 25)
    del seconds
    bits = f"01{0}1{ticks:05b}1" + "0"
    return int(bits.ljust(16, "1"), 2).to_bytes(2, "big")
