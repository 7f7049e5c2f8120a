"""Written videos: what plays them expects, the source's timing and sound, and nothing half done."""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import FrameSource, MediaError, open_frames
from sam2_mlx.media.encodings import H264, PRORES_4444, WEBM_ALPHA, Encoding
from sam2_mlx.media.frame_source import StreamFormat
from sam2_mlx.media.png_sequence import PngSequence
from sam2_mlx.media.video_writer import VideoWriter, write_like
from tests.media.media_clips import (
    Recipe,
    make_clip,
    numbered_frame,
    pitch_at,
    read_number,
    read_sound,
    set_rotation,
)


def copy(source: FrameSource, target: Path, first: int = 0, last: int | None = None) -> Path:
    last = source.num_frames - 1 if last is None else last
    writer = write_like(target, source, first)
    for index in range(first, last + 1):
        begin = source.time(index)
        length = source.time(index + 1) - begin
        writer.write(source.read(index), begin - source.time(first), length)
    writer.finish()
    return target


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_stream_is_what_browsers_and_quicktime_play(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "in.webm", Recipe(codec="libvpx", bframes=0))) as source:
        path = copy(source, tmp_path / "out.mp4")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 25
        context = stream.codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
        assert stream.frames == 24
    data = path.read_bytes()
    # The index comes first, so that a browser can start before the end is there.
    assert data.index(b"moov") < data.index(b"mdat")
    with open_frames(path) as written:
        assert [read_number(frame) for frame in written] == list(range(24))


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(10)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_frame_rate_is_kept(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    source_path = make_clip(tmp_path / "in.mp4", Recipe(rate=rate))
    with (
        open_frames(source_path) as source,
        open_frames(copy(source, tmp_path / f"out{suffix}")) as written,
    ):
        assert written.frame_rate == rate
        assert written.num_frames == source.num_frames
        assert written.times == pytest.approx(source.times)
        assert written.origin == 0


def test_varying_frame_times_are_kept(tmp_path: Path) -> None:
    stamps = [0, 40, 50, 200, 210, 333, 400, 900, 901, 1000]
    path = make_clip(tmp_path / "in.mkv", Recipe(frames=10, stamps=stamps))
    with open_frames(path) as source, open_frames(copy(source, tmp_path / "out.mp4")) as written:
        assert [round(1000 * time) for time in written.times] == stamps
        assert [read_number(frame) for frame in written] == list(range(10))


def test_odd_sizes_repeat_the_last_row_and_column(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    picture = np.kron(random, np.ones((9, 9, 1), np.uint8))  # 45 x 63
    (tmp_path / "frames").mkdir()

    Image.fromarray(picture).save(tmp_path / "frames" / "0.png")
    with (
        open_frames(tmp_path / "frames") as source,
        open_frames(copy(source, tmp_path / "out.mp4")) as written,
    ):
        assert (written.width, written.height) == (64, 46)
        last = written.read(0).astype(int)
        assert np.abs(last[-1] - last[-2]).mean() < 6
        assert np.abs(last[:, -1] - last[:, -2]).mean() < 6


@pytest.mark.parametrize("size", [(1, 1), (33, 50), (96, 62), (64, 270)])
def test_pictures_of_any_height_are_written_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    rows = np.linspace(0, 255, height).astype(np.uint8)
    picture = np.broadcast_to(rows[:, None, None], (height, width, 3)).copy()
    picture[: height // 2, :, 2] = 0
    (tmp_path / "frames").mkdir()
    Image.fromarray(picture).save(tmp_path / "frames" / "0.png")
    with (
        open_frames(tmp_path / "frames") as source,
        open_frames(copy(source, tmp_path / "out.mp4")) as written,
    ):
        frame = written.read(0)[:height, :width].astype(int)
        assert np.abs(frame - picture).mean() < 6


def test_varying_times_that_begin_as_at_their_mean_rate(tmp_path: Path) -> None:
    stamps = [0, 40, 50, 55, 60, 120, 200, 260, 330, 360]
    path = make_clip(tmp_path / "in.mkv", Recipe(frames=10, stamps=stamps))
    with open_frames(path) as source, open_frames(copy(source, tmp_path / "out.mp4")) as written:
        assert source.frame_rate == 25
        assert [round(1000 * time) for time in written.times] == stamps


def test_colours_survive(tmp_path: Path) -> None:

    colors = [(200, 60, 30), (20, 180, 90), (40, 70, 220), (128, 128, 128), (250, 240, 20)]
    for number, color in enumerate(colors):
        Image.new("RGB", (64, 48), color).save(tmp_path / f"{number}.png")
    with (
        open_frames(tmp_path) as source,
        open_frames(copy(source, tmp_path / "out.mp4")) as written,
    ):
        for frame, color in zip(written, colors, strict=True):
            assert np.abs(frame[20, 30].astype(int) - color).max() <= 5


def test_a_turned_clip_is_written_upright_without_a_tag(tmp_path: Path) -> None:
    phone = set_rotation(make_clip(tmp_path / "in.mp4", Recipe(frames=5)), (0, 1, -1, 0))
    with open_frames(phone) as source, open_frames(copy(source, tmp_path / "out.mp4")) as written:
        assert (written.width, written.height) == (64, 96)
        assert np.abs(written.read(2).astype(int) - source.read(2)).mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [
        ("in.mp4", "aac", "aac"),
        ("in.mp4", "alac", "alac"),
        ("in.mp4", "libmp3lame", "mp3"),
        ("in.mkv", "libopus", "aac"),
        ("in.mov", "pcm_s16le", "aac"),
    ],
)
@pytest.mark.parametrize("first", [0, 30])
def test_sound_is_kept_and_stays_in_time(
    tmp_path: Path, name: str, codec: str, expected: str, first: int
) -> None:
    recipe = Recipe(frames=60, audio=codec)
    with open_frames(make_clip(tmp_path / name, recipe)) as source:
        assert source.has_audio
        last = 54
        path = copy(source, tmp_path / "out.mp4", first, last)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name.startswith(expected)
        # A copy is a copy: no second generation where none is needed.
        assert container.streams.video[0].start_time == 0
    samples, end = read_sound(path)
    seconds = (last + 1 - first) / 25
    assert end == pytest.approx(seconds, abs=0.06)
    for time in (0.3, seconds - 0.3):
        # The pitch rises by 200 Hz a second: 10 Hz is a twentieth of a second.
        assert pitch_at(samples, time) == pytest.approx(300 + 200 * (time + first / 25), abs=6)


@pytest.mark.parametrize("name", ["out", "out.avi", "out.MP3"])
def test_other_containers_are_refused(tmp_path: Path, name: str) -> None:
    with open_frames(make_clip(tmp_path / "in.mp4")) as source:
        with pytest.raises(MediaError, match=r"ends in \.mp4, \.mov or \.mkv"):
            write_like(tmp_path / name, source)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "in.mp4")) as source:
        with pytest.raises(MediaError, match="the folder .*none does not exist"):
            write_like(tmp_path / "none" / "out.mp4", source)


def test_nothing_shows_under_the_name_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"the one before")
    with open_frames(make_clip(tmp_path / "in.mp4", Recipe(frames=60))) as source:
        writer = write_like(target, source)
        for index in range(50):
            writer.write(source.read(index), source.time(index), Fraction(1, 25))
        assert target.read_bytes() == b"the one before"
        hidden = [name for name in files(tmp_path) if name not in ("in.mp4", "out.mp4")]
        assert len(hidden) == 1 and hidden[0].startswith(".")
        writer.finish()
        assert files(tmp_path) == {"in.mp4", "out.mp4"}
        with open_frames(target) as written:
            assert written.num_frames == 50


@pytest.mark.parametrize("when", ["write", "finish"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    target = tmp_path / "out.mp4"
    writer = None

    def full(self: VideoWriter, packets: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_frames(make_clip(tmp_path / "in.mp4")) as source:
        writer = write_like(target, source)
        writer.write(source.read(0), Fraction(0), Fraction(1, 25))
        monkeypatch.setattr(VideoWriter, "_mux", full)
        with pytest.raises(MediaError, match=r"the disk is full: .*out\.mp4 was not written"):
            if when == "write":
                writer.write(source.read(1), Fraction(1, 25), Fraction(1, 25))
            writer.finish()
    writer.abort()
    assert files(tmp_path) == {"in.mp4"}


def test_abort_and_an_empty_video_leave_nothing(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "in.mp4", Recipe(audio="aac"))) as source:
        writer = write_like(tmp_path / "out.mp4", source)
        writer.write(source.read(0), Fraction(0), Fraction(1, 25))
        writer.abort()
        write_like(tmp_path / "out.mp4", source).finish()
    assert files(tmp_path) == {"in.mp4"}


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "in.mp4")) as source:
        writer = write_like(tmp_path / "out.mp4", source)
        with pytest.raises(ValueError, match=r"frames need shape \(64, 96, 3\)"):
            writer.write(numbered_frame(0, 32, 32), Fraction(0), Fraction(1, 25))
        writer.abort()


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("out.mp4", H264),
        ("out.mov", H264),
        ("out.mkv", H264),
        ("-", H264),
        ("out.mov", PRORES_4444),
        ("out.webm", WEBM_ALPHA),
    ],
)
def test_the_shape_of_pixels_is_kept(tmp_path: Path, name: str, encoding: Encoding) -> None:
    aspect = Fraction(16, 11)
    path = tmp_path / name if name != "-" else tmp_path / "piped.mkv"
    format = StreamFormat(96, 64, Fraction(25), aspect)
    with path.open("wb") if name == "-" else nullcontext(path) as target:
        writer = VideoWriter(target, format, encoding=encoding)
        for number in range(4):
            frame = numbered_frame(number)
            alpha = np.full((64, 96, 1), 255, np.uint8)
            frame = np.dstack([frame, alpha]) if encoding.alpha else frame
            writer.write(frame, Fraction(number, 25), Fraction(1, 25))
        writer.finish()
    with av.open(str(path)) as container:
        written = container.streams.video[0].sample_aspect_ratio
        # WebM tells the size at which it is shown, in whole pixels.
        assert float(written) == pytest.approx(float(aspect), abs=0.006)
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_pixels_in_a_png_sequence_have_their_shape_beside_them(tmp_path: Path) -> None:
    writer = PngSequence(tmp_path / "frames", Fraction(16, 11))
    writer.write(np.zeros((8, 8, 4), np.uint8), Fraction(0), Fraction(1, 25))
    writer.finish()
    facts = json.loads((tmp_path / "frames" / "frames.json").read_text())
    assert facts == {"seconds": [0.0], "pixel_aspect": "16:11"}
