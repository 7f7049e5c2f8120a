"""Common mistakes of a port, made on purpose in the reference.

A golden proves something only if a mistake moves it further than its tolerance. Each entry of
`MISTAKES` breaks the reference in one way; `make_goldens.py` measures by how much it moves the
masks of one scenario and keeps the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import sam2.modeling.sam2_base as base
import torch
from sam2.modeling.sam import transformer

from tests.parity import reference_model  # noqa: F401  (makes torchvision importable)


@contextmanager
def repeated_rotation(_: Any) -> Iterator[None]:
    """Rotary angles repeated per row of the memory instead of tiled per frame."""
    rotate = transformer.apply_rotary_enc

    def repeated(q: Any, k: Any, freqs_cis: Any, repeat_freqs_k: bool = False) -> Any:
        frames = k.shape[2] // q.shape[2]
        if frames <= 1:
            return rotate(q, k, freqs_cis, repeat_freqs_k)
        q = rotate(q, q, freqs_cis, False)[0]
        return q, rotate(k, k, freqs_cis.repeat_interleave(frames, 0), False)[0]

    with mock.patch.object(transformer, "apply_rotary_enc", repeated):
        yield


@contextmanager
def shifted_time_slots(model: Any) -> Iterator[None]:
    """Every time embedding taken from the slot beside."""
    kept = model.maskmem_tpos_enc.data
    model.maskmem_tpos_enc.data = kept.roll(1, 0)
    try:
        yield
    finally:
        model.maskmem_tpos_enc.data = kept


@contextmanager
def _pointer_positions(change: Callable[[Any], Any]) -> Iterator[None]:
    encode = base.get_1d_sine_pe
    with mock.patch.object(
        base, "get_1d_sine_pe", lambda place, dim, **kwargs: encode(change(place), dim, **kwargs)
    ):
        yield


def fixed_pointer_span(_: Any) -> Any:
    """Pointer distances of a clip of ten frames divided by 15."""
    return _pointer_positions(lambda place: place * (9 / 15))


def unsigned_pointers(_: Any) -> Any:
    """Pointer distances with the wrong sign."""
    return _pointer_positions(lambda place: -place)


@contextmanager
def _attribute(model: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(model, name, value):
        yield


def pointer_of_first_token(model: Any) -> Any:
    """The object pointer always from the single mask's token."""
    return _attribute(model.sam_mask_decoder, "use_multimask_token_for_obj_ptr", False)


def soft_prompted_masks(model: Any) -> Any:
    """Prompted masks remembered as probabilities instead of as shown."""
    return _attribute(model, "binarize_mask_from_pts_for_mem_enc", False)


def fewer_pointers(model: Any) -> Any:
    """Eight frames with pointers instead of sixteen."""
    return _attribute(model, "max_obj_ptrs_in_encoder", 8)


def mask_scaled_to_one(model: Any) -> Any:
    """A memory mask whose bias is off by a tenth."""
    return _attribute(model, "sigmoid_bias_for_mem_enc", -9.0)


@contextmanager
def single_mask_while_tracking(model: Any) -> Iterator[None]:
    """The single mask instead of the best of three on tracked frames."""
    with mock.patch.object(model, "multimask_output_for_tracking", False):
        yield


@contextmanager
def padded_prompt_dropped(model: Any) -> Iterator[None]:
    """No padding token after the points."""
    encoder = model.sam_prompt_encoder
    embed = encoder._embed_points

    def without(points: torch.Tensor, labels: torch.Tensor, pad: bool) -> torch.Tensor:
        del pad
        return embed(points, labels, False)

    with mock.patch.object(encoder, "_embed_points", without):
        yield


MISTAKES: tuple[Callable[[Any], Any], ...] = (
    repeated_rotation,
    shifted_time_slots,
    fixed_pointer_span,
    unsigned_pointers,
    fewer_pointers,
    pointer_of_first_token,
    soft_prompted_masks,
    mask_scaled_to_one,
    single_mask_while_tracking,
    padded_prompt_dropped,
)
