from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from tests.tiny import tiny_model

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 80, 3)).astype(np.uint8)


@pytest.fixture
def predictor() -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(tiny_model())
    predictor.set_image(PICTURE)
    return predictor


def test_shapes_and_kinds(predictor: SAM2ImagePredictor) -> None:
    masks, iou, low = predictor.predict(np.array([[20, 20]]), np.array([1]))
    assert masks.shape == (3, 48, 80) and masks.dtype == np.float32
    assert set(np.unique(masks)) == {0, 1}
    assert iou.shape == (3,) and low.shape == (3, 16, 16)
    logits, _, _ = predictor.predict([[20, 20]], [1], multimask_output=False, return_logits=True)
    assert logits.shape == (1, 48, 80) and logits.dtype == np.float32


def test_several_objects_at_once(predictor: SAM2ImagePredictor) -> None:
    boxes = np.array([[5, 5, 30, 30], [40, 10, 70, 40], [0, 0, 79, 47]])
    masks, iou, low = predictor.predict(box=boxes, multimask_output=False, return_logits=True)
    assert masks.shape == (3, 1, 48, 80) and iou.shape == (3, 1) and low.shape == (3, 1, 16, 16)
    for index, box in enumerate(boxes):
        alone, _, _ = predictor.predict(box=box, multimask_output=False, return_logits=True)
        np.testing.assert_allclose(masks[index], alone, atol=1e-4)


def test_feedback_and_fractions(predictor: SAM2ImagePredictor) -> None:
    _, _, low = predictor.predict([[20, 20]], [1], multimask_output=False)
    with_mask, _, _ = predictor.predict(
        [[20, 20]], [1], mask_input=low, multimask_output=False, return_logits=True
    )
    without, _, _ = predictor.predict([[20, 20]], [1], multimask_output=False, return_logits=True)
    assert np.abs(with_mask - without).max() > 1e-4
    fractions, _, _ = predictor.predict(
        [[20 / 80, 20 / 48]],
        [1],
        multimask_output=False,
        return_logits=True,
        normalize_coords=False,
    )
    np.testing.assert_allclose(fractions, without, atol=1e-5)
    only_mask, _, _ = predictor.predict(mask_input=low, multimask_output=False)
    assert only_mask.shape == (1, 48, 80)


def test_every_kind_of_picture(tmp_path, predictor: SAM2ImagePredictor) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    want = np.array(predictor.get_image_embedding())
    opaque = np.dstack([PICTURE, np.full((48, 80), 255, np.uint8)])
    files = (tmp_path / "a.png", str(tmp_path / "a.png"))
    for picture in (Image.fromarray(PICTURE), *files, opaque, PICTURE.astype(np.uint16) * 257):
        predictor.set_image(picture)
        np.testing.assert_array_equal(np.array(predictor.get_image_embedding()), want)


def test_batch(predictor: SAM2ImagePredictor) -> None:
    other = np.ascontiguousarray(PICTURE[:, ::-1])
    wide = PICTURE[:20]
    predictor.set_image_batch([PICTURE, other, wide])
    points = [np.array([[20, 20]]), np.array([[30, 10]]), np.array([[5, 5]])]
    masks, ious, low = predictor.predict_batch(points, [np.array([1])] * 3, return_logits=True)
    assert [mask.shape for mask in masks] == [(3, 48, 80), (3, 48, 80), (3, 20, 80)]
    predictor.set_image(other)
    alone, _, _ = predictor.predict(points[1], [1], return_logits=True)
    np.testing.assert_allclose(masks[1], alone, atol=1e-3)
    assert len(ious) == len(low) == 3


def test_small_regions(predictor: SAM2ImagePredictor) -> None:
    plain, _, _ = predictor.predict([[20, 20]], [1], multimask_output=False)
    cleaned = SAM2ImagePredictor(predictor.model, max_hole_area=300, max_sprinkle_area=0)
    cleaned.set_image(PICTURE)
    filled, _, _ = cleaned.predict([[20, 20]], [1], multimask_output=False)
    assert filled.sum() > plain.sum()
    assert (filled >= plain).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_input": np.zeros((1, 7, 7))}, "mask_input needs shape"),
        ({"mask_input": np.full((1, 16, 16), np.nan)}, "mask_input must be finite"),
        ({"box": [[0, 0, 9, 9]] * 3, "mask_input": np.zeros((2, 1, 16, 16))}, "3 objects; got 2"),
        ({"point_coords": [[[1, 2]]] * 2, "point_labels": [[1]] * 2, "box": [0, 0, 9, 9]}, "boxes"),
    ],
)
def test_bad_prompts(predictor: SAM2ImagePredictor, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predictor.predict(**arguments)


def test_wrong_order_of_calls() -> None:
    predictor = SAM2ImagePredictor(tiny_model())
    for call in (predictor.predict, predictor.get_image_embedding, predictor.predict_batch):
        with pytest.raises(RuntimeError, match="set_image"):
            call()
    predictor.set_image(PICTURE)
    with pytest.raises(RuntimeError, match="predict instead"):
        predictor.predict_batch()
    predictor.set_image_batch([PICTURE, PICTURE])
    with pytest.raises(RuntimeError, match="predict_batch instead"):
        predictor.predict()
    with pytest.raises(ValueError, match="2 pictures"):
        predictor.predict_batch(box_batch=[[0, 0, 5, 5]])
    predictor.reset_predictor()
    with pytest.raises(RuntimeError, match="set_image"):
        predictor.predict()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3)), np.zeros((4, 0), np.uint8), np.zeros((4, 4, 5), np.uint8)]
)
def test_not_a_picture(predictor: SAM2ImagePredictor, bad: np.ndarray) -> None:
    with pytest.raises((TypeError, ValueError), match="picture"):
        predictor.set_image(bad)


@pytest.mark.parametrize("picture", [None, 5, b"cat.jpg", [[[1, 2, 3]]], {}])
def test_what_is_no_picture(predictor: SAM2ImagePredictor, picture: object) -> None:
    with pytest.raises(TypeError, match=r"a picture is an array uint8 \(H, W, 3\) .*; got "):
        predictor.set_image(picture)


def test_pictures_of_other_libraries(predictor: SAM2ImagePredictor) -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return PICTURE

    expected = predictor.predict([[20, 20]], [1])[0]
    for picture in (mx.array(PICTURE), Tensor(), np.asfortranarray(PICTURE)):
        predictor.set_image(picture)
        np.testing.assert_array_equal(predictor.predict([[20, 20]], [1])[0], expected)
    with pytest.raises(ValueError, match="has no pixels; got 0x5"):
        predictor.set_image(Image.new("RGB", (0, 5)))
