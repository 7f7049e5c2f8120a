"""Batches of training clips, made in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from training.clips import ClipMaker, Recipe
from training.recipe import Mix
from training.sprites import Bank
from training.steps import Batch


class Batches(torch.utils.data.IterableDataset):
    """An endless stream of batches.

    Args:
        bank: file of `training.sprites`.
        size: side of the frames.
        mixes: kinds of batches.
        seed: of everything.
    """

    def __init__(self, bank: Path, size: int, mixes: tuple[Mix, ...], seed: int) -> None:
        self._bank, self._size, self._mixes, self._seed = bank, size, mixes, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Frames uint8 (B, T, S, S, 3) and masks bool (B, K, T, S, S)."""
        cv2.setNumThreads(0)
        worker = torch.utils.data.get_worker_info()
        seed = self._seed * 1000 + (worker.id if worker else 0)
        maker, random = ClipMaker(Bank.load(self._bank), seed), np.random.default_rng(seed + 500)
        shares = np.array([mix.share for mix in self._mixes])
        while True:
            mix = self._mixes[int(random.choice(len(shares), p=shares / shares.sum()))]
            recipe = Recipe(size=self._size, frames=mix.frames, objects=mix.objects)
            clips = [maker.make(recipe) for _ in range(mix.clips)]
            frames = np.stack([clip.frames for clip in clips])
            truth = np.stack(
                [clip.labels[None] == clip.targets[:, None, None, None] for clip in clips]
            )
            yield torch.from_numpy(frames), torch.from_numpy(truth)


def batches(source: Batches) -> Iterator[Batch]:
    """The batches of a source, prepared ahead by one process."""
    loader = torch.utils.data.DataLoader(source, batch_size=None, num_workers=1, prefetch_factor=6)
    for frames, truth in loader:
        yield Batch(frames, truth)
