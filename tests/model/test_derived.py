"""Layers whose weights are turned, joined or stacked once follow them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map

from sam2_mlx.model.attention import GridProjections
from sam2_mlx.model.folding import lay_out
from sam2_mlx.model.layers import MLP, Linear, Pointwise, SideBySide, Upsample2x, matrix_of
from sam2_mlx.model.sam import Sam
from tests.tiny import CONFIG, tiny_model


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(Linear(6, 4), (3, 6)), (Pointwise(6, 4), (3, 6)), (Upsample2x(6, 4), (1, 2, 2, 6))],
    ids=["linear", "pointwise", "upsample"],
)
def test_layers_follow_their_weights(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = mx.random.normal(shape)
    names = sorted(layer.parameters())
    for _ in range(2):
        layer.update(tree_map(lambda p: mx.random.normal(p.shape), layer.parameters()))
        fresh = type(layer)(6, 4)
        fresh.update(layer.parameters())
        assert mx.array_equal(layer(x), fresh(x))
    assert sorted(layer.parameters()) == names == ["bias", "weight"]


@pytest.mark.parametrize("kind", [Linear, Pointwise])
def test_a_turned_weight_takes_no_memory(kind: type[Linear] | type[Pointwise]) -> None:
    layer = kind(300, 200)
    layer.weight = mx.random.normal(layer.weight.shape)
    mx.eval(layer.parameters())
    weight, before = np.array(layer.weight), mx.get_active_memory()
    lay_out(layer)
    assert layer.matrix.shape == (300, 200)
    mx.synchronize()
    assert mx.get_active_memory() <= before
    np.testing.assert_array_equal(np.array(layer.weight), weight)
    np.testing.assert_array_equal(np.array(layer.matrix), weight.reshape(200, 300).T)


def test_a_replaced_weight_is_let_go() -> None:
    gc.collect()
    other = mx.get_active_memory()
    layer, x = Linear(1000, 1000), mx.ones((1, 1000))
    mx.eval(layer(x), layer.parameters())
    before = mx.get_active_memory() - other
    layer.set_dtype(mx.float16)
    mx.eval(layer(x.astype(mx.float16)), layer.parameters())
    assert mx.get_active_memory() - other < 0.6 * before


def test_gradients_reach_the_weights() -> None:
    layer, x = Linear(5, 3), mx.random.normal((4, 5))
    mx.eval(layer(x))
    grads = nn.value_and_grad(layer, lambda m, x: m(x).sum())(layer, x)[1]
    want = mx.broadcast_to(x.sum(axis=0), (3, 5))
    assert mx.allclose(grads["weight"], want, atol=1e-5)
    # What the gradient was computed with is not what is used afterwards.
    layer.update({"weight": mx.ones((3, 5)), "bias": mx.zeros(3)})
    assert mx.allclose(layer(x), mx.broadcast_to(x.sum(axis=1, keepdims=True), (4, 3)), atol=1e-5)


@pytest.fixture(params=["plain", "quantised"])
def layers(request: pytest.FixtureRequest) -> Iterator[list[nn.Module]]:
    made = [Linear(64, 32) for _ in range(3)]
    yield (
        made
        if request.param == "plain"
        else [nn.QuantizedLinear.from_linear(layer, 32, 8) for layer in made]
    )


def test_grid_projections_are_the_layers(layers: list[nn.Module]) -> None:
    x, places = mx.random.normal((2, 9, 64)), mx.random.normal((1, 9, 64))
    projections = GridProjections(4, (True, False, True))
    for _ in range(2):
        heads = projections(layers, x, places)
        for layer, placed, got in zip(layers, (True, False, True), heads, strict=True):
            want = (x + places if placed else x) @ matrix_of(layer) + layer.bias
            want = want.reshape(2, 9, 4, 8).transpose(0, 2, 1, 3)
            np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-4)
        places = places + 1


@pytest.mark.parametrize("quantised", [False, True])
def test_side_by_side_is_each_alone(quantised: bool) -> None:
    mlps = [MLP((64, 64, 64, 8)) for _ in range(3)]
    if quantised:
        for mlp in mlps:
            mlp.layers[1] = nn.QuantizedLinear.from_linear(mlp.layers[1], 32, 8)
    x = mx.random.normal((5, 3, 64))
    got = SideBySide()(mlps, x)
    want = mx.stack([mlp(x[:, i]) for i, mlp in enumerate(mlps)], axis=1)
    np.testing.assert_allclose(np.array(got), np.array(want), atol=1e-4)


def test_a_model_follows_all_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    # A compiled step has the weights of its trace.
    monkeypatch.setenv("SAM2_MLX_COMPILE", "0")
    model, other = tiny_model(), tiny_model(seed=1)
    names = [name for name, _ in tree_flatten(model.parameters())]
    pixels = mx.random.normal((1, CONFIG.image_size, CONFIG.image_size, 3))

    def masks(model: Sam) -> np.ndarray:
        features = model.encode_image(pixels)
        prompt = model.embed_points(mx.array([[[10.0, 20.0]]]), mx.array([[1]]), 1)
        return np.array(model.decode_masks(features.coarse, features.fine, prompt).logits)

    before = masks(model)
    assert [name for name, _ in tree_flatten(model.parameters())] == names
    model.update(other.parameters())
    after = masks(model)
    np.testing.assert_array_equal(after, masks(other))
    assert np.abs(before - after).max() > 1e-2 * np.abs(before).max()
    # One alone, which is not the one that stands for all.
    layer = model.mask_decoder.transformer.layers[0].cross_attn_token_to_image.k_proj
    layer.weight = layer.weight[::-1]
    assert np.abs(masks(model) - after).max() > 1e-4 * np.abs(after).max()


def test_no_prompt_is_padding() -> None:
    model = tiny_model()
    padding = model.prompt_encoder.points(mx.zeros((3, 1, 2)), mx.full((3, 1), -1))
    assert mx.array_equal(model.embed_points(None, None, 3), padding)
