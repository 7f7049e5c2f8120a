"""Open a media file: which picture is shown, and how far a header is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import MAX_PIXELS, check_pixels
from sam2_mlx.media.mp4_tables import check_tables

# FFmpeg's demuxers that open what a file names or what lies beside it, and those that draw text.
_OTHERS = frozenset("concat hls dash imf sdp rtp rtsp sap vobsub image2".split())
_TEXT = frozenset("tty txt bin xbin adf idf".split())
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _OTHERS - _TEXT)),
}


def open_container(path: Path) -> Any:
    """Open a media file that exists with PyAV, and nothing that it may point to.

    Raises:
        MediaError: if it cannot be read.
    """
    check_tables(path)
    try:
        # The prefix keeps a name such as `a:b.mp4` from being read as an address.
        return av.open(f"file:{path}", mode="r", options=_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as problem:
        raise MediaError(_cannot_open(path, problem)) from problem


def open_video(
    path: Path, options: dict[str, str] | None = None, *, one_by_one: bool = False
) -> tuple[Any, Any]:
    """Open a video file.

    Args:
        path: an existing file.
        options: options of the decoder.
        one_by_one: decode one frame at a time. Where one is damaged, PyAV loses those that other
            threads have at hand.

    Returns:
        PyAV's container, and of its video streams the default one or else the largest; never a
        cover picture.

    Raises:
        MediaError: if it is not a video.
    """
    container = open_container(path)
    streams = video_streams(container)
    if not streams:
        container.close()
        raise MediaError(f"{path} holds no video; give a video file, a picture or a folder of them")
    stream = max(streams, key=_rank)
    context = stream.codec_context
    if context is None:
        container.close()
        raise MediaError(f"the video in {path} has a codec that cannot be decoded; convert it")
    try:
        check_pixels(path, (context.width, context.height))
    except MediaError:
        container.close()
        raise
    context.thread_type = "SLICE" if one_by_one else "AUTO"
    # The size may change in the middle.
    context.options = {"max_pixels": str(MAX_PIXELS), **(options or {})}
    return container, stream


def read_packets(
    container: Any, *streams: Any, problems: list[av.FFmpegError] | None = None
) -> Iterator[Any]:
    """The packets of some streams in the order of the file, up to its end or to damage.

    Args:
        container: PyAV's.
        streams: of it.
        problems: gets what ended the reading early.
    """
    try:
        yield from container.demux(*streams)
    except av.FFmpegError as problem:
        if problems is not None:
            problems.append(problem)
        # As at the end of a file: what came before is there, some of it still in the decoders.
        for stream in streams:
            packet = av.Packet()
            packet.stream = stream
            yield packet


def video_streams(container: Any) -> list[Any]:
    """The video streams of a container, without still pictures where anything else is."""
    streams = [s for s in container.streams.video if not s.disposition & _stills(s)]
    moving = [stream for stream in streams if stream.frames != 1]
    return moving or streams


def _stills(stream: Any) -> Any:
    kinds = type(stream.disposition)
    return kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image


def _rank(stream: Any) -> tuple[bool, bool, int, int]:
    """What makes one video stream be preferred to another; of equal ones the first."""
    context = stream.codec_context
    size = 0 if context is None else context.width * context.height
    default = bool(stream.disposition & type(stream.disposition).default)
    return context is not None, default, size, -stream.index


def _cannot_open(path: Path, problem: Exception) -> str:
    if isinstance(problem, PermissionError):
        return f"no permission to read {path}"
    reason = getattr(problem, "strerror", None) or str(problem)
    if path.stat().st_size == 0:
        reason = "the file is empty"
    return f"{path} is not a video that can be read ({reason}); give an mp4, mov, mkv or webm file"
