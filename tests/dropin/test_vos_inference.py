"""Meta's `tools/vos_inference.py`: annotated first masks in, palette pictures out."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sam2_mlx.build_sam import build_sam2_video_predictor

from tests.dropin.conftest import CHECKPOINT, CONFIG, LENGTH

PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def _first_masks(size: tuple[int, int]) -> dict[int, np.ndarray]:
    masks = {number: np.zeros(size, bool) for number in (1, 2)}
    masks[1][90:150, 70:145] = True
    masks[2][165:225, 485:555] = True
    return masks


def _combined(masks: dict[int, np.ndarray], height: int, width: int) -> np.ndarray:
    picture = np.zeros((height, width), dtype=np.uint8)
    for number in sorted(masks)[::-1]:
        picture[masks[number].reshape(height, width)] = number
    return picture


def _names(folder: str) -> list[str]:
    names = [os.path.splitext(name)[0] for name in os.listdir(folder) if name.endswith(".jpg")]
    return sorted(names, key=int)


@pytest.mark.parametrize("apart", [True, False])
def test_objects_of_the_first_frame(folder: str, tmp_path: Path, apart: bool) -> None:
    predictor = build_sam2_video_predictor(
        config_file=CONFIG,
        ckpt_path=CHECKPOINT,
        apply_postprocessing=False,
        hydra_overrides_extra=["++model.non_overlap_masks=" + ("true" if apart else "false")],
        vos_optimized=False,
    )
    assert predictor.fill_hole_area == 0 and predictor.non_overlap_masks is apart
    state = predictor.init_state(video_path=folder, async_loading_frames=False)
    height, width = state["video_height"], state["video_width"]
    for number, mask in _first_masks((height, width)).items():
        predictor.add_new_mask(inference_state=state, frame_idx=0, obj_id=number, mask=mask)
    segments: dict[int, dict[int, np.ndarray]] = {}
    for frame, numbers, logits in predictor.propagate_in_video(state):
        segments[frame] = {
            number: (logits[i] > 0.0).cpu().numpy() for i, number in enumerate(numbers)
        }
    names = _names(folder)
    for frame, masks in segments.items():
        picture = Image.fromarray(_combined(masks, height, width))
        picture.putpalette(PALETTE)
        picture.save(tmp_path / f"{names[frame]}.png")
        if apart:
            assert not (masks[1] & masks[2]).any()
    first = np.array(Image.open(tmp_path / "00000.png"))
    given = _first_masks((height, width))
    assert all(((first == n) & given[n]).sum() / given[n].sum() > 0.9 for n in given)
    assert len(list(tmp_path.glob("*.png"))) == LENGTH


def test_objects_that_come_later(folder: str) -> None:
    """Each object on its own; the scores are put together and made not to overlap afterwards."""
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT)
    state = predictor.init_state(video_path=folder)
    height, width = state["video_height"], state["video_width"]
    begins = {1: 0, 2: 2}
    scores: dict[int, dict[int, Any]] = defaultdict(dict)
    for number, mask in _first_masks((height, width)).items():
        predictor.reset_state(state)
        predictor.add_new_mask(
            inference_state=state, frame_idx=begins[number], obj_id=number, mask=mask
        )
        for frame, _, logits in predictor.propagate_in_video(
            state, start_frame_idx=begins[number], reverse=False
        ):
            scores[number][frame] = logits.cpu().numpy()
    for frame in range(LENGTH):
        joined = np.full((2, 1, height, width), -1024.0, np.float32)
        for i, number in enumerate(sorted(scores)):
            if frame in scores[number]:
                joined[i] = scores[number][frame]
        apart = predictor._apply_non_overlapping_constraints(joined)
        masks = {n: (apart[i] > 0.0).cpu().numpy() for i, n in enumerate(sorted(scores))}
        assert not (masks[1] & masks[2]).any()
        assert masks[2].any() == (frame >= begins[2])
