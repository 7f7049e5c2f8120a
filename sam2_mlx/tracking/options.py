"""Options of tracking, named by what they do."""

from __future__ import annotations

from dataclasses import dataclass

from sam2_mlx.config import MemoryConfig
from sam2_mlx.tracking.memory_schedule import MemorySchedule

STREAM_PROMPTED_FRAMES = 8
"""Prompted frames that are looked at where the end of the video is not known."""


@dataclass(frozen=True)
class TrackingOptions:
    """How a video is followed.

    Attributes:
        fill_hole_area: background regions of at most this many low-resolution pixels are
            filled in the masks shown; 0 leaves them.
        non_overlap_masks: each pixel is given to one object only.
        clear_memory_around_prompts: a prompt makes the object forget the tracked frames around.
        corrections_become_prompts: a corrected frame counts as a prompted one from then on.
        max_prompted_frames: prompted frames that a frame looks at; -1 is all, else at least 2.
            None is all for a clip and 8 for a stream, whose memory could grow without end.
        memory_stride: distance in frames between the recent memories.
        binarise_prompted_masks: prompted frames are remembered as the mask the user saw.
        read_ahead: frames of a source that a worker thread decodes and resizes in advance. The
            source is then read by that thread, and by nobody else while `propagate` runs.
    """

    fill_hole_area: float = 8
    non_overlap_masks: bool = False
    clear_memory_around_prompts: bool = False
    corrections_become_prompts: bool = False
    max_prompted_frames: int | None = None
    memory_stride: int = 1
    binarise_prompted_masks: bool = True
    read_ahead: int = 0

    def schedule(self, config: MemoryConfig, num_frames: int | None) -> MemorySchedule:
        """The memory schedule of a model under these options; a clip's length is told where known.

        Raises:
            ValueError: if an option is out of range.
        """
        limit = self.max_prompted_frames
        if limit is None:
            limit = STREAM_PROMPTED_FRAMES if num_frames is None else -1
        return MemorySchedule(
            memories=config.num_frames,
            max_pointers=config.max_pointers,
            stride=self.memory_stride,
            max_prompted=limit,
            clip_length=num_frames,
        )
