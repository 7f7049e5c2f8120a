"""Prompts: what a caller points at, checked once, whoever asks."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.media.frame_source import check_area
from sam2_mlx.ops.dtypes import host_array

PADDING, TOP_LEFT, BOTTOM_RIGHT = -1, 2, 3
_LABELS = (PADDING, 0, 1, TOP_LEFT, BOTTOM_RIGHT)

# Every point attends to every other: the time grows with the square of their number.
MAX_POINTS = 1024


@dataclass(frozen=True)
class Prompt:
    """What is pointed at on one picture, for B objects that do not know of each other.

    A box is two points with labels of their own. Places are fractions in double precision: they
    round to what the reference has, whether it divides pixels in single precision or scales
    them in double.

    Attributes:
        points: float64 (B, P, 2) as (x, y) in fractions of the picture's width and height.
        labels: int32 (B, P): 1 object, 0 background, 2 and 3 the corners of a box, -1 nothing.
        mask: bool (H, W), the object itself, in place of points; or None.
        logits: float32 (B, 1, S/4, S/4), an earlier answer to be improved; or None.
    """

    points: np.ndarray = field(default_factory=lambda: np.zeros((1, 0, 2)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), np.int32))
    mask: np.ndarray | None = None
    logits: Any = None

    @classmethod
    def from_points(
        cls,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        size: tuple[int, int] | None = None,
    ) -> Prompt:
        """Make a prompt of points and/or boxes.

        Args:
            points: (P, 2) as (x, y), or (B, P, 2); None or empty without points.
            labels: (P,) or (B, P) of 1 (on the object) and 0 (not on it); also -1, 2 and 3.
            box: (x0, y0, x1, y1), or (B, 4). It may reach over the picture's border.
            size: (height, width) of the picture that the numbers are pixels of; None where
                they are fractions already.

        Raises:
            ValueError: on parts that are malformed or do not belong together, numbers that are
                not finite, unknown labels, points outside the picture, boxes without an area or
                outside the picture, more than `MAX_POINTS` points, or nothing at all.
        """
        places, kinds = _points(points, labels)
        if box is not None:
            corners, sides = _corners(box)
            if kinds.shape[1] and len(kinds) != len(sides):
                raise ValueError(
                    f"need as many boxes as sets of points; got {len(sides)} and {len(kinds)}"
                )
            places = places if kinds.shape[1] else np.zeros((len(sides), 0, 2))
            kinds = kinds if kinds.shape[1] else np.zeros((len(sides), 0), np.int32)
            # Boxes come first, as in training.
            places = np.concatenate([corners, places], axis=1)
            kinds = np.concatenate([sides, kinds], axis=1)
        if not kinds.shape[1]:
            raise ValueError("nothing to segment: give points with labels, a box, or a mask")
        width, height = (1, 1) if size is None else (size[1], size[0])
        _check_places(places, kinds, width, height)
        return cls(places / (width, height), kinds)

    @classmethod
    def from_mask(cls, mask: Any) -> Prompt:
        """Make a prompt of a mask.

        Args:
            mask: (H, W) of any size. Numbers above zero are the object if some are negative, as
                logits are; else those above one half.

        Raises:
            ValueError: if it does not have two axes, holds NaN, or has more than 2**27 pixels.
        """
        array = _array("mask", mask)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"mask must hold numbers; got {array.dtype}")
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"mask needs shape (height, width); got {array.shape}")
        check_area("the mask", (array.shape[1], array.shape[0]))
        if array.dtype == bool:
            return cls(mask=array)
        if np.isnan(array).any():
            raise ValueError("mask must hold numbers; got NaN")
        return cls(mask=array > (0 if array.min() < 0 else 0.5))

    def improving(self, logits: Any, side: int) -> Prompt:
        """This prompt, together with an earlier answer.

        Args:
            logits: (1, S/4, S/4) as a prediction returned them, or (B, 1, S/4, S/4).
            side: S/4.

        Raises:
            ValueError: if the shape is another one, or a number is not finite.
        """
        array = _array("mask_input", logits, np.float32)
        array = array[None] if array.ndim == 3 else array
        if array.ndim != 4 or array.shape[1:] != (1, side, side) or not len(array):
            raise ValueError(
                f"mask_input needs shape (1, {side}, {side}), the low-resolution logits of an "
                f"earlier prediction; got {np.shape(logits)}"
            )
        if not np.isfinite(array).all():
            raise ValueError("mask_input must be finite numbers; got NaN or infinity")
        if not self.labels.size:
            none = len(array)
            return Prompt(np.zeros((none, 0, 2)), np.zeros((none, 0), np.int32), logits=array)
        if len(array) not in (1, len(self.labels)):
            raise ValueError(
                f"need one mask_input, or one for each of {len(self.labels)} objects; "
                f"got {len(array)}"
            )
        return replace(self, logits=array)

    def extended(self, more: Prompt) -> Prompt:
        """This prompt's points followed by another's.

        Raises:
            ValueError: if there are more than `MAX_POINTS` then.
        """
        labels = np.concatenate([self.labels, more.labels], axis=1)
        _check_count(labels)
        return Prompt(np.concatenate([self.points, more.points], axis=1), labels)

    @property
    def has_box(self) -> bool:
        """Whether a box is among the points."""
        return bool((self.labels == TOP_LEFT).any())


def whole_number(name: str, value: Any) -> int:
    """An integer of Python, of one of any kind: NumPy's would not survive in a saved session.

    Raises:
        TypeError: if it is none.
    """
    try:
        return operator.index(value)
    except TypeError as problem:
        raise TypeError(f"{name} must be a whole number; got {value!r}") from problem


def _points(points: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points as (B, P, 2) and labels as (B, P); P is 0 where there are none."""
    if (points is None) != (labels is None):
        raise ValueError(
            "points and labels belong together; got "
            + ("labels without points" if points is None else "points without labels")
        )
    places = _coordinates("points", [] if points is None else points)
    kinds = _array("labels", [] if labels is None else labels)
    if not places.size and not kinds.size:
        return np.zeros((1, 0, 2)), np.zeros((1, 0), np.int32)
    if places.ndim == 2:
        places, kinds = places[None], kinds[None]
    elif kinds.ndim == 1 and places.shape[:1] == (1,):
        kinds = kinds[None]
    if places.ndim != 3 or places.shape[2] != 2 or kinds.shape != places.shape[:2]:
        raise ValueError(
            "points need shape (N, 2) and one label a point (N,), or (B, N, 2) and (B, N); "
            f"got points {np.shape(points)} and labels {np.shape(labels)}"
        )
    if not np.isin(kinds, _LABELS).all():
        # Whatever they are: of some kinds one cannot make a set, or sort it.
        values = sorted(set(map(repr, kinds.ravel().tolist())))
        raise ValueError(
            "labels are 1 (object) or 0 (background), also 2 and 3 for box corners; "
            f"got [{', '.join(values)}]"
        )
    return places, kinds.astype(np.int32)


def _array(name: str, values: Any, dtype: Any = None) -> np.ndarray:
    """Values as an array, of MLX's bfloat16 too.

    Raises:
        ValueError: if they are none.
    """
    try:
        if isinstance(values, mx.array):
            values = host_array(values)
        if np.iscomplexobj(values):
            raise TypeError("they are complex")
        with np.errstate(over="ignore"):
            return np.asarray(values, dtype)
    except (TypeError, ValueError, OverflowError) as problem:
        raise ValueError(f"{name} must be an array of numbers: {problem}") from problem


def _coordinates(name: str, values: Any) -> np.ndarray:
    """Coordinates as float64, but in single precision, as the reference takes them."""
    return _array(name, values, np.float32).astype(np.float64)


def _corners(box: Any) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as points (B, 2, 2) and labels (B, 2)."""
    corners = _coordinates("box", box)
    if not corners.size or (corners.shape[-1:] != (4,) and corners.shape != (2, 2)):
        raise ValueError(
            "box needs 4 numbers (x0, y0, x1, y1) in pixels, or shape (B, 4); "
            f"got shape {corners.shape}"
        )
    corners = corners.reshape(-1, 2, 2)
    return corners, np.tile(np.array([TOP_LEFT, BOTTOM_RIGHT], np.int32), (len(corners), 1))


def _check_places(places: np.ndarray, kinds: np.ndarray, width: int, height: int) -> None:
    _check_count(kinds)
    if not np.isfinite(places).all():
        raise ValueError("prompts must be finite numbers; got NaN or infinity")
    limits = np.array([width, height])
    picture = f"the picture, x from 0 to {width} and y from 0 to {height}"
    outside = ((places < 0) | (places > limits)).any(axis=2) & np.isin(kinds, (0, 1))
    if outside.any():
        raise ValueError(f"points must lie in {picture}; got {_numbers(places[outside][0])}")
    corner = (kinds[:, :-1] == TOP_LEFT) & (kinds[:, 1:] == BOTTOM_RIGHT)
    if np.isin(kinds, (TOP_LEFT, BOTTOM_RIGHT)).sum() != 2 * corner.sum():
        raise ValueError(
            "labels 2 and 3 are the corners of a box, one right after the other; "
            f"got {kinds.tolist()}"
        )
    for first, last in zip(places[:, :-1][corner], places[:, 1:][corner], strict=True):
        box = _numbers([*first, *last])
        if (last <= first).any():
            raise ValueError(
                f"a box is its top left corner, then its bottom right one; {box} has no area"
            )
        if (last <= 0).any() or (first >= limits).any():
            raise ValueError(f"a box must overlap {picture}; got {box}")


def _check_count(labels: np.ndarray) -> None:
    if labels.shape[1] > MAX_POINTS:
        raise ValueError(
            f"an object takes at most {MAX_POINTS} points, corners of boxes included; "
            f"got {labels.shape[1]}"
        )


def _numbers(values: Any) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
