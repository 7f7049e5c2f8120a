"""How much two masks overlap."""

from __future__ import annotations

import numpy as np


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks, bool and of one shape; two empty masks agree."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0
