"""Filming a training clip: sprites painted over a background, seen through a camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.drawing.actors import Path
from training.sprites import CANVAS, RADIUS, Bank


@dataclass(frozen=True)
class Thing:
    """A sprite with its motion; lengths are shares of the frame's side."""

    levels: tuple[np.ndarray, ...]
    path: Path
    stretch: tuple[float, float]
    bend: float
    pulse: float
    period: float
    phase: float
    tall: float


def pyramid(sprite: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sprite at full, half and quarter size, so that small things are not aliased."""
    half = cv2.resize(sprite, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(sprite), half, quarter


def tinted(sprite: np.ndarray, tint: np.ndarray) -> np.ndarray:
    """A sprite in other colours; they stay below their alpha."""
    colors = sprite[..., :3] * tint
    alpha = sprite[..., 3:]
    return np.concatenate([np.minimum(colors, alpha), alpha], -1).astype(np.uint8)


def paint(picture: np.ndarray, label: np.ndarray, thing: Thing, time: int, number: int) -> None:
    """Put a thing on a frame."""
    side = picture.shape[0]
    pose = thing.path.at(time)
    wave = np.sin(2 * np.pi * time / thing.period + thing.phase)
    wide = pose.size * side * thing.stretch[0] / thing.tall
    high = pose.size * side * thing.stretch[1] * thing.tall
    cos, sin = np.cos(pose.turn), np.sin(pose.turn)
    reach = 1.1 * CANVAS / 2 / RADIUS * (abs(cos) + abs(sin))
    left, top = int(max(0, pose.x * side - reach * wide)), int(max(0, pose.y * side - reach * high))
    right = int(min(side, pose.x * side + reach * wide + 1))
    bottom = int(min(side, pose.y * side + reach * high + 1))
    if left >= right or top >= bottom:
        return
    across = (np.arange(left, right, dtype=np.float32) + 0.5 - pose.x * side) / thing.stretch[0]
    down = (np.arange(top, bottom, dtype=np.float32) + 0.5 - pose.y * side) / thing.stretch[1]
    unit = pose.size * side
    x = (across[None] * cos + down[:, None] * sin) * (thing.tall / unit)
    y = (down[:, None] * cos - across[None] * sin) / (thing.tall * unit)
    stretch = 1 + thing.pulse * wave
    x = (x + thing.bend * wave * (y * y - 0.3)) * stretch
    y = y / stretch
    # A level at which a pixel of the frame is one to two pixels of the sprite.
    level = int(np.clip(np.floor(np.log2(max(RADIUS / unit, 1.0))), 0, 2))
    source = thing.levels[level]
    scale, middle = RADIUS / 2**level, source.shape[0] / 2 - 0.5
    patch = cv2.remap(
        source,
        (x * scale + middle).astype(np.float32),
        (y * scale + middle).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 0),
    )
    alpha = patch[..., 3:].astype(np.float32)
    place = picture[top:bottom, left:right]
    place *= 1 - alpha / 255
    place += patch[..., :3]
    label[top:bottom, left:right][patch[..., 3] > 127] = number


class Ground:
    """A background under a moving camera, with the region that is a target, if any.

    Args:
        bank: the backgrounds.
        index: which of them.
        size: side of the square frames in pixels.
        random: decides about everything.
        stretch: of the clip, across and down.
        region_share: probability that a region of a photograph is a target.
    """

    def __init__(
        self,
        bank: Bank,
        index: int,
        size: int,
        random: np.random.Generator,
        stretch: tuple[float, float],
        region_share: float,
    ) -> None:
        self._picture, regions = bank.grounds[index], bank.regions[index]
        self._size = size
        height, width = self._picture.shape[:2]
        # Source pixels per pixel of the frame.
        most = min(width * stretch[0], height * stretch[1]) / size
        zoom = random.uniform(0.5, 1.0) * most
        self._step = np.array([zoom / stretch[0], zoom / stretch[1]])
        room = np.maximum(np.array([width, height]) - self._step * size, 0)
        self._start = random.uniform(0, 1, 2) * room
        still = random.random() < 0.4
        self._pan = np.zeros(2) if still else random.normal(0, [1.6, 0.6], 2) * self._step
        self._grow = 0.0 if still else random.normal(0, 0.004)
        self.region_label = 0
        self._region: np.ndarray | None = None
        if regions.size > 1 and random.random() < region_share:
            self._choose_region(regions, random)

    def _choose_region(self, regions: np.ndarray, random: np.random.Generator) -> None:
        labels = self._warp(regions.astype(np.float32), 0, cv2.INTER_NEAREST)
        numbers = np.unique(labels[8:-8, 8:-8].astype(np.int64))
        numbers = numbers[numbers > 0]
        if len(numbers):
            self._region = (regions == random.choice(numbers)).astype(np.uint8)
            self.region_label = 255

    def frame(self, time: int) -> tuple[np.ndarray, np.ndarray]:
        """Colours float32 (S, S, 3) and labels uint8 (S, S) of a frame."""
        picture = self._warp(self._picture, time, cv2.INTER_LINEAR).astype(np.float32)
        if self._region is None:
            return picture, np.zeros((self._size, self._size), np.uint8)
        return picture, self._warp(self._region, time, cv2.INTER_NEAREST) * np.uint8(255)

    def _warp(self, source: np.ndarray, time: int, how: int) -> np.ndarray:
        step = self._step * (1 + self._grow * time)
        centre = self._start + self._step * self._size / 2 + self._pan * time
        corner = centre - step * self._size / 2
        matrix = np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])
        return cv2.warpAffine(
            source,
            matrix,
            (self._size, self._size),
            flags=how | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )


class Camera:
    """What happens to all frames alike: light, colours, blur, noise, JPEG.

    Args:
        random: decides about everything.
        size: side of the square frames in pixels.
        grain: float32 (N,): noise to take from.
    """

    def __init__(self, random: np.random.Generator, size: int, grain: np.ndarray) -> None:
        self._random = random
        self._gain = random.uniform(0.75, 1.15) * random.uniform(0.93, 1.07, 3)
        self._drift = random.uniform(-0.008, 0.008)
        scale = size / 256
        self._blur = random.uniform(0.4, 1.2) * scale if random.random() < 0.4 else 0.0
        self._noise = random.uniform(1, 8) if random.random() < 0.5 else 0.0
        self._quality = int(random.integers(35, 95)) if random.random() < 0.35 else 0
        self._grain = grain

    def shot(self, picture: np.ndarray, time: int) -> np.ndarray:
        """The frame as a camera gives it: uint8 (S, S, 3)."""
        light = picture * (self._gain * (1 + self._drift * time)).astype(np.float32)
        if self._blur:
            light = cv2.GaussianBlur(light, (0, 0), self._blur)
        if self._noise:
            # Ready noise at a random offset is as good as fresh noise and far cheaper.
            shift = int(self._random.integers(self._grain.size - light.size))
            noise = self._grain[shift : shift + light.size].reshape(light.shape)
            light = light + self._noise * noise
        shot = np.clip(light, 0, 255).astype(np.uint8)
        if self._quality:
            _, data = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            shot = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return shot
