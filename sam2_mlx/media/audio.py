"""The sound of the source, cut and shifted to the written frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sam2_mlx.media.containers import open_container
from sam2_mlx.media.frame_source import SoundStream
from sam2_mlx.media.timeline import mended

# What QuickTime and browsers play from each container; anything else becomes AAC, in WebM Opus.
_COPIED = {
    ".mp4": frozenset({"aac", "mp3", "mp3float", "alac", "ac3"}),
    ".mov": frozenset({"aac", "mp3", "mp3float", "alac", "ac3", "pcm_s16le", "pcm_s24le"}),
    ".mkv": frozenset({"aac", "mp3", "mp3float", "alac", "ac3", "opus", "vorbis", "flac"}),
    ".webm": frozenset({"opus", "vorbis"}),
}
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# What an encoder takes and every player plays.
_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "libopus": (8000, 12000, 16000, 24000, 48000),
}
# Times are rounded, to a millisecond or more; what is off by less is not heard.
_TOLERANCE = Fraction(1, 50)
_MAX_TRACKS = 16
# What an encoder or a decoder of sound, and PyAV's wrapping of them, raise.
_TROUBLE = (av.FFmpegError, OSError, ValueError)


class Soundtrack:
    """Carries the sound of a file into a video that is being written.

    Each track is copied where that can be, else encoded; one that cannot be kept is left out.
    Nothing that is wrong with the sound is raised: the picture does without it.

    Args:
        source: the file with the sound.
        streams: its sound streams.
        start: seconds on the source's clock that become second 0 of the written video.
        suffix: the container that is written: `.mp4`, `.mov`, `.mkv` or `.webm`.

    Attributes:
        start: as given; it may be changed until `attach`.
    """

    def __init__(
        self, source: Path, streams: Sequence[SoundStream], start: Fraction, suffix: str
    ) -> None:
        self.start = start
        self._more = len(streams) - _MAX_TRACKS
        self._tracks = [_Track(source, stream, suffix) for stream in streams[:_MAX_TRACKS]]

    @property
    def problem(self) -> str | None:
        """Why some of it ends early or is left out; None while all is well."""
        alone = len(self._tracks) == 1
        problems = [
            track.problem if alone else f"track {number}: {track.problem}"
            for number, track in enumerate(self._tracks, 1)
            if track.problem is not None
        ]
        if self._more > 0:
            problems.append(f"of its tracks only the first {_MAX_TRACKS} are kept")
        return "; ".join(problems) or None

    def attach(self, container: Any) -> None:
        """Add the tracks to PyAV's output container, which is not yet written to."""
        for track in self._tracks:
            track.attach(container, self.start)

    def write_until(self, container: Any, time: Fraction) -> None:
        """Write the sound up to a second of the written video."""
        for track in self._tracks:
            track.write_until(container, time)

    def close(self) -> None:
        """Close the source."""
        for track in self._tracks:
            track.close()


class _Track:
    """One track; each reads the file by itself, as they may lie far apart in it."""

    def __init__(self, source: Path, sound: SoundStream, suffix: str) -> None:
        self.problem: str | None = None
        self._source = source
        self._sound = sound
        self._suffix = suffix
        self._start = Fraction(0)
        self._input: Any = None
        self._stream: Any = None
        self._target: Any = None
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None

    def attach(self, container: Any, start: Fraction) -> None:
        self._start = start
        try:
            self._input = open_container(self._source)
            self._stream = self._input.streams[self._sound.index]
            context = self._stream.codec_context
            if context is None or not context.sample_rate:
                self.problem = "its codec is unknown"
                return
            if start > 1 and not self._sound.jumps:
                # Some containers cannot seek; then it is read from its start.
                with suppress(av.FFmpegError):
                    self._input.seek(int((start - 1) * av.time_base), backward=True)
            if self._may_copy():
                self._target = container.add_stream_from_template(self._stream)
                self._packets = self._copied()
            else:
                self._target = self._add_encoder(container)
                self._packets = self._encoded()
            self._target.metadata.update(
                {k: v for k, v in self._stream.metadata.items() if k in ("language", "title")}
            )
            self._target.disposition = self._stream.disposition
        except _TROUBLE as problem:
            self.problem = f"it cannot be read ({problem})"

    def write_until(self, container: Any, time: Fraction) -> None:
        while self._target is not None:
            packet, self._waiting = self._waiting or self._next(), None
            if packet is None:
                return
            if packet.pts * packet.time_base >= time:
                self._waiting = packet
                return
            packet.stream = self._target
            try:
                container.mux(packet)
            except av.error.ArgumentError as problem:
                # Its times are impossible; a target that fails raises something else.
                self._packets = iter(())
                self.problem = f"a part of it cannot be written ({problem})"

    def close(self) -> None:
        self._packets = iter(())
        if self._input is not None:
            self._input.close()

    def _may_copy(self) -> bool:
        """Whether packets can be taken as they are: a trial header tells what the codec cannot."""
        context = self._stream.codec_context
        # Without a header of its own, AAC comes from a broadcast stream and cannot be copied.
        bare = context.name == "aac" and not context.extradata
        if bare or not self._sound.steady or context.name not in _COPIED[self._suffix]:
            return False
        try:
            with av.open(io.BytesIO(), "w", format=_FORMATS[self._suffix]) as trial:
                trial.add_stream_from_template(self._stream)
                trial.start_encoding()
        except _TROUBLE:
            return False
        return True

    def _add_encoder(self, container: Any) -> Any:
        context = self._stream.codec_context
        codec = "libopus" if self._suffix == ".webm" else "aac"
        rates = _RATES[codec]
        rate = next((rate for rate in rates if rate >= context.sample_rate), rates[-1])
        channels = 1 if context.layout.nb_channels == 1 else 2
        target = container.add_stream(codec, rate=rate)
        target.codec_context.layout = "mono" if channels == 1 else "stereo"
        target.codec_context.bit_rate = 96000 * channels
        return target

    def _next(self) -> Any:
        """The next packet for the written video; None at the end."""
        try:
            return next(self._packets, None)
        except _TROUBLE as problem:
            self._packets = iter(())
            self.problem = f"it is damaged ({problem})"
            return None

    def _demux(self) -> Iterator[Any]:
        return mended(self._input.demux(self._stream), self._sound.jumps)

    def _copied(self) -> Iterator[Any]:
        """Packets as they are, on the written video's clock."""
        last: int | None = None
        for packet in self._demux():
            if packet.size == 0 or packet.pts is None:
                continue
            shift = int(round(self._start / packet.time_base))
            length = packet.duration or 0
            # One packet before the start stays: decoders need it to swing in. The container's
            # edit list keeps it from being heard.
            if packet.pts + length <= shift - length:
                continue
            try:
                packet.decode()
            except av.FFmpegError as problem:
                # The muxer would refuse it too, perhaps not before the next picture comes.
                self.problem = f"a part of it is damaged ({problem})"
                continue
            packet.pts -= shift
            packet.dts = packet.pts
            if last is None or packet.pts > last:
                last = packet.pts
                yield packet

    def _encoded(self) -> Iterator[Any]:
        """The sound as packets of the encoder on the written video's clock."""
        context = self._target.codec_context
        rate, layout = int(context.sample_rate), context.layout.name
        place: int | None = None
        for begin, samples in self._decoded(rate, layout):
            if place is None:
                place = max(0, begin)
            elif abs(begin - place) <= rate * _TOLERANCE:
                begin = place
            # Silence where nothing is, one frame at a time: a stamp may be hours away.
            while place < begin:
                size = min(begin - place, 1024)
                silence = np.zeros((len(samples), size), np.float32)
                yield from self._target.encode(_audio_frame(silence, layout, rate, place))
                place += size
            samples = samples[:, place - begin :]
            if samples.size:
                yield from self._target.encode(_audio_frame(samples, layout, rate, place))
                place += samples.shape[1]
        yield from self._target.encode(None)

    def _decoded(self, rate: int, layout: str) -> Iterator[tuple[int, np.ndarray]]:
        """Pieces of the sound: the number of their first sample, and float32 (channels, N)."""
        kind: Any = None
        convert: Callable[[Any], list[Any]] = lambda frame: []  # noqa: E731
        begin = 0
        for packet in self._demux():
            try:
                frames = packet.decode()
            except av.FFmpegError as problem:
                self.problem = f"a part of it is damaged ({problem})"
                continue
            for frame in frames:
                if frame.pts is None or not frame.sample_rate:
                    continue
                if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
                    kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                    convert = av.AudioResampler("fltp", layout, rate).resample
                begin = round((frame.pts * frame.time_base - self._start) * rate)
                if begin + frame.samples * rate // frame.sample_rate <= 0:
                    continue
                for part in convert(frame):
                    samples = part.to_ndarray()
                    yield begin, samples
                    begin += samples.shape[1]


def _audio_frame(samples: np.ndarray, layout: str, rate: int, place: int) -> Any:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, place, Fraction(1, rate)
    return frame
