"""What a user would give: clicks, boxes, corrections, drawn from the true masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

Prompt = dict[str, torch.Tensor]
"""`point_coords` (N, P, 2) in pixels and `point_labels` int32 (N, P), as the reference has them."""

BOX_SHARE = 0.25
_BOX_NOISE = 0.1


def first_prompt(truth: torch.Tensor, random: np.random.Generator) -> tuple[Prompt, str]:
    """A first prompt, of one kind for all objects.

    Args:
        truth: bool (N, S, S), none empty.
        random: decides.

    Returns:
        The prompt and its kind: "box", "click" or "clicks".
    """
    luck = random.random()
    if luck < BOX_SHARE:
        return box_prompt(truth, random), "box"
    points = middles(truth) if random.random() < 0.5 else anywhere(truth)
    if luck < BOX_SHARE + 0.07:
        return _points([points, anywhere(truth)], [1, 1]), "clicks"
    return _points([points], [1]), "click"


def correction(prompt: Prompt, truth: torch.Tensor, mask: torch.Tensor) -> Prompt:
    """The prompt with one more click, in what is missing or in what is too much.

    Args:
        prompt: so far.
        truth: bool (N, S, S).
        mask: bool (N, S, S).
    """
    missing, extra = truth & ~mask, mask & ~truth
    lacks, exceeds = missing.flatten(1).sum(1), extra.flatten(1).sum(1)
    positive = torch.rand(len(truth)) * (lacks + exceeds) < lacks
    where = torch.where(positive[:, None, None], missing, extra)
    right = (lacks + exceeds) == 0
    where[right], positive[right] = truth[right], True
    points = middles(where) if torch.rand(()) < 0.5 else anywhere(where)
    return {
        "point_coords": torch.cat([prompt["point_coords"], points[:, None]], 1),
        "point_labels": torch.cat([prompt["point_labels"], positive.int()[:, None]], 1),
    }


def box_prompt(truth: torch.Tensor, random: np.random.Generator) -> Prompt:
    """Boxes around masks, with corners that are a little off.

    Args:
        truth: bool (N, S, S), none empty.
        random: decides.
    """
    side = truth.shape[-1]
    corners = []
    for mask in truth.numpy():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)
        most = np.minimum(_BOX_NOISE * np.tile(box[2:] - box[:2] + 1, 2), 20)
        corners.append(np.clip(box + random.normal(0, 1, 4) * most, 0, side - 1))
    coords = torch.from_numpy(np.stack(corners).astype(np.float32)).view(-1, 2, 2)
    labels = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(truth), 2)
    return {"point_coords": coords, "point_labels": labels}


def anywhere(masks: torch.Tensor) -> torch.Tensor:
    """A random pixel (N, 2) of each mask; the first pixel of the picture where one is empty."""
    side = masks.shape[-1]
    index = (torch.rand(masks.shape) * masks).flatten(1).argmax(1)
    return torch.stack([index % side, index // side], -1).float()


def middles(masks: torch.Tensor) -> torch.Tensor:
    """The pixel (N, 2) of each mask that is farthest from its edge."""
    points = []
    for mask in masks.numpy().astype(np.uint8):
        # The border of the picture is an edge, too.
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        points.append((column, row))
    return torch.tensor(points, dtype=torch.float32)


def _points(points: list[torch.Tensor], labels: list[int]) -> dict[str, Any]:
    return {
        "point_coords": torch.stack(points, 1),
        "point_labels": torch.tensor([labels], dtype=torch.int32).expand(len(points[0]), -1),
    }
