"""Colours as functions of a place: for things, and for what is behind them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np

from training.drawing.dice import Dice, field

Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes x and y (H, W) and gives float64 (H, W, 3) RGB in [0, 255]."""

_LATTICE = 64


def color(dice: Dice, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """A colour of any hue, float64 (3,) in [0, 255]."""
    hue = dice.real(0, 1)
    rgb = colorsys.hsv_to_rgb(hue, dice.real(*saturation), dice.real(*value))
    return 255 * np.array(rgb)


def noise(seed: int, x: np.ndarray, y: np.ndarray, octaves: int = 4) -> np.ndarray:
    """Smooth noise: random numbers on lattices of growing fineness, blended between.

    Args:
        seed: which noise.
        x: (H, W); one unit is a cell of the coarsest lattice.
        y: the same.
        octaves: how many lattices, each twice as fine and half as strong.

    Returns:
        float64 (H, W), about evenly in [0, 1].
    """
    total = np.zeros(np.broadcast(x, y).shape)
    for octave in range(octaves):
        lattice = field(seed + octave, _LATTICE, _LATTICE)
        u, v = x * 2.0**octave, y * 2.0**octave
        left, top = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
        du, dv = _eased(u - left), _eased(v - top)
        rows, columns = top % _LATTICE, left % _LATTICE
        below, right = (rows + 1) % _LATTICE, (columns + 1) % _LATTICE
        upper = lattice[rows, columns] * (1 - du) + lattice[rows, right] * du
        lower = lattice[below, columns] * (1 - du) + lattice[below, right] * du
        total += (upper * (1 - dv) + lower * dv) * 0.5 ** (octave + 1)
    return total / (1 - 0.5**octaves)


def make_skin(dice: Dice) -> Texture:
    """The texture of a thing, in units of its radius."""
    base, other = color(dice, (0.45, 1.0), (0.45, 1.0)), color(dice, (0.2, 1.0), (0.15, 1.0))
    pattern = _pattern(dice)
    seed, grain, light = dice.seed(), dice.real(0.1, 0.35), dice.real(0, 2 * np.pi)
    shade = dice.real(0.05, 0.3)

    def skin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = pattern(x, y)[..., None]
        rough = 1 + grain * (noise(seed, 2.5 * x + 20, 2.5 * y + 20, 3) - 0.5)
        lit = 1 + shade * np.clip(x * np.cos(light) + y * np.sin(light), -1.5, 1.5)
        return (base * (1 - share) + other * share) * (rough * lit)[..., None]

    return skin


def alike(skin: Texture, dice: Dice) -> Texture:
    """Nearly the same texture, a little lighter or darker and of another tint."""
    tint = np.array([dice.real(0.82, 1.18) for _ in range(3)])

    def other(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return skin(x, y) * tint

    return other


def make_ground(dice: Dice) -> Texture:
    """What is behind the things, in units of the picture's height."""
    kind = dice.choice((_cloudy, _landscape, _tiles, _planks, _clutter))
    return kind(dice)


def _eased(part: np.ndarray) -> np.ndarray:
    return part * part * (3 - 2 * part)


def _pattern(dice: Dice) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """How much of a second colour is where, in [0, 1]."""
    kind = dice.choice(("plain", "stripes", "spots", "checks", "halves", "patches"))
    turn, pace, cut = dice.real(0, np.pi), dice.real(3.5, 9), dice.real(-0.3, 0.4)
    seed = dice.seed()

    def pattern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u = x * np.cos(turn) + y * np.sin(turn)
        v = y * np.cos(turn) - x * np.sin(turn)
        if kind == "stripes":
            level = np.sin(pace * u) - cut
        elif kind == "spots":
            level = np.sin(pace * u) * np.sin(pace * v) - 0.35
        elif kind == "checks":
            level = np.sin(0.8 * pace * u) * np.sin(0.8 * pace * v)
        elif kind == "halves":
            level = u - cut
        elif kind == "patches":
            level = 5 * (noise(seed, 1.6 * x + 9, 1.6 * y + 9, 2) - 0.55)
        else:
            level = np.full(x.shape, -1.0)
        return np.clip(4 * level, 0, 1)

    return pattern


def _cloudy(dice: Dice) -> Texture:
    low, high = color(dice, (0.1, 0.6), (0.1, 0.5)), color(dice, (0.05, 0.5), (0.5, 0.95))
    seed, scale = dice.seed(), dice.real(2, 5)

    def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = np.clip(1.6 * noise(seed, scale * x, scale * y, 5) - 0.3, 0, 1)[..., None]
        return low * (1 - share) + high * share

    return ground


def _landscape(dice: Dice) -> Texture:
    sky, earth = color(dice, (0.1, 0.5), (0.7, 1.0)), color(dice, (0.2, 0.7), (0.25, 0.55))
    hills = [(dice.real(0.25, 0.75), dice.seed(), dice.real(1.5, 4)) for _ in range(3)]
    hills.sort()
    grain = dice.seed()

    def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        picture = sky * (0.8 + 0.25 * y)[..., None]
        for rank, (height, seed, scale) in enumerate(hills, start=1):
            ridge = height + 0.25 * (noise(seed, scale * x, 0 * y + 0.5, 4) - 0.5)
            tone = earth * (1.25 - 0.25 * rank) + (sky - earth) * 0.25 * (3 - rank)
            rough = 0.75 + 0.5 * noise(grain + rank, 14 * x, 14 * y, 3)
            picture = np.where((y > ridge)[..., None], tone * rough[..., None], picture)
        return picture

    return ground


def _tiles(dice: Dice) -> Texture:
    brick, joint = color(dice, (0.1, 0.6), (0.3, 0.8)), color(dice, (0.0, 0.2), (0.3, 0.8))
    wide, high, seed = dice.real(0.12, 0.3), dice.real(0.08, 0.16), dice.seed()

    def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        row = np.floor(y / high)
        across = x / wide + 0.5 * (row % 2)
        edge = np.minimum((across % 1) * wide, (y / high % 1) * high) < 0.012
        tone = field(seed, 32, 32)[row.astype(int) % 32, np.floor(across).astype(int) % 32]
        rough = (0.75 + 0.35 * tone) * (0.85 + 0.3 * noise(seed + 1, 12 * x, 12 * y, 3))
        return np.where(edge[..., None], joint, brick) * rough[..., None]

    return ground


def _planks(dice: Dice) -> Texture:
    wood = color(dice, (0.2, 0.6), (0.4, 0.8))
    wide, seed = dice.real(0.1, 0.22), dice.seed()

    def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        plank = np.floor(x / wide)
        tone = 0.75 + 0.4 * field(seed, 64)[plank.astype(int) % 64]
        grain = noise(seed + 1, 18 * x, 1.3 * y + 5 * plank, 3)
        edge = np.where((x / wide % 1) * wide < 0.008, 0.45, 1.0)
        return wood * (tone * (0.65 + 0.6 * grain) * edge)[..., None]

    return ground


def _clutter(dice: Dice) -> Texture:
    """Overlapping discs of many colours: things that are not asked for."""
    base = _cloudy(dice)
    discs = [
        (dice.real(-0.3, 1.7), dice.real(0, 1), dice.real(0.03, 0.16), make_skin(dice))
        for _ in range(14)
    ]

    def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        picture = base(x, y)
        for across, down, size, skin in discs:
            u, v = (x - across) / size, (y - down) / size
            cover = np.clip((1 - np.hypot(u, v)) * 15, 0, 1)[..., None]
            # Washed out, so that the things in front stand out a little.
            picture = picture * (1 - cover) + (0.6 * skin(u, v) + 45) * cover
        return picture

    return ground
