"""What moves the weights: Muon for matrices, AdamW for everything else."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

_STEPS = 5
_COEFFICIENTS = 3.4445, -4.775, 2.0315
_WEIGHT_DECAY = 0.05


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal, so that every direction moves alike.

    The one in torch computes in bfloat16, which takes a CPU 25 times as long as float32 does here
    with matrices of one shape in one batch.

    Args:
        params: matrices (two dimensions).
        lr: rate; updates are scaled to the root mean square that AdamW's have, so rates carry over.
        weight_decay: decoupled.
        momentum: share of the running gradient that a step keeps.

    Source: K. Jordan et al., Muon (2024); the scale is that of "Muon is Scalable for LLM Training".
    """

    def __init__(
        self, params: Any, lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Move the matrices along their gradients."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[torch.Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[tuple(matrix.shape)].append(matrix)
            for matrices in alike.values():
                self._move(matrices, group)

    def _move(self, matrices: list[torch.Tensor], group: dict[str, Any]) -> None:
        keep, rate = group["momentum"], group["lr"]
        ahead = []
        for matrix in matrices:
            state = self.state[matrix]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(matrix)
            state["momentum"].lerp_(matrix.grad, 1 - keep)
            ahead.append(matrix.grad.lerp(state["momentum"], keep))
        updates = orthogonal(torch.stack(ahead))
        scale = 0.2 * max(matrices[0].shape) ** 0.5
        for matrix, update in zip(matrices, updates, strict=True):
            matrix.mul_(1 - rate * group["weight_decay"]).sub_(update, alpha=rate * scale)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices with the same directions whose singular values are all near one.

    Args:
        matrices: (B, M, N).

    Returns:
        (B, M, N), after five steps of a Newton-Schulz iteration of the fifth order.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    product = matrices.mT if tall else matrices
    product = product / (product.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    first, third, fifth = _COEFFICIENTS
    for _ in range(_STEPS):
        square = product @ product.mT
        square = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
        product = torch.baddbmm(product, square, product, beta=first)
    return product.mT if tall else product


class Optimizer:
    """The optimisers of a training as one.

    Args:
        modules: what is trained.
        rate: learning rate to start with.
        muon: matrices by Muon; else AdamW has everything.
    """

    def __init__(self, modules: list[torch.nn.Module], rate: float, muon: bool) -> None:
        matrices, decayed, plain = _kinds(modules)
        if not muon:
            matrices, decayed = [], matrices + decayed
        groups = [
            {"params": decayed, "weight_decay": _WEIGHT_DECAY},
            {"params": plain, "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        ]
        if matrices:
            self._parts.append(Muon(matrices, lr=rate, weight_decay=_WEIGHT_DECAY))

    def step(self, rate: float) -> None:
        """Move the weights.

        Args:
            rate: learning rate of this step.
        """
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def clear(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[Any]:
        """What `load_state_dict` takes."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[Any]) -> None:
        """Go on where `state_dict` was taken."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def _kinds(modules: list[torch.nn.Module]) -> tuple[list[torch.Tensor], ...]:
    """Matrices, other decayed weights, and what has no decay: norms, biases, embeddings."""
    matrices: list[torch.Tensor] = []
    decayed: list[torch.Tensor] = []
    plain: list[torch.Tensor] = []
    for module in modules:
        for name, value in module.named_parameters():
            if value.ndim < 2 or "embed" in name or "token" in name:
                plain.append(value)
            elif value.ndim == 2 and min(value.shape) > 1:
                matrices.append(value)
            else:
                decayed.append(value)
    return matrices, decayed, plain
