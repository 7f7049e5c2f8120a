"""A stand-in for a kernel on a GPU, for tests of which of kernel and twin runs."""

from __future__ import annotations

import json

import mlx.core as mx

from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.rope import MemoryLayout, axial_rope_plain

VARIANT = ("float32", 32, 4, 4, 0)


_attention = mx.fast.scaled_dot_product_attention


def fused_by_force(q, k, v, *, scale, force_fused):
    """MLX's attention as on a GPU, where the kernel for wide heads has to be asked for."""
    assert force_fused and q.shape[0] == k.shape[0] and v.shape[-1] == q.shape[-1]
    return _attention(q, k, v, scale=scale)


class Fake:
    """Stands for a kernel on a GPU; `change` is what it gets wrong."""

    def __init__(self, change=lambda x: x):
        self.change, self.calls = change, 0

    def __call__(self, *, inputs, **call):
        self.calls += 1
        q, k, _, framed = inputs
        layout = MemoryLayout(framed.item() // 16, 4, tail=k.shape[2] - framed.item())
        return [self.change(x) for x in axial_rope_plain(q, k, layout)]


def same(got, wanted):
    return all(mx.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def stored():
    return json.loads(verdicts.verdict_file().read_text())
