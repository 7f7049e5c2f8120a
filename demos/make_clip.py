"""Draw the bundled demo clip: three fish that cross each other behind swaying kelp.

Everything is computed: no picture, font or sound goes in, and the same numbers come out on every
run. Shapes are signed distances in pixels (negative inside), so their borders are smooth and the
true masks are exact.

    python demos/make_clip.py                 # writes the clip and the truth into the project
    python demos/make_clip.py --check folder  # writes some frames as PNGs to look at
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, RATE, FRAMES = 640, 360, 24, 120
# One click for each object on frame 0 that the tests and the README use: id -> (x, y).
CLICKS = {1: (105, 118), 2: (520, 196), 3: (250, 276)}
# The truth of every fourth frame is enough for a test.
TRUTH_STEP = 4

_ROOT = Path(__file__).resolve().parent.parent
CLIP = _ROOT / "sam2_mlx" / "assets" / "demo.mp4"
TRUTH = _ROOT / "tests" / "commands" / "data" / "demo_masks.npz"

_Y, _X = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
Array = np.ndarray


@dataclass
class Layer:
    """Something drawn: colour float32 (H, W, 3) in [0, 1] and cover (H, W) in [0, 1]."""

    color: Array
    cover: Array


def main() -> None:
    """Write the clip and the truth, or frames to look at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="only write PNGs to look at")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--truth", type=Path, default=TRUTH)
    args = parser.parse_args()
    if args.check:
        args.check.mkdir(parents=True, exist_ok=True)
        for number in range(0, FRAMES, 12):
            image, labels = draw_frame(number)
            sheet = np.concatenate([image, _paint(labels)], axis=1)
            cv2.imwrite(str(args.check / f"{number:03d}.png"), sheet[..., ::-1])
        return
    frames, truth = zip(*(draw_frame(number) for number in range(FRAMES)), strict=True)
    write_clip(args.clip, frames)
    args.truth.parent.mkdir(parents=True, exist_ok=True)
    clicks = np.array([[number, *point] for number, point in CLICKS.items()])
    chosen = np.arange(0, FRAMES, TRUTH_STEP)
    labels = np.stack([truth[number] for number in chosen])
    np.savez_compressed(args.truth, frames=chosen, labels=labels, clicks=clicks)
    print(f"{args.clip}: {args.clip.stat().st_size:,} bytes")
    print(f"{args.truth}: {args.truth.stat().st_size:,} bytes")


def write_clip(path: Path, frames: tuple[Array, ...]) -> None:
    """Encode the frames as H.264.

    Args:
        path: the mp4 file to write.
        frames: uint8 (H, W, 3) RGB.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"crf": "25", "preset": "slow", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def draw_frame(number: int) -> tuple[Array, Array]:
    """One frame and its truth.

    Args:
        number: of the frame, from zero.

    Returns:
        uint8 (H, W, 3) RGB, and uint8 (H, W): the object seen at each pixel, 0 for none.
    """
    time = number / RATE
    image = _water(time)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for object_id, layer in ((3, _puffer(time)), (1, _clownfish(time)), (2, _angelfish(time))):
        image = _over(image, layer)
        labels[layer.cover > 0.5] = object_id
    for layer in (_bubbles(time), _kelp(time)):
        image = _over(image, layer)
        labels[layer.cover > 0.5] = 0
    grain = np.random.default_rng(number).normal(0, 0.006, (HEIGHT, WIDTH, 1))
    return np.clip((image + grain) * 255 + 0.5, 0, 255).astype(np.uint8), labels


# --- the fish ----------------------------------------------------------------------------------


def _clownfish(time: float) -> Layer:
    """Orange with white bands; swims from left to right."""
    x = 105 + 92 * time
    y = 118 + 14 * np.sin(1.3 * time)
    u, v = _local(x, y, 0.10 * np.sin(1.3 * time + 1.2))
    v = v + 0.0011 * np.minimum(u - 20, 0) ** 2 * np.sin(7 * time)
    body = _ellipse(u, v, 72, 40)
    tail = _ellipse(u + 82, v, 24, 30)
    fin = _ellipse(u + 8, v + 38, 34, 15)
    below = _ellipse(u - 2, v - 38, 20, 13)
    shape = _join(_join(body, tail, 14), np.minimum(fin, below), 8)
    orange = _mix((0.98, 0.45, 0.05), (0.85, 0.22, 0.02), _smooth(-30, 35, v))
    color = orange * (0.92 + 0.08 * _texture(u, v, 5))[..., None]
    for place, width in ((36, 8), (-8, 11), (-58, 7)):
        band = np.abs(u - place + 0.004 * v**2) - width
        color = _blend(color, (0.10, 0.05, 0.05), _cover(band - 2.5))
        color = _blend(color, (0.97, 0.97, 0.95), _cover(band))
    color = _eye(color, u - 56, v + 9, 7)
    return Layer(_round(color, u / 80, v / 45), _cover(shape))


def _angelfish(time: float) -> Layer:
    """Tall, pink with dark stripes; swims from right to left, in front of the clownfish."""
    x = 520 - 84 * time
    y = 196 - 6 * time + 10 * np.sin(1.1 * time)
    u, v = _local(x, y, 0.08 * np.sin(1.6 * time))
    u = -u
    body = _ellipse(u, v, 50, 56)
    top = _ellipse(u + 22, v + 48, 22, 36)
    bottom = _ellipse(u + 22, v - 48, 22, 36)
    tail = _ellipse(u + 60, v + 4 * np.sin(8 * time), 18, 24)
    shape = _join(_join(body, np.minimum(top, bottom), 12), tail, 10)
    color = _mix((0.98, 0.55, 0.78), (0.80, 0.20, 0.52), _smooth(-10, 70, np.abs(v)))
    color = color * (0.93 + 0.07 * _texture(u, v, 4))[..., None]
    for place, width in ((24, 4), (-12, 5)):
        color = _blend(color, (0.50, 0.08, 0.35), _cover(np.abs(u - place) - width))
    color = _eye(color, u - 36, v + 10, 6.5)
    return Layer(_round(color, u / 62, v / 80), _cover(shape))


def _puffer(time: float) -> Layer:
    """Round and yellow with brown dots; hovers."""
    x = 250 + 40 * np.sin(0.7 * time)
    y = 276 + 10 * np.sin(1.9 * time)
    size = 43 + 3 * np.sin(1.2 * time)
    u, v = _local(x, y, 0.15 * np.sin(0.9 * time))
    body = _ellipse(u, v, size, size * 0.92)
    fins = np.minimum(
        _ellipse(u + size + 4, v - 4 * np.sin(9 * time), 15, 17),
        _ellipse(u - 4, v + size - 2, 18, 11),
    )
    color = _mix((0.98, 0.84, 0.25), (0.98, 0.95, 0.80), _smooth(0, size, v))
    dots = np.cos(u / size * 11) * np.cos(v / size * 11) - 0.45
    color = _blend(color, (0.60, 0.42, 0.10), np.clip(dots * 4, 0, 1) * (v < size * 0.35))
    color = _eye(color, u - size * 0.55, v + size * 0.25, 7.5)
    return Layer(_round(color, u / size, v / size), _cover(_join(body, fins, 8)))


def _eye(color: Array, u: Array, v: Array, size: float) -> Array:
    distance = np.hypot(u, v)
    color = _blend(color, (0.98, 0.98, 0.98), _cover(distance - size))
    color = _blend(color, (0.05, 0.05, 0.08), _cover(distance - size * 0.62))
    return _blend(color, (1.0, 1.0, 1.0), _cover(np.hypot(u + 1.5, v + 2) - size * 0.2))


# --- around them -------------------------------------------------------------------------------


def _water(time: float) -> Array:
    """Blue water with light from above, rocks, and sand with ripples."""
    depth = _Y / HEIGHT
    image = _mix((0.36, 0.76, 0.86), (0.03, 0.22, 0.42), np.sqrt(depth))
    slant = _X + 0.55 * _Y
    rays = np.zeros_like(_X)
    for wave, speed, phase in ((70, 9, 0.0), (113, -7, 1.0), (41, 5, 2.2)):
        rays += np.sin((slant + speed * time) * 2 * np.pi / wave + phase)
    image = image + (np.clip(rays, 0, None) * 0.035 * (1 - depth) ** 1.5)[..., None]
    for base, height, color, seed in (
        (235, 40, (0.07, 0.30, 0.44), 3),
        (275, 34, (0.05, 0.24, 0.36), 8),
    ):
        edge = base - height * _ridge(seed)
        rough = 0.85 + 0.3 * _noise(seed, 12)
        image = _blend(image, np.array(color) * rough[..., None], _cover(edge[None] - _Y))
    ground = 318 + 7 * _ridge(21)
    sand = _mix((0.80, 0.72, 0.52), (0.55, 0.47, 0.33), _smooth(310, 360, _Y))
    ripples = np.sin(_Y * 0.9 + 3 * np.sin(_X * 0.045) + _X * 0.02)
    sand = sand * (0.92 + 0.05 * ripples + 0.12 * (_noise(5, 3) - 0.5))[..., None]
    return _blend(image, sand, _cover(ground[None] - _Y))


def _bubbles(time: float) -> Layer:
    """Small rising rings."""
    random = np.random.default_rng(4)
    cover = np.zeros_like(_X)
    for _ in range(14):
        x, y, size, speed, phase = random.uniform((20, 0, 2.5, 34, 0), (620, 400, 6, 60, 6))
        y = (y - speed * time) % 400 - 20
        distance = np.hypot(_X - x - 5 * np.sin(2 * time + phase), _Y - y)
        ring = np.exp(-(((distance - size) / 1.1) ** 2)) * 0.75
        cover = np.maximum(cover, np.where(distance < size, np.maximum(ring, 0.18), ring))
    # Light enough not to hide what is behind them.
    return Layer(np.full((HEIGHT, WIDTH, 3), (0.85, 0.96, 1.0), np.float32), cover * 0.45)


def _kelp(time: float) -> Layer:
    """Green strands in the foreground, which the fish pass behind."""
    color = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    cover = np.zeros_like(_X)
    for root, top, width, phase in ((478, 90, 8, 0.0), (500, 150, 7, 1.7), (40, 190, 9, 0.8)):
        rise = (HEIGHT - _Y) / (HEIGHT - top)
        centre = root + 16 * rise * np.sin(1.4 * time + 2.2 * rise + phase)
        blade = width * (1 - np.clip(rise, 0, 1) ** 3) * (0.8 + 0.3 * np.sin(_Y * 0.16 + phase))
        strand = _cover(np.abs(_X - centre) - blade) * (rise < 1)
        tone = 0.8 + 0.25 * np.cos((_X - centre) / width * 1.4)
        color = _blend(color, np.array((0.13, 0.42, 0.16)) * tone[..., None], strand)
        cover = np.maximum(cover, strand)
    return Layer(color, cover)


# --- drawing -----------------------------------------------------------------------------------


def _local(x: float, y: float, angle: float) -> tuple[Array, Array]:
    """Pixel coordinates around a centre, turned by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return (_X - x) * cos + (_Y - y) * sin, (_Y - y) * cos - (_X - x) * sin


def _ellipse(u: Array, v: Array, a: float, b: float) -> Array:
    """Signed distance to an ellipse, to first order."""
    inner = np.hypot(u / a, v / b)
    slope = np.hypot(u / a**2, v / b**2)
    return (inner - 1) * inner / np.maximum(slope, 1e-6)


def _join(one: Array, other: Array, soft: float) -> Array:
    """Union of two shapes with a rounded seam."""
    share = np.clip(0.5 + 0.5 * (other - one) / soft, 0, 1)
    return other * (1 - share) + one * share - soft * share * (1 - share)


def _cover(distance: Array) -> Array:
    return np.clip(0.5 - distance, 0, 1)


def _smooth(low: float, high: float, value: Array) -> Array:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _mix(one: tuple[float, ...], other: tuple[float, ...], share: Array) -> Array:
    share = share[..., None].astype(np.float32)
    return np.array(one, np.float32) * (1 - share) + np.array(other, np.float32) * share


def _blend(image: Array, color: Array | tuple[float, ...], cover: Array) -> Array:
    cover = cover[..., None]
    return (image * (1 - cover) + np.asarray(color) * cover).astype(np.float32)


def _over(image: Array, layer: Layer) -> Array:
    return _blend(image, layer.color, layer.cover)


def _round(color: Array, u: Array, v: Array) -> Array:
    """Light from above left on a bulging body."""
    bulge = np.sqrt(np.clip(1 - 0.75 * (u**2 + v**2), 0, 1))
    light = 0.72 + 0.34 * bulge - 0.14 * v
    return color * np.clip(light, 0.35, 1.15)[..., None]


def _texture(u: Array, v: Array, size: float) -> Array:
    """Scales: rows of arcs in [-1, 1]."""
    return np.sin(u / size + np.sin(v / size)) * np.cos(v / size)


def _ridge(seed: int) -> Array:
    """A rolling outline, (WIDTH,) in about [-1, 1]."""
    random = np.random.default_rng(seed)
    x = np.arange(WIDTH, dtype=np.float32)
    waves = [
        np.sin(x * 2 * np.pi / length + random.uniform(0, 6.28)) * length / 300
        for length in (310, 170, 83, 37)
    ]
    return np.sum(waves, axis=0)


def _noise(seed: int, size: int) -> Array:
    """Soft random spots of about `size` pixels, (H, W) in [0, 1]."""
    coarse = np.random.default_rng(seed).random((HEIGHT // size + 2, WIDTH // size + 2))
    return cv2.resize(coarse.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _paint(labels: Array) -> Array:
    colors = np.array([(0, 0, 0), (255, 120, 0), (240, 110, 180), (250, 220, 80)], np.uint8)
    return colors[labels]


if __name__ == "__main__":
    main()
