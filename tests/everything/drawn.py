"""A picture of plain shapes, the same on every machine: whole numbers only."""

from __future__ import annotations

import numpy as np

SETTINGS = {
    "plain": {"points_per_side": 8, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.4},
    "crops": {
        "points_per_side": 4,
        "points_per_batch": 5,
        "pred_iou_thresh": 0.3,
        "stability_score_thresh": 0.4,
        "crop_n_layers": 1,
        "crop_n_points_downscale_factor": 2,
        "crop_nms_thresh": 0.5,
    },
    "refined": {
        "points_per_side": 4,
        "pred_iou_thresh": 0.3,
        "stability_score_thresh": 0.4,
        "use_m2m": True,
    },
    "single": {
        "points_per_side": 5,
        "pred_iou_thresh": 0.2,
        "stability_score_thresh": 0.4,
        "stability_score_offset": 0.5,
        "mask_threshold": 0.5,
        "multimask_output": False,
    },
    "unfiltered": {
        "points_per_side": 3,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.0,
        "box_nms_thresh": 0.95,
    },
}


def draw_shapes() -> np.ndarray:
    """uint8 (120, 168, 3): discs and boxes on a ground that changes slowly."""
    y, x = np.mgrid[0:120, 0:168]
    picture = np.stack([60 + x // 4, 90 + y // 3, 120 - x // 8], axis=-1)
    for left, top, right, bottom, color in (
        (12, 14, 58, 60, (220, 60, 50)),
        (96, 62, 160, 110, (40, 180, 220)),
        (104, 0, 150, 30, (240, 220, 70)),
    ):
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        picture[inside] = color
    for cx, cy, radius, color in ((50, 88, 22, (90, 200, 90)), (126, 84, 12, (250, 250, 250))):
        picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = color
    return picture.astype(np.uint8)
