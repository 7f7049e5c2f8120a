"""Which of MLX's backends operations run on; asked where it is used, as the default may change."""

from __future__ import annotations

import mlx.core as mx


def on_cpu() -> bool:
    """Whether the default device is a CPU."""
    return mx.default_device().type == mx.cpu


def on_gpu() -> bool:
    """Whether the default device is a GPU: Apple's or, with MLX's CUDA build, another."""
    return mx.default_device().type == mx.gpu
