"""Makes the goldens of this folder with Meta's and MobileSAM's own code, and seeded weights.

Runs in an environment of its own that needs nothing of this project:

    pip install torch numpy pillow timm==1.0.9
    pip install --no-deps torchvision segment-anything-py mobilesam-mirror

    python -m tests.sam1.make_goldens [NAME ...]
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.sam1.first_cases import LARGER, MODELS, PROMPTS, SMALL_VIT, draw_first, sampled
from tests.sam1.seeded_first import seeded_first

# A torchvision whose compiled operators do not load still imports when these are defined.
_library = torch.library.Library("torchvision", "DEF")
_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# isort: split
from segment_anything import SamPredictor  # noqa: E402
from segment_anything.modeling import (  # noqa: E402
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

FOLDER = Path(__file__).parent / "goldens"
SIZES = {
    "vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
}


def build(name: str) -> Any:
    """A seeded model of the reference."""
    kind, side = (MODELS | LARGER)[name]
    if kind == "tiny_vit":
        from mobile_sam.build_sam import build_sam_vit_t

        model = build_sam_vit_t()
    else:
        model = Sam(
            image_encoder=vit(name, side),
            prompt_encoder=PromptEncoder(
                embed_dim=256,
                image_embedding_size=(side // 16, side // 16),
                input_image_size=(side, side),
                mask_in_chans=16,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
                ),
                transformer_dim=256,
            ),
            pixel_mean=[123.675, 116.28, 103.53],
            pixel_std=[58.395, 57.12, 57.375],
        )
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.dtype == torch.float32:
                value.copy_(torch.from_numpy(seeded_first(key, tuple(value.shape))))
    # Again, because the attention biases are laid out when training mode ends.
    return model.train().eval()


def vit(name: str, side: int) -> Any:
    """A vision transformer; the small one has dimensions of its own."""
    if name == "small":
        dims, depth = SMALL_VIT["embed_dim"], SMALL_VIT["depth"]
        heads, whole = SMALL_VIT["num_heads"], SMALL_VIT["global_blocks"]
    else:
        dims, depth, heads, whole = SIZES[name.removesuffix("_256")]
    return ImageEncoderViT(
        depth=depth,
        embed_dim=dims,
        img_size=side,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=heads,
        use_rel_pos=True,
        global_attn_indexes=whole,
        window_size=14,
    )


@torch.no_grad()
def answers(name: str) -> dict[str, np.ndarray]:
    """What the reference's predictor says to every prompt."""
    model = build(name)
    shapes = {
        key: list(value.shape)
        for key, value in model.state_dict().items()
        if value.dtype == torch.float32
    }
    predictor = SamPredictor(model)
    predictor.set_image(draw_first())
    embedding = predictor.get_image_embedding()[0].permute(1, 2, 0).numpy()
    found = {
        "shapes": np.frombuffer(json.dumps(shapes).encode(), np.uint8),
        "embedding": sampled(embedding),
        "embedding_deviation": np.array(embedding.std()),
    }
    low = None
    for prompt, given in PROMPTS.items():
        arrays = {
            key: np.array(value) if isinstance(value, list) else value
            for key, value in given.items()
        }
        masks, iou, low = predictor.predict(return_logits=True, **arrays)
        found |= pack(prompt, masks, iou, low)
    # The last answer's first mask, once more as a prompt.
    again = predictor.predict(mask_input=low[:1], return_logits=True, multimask_output=False)
    return found | pack("mask", *again)


def pack(prompt: str, masks: Any, iou: Any, low: Any) -> dict[str, np.ndarray]:
    """One answer, thinned."""
    share = (masks > 0).mean()
    print(f"  {prompt:14s} {share:.2f} of the picture, iou {np.round(iou, 3)}, {masks.std():.2f}")
    return {
        f"{prompt}_masks": sampled(masks),
        f"{prompt}_iou": np.asarray(iou),
        f"{prompt}_low": sampled(low),
        f"{prompt}_scale": np.array(np.abs(masks).max()),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for golden in sys.argv[1:] or MODELS:
        arrays = answers(golden)
        path = FOLDER / f"{golden}.npz"
        np.savez_compressed(path, **arrays)
        deviation = float(arrays["embedding_deviation"])
        print(f"{golden}: {path.stat().st_size} bytes, embedding deviation {deviation:.3f}")
