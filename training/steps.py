"""One training step: the loss of a batch of images, or of clips with memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from training.dense import DenseHead, shrunk
from training.losses import LossWeights, Meter, mask_loss
from training.prompts import Prompt, correction, first_prompt

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
_SURE = 10.0
_POINTER_FRAMES = 16
"""Clips of at least this length encode the age of pointers alike."""


@dataclass(frozen=True)
class Batch:
    """Clips of one length.

    Attributes:
        frames: uint8 (B, T, S, S, 3).
        truth: bool (B, K, T, S, S), K objects of each clip.
    """

    frames: torch.Tensor
    truth: torch.Tensor


@dataclass
class Teacher:
    """What the steps share.

    Attributes:
        network: the reference's SAM2Base.
        dense: the head that is thrown away.
        weights: of the losses.
        meter: of what is watched.
        random: decides about prompts.
        dense_weight: of the dense head's loss.
        true_memory: probability that a clip's memory is made from true masks.
        window: the last frames of a long clip that are learned from; the ones before only run.
        encoder_frames: frames of a clip whose encoder is learned from.
    """

    network: Any
    dense: DenseHead
    weights: LossWeights
    meter: Meter
    random: np.random.Generator
    dense_weight: float = 0.0
    true_memory: float = 0.0
    window: int = 4
    encoder_frames: int = 2

    def loss(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch, of images where it has one frame."""
        return _image_loss(self, batch) if batch.frames.shape[1] == 1 else _clip_loss(self, batch)


def pixels_of(frames: torch.Tensor) -> torch.Tensor:
    """Normalised (N, 3, S, S) of uint8 (N, S, S, 3)."""
    return (frames.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _DEVIATION


def _image_loss(teacher: Teacher, batch: Batch) -> torch.Tensor:
    network = teacher.network
    clips, objects = batch.truth.shape[:2]
    side = batch.truth.shape[-1]
    levels = network.forward_image(pixels_of(batch.frames[:, 0]))["backbone_fpn"]
    owner = torch.arange(clips).repeat_interleave(objects)
    fine = [level[owner] for level in levels[:-1]]
    coarse = levels[-1][owner] + network.no_mem_embed.view(1, -1, 1, 1)
    truth = batch.truth[:, :, 0].reshape(-1, side, side)
    corrections = int(teacher.random.choice(3, p=[0.45, 0.35, 0.2]))
    loss, _, _ = _prompted(teacher, coarse, fine, truth, corrections)
    if teacher.dense_weight:
        masks = shrunk(truth, levels[0].shape[-2:])
        pixels = teacher.dense.embed(levels)[owner]
        extra = teacher.dense.loss(pixels, teacher.dense.query(pixels, masks), masks)
        loss = loss + teacher.dense_weight * extra
    return loss


def _prompted(
    teacher: Teacher,
    coarse: torch.Tensor,
    fine: list[torch.Tensor],
    truth: torch.Tensor,
    corrections: int,
) -> tuple[torch.Tensor, Any, Prompt]:
    """First prompt and corrections on one frame: mean loss, last outputs, last prompt."""
    network = teacher.network
    prompt, name = first_prompt(truth, teacher.random)
    losses, logits = [], None
    for number in range(corrections + 1):
        many = network._use_multimask(True, prompt)
        out = network._forward_sam_heads(coarse, prompt, logits, fine, many)
        pass_name = name if number == 0 else "corrected"
        losses.append(_scored(teacher, out, truth, pass_name))
        if number < corrections:
            logits = out[3]
            with torch.no_grad():
                prompt = correction(prompt, truth, out[4][:, 0] > 0)
    return torch.stack(losses).mean(), out, prompt


def _scored(teacher: Teacher, out: Any, truth: torch.Tensor, name: str) -> torch.Tensor:
    """The loss of what the heads gave."""
    return mask_loss(out[0], out[2], out[6], truth, teacher.weights, teacher.meter, name)


def _clip_loss(teacher: Teacher, batch: Batch) -> torch.Tensor:
    """The first frame is prompted, the others are followed; the last `window` are learned from."""
    length = batch.frames.shape[1]
    learned = set(range(max(0, length - teacher.window), length))
    run = _ClipRun(teacher, batch, learned)
    losses = [run.frame(time) for time in range(length)]
    taught = [loss for loss in losses if loss is not None]
    total = torch.stack(taught).mean()
    if run.dense_loss is not None:
        total = total + teacher.dense_weight * run.dense_loss
    return total


class _ClipRun:
    """The state of one pass over a batch of clips."""

    def __init__(self, teacher: Teacher, batch: Batch, learned: set[int]) -> None:
        self._teacher, self._network = teacher, teacher.network
        clips, self._objects, self._length, self._side, _ = batch.truth.shape
        self._truth = batch.truth.flatten(0, 1)
        self._owner = torch.arange(clips).repeat_interleave(self._objects)
        self._learned = learned
        random = teacher.random
        self._true_memory = random.random() < teacher.true_memory
        self._mask_prompt = random.random() < 0.2
        # Clips are parts of longer ones more often than not.
        self._pointer_frames = _POINTER_FRAMES if random.random() < 0.75 else self._length
        self._memory: dict[str, dict[int, Any]] = {
            "cond_frame_outputs": {},
            "non_cond_frame_outputs": {},
        }
        self.dense_loss: torch.Tensor | None = None
        self._features = self._encode(batch.frames, clips)

    def _encode(self, frames: torch.Tensor, clips: int) -> list[Any]:
        """Features of every frame, with gradients through a few of the learned ones."""
        teacher, length = self._teacher, self._length
        learned = sorted(self._learned)
        count = min(teacher.encoder_frames, len(learned))
        through = sorted(teacher.random.choice(learned, count, replace=False).tolist())
        rest = [time for time in range(length) if time not in through]
        pixels = pixels_of(frames.flatten(0, 1)).unflatten(0, (clips, length))
        features: list[Any] = [None] * length
        for times, learns in ((through, True), (rest, False)):
            if not times:
                continue
            with torch.set_grad_enabled(learns):
                out = self._network.forward_image(pixels[:, times].flatten(0, 1))
                if learns and teacher.dense_weight:
                    self.dense_loss = self._dense(out["backbone_fpn"][:3], times)
                _, parts, positions, sizes = self._network._prepare_backbone_features(out)
                for rank, time in enumerate(times):
                    rows = self._owner * len(times) + rank
                    features[time] = (
                        [part[:, rows] for part in parts],
                        [positions[-1][:, rows]],
                        sizes,
                    )
        return features

    def _dense(self, levels: list[torch.Tensor], times: list[int]) -> torch.Tensor:
        """The dense head's loss on frames, asked for with pixels of the first of them."""
        dense = self._teacher.dense
        pixels = dense.embed(levels)
        total, query = torch.zeros(()), None
        for rank, time in enumerate(times):
            mine = pixels[self._owner * len(times) + rank]
            masks = shrunk(self._truth[:, time], levels[0].shape[-2:])
            query = dense.query(mine, masks) if query is None else query
            total = total + dense.loss(mine, query, masks)
        return total / len(times)

    def frame(self, time: int) -> torch.Tensor | None:
        """Run a frame and remember it; its loss where it is learned from."""
        learns = time in self._learned
        with torch.set_grad_enabled(learns):
            parts, positions, sizes = self._features[time]
            fine = [
                part.permute(1, 2, 0).unflatten(2, size)
                for part, size in zip(parts[:-1], sizes[:-1], strict=True)
            ]
            out, prompt, loss = self._heads(time, parts, positions, sizes, fine)
            if time < self._length - 1:
                self._remember(time, parts, sizes, prompt, out)
        return loss if learns else None

    def _heads(
        self, time: int, parts: Any, positions: Any, sizes: Any, fine: list[torch.Tensor]
    ) -> tuple[Any, Prompt | None, torch.Tensor | None]:
        network, truth = self._network, self._truth[:, time]
        coarse = parts[-1].permute(1, 2, 0).unflatten(2, sizes[-1])
        if time == 0 and self._mask_prompt:
            return network._use_mask_as_output(coarse, fine, truth[:, None].float()), None, None
        if time == 0:
            corrections = int(self._teacher.random.choice(3, p=[0.55, 0.3, 0.15]))
            plain = coarse + network.no_mem_embed.view(1, -1, 1, 1)
            loss, out, prompt = _prompted(self._teacher, plain, fine, truth, corrections)
            return out, prompt, loss
        attended = network._prepare_memory_conditioned_features(
            frame_idx=time,
            is_init_cond_frame=False,
            current_vision_feats=parts[-1:],
            current_vision_pos_embeds=positions,
            feat_sizes=sizes[-1:],
            output_dict=self._memory,
            num_frames=self._pointer_frames,
        )
        many = network._use_multimask(False, None)
        out = network._forward_sam_heads(attended, None, None, fine, many)
        name = "tracked" if self._length <= self._teacher.window else "tracked late"
        return out, None, _scored(self._teacher, out, truth, name)

    def _remember(self, time: int, parts: Any, sizes: Any, prompt: Prompt | None, out: Any) -> None:
        masks, presence = out[4], out[6]
        if self._true_memory:
            truth = self._truth[:, time]
            masks = (truth[:, None].float() * 2 - 1) * _SURE
            presence = (truth.flatten(1).any(1, keepdim=True).float() * 2 - 1) * _SURE
        elif time == 0 and prompt is not None and not torch.is_grad_enabled():
            # Where nothing is learned the prompted mask is cut to 0 and 1, as in use.
            masks = (masks > 0).float() * (4 * _SURE) - 2 * _SURE
        entry = {"obj_ptr": out[5]}
        self._network._encode_memory_in_output(parts, sizes, prompt, True, masks, presence, entry)
        kind = "cond_frame_outputs" if time == 0 else "non_cond_frame_outputs"
        self._memory[kind][time] = entry
