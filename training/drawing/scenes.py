"""Scenes: which things there are, what hides them, and the frames that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from training.drawing.actors import Actor, Footprint, Path, make_path
from training.drawing.dice import Dice
from training.drawing.dice import field as random_field
from training.drawing.shapes import Shape, make_shape
from training.drawing.textures import Texture, alike, make_ground, make_skin

WIDTH, HEIGHT = 320, 240
_SOLID = ("blob", "polygon")
_TRIES = 200
_LEAST_PIXELS = 250
_LEAST_SEEN = 0.75


@dataclass(frozen=True)
class DrawnFrame:
    """A frame and the truth about it.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        labels: uint8 (H, W), the object that is seen at each pixel; 0 is anything else.
        areas: for each object, pixels of the whole thing, hidden and outside ones too.
        covered: for each object, the share of its pixels in the picture that others hide.
    """

    image: np.ndarray
    labels: np.ndarray
    areas: tuple[int, ...]
    covered: tuple[float, ...]


@dataclass(frozen=True)
class Look:
    """What a camera does to all frames alike.

    Attributes:
        pan: (x, y) pixels a frame that the ground moves.
        gain: brightness on frame 0.
        drift: brightness added in each frame.
        blur: standard deviation in pixels; 0 is sharp.
        noise: standard deviation in grey levels.
        seed: of the noise.
    """

    pan: tuple[float, float]
    gain: float
    drift: float
    blur: float
    noise: float
    seed: int


@dataclass(frozen=True)
class Scene:
    """Everything that decides about a clip.

    Attributes:
        ground: what is behind.
        actors: the things, from back to front.
        look: what the camera does.
        story: what happens, in words.
    """

    ground: Texture
    actors: tuple[Actor, ...]
    look: Look
    story: tuple[str, ...] = field(default_factory=tuple)

    @property
    def num_objects(self) -> int:
        """How many of the things are annotated."""
        return sum(actor.label > 0 for actor in self.actors)

    def frames(self, count: int) -> Iterator[DrawnFrame]:
        """Draw the clip.

        Args:
            count: number of frames.
        """
        for time in range(count):
            yield self._frame(time)

    def labels(self, time: int) -> tuple[np.ndarray, tuple[int, ...], tuple[float, ...]]:
        """The truth about a frame without its colours; see `DrawnFrame`."""
        return _truth(self._footprints(time), self.num_objects)

    def _footprints(self, time: int) -> list[tuple[Actor, Footprint]]:
        return [(actor, actor.footprint(time, WIDTH, HEIGHT)) for actor in self.actors]

    def _frame(self, time: int) -> DrawnFrame:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
        x, y = self.look.pan[0] * time, self.look.pan[1] * time
        picture = self.ground((columns + x) / HEIGHT, (rows + y) / HEIGHT)
        footprints = self._footprints(time)
        for actor, print_ in footprints:
            if print_.mask.size:
                place = print_.rows, print_.columns
                alpha = print_.alpha[..., None]
                skin = actor.skin(print_.x, print_.y)
                picture[place] = picture[place] * (1 - alpha) + skin * alpha
        labels, areas, covered = _truth(footprints, self.num_objects)
        return DrawnFrame(self._seen(picture, time), labels, areas, covered)

    def _seen(self, picture: np.ndarray, time: int) -> np.ndarray:
        """The picture as the camera gives it."""
        look = self.look
        light = np.clip(picture, 0, 255) * (look.gain + look.drift * time)
        if look.blur > 0:
            light = cv2.GaussianBlur(light, (0, 0), look.blur)
        if look.noise > 0:
            # Three even numbers make a bell that is near enough; its deviation is one half.
            bell = random_field(look.seed + time, 3, HEIGHT, WIDTH, 3).sum(axis=0) - 1.5
            light = light + 2 * look.noise * bell
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def make_scene(seed: int, frames: int, crossing: bool, lookalike: bool, leaves: bool) -> Scene:
    """Draw a scene in which object 1 is hidden for a while near the middle.

    Args:
        seed: decides about everything else.
        frames: length of the clip.
        crossing: whether another thing passes in front of it; else it goes behind a post.
        lookalike: whether object 2 looks nearly like object 1.
        leaves: whether object 2 leaves the picture and comes back.

    Returns:
        A scene in which each object is well seen on frame 0.

    Raises:
        RuntimeError: if no such scene was found.
    """
    dice = Dice(seed)
    for _ in range(_TRIES):
        scene = _plan(dice, frames, crossing, lookalike, leaves)
        if _starts_well(scene) and _happens(scene, frames):
            return scene
    raise RuntimeError(f"no scene for seed {seed} with {frames} frames; take another seed")


def _plan(dice: Dice, frames: int, crossing: bool, lookalike: bool, leaves: bool) -> Scene:
    hidden_at = frames * dice.real(0.4, 0.55)
    size = dice.real(19, 36)
    first, path, cover = _target(dice, size, hidden_at, crossing)
    others = [_other(dice, first, lookalike, frames if leaves else 0)]
    if dice.happens(0.5):
        others.append(_other(dice, first, False, 0))
    story = ["crossing" if crossing else "post"]
    story += ["look-alike"] * lookalike + ["leaves"] * leaves
    behind = dice.happens(0.5)
    target = replace(first, path=path)
    middle = [target, *others] if behind else [*others, target]
    actors = _numbered([*middle, cover], target, crossing)
    look = Look(
        pan=(dice.real(-1.5, 1.5), dice.real(-0.5, 0.5)) if dice.happens(0.6) else (0.0, 0.0),
        gain=dice.real(0.8, 1.05),
        drift=dice.real(-0.006, 0.006),
        blur=dice.real(0.5, 1.3) if dice.happens(0.5) else 0.0,
        noise=dice.real(1.5, 7) if dice.happens(0.7) else 0.0,
        seed=dice.seed(),
    )
    return Scene(make_ground(dice), actors, look, tuple(story))


def _target(dice: Dice, size: float, hidden_at: float, crossing: bool) -> tuple[Actor, Path, Actor]:
    """The object that is hidden, its motion, and what hides it at the given time."""
    shape, skin = make_shape(dice), make_skin(dice)
    if crossing:
        path = make_path(dice, (dice.real(90, 230), dice.real(70, 170)), size)
        angle, speed = dice.real(0, 2 * np.pi), size * dice.real(0.24, 0.34)
        past = speed * np.cos(angle), speed * np.sin(angle)
        there = path.at(hidden_at)
        # It shares the target's own motion, so that they meet wherever that is.
        meeting = replace(
            path,
            start=(path.start[0] - past[0] * hidden_at, path.start[1] - past[1] * hidden_at),
            speed=(path.speed[0] + past[0], path.speed[1] + past[1]),
            spin=dice.real(-0.05, 0.05),
            size=there.size * dice.real(1.35, 1.6),
            growth=0.0,
        )
        return (
            Actor(shape, skin, path),
            path,
            Actor(make_shape(dice, _SOLID), make_skin(dice), meeting),
        )
    half = size * dice.real(0.85, 1.15)
    speed = dice.sign() * 1.35 * (size + half) / hidden_at
    post_x = WIDTH / 2 + dice.real(-25, 25)
    path = replace(
        make_path(dice, (post_x - speed * hidden_at, dice.real(70, 170)), size),
        speed=(speed, dice.real(-0.8, 0.8)),
        sway=(0.0, dice.real(-8, 8)),
    )
    # One radius is the post's half width; it is taller than the picture.
    still = Path((post_x, HEIGHT / 2), (0, 0), (0, 0), 10, dice.real(-0.06, 0.06), 0, 2 * HEIGHT, 0)
    share = half / (2 * HEIGHT)
    post = Shape("post", lambda x, y: share - np.abs(x), 0.0, 0.0, 10, 0.0)
    bark = make_skin(dice)
    return (
        Actor(shape, skin, path),
        path,
        Actor(post, lambda x, y: bark(x / share, y / share), still),
    )


def _other(dice: Dice, first: Actor, lookalike: bool, leaves_within: int) -> Actor:
    """Another object: near the first one's looks or not, there all the time or not."""
    size = first.path.size * dice.real(0.85, 1.15) if lookalike else dice.real(15, 34)
    path = make_path(dice, (dice.real(35, WIDTH - 35), dice.real(35, HEIGHT - 35)), size, calm=1.6)
    if leaves_within:
        out = WIDTH - path.start[0] + 80 if path.start[0] > WIDTH / 2 else -path.start[0] - 80
        begin = leaves_within * dice.real(0.15, 0.3)
        path = replace(path, away=(out, 0.0), gone=(begin, begin + leaves_within * 0.55))
    if lookalike:
        return Actor(first.shape, alike(first.skin, dice), path)
    return Actor(make_shape(dice), make_skin(dice), path)


def _numbered(actors: list[Actor], target: Actor, crossing: bool) -> tuple[Actor, ...]:
    """The actors with their labels: the target is 1; what hides it is one if it starts in view."""
    numbered = []
    count = 1
    for rank, actor in enumerate(actors):
        label = 0
        if actor is target:
            label = 1
        elif rank < len(actors) - 1 or (crossing and _in_view(actor)):
            count += 1
            label = count
        numbered.append(replace(actor, label=label))
    return tuple(numbered)


def _in_view(actor: Actor) -> bool:
    pose = actor.path.at(0)
    return pose.size < pose.x < WIDTH - pose.size and pose.size < pose.y < HEIGHT - pose.size


def _starts_well(scene: Scene) -> bool:
    """Whether every object is well seen on frame 0."""
    labels, areas, _ = scene.labels(0)
    visible = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
    return all(
        count >= max(_LEAST_PIXELS, _LEAST_SEEN * area)
        for count, area in zip(visible, areas, strict=True)
    )


def _happens(scene: Scene, frames: int) -> bool:
    """Whether what the scene is about can be seen in its frames.

    Object 1 must be mostly hidden for a while and well seen afterwards; a thing that leaves must be
    gone for a while and come back.
    """
    covered = []
    shares = np.zeros((frames, scene.num_objects))
    for time in range(frames):
        labels, areas, hidden = scene.labels(time)
        visible = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
        shares[time] = visible / areas
        covered.append(hidden[0])
    enough = min(4, frames // 6)
    deepest = int(np.argmax(covered))
    if max(covered) < 0.85 or np.count_nonzero(shares[deepest:, 0] >= 0.7) < enough:
        return False
    for actor in scene.actors:
        if actor.label and actor.path.away != (0.0, 0.0):
            mine = shares[:, actor.label - 1]
            gone = np.flatnonzero(mine == 0)
            if len(gone) < 3 or np.count_nonzero(mine[gone[-1] :] >= 0.7) < min(3, frames // 6):
                return False
    return True


def _truth(
    footprints: list[tuple[Actor, Footprint]], count: int
) -> tuple[np.ndarray, tuple[int, ...], tuple[float, ...]]:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    areas, inside = [0] * count, [0] * count
    for actor, print_ in footprints:
        labels[print_.rows, print_.columns][print_.mask] = actor.label
        if actor.label:
            areas[actor.label - 1] = print_.area
            inside[actor.label - 1] = int(np.count_nonzero(print_.mask))
    visible = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    covered = tuple(
        1 - int(pixels) / whole if whole else 0.0
        for pixels, whole in zip(visible, inside, strict=True)
    )
    return labels, tuple(areas), covered
