"""The order of tokens in Hiera's trunk, and its blocks group by group."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_map

from sam2_mlx.config import MODELS, HieraConfig
from sam2_mlx.model.image_encoder import hiera
from sam2_mlx.model.image_encoder.hiera import Hiera
from sam2_mlx.ops import lanes
from tests.spread import spread_over


def trunk(config: HieraConfig) -> Hiera:
    """A trunk with random weights, large enough that order matters."""
    mx.random.seed(0)
    model = Hiera(config)
    model.update(tree_map(lambda p: mx.random.normal(p.shape) * 0.2, model.parameters()))
    return model


def stretches(model: Hiera, side: int) -> list[tuple[int, int, int | None]]:
    found = hiera._stretches(model.blocks, side, side)
    return [(part.blocks.start, part.blocks.stop, part.window) for part in found]


@pytest.mark.parametrize(
    ("name", "side", "want"),
    [
        ("tiny", 256, [(0, 4, 8), (4, 5, 0), (5, 6, None), (6, 7, 0)]),
        ("large", 256, [(0, 9, 8), (9, 23, 16), (23, 24, None), (24, 33, 16)]),
        ("tiny", 224, [(0, 4, 8), (4, 5, 14), (5, 6, None), (6, 7, 14)]),
        ("tiny", 60, [(0, 1, 0), (1, 2, 0), (2, 3, 0), (3, 4, 0)]),
    ],
)
def test_blocks_that_share_an_order(
    name: str, side: int, want: list[tuple[int, int, int | None]]
) -> None:
    encoder = MODELS[name].encoder
    assert isinstance(encoder, HieraConfig)
    small = HieraConfig(
        embed_dim=8,
        num_heads=1,
        stages=encoder.stages,
        global_blocks=encoder.global_blocks,
        window_sizes=encoder.window_sizes,
    )
    assert stretches(trunk(small), side)[: len(want)] == want


@pytest.mark.parametrize("pictures", [1, 2])
def test_any_order_gives_the_same(monkeypatch: pytest.MonkeyPatch, pictures: int) -> None:
    model = trunk(HieraConfig(embed_dim=8, num_heads=1, stages=(1, 2, 4, 2)))
    pixels = mx.random.normal((pictures, 256, 256, 3))
    ordered = model(pixels)
    # Every block with windows of its own, joined to rows before the next.
    rows = [hiera._Stretch(range(i, i + 1), 0) for i in range(len(model.blocks))]
    monkeypatch.setattr(hiera, "_stretches", lambda blocks, height, width: rows)
    for one, other in zip(model(pixels), ordered, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-5, atol=1e-5)


def test_groups_of_windows_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trunk(HieraConfig(embed_dim=8, num_heads=1, stages=(1, 2, 4, 2)))
    pixels = mx.random.normal((1, 256, 256, 3))
    whole = model(pixels)
    spread_over(monkeypatch, 2)
    monkeypatch.setattr(lanes, "_GROUP_VALUES", 2**11)
    for one, other in zip(model(pixels), whole, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=1e-5, atol=1e-5)
