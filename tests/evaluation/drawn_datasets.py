"""Small datasets of ellipses in both layouts, with found masks, the same on every machine.

Only whole numbers and `random.random()` decide about pixels.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 84
VOID = 255


def ellipse(x: int, y: int, a: int, b: int) -> np.ndarray:
    """bool (HEIGHT, WIDTH): within half axes a and b of (x, y)."""
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 * b * b + (rows - y) ** 2 * a * a <= a * a * b * b


class Wanderer:
    """An ellipse that moves, and a guess of it that is somewhat off."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.x, self.y = self.roll(10, WIDTH - 10), self.roll(10, HEIGHT - 10)
        self.a, self.b = self.roll(4, 16), self.roll(4, 16)

    def roll(self, low: int, high: int) -> int:
        return low + int(self.dice.random() * (high - low))

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """The true mask and the guess on the next frame."""
        self.x += self.roll(-3, 4)
        self.y += self.roll(-3, 4)
        off = [self.roll(-2, 3) for _ in range(4)]
        true = ellipse(self.x, self.y, self.a, self.b)
        guess = ellipse(self.x + off[0], self.y + off[1], self.a + off[2], self.b + off[3])
        kind = self.dice.random()
        if kind < 0.1:
            true = np.zeros_like(true)
        if kind < 0.05 or kind > 0.92:
            guess = np.zeros_like(guess)
        return true, guess


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette([i for value in range(256) for i in (value, 255 - value, value // 2)])
    image.save(path)


def save_frame(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), (number * 9) % 256, np.uint8)).save(path)


def draw_davis(root: Path, found: Path, frames: tuple[int, ...] = (9, 12, 5, 31)) -> None:
    """A dataset in the layout of DAVIS with a list `val`, and found masks."""
    names = [f"clip-{index}" for index in range(len(frames))]
    listed = root / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("\n".join(names) + "\n")
    for seed, (name, length) in enumerate(zip(names, frames, strict=True)):
        wanderers = [Wanderer(random.Random(100 * seed + k)) for k in range(2 + seed % 2)]
        for frame in range(length):
            values, guess = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(2))
            for number, wanderer in enumerate(wanderers, start=1):
                true, found_mask = wanderer.step()
                # The first annotation decides which objects there are.
                if frame == 0 and not true.any():
                    true = ellipse(wanderer.x, wanderer.y, wanderer.a, wanderer.b)
                values[true] = number
                guess[found_mask] = number
            if seed == 1 and frame % 4 == 2:
                values[20:30, 30:50] = VOID
            save_frame(root / "JPEGImages" / "480p" / name / f"{frame:05d}.jpg", frame)
            save(root / "Annotations" / "480p" / name / f"{frame:05d}.png", values)
            save(found / name / f"{frame:05d}.png", guess)


def draw_late(root: Path, found: Path) -> None:
    """A clip in the layout of DAVIS, and found masks: nothing on its first two frames, then two
    objects, of which one leaves again, and which are found late or too early."""
    wanderers = [Wanderer(random.Random(7 + number)) for number in range(2)]
    for frame in range(12):
        values, guess = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(2))
        for number, wanderer in enumerate(wanderers, start=1):
            true, found_mask = wanderer.step()
            if frame >= (2, 5)[number - 1] and (number == 1 or frame < 9):
                values[true] = number
            if frame >= (3, 2)[number - 1]:
                guess[found_mask] = number
        save_frame(root / "JPEGImages" / "late" / f"{frame:05d}.jpg", frame)
        save(root / "Annotations" / "late" / f"{frame:05d}.png", values)
        save(found / "late" / f"{frame:05d}.png", guess)


def draw_sav(root: Path, found: Path, frames: tuple[int, ...] = (25, 41)) -> None:
    """A dataset in the layout of SA-V, annotated on each fourth frame, and found masks."""
    for seed, length in enumerate(frames):
        name = f"sav_{seed:06d}"
        for frame in range(length):
            save_frame(root / "JPEGImages_24fps" / name / f"{frame:05d}.jpg", frame)
        for number in range(3):
            wanderer = Wanderer(random.Random(1000 + 10 * seed + number))
            for frame in range(0, length, 4):
                true, guess = wanderer.step()
                # Some objects come late, and one of them is found too early.
                if frame < 8 * number:
                    true = np.zeros_like(true)
                    if frame < 4 or seed == 0:
                        guess = np.zeros_like(guess)
                path = Path(name) / f"{number:03d}" / f"{frame:05d}.png"
                save(root / "Annotations_6fps" / path, true)
                save(found / path, guess)
