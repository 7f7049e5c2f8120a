"""Makes the goldens of this folder with the reference's own functions.

Runs with torch, sam2 (as tests/parity/reference_model.py says), opencv-python and pycocotools:

    python -m tests.everything.make_goldens
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.everything.drawn import SETTINGS, draw_shapes

# isort: split
from tests.parity import reference_model  # it lets torchvision import without its operators

# isort: split
import torch
import torchvision.ops.boxes as torchvision_boxes
from pycocotools import mask as coco
from sam2 import automatic_mask_generator as reference
from sam2.utils import amg

HERE = Path(__file__).parent


def nms(boxes: Any, scores: Any, threshold: float) -> Any:
    """What torchvision's compiled operator does."""
    order = torch.sort(scores, descending=True, stable=True).indices.tolist()
    kept: list[int] = []
    for candidate in order:
        overlaps = torchvision_boxes.box_iou(boxes[[candidate]], boxes[kept])
        if not (overlaps.double() > threshold).any():
            kept.append(candidate)
    return torch.tensor(kept, dtype=torch.int64)


def masks() -> np.ndarray:
    """bool (N, 13, 17): empty, full, single pixels, borders, and random ones."""
    random = np.random.default_rng(0)
    found = [np.zeros((13, 17), bool), np.ones((13, 17), bool)]
    for y, x in ((0, 0), (0, 16), (12, 0), (12, 16), (6, 8)):
        found.append(np.zeros((13, 17), bool))
        found[-1][y, x] = True
    for part in ((slice(0, 1), slice(None)), (slice(12, 13), slice(None))):
        found.append(np.zeros((13, 17), bool))
        found[-1][part] = True
        found.append(np.zeros((13, 17), bool))
        found[-1][:, part[0] if part[0].start == 0 else slice(16, 17)] = True
    found += [random.random((13, 17)) < share for share in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)]
    return np.stack(found)


def helper_cases() -> dict[str, Any]:
    """What the reference's helper functions answer."""
    shapes = masks()
    tensors = torch.from_numpy(shapes)
    random = np.random.default_rng(1)
    logits = (random.standard_normal((6, 9, 11)) * 2).astype(np.float32)
    logits[4] = -9
    boxes = random.integers(0, 200, (40, 4))
    crop = [20, 30, 160, 190]
    rles = amg.mask_to_rle_pytorch(tensors)
    packed = [amg.coco_encode_rle(rle) for rle in rles]
    return {
        "masks": np.packbits(shapes, axis=2).tolist(),
        "boxes": amg.batched_mask_to_box(tensors).tolist(),
        "rles": rles,
        "coco": packed,
        "coco_areas": [int(coco.area(rle)) for rle in packed],
        "coco_boxes": [coco.toBbox(rle).tolist() for rle in packed],
        "small": [
            [area, mode, *_small(mask, area, mode)]
            for mask in shapes
            for area in (1, 2, 6)
            for mode in ("holes", "islands")
        ],
        "logits": logits.tolist(),
        "stability": [
            [t, o, amg.calculate_stability_score(torch.from_numpy(logits[:4]), t, o).tolist()]
            for t, o in ((0.0, 1.0), (0.5, 0.5), (-1.0, 0.0))
        ],
        "grids": {side: amg.build_point_grid(side).tolist() for side in (1, 2, 5)},
        "layer_sizes": [
            [side, layers, factor, [len(g) for g in _grids(side, layers, factor)]]
            for side, layers, factor in ((32, 0, 1), (8, 2, 2), (9, 1, 2))
        ],
        "crops": [
            [height, width, layers, ratio, *amg.generate_crop_boxes((height, width), layers, ratio)]
            for height, width, layers, ratio in (
                (1, 1, 0, 0.3),
                (37, 53, 1, 512 / 1500),
                (480, 640, 2, 512 / 1500),
                (1080, 1920, 3, 0.25),
                (301, 97, 2, 0.0),
            )
        ],
        "edge_boxes": boxes.tolist(),
        "near_edge": amg.is_box_near_crop_edge(
            torch.from_numpy(boxes), crop, [0, 0, 180, 190]
        ).tolist(),
    }


def _grids(side: int, layers: int, factor: int) -> list[np.ndarray]:
    return amg.build_all_layer_point_grids(side, layers, factor)


def _small(mask: np.ndarray, area: int, mode: str) -> tuple[Any, bool]:
    cleaned, changed = amg.remove_small_regions(mask, area, mode)
    return np.packbits(cleaned, axis=1).tolist(), changed


def generator_cases() -> dict[str, Any]:
    """Everything in the drawn picture, as the reference finds it with the bundled weights."""
    reference_model._library.impl("nms", nms, "CPU")
    torchvision_boxes._assert_has_ops = lambda: None
    reference.SAM2ImagePredictor = lambda model, **_: reference_model.image_predictor(model)
    model = reference_model.build("nano", 256)
    picture = draw_shapes()
    found = {}
    for name, options in SETTINGS.items():
        generator = reference.SAM2AutomaticMaskGenerator(
            model, output_mode="uncompressed_rle", **options
        )
        found[name] = generator.generate(picture)
        print(name, len(found[name]), [record["area"] for record in found[name]])
    return found


def write(name: str, content: Any) -> None:
    """Write one golden; the same content gives the same bytes."""
    data = json.dumps(content, separators=(",", ":")).encode()
    path = HERE / "goldens" / f"{name}.json.gz"
    path.write_bytes(gzip.compress(data, mtime=0))
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    write("helpers", helper_cases())
    write("generator", generator_cases())
