"""Numbered frames and beeps through every codec and container that the ffmpeg at hand can write.

    python benchmarks/media_pairs.py                  # the table of docs/media.md
    python benchmarks/media_pairs.py --only mkv --keep /tmp/pairs

Each clip is made by the ffmpeg on the PATH: frames whose pixels are their number, and a beep at
0.5, 1.5 and 2.5 s. Then it is read by ffmpeg and by this package, in order, backward and at
random, and written anew as mp4. What must be equal: the frames, their times, and when the beeps
are heard in the written file, beside the frame that is shown then.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam2_mlx.media import FrameSource, MediaError, open_frames
from sam2_mlx.media.video_writer import write_like

WIDTH, HEIGHT, RATE, FRAMES, BITS = 352, 288, 25, 75, 8
BEEPS = (0.5, 1.5, 2.5)
# A beep and the frame that belongs to it may part by as much as nobody hears.
SYNC_SECONDS = 0.045
TIME_SECONDS = 0.0021


@dataclass(frozen=True)
class Pair:
    """A file to make: its extension, and ffmpeg's options for picture and sound."""

    suffix: str
    video: str
    audio: str = ""
    size: tuple[int, int] = (WIDTH, HEIGHT)

    @property
    def name(self) -> str:
        """Picture and sound, as ffmpeg names them."""
        return " ".join(part for part in (self.video, self.audio) if part)


X264 = "libx264 -g 12"
PAIRS = (
    # mp4 and its kin
    Pair("mp4", f"{X264} -bf 2", "aac"),
    Pair("mp4", f"{X264} -bf 3 -x264-params open-gop=1:b-pyramid=normal", "aac"),
    Pair("mp4", f"{X264} -bf 0", "libmp3lame"),
    Pair("mp4", f"{X264} -bf 2 -flags +ildct+ilme", "ac3"),
    Pair("mp4", f"{X264} -movflags frag_keyframe+empty_moov", "aac"),
    Pair("mp4", "libx265 -g 12 -bf 3 -x265-params log-level=error", "alac"),
    Pair("mp4", "libvpx-vp9 -g 12 -deadline realtime -cpu-used 8", "libopus -b:a 64k"),
    Pair("mp4", "libsvtav1 -preset 12 -g 25", "aac"),
    Pair("mp4", "mpeg4 -bf 2 -g 12", "aac"),
    Pair("mp4", "mpeg2video -bf 2 -g 12", "mp2"),
    Pair("mp4", "mjpeg -q:v 3", "flac -strict -2"),
    Pair("m4v", "mpeg4 -g 12 -f mp4", "aac"),
    Pair("3gp", "h263", "aac -ar 44100"),
    Pair("f4v", X264, "aac"),
    Pair("mov", f"{X264} -bf 2", "pcm_s16le"),
    Pair("mov", "prores_ks -profile:v 1", "pcm_s24le"),
    Pair("mov", "prores_ks -profile:v 4444 -pix_fmt yuva444p10le", "pcm_s16be"),
    Pair("mov", "dnxhd -profile:v dnxhr_lb", "aac"),
    Pair("mov", "qtrle", "pcm_s16le"),
    Pair("mov", "png", "alac"),
    Pair("mov", "cinepak -t 1", ""),
    Pair("mov", "jpeg2000", "pcm_f32le"),
    # Matroska
    Pair("mkv", f"{X264} -bf 2", "aac"),
    Pair("mkv", f"{X264} -bf 2", "libopus -b:a 64k"),
    Pair("mkv", f"{X264} -bf 2", "libvorbis"),
    Pair("mkv", f"{X264} -bf 2", "flac"),
    Pair("mkv", f"{X264} -bf 2", "pcm_s16le -ar 11127"),
    Pair("mkv", f"{X264} -bf 2", "libmp3lame -ar 22050"),
    Pair("mkv", f"{X264} -bf 2", "dca -strict -2"),
    Pair("mkv", f"{X264} -bf 2", "eac3"),
    Pair("mkv", f"{X264} -bf 2", "wmav2"),
    Pair("mkv", "libx265 -g 12 -x265-params log-level=error:open-gop=1", "wavpack"),
    Pair("mkv", "ffv1", "pcm_s24le"),
    Pair("mkv", "huffyuv", "tta"),
    Pair("mkv", "utvideo", "ac3"),
    Pair("mkv", "libtheora -q:v 7 -g 12", "libvorbis"),
    Pair("mkv", "mpeg1video -bf 2 -g 12", "mp2"),
    Pair("mkv", "snow -g 12", "aac"),
    Pair("mkv", "wmv2 -g 12", "aac"),
    Pair("mkv", "msmpeg4 -g 12", "libmp3lame"),
    Pair("mkv", "rawvideo", "pcm_f32le"),
    # WebM
    Pair("webm", "libvpx -g 12 -auto-alt-ref 1 -lag-in-frames 10", "libvorbis"),
    Pair("webm", "libvpx-vp9 -g 12 -lag-in-frames 10 -cpu-used 8", "libopus -b:a 64k"),
    Pair("webm", "libaom-av1 -cpu-used 8 -g 12 -lag-in-frames 8", "libopus -b:a 64k"),
    # AVI
    Pair("avi", f"{X264} -bf 2", "libmp3lame"),
    Pair("avi", f"{X264} -bf 0", "pcm_s16le"),
    Pair("avi", "mpeg4 -bf 2 -g 12 -vtag DIVX", "libmp3lame -ar 44100"),
    Pair("avi", "mpeg4 -bf 0 -g 12", "ac3"),
    Pair("avi", "mjpeg -q:v 3", "pcm_u8 -ar 11127"),
    Pair("avi", "huffyuv", "pcm_s16le -ar 44100"),
    Pair("avi", "msvideo1 -pix_fmt rgb555le", ""),
    Pair("avi", "ffvhuff", "adpcm_ms -ar 22050"),
    Pair("avi", "flv1", "mp2"),
    # broadcast and discs
    Pair("ts", f"{X264} -bf 2", "aac"),
    Pair("ts", f"{X264} -bf 2 -flags +ildct+ilme", "mp2"),
    Pair("ts", "mpeg2video -bf 2 -g 12", "ac3"),
    Pair("ts", "libx265 -g 12 -x265-params log-level=error", "aac"),
    Pair("m2ts", f"{X264} -bf 2", "ac3"),
    Pair("mpg", "mpeg2video -bf 2 -g 12", "mp2"),
    Pair("mpg", "mpeg1video -bf 2 -g 12", "mp2"),
    Pair("vob", "mpeg2video -bf 2 -g 12 -flags +ildct+ilme", "ac3"),
    Pair("mxf", "mpeg2video -g 12 -bf 2", "pcm_s16le"),
    Pair("mxf", "dnxhd -profile:v dnxhr_lb", "pcm_s24le"),
    Pair("dv", "dvvideo -pix_fmt yuv420p", "pcm_s16le", size=(720, 576)),
    # the web of old, and others
    Pair("flv", "flv1 -g 12", "libmp3lame -ar 44100"),
    Pair("flv", f"{X264} -bf 2", "aac"),
    Pair("wmv", "wmv2 -g 12", "wmav2"),
    Pair("asf", "msmpeg4 -g 12", "libmp3lame"),
    Pair("ogv", "libtheora -q:v 7 -g 12", "libvorbis"),
    Pair("ogv", "libtheora -q:v 7 -g 12", "flac"),
    Pair("nut", "mpeg4 -bf 2 -g 12", "libvorbis"),
    Pair("rm", "rv20 -g 12", "ac3"),
    Pair("wtv", "mpeg2video -bf 2 -g 12", "mp2"),
    Pair("gif", "gif", ""),
    Pair("ivf", "libvpx-vp9 -g 12 -lag-in-frames 10 -cpu-used 8", ""),
    Pair("ivf", "libvpx -g 12 -auto-alt-ref 1 -lag-in-frames 10", ""),
    Pair("y4m", "wrapped_avframe -f yuv4mpegpipe -pix_fmt yuv420p", ""),
    # other sounds, seldom codecs, and heights that are no multiple of four
    Pair("mov", "mpeg4 -g 12", "pcm_s8"),
    Pair("mov", "cfhd -pix_fmt yuv422p10le", "pcm_f32be"),
    Pair("mov", "hap -pix_fmt rgba", "adpcm_ima_qt"),
    Pair("mov", "v210 -pix_fmt yuv422p10le", "pcm_alaw"),
    Pair("mov", "svq1 -pix_fmt yuv410p", "pcm_s16be"),
    Pair("mkv", "vc2 -strict -2", "mlp -strict -2"),
    Pair("mkv", "jpegls -pix_fmt rgb24", "libvorbis -ac 6"),
    Pair("mkv", "tiff -pix_fmt rgb24", "g722 -ar 16000 -ac 1"),
    Pair("mkv", f"{X264} -pix_fmt yuv444p10le", "flac -ac 8 -ar 96000"),
    Pair("avi", "magicyuv -pix_fmt gbrp", "pcm_mulaw"),
    Pair("avi", "zmbv -pix_fmt bgr0", "adpcm_ima_wav"),
    Pair("ts", "mpeg2video -bf 2 -g 12", "s302m -strict -2"),
    Pair("ts", "mpeg2video -g 12", "libopus"),
    Pair("m2ts", "mpeg2video -g 12", "pcm_bluray"),
    Pair("vob", "mpeg2video -bf 2 -g 12", "pcm_dvd"),
    Pair("flv", "flashsv -pix_fmt bgr24", "nellymoser -ar 44100 -ac 1"),
    Pair("apng", "apng -pix_fmt rgb24", ""),
    Pair("mp4", f"{X264} -bf 2", "aac", size=(482, 270)),
    # no container
    Pair("h264", f"{X264} -bf 2", ""),
    Pair("hevc", "libx265 -g 12 -x265-params log-level=error", ""),
    Pair("m2v", "mpeg2video -bf 2 -g 12", ""),
    Pair("m4v", "mpeg4 -bf 2 -g 12", ""),
    Pair("mjpeg", "mjpeg -q:v 3", ""),
    Pair("obu", "libaom-av1 -cpu-used 8 -g 12 -lag-in-frames 8", ""),
)


def numbered(number: int, width: int, height: int) -> np.ndarray:
    """uint8 (H, W): stripes that are the bits of a number, coarse enough for any codec."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    row = np.repeat(np.where(bits, 230, 20).astype(np.uint8), np.diff(edges))
    return np.broadcast_to(row, (height, width))


def read_number(frame: np.ndarray) -> int:
    """The number in a frame, uint8 (H, W)."""
    height, width = frame.shape
    edges = np.linspace(0, width, BITS + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(int)
    return sum(int(frame[height // 2, x] > 128) << bit for bit, x in enumerate(middles))


def beeps(rate: int = 48000) -> np.ndarray:
    """float32 (N,): 40 ms of 1 kHz at each of `BEEPS`."""
    sound = np.zeros(FRAMES * rate // RATE, np.float32)
    tone = 0.7 * np.sin(2 * np.pi * 1000 * np.arange(rate // 25) / rate)
    for time in BEEPS:
        start = round(time * rate)
        sound[start : start + len(tone)] = tone
    return sound


def onsets(sound: np.ndarray, rate: int = 48000) -> list[float]:
    """When the beeps of a sound begin, in seconds."""
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    starts = [loud[0], *loud[1:][np.diff(loud) > rate // 5]] if len(loud) else []
    return [float(start) / rate for start in starts]


def run(command: list[str], data: bytes | None = None) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def make(pair: Pair, path: Path, folder: Path) -> None:
    """Let ffmpeg write a clip."""
    width, height = pair.size
    pixels = b"".join(numbered(n, width, height).tobytes() for n in range(FRAMES))
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
    command += ["-s", f"{width}x{height}", "-r", str(RATE), "-i", "-"]
    if pair.audio:
        wav = folder / "beeps.f32"
        wav.write_bytes(beeps().tobytes())
        command += ["-f", "f32le", "-ar", "48000", "-ac", "1", "-i", str(wav)]
    formats = [] if "-pix_fmt" in pair.video else ["-pix_fmt", pixel_format(pair.video)]
    command += ["-map", "0:v", "-c:v", *pair.video.split(), *formats]
    if pair.audio:
        command += ["-map", "1:a", "-c:a", *pair.audio.split()]
        command += [] if "-ac" in pair.audio else ["-ac", "2"]
    run([*command, f"file:{path}"], pixels)


def pixel_format(video: str) -> str:
    """The pixels that an encoder wants."""
    kinds = {
        "mjpeg": "yuvj420p",
        "qtrle": "rgb24",
        "png": "rgb24",
        "gif": "pal8",
        "cinepak": "rgb24",
        "prores_ks": "yuv422p10le",
        "dnxhd": "yuv422p",
        "huffyuv": "yuv422p",
    }
    return kinds.get(video.split()[0], "yuv420p")


def by_ffmpeg(path: Path, size: tuple[int, int]) -> tuple[list[int], list[float], list[float]]:
    """Numbers and times of the frames, and when the beeps begin, as ffmpeg has them."""
    width, height = size
    command = ["ffmpeg", "-v", "error", "-i", f"file:{path}", "-map", "0:v:0"]
    raw = run([*command, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
    frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width)
    # The time base is fine enough for every container, and the times are those of the frames.
    args = [*command, "-copyts", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"]
    listing = run([*args, "-c:v", "rawvideo", "-f", "framecrc", "-"]).decode()
    times = [int(line.split(",")[2]) / 90000 for line in listing.splitlines() if line[0] != "#"]
    return [read_number(frame) for frame in frames], times, heard(path)


def heard(path: Path) -> list[float]:
    """When the beeps of a file begin, on the clock of its frames' times."""
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", f"file:{path}", "-map", "0:a:0?"]
    command += ["-af", "aresample=48000:async=1:min_hard_comp=0.01:first_pts=0", "-ac", "1"]
    try:
        raw = run([*command, "-f", "f32le", "-"])
    except subprocess.CalledProcessError:
        return []
    return onsets(np.frombuffer(raw, np.float32))


def copy(source: FrameSource, target: Path) -> str | None:
    writer = write_like(target, source)
    for number in range(source.num_frames):
        begin, end = source.time(number), source.time(number + 1)
        writer.write(source.read(number), begin, end - begin)
    writer.finish()
    return writer.sound_problem


def check(pair: Pair, path: Path, folder: Path) -> dict[str, str]:
    """Read a clip both ways and write it anew; each column says `ok` or what is wrong."""
    numbers, times, beeps_there = by_ffmpeg(path, pair.size)
    result = {"frames": "ok", "times": "ok", "order": "ok", "sound": "none", "note": ""}
    with open_frames(path) as source:
        ours = [read_number(frame[..., 1]) for frame in source]
        if ours != numbers:
            result["frames"] = f"{len(ours)} {ours[:8]} not {len(numbers)} {numbers[:8]}"
        apart = [abs(a - (b - times[0])) for a, b in zip(source.times, times, strict=False)]
        if max(apart) > TIME_SECONDS or len(times) != source.num_frames:
            result["times"] = f"{1000 * max(apart):.0f} ms apart"
        order = [*range(len(ours) - 1, -1, -1), *random.Random(1).sample(range(len(ours)), 20)]
        if [read_number(source.read(n)[..., 1]) for n in order] != [ours[n] for n in order]:
            result["order"] = "another frame backward or at random"
        problem = copy(source, folder / "out.mp4")
        result["note"] = "; ".join(filter(None, (problem, source.note)))
    if pair.audio:
        written, stamps, beeps_written = by_ffmpeg(folder / "out.mp4", even(pair.size))
        before, after = lag(numbers, times, beeps_there), lag(written, stamps, beeps_written)
        result["sound"] = f"{1000 * before:+.0f} {1000 * after:+.0f}"
        expected = sum(time < len(numbers) / RATE for time in BEEPS)
        if len(beeps_written) != expected or abs(after - before) > SYNC_SECONDS:
            result["sound"] += f" wrong: {len(beeps_written)} beeps"
    return result


def lag(numbers: list[int], times: list[float], beeps_heard: list[float]) -> float:
    """The largest time by which a beep is heard after its frame is shown."""
    by_number = dict(zip(numbers, times, strict=True))
    lags = []
    for time, beep in zip(BEEPS, beeps_heard, strict=False):
        near = max((n for n in by_number if n <= time * RATE), default=None)
        if near is not None:
            lags.append(beep - (by_number[near] + time - near / RATE))
    return max(lags, key=abs, default=float("nan"))


def even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="pairs whose row holds this text")
    parser.add_argument("--keep", type=Path, help="where the clips stay")
    args = parser.parse_args(argv)
    version = run(["ffmpeg", "-version"]).decode().split()[2]
    print(f"ffmpeg {version}; {FRAMES} frames at {RATE} a second; lags in ms, source and written\n")
    print("| container | picture, sound | frames | times | any order | lag of the beeps | note |")
    print("|---|---|---|---|---|---|---|")
    good = bad = left = 0
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(exist_ok=True)
        for place, pair in enumerate(PAIRS):
            row = f"| {pair.suffix} | {pair.name} |"
            if args.only not in row:
                continue
            path = folder / f"{place:02d}.{pair.suffix}"
            try:
                make(pair, path, folder)
            except subprocess.CalledProcessError as problem:
                left += 1
                print(f"{row} this ffmpeg cannot: {problem.stderr.decode().splitlines()[-1]}")
                continue
            try:
                result = check(pair, path, folder)
            except (MediaError, subprocess.CalledProcessError) as problem:
                result = {"frames": f"failed: {problem}"}
            columns = [result.get(name, "") for name in ("frames", "times", "order")]
            wrong = columns != ["ok"] * 3 or "wrong" in result.get("sound", "")
            good, bad = good + (not wrong), bad + wrong
            print(row, " | ".join(result.values()), "|", flush=True)
    print(f"\n{good} pairs as ffmpeg has them, {bad} not, {left} that this ffmpeg does not write")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
