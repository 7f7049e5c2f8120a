"""Hiera: a hierarchical vision transformer with window attention and query pooling."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from sam2_mlx.config import HieraConfig
from sam2_mlx.model.image_encoder.hiera_block import MultiScaleBlock
from sam2_mlx.model.layers import Conv2d, add_norm
from sam2_mlx.ops.lanes import spread_groups, spread_rows
from sam2_mlx.ops.resize import resize_maps
from sam2_mlx.ops.windows import Grid, reorder


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches at stride 4.

    Args:
        dims: output channels.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.proj = Conv2d(3, dims, kernel_size=7, stride=4, padding=3)

    def __call__(self, x: mx.array) -> mx.array:
        """(B, S, S, 3) to (B, S/4, S/4, dims)."""
        return self.proj(x)


class Hiera(nn.Module):
    """The image encoder's trunk.

    Args:
        config: dimensions.

    Source: Ryali et al., "Hiera" (arXiv 2306.00989); sam2/modeling/backbones/hieradet.py, Hiera.
    """

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        dims, window = config.embed_dim, config.window_sizes[0]
        self.patch_embed = PatchEmbed(dims)
        self.pos_embed = mx.zeros((1, *config.background_size, dims))
        self.pos_embed_window = mx.zeros((1, window, window, dims))
        self.blocks = _blocks(config)
        self._ends = {start - 1 for start in (*config.stage_starts[1:], len(self.blocks))}
        self._position: tuple[mx.array, mx.array] | None = None
        self._ordered: tuple[mx.array, int, mx.array] | None = None

    def constants(self, side: int) -> list[mx.array]:
        """What depends on the weights and the side of the input in pixels alone."""
        stretches = _stretches(self.blocks, side // 4, side // 4)
        return [self._ordered_places(side // 4, side // 4, stretches[0].window or 0)]

    def _ordered_places(self, height: int, width: int, order: int) -> mx.array:
        """The position embedding in the order of the first block, (height*width, C)."""
        places, kept = self.position_embedding(height, width), self._ordered
        if kept is None or kept[0] is not places or kept[1] != order:
            rows = places.reshape(height * width, -1)
            kept = self._ordered = (places, order, reorder(rows, (1, height, width), 0, order))
        return kept[2]

    def position_embedding(self, height: int, width: int) -> mx.array:
        """The position embedding of a grid, (height, width, C), in the weights' dtype."""
        # Depends on the weights and the size alone: made once, and again if either changes.
        if self._position is None or self._position[0] is not self.pos_embed:
            background = self.pos_embed[0].transpose(2, 0, 1)
            whole = resize_maps(background, (height, width), "bicubic").transpose(1, 2, 0)
            window = self.pos_embed_window[0]
            tiles = (-(-height // window.shape[0]), -(-width // window.shape[1]), 1)
            whole = whole + mx.tile(window.astype(mx.float32), tiles)[:height, :width]
            self._position = (self.pos_embed, mx.stop_gradient(whole.astype(self.pos_embed.dtype)))
        if self._position[1].shape[:2] != (height, width):
            self._position = None
            return self.position_embedding(height, width)
        return self._position[1]

    def __call__(self, pixels: mx.array) -> list[mx.array]:
        """Encode a normalised picture.

        Args:
            pixels: (B, S, S, 3), normalised by mean and deviation.

        Returns:
            The output of each stage, finest first: (B, S/4, S/4, C), (B, S/8, S/8, 2C), ...
        """
        patches = self.patch_embed(pixels)
        batch, height, width, dims = patches.shape
        grid = (batch, height, width)
        stretches = _stretches(self.blocks, height, width)
        # Tokens are ordered by windows of this side, or row by row where it is 0.
        order = stretches[0].window or 0
        places = self._ordered_places(height, width, order)
        places = mx.broadcast_to(places, (batch, *places.shape)).reshape(-1, dims)
        patches = reorder(patches.reshape(-1, dims), grid, 0, order)
        first = self.blocks[0].norm1
        x, normed = spread_rows(lambda x, y: add_norm(x, y, first), patches, places)
        outputs = []
        for stretch in stretches:
            if stretch.window is not None and stretch.window != order:
                x, normed = (reorder(p, grid, order, stretch.window) for p in (x, normed))
                order = stretch.window
            kept, normed = self._run(stretch, x, normed, grid)
            for index in stretch.blocks:
                if self.blocks[index].pool:
                    height, width, order = height // 2, width // 2, order // 2
                    grid = (batch, height, width)
                if index in self._ends:
                    outputs.append(reorder(kept[index], grid, order, 0).reshape(*grid, -1))
            x = kept[stretch.blocks[-1]]
        return outputs

    def _run(
        self, stretch: _Stretch, x: mx.array, normed: mx.array, grid: Grid
    ) -> tuple[dict[int, mx.array], mx.array]:
        """Outputs of blocks that end a stage or the stretch, by index, and the norm of the last."""
        if not stretch.window:
            index = stretch.blocks[0]
            block = self.blocks[index]
            run = block.with_padding if block.window else block
            x, normed = run(x, normed, grid, self._norm_after(index))
            return {index: x}, normed
        side, last = stretch.window, stretch.blocks[-1]
        wanted = [index for index in stretch.blocks if index in self._ends or index == last]

        def go(x: mx.array, normed: mx.array) -> tuple[mx.array, ...]:
            windows, inner, kept = len(x) // side**2, side, []
            for index in stretch.blocks:
                block = self.blocks[index]
                x, normed = block(x, normed, (windows, inner, inner), self._norm_after(index))
                inner = inner // 2 if block.pool else inner
                kept += [x] if index in wanted else []
            return (*kept, normed)

        # Nothing in a stretch looks beyond a window: a few at a time go through all its blocks.
        *kept, normed = spread_groups(go, side**2, x, normed)
        return dict(zip(wanted, kept, strict=True)), normed

    def _norm_after(self, index: int) -> nn.LayerNorm | None:
        last = index + 1 == len(self.blocks)
        return None if last else self.blocks[index + 1].norm1


@dataclass(frozen=True)
class _Stretch:
    """Blocks that find their tokens in the order in which the one before leaves them.

    Attributes:
        blocks: their indices.
        window: side of the windows that tokens are ordered by at the start; 0 for a block that
            needs them row by row; None for one to which their order is the same.
    """

    blocks: range
    window: int | None


def _stretches(blocks: list[MultiScaleBlock], height: int, width: int) -> list[_Stretch]:
    """Cut the trunk into stretches, for a grid of tokens."""
    found: list[_Stretch] = []
    left_in = 0
    for index, block in enumerate(blocks):
        window = block.window
        whole = window > 0 and height % window == 0 and width % window == 0
        if whole and window == left_in:
            found[-1] = _Stretch(range(found[-1].blocks.start, index + 1), found[-1].window)
        elif whole:
            found.append(_Stretch(range(index, index + 1), window))
        else:
            any_order = window == 0 and not block.pool
            found.append(_Stretch(range(index, index + 1), None if any_order else 0))
        # A window that was pooled holds the tokens of a window of the next stage.
        left_in = (window // 2 if block.pool else window) if whole else 0
        if block.pool:
            height, width = height // 2, width // 2
    return found


def _blocks(config: HieraConfig) -> list[MultiScaleBlock]:
    blocks = []
    stage, dims, heads = 0, config.embed_dim, config.num_heads
    starts = config.stage_starts[1:]
    for index in range(sum(config.stages)):
        # A block that pools still cuts its windows at the size of the stage before.
        window = 0 if index in config.global_blocks else config.window_sizes[stage]
        pool = index in starts
        if pool:
            stage, heads = stage + 1, heads * 2
        out_dims = config.stage_dims[stage]
        blocks.append(MultiScaleBlock(dims, out_dims, heads, window, pool))
        dims = out_dims
    return blocks
