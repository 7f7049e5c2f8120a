"""What the Swift package must agree with, written by the Python it follows.

    python -m tests.exporting.golden

writes swift/Tests/Sam2CoreTests/Golden/core.json; test_golden.py finds out if that is needed.
"""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.apps.fields import read_fields
from sam2_mlx.apps.serving.pixels import PIXELS, to_rgb
from sam2_mlx.ops import rle
from sam2_mlx.ops.masks import fill_holes
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.upsample import upsample_threshold
from sam2_mlx.tracking.memory_schedule import (
    MemorySchedule,
    plan_memory,
    pointer_needed,
    spent_prompts,
    tokens_needed,
)
from sam2_mlx.transforms import resize_frame, resize_image

PATH = Path(__file__).resolve().parents[2] / "swift/Tests/Sam2CoreTests/Golden/core.json"


def golden() -> dict[str, Any]:
    """Everything, as JSON has it."""
    return {
        "plans": plans(),
        "frames": frames(),
        "conversions": conversions(),
        "masks": masks(),
    }


def plans() -> list[dict[str, Any]]:
    dice, found = random.Random(1), []
    for _ in range(300):
        length = dice.choice([None, 3, 12, 60])
        limit = dice.choice([2, 4, 8])
        frame = dice.randrange(length or 60)
        every = list(range(length or 60))
        prompted = dice.sample(every, min(dice.randrange(1, 12), len(every)))
        recent = sorted(set(dice.sample(every, dice.randrange(len(every)))) - set(prompted))
        reverse = dice.random() < 0.4
        schedule = MemorySchedule(max_prompted=limit, clip_length=length)
        plan = plan_memory(frame, prompted, recent, schedule, reverse)
        found.append(
            {
                "length": length,
                "limit": limit,
                "frame": frame,
                "prompted": prompted,
                "recent": recent,
                "backwards": reverse,
                "spatial": plan.spatial,
                "pointers": plan.pointers,
                "span": plan.pointer_span,
                "spent": spent_prompts(frame, prompted, schedule, reverse),
                "tokens": [t for t in every if tokens_needed(t, frame, schedule)],
                "kept": [t for t in every if pointer_needed(t, frame, schedule)],
            }
        )
    return found


def frames() -> list[dict[str, Any]]:
    found = []
    for seed, (height, width, side) in enumerate([(19, 33, 8), (9, 7, 16), (16, 40, 16)]):
        picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        found.append(
            {
                "width": width,
                "height": height,
                "side": side,
                "pixels": packed(picture),
                "frame": packed(resize_frame(picture, side)),
                "picture": packed(resize_image(picture, side).astype("<f4")),
            }
        )
    return found


def conversions() -> list[dict[str, Any]]:
    width, height, stride = 9, 6, 44
    data = np.random.default_rng(7).integers(0, 256, 1000, np.uint8).tobytes()
    base: dict[str, Any] = {"width": width, "height": height, "stride": stride}
    cases = [{**base, "format": form} for form in ("BGRA", "RGBA", "RGB")]
    cases += [{**base, "format": "RGB", "orientation": number} for number in range(1, 9)]
    planes = {"format": "NV12", "stride": 12, "plane2_offset": 80, "plane2_stride": 14}
    for matrix in (601, 709):
        for span in ("video", "full"):
            cases.append({**base, **planes, "matrix": matrix, "range": span})
    found = []
    for case in cases:
        layout = read_fields({"pixels": case}, {"pixels": PIXELS})["pixels"]
        used = data[: layout.length]
        found.append({**case, "data": packed(used), "rgb": packed(to_rgb(layout, used))})
    return found


def masks() -> list[dict[str, Any]]:
    found = []
    for seed, (side, width, height) in enumerate([(16, 61, 45), (16, 16, 16), (24, 13, 50)]):
        random_ = np.random.default_rng(seed)
        coarse = random_.standard_normal((1, side // 4, side // 4)).astype(np.float32)
        logits = np.array(resize_maps(mx.array(coarse), (side, side)))[0] * 5
        logits += random_.standard_normal(logits.shape).astype(np.float32)
        filled = logits.copy()
        fill_holes(filled, 8, 0.1)
        mask = np.array(upsample_threshold(mx.array(logits), (height, width)))
        prompt = resize_maps(mx.array(mask[None, None].astype(np.float32)), (32, 32), "antialias")
        found.append(
            {
                "side": side,
                "width": width,
                "height": height,
                "logits": packed(logits.astype("<f4")),
                "filled": packed(filled.astype("<f4")),
                "counts": rle.mask_to_counts(mask).tolist(),
                "prompt": rle.mask_to_counts(np.array(prompt)[0, 0] >= 0.5).tolist(),
            }
        )
    return found


def packed(data: np.ndarray | bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(data if isinstance(data, bytes) else data.tobytes()).decode()


if __name__ == "__main__":
    PATH.write_text(json.dumps(golden()) + "\n")
    print(f"wrote {PATH}")
