"""The check of a bundle: a click, one frame of tracking and a mask, and what they must give.

It is made by the model that was exported, and written into the bundle, so that an app can prove the
bundle on its own device before it uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mlx.core as mx
import numpy as np

from sam2_mlx.apps.exporting.facts import Facts, memory_example

_SLOT, _DISTANCE = -1, 1.0
Call = Callable[..., Sequence[mx.array]]


def make_check(call: Call, facts: Facts) -> dict[str, mx.array]:
    """Inputs, and what the model gives for them (`expect.*`); `call` has its functions."""
    side = facts.image_size
    y, x = np.mgrid[:side, :side] / side
    frames = np.stack([_picture(x, y, shift) for shift in (0.0, 0.05)])
    mask = ((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.04).astype(np.float32)[None, None]
    inputs = {
        "frames": mx.array(frames),
        "coords": mx.array([[[0.4 * side, 0.5 * side]]]),
        "labels": mx.array([[1]], mx.int32),
        "mask": mx.array(mask),
    }
    expected = follow(call, facts, inputs)
    mx.eval(expected)
    return {**inputs, **{f"expect.{name}": value for name, value in expected.items()}}


def follow(call: Call, facts: Facts, inputs: dict[str, mx.array]) -> dict[str, mx.array]:
    """A click on the first frame, tracking on the second, and a mask on the first.

    Args:
        call: the functions of a model or of a bundle.
        facts: of the bundle.
        inputs: `frames`, `coords`, `labels` and `mask`.

    Returns:
        float32: `coarse`, the first frame's features; `clicked`, `tracked` and `given`, logits.
    """
    coarse, fine, middle, bare = call(image=inputs["frames"][:1])
    points = {"coords": inputs["coords"], "labels": inputs["labels"]}
    clicked = call(conditioned=bare, fine=fine, middle=middle, **points)
    (tokens,) = call(coarse=coarse, shown=clicked[0], presence=clicked[3])
    masked = call(coarse=coarse, fine=fine, middle=middle, mask=inputs["mask"])
    later, fine, middle, _ = call(image=inputs["frames"][1:])
    arguments = memory_example(facts, later, (facts.tiers[0][0], facts.tiers[0][1]))
    arguments["spatial"][:, 0] = tokens
    arguments["slots"][0] = facts.memories + _SLOT
    arguments["pointers"][:, 0] = clicked[2]
    arguments["distances"][:, 0] = _DISTANCE / max(facts.max_pointers - 1, 1)
    arguments["used"] = mx.array([1, 1], mx.int32)
    (conditioned,) = call(**arguments)
    tracked = call(conditioned=conditioned, fine=fine, middle=middle)
    outputs = {"coarse": coarse, "clicked": clicked[0], "tracked": tracked[0], "given": masked[0]}
    return {name: value.astype(mx.float32) for name, value in outputs.items()}


def compare(call: Call, facts: Facts, check: dict[str, mx.array], where: Path) -> dict[str, float]:
    """Run functions on the inputs of a check.

    Args:
        call: the functions.
        facts: of the bundle.
        check: as `make_check` gave it.
        where: the bundle, for messages.

    Returns:
        For each output how far it is off, relative to the largest value.

    Raises:
        ValueError: if one is off by more than the bundle's tolerance.
    """
    errors = {}
    for name, value in follow(call, facts, check).items():
        wanted = check[f"expect.{name}"]
        error = mx.abs(value - wanted).max() / mx.maximum(mx.abs(wanted).max(), 1e-6)
        errors[name] = float(np.array(error))
    worst = max(errors, key=lambda name: errors[name] if errors[name] == errors[name] else np.inf)
    if not errors[worst] <= facts.tolerance:
        raise ValueError(
            f"{where} gives other numbers than its model: {worst} is off by {errors[worst]:.2g} "
            f"of its largest value, {facts.tolerance:g} is allowed; export it again here"
        )
    return errors


def _picture(x: np.ndarray, y: np.ndarray, shift: float) -> np.ndarray:
    """A bright disc before a striped wall, uint8 (S, S, 3)."""
    wall = 90 + 60 * np.sin(40 * x + 9 * y) + 30 * np.sin(23 * y)
    disc = (x - 0.4 - shift) ** 2 + (y - 0.5) ** 2 < 0.04
    channels = [np.where(disc, 220, wall), np.where(disc, 150, 0.8 * wall), 0.5 * wall]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)
