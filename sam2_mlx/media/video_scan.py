"""What one pass over the packets of a video file tells, without decoding."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.format import Flags

from sam2_mlx.media.containers import open_video, read_packets, video_streams
from sam2_mlx.media.frame_source import SoundStream
from sam2_mlx.media.h264_fields import may_hold_fields
from sam2_mlx.media.timeline import JumpFinder, Jumps

# In these, and where every frame is a keyframe, a packet is a frame. Others have packets that
# show nothing, single fields, or two frames in one.
_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1", "png", "ffv1"})
# Containers whose header tells how long the file should be.
_TELL_LENGTH = frozenset({"matroska,webm", "flv", "asf", "mxf", "avi"})
# Sound that is off by more than this has a gap or an overlap.
_SOUND_SECONDS = Fraction(1, 50)
_HEAD_BYTES = 4096
_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass
class Scan:
    """The packets of a video stream in the order of the file, and what the header says.

    Attributes:
        time_base: seconds of one unit of the times.
        rate: frames a second by the header, or None.
        delay: how many frames are decoded before the first one is shown; None where that shifts
            no time.
        pts: when the packet is shown, or None.
        dts: when it is decoded, or None.
        keys: whether decoding can start there.
        hidden: numbers of the packets that an edit list hides.
        frame_a_packet: whether each packet is one frame.
        jumps: where the clock of the file jumps.
        sound: the sound streams.
        seconds: how long the file should be by its header, or None.
        missing: how many frames it should have beyond those there are.
        end: when the last packet of any stream ends, in seconds.
        problems: what ended the reading early.
        damaged: whether something could not be decoded, as far as that was tried.
        num_pictures: number of video streams.
        picture: which of them this is, for people.
    """

    time_base: Fraction
    rate: Fraction | None
    delay: int | None = 0
    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)
    frame_a_packet: bool = True
    jumps: Jumps = ()
    sound: tuple[SoundStream, ...] = ()
    seconds: Fraction | None = None
    missing: int = 0
    end: Fraction = Fraction(0)
    problems: list[av.FFmpegError] = field(default_factory=list)
    damaged: bool = False
    num_pictures: int = 1
    picture: str = ""

    def add(self, packet: Any) -> None:
        """Note a packet of the picture."""
        if packet.is_discard:
            self.hidden.add(len(self.pts))
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.keys.append(bool(packet.is_keyframe))

    def mend(self, jumps: Jumps) -> None:
        """Shift the times so that the clock does not jump."""
        self.jumps = jumps
        for place, (begin, offset) in enumerate(jumps):
            end = jumps[place + 1][0] if place + 1 < len(jumps) else len(self.pts)
            ticks = round(offset / self.time_base)
            for column in (self.pts, self.dts):
                column[begin:end] = [
                    None if stamp is None else stamp + ticks for stamp in column[begin:end]
                ]

    def drop_last(self) -> None:
        """Forget the last packet, within which the file was most likely cut off."""
        for column in (self.pts, self.dts, self.keys):
            column.pop()
        self.missing += bool(self.missing)


def scan_video(path: Path) -> Scan:
    """Read all packets of a video file that exists, without a last one that was cut off.

    Raises:
        MediaError: if it is not a video.
    """
    container, stream = open_video(path)
    with container:
        scan = _read_header(container, stream)
        finder = JumpFinder(ahead=bool(container.format.flags & Flags.ts_discont.value))
        steady = {sound.index: _Steadiness() for sound in container.streams.audio}
        fields = _FieldWatch(stream.codec_context)
        # AVI has times of decoding only, whatever FFmpeg makes of them.
        decoding_only = container.format.name == "avi"
        corrupt = False
        streams = (stream, *container.streams.audio)
        for packet in read_packets(container, *streams, problems=scan.problems):
            if packet.size == 0:
                continue
            picture = packet.stream.index not in steady
            if picture:
                if decoding_only:
                    packet.pts = None
                scan.add(packet)
                fields.look(packet)
                corrupt = bool(packet.is_corrupt)
            finder.mend(packet)
            scan.end = max(scan.end, _end(packet) or Fraction(0))
            if not picture:
                steady[packet.stream.index].look(packet)
        scan.missing = max(0, scan.missing - len(scan.pts))
        if (corrupt or scan.missing) and len(scan.pts) > 1:
            scan.drop_last()
        scan.frame_a_packet = fields.frame_a_packet
        scan.mend(finder.jumps(stream))
        scan.sound = tuple(
            SoundStream(sound.index, steady[sound.index].so_far, finder.jumps(sound))
            for sound in container.streams.audio
        )
    return scan


def _read_header(container: Any, stream: Any) -> Scan:
    """What is known before the first packet; all frames are still missing."""
    context = stream.codec_context
    return Scan(
        stream.time_base or Fraction(1, 90000),
        stream.average_rate or stream.guessed_rate or None,
        # Older PyAV only says whether there is any.
        delay=int(getattr(context, "reorder_depth", context.has_b_frames)),
        seconds=_promised_seconds(container, stream),
        # Of the containers, only mp4's list of frames, after its edits, can be relied on.
        missing=len(stream.index_entries) if "mp4" in container.format.name else 0,
        num_pictures=len(video_streams(container)),
        picture=f"number {stream.index}, of {context.width}x{context.height} pixels",
    )


class _Steadiness:
    """Whether each packet of a sound stream begins where the one before it ends."""

    def __init__(self) -> None:
        self.so_far = True
        self._end: Fraction | None = None

    def look(self, packet: Any) -> None:
        if packet.pts is None:
            return
        begin = packet.pts * packet.time_base
        if self._end is not None and abs(begin - self._end) > _SOUND_SECONDS:
            self.so_far = False
        self._end = _end(packet) if packet.duration else None


class _FieldWatch:
    """Whether each packet of a stream is one frame."""

    def __init__(self, context: Any) -> None:
        codec = context.codec
        self._trusted = codec.intra_only or codec.canonical_name in _FRAME_A_PACKET
        self._headers: list[bool] = []
        self._in_band = self._trusted and codec.canonical_name == "h264"
        if self._in_band:
            header = bytes(context.extradata or b"")
            self._learn(header)
            self._in_band = not header.startswith(b"\x01")
        else:
            self._headers.append(False)

    @property
    def frame_a_packet(self) -> bool:
        return self._trusted and bool(self._headers) and not any(self._headers)

    def look(self, packet: Any) -> None:
        """See whether a keyframe changes the header."""
        if self._in_band and packet.is_keyframe:
            self._learn(bytes(packet)[:_HEAD_BYTES])

    def _learn(self, header: bytes) -> None:
        fields = may_hold_fields(header)
        if fields is not None:
            self._headers.append(fields)


def _end(packet: Any) -> Fraction | None:
    """When a packet ends, in seconds."""
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else (stamp + (packet.duration or 0)) * packet.time_base


def _promised_seconds(container: Any, stream: Any) -> Fraction | None:
    """When the last frame should end by the header, which not every container tells."""
    kind = container.format.name
    if kind == "avi" and stream.duration:
        return Fraction(stream.duration * stream.time_base)
    match = _CLOCK.match(stream.metadata.get("DURATION", ""))
    if match:
        hours, minutes, seconds = match.groups()
        return 3600 * Fraction(hours) + 60 * Fraction(minutes) + Fraction(seconds)
    if kind in _TELL_LENGTH and container.duration:
        return Fraction(container.duration, av.time_base)
    return None
