"""The order of tokens in Hiera's trunk, and its blocks group by group."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_map

from sam2_mlx.config import MODELS, HieraConfig
from sam2_mlx.model.image_encoder import hiera
from sam2_mlx.model.image_encoder.hiera import Hiera
from sam2_mlx.ops.cpu import lanes
from tests.spread import spread_over


def trunk(config: HieraConfig) -> Hiera:
    """A trunk with random weights, large enough that order matters."""
    mx.random.seed(0)
    model = Hiera(config)
    model.update(tree_map(lambda p: mx.random.normal(p.shape) * 0.2, model.parameters()))
    return model


def runs(model: Hiera, side: int) -> list[tuple[int, int]]:
    """Blocks and order of each run."""
    return [(len(run.blocks), run.order) for run in hiera._runs(model.blocks, (side, side))]


@pytest.mark.parametrize(
    ("name", "side", "want"),
    [
        ("tiny", 256, [(4, 8), (1, 0), (1, 0), (1, 0)]),
        ("large", 256, [(9, 8), (14, 16), (1, 16), (9, 16)]),
        ("tiny", 224, [(4, 8), (1, 14), (1, 14), (1, 14)]),
        ("tiny", 60, [(1, 0), (1, 0), (1, 0), (1, 0)]),
    ],
)
def test_blocks_that_share_an_order(name: str, side: int, want: list[tuple[int, int]]) -> None:
    encoder = MODELS[name].encoder
    assert isinstance(encoder, HieraConfig)
    small = HieraConfig(
        embed_dim=8,
        num_heads=1,
        stages=encoder.stages,
        global_blocks=encoder.global_blocks,
        window_sizes=encoder.window_sizes,
    )
    assert runs(trunk(small), side)[: len(want)] == want


@pytest.mark.parametrize("pictures", [1, 2])
def test_any_order_gives_the_same(monkeypatch: pytest.MonkeyPatch, pictures: int) -> None:
    model = trunk(HieraConfig(embed_dim=8, num_heads=1, stages=(1, 2, 4, 2)))
    pixels = mx.random.normal((pictures, 256, 256, 3))
    ordered = model(pixels)
    # Every block with windows of its own, joined to rows before the next.
    rows, side = [], 64
    for block in model.blocks:
        rows.append(hiera._Run([block], 0, (side, side)))
        side = side // 2 if block.pool else side
    monkeypatch.setattr(hiera, "_runs", lambda blocks, grid: rows)
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


def test_patches_are_centred_on_four_pixels() -> None:
    """A patch of 7 pixels at stride 4 begins three pixels before its own four."""
    embed = Hiera(HieraConfig(embed_dim=8, num_heads=1, stages=(1, 1, 1, 1))).patch_embed
    embed.proj.weight = mx.zeros(embed.proj.weight.shape)
    embed.proj.weight[:, 0, 0] = 1
    embed.proj.bias = mx.zeros(embed.proj.bias.shape)
    pixels = mx.zeros((1, 32, 32, 3))
    pixels[0, 4 * 3 - 3, 4 * 5 - 3] = 1
    lit = np.argwhere(np.array(embed(pixels))[0, :, :, 0])
    assert lit.tolist() == [[3, 5]]


@pytest.mark.parametrize("name", ["pos_embed", "pos_embed_window"])
def test_positions_follow_size_and_weights(name: str) -> None:
    config = HieraConfig(embed_dim=8, num_heads=1, stages=(1, 1, 1, 1))
    model = trunk(config)
    small, large = (mx.random.normal((1, side, side, 3)) for side in (64, 96))

    def outputs(model: Hiera) -> list[np.ndarray]:
        return [np.array(stage) for pixels in (small, large, small) for stage in model(pixels)]

    before = outputs(model)
    setattr(model, name, model[name] * 2)
    fresh = Hiera(config)
    fresh.update(model.parameters())
    for one, other, then in zip(outputs(model), outputs(fresh), before, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one - then).max() > 1e-3


def test_positions_are_a_resized_background_and_repeated_windows() -> None:
    model = trunk(HieraConfig(embed_dim=8, num_heads=1, stages=(1, 1, 1, 1)))
    model.pos_embed = mx.full(model.pos_embed.shape, 2.0)
    places = np.array(model.position_embedding(20, 12))
    window = np.array(model.pos_embed_window)[0]
    wanted = 2 + np.tile(window, (3, 2, 1))[:20, :12]
    np.testing.assert_allclose(places, wanted, atol=1e-5)
