"""Region similarity J and boundary similarity F of masks, and their statistics over a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sam2_mlx.ops.masks import mask_box

BOUNDARY_TOLERANCE = 0.008
"""Distance at which two boundaries still match, as a fraction of the picture's diagonal."""

_RECALL_ABOVE = 0.5
_DECAY_PARTS = 4


def region_similarity(truth: np.ndarray, mask: np.ndarray) -> float:
    """J, intersection over union of two masks, bool (H, W), in [0, 1]; 1 where both are empty.

    Source: davis2017-evaluation, davis2017/metrics.py, db_eval_iou.
    """
    union = np.count_nonzero(truth | mask)
    return 1.0 if union == 0 else float(np.count_nonzero(truth & mask) / union)


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their neighbour to the right, below, or below to the right.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W).

    Source: davis2017-evaluation, davis2017/metrics.py, _seg2bmap.
    """
    # Repeating the last row and column makes the picture's edge no boundary.
    wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = wide[:-1, :-1]
    return (here != wide[:-1, 1:]) | (here != wide[1:, :-1]) | (here != wide[1:, 1:])


def boundary_similarity(
    truth: np.ndarray, mask: np.ndarray, tolerance: float = BOUNDARY_TOLERANCE
) -> float:
    """Harmonic mean of the matched shares of two boundaries.

    A boundary pixel is matched if the other mask has one within the tolerance.

    Args:
        truth: bool (H, W).
        mask: bool (H, W).
        tolerance: fraction of the diagonal; rounded up to whole pixels.

    Returns:
        F in [0, 1]; 1 where both masks have no boundary.

    Source: davis2017-evaluation, davis2017/metrics.py, f_measure.
    """
    radius = int(np.ceil(tolerance * np.linalg.norm(truth.shape)))
    wanted, outline = boundary(truth), boundary(mask)
    num_wanted, num_found = np.count_nonzero(wanted), np.count_nonzero(outline)
    if num_wanted == 0 or num_found == 0:
        return 1.0 if num_wanted == num_found else 0.0
    x0, y0, x1, y1 = mask_box(wanted | outline) or (0, 0, 0, 0)
    wanted, outline = wanted[y0:y1, x0:x1], outline[y0:y1, x0:x1]
    precision = np.count_nonzero(outline & _grown(wanted, radius)) / num_found
    recall = np.count_nonzero(wanted & _grown(outline, radius)) / num_wanted
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


@dataclass(frozen=True)
class Statistics:
    """A measure over the frames of one object.

    Attributes:
        mean: over the frames.
        recall: share of the frames above one half.
        decay: mean of the first quarter of the frames minus that of the last.
    """

    mean: float
    recall: float
    decay: float


def statistics(values: Sequence[float]) -> Statistics:
    """Summarise a measure over frames, one value or more; neighbouring quarters share a frame.

    Source: davis2017-evaluation, davis2017/utils.py, db_statistics; frame numbers do not wrap
    round at 256 here.
    """
    series = np.asarray(values, np.float64)
    # The small number rounds halves up.
    marks = np.round(np.linspace(1, len(series), _DECAY_PARTS + 1) + 1e-10).astype(int) - 1
    first = series[marks[0] : marks[1] + 1]
    last = series[marks[-2] : marks[-1] + 1]
    return Statistics(
        mean=float(series.mean()),
        recall=float((series > _RECALL_ABOVE).mean()),
        decay=float(first.mean() - last.mean()),
    )


def _grown(marked: np.ndarray, radius: int) -> np.ndarray:
    import cv2

    return cv2.dilate(marked.astype(np.uint8), _disk(radius)).astype(bool)


@lru_cache(maxsize=8)
def _disk(radius: int) -> np.ndarray:
    """uint8 (2r + 1, 2r + 1): 1 within the radius of the centre."""
    steps = np.arange(-radius, radius + 1)
    return (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)
