"""A model with the reference's arguments, and what they say about following objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, TypeVar

from sam2_mlx.checkpoints.load import load
from sam2_mlx.checkpoints.names import config_for
from sam2_mlx.predictors.overrides import read_overrides
from sam2_mlx.predictors.torch_like import SAM2Base

T = TypeVar("T")


def build_sam2(  # noqa: PLR0913 - the reference's arguments
    config_file: Any = None,
    ckpt_path: Any = None,
    device: Any = None,
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    *,
    image_size: int | None = None,
    dtype: str = "auto",
) -> SAM2Base:
    """Build a model.

    Args:
        config_file: one of the reference's config names ("configs/sam2.1/sam2.1_hiera_t.yaml",
            "sam2.1_hiera_t"), a model name ("tiny"), or None to infer it from the checkpoint.
        ckpt_path: a `.pt`, a `.safetensors`, a folder, a model name or a Hugging Face id; None
            takes the published weights of the config.
        device: where it runs: "auto", "gpu" or "cpu", also torch's words; see `load`.
        mode: only "eval".
        hydra_overrides_extra: such as "++model.image_size=512"; see `overrides.read_overrides`.
        apply_postprocessing: an unstable single mask gives way to the best of three.
        image_size: side of the model input in pixels; the config's by default.
        dtype: "float32", "float16", "bfloat16", or "auto" (float16 on a GPU, float32 else).

    Returns:
        The model.

    Raises:
        ValueError: if nothing says which model, a name is unknown, the checkpoint does not fit
            the config, or something cannot be overridden.
        FileNotFoundError: if the checkpoint does not exist.

    Source: sam2/build_sam.py, build_sam2.
    """
    if mode != "eval":
        raise ValueError(f"models are built for inference, mode='eval'; got {mode!r}")
    if config_file is None and ckpt_path is None:
        raise ValueError("say which model: a config name, a checkpoint, or both")
    overrides = read_overrides(hydra_overrides_extra)
    image_size = image_size or overrides.image_size
    config = None if config_file is None else config_for(str(config_file))
    if ckpt_path is None:
        assert config is not None
        image_size = image_size or config.image_size
        ckpt_path, config = config.name, None
    form: dict[str, Any] = {"dtype": dtype, "image_size": image_size, "device": device}
    model = SAM2Base.of(load(ckpt_path, config=config, **form))
    if not apply_postprocessing:
        model.mask_decoder.stability_threshold = 0.0
    if overrides.stability_threshold is not None:
        model.mask_decoder.stability_threshold = overrides.stability_threshold
    return model


def with_own_options(kind: Callable[..., T], model_id: str, arguments: dict[str, Any]) -> T:
    """Load a model and put a predictor over it; arguments that are not its own load the model."""
    own = signature(kind).parameters.keys() & arguments.keys()
    loading = {key: value for key, value in arguments.items() if key not in own}
    return kind(build_sam2(None, model_id, **loading), **{key: arguments[key] for key in own})


def tracking_options(
    hydra_overrides_extra: Sequence[str] = (), apply_postprocessing: bool = True
) -> dict[str, Any]:
    """Options of `SAM2VideoPredictor` that follow from arguments of `build_sam2`.

    Args:
        hydra_overrides_extra: such as "++model.non_overlap_masks=true".
        apply_postprocessing: whether holes are filled, and prompted frames remembered as shown.
    """
    options: dict[str, Any] = {}
    if not apply_postprocessing:
        options = {"fill_hole_area": 0, "binarize_mask_from_pts_for_mem_enc": False}
    return options | read_overrides(hydra_overrides_extra).tracking
