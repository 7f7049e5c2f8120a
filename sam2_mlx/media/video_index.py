"""Which frames a video file holds and when they are shown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from sam2_mlx.media.containers import open_video, read_packets
from sam2_mlx.media.errors import MediaError
from sam2_mlx.media.frame_source import SoundStream
from sam2_mlx.media.timeline import Jumps, mended
from sam2_mlx.media.video_scan import Scan, scan_video

# To count frames their pixels are not needed.
_COUNTING = {"skip_loop_filter": "all", "skip_idct": "all"}
_DEFAULT_RATE = Fraction(25)
_FASTEST = 1000
# Times that are equal or turned round are spread, in units this much finer.
_FINER = 1000
_MOST = 0.75
_LATE = 0.05
_GAP = 3.5
# Headers that count the last packet of sound, or round, are off by less.
_SHORT = 0.1


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video in the order they are shown.

    Attributes:
        times: int64 (N,), when each frame is shown, in units of `time_base`, rising.
        time_base: seconds of one unit.
        keyframes: numbers of the frames from which decoding can start, rising; the first is 0.
        frame_rate: frames a second; their mean where the rate varies.
        constant: whether frame i is shown at i / frame_rate, up to the rounding of the file.
        stamp: which time of a packet marks its frame; None where frames can only be counted.
        stamps: that time of each frame.
        jumps: where the clock of the file jumps.
        sound: the sound streams.
        notes: what is wrong with the file.
        damaged: whether some of it could not be decoded when frames were counted.
    """

    times: np.ndarray
    time_base: Fraction
    keyframes: tuple[int, ...]
    frame_rate: Fraction
    constant: bool
    stamp: Literal["pts", "dts"] | None
    stamps: tuple[int, ...]
    jumps: Jumps = ()
    sound: tuple[SoundStream, ...] = ()
    notes: tuple[str, ...] = ()
    damaged: bool = False

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seekable(self) -> bool:
        """Whether decoding can start at any keyframe."""
        return self.stamp is not None and not self.jumps

    def time(self, index: int) -> Fraction:
        """Exact seconds from frame 0 to a frame, or to the end for the number of frames."""
        if self.constant:
            return index / self.frame_rate
        if index == len(self.times):
            # The last frame lasts as long as a typical one.
            steps = np.diff(self.times)
            step = int(np.median(steps)) if len(steps) else 0
            last = step * self.time_base if step else 1 / self.frame_rate
            return self.time(index - 1) + last
        return int(self.times[index] - self.times[0]) * self.time_base

    def keyframe_at(self, index: int) -> int:
        """Number of the last keyframe at or before a frame."""
        return self.keyframes[bisect_right(self.keyframes, index) - 1]

    def number(self, frame: Any) -> int | None:
        """The number of a decoded frame whose packet was `stamped`; None if it is not listed."""
        return self._numbers.get(frame.pts)

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {stamp: number for number, stamp in enumerate(self.stamps)}

    def stamped(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Packets, from the first or from a keyframe on, whose frames `number` knows."""
        for packet in mended(packets, self.jumps):
            if self.stamp == "dts":
                packet.pts = packet.dts
            yield packet

    def from_frame(self, first: int) -> VideoIndex:
        """The index without the frames before one."""
        times = self.times[first:]
        rate, constant = _pace(times, self.time_base, self.frame_rate)
        keys = (0, *(key - first for key in self.keyframes if key > first))
        return replace(
            self,
            times=times,
            keyframes=keys,
            frame_rate=rate,
            constant=constant,
            stamps=self.stamps[first:],
        )


def index_video(path: Path) -> VideoIndex:
    """List the frames of a video that exists; those that an edit list hides are left out.

    Raises:
        MediaError: if it is not a video or holds no frames.
    """
    scan = scan_video(path)
    packets = [number for number in range(len(scan.pts)) if number not in scan.hidden]
    if not packets:
        raise MediaError(f"{path} holds no frames; the file is empty or was cut off")
    order = scan.pts if _unique(scan.pts) or scan.delay else scan.dts
    # Where frames may be turned round, one time for both is that of decoding (MXF).
    one_time = bool(scan.delay) and scan.pts == scan.dts
    if scan.frame_a_packet and not scan.jumps and _unique(order) and not one_time:
        packets.sort(key=lambda number: _number(order[number]))
        keys = [scan.keys[number] for number in packets]
    else:
        packets, keys = _decode(path, scan)
        if one_time and packets != sorted(packets):
            scan = replace(scan, pts=[None] * len(scan.pts), delay=None)
    times, time_base = _times(scan, packets)
    rate, constant = _pace(times, time_base, scan.rate)
    pts, dts = ([column[number] for number in packets] for column in (scan.pts, scan.dts))
    stamp: Literal["pts", "dts"] | None = None
    if _unique(pts) and pts == sorted(pts, key=_number):
        stamp = "pts"
    elif _unique(dts):
        stamp = "dts"
    stamps = tuple(map(_number, {"pts": pts, "dts": dts, None: ()}[stamp]))
    keyframes = tuple(number for number, key in enumerate(keys) if key and number)
    index = VideoIndex(
        times,
        time_base,
        (0, *keyframes),
        rate,
        constant,
        stamp,
        stamps,
        scan.jumps,
        scan.sound,
        damaged=scan.damaged,
    )
    return replace(index, notes=tuple(_notes(path, scan, index)))


def _number(stamp: int | None) -> int:
    """A time that is there."""
    assert stamp is not None
    return stamp


def _unique(stamps: Sequence[int | None]) -> bool:
    return None not in stamps and len(set(stamps)) == len(stamps)


def _decode(path: Path, scan: Scan, one_by_one: bool = False) -> tuple[list[int], list[bool]]:
    """The packet of each frame in the order they are shown, and whether it is a keyframe."""
    container, stream = open_video(path, _COUNTING, one_by_one=one_by_one)
    packets: list[int] = []
    keys: list[bool] = []
    sent = 0
    with container:
        for packet in read_packets(container, stream):
            if packet.size:
                packet.pts = sent
                sent += 1
            elif packet.dts is not None:
                continue  # an empty packet, which would end the decoding
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if not one_by_one:
                    return _decode(path, scan, one_by_one=True)
                scan.damaged = True
                continue
            packets += [sent - 1 if frame.pts is None else frame.pts for frame in frames]
            keys += [bool(frame.key_frame) for frame in frames]
    good = [place for place, number in enumerate(packets) if number < len(scan.pts)]
    if not good:
        raise MediaError(f"{path} holds no frames that can be decoded")
    return [packets[place] for place in good], [keys[place] for place in good]


def _times(scan: Scan, packets: list[int]) -> tuple[np.ndarray, Fraction]:
    """When each frame is shown, and the unit of that."""
    pts = [scan.pts[number] for number in packets]
    dts = [scan.dts[number] for number in packets]
    for stamps in (pts, _delayed(dts, scan.delay), _filled(pts, scan)):
        if None not in stamps:
            times = np.array(stamps, np.int64)
            if bool(np.all(np.diff(times) > 0)):
                return times, scan.time_base
            spread = _spread(times)
            if spread is not None:
                return spread, scan.time_base / _FINER
    rate = scan.rate
    if scan.seconds:
        rate = len(packets) / scan.seconds
    if rate is None or not 0 < rate <= _FASTEST:
        rate = _DEFAULT_RATE
    return np.arange(len(packets), dtype=np.int64), 1 / rate


def _filled(stamps: Sequence[int | None], scan: Scan) -> Sequence[int | None]:
    """Times in which those that are missing lie evenly between, before and after the others."""
    anchors = {place: stamp for place, stamp in enumerate(stamps) if stamp is not None}
    if not anchors:
        return stamps
    (first, begin), (last, end) = min(anchors.items()), max(anchors.items())
    step = float(1 / ((scan.rate or _DEFAULT_RATE) * scan.time_base))
    if last > first:
        step = (end - begin) / (last - first)
    count = len(stamps)
    places = [-1, *anchors, count]
    values = [begin - step * (first + 1), *anchors.values(), end + step * (count - last)]
    times = np.interp(np.arange(count), places, values)
    return [int(time) for time in times.round()]


def _delayed(stamps: Sequence[int | None], delay: int | None) -> Sequence[int | None]:
    """Times of showing for times of decoding, as encoders give them.

    Args:
        stamps: when each frame is decoded, in the order they are shown.
        delay: how many frames are decoded before the first one is shown, or more; None where the
            first one is shown at the first time.
    """
    if None in stamps or len(stamps) < 2:
        return stamps
    times = np.array(stamps, np.int64)
    rising = np.sort(times)
    if delay is None:
        return [int(time) for time in rising]
    # No frame is shown before it is decoded.
    delay = max(delay, int((np.searchsorted(rising, times) - np.arange(len(times))).max()))
    last = rising[-1] + (rising[-1] - rising[-2]) * np.arange(1, delay + 1)
    return [int(time) for time in np.append(rising[delay:], last)]


def _spread(times: np.ndarray) -> np.ndarray | None:
    """Times in finer units that rise: those out of order lie evenly between the others.

    Returns:
        int64 (N,), or None if too many are out of order.
    """
    later = np.minimum.accumulate(times[::-1])[::-1]
    good = np.append(times[:-1] < later[1:], True)
    # Where most lie at one pace, those that do not are wrong, even if they rise.
    pace = np.median(np.diff(times))
    offsets = times - pace * np.arange(len(times))
    even = np.abs(offsets - np.median(offsets)) <= max(1, _LATE * pace)
    if np.count_nonzero(even) >= _MOST * len(times) and even[-1]:
        good &= even
    if np.count_nonzero(good) < _MOST * len(times) or len(times) < 2:
        return None
    places = np.flatnonzero(good)
    anchors = times[good] * _FINER
    step = int(np.median(np.diff(anchors))) if len(anchors) > 1 else _FINER
    # What lies before the first good one comes before it at the usual pace.
    places = np.insert(places, 0, -1)
    anchors = np.insert(anchors, 0, anchors[0] - step * (places[1] + 1))
    return np.interp(np.arange(len(times)), places, anchors).round().astype(np.int64)


def _pace(times: np.ndarray, time_base: Fraction, rate: Fraction | None) -> tuple[Fraction, bool]:
    """Frames a second, and whether that is constant."""
    span = int(times[-1] - times[0]) * time_base
    mean = (len(times) - 1) / span if span else None
    for candidate in (rate, mean and mean.limit_denominator(1001)):
        if candidate and _is_constant(times, time_base, candidate):
            return candidate, True
    return mean or rate or _DEFAULT_RATE, span == 0


def _is_constant(times: np.ndarray, time_base: Fraction, rate: Fraction) -> bool:
    """Whether the times are i / rate, rounded to whole units."""
    units = float(1 / (rate * time_base))
    ideal = np.arange(len(times)) * units
    return bool(np.all(np.abs(times - times[0] - ideal) <= min(1.01, 0.45 * units)))


def _notes(path: Path, scan: Scan, index: VideoIndex) -> Iterator[str]:
    """What the user should know of the file."""
    if scan.num_pictures > 1:
        yield f"{path} has {scan.num_pictures} video streams; {scan.picture}, is the one used"
    end = float(index.times[0] * index.time_base + index.time(len(index)))
    frame = float(1 / index.frame_rate)
    if scan.missing:
        yield (
            f"{path} ends early: it should hold {len(index) + scan.missing} frames, "
            f"{len(index)} are there"
        )
    elif scan.seconds is not None and float(scan.seconds - scan.end) > max(_SHORT, 1.5 * frame):
        yield (
            f"{path} ends early: it should last {float(scan.seconds):.2f} s, its "
            f"{len(index)} frames end at {end:.2f} s"
        )
    elif scan.problems:
        yield (
            f"{path} cannot be read beyond {float(scan.end):.2f} s ({scan.problems[0].strerror}); "
            f"{len(index)} frames are there"
        )
    steps = np.diff(index.times)
    usual = np.median(steps) if len(steps) else 0
    gaps = np.flatnonzero(steps > _GAP * usual)
    if 0 < len(gaps) and np.mean(np.abs(steps - usual) <= max(1, 0.1 * usual)) > 0.9:
        lost = int(np.sum(np.round(steps[gaps] / usual) - 1))
        begin = float(index.time(int(gaps[0]) + 1))
        yield f"{path} has gaps: about {lost} frames are missing, the first before {begin:.2f} s"
