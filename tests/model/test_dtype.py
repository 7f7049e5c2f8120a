"""One stray float32 constant silently undoes half precision: every stage keeps its dtype."""

from __future__ import annotations

import mlx.core as mx
import pytest

from benchmarks.gpu_form import as_on_gpu
from benchmarks.steps import frame_step
from sam2_mlx.model.layers import Conv2d, Linear
from tests.tiny import CONFIG, tiny_model

DTYPES = [mx.float32, mx.float16, mx.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_stage_keeps_the_dtype(dtype: mx.Dtype) -> None:
    model = tiny_model(dtype)
    size = CONFIG.image_size
    pixels = mx.random.normal((1, size, size, 3))
    stages = model.image_encoder.trunk(pixels.astype(dtype))
    assert [stage.dtype for stage in stages] == [dtype] * 4
    features = model.encode_image(pixels)
    assert [array.dtype for array in features.arrays()] == [dtype] * 3
    prompt = model.embed_points(mx.array([[[10.0, 20.0]]]), mx.array([[1]]), 1)
    dense = model.prompt_encoder.dense(mx.zeros((1, 1, size // 4, size // 4)))
    assert prompt.dtype == dense.dtype == model.prompt_encoder.grid_positions().dtype == dtype
    candidates = model.decode_masks(
        model.memory.without_memory(features.coarse), features.fine, prompt
    )
    for array in (candidates.logits, candidates.iou, candidates.tokens, candidates.presence):
        assert array.dtype == dtype
    mask = model.choose(candidates, multimask=True)
    assert mask.pointer.dtype == dtype
    assert mask.logits.dtype == mx.float32  # masks leave the network in full precision
    tokens = model.memory.encode(features.coarse, mask.logits, mask.presence, binarise=False)
    assert tokens.dtype == (mx.float16 if dtype == mx.float16 else mx.bfloat16)
    memory = model.memory.gather([(tokens, 6), (tokens, 0)], [(mask.pointer, 1.0)], 15)
    assert memory.tokens.dtype == memory.positions.dtype == dtype
    assert model.memory.attend(features.coarse, memory).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_no_matrix_product_is_wider_than_asked(dtype: mx.Dtype) -> None:
    """Every matrix product and convolution of a tracked frame runs in the model's dtype."""
    step = frame_step(tiny_model(dtype), 2, 1)
    dtypes: dict[str, set[str]] = {}

    def note(event: dict) -> None:
        if event["type"] == "primitive" and event["name"] in ("Matmul", "AddMM", "Convolution"):
            for _, _, kind in event["inputs"]:
                dtypes.setdefault(event["name"], set()).add(str(kind))

    with as_on_gpu():
        mx.export_function(note, lambda *arrays: tuple(step.function(*arrays)), *step.arrays)
    assert dtypes == dict.fromkeys(("Matmul", "AddMM", "Convolution"), {str(dtype)})


@pytest.mark.skipif(mx.default_device().type != mx.cpu, reason="a CPU's form")
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_products_of_halves_are_rounded_once(dtype: mx.Dtype) -> None:
    for layer, shape in ((Linear(300, 7), (5, 300)), (Conv2d(16, 4, 5, 2, 1), (1, 9, 9, 16))):
        layer.set_dtype(dtype)
        x = mx.random.normal(shape).astype(dtype)
        got = layer(x)
        layer.set_dtype(mx.float32)
        want = layer(x.astype(mx.float32))
        assert got.dtype == dtype
        step = 2.0 ** (-10 if dtype == mx.float16 else -7)
        assert (mx.abs(got.astype(mx.float32) - want) <= step * mx.abs(want) + 1e-3).all().item()
