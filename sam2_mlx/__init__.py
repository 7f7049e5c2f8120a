"""SAM 2 for Apple silicon, in MLX: masks from clicks in pictures and videos.

Importing this package is cheap: no weights, no video or picture library. Public names are
imported when they are first used.
"""

# ruff: noqa: E402
from __future__ import annotations

import sys as _sys

# While `python -m` imports the package of a module, argv is "-m" alone.
_doors = {"sam2_mlx", "sam2_mlx.video", "sam2_mlx.image"} if _sys.argv[:1] == ["-m"] else set()
if _doors & set(_sys.orig_argv) or "".join(_sys.argv[:1]).endswith("sam2-mlx"):
    # This process is a command: Ctrl-C while it imports is no traceback.
    from .cli import starting as _starting  # noqa: F401

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ops.runtime import prepare as _prepare

# Before anything imports MLX: its CPU build for Linux binds to the first BLAS it finds.
_prepare()

# The module paths of Meta's package: `from sam2_mlx.build_sam import build_sam2`.
__path__.append(str(Path(__file__).parent / "predictors" / "as_sam2"))

if TYPE_CHECKING:
    from .checkpoints.load import load as load
    from .config import MODELS as MODELS
    from .config import ModelConfig as ModelConfig
    from .predictors.build_sam import build_sam2 as build_sam2
    from .predictors.build_sam import build_sam2_hf as build_sam2_hf
    from .predictors.build_sam import build_sam2_video_predictor as build_sam2_video_predictor
    from .predictors.build_sam import (
        build_sam2_video_predictor_hf as build_sam2_video_predictor_hf,
    )
    from .predictors.image_predictor import SAM2ImagePredictor as SAM2ImagePredictor
    from .predictors.install import install_as_sam2 as install_as_sam2
    from .predictors.mask_generator import SAM2AutomaticMaskGenerator as SAM2AutomaticMaskGenerator
    from .predictors.video_predictor import SAM2VideoPredictor as SAM2VideoPredictor
    from .tracking.options import TrackingOptions as TrackingOptions
    from .tracking.results import FrameMasks as FrameMasks
    from .tracking.saved_session import load_session as load_session
    from .tracking.saved_session import save_session as save_session
    from .tracking.session import TrackingSession as TrackingSession

__version__ = "0.1.0"

_HOMES = {
    "FrameMasks": ".tracking.results",
    "MODELS": ".config",
    "ModelConfig": ".config",
    "SAM2AutomaticMaskGenerator": ".predictors.mask_generator",
    "SAM2ImagePredictor": ".predictors.image_predictor",
    "SAM2VideoPredictor": ".predictors.video_predictor",
    "TrackingOptions": ".tracking.options",
    "TrackingSession": ".tracking.session",
    "build_sam2": ".predictors.build_sam",
    "build_sam2_hf": ".predictors.build_sam",
    "build_sam2_video_predictor": ".predictors.build_sam",
    "build_sam2_video_predictor_hf": ".predictors.build_sam",
    "install_as_sam2": ".predictors.install",
    "load": ".checkpoints.load",
    "load_session": ".tracking.saved_session",
    "save_session": ".tracking.saved_session",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
