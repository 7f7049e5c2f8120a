"""Training clips: sprites that move over a background, with the truth about every pixel.

Unlike the held-out clips, which are drawn exactly, these are warped together from a bank of ready
sprites, which takes a few milliseconds a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.drawing.actors import Path
from training.filming import Camera, Ground, Thing, paint, pyramid, tinted
from training.sprites import CANVAS, Bank

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
        ground = Ground(
            self._bank, self._pick_ground(), recipe.size, random, stretch, recipe.regions
        )
        things = self._things(recipe, stretch)
        order = random.permutation(len(things))
        hidden = self._hide(things, order, recipe, stretch)
        order = np.append(order, np.arange(len(order), len(things)))
        camera = Camera(random, recipe.size, self._grain)
        frames, labels = [], []
        targets = None
        for time in range(recipe.frames):
            picture, label = ground.frame(time)
            for rank in order:
                paint(picture, label, things[int(rank)], time, int(rank) + 1)
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
        areas = np.bincount(label.ravel(), minlength=256)
        least = _LEAST_PIXELS * (recipe.size / 256) ** 2
        good = [number for number in range(1, 255) if areas[number] >= least]
        self._random.shuffle(good)
        good.sort(key=lambda number: number not in hidden)
        if region and areas[region] >= 3 * least:
            good.insert(0, region)
        if not good:
            return None
        while len(good) < recipe.objects:
            good.append(good[int(self._random.integers(len(good)))])
        return np.array(good[: recipe.objects])

    def _hide(
        self,
        things: list[Thing],
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

    def _things(self, recipe: Recipe, stretch: tuple[float, float]) -> list[Thing]:
        random = self._random
        count = int(random.integers(min(recipe.objects, 3), _MOST_THINGS))
        things = [self._thing(recipe, stretch) for _ in range(count)]
        if random.random() < recipe.look_alike:
            twin = things[0]
            path = replace(self._path(recipe), size=twin.path.size * random.uniform(0.8, 1.2))
            tint = random.uniform(0.8, 1.2, 3)
            levels = tuple(tinted(level, tint) for level in twin.levels)
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

    def _thing(self, recipe: Recipe, stretch: tuple[float, float]) -> Thing:
        random = self._random
        levels = pyramid(self._sprite())
        still = random.random() < 0.3
        return Thing(
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
        held = [(kind, share) for kind, share in kinds if len(self._by_kind[kind])]
        shares = np.array([share for _, share in held])
        kind = held[int(random.choice(len(held), p=shares / shares.sum()))][0]
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
            sprite = tinted(sprite, random.uniform(0.6, 1.3, 3))
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
        self, target: Thing, recipe: Recipe, stretch: tuple[float, float]
    ) -> tuple[Thing, Thing]:
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

    def _post(self, stretch: tuple[float, float]) -> Thing:
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
        levels = pyramid(tinted(sprite, tint))
        return Thing(levels, path, stretch, bend=0.0, pulse=0.0, period=1.0, phase=0.0, tall=1.5)


def _passing(path: Path, when: float, x: float, y: float) -> Path:
    """The motion of what passes a thing: with it at a time, and moving off by (x, y) a frame."""
    start = path.start[0] - x * when, path.start[1] - y * when
    return replace(path, start=start, speed=(path.speed[0] + x, path.speed[1] + y))
