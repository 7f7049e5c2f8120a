"""The element types that a model can have, and their names."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.device import on_gpu

FLOATS = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
"""The element types that weights can have, by name."""


def dtype_name(dtype: mx.Dtype) -> str:
    """The bare name of a dtype, such as float16."""
    return str(dtype).rpartition(".")[2]


def host_array(array: mx.array) -> np.ndarray:
    """NumPy's array of one of MLX; bfloat16, which NumPy lacks, becomes float32."""
    return np.asarray(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def resolve_dtype(dtype: str | mx.Dtype) -> mx.Dtype:
    """The element type that a dtype argument means on the default device.

    Args:
        dtype: "auto" (float16 on a GPU, float32 on a CPU), a name, or the type itself.

    Raises:
        ValueError: not one of the types that a model can have.
    """
    if dtype == "auto":
        return mx.float16 if on_gpu() else mx.float32
    if isinstance(dtype, str) and dtype in FLOATS:
        return FLOATS[dtype]
    if isinstance(dtype, mx.Dtype) and dtype in FLOATS.values():
        return dtype
    raise ValueError(f"dtype must be auto, {', '.join(FLOATS)}; got {dtype!r}")
