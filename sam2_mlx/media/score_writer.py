"""Save what is known of each object on each frame as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from sam2_mlx.files import StagedFile
from sam2_mlx.media.mask_writer import MaskRecord, MaskWriter, probability
from sam2_mlx.ops.masks import mask_box


class ScoreLines(MaskWriter):
    """One JSON object a frame: its number, and of each object id, scores, area and box.

    `iou` is the predicted IoU in [0, 1], `presence` the probability that the object is in the
    picture, `area` in pixels, `box` (x0, y0, x1, y1) in pixels or null where the mask is empty::

        {"frame": 12, "objects": [{"id": 1, "iou": 0.91, "presence": 0.99, "area": 5210,
         "box": [88, 40, 190, 121]}]}
    """

    def __init__(self, target: Path) -> None:
        super().__init__(StagedFile(target))

    def _open(self, path: Path) -> IO[str]:
        return path.open("w", encoding="utf-8")

    def _add(self, record: MaskRecord) -> None:
        objects = [
            {
                "id": object_id,
                "iou": round(float(iou), 4),
                "presence": round(probability(presence), 4),
                "area": int(mask.sum()),
                "box": mask_box(mask),
            }
            for object_id, mask, iou, presence in zip(
                self.object_ids, record.masks, record.iou, record.presence, strict=True
            )
        ]
        line: dict[str, Any] = {"frame": record.frame, "objects": objects}
        self._file.write(json.dumps(line) + "\n")
