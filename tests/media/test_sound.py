"""The sound of written videos: in sync to the last second, and never the end of the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sam2_mlx.media import open_frames
from sam2_mlx.media.audio import Soundtrack
from sam2_mlx.media.encodings import WEBM_ALPHA
from sam2_mlx.media.video_writer import write_like
from tests.media.media_clips import (
    Recipe,
    make_clip,
    pitch_at,
    read_numbers,
    read_sound,
    remux,
    shifted,
)

Change = Callable[[av.Packet, float], av.Packet | None]


def copy(path: Path, target: Path, first: int = 0) -> str | None:
    """Write a clip anew, from a frame on; what was wrong with its sound."""
    with open_frames(path) as source:
        writer = write_like(target, source, first)
        for number in range(first, source.num_frames):
            begin, end = source.time(number), source.time(number + 1)
            writer.write(source.read(number), begin - source.time(first), end - begin)
        writer.finish()
        assert writer.frames == source.num_frames - first
        return writer.sound_problem


def is_in_sync(path: Path, second: float, of: float | None = None, coarse: bool = False) -> None:
    """Check that at a time the sound of another (or the same) time of the tone is heard.

    200 Hz are a second; AAC's first generation is off by up to 20 of them for this tone.
    """
    samples, _ = read_sound(path)
    of = second if of is None else of
    assert pitch_at(samples, second) == pytest.approx(300 + 200 * of, abs=20 if coarse else 6)


def sound_only(change: Change) -> Change:
    """The same change for packets of the sound alone."""
    return lambda packet, time: change(packet, time) if packet.stream.type == "audio" else packet


CODECS = [("libopus", ".mkv"), ("aac", ".mkv"), ("libmp3lame", ".mkv"), ("pcm_s16le", ".mkv")]


@pytest.mark.parametrize(("codec", "suffix"), [*CODECS, ("aac", ".ts")])
@pytest.mark.parametrize("first", [0, 35])
def test_a_gap_is_silence(tmp_path: Path, codec: str, suffix: str, first: int) -> None:
    whole = make_clip(tmp_path / f"whole{suffix}", Recipe(frames=100, audio=codec))
    drop = sound_only(lambda packet, time: None if 2.0 <= time < 2.4 else packet)
    path = remux(whole, tmp_path / f"gap{suffix}", drop)
    assert copy(path, tmp_path / "out.mp4", first) is None
    shift = first / 25
    for second in (1.8, 2.7, 3.7):
        is_in_sync(tmp_path / "out.mp4", second - shift, second)
    # The gap is sound without sound, for players that only count samples.
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) / frames[0].sample_rate > 3.9 - shift
    samples, _ = read_sound(tmp_path / "out.mp4")
    quiet = samples[round((2.15 - shift) * 48000) : round((2.3 - shift) * 48000)]
    assert np.abs(quiet).max() < 0.05


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_an_overlap_does_not_move_what_follows(tmp_path: Path, codec: str) -> None:
    """As recorders cut: the second piece begins two frames before the first one ends."""
    one = make_clip(tmp_path / "one.ts", Recipe(frames=50, audio=codec))
    two = remux(one, tmp_path / "two.ts", lambda packet, _: shifted(packet, 48 / 25))
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    assert copy(path, tmp_path / "out.mp4") is None
    is_in_sync(tmp_path / "out.mp4", 1.7)
    for second in (2.4, 3.7):
        is_in_sync(tmp_path / "out.mp4", second, second - 48 / 25)


@pytest.mark.parametrize(("codec", "suffix"), [*CODECS[:3], ("ac3", ".mkv")])
def test_damaged_packets_are_a_hole_and_no_shift(tmp_path: Path, codec: str, suffix: str) -> None:
    whole = make_clip(tmp_path / f"whole{suffix}", Recipe(frames=100, audio=codec))

    def damaged(packet: av.Packet, time: float) -> av.Packet:
        if not 2.0 <= time < 2.3:
            return packet
        broken = av.Packet(b"\xff" * packet.size)
        broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
        return broken

    path = remux(whole, tmp_path / f"damaged{suffix}", sound_only(damaged))
    copy(path, tmp_path / "out.mp4")
    assert read_numbers(tmp_path / "out.mp4")[-1] == 99 % 64
    for second in (1.7, 2.6, 3.7):
        is_in_sync(tmp_path / "out.mp4", second, coarse=codec == "aac")


def set_flv_time(data: bytes, kind: int, number: int, shift: int) -> bytes:
    """Shift the time of one tag of an FLV: the `number`-th video (9) or sound (8), in ms."""
    result, place = bytearray(data), 13
    while number >= 0:
        tag = place
        number -= data[tag] == kind
        place += 15 + int.from_bytes(data[tag + 1 : tag + 4], "big")
    time = int.from_bytes(data[tag + 7 : tag + 8] + data[tag + 4 : tag + 7], "big") + shift
    result[tag + 4 : tag + 8] = (time % 2**24 << 8 | time >> 24).to_bytes(4, "big")
    return bytes(result)


@pytest.mark.parametrize("kind", [8, 9])
@pytest.mark.parametrize("shift", [3000, -500, 2**28])
def test_a_damaged_time_moves_nothing_that_follows(tmp_path: Path, kind: int, shift: int) -> None:
    recipe = Recipe(frames=50, bframes=0, audio="libmp3lame", sound_rate=44100)
    path = make_clip(tmp_path / "clip.flv", recipe)
    path.write_bytes(set_flv_time(path.read_bytes(), kind, 22, shift))
    with open_frames(path) as source:
        assert source.times == pytest.approx([number / 25 for number in range(50)], abs=0.041)
    assert copy(path, tmp_path / "out.mp4") is None
    assert read_numbers(tmp_path / "out.mp4") == list(range(50))
    for second in (0.3, 0.8, 1.7):
        is_in_sync(tmp_path / "out.mp4", second)


@pytest.mark.parametrize("rate", [7350, 11127, 22050, 44100, 96000])
def test_odd_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    recipe = Recipe(frames=50, audio="pcm_s16le", sound_rate=rate, bframes=0, codec="mpeg4")
    path = make_clip(tmp_path / "odd.avi", recipe)
    assert copy(path, tmp_path / "out.mp4") is None
    for second in (0.3, 1.8):
        is_in_sync(tmp_path / "out.mp4", second)


@pytest.mark.parametrize("name", ["clip.avi", "clip.flv", "clip.mkv"])
def test_where_seeking_fails_it_is_read_from_the_start(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    recipe = Recipe(frames=75, codec=codec, audio="libmp3lame", sound_rate=44100)
    path = make_clip(tmp_path / name, recipe)
    for first in (0, 40):
        assert copy(path, tmp_path / "out.mp4", first) is None
        is_in_sync(tmp_path / "out.mp4", 1.0, 1.0 + first / 25)


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_every_track_is_kept(tmp_path: Path, codec: str) -> None:
    plain = make_clip(tmp_path / "plain.mkv", Recipe(frames=50, audio=codec, tracks=3))
    path = tmp_path / "three.mkv"
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        for stream, language in zip(streams[1:], ("eng", "fra", "deu"), strict=True):
            stream.metadata["language"] = language
            default = av.stream.Disposition.default if language == "fra" else 0
            stream.disposition = av.stream.Disposition(default)
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    assert copy(path, tmp_path / "out.mp4") is None
    for track in range(3):
        samples, _ = read_sound(tmp_path / "out.mp4", track)
        assert pitch_at(samples, 1.5) == pytest.approx(600 + 1000 * track, abs=20)
    with av.open(str(tmp_path / "out.mp4")) as container:
        sounds = container.streams.audio
        assert [sound.language for sound in sounds] == ["eng", "fra", "deu"]
        default = av.stream.Disposition.default
        assert [bool(sound.disposition & default) for sound in sounds] == [False, True, False]


@pytest.mark.parametrize("codec", ["libopus", "aac"])
@pytest.mark.parametrize("first", [0, 35])
def test_the_cut_out_objects_have_the_sound_too(tmp_path: Path, codec: str, first: int) -> None:
    path = make_clip(tmp_path / "in.mkv", Recipe(frames=60, audio=codec, tracks=2))
    target = tmp_path / "out.webm"
    with open_frames(path) as source:
        source.format = replace(source.format, pixel_aspect=Fraction(16, 11))
        writer = write_like(target, source, first, WEBM_ALPHA)
        opaque = np.full((64, 96, 1), 255, np.uint8)
        for number in range(first, 60):
            frame = np.dstack([source.read(number), opaque])
            writer.write(frame, Fraction(number - first, 25), Fraction(1, 25))
        writer.finish()
    assert writer.sound_problem is None
    is_in_sync(target, 0.6, 0.6 + first / 25, coarse=True)
    with av.open(str(target)) as container:
        assert {sound.codec_context.name for sound in container.streams.audio} == {"opus"}
        assert len(container.streams.audio) == 2
        written = container.streams.video[0].sample_aspect_ratio
        assert float(written) == pytest.approx(16 / 11, abs=0.006)
    assert read_numbers(target) == list(range(first, 60))


def test_an_unknown_codec_is_left_out_with_a_line(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", Recipe(frames=30, audio="libopus", tracks=2))
    path.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_XYZ1", 1))
    problem = copy(path, tmp_path / "out.mp4")
    assert problem == "track 1: its codec is unknown"
    assert read_numbers(tmp_path / "out.mp4") == list(range(30))
    is_in_sync(tmp_path / "out.mp4", 0.8, 5.8)


def test_a_codec_that_the_container_refuses_is_encoded(tmp_path: Path) -> None:
    """An mp4 takes no MP3 below 16 kHz, and says so when the header is written."""
    recipe = Recipe(frames=50, audio="libmp3lame", sound_rate=8000)
    path = make_clip(tmp_path / "clip.mkv", recipe)
    assert copy(path, tmp_path / "out.mp4") is None
    is_in_sync(tmp_path / "out.mp4", 1.5)


def test_sound_that_begins_after_the_end_spoils_nothing(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mkv", Recipe(frames=30, audio="ac3"))

    def late(packet: av.Packet, time: float) -> av.Packet:
        packet.pts += round(5 / packet.time_base)
        packet.dts = packet.pts
        return packet

    path = remux(plain, tmp_path / "late.mkv", sound_only(late))
    for name in ("out.mp4", "out.mov", "out.mkv"):
        copy(path, tmp_path / name)
        assert read_numbers(tmp_path / name) == list(range(30))


def test_pieces_with_clocks_of_their_own_stay_in_sync(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.ts", Recipe(frames=50, audio="aac"))
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() * 2)
    assert copy(path, tmp_path / "out.mp4") is None
    for second, of in ((0.5, 0.5), (1.8, 1.8), (2.5, 0.5), (3.8, 1.8)):
        is_in_sync(tmp_path / "out.mp4", second, of)
    assert copy(path, tmp_path / "out.mp4", 60) is None
    is_in_sync(tmp_path / "out.mp4", 1.0, 1.4)


def test_a_rate_that_changes_in_the_middle(tmp_path: Path) -> None:
    pieces = [
        make_clip(tmp_path / f"{rate}.ts", Recipe(frames=50, audio="mp2", sound_rate=rate))
        for rate in (48000, 32000)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    copy(path, tmp_path / "out.mp4")
    for second, of in ((0.5, 0.5), (1.7, 1.7), (2.5, 0.5), (3.7, 1.7)):
        is_in_sync(tmp_path / "out.mp4", second, of)


@pytest.mark.parametrize("step", ["attach", "next", "mux"])
def test_no_trouble_with_the_sound_ends_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = make_clip(tmp_path / "clip.mp4", Recipe(frames=30, audio="aac"))
    with open_frames(path) as source:
        writer = write_like(tmp_path / "out.mp4", source)
        (track,) = writer._audio._tracks
        count = 0

        def fail(*_: object) -> object:
            raise av.error.InvalidDataError(1, "broken")

        def stuck(packets: object) -> object:
            nonlocal count
            for packet in packets:
                count += 1
                packet.pts = packet.dts = packet.pts if count < 10 else -(2**62)
                yield packet

        if step == "attach":
            monkeypatch.setattr("sam2_mlx.media.audio.open_container", fail)
        elif step == "next":
            monkeypatch.setattr(track, "_demux", fail)
        else:
            copied = track._copied
            monkeypatch.setattr(track, "_copied", lambda: stuck(copied()))
        for number in range(30):
            writer.write(source.read(number), source.time(number), Fraction(1, 25))
        writer.finish()
        assert writer.sound_problem is not None
    assert read_numbers(tmp_path / "out.mp4") == list(range(30))


def test_tracks_beyond_the_limit_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", Recipe(frames=5, audio="libopus"))
    with open_frames(path) as source:
        streams = source.sound * 20
    sound = Soundtrack(path, streams, Fraction(0), ".mp4")
    assert sound.problem is not None and "only the first 16" in sound.problem
