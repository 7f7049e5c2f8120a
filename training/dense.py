"""A head that is thrown away: it teaches the encoder which pixels belong together.

Every pixel of the feature pyramid gets an embedding; the pixels near the mean embedding of a few
of an object's pixels must be the object, on the same frame and on later ones. Masks alone teach a
small encoder without pretraining next to nothing; with this it starts within minutes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from training.losses import balanced

_LEAST_PIXELS = 4


class DenseHead(nn.Module):
    """Pixel embeddings of three pyramid levels, and their loss.

    Args:
        widths: channels of the levels, finest first.
        width: of the embedding.
    """

    def __init__(self, widths: tuple[int, int, int], width: int = 32) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in widths)
        self.norm = nn.GroupNorm(1, width)
        self.out = nn.Conv2d(width, width, 1)
        self.bias = nn.Parameter(torch.tensor(1.0))

    def embed(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Embeddings (B, width, P) of the finest level's pixels."""
        size = levels[0].shape[-2:]
        total = self.levels[0](levels[0])
        for project, level in zip(self.levels[1:], levels[1:], strict=True):
            total = total + F.interpolate(project(level), size=size, mode="bilinear")
        return self.out(F.gelu(self.norm(total))).flatten(2)

    def query(self, embeddings: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Mean embedding (N, width) of a few random pixels of each mask (N, P)."""
        inside = masks > 0.5
        luck = torch.rand_like(masks) * inside
        chosen = (luck >= luck.amax(1, keepdim=True)) | (torch.rand_like(masks) < 0.02)
        weight = (chosen & inside).float()
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-3)
        return torch.einsum("ndp,np->nd", embeddings, weight)

    def loss(
        self, embeddings: torch.Tensor, query: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Whether the pixels near the query are the mask.

        Args:
            embeddings: (N, width, P).
            query: (N, width).
            masks: (N, P) in [0, 1].
        """
        distance = ((embeddings - query[..., None]) ** 2).sum(1)
        logits = (self.bias - distance).clamp(-20, 20)
        entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        share = logits.sigmoid()
        dice = 1 - (2 * (share * masks).sum(1) + 1) / (share.sum(1) + masks.sum(1) + 1)
        visible = (masks.sum(1) > _LEAST_PIXELS).float()
        return (balanced(entropy, masks) + dice * visible).mean()


def shrunk(truth: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Masks bool (N, S, S) as shares (N, P) of a level's pixels."""
    return F.interpolate(truth[:, None].float(), size=size, mode="area").flatten(1)
