"""The first Segment Anything and MobileSAM against the reference, with seeded weights."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from tests.sam1.first_cases import PROMPTS, sampled
from tests.sam1.first_models import answers, build, read_golden

EMBEDDING_TOLERANCE = 7e-6
"""Absolute; the values have a deviation of about one."""

TOLERANCE = 3e-5
"""Of masks and IoU, of their largest magnitude."""


@pytest.mark.parametrize(
    "name", ["small", "vit_b_256", "mobile", pytest.param("vit_b", marks=pytest.mark.slow)]
)
def test_the_reference_says_the_same(name) -> None:
    expected, shapes = read_golden(name)
    found = answers(build(shapes))
    assert 0.8 < float(expected["embedding_deviation"]) < 1.2
    off = np.abs(sampled(found["embedding"]) - expected["embedding"]).max()
    assert off < EMBEDDING_TOLERANCE, f"embedding is off by {off:.1e}"
    for prompt in [*PROMPTS, "mask"]:
        for what in ("masks", "low", "iou"):
            theirs = expected[f"{prompt}_{what}"]
            mine = found[f"{prompt}_{what}"]
            mine = mine if what == "iou" else sampled(mine)
            scale = float(expected[f"{prompt}_scale"]) if what != "iou" else np.abs(theirs).max()
            off = np.abs(mine - theirs).max() / scale
            assert off < TOLERANCE, f"{prompt} {what} are off by {off:.1e}"


def test_half_precision_stays_close() -> None:
    expected, shapes = read_golden("small")
    model = build(shapes)
    model.set_dtype(mx.float16)
    found = answers(model)
    off = np.abs(sampled(found["embedding"]).astype(np.float32) - expected["embedding"]).max()
    assert off < 0.05
    assert found["click_masks"].dtype == np.float32
