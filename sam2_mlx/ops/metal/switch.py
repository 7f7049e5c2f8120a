"""The one switch of the custom kernels, and whether this machine can run them."""

from __future__ import annotations

import os
from enum import Enum

import mlx.core as mx

from sam2_mlx.ops.device import on_gpu

SWITCH_VARIABLE = "SAM2_MLX_KERNELS"


class KernelMode(Enum):
    """How far the custom kernels are trusted; the values are those of SAM2_MLX_KERNELS."""

    OFF = "0"
    ON = "1"
    CHECK = "check"


def kernel_mode() -> KernelMode:
    """The mode that the environment asks for; `check` by default.

    Raises:
        ValueError: if SAM2_MLX_KERNELS is none of 0, 1 and check.
    """
    text = os.environ.get(SWITCH_VARIABLE, "").strip().lower() or KernelMode.CHECK.value
    for mode in KernelMode:
        if text == mode.value:
            return mode
    raise ValueError(
        f"{SWITCH_VARIABLE} must be 0 (no custom kernels), 1 (use them unchecked) or check "
        f"(compare each with plain MLX first; the default); got {text!r}"
    )


def metal_in_use() -> bool:
    """Whether operations run on an Apple GPU now: it is there, and it is the default device."""
    return mx.metal.is_available() and on_gpu()


def kernel_status() -> str:
    """One line for people: whether custom kernels are used here, and why not.

    Raises:
        ValueError: as `kernel_mode`.
    """
    mode = kernel_mode()
    if mode is KernelMode.OFF:
        return f"off ({SWITCH_VARIABLE}=0)"
    if not metal_in_use():
        return "off (MLX does not run on Metal here)"
    return "on, unchecked" if mode is KernelMode.ON else "on, each checked at its first use"
