"""Which memories a frame looks at: a pure function of frame numbers, without arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MemorySchedule:
    """The rules.

    Attributes:
        memories: spatial memories a frame looks at beside further prompted frames.
        max_pointers: frames whose object pointers are looked at.
        stride: distance between the recent memories (the last frame is always one of them).
        max_prompted: prompted frames a frame looks at; -1 is all of them, else at least 2.
        clip_length: frames of the clip where known; None for a stream.
    """

    memories: int = 7
    max_pointers: int = 16
    stride: int = 1
    max_prompted: int = -1
    clip_length: int | None = None

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"the memory stride is at least 1; got {self.stride}")
        if self.max_prompted != -1 and self.max_prompted < 2:
            raise ValueError(
                "the number of prompted frames to attend to is -1 (all) or at least 2; "
                f"got {self.max_prompted}"
            )

    @property
    def pointers(self) -> int:
        """Frames whose pointers count; a short clip has fewer."""
        if self.clip_length is None:
            return self.max_pointers
        return min(self.clip_length, self.max_pointers)

    @property
    def pointer_span(self) -> int:
        """Distance that the pointers' time encoding is divided by.

        A clip of one frame has no distances; the reference divides by zero there.
        """
        return max(self.pointers - 1, 1)


@dataclass(frozen=True)
class MemoryPlan:
    """What one frame looks at.

    Attributes:
        spatial: (frame, time slot) of each spatial memory, prompted frames first.
        pointers: (frame, signed distance) of each object pointer, prompted frames first.
        pointer_span: distance that counts as one.
    """

    spatial: tuple[tuple[int, int], ...]
    pointers: tuple[tuple[int, int], ...]
    pointer_span: int

    @property
    def shape(self) -> tuple[tuple[int, ...], int]:
        """Time slots and number of pointers; plans of one shape can share a batch."""
        return tuple(slot for _, slot in self.spatial), len(self.pointers)


def closest_prompted(frame: int, prompted: Sequence[int], limit: int) -> list[int]:
    """Choose the prompted frames to look at: the nearest before and after, then the nearest.

    Args:
        frame: the current frame.
        prompted: prompted frames.
        limit: how many at most; -1 is all.

    Source: sam2/modeling/sam2_utils.py, select_closest_cond_frames.
    """
    if limit == -1 or len(prompted) <= limit:
        return list(prompted)
    before = max((t for t in prompted if t < frame), default=None)
    after = min((t for t in prompted if t >= frame), default=None)
    chosen = [t for t in (before, after) if t is not None]
    others = sorted((t for t in prompted if t not in chosen), key=lambda t: abs(t - frame))
    return chosen + others[: limit - len(chosen)]


def recent_frames(frame: int, schedule: MemorySchedule, reverse: bool) -> list[tuple[int, int]]:
    """Frames whose memories count as recent, with their time slots, farthest first.

    The last frame has slot 0 and ignores the stride; the others are multiples of the stride.
    """
    step = schedule.stride
    frames = []
    for distance in range(schedule.memories - 1, 0, -1):
        if distance == 1:
            t = frame + 1 if reverse else frame - 1
        elif reverse:
            t = -(-(frame + 2) // step) * step + (distance - 2) * step
        else:
            t = (frame - 2) // step * step - (distance - 2) * step
        frames.append((t, distance - 1))
    return frames


def plan_memory(
    frame: int,
    prompted: Sequence[int],
    recent: Collection[int],
    schedule: MemorySchedule,
    reverse: bool = False,
) -> MemoryPlan:
    """Decide what a frame looks at.

    Args:
        frame: the current frame.
        prompted: frames with a prompt, oldest prompt first.
        recent: tracked frames whose memory exists.
        schedule: the rules.
        reverse: whether the video is followed backwards.

    Returns:
        Only frames that exist. An unchosen prompted frame counts as a recent one.

    Source: SAM2Base._prepare_memory_conditioned_features.
    """
    chosen = closest_prompted(frame, prompted, schedule.max_prompted)
    available = set(recent) | (set(prompted) - set(chosen))
    spatial = [(t, schedule.memories - 1) for t in chosen]
    spatial += [pair for pair in recent_frames(frame, schedule, reverse) if pair[0] in available]
    sign = -1 if reverse else 1
    pointers = [(t, sign * (frame - t)) for t in chosen if sign * (frame - t) >= 0]
    for distance in range(1, schedule.pointers):
        t = frame - sign * distance
        if t < 0 or (schedule.clip_length is not None and t >= schedule.clip_length):
            break
        if t in available:
            pointers.append((t, distance))
    return MemoryPlan(tuple(spatial), tuple(pointers), schedule.pointer_span)


def spatial_lookback(schedule: MemorySchedule) -> int:
    """How many frames back a spatial memory can still be asked for."""
    return 1 + max(schedule.memories - 2, 0) * schedule.stride


def pointer_lookback(schedule: MemorySchedule) -> int:
    """How many frames back an object pointer can still be asked for."""
    return schedule.pointers - 1


def tokens_needed(t: int, frame: int, schedule: MemorySchedule) -> bool:
    """Whether a tracked frame's spatial memory can still be asked for.

    Args:
        t: the tracked frame.
        frame: the frame just tracked. It may still be corrected, and then looks back as far as
            it just did.
        schedule: the rules.
    """
    distance = abs(frame - t)
    # Beside the last frame only multiples of the stride are ever recent.
    on_stride = distance <= 1 or t % schedule.stride == 0
    return on_stride and distance <= spatial_lookback(schedule)


def pointer_needed(t: int, frame: int, schedule: MemorySchedule) -> bool:
    """Whether a tracked frame's pointer can still be asked for; arguments as `tokens_needed`."""
    return abs(frame - t) <= pointer_lookback(schedule)


def spent_prompts(
    frame: int, prompted: Sequence[int], schedule: MemorySchedule, reverse: bool
) -> list[int]:
    """Prompted frames that no later frame in this direction will choose, after one just tracked.

    Returns:
        Frames that have become like any other tracked one. One frame more than the limit stays:
        whether there are more prompted frames than are chosen decides the order of the chosen.
    """
    if schedule.max_prompted == -1:
        return []
    passed = [t for t in prompted if (t >= frame if reverse else t <= frame)]
    passed.sort(key=lambda t: abs(t - frame))
    return passed[schedule.max_prompted + 1 :]
