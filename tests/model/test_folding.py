from __future__ import annotations

import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from sam2_mlx.model.folding import fold, folding_wanted, pad_heads
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import CONFIG, ToyClip, tiny_model


def _track(model) -> np.ndarray:
    session = TrackingSession(model, ToyClip(6))
    session.prompt(1, frame=0, points=[[20, 30]], labels=[1])
    return np.stack([np.array(masks.logits) for masks in session.propagate()])


def test_folding_changes_nothing_but_rounding() -> None:
    plain, folded = _track(tiny_model()), _track(fold(tiny_model()))
    assert np.abs(plain - folded).max() < 1e-4 * np.abs(plain).max()


def test_folding_saves_work_and_is_done_once() -> None:
    def names(model) -> set[str]:
        return {name for name, _ in tree_flatten(model.parameters())}

    model = tiny_model()
    before = names(model)
    once = fold(model)
    after = names(once)
    for gone in ("mask_decoder.conv_s0.weight", "memory.encoder.fuser.layers.0.gamma"):
        assert gone in before and gone not in after
    values = {name: np.array(value) for name, value in tree_flatten(once.parameters())}
    for name, value in tree_flatten(fold(once).parameters()):
        np.testing.assert_array_equal(np.array(value), values[name])


def test_padded_heads_give_the_same_features() -> None:
    model = tiny_model()
    pixels = mx.random.normal((1, CONFIG.image_size, CONFIG.image_size, 3))
    want = model.encode_image(pixels)
    for block in model.image_encoder.trunk.blocks:
        pad_heads(block.attn, 64)
    assert model.image_encoder.trunk.blocks[0].attn.qkv.bias.shape == (3 * 64,)
    got = model.encode_image(pixels)
    for a, b in zip(want.arrays(), got.arrays(), strict=True):
        assert mx.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_folding_keeps_the_dtype(dtype: mx.Dtype) -> None:
    model = fold(tiny_model(dtype))
    assert {value.dtype for _, value in tree_flatten(model.parameters())} == {dtype}


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert folding_wanted()
    monkeypatch.setenv("SAM2_MLX_FOLD", "0")
    assert not folding_wanted()
    monkeypatch.setenv("SAM2_MLX_FOLD", "yes")
    with pytest.raises(ValueError, match="0 or 1"):
        folding_wanted()


def test_the_threads_of_a_blas_do_not_show_in_folded_weights() -> None:
    """A saved session goes on bit for bit only if a model is the same each time it is loaded."""
    code = (
        "import sam2_mlx, hashlib, numpy as np, mlx.core as mx\n"
        "from mlx.utils import tree_flatten\n"
        "from sam2_mlx.ops.cpu.lanes import run_in_lane\n"
        "def digest():\n"
        "    found = hashlib.sha256()\n"
        "    for _, value in tree_flatten(sam2_mlx.load('nano', dtype='float32').parameters()):\n"
        "        found.update(np.array(value).tobytes())\n"
        "    return found.hexdigest()\n"
        "first = digest()\n"
        "mx.eval(run_in_lane(0, lambda x: x @ x, mx.ones((64, 64))))\n"
        "print(first == digest())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"
