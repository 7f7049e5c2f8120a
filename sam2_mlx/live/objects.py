"""What the viewer sees of each object: its name, score, and whether it is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sam2_mlx.tracking.results import FrameMasks


@dataclass
class ObjectView:
    """One object on the frame shown.

    Attributes:
        object_id: its id, from 1.
        mask: bool (H, W).
        score: predicted IoU in [0, 1].
        lost: whether it is not in the picture.
        just_found: frames for which its return is still shown.
    """

    object_id: int
    mask: np.ndarray
    score: float = 0.0
    lost: bool = False
    just_found: int = 0

    @property
    def caption(self) -> str:
        """A few words for the list of objects."""
        if self.lost:
            return f"{self.object_id}  lost"
        again = "  found again" if self.just_found else ""
        return f"{self.object_id}  {self.score:.2f}{again}"


@dataclass
class ObjectViews:
    """All objects, from frame to frame.

    Attributes:
        shown_found: for how many frames the return of an object is shown.
    """

    shown_found: int = 20
    _views: dict[int, ObjectView] = field(default_factory=dict)

    def update(self, masks: FrameMasks, tracked: bool) -> list[ObjectView]:
        """Take over the masks of a frame; returns the objects in the order they were added.

        Args:
            masks: masks of all objects; whoever is missing is forgotten.
            tracked: a new frame, not an answer to a prompt on the last one.
        """
        if not masks.object_ids:
            self._views = {}
            return []
        pixels = masks.masks
        scores, presence = np.array(masks.iou), np.array(masks.presence)
        views = {}
        for row, object_id in enumerate(masks.object_ids):
            view = self._views.get(object_id) or ObjectView(object_id, pixels[row])
            lost = bool(presence[row] <= 0 or not pixels[row].any())
            if view.lost and not lost:
                view.just_found = self.shown_found
            elif tracked and view.just_found:
                view.just_found -= 1
            view.mask, view.score, view.lost = pixels[row], float(scores[row]), lost
            views[object_id] = view
        self._views = views
        return list(views.values())
