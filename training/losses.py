"""SAM 2's losses, and the term that keeps a network without pretraining off the empty mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812

LOGIT_LIMIT = 30.0


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts.

    Attributes:
        focal: focal loss of the mask.
        dice: dice loss of the mask.
        iou: absolute error of the predicted IoU.
        presence: cross entropy of the presence.
        balanced: cross entropy with object and background weighted alike; for the start only.
        side: masks are compared at this resolution.
    """

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    presence: float = 1.0
    balanced: float = 0.0
    side: int = 64


@dataclass
class Meter:
    """Running means of what is watched."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float, count: float = 1.0) -> None:
        """Add `count` samples whose sum is `value`."""
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: self.sums[name] / max(self.counts[name], 1.0) for name in self.sums}
        self.sums.clear()
        self.counts.clear()
        return means


def mask_loss(
    logits: torch.Tensor,
    iou: torch.Tensor,
    presence: torch.Tensor,
    truth: torch.Tensor,
    weights: LossWeights,
    meter: Meter,
    name: str,
) -> torch.Tensor:
    """The loss of one decoder pass.

    Of several masks only the one with the least mask loss is taught; all predicted IoUs are. A
    frame without the object teaches only the presence.

    Args:
        logits: (N, M, s, s) candidates.
        iou: (N, M) predicted IoUs.
        presence: (N, 1) logits.
        truth: bool (N, S, S).
        weights: of the parts.
        meter: gets the IoU of the chosen mask and of the best one.
        name: of the pass, for the meter.

    Returns:
        A scalar, the mean over N.

    Source: the SAM 2 paper, appendix D.2.
    """
    side = (weights.side, weights.side)
    resized = F.interpolate(logits, size=side, mode="bilinear", align_corners=False).flatten(2)
    resized = resized.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    target = F.interpolate(truth[:, None].float(), size=side, mode="area").flatten(2)
    parts = _mask_parts(resized, target.expand_as(resized), weights)
    with torch.no_grad():
        mine, true = resized > 0, target > 0.5
        overlap = (mine & true).sum(-1).float() / (mine | true).sum(-1).clamp(min=1)
        visible = truth.flatten(1).any(1).float()
    best = parts.argmin(1, keepdim=True)
    taught = parts.gather(1, best)[:, 0] + weights.iou * (iou - overlap).abs().mean(1)
    presence_loss = F.binary_cross_entropy_with_logits(presence[:, 0], visible)
    with torch.no_grad():
        count = float(visible.sum())
        chosen = overlap.gather(1, iou.argmax(1, keepdim=True))[:, 0]
        meter.add(f"{name} J", float((chosen * visible).sum()), count)
        meter.add(f"{name} best J", float((overlap.gather(1, best)[:, 0] * visible).sum()), count)
        right = ((presence[:, 0] > 0) == (visible > 0)).float()
        meter.add(f"{name} presence", float(right.sum()), len(right))
    return (taught * visible).mean() + weights.presence * presence_loss


def _mask_parts(logits: torch.Tensor, target: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """Mask loss (N, M) of logits and soft targets (N, M, P)."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    share = logits.sigmoid()
    right = share * target + (1 - share) * (1 - target)
    focal = entropy * (1 - right) ** 2 * (0.25 * target + 0.75 * (1 - target))
    overlap = 2 * (share * target).sum(-1) + 1
    dice = 1 - overlap / (share.sum(-1) + target.sum(-1) + 1)
    total = weights.focal * focal.mean(-1) + weights.dice * dice
    if weights.balanced:
        total = total + weights.balanced * balanced(entropy, target)
    return total


def balanced(entropy: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of the object's and the background's mean cross entropy.

    Args:
        entropy: (..., P) cross entropies.
        target: (..., P) in [0, 1].

    Returns:
        (...).
    """
    inside = (entropy * target).sum(-1) / target.sum(-1).clamp(min=1)
    outside = (entropy * (1 - target)).sum(-1) / (1 - target).sum(-1).clamp(min=1)
    return 0.5 * (inside + outside)
