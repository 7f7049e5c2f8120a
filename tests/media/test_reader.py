"""Frames by number: exact for every container, in any order, upright, with clear errors."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import MediaError, open_frames
from sam2_mlx.media.video_reader import VideoFrames
from tests.media.media_clips import Recipe, make_clip, numbered_frame, read_number, set_rotation

CONTAINERS = {
    "b_frames.mp4": Recipe(frames=30),
    "one_keyframe.mov": Recipe(frames=30, gop=300, bframes=3),
    "open_gop.mkv": Recipe(frames=30, options={"x264-params": "open-gop=1:b-pyramid=normal"}),
    "vp8_hidden_frames.webm": Recipe(
        frames=30, codec="libvpx", bframes=0, options={"auto-alt-ref": "1", "lag-in-frames": "10"}
    ),
    "vp9.webm": Recipe(frames=30, codec="libvpx-vp9", bframes=0, options={"lag-in-frames": "10"}),
    "no_times.avi": Recipe(frames=30, bframes=2),
    "mpeg4.avi": Recipe(frames=30, codec="mpeg4", bframes=2),
    "broadcast.ts": Recipe(frames=30, codec="mpeg2video", bframes=2),
    "raw.h264": Recipe(frames=30),
    "all_intra.mkv": Recipe(frames=30, codec="mjpeg", bframes=0),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_is_the_one_that_was_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    recipe = CONTAINERS[name]
    with open_frames(make_clip(path, recipe)) as source:
        assert source.num_frames == 30
        assert (source.width, source.height) == (96, 64)
        assert source.frame_rate == 25
        forward = [frame for frame in source]
        assert [read_number(frame) for frame in forward] == list(range(30))
        order = [*range(29, -1, -1), *random.Random(1).sample(range(30), 30), 7, 7, 6, 29, 0]
        for index in order:
            assert np.array_equal(source.read(index), forward[index]), index
        assert source.times == pytest.approx([index / 25 for index in range(30)])


def test_a_backward_pass_decodes_each_stretch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "long.mp4", Recipe(frames=60, gop=12))
    decoded = []
    count = VideoFrames._number

    def counted(self: VideoFrames, frame: object) -> int | None:
        decoded.append(frame)
        return count(self, frame)

    monkeypatch.setattr(VideoFrames, "_number", counted)
    room = 10 * 96 * 64 * 3
    with VideoFrames(path, cache_bytes=room) as source:
        held = []
        for index in range(59, -1, -1):
            assert read_number(source.read(index)) == index
            held.append(sum(frame.nbytes for frame in source._cache.values()))
    assert max(held) <= room
    assert len(decoded) <= 3 * 60


def test_reading_forward_never_seeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    with VideoFrames(path) as source:
        monkeypatch.setattr(VideoFrames, "_start_at", None)
        assert [read_number(frame) for frame in source] == list(range(24))


def test_varying_frame_times_are_kept(tmp_path: Path) -> None:
    stamps = [0, 40, 50, 200, 210, 333, 400, 900, 901, 1000]
    path = make_clip(tmp_path / "vfr.mkv", Recipe(frames=10, stamps=stamps))
    with open_frames(path) as source:
        assert [round(1000 * time) for time in source.times] == stamps
        assert source.frame_rate == 9


def test_a_rate_that_the_container_rounds_is_recognised(tmp_path: Path) -> None:
    ntsc = Fraction(30000, 1001)
    path = make_clip(tmp_path / "ntsc.mkv", Recipe(frames=40, rate=ntsc))
    with open_frames(path) as source:
        assert source.frame_rate == ntsc
        assert source.time(30) == 30 / ntsc


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda frame: np.rot90(frame, 3)),
        ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
        ((0, -1, 1, 0), lambda frame: np.rot90(frame, 1)),
        ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),
        ((1, 0, 0, -1), lambda frame: frame[::-1]),
        ((0, 1, 1, 0), lambda frame: frame.transpose(1, 0, 2)),
    ],
)
def test_a_phone_s_rotation_is_applied(tmp_path: Path, matrix: tuple, turned: object) -> None:
    plain = make_clip(tmp_path / "plain.mp4", Recipe(frames=3))
    phone = set_rotation(make_clip(tmp_path / "phone.mp4", Recipe(frames=3)), matrix)
    with open_frames(plain) as upright, open_frames(phone) as source:
        expected = turned(upright.read(1))
        assert (source.height, source.width) == expected.shape[:2]
        assert np.array_equal(source.read(1), expected)


def test_colours_follow_the_tags(tmp_path: Path) -> None:
    """The same picture, once tagged BT.709 and once BT.601, comes out with the same colours."""

    color = np.full((64, 96, 3), (200, 60, 30), np.uint8)
    seen = []
    for matrix, code in ((1, "bt709"), (5, "bt470bg")):
        path = tmp_path / f"{code}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.colorspace = matrix
            picture = av.VideoFrame.from_ndarray(color, format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace=matrix)
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open_frames(path) as source:
            seen.append(source.read(0)[30, 40].astype(int))
    for pixel in seen:
        assert np.abs(pixel - color[0, 0]).max() <= 4


@pytest.mark.parametrize(("name", "matrix"), [("YCgCo", 8), ("ICtCp", 14)])
def test_colours_of_a_kind_that_ffmpeg_does_not_convert(
    tmp_path: Path, name: str, matrix: int
) -> None:
    recipe = Recipe(frames=4, options={"x264-params": f"colormatrix={name}"})
    path = make_clip(tmp_path / "clip.mp4", recipe)
    with open_frames(path) as source:
        assert [read_number(frame) for frame in source] == list(range(4))
        assert source.note is not None and f"matrix {matrix} of H.273" in source.note


def test_a_folder_is_sorted_by_number(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"{number}.PNG")
    Image.fromarray(numbered_frame(3)).save(tmp_path / "3.JPG", quality=95)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._1.png").write_text("a Mac's shadow file")
    with open_frames(tmp_path) as source:
        assert [read_number(frame) for frame in source] == [1, 2, 3, 10]
        assert [source.name(index) for index in range(4)] == ["1", "2", "3", "10"]
        assert source.frame_rate == 24


def test_patterns(tmp_path: Path) -> None:
    for number in (8, 9, 10, 11):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"shot_{number:03d}.png")
    Image.fromarray(numbered_frame(1)).save(tmp_path / "shot_1.png")
    Image.fromarray(numbered_frame(2)).save(tmp_path / "other_002.png")
    numbers = {
        "shot_%03d.png": [8, 9, 10, 11],
        "shot_%d.png": [1, 8, 9, 10, 11],
        "shot_*.png": [1, 8, 9, 10, 11],
        "shot_01?.png": [10, 11],
    }
    for pattern, expected in numbers.items():
        with open_frames(tmp_path / pattern, frame_rate=10) as source:
            assert [read_number(frame) for frame in source] == expected, pattern
            assert source.time(2) == Fraction(1, 5)
    with pytest.raises(FileNotFoundError, match="no pictures match"):
        open_frames(tmp_path / "none_%03d.png")


def test_one_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.fromarray(numbered_frame(5)).save(path)
    with open_frames(path) as source:
        assert source.num_frames == 1
        assert read_number(source.read(0)) == 5


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    Image.fromarray(numbered_frame(0)).save(tmp_path / "0.png")
    Image.fromarray(numbered_frame(1, 80, 40)).save(tmp_path / "1.png")
    with open_frames(tmp_path) as source:
        source.read(0)
        with pytest.raises(MediaError, match=r"frame 1 \(1.png\) has 80x40 .* 0.png has 96x64"):
            source.read(1)


def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is not a video\n" * 50)
    empty = tmp_path / "empty.mov"
    empty.touch()
    words = tmp_path / "words.txt"
    words.write_text("hello\n" * 50)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (text, empty, words, playlist, folder):
        with pytest.raises(MediaError) as caught:
            open_frames(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="check the path"):
        open_frames(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile clip.ts\n"),
        ("list.sdp", "v=0\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"),
        ("art.bin", "hello\n" * 400),
    ],
)
def test_no_file_opens_another_one(tmp_path: Path, name: str, text: str) -> None:
    make_clip(tmp_path / "clip.ts")
    (tmp_path / name).write_text(text)
    # It is refused for what it is, before anything that it names is looked at.
    with pytest.raises(MediaError, match="not a video that can be read .Invalid argument"):
        open_frames(tmp_path / name)


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:

    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="holds no video"):
        open_frames(path)


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4").read_bytes()
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match="not a video that can be read"):
        open_frames(headless)
    streamed = make_clip(tmp_path / "streamed.mkv").read_bytes()
    short = tmp_path / "short.mkv"
    short.write_bytes(streamed[: len(streamed) * 2 // 3])
    with open_frames(short) as source:
        assert 3 < source.num_frames < 24
        numbers = [read_number(source.read(index)) for index in range(source.num_frames - 1)]
    assert numbers == list(range(len(numbers)))


def test_a_file_whose_header_promises_more(tmp_path: Path) -> None:

    path = tmp_path / "fast.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(48):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[:-600])
    with open_frames(path) as source:
        assert 0 < source.num_frames < 48
        assert source.note is not None and "should hold 48 frames" in source.note
        for index in range(source.num_frames):
            assert read_number(source.read(index)) == index


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mov", Recipe(codec="png", bframes=0, frames=10))
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data) - 4) if data[at : at + 4] == b"\x89PNG"]
    data[starts[6] : starts[6] + 40] = bytes(40)
    path.write_bytes(bytes(data))
    with open_frames(path) as source:
        assert [read_number(frame) for frame in source] == [0, 1, 2, 3, 4, 5, 5, 7, 8, 9]
        assert source.note is not None and "frame 6 of" in source.note
        assert [read_number(source.read(n)) for n in (9, 8, 7, 6, 5)] == [9, 8, 7, 5, 5]
    # Where nothing follows the damage, the clip ends there.
    for start in starts[7:]:
        data[start : start + 40] = bytes(40)
    path.write_bytes(bytes(data))
    with open_frames(path) as source:
        assert [read_number(source.read(index)) for index in range(6)] == list(range(6))
        with pytest.raises(MediaError, match=r"frame 6 of .*clip\.mov cannot be decoded"):
            source.read(6)


@pytest.mark.parametrize("share", [0.8, 0.9])
def test_a_cut_packet_takes_no_other_frame_with_it(tmp_path: Path, share: float) -> None:
    """Threads of the decoder lose the frames that they have at hand."""
    recipe = Recipe(frames=40, gop=40, bframes=3, muxer={"movflags": "+faststart"})
    path = make_clip(tmp_path / "clip.mp4", recipe)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with open_frames(path) as source:
        assert source.note is not None and "ends early" in source.note
        numbers = [read_number(frame) for frame in source]
    with av.open(str(path)) as container:
        packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert len(numbers) == packets - 1
    assert numbers == sorted(set(numbers))


def test_frame_numbers_outside_the_clip(tmp_path: Path) -> None:
    with open_frames(make_clip(tmp_path / "clip.mp4")) as source:
        for index in (-1, 24):
            with pytest.raises(IndexError, match="frames 0 to 23"):
                source.read(index)
