"""The clock of a file that was joined or damaged: where it jumps, and how that is undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Jumps = tuple[tuple[int, Fraction], ...]
"""(number of a stream's packet, seconds to add to its times from there on), rising."""

# As FFmpeg has them: what is less is a packet that came late, or a picture that stood still.
_BACK, _AHEAD = Fraction(1, 10), Fraction(10)
# Streams of one piece begin about together.
_TOGETHER = Fraction(1)
# So many packets whose clock is elsewhere and comes back have damaged times.
_STRAYS = 3
# More than any codec turns round.
_RECENT = 16


@dataclass(frozen=True)
class _Leap:
    """Where a stream's clock went elsewhere: the packet, its time, what was expected, all jumps."""

    packet: int
    raw: Fraction
    end: Fraction
    jumps: Jumps

    def is_over(self, packet: int, raw: Fraction) -> bool:
        """Whether a packet soon after it is back where the stream was."""
        ahead = self.raw + _offset(self.jumps) > self.end
        back = self.raw - raw if ahead else raw - self.raw
        rest = raw + _offset(self.jumps) - self.end
        return packet <= self.packet + _STRAYS and back > _BACK and -_BACK < rest < _TOGETHER


@dataclass
class _StreamClock:
    """What is known of one stream: packets so far, its last one's begin and end, its jumps.

    Begin and end are those of decoding; `recent` has when the last few packets end for people.
    """

    packets: int = 0
    begin: Fraction | None = None
    end: Fraction = Fraction(0)
    recent: deque[Fraction] = field(default_factory=lambda: deque(maxlen=_RECENT))
    jumps: Jumps = ()
    leap: _Leap | None = None

    def gap_before(self, packet: Any) -> Fraction:
        """Seconds by which a piece of its own, that begins with a packet, comes too early."""
        if packet.pts is None or not self.recent:
            return self.end - packet.dts * packet.time_base
        return max(self.recent) - packet.pts * packet.time_base


class JumpFinder:
    """Finds the jumps of a file's clock in its packets, in the order of the file.

    Args:
        ahead: whether the clock may also jump ahead, as in broadcast streams.
    """

    def __init__(self, ahead: bool) -> None:
        self._ahead = ahead
        self._clocks: dict[int, _StreamClock] = {}
        self._offsets: list[Fraction] = []

    def mend(self, packet: Any) -> None:
        """Shift a packet's times so that its stream goes on where it was.

        Only `jumps` tells, when all packets are there, which of them had damaged times.
        """
        clock = self._clocks.setdefault(packet.stream.index, _StreamClock())
        if packet.dts is not None:
            raw, leap = packet.dts * packet.time_base, clock.leap
            begin = raw + _offset(clock.jumps)
            back = clock.begin is not None and begin < clock.begin - _BACK
            ahead = clock.begin is not None and begin > clock.end + _BACK
            if leap is not None and leap.is_over(clock.packets, raw):
                stray = (leap.packet, leap.end - leap.raw)
                clock.jumps = (*leap.jumps, stray, (clock.packets, _offset(leap.jumps)))
                clock.leap = None
            elif back or ahead:
                clock.leap = _Leap(clock.packets, raw, clock.end, clock.jumps)
                if back or (self._ahead and begin > clock.end + _AHEAD):
                    clock.jumps += ((clock.packets, self._new_offset(clock.gap_before(packet))),)
            shift(packet, _offset(clock.jumps))
            clock.begin = packet.dts * packet.time_base
            clock.end = clock.begin + (packet.duration or 0) * packet.time_base
            if packet.pts is not None:
                clock.recent.append((packet.pts + (packet.duration or 0)) * packet.time_base)
        clock.packets += 1

    def jumps(self, stream: Any) -> Jumps:
        """Where the clock of a stream jumps."""
        clock = self._clocks.get(stream.index)
        return clock.jumps if clock is not None else ()

    def _new_offset(self, offset: Fraction) -> Fraction:
        """An offset by which another stream went on already, or else this one."""
        for other in self._offsets:
            if abs(other - offset) < _TOGETHER:
                return other
        self._offsets.append(offset)
        return offset


def mended(packets: Iterator[Any], jumps: Jumps) -> Iterator[Any]:
    """The packets of one stream, from its first on, on a clock that does not jump.

    Args:
        packets: of one stream; their times are changed.
        jumps: where its clock jumps.
    """
    waiting, offset = list(jumps), Fraction(0)
    for number, packet in enumerate(packets):
        while waiting and waiting[0][0] <= number:
            offset = waiting.pop(0)[1]
        shift(packet, offset)
        yield packet


def shift(packet: Any, offset: Fraction) -> None:
    """Add seconds to the times of a packet."""
    if offset:
        ticks = round(offset / packet.time_base)
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks


def _offset(jumps: Sequence[tuple[int, Fraction]]) -> Fraction:
    return jumps[-1][1] if jumps else Fraction(0)
