"""Outlines as functions: how far inside a shape each point lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.drawing.dice import Dice

Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes x and y in units of the shape's radius; above zero is inside, about -1 per radius."""


@dataclass(frozen=True)
class Shape:
    """An outline that can change in time.

    Attributes:
        kind: its name.
        inside: see `Inside`.
        sway: how far it bends to and fro, in radii.
        pulse: how much it is drawn out along one axis and back, as a fraction.
        period: frames of one cycle of both.
        phase: of the cycle, in radians.
    """

    kind: str
    inside: Inside
    sway: float
    pulse: float
    period: float
    phase: float

    def depth(self, x: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
        """How far inside points are at a time.

        Args:
            x: float64, in radii, in the shape's own axes.
            y: the same.
            time: in frames.

        Returns:
            float64 of their shape: above zero is inside.
        """
        angle = 2 * np.pi * time / self.period + self.phase
        stretch = 1 + self.pulse * np.sin(angle)
        bent = x + self.sway * np.sin(angle) * (y * y - 0.3)
        return self.inside(bent * stretch, y / stretch)


def make_shape(dice: Dice, kinds: tuple[str, ...] = ()) -> Shape:
    """Draw a shape.

    Args:
        dice: decides.
        kinds: which are allowed; all where empty.

    Returns:
        A shape of about radius 1.
    """
    kind = dice.choice(kinds or tuple(_MAKERS))
    return Shape(
        kind=kind,
        inside=_MAKERS[kind](dice),
        sway=dice.real(-0.25, 0.25),
        pulse=dice.real(0.0, 0.12),
        period=dice.real(14, 40),
        phase=dice.real(0, 2 * np.pi),
    )


def _round(radius: Callable[[np.ndarray], np.ndarray]) -> Inside:
    """The inside of an outline given as a radius for each direction."""

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return radius(np.arctan2(y, x)) - np.hypot(x, y)

    return inside


def _blob(dice: Dice) -> Inside:
    waves = [
        (order, dice.real(0.03, 0.3) / order, dice.real(0, 2 * np.pi)) for order in range(2, 7)
    ]

    def radius(angle: np.ndarray) -> np.ndarray:
        total = np.full(angle.shape, 0.85)
        for order, size, phase in waves:
            total += size * np.cos(order * angle + phase)
        return total

    return _round(radius)


def _star(dice: Dice) -> Inside:
    points, depth, sharp = dice.whole(4, 8), dice.real(0.2, 0.42), dice.real(0.5, 1.0)
    phase = dice.real(0, 2 * np.pi)

    def radius(angle: np.ndarray) -> np.ndarray:
        # A triangle wave gives straight edges; sharp below 1 makes the points thicker.
        wave = np.abs(((points * angle + phase) / np.pi) % 2 - 1)
        return 1 - depth * 1.4 * wave**sharp

    return _round(radius)


def _polygon(dice: Dice) -> Inside:
    corners = dice.whole(3, 7)
    angles = [2 * np.pi * (k + dice.real(-0.22, 0.22)) / corners for k in range(corners)]
    sides = [(np.cos(a), np.sin(a), dice.real(0.55, 0.85)) for a in angles]

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        walls = [far - (x * across + y * up) for across, up, far in sides]
        # Two corners far apart would reach far out without the circle.
        return np.minimum(np.minimum.reduce(walls), 1.15 - np.hypot(x, y))

    return inside


def _ring(dice: Dice) -> Inside:
    flat, middle, half = dice.real(0.7, 1.0), dice.real(0.66, 0.74), dice.real(0.2, 0.28)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return half - np.abs(np.hypot(x, y / flat) - middle)

    return inside


def _creature(dice: Dice) -> Inside:
    """A body, a head and some limbs."""
    parts = [(0.0, 0.0, dice.real(0.42, 0.55), dice.real(0.35, 0.5))]
    parts.append((dice.real(-0.2, 0.2), -0.62, dice.real(0.26, 0.36), dice.real(0.26, 0.36)))
    for side in (-1.0, 1.0):
        parts.append((side * dice.real(0.42, 0.6), dice.real(-0.2, 0.2), 0.32, 0.17))
        parts.append((side * dice.real(0.2, 0.32), dice.real(0.5, 0.62), 0.17, 0.36))

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        ovals = [(1 - np.hypot((x - u) / a, (y - v) / b)) * min(a, b) for u, v, a, b in parts]
        return np.maximum.reduce(ovals)

    return inside


def _fish(dice: Dice) -> Inside:
    slim, tail = dice.real(0.42, 0.62), dice.real(0.35, 0.55)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        body = (1 - np.hypot((x - 0.15) / 0.8, y / slim)) * slim
        fin = np.minimum(tail * (-0.35 - x) / 0.6 + 0.06 - np.abs(y), x + 1.05)
        return np.maximum(body, fin)

    return inside


_MAKERS: dict[str, Callable[[Dice], Inside]] = {
    "blob": _blob,
    "star": _star,
    "polygon": _polygon,
    "ring": _ring,
    "creature": _creature,
    "fish": _fish,
}
