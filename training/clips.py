"""Training clips: sprites that move over a background, with the truth about every pixel.

Unlike the held-out clips, which are drawn exactly, these are warped together from a bank of ready
sprites, which takes a few milliseconds a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.drawing.actors import Path
from training.sprites import CANVAS, RADIUS, Bank

_LEAST_PIXELS = 90
"""Of a target on frame 0, at 256 pixels: a click has to be able to mean it."""
_MOST_THINGS = 7
_LONG = 6
"""From this many frames on two things are hidden instead of one."""
_POST = 20
"""Half the width of a post on its canvas: half of a radius."""


@dataclass(frozen=True)
class Recipe:
    """What kind of clips.

    Attributes:
        size: side of the square frames in pixels.
        frames: length.
        objects: how many targets are asked for.
        hidden: probability that something passes in front of a target.
        look_alike: probability that a second thing looks nearly like a target.
        leaves: probability that a thing leaves the picture and comes back.
        regions: probability that one target is a region of the background photograph.
    """

    size: int = 256
    frames: int = 1
    objects: int = 3
    hidden: float = 0.7
    look_alike: float = 0.4
    leaves: float = 0.25
    regions: float = 0.2


@dataclass(frozen=True)
class Clip:
    """A drawn clip.

    Attributes:
        frames: uint8 (T, S, S, 3) RGB.
        labels: uint8 (T, S, S), the thing seen at each pixel; 0 is the background.
        targets: int64 (objects,), labels that are well seen on frame 0; some may appear twice
            where the scene has too few.
    """

    frames: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class _Thing:
    """A sprite with its motion; lengths are shares of the frame's side."""

    levels: tuple[np.ndarray, ...]
    path: Path
    stretch: tuple[float, float]
    bend: float
    pulse: float
    period: float
    phase: float
    tall: float


class ClipMaker:
    """Makes clips from a bank, endlessly and reproducibly.

    Args:
        bank: sprites and backgrounds.
        seed: of everything.
    """

    def __init__(self, bank: Bank, seed: int) -> None:
        self._bank = bank
        self._random = np.random.default_rng(seed)
        self._grain = self._random.standard_normal(1 << 21, dtype=np.float32)
        self._by_kind = [np.flatnonzero(bank.kinds == kind) for kind in range(3)]
        self._drawn = [i for i, r in enumerate(bank.regions) if r.size == 1]
        self._photos = [i for i, r in enumerate(bank.regions) if r.size > 1]

    def make(self, recipe: Recipe) -> Clip:
        """Make one clip.

        Args:
            recipe: what kind.
        """
        while True:
            clip = self._try(recipe)
            if clip is not None:
                return clip

    def _try(self, recipe: Recipe) -> Clip | None:
        random = self._random
        # Real frames are squashed to a square before the model sees them.
        aspect = float(np.exp(random.uniform(-0.5, 0.25)))
        stretch = np.sqrt(aspect), 1 / np.sqrt(aspect)
        ground = _Ground(self._bank, self._pick_ground(), recipe, random, stretch)
        things = self._things(recipe, stretch)
        order = random.permutation(len(things))
        hidden = self._hide(things, order, recipe, stretch)
        order = np.append(order, np.arange(len(order), len(things)))
        camera = _Camera(random, recipe, self._grain)
        frames, labels = [], []
        targets = None
        for time in range(recipe.frames):
            picture, label = ground.frame(time)
            for rank in order:
                _paint(picture, label, things[int(rank)], time, int(rank) + 1)
            if time == 0:
                targets = self._targets(label, recipe, hidden, ground.region_label)
            if targets is None:
                return None
            frames.append(camera.shot(picture, time))
            labels.append(label)
        return Clip(np.stack(frames), np.stack(labels), targets) if targets is not None else None

    def _targets(
        self, label: np.ndarray, recipe: Recipe, hidden: list[int], region: int
    ) -> np.ndarray | None:
        """Labels that are well seen, first a region and what will be hidden."""
        seen = np.bincount(label.ravel(), minlength=256)
        least = _LEAST_PIXELS * (recipe.size / 256) ** 2
        good = [number for number in range(1, 255) if seen[number] >= least]
        self._random.shuffle(good)
        good.sort(key=lambda number: number not in hidden)
        if region and seen[region] >= 3 * least:
            good.insert(0, region)
        if not good:
            return None
        while len(good) < recipe.objects:
            good.append(good[int(self._random.integers(len(good)))])
        return np.array(good[: recipe.objects])

    def _hide(
        self,
        things: list[_Thing],
        order: np.ndarray,
        recipe: Recipe,
        stretch: tuple[float, float],
    ) -> list[int]:
        """Add what hides one or two of the topmost things; returns the labels of those."""
        if recipe.frames < 3 or self._random.random() >= recipe.hidden:
            return []
        count = 1 + (recipe.frames >= _LONG and len(things) > 1)
        hidden = [int(rank) for rank in order[-count:]]
        for index in hidden:
            things[index], cover = self._cover(things[index], recipe, stretch)
            things.append(cover)
        return [index + 1 for index in hidden]

    def _pick_ground(self) -> int:
        from_photos = self._photos and (not self._drawn or self._random.random() < 0.55)
        pool = self._photos if from_photos else self._drawn
        return int(self._random.choice(pool))

    def _things(self, recipe: Recipe, stretch: tuple[float, float]) -> list[_Thing]:
        random = self._random
        count = int(random.integers(min(recipe.objects, 3), _MOST_THINGS))
        things = [self._thing(recipe, stretch) for _ in range(count)]
        if random.random() < recipe.look_alike:
            twin = things[0]
            path = replace(self._path(recipe), size=twin.path.size * random.uniform(0.8, 1.2))
            tint = random.uniform(0.8, 1.2, 3)
            levels = tuple(_tinted(level, tint) for level in twin.levels)
            things[-1] = replace(twin, path=path, levels=levels)
        if recipe.frames > 3 and random.random() < recipe.leaves:
            index = int(random.integers(len(things)))
            path = things[index].path
            out = 1.35 - path.start[0] if path.start[0] > 0.5 else -path.start[0] - 0.35
            begin = random.uniform(0.05, 0.4) * recipe.frames
            end = begin + recipe.frames * random.uniform(0.5, 1.2)
            path = replace(path, away=(out, 0.0), gone=(begin, end))
            things[index] = replace(things[index], path=path)
        return things

    def _thing(self, recipe: Recipe, stretch: tuple[float, float]) -> _Thing:
        random = self._random
        levels = _levels(self._sprite())
        still = random.random() < 0.3
        return _Thing(
            levels=levels,
            path=self._path(recipe),
            stretch=stretch,
            bend=0.0 if still else random.uniform(-0.25, 0.25),
            pulse=0.0 if still else random.uniform(0, 0.12),
            period=random.uniform(10, 40),
            phase=random.uniform(0, 2 * np.pi),
            tall=float(np.exp(random.uniform(-0.25, 0.25))),
        )

    def _sprite(self) -> np.ndarray:
        """A sprite; now and then one in the colours of a photograph."""
        random = self._random
        kinds = [(0, 0.5), (1, 0.35), (2, 0.15)]
        known = [(kind, share) for kind, share in kinds if len(self._by_kind[kind])]
        shares = np.array([share for _, share in known])
        kind = known[int(random.choice(len(known), p=shares / shares.sum()))][0]
        sprite = self._bank.sprites[int(random.choice(self._by_kind[kind]))]
        if kind == 0 and random.random() < 0.2:
            ground = self._bank.grounds[int(random.integers(len(self._bank.grounds)))]
            top = int(random.integers(ground.shape[0] - CANVAS))
            left = int(random.integers(ground.shape[1] - CANVAS))
            part = ground[top : top + CANVAS, left : left + CANVAS] * random.uniform(0.6, 1.3)
            alpha = sprite[..., 3:].astype(np.float32)
            colors = np.clip(part, 0, 255) * (alpha / 255)
            sprite = np.concatenate([colors, alpha], -1).astype(np.uint8)
        if random.random() < 0.3:
            sprite = _tinted(sprite, random.uniform(0.6, 1.3, 3))
        return sprite[:, ::-1] if random.random() < 0.5 else sprite

    def _path(self, recipe: Recipe) -> Path:
        """A motion; lengths are shares of the side, times are frames."""
        random = self._random
        # Some clips are seen with every frame, some with every third.
        pace = 0.0 if random.random() < 0.12 else float(np.exp(random.uniform(-1.0, 0.9)))
        size = float(np.exp(random.uniform(np.log(0.05), np.log(0.3))))
        return Path(
            start=(random.uniform(0.08, 0.92), random.uniform(0.08, 0.92)),
            speed=(pace * random.normal(0, 0.007), pace * random.normal(0, 0.005)),
            sway=(pace * random.uniform(-0.03, 0.03), pace * random.uniform(-0.03, 0.03)),
            period=random.uniform(12, 32),
            turn=random.uniform(-np.pi, np.pi) if random.random() < 0.6 else 0.0,
            spin=pace * random.uniform(-0.07, 0.07),
            size=size,
            growth=pace * random.uniform(-0.014, 0.016),
        )

    def _cover(
        self, target: _Thing, recipe: Recipe, stretch: tuple[float, float]
    ) -> tuple[_Thing, _Thing]:
        """Hide a thing wholly for a while, early enough that it is seen again.

        Args:
            target: what is hidden.
            recipe: of the clip.
            stretch: of the clip.

        Returns:
            The thing, whose motion may have changed, and what hides it.
        """
        random = self._random
        when = random.uniform(0.3, 0.6) * recipe.frames
        size = target.path.at(when).size
        # As slow as lets them be apart on the first frame.
        past = size * min(2.2 / when * random.uniform(0.9, 1.5), 1.2)
        if random.random() < 0.35:
            cover, angle = self._post(stretch), random.choice([0.0, np.pi])
            wide = size * random.uniform(2.0, 3.0) * cover.tall
        else:
            cover, angle = self._thing(recipe, stretch), random.uniform(0, 2 * np.pi)
            wide = size * random.uniform(1.25, 1.9)
        meeting = _passing(target.path, when, past * np.cos(angle), past * np.sin(angle))
        if random.random() < 0.5:
            # Either may be the one that moves; what counts is that they meet.
            there = target.path.at(when)
            past_it = _passing(target.path, when, -past * np.cos(angle), -past * np.sin(angle))
            target = replace(target, path=past_it)
            meeting = replace(
                cover.path, start=(there.x, there.y), speed=(0.0, 0.0), sway=(0.0, 0.0)
            )
        path = replace(meeting, size=wide, growth=0.0, spin=cover.path.spin, turn=cover.path.turn)
        return target, replace(cover, path=path)

    def _post(self, stretch: tuple[float, float]) -> _Thing:
        """An upright board with a piece of a background on it, higher than most pictures."""
        random = self._random
        ground = self._bank.grounds[self._pick_ground()]
        top = int(random.integers(ground.shape[0] - CANVAS + 1))
        left = int(random.integers(ground.shape[1] - CANVAS + 1))
        sprite = np.zeros((CANVAS, CANVAS, 4), np.uint8)
        inside = slice(4, CANVAS - 4), slice(CANVAS // 2 - _POST, CANVAS // 2 + _POST)
        sprite[..., :3][inside] = ground[top : top + CANVAS, left : left + CANVAS][inside]
        sprite[..., 3][inside] = 255
        tint = random.uniform(0.6, 1.2, 3)
        path = Path((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), 1.0, 0.0, 0.0, 0.1, 0.0)
        levels = _levels(_tinted(sprite, tint))
        return _Thing(levels, path, stretch, bend=0.0, pulse=0.0, period=1.0, phase=0.0, tall=1.5)


class _Ground:
    """A background under a moving camera, with the region that is a target, if any."""

    def __init__(
        self,
        bank: Bank,
        index: int,
        recipe: Recipe,
        random: np.random.Generator,
        stretch: tuple[float, float],
    ) -> None:
        self._picture, regions = bank.grounds[index], bank.regions[index]
        self._size = recipe.size
        height, width = self._picture.shape[:2]
        # Source pixels per pixel of the frame.
        most = min(width * stretch[0], height * stretch[1]) / recipe.size
        zoom = random.uniform(0.5, 1.0) * most
        self._step = np.array([zoom / stretch[0], zoom / stretch[1]])
        room = np.maximum(np.array([width, height]) - self._step * recipe.size, 0)
        self._start = random.uniform(0, 1, 2) * room
        still = random.random() < 0.4
        self._pan = np.zeros(2) if still else random.normal(0, [1.6, 0.6], 2) * self._step
        self._grow = 0.0 if still else random.normal(0, 0.004)
        self.region_label = 0
        self._region: np.ndarray | None = None
        if regions.size > 1 and random.random() < recipe.regions:
            self._choose_region(regions, random)

    def _choose_region(self, regions: np.ndarray, random: np.random.Generator) -> None:
        shown = self._warp(regions.astype(np.float32), 0, cv2.INTER_NEAREST)
        numbers = np.unique(shown[8:-8, 8:-8].astype(np.int64))
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


class _Camera:
    """What happens to all frames alike: light, colours, blur, noise, JPEG."""

    def __init__(self, random: np.random.Generator, recipe: Recipe, grain: np.ndarray) -> None:
        self._random = random
        self._gain = random.uniform(0.75, 1.15) * random.uniform(0.93, 1.07, 3)
        self._drift = random.uniform(-0.008, 0.008)
        scale = recipe.size / 256
        self._blur = random.uniform(0.4, 1.2) * scale if random.random() < 0.4 else 0.0
        self._noise = random.uniform(1, 8) if random.random() < 0.5 else 0.0
        self._quality = int(random.integers(35, 95)) if random.random() < 0.35 else 0
        self._grain = grain

    def shot(self, picture: np.ndarray, time: int) -> np.ndarray:
        """The frame as a camera gives it: uint8 (S, S, 3)."""
        seen = picture * (self._gain * (1 + self._drift * time)).astype(np.float32)
        if self._blur:
            seen = cv2.GaussianBlur(seen, (0, 0), self._blur)
        if self._noise:
            # Ready noise at a random offset is as good as fresh noise and far cheaper.
            shift = int(self._random.integers(self._grain.size - seen.size))
            seen = seen + self._noise * self._grain[shift : shift + seen.size].reshape(seen.shape)
        shot = np.clip(seen, 0, 255).astype(np.uint8)
        if self._quality:
            _, data = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            shot = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return shot


def _passing(path: Path, when: float, x: float, y: float) -> Path:
    """The motion of what passes a thing: with it at a time, and moving off by (x, y) a frame."""
    start = path.start[0] - x * when, path.start[1] - y * when
    return replace(path, start=start, speed=(path.speed[0] + x, path.speed[1] + y))


def _levels(sprite: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sprite at full, half and quarter size, so that small things are not aliased."""
    half = cv2.resize(sprite, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(sprite), half, quarter


def _tinted(sprite: np.ndarray, tint: np.ndarray) -> np.ndarray:
    """A sprite in other colours; they stay below their alpha."""
    colors = sprite[..., :3] * tint
    alpha = sprite[..., 3:]
    return np.concatenate([np.minimum(colors, alpha), alpha], -1).astype(np.uint8)


def _paint(picture: np.ndarray, label: np.ndarray, thing: _Thing, time: int, number: int) -> None:
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
