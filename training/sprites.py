"""The pictures that training clips are put together from: sprites with alpha, and backgrounds.

    python -m training.sprites BANK.npz --assets ASSETS

ASSETS is what `training.assets` fetched: emoji (`fluent/`, `google/`) and photographs (`photos/`).
Without it the bank holds drawn things only. Nothing that the held-out clips are drawn from is in
it: their seeds are reserved, and a hash of the name keeps every tenth emoji and photograph out.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from training.drawing.dice import Dice
from training.drawing.shapes import make_shape
from training.drawing.textures import make_ground, make_skin
from training.heldout import FIRST_SEED

CANVAS = 128
"""Side of a sprite in pixels."""
RADIUS = 40.0
"""Pixels from a drawn sprite's centre that one of its radii takes: shapes reach out to 1.5."""
GROUND_HEIGHT = 320
_DRAWN_SEED = 10_000
_GROUND_SEED = 400_000
_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
_SKIN_TONE = re.compile(r"1f3f[b-f]")


@dataclass(frozen=True)
class Bank:
    """Everything that a training clip can show.

    Attributes:
        sprites: uint8 (N, 128, 128, 4), RGB multiplied by alpha.
        kinds: uint8 (N,), 0 drawn, 1 emoji, 2 cut out of a photograph.
        grounds: uint8 pictures (H, W, 3), at least 320 high and wide.
        regions: for each ground, uint16 (H, W) numbers of regions that can be a target; 0 is none.
            Drawn grounds have none.
    """

    sprites: np.ndarray
    kinds: np.ndarray
    grounds: list[np.ndarray]
    regions: list[np.ndarray]

    def save(self, path: Path) -> None:
        """Write it."""
        arrays = {"sprites": self.sprites, "kinds": self.kinds}
        for index, (ground, region) in enumerate(zip(self.grounds, self.regions, strict=True)):
            arrays[f"ground{index}"], arrays[f"region{index}"] = ground, region
        beside = path.with_suffix(".part.npz")
        np.savez(beside, allow_pickle=False, **arrays)
        beside.replace(path)

    @staticmethod
    def load(path: Path) -> Bank:
        """Read it.

        Args:
            path: what `save` wrote.
        """
        with np.load(path, allow_pickle=False) as stored:
            count = sum(name.startswith("ground") for name in stored.files)
            return Bank(
                stored["sprites"],
                stored["kinds"],
                [stored[f"ground{index}"] for index in range(count)],
                [stored[f"region{index}"] for index in range(count)],
            )


def drawn_sprite(seed: int) -> np.ndarray:
    """A drawn thing on a canvas: uint8 (128, 128, 4), RGB multiplied by alpha."""
    if seed >= FIRST_SEED:
        raise ValueError(f"seeds from {FIRST_SEED} on are for measuring; got {seed}")
    dice = Dice(seed)
    shape, skin = make_shape(dice), make_skin(dice)
    rows, columns = np.mgrid[:CANVAS, :CANVAS].astype(np.float64)
    x, y = (columns - CANVAS / 2 + 0.5) / RADIUS, (rows - CANVAS / 2 + 0.5) / RADIUS
    alpha = np.clip(shape.depth(x, y, 0.0) * RADIUS + 0.5, 0, 1)[..., None]
    colors = np.clip(skin(x, y), 0, 255) * alpha
    return np.concatenate([colors, 255 * alpha], axis=-1).round().astype(np.uint8)


def drawn_ground(seed: int) -> np.ndarray:
    """A drawn background: uint8 (320, 512, 3)."""
    rows, columns = np.mgrid[:GROUND_HEIGHT, :512].astype(np.float64)
    texture = make_ground(Dice(seed))
    colors = texture(columns / GROUND_HEIGHT, rows / GROUND_HEIGHT)
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)


def cut_regions(photo: np.ndarray) -> np.ndarray:
    """Compact regions of a photograph that look like things.

    Args:
        photo: uint8 (H, W, 3).

    Returns:
        uint16 (H, W): numbers from 1 on; 0 is everything else.
    """
    from skimage.segmentation import felzenszwalb

    half = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    segments = felzenszwalb(half, scale=400, sigma=0.9, min_size=120)
    regions = np.zeros(segments.shape, np.uint16)
    count = 0
    for number in range(int(segments.max()) + 1):
        mask = (segments == number).astype(np.uint8)
        if not 0.004 < mask.mean() < 0.15:
            continue
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        parts, labels, boxes, _ = cv2.connectedComponentsWithStats(mask)
        if parts < 2:
            continue
        largest = 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))
        _, _, width, height, area = boxes[largest]
        if area < 0.45 * width * height or min(width, height) < 10:
            continue
        count += 1
        regions[labels == largest] = count
    size = photo.shape[1], photo.shape[0]
    return cv2.resize(regions, size, interpolation=cv2.INTER_NEAREST)


def cutouts(photo: np.ndarray, regions: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Sprites of a photograph's largest regions."""
    areas = np.bincount(regions.ravel())
    for number in np.argsort(-areas)[: most + 1]:
        if number == 0 or areas[number] == 0:
            continue
        mask = (regions == number).astype(np.uint8) * 255
        alpha = cv2.GaussianBlur(mask, (0, 0), 1.0)
        sprite = centred(np.dstack([photo, alpha]))
        if sprite is not None:
            yield sprite


def centred(picture: np.ndarray) -> np.ndarray | None:
    """What is opaque of a picture, scaled to the canvas.

    Args:
        picture: uint8 (H, W, 4) RGBA, not multiplied.

    Returns:
        A sprite, or None where next to nothing is opaque.
    """
    rows, columns = np.nonzero(picture[..., 3] > 20)
    if len(rows) < 60:
        return None
    part = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    part = part.astype(np.float32)
    part[..., :3] *= part[..., 3:] / 255
    scale = (CANVAS - 16) / max(part.shape[:2])
    size = max(4, int(part.shape[1] * scale)), max(4, int(part.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.resize(part, size, interpolation=how).clip(0, 255)
    sprite = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    top, left = (CANVAS - size[1]) // 2, (CANVAS - size[0]) // 2
    sprite[top : top + size[1], left : left + size[0]] = part.round()
    return sprite if (sprite[..., 3] > 127).mean() > 0.05 else None


def build(assets: Path | None, drawn: int, grounds: int) -> Bank:
    """Draw, cut out and collect.

    Args:
        assets: see the head of this file; None takes drawn things only.
        drawn: how many things to draw.
        grounds: how many backgrounds to draw.
    """
    sprites = [drawn_sprite(_DRAWN_SEED + index) for index in range(drawn)]
    kinds = [0] * len(sprites)
    pictures = [drawn_ground(_GROUND_SEED + index) for index in range(grounds)]
    regions = [np.zeros((1, 1), np.uint16)] * len(pictures)
    if assets is not None:
        for emoji in _emoji(assets):
            sprites.append(emoji)
            kinds.append(1)
        for photo in _photos(assets / "photos"):
            labels = cut_regions(photo)
            pictures.append(photo)
            regions.append(labels)
            for sprite in cutouts(photo, labels, 10):
                sprites.append(sprite)
                kinds.append(2)
    return Bank(np.stack(sprites), np.array(kinds, np.uint8), pictures, regions)


def main(argv: Sequence[str] | None = None) -> int:
    """Make a bank.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.sprites", description="Collect what training clips show."
    )
    parser.add_argument("output", metavar="BANK.npz", type=Path)
    parser.add_argument("--assets", type=Path, help="folder with fluent/, google/ and photos/")
    parser.add_argument("--drawn", type=int, default=2500)
    parser.add_argument("--grounds", type=int, default=240)
    args = parser.parse_args(argv)
    if args.output.suffix != ".npz":
        parser.error(f"the bank is an .npz file; got {args.output}")
    if args.assets is not None and not args.assets.is_dir():
        parser.error(f"{args.assets} is not a folder; `python -m training.assets` fills one")
    bank = build(args.assets, args.drawn, args.grounds)
    bank.save(args.output)
    count = np.bincount(bank.kinds, minlength=3)
    print(f"{count[0]} drawn, {count[1]} emoji, {count[2]} cut-outs")
    print(f"{len(bank.grounds)} backgrounds, {count.sum()} sprites: {args.output}")
    return 0


def held_out(name: str) -> bool:
    """Whether a picture of this name is kept out of training."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0


def _emoji(assets: Path) -> Iterator[np.ndarray]:
    for folder in (assets / "fluent", assets / "google"):
        for path in sorted(folder.rglob("*")):
            name = path.stem.lower()
            if path.suffix.lower() not in _PICTURES or _SKIN_TONE.search(name) or held_out(name):
                continue
            with Image.open(path) as picture:
                sprite = centred(np.asarray(picture.convert("RGBA")))
            if sprite is not None:
                yield sprite


def _photos(folder: Path) -> Iterator[np.ndarray]:
    """Photographs, each once, scaled so that they are 400 pixels high or wide at least."""
    thumbnails: set[bytes] = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _PICTURES or path.is_symlink() or held_out(path.name):
            continue
        with Image.open(path) as opened:
            if min(opened.size) < 320:
                continue
            opened.draft("RGB", (1600, 1600))
            photo = np.asarray(opened.convert("RGB"))
        scale = 400 / min(photo.shape[:2])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photo = np.ascontiguousarray(photo[:900, :900])
        key = (cv2.resize(photo, (8, 8), interpolation=cv2.INTER_AREA) // 24).tobytes()
        if key not in thumbnails:
            thumbnails.add(key)
            yield photo


if __name__ == "__main__":
    sys.exit(main())
