"""The plain memory against another one, on drawn clips with look-alikes.

    python -m benchmarks.distractors --clips 12 --memory valid

Each clip has a target and two look-alikes that swim about, cross it, and sometimes all go behind a
post or out of the picture. The target is prompted with its true mask on frame 0. J is the mean IoU
with the true mask over the frames that show the target; a frame counts as swapped when the mask
lies on a look-alike instead; as found when the target is masked (IoU over 0.5) within the ten
frames after it was hidden.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

import sam2_mlx
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.tracking.policies import BOUNDED, MemoryKind

SIZE = 256


@dataclass
class Score:
    """What was found in one or more clips.

    Attributes:
        overlaps: IoU of each frame that shows the target.
        swapped: whether the mask lay on a look-alike, for each such frame.
        returned: whether the target was found again, for each time it came back.
        false_masks: whether there was a mask, for each frame without the target.
    """

    overlaps: list[float] = field(default_factory=list)
    swapped: list[bool] = field(default_factory=list)
    returned: list[bool] = field(default_factory=list)
    false_masks: list[bool] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Count another clip in."""
        for name in ("overlaps", "swapped", "returned", "false_masks"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self) -> str:
        parts = [
            f"J {np.mean(self.overlaps):.3f}",
            f"swapped {np.mean(self.swapped):6.1%}",
            f"found again {sum(self.returned)} of {len(self.returned)}",
        ]
        if self.false_masks:
            parts.append(f"mask without target {np.mean(self.false_masks):.0%}")
        return "  ".join(parts)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--look-alikes", type=int, default=2)
    parser.add_argument("--memory", choices=BOUNDED, default="distractor-aware")
    args = parser.parse_args(argv)
    policies: tuple[MemoryKind, ...] = ("rolling", args.memory)
    keep_freed_memory()
    model = sam2_mlx.load(args.model, image_size=args.image_size)
    totals = {policy: Score() for policy in policies}
    means: dict[str, list[float]] = {policy: [] for policy in policies}
    for number in range(args.clips):
        for policy in policies:
            clip = draw_clip(args.seed + number, args.frames, args.look_alikes)
            score = follow(model, clip, policy)
            totals[policy].add(score)
            means[policy].append(float(np.mean(score.overlaps)))
            print(f"clip {number:2d}  {policy:>16}: {score}")
            sys.stdout.flush()
    print()
    for policy in policies:
        print(f"all      {policy:>16}: {totals[policy]}")
    gains = np.subtract(means[args.memory], means["rolling"])
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
    title = f"J per clip, {args.memory} minus plain"
    print(f"{title}: {gains.mean():+.3f} (standard error {error:.3f});")
    print(
        f"better in {(gains > 0.01).sum()}, worse in {(gains < -0.01).sum()} of {len(gains)} clips"
    )
    return 0


def follow(model: Sam, clip: Iterator[tuple[np.ndarray, np.ndarray]], policy: MemoryKind) -> Score:
    """Follow the target through one clip.

    Args:
        model: the model.
        clip: frames and labels; see `draw_clip`.
        policy: the memory.

    Returns:
        What was found.
    """
    session = sam2_mlx.TrackingSession(model, memory=policy)
    score = Score()
    hidden, waiting = 0, 0
    for index, (image, labels) in enumerate(clip):
        masks = session.step(image)
        target = labels == 1
        if index == 0:
            session.prompt(1, mask=target)
            continue
        mask = masks.masks[0]
        if target.sum() < 60:
            hidden += 1
            score.false_masks.append(bool(mask.sum() >= 60))
            continue
        overlap = (mask & target).sum() / max((mask | target).sum(), 1)
        score.overlaps.append(float(overlap))
        inside = max(mask.sum(), 1)
        on_other = (mask & (labels > 1)).sum() / inside
        score.swapped.append(bool(mask.sum() >= 60 and overlap < 0.1 and on_other > 0.5))
        if hidden >= 3:
            waiting = 10
            score.returned.append(False)
        hidden = 0
        if waiting:
            waiting -= 1
            score.returned[-1] |= overlap > 0.5
    return score


def draw_clip(
    seed: int, frames: int, look_alikes: int = 2
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw a clip.

    Args:
        seed: of everything random in it.
        frames: its length.
        look_alikes: how many, up to two.

    Yields:
        uint8 (256, 256, 3) RGB, and uint8 (256, 256) labels: 1 the target, 2 and 3 look-alikes,
        0 the rest; what is hidden has no label.
    """
    random = np.random.default_rng(seed)
    ground = _texture(random, 7, random.uniform(20, 110, 3), 12)
    post = _texture(random, 5, random.uniform(90, 150, 3), 12)
    color = random.permutation([235.0, random.uniform(100, 220), random.uniform(20, 90)])
    shape = random.uniform(0.6, 1.4), random.uniform(0, 2 * np.pi), int(random.integers(3, 7))
    # The look-alikes have the target's shape, and nearly its colours.
    colors = [np.clip(color + random.normal(0, 14, 3) * (k > 0), 0, 255) for k in range(3)]
    stripes = 255 - color
    post_x = random.uniform(90, 170)
    paths = [_path(random) for _ in range(3)]
    while not _starts_clear(paths, post_x):
        paths = [_path(random) for _ in range(3)]
    leaves = seed % 3 == 1
    for index in range(frames):
        image = ground.copy()
        labels = np.zeros((SIZE, SIZE), np.uint8)
        # Who is in front changes from clip to clip.
        for k in np.roll([2, 0, 1], seed):
            if k > look_alikes:
                continue
            x, y, turn = paths[k](index)
            if leaves and k == 0 and 35 <= index < 50:
                x += SIZE * min(1.0, (index - 34) / 4, (50 - index) / 4)
            outline = _outline(x, y, turn, shape)
            cover = np.zeros((SIZE, SIZE), np.uint8)
            cv2.fillPoly(cover, [outline], 1)
            image[cover > 0] = colors[k]
            band = _stripe(x, y, turn) & (cover > 0)
            image[band] = stripes
            labels[cover > 0] = k + 1
        if not leaves:
            columns = slice(int(post_x), int(post_x) + 34)
            image[:, columns] = post[:, columns]
            labels[:, columns] = 0
        noisy = image + np.random.default_rng((seed, index)).normal(0, 5, image.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8), labels


def _starts_clear(paths: list, post_x: float) -> bool:
    """Whether the target is well seen on frame 0, where it is prompted."""
    (x, y, _), *others = (path(0) for path in paths)
    apart = all(np.hypot(x - u, y - v) > 75 for u, v, _ in others)
    return apart and abs(x - post_x - 17) > 60


def _path(random: np.random.Generator):  # type: ignore[no-untyped-def]
    """Where an object is on each frame: (x, y) in pixels and its turn in radians."""
    speed_x, speed_y = random.uniform(0.03, 0.07, 2)
    phase_x, phase_y, spin = random.uniform(0, 2 * np.pi, 3)

    def at(index: int) -> tuple[float, float, float]:
        x = SIZE / 2 + 92 * np.sin(speed_x * index + phase_x)
        y = SIZE / 2 + 85 * np.sin(speed_y * index + phase_y)
        return x, y, spin + 0.4 * np.sin(0.1 * index)

    return at


def _outline(x: float, y: float, turn: float, shape: tuple[float, float, int]) -> np.ndarray:
    squeeze, phase, lobes = shape
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 30 * (1 + 0.22 * np.cos(lobes * angle + phase))
    u, v = radius * np.cos(angle), radius * np.sin(angle) * squeeze
    points = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)])
    return np.round(points.T + (x, y)).astype(np.int32)


def _stripe(x: float, y: float, turn: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    return np.abs(np.abs(along) - 11) < 3


def _texture(
    random: np.random.Generator, cells: int, color: np.ndarray, contrast: float
) -> np.ndarray:
    coarse = random.normal(0, contrast, (cells, cells, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(fine + color, 0, 255))


if __name__ == "__main__":
    sys.exit(main())
