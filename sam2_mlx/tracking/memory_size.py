"""How many bytes an object's memory takes, from the model's dimensions alone."""

from __future__ import annotations

from dataclasses import dataclass

from sam2_mlx.config import ModelConfig
from sam2_mlx.tracking.memory_schedule import MemorySchedule, pointer_lookback, spatial_lookback

_STORED_BYTES = 2  # memory tokens are bfloat16, or float16 in a float16 model
_LOGIT_BYTES = 4  # the mask shown last is float32


@dataclass(frozen=True)
class MemorySize:
    """Bytes of one object.

    Attributes:
        tokens: the spatial memory of one frame.
        pointer: the pointer of one frame.
        mask: the mask of the frame shown last, with its scores.
        rolling: everything, once a stream has run for a while, with one prompted frame.
        per_prompted: each further prompted frame.
    """

    tokens: int
    pointer: int
    mask: int
    rolling: int
    per_prompted: int

    @property
    def per_frame(self) -> int:
        """What a memory that keeps every frame grows by with each, masks included."""
        return self.tokens + self.pointer + self.mask


def memory_size(config: ModelConfig, schedule: MemorySchedule, itemsize: int) -> MemorySize:
    """Compute the bytes of one object.

    Args:
        config: the model; it must have a memory.
        schedule: which frames are remembered; its stride must be 1.
        itemsize: bytes of a number in the model's dtype.
    """
    assert config.memory is not None and schedule.stride == 1
    tokens = config.memory_tokens * config.memory.dim * _STORED_BYTES
    pointer = config.hidden_dim * itemsize
    mask = config.mask_size**2 * _LOGIT_BYTES + 2 * itemsize
    # The frame shown last is one more than the next frame looks at: it may be corrected.
    recent = (spatial_lookback(schedule) + 1) * tokens + (pointer_lookback(schedule) + 1) * pointer
    prompted = tokens + pointer
    return MemorySize(tokens, pointer, mask, prompted + recent + mask, prompted)
