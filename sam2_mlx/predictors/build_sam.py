"""Builders with the reference's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sam2_mlx.checkpoints.names import PUBLISHED
from sam2_mlx.predictors.build_model import build_sam2 as build_sam2
from sam2_mlx.predictors.build_model import tracking_options
from sam2_mlx.predictors.torch_like import SAM2Base
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor

HF_MODEL_ID_TO_FILENAMES = {
    published.repository: (published.config_file, published.filename)
    for published in PUBLISHED.values()
    if published.config_file and published.repository.startswith("facebook/")
}
"""Hugging Face id -> the reference's config file, and the checkpoint there."""


def build_sam2_video_predictor(  # noqa: PLR0913 - the reference's arguments
    config_file: Any = None,
    ckpt_path: Any = None,
    device: Any = None,
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    *,
    image_size: int | None = None,
    dtype: str = "auto",
    **options: Any,
) -> SAM2VideoPredictor:
    """Build a video predictor.

    Args:
        config_file: as in `build_sam2`.
        ckpt_path: as in `build_sam2`.
        device: as in `build_sam2`.
        mode: only "eval".
        hydra_overrides_extra: as in `build_sam2`; also options of `SAM2VideoPredictor`, such as
            "++model.non_overlap_masks=true".
        apply_postprocessing: stable single masks, holes of up to 8 pixels filled, and prompted
            frames remembered as the mask shown; single options override it.
        vos_optimized: without effect; what can be compiled is compiled anyway.
        image_size: as in `build_sam2`.
        dtype: as in `build_sam2`.
        options: options of `SAM2VideoPredictor`, such as `fill_hole_area=0`.

    Returns:
        The predictor.

    Raises:
        ValueError, FileNotFoundError: as `build_sam2`.
        TypeError: on an unknown option.

    Source: sam2/build_sam.py, build_sam2_video_predictor.
    """
    del vos_optimized
    model = build_sam2(
        config_file,
        ckpt_path,
        device,
        mode,
        hydra_overrides_extra,
        apply_postprocessing,
        image_size=image_size,
        dtype=dtype,
    )
    tracking = tracking_options(hydra_overrides_extra, apply_postprocessing)
    return SAM2VideoPredictor(model, **{**tracking, **options})


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """As `build_sam2`, of a Hugging Face id or any other name of a model."""
    return build_sam2(None, model_id, **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """As `build_sam2_video_predictor`, of a Hugging Face id or any other name of a model."""
    return build_sam2_video_predictor(None, model_id, **kwargs)
