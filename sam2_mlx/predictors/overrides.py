"""The reference's overrides of its configuration, as options of this package."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

TRACKING = {
    "fill_hole_area": "fill_hole_area",
    "non_overlap_masks": "non_overlap_masks",
    "clear_non_cond_mem_around_input": "clear_memory_around_prompts",
    "add_all_frames_to_correct_as_cond": "corrections_become_prompts",
    "max_cond_frames_in_attn": "max_prompted_frames",
    "memory_temporal_stride_for_eval": "memory_stride",
    "binarize_mask_from_pts_for_mem_enc": "binarise_prompted_masks",
}
"""The reference's name of an option of tracking -> the field of `TrackingOptions`."""

_DECODER = "sam_mask_decoder_extra_args.dynamic_multimask_"
_STABILITY_DELTA = 0.05


@dataclass
class Overrides:
    """What overrides ask for.

    Attributes:
        image_size: side of the model's input, or None.
        stability_threshold: below it a single mask gives way to the best of three; 0 never, None
            as the model has it.
        tracking: options of tracking under the reference's names.
    """

    image_size: int | None = None
    stability_threshold: float | None = None
    tracking: dict[str, Any] = field(default_factory=dict)


def read_overrides(lines: Iterable[str]) -> Overrides:
    """Read overrides such as `++model.non_overlap_masks=true`.

    Which class is built and whether it is compiled makes no difference here.

    Raises:
        ValueError: on what cannot be overridden.
    """
    overrides = Overrides()
    for line in lines:
        name, equals, text = line.lstrip("+").partition("=")
        name = name.removeprefix("model.")
        value = _value(text)
        if name in TRACKING:
            overrides.tracking[name] = value
        elif name == "image_size":
            overrides.image_size = value
        elif name == f"{_DECODER}stability_thresh":
            overrides.stability_threshold = value
        elif name == f"{_DECODER}via_stability":
            overrides.stability_threshold = None if value else 0.0
        elif name == f"{_DECODER}stability_delta" and value == _STABILITY_DELTA:
            continue
        elif not equals or not (name == "_target_" or name.startswith("compile_")):
            names = ", ".join(("image_size", *TRACKING))
            raise ValueError(
                f"cannot override {line!r}; what can be is ++model.NAME=VALUE with {names}, and "
                f"{_DECODER}via_stability or stability_thresh"
            )
    return overrides


def _value(text: str) -> Any:
    try:
        return json.loads(text.strip().lower())
    except ValueError:
        return text.strip()
