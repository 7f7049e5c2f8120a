"""sam2.build_sam."""

from __future__ import annotations

from typing import Any

from sam2_mlx.predictors.build_sam import HF_MODEL_ID_TO_FILENAMES as HF_MODEL_ID_TO_FILENAMES
from sam2_mlx.predictors.build_sam import build_sam2 as build_sam2
from sam2_mlx.predictors.build_sam import build_sam2_hf as build_sam2_hf
from sam2_mlx.predictors.build_sam import build_sam2_video_predictor as build_sam2_video_predictor
from sam2_mlx.predictors.build_sam import (
    build_sam2_video_predictor_hf as build_sam2_video_predictor_hf,
)


def __getattr__(name: str) -> Any:
    if "camera" in name:
        raise ImportError(
            f"{name} is not Meta's but a fork's; for a camera use SAM2VideoPredictor.stream(): "
            "session.step(frame), and session.prompt(1, points=..., labels=...) on the frame shown"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
