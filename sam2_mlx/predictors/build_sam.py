"""Builders with the reference's names and arguments."""

from __future__ import annotations

from typing import Any

from sam2_mlx.checkpoints.load import load
from sam2_mlx.checkpoints.names import config_for
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.video_predictor import SAM2VideoPredictor


def build_sam2(  # noqa: PLR0913 - the reference's arguments
    config_file: Any = None,
    ckpt_path: Any = None,
    device: Any = None,
    mode: str = "eval",
    apply_postprocessing: bool = True,
    *,
    image_size: int | None = None,
    dtype: str = "auto",
) -> Sam:
    """Build a model.

    Args:
        config_file: one of the reference's config names ("configs/sam2.1/sam2.1_hiera_t.yaml",
            "sam2.1_hiera_t"), a model name ("tiny"), or None to infer it from the checkpoint.
        ckpt_path: a `.pt`, a `.safetensors`, a folder, a model name or a Hugging Face id; None
            takes the published weights of the config.
        device: without effect; MLX's default device is used.
        mode: only "eval".
        apply_postprocessing: an unstable single mask gives way to the best of three.
        image_size: side of the model input in pixels; the config's by default.
        dtype: "float32", "float16", "bfloat16", or "auto" (float16 on a GPU, float32 else).

    Returns:
        The model.

    Raises:
        ValueError: if nothing says which model, a name is unknown, or the checkpoint does not
            fit the config.
        FileNotFoundError: if the checkpoint does not exist.

    Source: sam2/build_sam.py, build_sam2.
    """
    del device
    if mode != "eval":
        raise ValueError(f"models are built for inference, mode='eval'; got {mode!r}")
    if config_file is None and ckpt_path is None:
        raise ValueError("say which model: a config name, a checkpoint, or both")
    config = None if config_file is None else config_for(str(config_file))
    if ckpt_path is None:
        assert config is not None
        ckpt_path, config = config.name, None
    model = load(ckpt_path, config=config, dtype=dtype, image_size=image_size)
    if not apply_postprocessing:
        model.mask_decoder.stability_threshold = 0.0
    return model


def build_sam2_video_predictor(  # noqa: PLR0913 - the reference's arguments
    config_file: Any = None,
    ckpt_path: Any = None,
    device: Any = None,
    mode: str = "eval",
    apply_postprocessing: bool = True,
    *,
    image_size: int | None = None,
    dtype: str = "auto",
    **options: Any,
) -> SAM2VideoPredictor:
    """Build a video predictor.

    Args:
        config_file: as in `build_sam2`.
        ckpt_path: as in `build_sam2`.
        device: without effect.
        mode: only "eval".
        apply_postprocessing: stable single masks, holes of up to 8 pixels filled, and prompted
            frames remembered as the mask shown; single options override it.
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
    model = build_sam2(
        config_file,
        ckpt_path,
        device,
        mode,
        apply_postprocessing,
        image_size=image_size,
        dtype=dtype,
    )
    if not apply_postprocessing:
        options = {"fill_hole_area": 0, "binarize_mask_from_pts_for_mem_enc": False, **options}
    return SAM2VideoPredictor(model, **options)
