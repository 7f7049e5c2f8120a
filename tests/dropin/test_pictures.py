"""Programs that segment single pictures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sam2_mlx.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_mlx.build_sam import build_sam2, build_sam2_hf
from sam2_mlx.sam2_image_predictor import SAM2ImagePredictor

from tests.dropin.conftest import CHECKPOINT, CONFIG, FISH

BOX = [60, 80, 150, 160]
LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.2}


def _outlined(mask: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """A mask as the notebooks show it: coloured, with its outline."""
    height, width = mask.shape[-2:]
    mask = mask.astype(np.uint8)
    colour = np.array([30 / 255, 144 / 255, 255 / 255, 0.6])
    picture = mask.reshape(height, width, 1) * colour.reshape(1, 1, -1)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contours = [cv2.approxPolyDP(one, epsilon=0.01, closed=True) for one in contours]
    return cv2.drawContours(picture, contours, -1, (1, 1, 1, 0.5), thickness=2), contours


def test_metas_picture_notebook(frames) -> None:
    image = np.array(Image.fromarray(frames[0]).convert("RGB"))
    model = build_sam2(CONFIG, CHECKPOINT, device="cpu")
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(image)
    embedding = predictor._features["image_embed"]
    assert embedding.shape == (1, 128, 16, 16) and embedding[-1].shape == (128, 16, 16)

    points, labels = np.array([FISH]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=points, point_labels=labels, multimask_output=True
    )
    order = np.argsort(scores)[::-1]
    masks, scores, logits = masks[order], scores[order], logits[order]
    assert masks.shape == (3, *image.shape[:2]) and masks.dtype == np.float32
    assert _outlined(masks[0])[1]

    best = logits[np.argmax(scores), :, :]
    masks, scores, _ = predictor.predict(
        point_coords=np.array([FISH, (108, 120)]),
        point_labels=np.array([1, 1]),
        mask_input=best[None, :, :],
        multimask_output=False,
    )
    assert masks.shape == (1, 360, 640)
    masks, scores, _ = predictor.predict(
        point_coords=None, point_labels=None, box=np.array(BOX)[None, :], multimask_output=False
    )
    assert masks.shape == (1, 360, 640) and scores.shape == (1,)

    boxes = np.array([BOX, [480, 160, 560, 230], [200, 240, 300, 310]])
    masks, scores, _ = predictor.predict(
        point_coords=None, point_labels=None, box=boxes, multimask_output=False
    )
    assert masks.shape == (3, 1, 360, 640)
    assert all(_outlined(mask.squeeze(0))[0].shape == (360, 640, 4) for mask in masks)


def test_metas_picture_notebook_in_batches(frames) -> None:
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, CHECKPOINT, device="cpu"))
    predictor.set_image_batch([frames[0], frames[3]])
    boxes = [np.array([BOX, [480, 160, 560, 230]]), np.array([BOX])]
    masks, scores, _ = predictor.predict_batch(None, None, box_batch=boxes, multimask_output=False)
    assert [mask.shape for mask in masks] == [(2, 1, 360, 640), (1, 360, 640)]
    # One point an object: (objects, 1, 2) with labels (objects, 1).
    points = [np.array([[FISH], [(520, 196)]]), np.array([[FISH], [(250, 276)]])]
    labels = [np.array([[1], [1]])] * 2
    masks, scores, _ = predictor.predict_batch(points, labels, box_batch=None)
    best = [
        one[range(len(one)), np.argmax(score, axis=-1)]
        for one, score in zip(masks, scores, strict=True)
    ]
    assert [mask.shape for mask in best] == [(2, 360, 640)] * 2


def test_metas_generator_notebook(frames) -> None:
    model = build_sam2(CONFIG, CHECKPOINT, device="cpu", apply_postprocessing=False)
    assert model.mask_decoder.stability_threshold == 0
    masks = SAM2AutomaticMaskGenerator(model, **LOOSE).generate(frames[0])
    masks = sorted(masks, key=lambda one: one["area"], reverse=True)
    overlay = np.ones((*masks[0]["segmentation"].shape, 4))
    overlay[:, :, 3] = 0
    for record in masks:
        chosen = record["segmentation"]
        overlay[chosen] = np.concatenate([np.random.random(3), [0.5]])
        contours, _ = cv2.findContours(
            chosen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(overlay, contours, -1, (0, 0, 1, 0.4), thickness=1)
    finer = SAM2AutomaticMaskGenerator(
        model=model,
        points_per_side=4,
        points_per_batch=128,
        pred_iou_thresh=0.2,
        stability_score_thresh=0.2,
        stability_score_offset=0.7,
        crop_n_layers=1,
        box_nms_thresh=0.7,
        crop_n_points_downscale_factor=2,
        min_mask_region_area=25.0,
        use_m2m=True,
    )
    assert len(finer.generate(frames[0])) > len(masks) // 2


def test_boxes_of_a_detector(frames) -> None:
    """Grounded-SAM-2's demos: boxes in fractions from a detector, masks to JSON."""
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, CHECKPOINT, device="cpu"))
    image = Image.fromarray(frames[0])
    predictor.set_image(np.array(image.convert("RGB")))
    detected = np.array([[0.164, 0.333, 0.14, 0.22], [0.8125, 0.545, 0.2, 0.3]])  # cx cy w h
    scaled = detected * np.array([640, 360, 640, 360])
    corners = np.concatenate(
        [scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, :2] + scaled[:, 2:] / 2], axis=1
    )
    masks, scores, logits = predictor.predict(
        point_coords=None, point_labels=None, box=corners, multimask_output=False
    )
    if masks.ndim == 4:
        masks = masks.squeeze(1)
    records = [
        {"bbox": box, "score": score, "area": int(mask.astype(bool).sum())}
        for box, score, mask in zip(corners.tolist(), scores.tolist(), masks, strict=True)
    ]
    assert len(records) == 2 and all(record["area"] > 0 for record in records)


def test_a_labelling_server(frames) -> None:
    """Label Studio's picture backend: clicks and a box in per cent, the best mask as RLE."""
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, CHECKPOINT, device="cpu"))

    def answer(points: Any = None, labels: Any = None, box: Any = None) -> dict[str, Any]:
        predictor.set_image(np.array(Image.fromarray(frames[0])))
        points = np.array(points, dtype=np.float32) if points else None
        labels = np.array(labels, dtype=np.float32) if labels else None
        box = np.array(box, dtype=np.float32) if box else None
        masks, scores, _ = predictor.predict(
            point_coords=points, point_labels=labels, box=box, multimask_output=True
        )
        order = np.argsort(scores)[::-1]
        return {"masks": [masks[order][0, :, :].astype(np.uint8)], "probs": [float(scores.max())]}

    clicked = answer(points=[FISH, [20, 20]], labels=[1, 0])
    boxed = answer(box=BOX)
    for found in (clicked, boxed):
        assert found["masks"][0].any() and 0 <= found["probs"][0] <= 1
        assert (found["masks"][0] * 255).max() == 255


def test_a_class_over_everything(frames) -> None:
    """SamGeo2: each constructor gets the overrides, the generator its options among them."""
    builder = {
        "device": "cpu",
        "mode": "eval",
        "hydra_overrides_extra": [],
        "apply_postprocessing": False,
    }
    model = "sam2-hiera-large"
    generator = SAM2AutomaticMaskGenerator.from_pretrained(
        f"facebook/{model}", **builder, **LOOSE, multimask_output=True
    )
    records = generator.generate(frames[0])
    labels = np.zeros(records[0]["segmentation"].shape, np.uint16)
    for index, record in enumerate(sorted(records, key=lambda one: one["area"])):
        labels[record["segmentation"]] = index + 1
    assert labels.max() == len(records)
    predictor = SAM2ImagePredictor.from_pretrained(
        f"facebook/{model}", mask_threshold=0.0, max_hole_area=4.0, **builder
    )
    predictor.set_image(frames[0])
    masks, _, _ = predictor.predict(
        np.array([FISH]), np.array([1]), None, None, multimask_output=False, return_logits=False
    )
    assert masks.max() == 1
    again = SAM2ImagePredictor(build_sam2_hf(f"facebook/{model}", **builder))
    assert again.max_hole_area == 0


def test_a_server_that_keeps_embeddings(frames) -> None:
    """Roboflow: what was encoded is kept, and given to a fresh predictor later."""
    model = build_sam2(CONFIG, CHECKPOINT, device="cpu")
    assert getattr(model, "image_size", 1024) == 256
    cache: dict[str, Any] = {}
    first = SAM2ImagePredictor(model)
    first.set_image(frames[0])
    cache["a"] = SimpleNamespace(embedding=first._features, size=first._orig_hw[0])
    wanted = first.predict(np.array([FISH]), np.array([1]), multimask_output=True)
    first.set_image(frames[4])

    second = SAM2ImagePredictor(model)
    second._is_image_set = True
    second._features = cache["a"].embedding
    second._orig_hw = [cache["a"].size]
    second._is_batch = False
    found = second.predict(np.array([FISH]), np.array([1]), multimask_output=True)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [level.shape for level in cache["a"].embedding["high_res_feats"]] == [
        (1, 16, 64, 64),
        (1, 32, 32, 32),
    ]


def test_masks_into_detections(frames) -> None:
    """Supervision's tutorial: masks as booleans, boxes around them."""
    generator = SAM2AutomaticMaskGenerator(build_sam2(CONFIG, CHECKPOINT, device="cpu"), **LOOSE)
    records = generator.generate(frames[0])
    corners = np.array([record["bbox"] for record in records])
    corners[:, 2:] += corners[:, :2]
    masks = np.array([record["segmentation"] for record in records])
    assert masks.dtype == bool and len(corners) == len(masks)
    predictor = generator.predictor
    predictor.set_image(frames[0])
    masks, scores, _ = predictor.predict(box=np.array([BOX]), multimask_output=False)
    assert np.squeeze(masks).astype(bool).any()
    # Results are numbers: they can be resized and subtracted.
    assert cv2.resize(masks[0], (320, 180)).shape == (180, 320)
    assert not (masks[0] - masks[0]).any()


def test_a_picture_lies_as_its_array_does(frames, tmp_path) -> None:
    image = Image.fromarray(frames[0])
    tag = image.getexif()
    tag[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=tag)
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, CHECKPOINT))
    with Image.open(tmp_path / "turned.jpg") as opened:
        predictor.set_image(opened)
        masks, _, _ = predictor.predict(np.array([FISH]), np.array([1]))
        assert masks.shape[1:] == np.array(opened).shape[:2] == (360, 640)
        predictor.set_image(opened, upright=True)
        assert predictor.predict(np.array([FISH]), np.array([1]))[0].shape[1:] == (640, 360)


@pytest.mark.parametrize(
    "overrides", [(), ["++model.image_size=512"], ["++model.compile_image_encoder=True"]]
)
def test_overrides(loaded, overrides) -> None:
    build_sam2(CONFIG, CHECKPOINT, hydra_overrides_extra=overrides)
    (path, options) = loaded[-1]
    assert path == CHECKPOINT and options["config"].name == "tiny"
    assert options["image_size"] == (512 if "512" in str(overrides) else None)
