"""What those programs do with tensors; only where torch is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sam2_mlx.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_mlx.build_sam import build_sam2, build_sam2_video_predictor
from sam2_mlx.sam2_image_predictor import SAM2ImagePredictor
from sam2_mlx.utils import amg
from sam2_mlx.utils.misc import mask_to_box

from tests.dropin.conftest import CHECKPOINT, CONFIG, FISH, LENGTH

LOOSE = {"points_per_side": 3, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.1}

torch = pytest.importorskip("torch")


@pytest.fixture
def logits(folder: str) -> Any:
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT, device=torch.device("cpu"))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        state = predictor.init_state(folder)
        _, _, logits = predictor.add_new_points_or_box(
            state, 0, 1, points=torch.tensor([FISH]), labels=torch.tensor([1])
        )
    return logits


def test_tensors_as_prompts(frames) -> None:
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, CHECKPOINT, device=torch.device("cpu")))
    predictor.set_image(frames[0])
    wanted, _, low = predictor.predict(np.array([FISH]), np.array([1]), multimask_output=False)
    for kind in (torch.float32, torch.bfloat16, torch.int64):
        points = torch.tensor([FISH], dtype=kind)
        found, _, _ = predictor.predict(points, torch.tensor([1]), multimask_output=False)
        assert (found == wanted).mean() > 0.99
    points = torch.tensor([FISH], dtype=torch.float32, requires_grad=True)
    predictor.predict(points, torch.ones(1), mask_input=torch.from_numpy(low))
    predictor.predict(box=torch.tensor([[60, 80, 150, 160], [480, 160, 560, 230]]))


def test_results_go_where_tensors_go(logits) -> None:
    assert isinstance(torch.from_numpy(logits), torch.Tensor)
    assert torch.as_tensor(logits).shape == torch.tensor(logits).shape == (1, 1, 360, 640)
    assert torch.from_dlpack(logits).dtype == torch.float32
    assert torch.sigmoid(logits).max() <= 1
    assert torch.equal(torch.sigmoid(logits), torch.from_numpy(logits.numpy()).sigmoid())
    both = torch.cat([logits, torch.zeros(1, 1, 360, 640)], dim=0)
    assert both.shape == (2, 1, 360, 640)
    assert isinstance(torch.ones(360, 640) * logits, torch.Tensor)
    assert torch.nn.functional.interpolate(logits, size=(90, 160)).shape == (1, 1, 90, 160)
    assert torch.nonzero(logits[0, 0] > 0).shape[1] == 2
    assert (logits > 0).to(torch.uint8).dtype == np.uint8
    assert (logits > 0).to("cpu", dtype=torch.float32).dtype == np.float32
    assert logits.to(torch.device("cpu"), torch.bfloat16).dtype == np.float32
    assert torch.zeros(1).to(logits.device).device.type == "cpu"


def test_continuous_ids(logits, folder) -> None:
    """Grounded-SAM-2: masks stay what the predictor gave, and torch works on them."""
    mask = logits[0] > 0.0
    picture = torch.zeros(360, 640)
    picture[mask[0] == True] = 3  # noqa: E712 - as the program has it
    assert picture.max() == 3
    inside = torch.nonzero(mask[0])
    (y0, x0), (y1, x1) = inside.min(dim=0)[0], inside.max(dim=0)[0]
    box = mask_to_box(mask[None])[0, 0].tolist()
    assert box == [x0.item(), y0.item(), x1.item(), y1.item()]
    previous = torch.from_numpy(mask.cpu().numpy())[0]
    shared = (previous & torch.as_tensor(mask[0])).sum()
    assert shared / previous.sum() == 1


def test_separate_objects(folder) -> None:
    """Meta's `vos_inference`: scores are joined in a tensor, which the predictor takes."""
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT)
    scores = torch.full(size=(2, 1, 360, 640), fill_value=-1024.0, dtype=torch.float32)
    state = predictor.init_state(video_path=folder)
    for number, place in enumerate((FISH, (108, 121))):
        predictor.reset_state(state)
        predictor.add_new_points_or_box(state, 0, number, points=[place], labels=[1])
        *_, (frame, _, logits) = predictor.propagate_in_video(state)
        assert frame == LENGTH - 1
        scores[number] = torch.from_numpy(logits.cpu().numpy())
    apart = predictor._apply_non_overlapping_constraints(scores)
    masks = [(apart[i] > 0.0).cpu().numpy() for i in range(2)]
    assert not (masks[0] & masks[1]).any() and (masks[0] | masks[1]).any()


def test_masks_as_prompts(folder) -> None:
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT)
    state = predictor.init_state(folder)
    mask = torch.zeros(360, 640, dtype=torch.bool)
    mask[90:150, 70:145] = True
    _, _, logits = predictor.add_new_mask(state, 0, 1, mask)
    assert ((logits[0, 0] > 0).numpy() == mask.numpy()).mean() > 0.99


def test_helpers_take_tensors(frames) -> None:
    generator = SAM2AutomaticMaskGenerator(
        build_sam2(CONFIG, CHECKPOINT),
        points_per_side=3,
        pred_iou_thresh=0.1,
        stability_score_thresh=0.1,
    )
    records = generator.generate(frames[0])
    masks = torch.from_numpy(np.stack([record["segmentation"] for record in records]))
    assert amg.batched_mask_to_box(masks).shape == (len(records), 4)
    for mask, record in zip(masks, amg.mask_to_rle_pytorch(masks), strict=True):
        assert (amg.rle_to_mask(record) == mask.numpy()).all()
