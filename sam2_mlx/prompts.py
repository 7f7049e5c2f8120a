"""Prompts: what a caller points at, validated once and turned into model coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

_BOX_LABELS = (2, 3)


def as_points(points: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check points and their labels.

    Args:
        points: (P, 2) as (x, y), or None.
        labels: (P,) of 1 (on the object) and 0 (not on it), or None.

    Returns:
        float32 (P, 2) and int32 (P,); empty where both are None.

    Raises:
        ValueError: if only one is given, the shapes do not match, a number is not finite or a
            label is unknown.
    """
    if (points is None) != (labels is None):
        raise ValueError(
            "points and labels belong together; got "
            + ("labels without points" if points is None else "points without labels")
        )
    if points is None:
        return np.zeros((0, 2), np.float32), np.zeros((0,), np.int32)
    coords = np.asarray(points, np.float32)
    kinds = np.asarray(labels)
    # One leading batch axis is common in code written for the reference.
    if coords.ndim == 3 and coords.shape[0] == 1:
        coords, kinds = coords[0], kinds.reshape(-1)
    if coords.ndim != 2 or coords.shape[1] != 2:
        raise ValueError(f"points need shape (P, 2), one (x, y) a point; got {coords.shape}")
    if kinds.shape != coords.shape[:1]:
        raise ValueError(f"need one label a point; got {len(coords)} points, labels {kinds.shape}")
    if not np.isfinite(coords).all():
        raise ValueError("points must be finite numbers; got NaN or infinity")
    if not np.isin(kinds, (-1, 0, 1, 2, 3)).all():
        raise ValueError(
            "labels are 1 (object) or 0 (background), also 2 and 3 for box corners; "
            f"got {sorted(set(kinds.tolist()))}"
        )
    return coords, kinds.astype(np.int32)


def as_box(box: Any) -> np.ndarray:
    """Check a box.

    Args:
        box: (x0, y0, x1, y1), any shape of four numbers.

    Returns:
        float32 (2, 2): the top left and the bottom right corner.

    Raises:
        ValueError: if it is not four finite numbers.
    """
    corners = np.asarray(box, np.float32)
    if corners.size != 4:
        raise ValueError(
            f"box needs 4 numbers (x0, y0, x1, y1) in pixels; got shape {corners.shape}"
        )
    if not np.isfinite(corners).all():
        raise ValueError("box must be finite numbers; got NaN or infinity")
    return corners.reshape(2, 2)


@dataclass(frozen=True)
class Prompt:
    """What was pointed at on one frame: points (a box is two of them) or a mask, never both.

    Attributes:
        points: float32 (P, 2) as (x, y) in fractions of the picture's width and height.
        labels: int32 (P,): 1 object, 0 background, 2 and 3 the corners of a box.
        mask: bool (H, W), or None.
    """

    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros((0,), np.int32))
    mask: np.ndarray | None = None

    @classmethod
    def from_points(
        cls, points: Any, labels: Any, box: Any, size: tuple[int, int] | None
    ) -> Prompt:
        """Make a prompt of points and/or a box.

        Args:
            points: (P, 2) as (x, y), or None.
            labels: (P,), or None.
            box: four numbers, or None.
            size: (height, width) of the picture that the numbers are pixels of; None where
                they are fractions already.

        Raises:
            ValueError: on any malformed part, or if nothing was given.
        """
        if points is None and box is None:
            raise ValueError("nothing to segment: give points with labels, a box, or a mask")
        coords, kinds = as_points(points, labels)
        if box is not None:
            # Boxes come first, as in training.
            coords = np.concatenate([as_box(box), coords])
            kinds = np.concatenate([np.array(_BOX_LABELS, np.int32), kinds])
        if size is not None:
            coords = coords / np.array([size[1], size[0]], np.float32)
        return cls(coords, kinds)

    @classmethod
    def from_mask(cls, mask: Any) -> Prompt:
        """Make a prompt of a mask (H, W); anything but zero is the object.

        Raises:
            ValueError: if it does not have two axes.
        """
        array = np.asarray(mask)
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"mask needs shape (height, width); got {array.shape}")
        return cls(mask=array.astype(bool))

    def extended(self, more: Prompt) -> Prompt:
        """This prompt's points followed by another's."""
        return Prompt(
            np.concatenate([self.points, more.points]), np.concatenate([self.labels, more.labels])
        )
