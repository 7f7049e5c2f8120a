"""The masks found so far, as run lengths, with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam2_mlx.ops.rle import counts_to_mask, counts_to_string

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")
_ARRAYS = ("boxes", "iou", "stability", "points", "crops")


@dataclass(frozen=True)
class FoundMasks:
    """Masks of one picture and their scores; every field has one entry a mask.

    Attributes:
        counts: run lengths down the columns of the whole picture, zeros first.
        boxes: float32 (N, 4) as (x0, y0, x1, y1), the last row and column included.
        iou: float32 (N,), predicted IoU.
        stability: float32 (N,), stability score.
        points: float32 (N, 2), the point that the mask answers, in pixels of the picture.
        crops: float32 (N, 4), the crop that it was found in.
    """

    counts: list[np.ndarray]
    boxes: np.ndarray
    iou: np.ndarray
    stability: np.ndarray
    points: np.ndarray
    crops: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, index: np.ndarray) -> FoundMasks:
        """Some of the masks, in the order of `index` (K,)."""
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return FoundMasks([self.counts[i] for i in index], **arrays)

    @classmethod
    def join(cls, parts: Sequence[FoundMasks]) -> FoundMasks:
        """The masks of several parts, one after the other."""
        if not parts:
            none = np.zeros((0,), np.float32)
            return cls([], none.reshape(0, 4), none, none, none.reshape(0, 2), none.reshape(0, 4))
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return cls([counts for part in parts for counts in part.counts], **joined)

    def record(self, index: int, size: tuple[int, int], output_mode: str) -> dict[str, Any]:
        """One mask as `SAM2AutomaticMaskGenerator.generate` gives it; `size` is the picture's."""
        counts = self.counts[index]
        return {
            "segmentation": segmentation(counts, size, output_mode),
            "area": int(counts[1::2].sum()),
            "bbox": to_xywh(self.boxes[index]),
            "predicted_iou": float(self.iou[index]),
            "point_coords": [self.points[index].tolist()],
            "stability_score": float(self.stability[index]),
            "crop_box": to_xywh(self.crops[index]),
        }


def segmentation(counts: np.ndarray, size: tuple[int, int], output_mode: str) -> Any:
    """A mask in the form that was asked for: an array, or a record of run lengths."""
    if output_mode == "binary_mask":
        return counts_to_mask(counts, size)
    packed = counts_to_string(counts) if output_mode == "coco_rle" else counts.tolist()
    return {"size": [int(side) for side in size], "counts": packed}


def to_xywh(box: np.ndarray) -> list[float]:
    """(x0, y0, x1, y1) to [x, y, width, height] with width x1 - x0, as the reference has it."""
    x0, y0, x1, y1 = (float(value) for value in box)
    return [x0, y0, x1 - x0, y1 - y0]
