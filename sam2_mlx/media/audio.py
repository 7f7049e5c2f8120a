"""The sound of the source, cut and shifted to the written frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from sam2_mlx.media.video_index import OPEN_OPTIONS

# What QuickTime and browsers play from each container; anything else becomes AAC.
_COPIED = {
    ".mp4": frozenset({"aac", "mp3", "mp3float", "alac", "ac3"}),
    ".mov": frozenset({"aac", "mp3", "mp3float", "alac", "ac3", "pcm_s16le", "pcm_s24le"}),
    ".mkv": frozenset({"aac", "mp3", "mp3float", "alac", "ac3", "opus", "vorbis", "flac"}),
}


class AudioTrack:
    """Carries the first sound track of a file into a video that is being written.

    Args:
        source: the file with the sound.
        start: seconds on the source's clock that become second 0 of the written video.
        suffix: the container that is written: `.mp4`, `.mov` or `.mkv`.

    Attributes:
        start: as given; it may be changed until `attach`.
        problem: why the sound ends early or is left out; None while all is well.
    """

    def __init__(self, source: Path, start: Fraction, suffix: str) -> None:
        self.problem: str | None = None
        self.start = start
        self._input = av.open(f"file:{source}", mode="r", options=dict(OPEN_OPTIONS))
        self._stream: Any = self._input.streams.audio[0]
        context = self._stream.codec_context
        codec = context.name if context is not None else "unknown"
        # Without a header of its own, AAC comes from a broadcast stream and cannot be copied.
        bare = codec == "aac" and not context.extradata
        self._copy = codec in _COPIED[suffix] and not bare
        self._target: Any = None
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None

    def attach(self, container: Any) -> None:
        """Add the track to a container that is not yet written to.

        Args:
            container: PyAV's output container.
        """
        context = self._stream.codec_context
        if self._copy:
            self._target = container.add_stream_from_template(self._stream)
        elif context is None or not context.sample_rate:
            self.problem = "its codec is unknown"
            return
        else:
            # 48 kHz is the highest rate that every AAC player takes.
            rate = min(context.sample_rate, 48000)
            layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._target = container.add_stream("aac", rate=rate)
            self._target.codec_context.layout = layout
            self._target.codec_context.bit_rate = 96000 * (1 if layout == "mono" else 2)
        if self.start > 0:
            self._input.seek(int((self.start - 1) * 1_000_000), backward=True)
        self._packets = self._copied() if self._copy else self._encoded()

    def write_until(self, container: Any, time: Fraction) -> None:
        """Write the sound up to a time of the written video.

        Args:
            container: the container given to `attach`.
            time: seconds of the written video.
        """
        while self._target is not None:
            packet = self._waiting
            self._waiting = None
            if packet is None:
                packet = next(self._packets, None)
            if packet is None:
                return
            if packet.pts * packet.time_base >= time:
                self._waiting = packet
                return
            packet.stream = self._target
            container.mux(packet)

    def close(self) -> None:
        """Close the source."""
        self._packets = iter(())
        self._input.close()

    def _demux(self) -> Iterator[Any]:
        packets = self._input.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError as problem:
                self.problem = f"it is damaged ({problem})"
                return
            yield packet

    def _copied(self) -> Iterator[Any]:
        """Packets as they are, on the written video's clock."""
        for packet in self._demux():
            if packet.size == 0 or packet.pts is None:
                continue
            shift = int(round(self.start / packet.time_base))
            length = packet.duration or 0
            # One packet before the start stays: decoders need it to swing in. The container's
            # edit list keeps it from being heard.
            if packet.pts + length <= shift - length:
                continue
            packet.pts -= shift
            packet.dts = packet.pts
            yield packet

    def _encoded(self) -> Iterator[Any]:
        """The sound as AAC packets on the written video's clock."""
        encoder = self._target.codec_context
        rate = int(encoder.sample_rate)
        resampler = av.AudioResampler(format="fltp", layout=encoder.layout, rate=rate)
        first: int | None = None
        for packet in self._demux():
            try:
                frames = packet.decode()
            except av.FFmpegError as problem:
                self.problem = f"a part of it is damaged ({problem})"
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                begin = frame.pts * frame.time_base - self.start
                if begin + Fraction(frame.samples, frame.sample_rate) <= 0:
                    continue
                if first is None:
                    first = round(begin * rate)
                for part in resampler.resample(frame):
                    part.pts, part.time_base = first, Fraction(1, rate)
                    first += part.samples
                    yield from self._target.encode(part)
        yield from self._target.encode(None)
