from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.model.layers import Pointwise, Upsample2x
from sam2_mlx.model.mask_decoder import MaskCandidates, best_by_iou
from sam2_mlx.ops.cpu import lanes
from tests.spread import spread_over
from tests.tiny import CONFIG, tiny_model


def test_pointwise_is_a_1x1_convolution() -> None:
    layer = Pointwise(5, 7)
    layer.weight = mx.random.normal(layer.weight.shape)
    layer.bias = mx.random.normal((7,))
    x = mx.random.normal((2, 3, 4, 5))
    want = mx.conv2d(x, layer.weight) + layer.bias
    assert mx.allclose(layer(x), want, atol=1e-5)


def test_upsample_is_a_transposed_convolution() -> None:
    layer = Upsample2x(6, 4)
    layer.weight = mx.random.normal(layer.weight.shape)
    layer.bias = mx.random.normal((4,))
    x = mx.random.normal((2, 3, 5, 6))
    want = mx.conv_transpose2d(x, layer.weight, stride=2) + layer.bias
    assert mx.allclose(layer(x), want, atol=1e-5)


def test_best_candidate() -> None:
    logits = mx.arange(2 * 3 * 4, dtype=mx.float32).reshape(2, 3, 2, 2)
    iou = mx.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.1]])
    tokens = mx.arange(6, dtype=mx.float32).reshape(2, 3, 1)
    best = best_by_iou(MaskCandidates(logits, iou, tokens, mx.zeros((2, 1))))
    assert best.iou.tolist() == [[pytest.approx(0.9)], [pytest.approx(0.8)]]
    assert best.tokens.tolist() == [[[1.0]], [[3.0]]]
    assert mx.array_equal(best.logits, mx.stack([logits[0, 1:2], logits[1, 0:1]]))


@pytest.mark.parametrize(("edge", "falls_back"), [(0.0, False), (0.04, True)])
def test_unstable_single_masks_give_way(edge: float, falls_back: bool) -> None:
    decoder = tiny_model().mask_decoder
    single = np.full((1, 1, 8, 8), 5.0, np.float32)
    single[..., 0] = -5
    if edge:
        single[..., 1:3] = edge  # a quarter of the mask hangs on the threshold
    multi = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    candidates = MaskCandidates(
        mx.array(np.concatenate([single, multi], axis=1)),
        mx.array([[0.9, 0.1, 0.7, 0.2]]),
        mx.arange(4, dtype=mx.float32).reshape(1, 4, 1),
        mx.ones((1, 1)),
    )
    got = decoder.single(candidates)
    want = multi[:, 1:2] if falls_back else single
    np.testing.assert_array_equal(np.array(got.logits), want)
    assert got.tokens.item() == 0  # the pointer stays the single mask's
    decoder.stability_threshold = 0.0
    np.testing.assert_array_equal(np.array(decoder.single(candidates).logits), single)


def test_absent_objects() -> None:
    model = tiny_model()
    size = CONFIG.mask_size
    candidates = MaskCandidates(
        mx.ones((2, 1, size, size)), mx.ones((2, 1)), mx.ones((2, 1, 64)), mx.array([[1.0], [-1.0]])
    )
    mask = model.memory.with_pointer(candidates)
    assert mask.logits[0].max() == 1
    assert mx.all(mask.logits[1] == -1024)
    assert mx.array_equal(mask.pointer[1], model.memory.absent_pointer)
    assert not mx.allclose(mask.pointer[0], mask.pointer[1])


def test_configs_round_trip_and_reject_nonsense() -> None:
    for config in MODELS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="unknown ModelConfig key 'colour'"):
        ModelConfig.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="multiple of 32"):
        ModelConfig(image_size=500)


def test_batches_of_pictures_equal_single_ones() -> None:
    model = tiny_model()
    pixels = mx.random.normal((3, 64, 64, 3))
    batch = model.encode_image(pixels)
    for index in range(3):
        one = model.encode_image(pixels[index : index + 1])
        for a, b in zip(batch[index].arrays(), one.arrays(), strict=True):
            assert mx.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_strips_of_a_mask_are_the_mask(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    encoder = tiny_model().memory.encoder
    mask = mx.random.normal((1, 64, 64, 1)) * 5
    whole = encoder.mask_downsampler(mask)
    spread_over(monkeypatch, count)
    monkeypatch.setattr(lanes, "_LEAST_PIXELS", 1)
    strips = encoder.mask_downsampler(mask)
    assert strips.shape == whole.shape
    np.testing.assert_allclose(np.array(strips), np.array(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objects", [2, 3])
def test_objects_on_lanes_attend_as_in_a_batch(
    monkeypatch: pytest.MonkeyPatch, objects: int
) -> None:
    memory = tiny_model().memory
    coarse = mx.random.normal((1, 4, 4, CONFIG.hidden_dim))
    tokens = [(mx.random.normal((objects, 16, 16)), age) for age in range(3)]
    pointers = [(mx.random.normal((objects, CONFIG.hidden_dim)), 1.0)]
    held = memory.gather(tokens, pointers, 15)
    batch = memory.attend(coarse, held)
    spread_over(monkeypatch, 2)
    got = memory.attend(coarse, held)
    assert got.shape == batch.shape == (objects, 4, 4, CONFIG.hidden_dim)
    np.testing.assert_allclose(np.array(got), np.array(batch), rtol=1e-5, atol=1e-5)
