"""Float32 stays float32 where MLX would shorten the factors of a product, as on an M5."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.model.prompt_encoder import RandomPositions
from sam2_mlx.ops import flash, precision, residual_norm, upsample
from sam2_mlx.ops.device import running_on
from sam2_mlx.ops.metal.kernel import LIMITS, Kernel, relative_error
from sam2_mlx.ops.precision import exact_matmul, hold_float32, products_are_short
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.predictors.enlarger import Enlarger
from sam2_mlx.transforms import Framing
from tests.tiny import CONFIG

KERNELS = {
    "flash": (flash.KERNEL, ("float32", 64, 32)),
    "upsample": (upsample.KERNEL, ("float32", "uint8", upsample.THRESHOLD)),
    "memory mask": (upsample.KERNEL, ("float32", "float32", upsample.SIGMOID)),
    "residual norm": (residual_norm.KERNEL, ("float32", 96)),
}


def shortened(x: mx.array) -> mx.array:
    """Rounded to ten bits of mantissa, to the nearest."""
    return ((x.view(mx.uint32) + 0x1000) & 0xFFFFE000).view(mx.float32)


@pytest.fixture
def short_products(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products of float32 as an M5 computes them, and code that knows it is on no CPU."""
    exact = mx.matmul

    def matmul(x: mx.array, y: mx.array, **options: object) -> mx.array:
        if x.dtype == mx.float32:
            x, y = shortened(x), shortened(y)
        return exact(x, y, **options)

    monkeypatch.setattr(mx, "matmul", matmul)
    monkeypatch.setattr(precision, "on_cpu", lambda: False)
    precision._short_on_gpu.cache_clear()
    yield
    precision._short_on_gpu.cache_clear()


def test_nothing_is_short_here_without_the_switch() -> None:
    assert not products_are_short()


@pytest.mark.usefixtures("short_products")
def test_the_switch_shortens_and_exact_products_do_not_care() -> None:
    assert products_are_short()
    x, y = mx.random.normal((40, 300)), mx.random.normal((300, 20))
    want = np.array(x, np.float64) @ np.array(y, np.float64)
    scale = np.abs(np.array(x)) @ np.abs(np.array(y))
    assert np.abs(np.array(mx.matmul(x, y)) - want).max() > 1e-3
    assert (np.abs(np.array(exact_matmul(x, y)) - want) / scale).max() < 2e-6


@pytest.mark.parametrize("kind", ["bilinear", "antialias", "bicubic"])
def test_resizing(request: pytest.FixtureRequest, kind: str) -> None:
    maps = mx.random.normal((2, 37, 50)) * 10
    want = np.array(resize_maps(maps, (101, 23), kind))
    request.getfixturevalue("short_products")
    np.testing.assert_allclose(np.array(resize_maps(maps, (101, 23), kind)), want, atol=1e-4)


def test_positions(request: pytest.FixtureRequest) -> None:
    positions, places = RandomPositions(32), mx.random.uniform(shape=(50, 2))
    positions.positional_encoding_gaussian_matrix = mx.random.normal((2, 16))
    want = np.array(positions(places))
    request.getfixturevalue("short_products")
    np.testing.assert_allclose(np.array(positions(places)), want, atol=1e-4)


def test_masks_of_a_picture(request: pytest.FixtureRequest) -> None:
    logits = mx.random.normal((64, 64)) * 10
    enlarger = Enlarger(*Framing.of((300, 400), CONFIG).mask_matrices(64))
    window = enlarger.window((20, 30, 350, 250))
    want = np.array(enlarger.enlarge(logits, window))
    request.getfixturevalue("short_products")
    np.testing.assert_allclose(np.array(enlarger.enlarge(logits, window)), want, atol=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_what_kernels_are_compared_with(request: pytest.FixtureRequest, name: str) -> None:
    kernel: Kernel = KERNELS[name][0]
    trials = list(kernel.trials(KERNELS[name][1]))
    want = [kernel.twin(*trial) for trial in trials]
    mx.eval(want)
    request.getfixturevalue("short_products")
    for trial, outputs in zip(trials, want, strict=True):
        for got, output in zip(kernel.twin(*trial), outputs, strict=True):
            assert relative_error(got, output) <= LIMITS[output.dtype]


def test_holding_float32(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.delenv("MLX_ENABLE_TF32", raising=False)
    with running_on("cpu"):
        hold_float32()
    assert "MLX_ENABLE_TF32" not in os.environ  # a CPU needs nothing
    request.getfixturevalue("short_products")
    # Too late: products are short already.
    with pytest.warns(RuntimeWarning, match="set MLX_ENABLE_TF32=0 before it starts"):
        hold_float32()
    assert os.environ["MLX_ENABLE_TF32"] == "0"
    monkeypatch.setenv("MLX_ENABLE_TF32", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hold_float32()
    assert os.environ["MLX_ENABLE_TF32"] == "1"
