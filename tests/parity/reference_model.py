"""The torch reference (the PyPI package `sam2`) on a CPU: models with seeded or given weights.

Runs in an environment of its own that has torch, torchvision and sam2 and needs nothing of this
project:

    pip install torch hydra-core iopath tqdm numpy pillow safetensors
    pip install --no-deps torchvision sam2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.parity.our_files import bundled_state, our_config, reference_overrides
from tests.parity.seeded_weights import PRESENT, seeded

# A torchvision whose compiled operators do not load (another torch, no CUDA) still imports when
# these two are defined; SAM 2 needs neither.
_library = torch.library.Library("torchvision", "DEF")
_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# isort: split
import sam2  # noqa: E402, F401  (registers the reference's configurations)
from hydra import compose  # noqa: E402
from hydra.utils import instantiate  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from sam2.sam2_image_predictor import SAM2ImagePredictor  # noqa: E402
from sam2.utils.transforms import SAM2Transforms  # noqa: E402

LETTERS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
OVERRIDES = {
    "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor",
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
    "fill_hole_area": 0,
}
"""What the reference's builder sets, but without hole filling, which needs CUDA there."""


def config_of(model: str) -> Any:
    """The reference's configuration of `tiny`, `2.0-tiny`, ..., or of our bundled `nano`."""
    version, name = ("2", model[4:]) if model.startswith("2.0-") else ("2.1", model)
    letter = LETTERS.get(name, "t")
    config = compose(config_name=f"configs/sam{version}/sam{version}_hiera_{letter}.yaml")
    if name not in LETTERS:
        for key, value in reference_overrides(our_config(name)).items():
            OmegaConf.update(config, f"model.{key}", value, force_add=True)
    return config


def build(
    model: str,
    image_size: int,
    *,
    seed: int = 0,
    present: float = PRESENT,
    checkpoint: str | Path | None = None,
) -> Any:
    """Build a video predictor (which is also the bare model).

    Args:
        model: a published name, or `nano`.
        image_size: side of the input.
        seed: seed of the weights where no checkpoint is given; `nano` takes the bundled ones.
        present: see `seeded_weights.seeded`.
        checkpoint: an official `.pt`.
    """
    config = config_of(model)
    for key, value in {**OVERRIDES, "image_size": image_size}.items():
        OmegaConf.update(config, f"model.{key}", value, force_add=True)
    predictor = instantiate(config.model, _recursive_=True).eval()
    if checkpoint is not None:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        predictor.load_state_dict(state.get("model", state))
    elif model == "nano":
        state = {name: torch.from_numpy(value) for name, value in bundled_state().items()}
        predictor.load_state_dict(state)
    else:
        reseed(predictor, seed, present)
    return predictor


def reseed(model: Any, seed: int, present: float = PRESENT) -> None:
    """Give every parameter its seeded value."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(torch.from_numpy(seeded(name, value.shape, seed, present)))


def image_predictor(model: Any) -> SAM2ImagePredictor:
    """The reference's image predictor at any input size (it only knows 1024 by itself)."""
    predictor = SAM2ImagePredictor(model)
    side = model.image_size // 4
    predictor._bb_feat_sizes = [(side >> level,) * 2 for level in range(3)]
    return predictor


def resize_image(picture: Any, side: int) -> Any:
    """What the reference's image predictor makes of a picture: (side, side, 3), normalised."""
    return SAM2Transforms(side, 0.0)(picture).permute(1, 2, 0).numpy()
