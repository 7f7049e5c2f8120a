"""Things that move through a scene, and where they are on each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.drawing.dice import Dice
from training.drawing.shapes import Shape
from training.drawing.textures import Texture

_REACH = 1.6


@dataclass(frozen=True)
class Pose:
    """Where a thing is: centre in pixels, turn in radians, radius in pixels."""

    x: float
    y: float
    turn: float
    size: float


@dataclass(frozen=True)
class Path:
    """A smooth motion: straight on, with a sway, a spin, growth, and perhaps a way out and back.

    Attributes:
        start: (x, y) in pixels on frame 0, without the sway.
        speed: (x, y) in pixels a frame.
        sway: (x, y) in pixels.
        period: frames of one sway.
        turn: radians on frame 0.
        spin: radians a frame.
        size: radius in pixels on frame 0.
        growth: share of the size that is added in each frame.
        away: (x, y) in pixels, how far it goes at most when it leaves.
        gone: frames between which it is away.
    """

    start: tuple[float, float]
    speed: tuple[float, float]
    sway: tuple[float, float]
    period: float
    turn: float
    spin: float
    size: float
    growth: float
    away: tuple[float, float] = (0.0, 0.0)
    gone: tuple[float, float] = (0.0, 1.0)

    def at(self, time: float) -> Pose:
        """The pose on a frame."""
        wave = np.sin(2 * np.pi * time / self.period)
        begin, end = self.gone
        part = min(max((time - begin) / (end - begin), 0.0), 1.0)
        # Out within the first third, back within the last.
        out = min(1.0, 3 * part, 3 * (1 - part))
        out = out * out * (3 - 2 * out)
        return Pose(
            x=self.start[0] + self.speed[0] * time + self.sway[0] * wave + self.away[0] * out,
            y=self.start[1] + self.speed[1] * time + self.sway[1] * wave + self.away[1] * out,
            turn=self.turn + self.spin * time,
            size=self.size * (1 + self.growth * time),
        )

    def shifted(self, x: float, y: float) -> Path:
        """The same motion somewhere else."""
        return replace(self, start=(self.start[0] + x, self.start[1] + y))


def make_path(dice: Dice, start: tuple[float, float], size: float, calm: float = 1.0) -> Path:
    """Draw a motion that stays near its start.

    Args:
        dice: decides.
        start: (x, y) in pixels.
        size: radius in pixels.
        calm: larger is slower.
    """
    return Path(
        start=start,
        speed=(dice.real(-2.2, 2.2) / calm, dice.real(-1.2, 1.2) / calm),
        sway=(dice.real(-9, 9), dice.real(-7, 7)),
        period=dice.real(14, 32),
        turn=dice.real(0, 2 * np.pi),
        spin=dice.real(-0.07, 0.07),
        size=size,
        growth=dice.real(-0.012, 0.016),
    )


@dataclass(frozen=True)
class Footprint:
    """What a thing covers of the picture on a frame.

    Attributes:
        rows: of the picture.
        columns: of the picture.
        mask: bool (h, w), what belongs to it.
        alpha: float64 (h, w) in [0, 1], with soft edges.
        x: float64 (h, w), in radii, in the thing's own axes.
        y: the same.
        area: pixels of the whole thing, outside of the picture too where it has a label.
    """

    rows: slice
    columns: slice
    mask: np.ndarray
    alpha: np.ndarray
    x: np.ndarray
    y: np.ndarray
    area: int


@dataclass(frozen=True)
class Actor:
    """A thing in a scene.

    Attributes:
        shape: its outline.
        skin: its colours.
        path: its motion.
        label: its number among the objects that are annotated; 0 is not annotated.
    """

    shape: Shape
    skin: Texture
    path: Path
    label: int = 0

    def footprint(self, time: float, width: int, height: int) -> Footprint:
        """What it covers of a picture."""
        pose = self.path.at(time)
        reach = pose.size * _REACH
        left, top = int(np.floor(pose.x - reach)), int(np.floor(pose.y - reach))
        right, bottom = int(np.ceil(pose.x + reach)), int(np.ceil(pose.y + reach))
        if not self.label:
            # Nobody asks how much of it lies outside, and it may be large.
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, width - 1), min(bottom, height - 1)
        rows, columns = np.mgrid[top : bottom + 1, left : right + 1]
        across, down = (columns - pose.x) / pose.size, (rows - pose.y) / pose.size
        cos, sin = np.cos(pose.turn), np.sin(pose.turn)
        x, y = across * cos + down * sin, down * cos - across * sin
        depth = self.shape.depth(x, y, time)
        inside = (
            slice(max(0, -top), max(0, min(height, bottom + 1) - top)),
            slice(max(0, -left), max(0, min(width, right + 1) - left)),
        )
        return Footprint(
            rows=slice(max(0, top), max(0, min(height, bottom + 1))),
            columns=slice(max(0, left), max(0, min(width, right + 1))),
            mask=(depth > 0)[inside],
            alpha=np.clip(depth * pose.size + 0.5, 0, 1)[inside],
            x=x[inside],
            y=y[inside],
            area=int(np.count_nonzero(depth > 0)),
        )
