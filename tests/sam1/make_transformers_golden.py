"""Makes the golden of the transformers library's `SamModel`, with seeded weights.

Runs in an environment of its own that needs nothing of this project:

    pip install torch numpy transformers

    python -m tests.sam1.make_transformers_golden
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from tests.sam1.first_cases import SMALL_VIT, draw_input, sampled
from tests.sam1.seeded_first import seeded_first

# Without torchvision this is not needed; one whose compiled operators do not load imports so.
_library = torch.library.Library("torchvision", "DEF")
_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# isort: split
from transformers import SamConfig, SamModel  # noqa: E402

SIDE = 256


def build() -> SamModel:
    """The small model, seeded."""
    config = SamConfig(
        vision_config={
            "hidden_size": SMALL_VIT["embed_dim"],
            "num_hidden_layers": SMALL_VIT["depth"],
            "num_attention_heads": SMALL_VIT["num_heads"],
            "image_size": SIDE,
            "global_attn_indexes": list(SMALL_VIT["global_blocks"]),
            "window_size": SMALL_VIT["window_size"],
            "mlp_dim": 4 * SMALL_VIT["embed_dim"],
        },
        prompt_encoder_config={"image_size": SIDE, "image_embedding_size": SIDE // 16},
    )
    model = SamModel._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            value.copy_(torch.from_numpy(seeded_first(key, tuple(value.shape))))
    return model


@torch.no_grad()
def main() -> None:
    """Write the golden."""
    model = build()
    state = model.state_dict()
    # The published files hold it once; with both names seeded, the prompt encoder's counts.
    shapes = {key: list(value.shape) for key, value in state.items()}
    shared = "shared_image_embedding.positional_embedding"
    state[shared].copy_(state["prompt_encoder.shared_embedding.positional_embedding"])
    shapes.pop(shared)
    pixels = torch.from_numpy(draw_input(SIDE)).permute(2, 0, 1)[None]
    embedding = model.get_image_embeddings(pixels)
    answer = model(
        image_embeddings=embedding,
        input_points=torch.tensor([[[[90.0, 60.0]]]]),
        input_labels=torch.tensor([[[1]]]),
        multimask_output=True,
    )
    low = answer.pred_masks[0, 0].numpy()
    print("share", (low > 0).mean(axis=(1, 2)), "iou", answer.iou_scores)
    path = Path(__file__).parent / "goldens" / "transformers.npz"
    np.savez_compressed(
        path,
        shapes=np.frombuffer(json.dumps(shapes).encode(), np.uint8),
        embedding=sampled(embedding[0].permute(1, 2, 0).numpy()),
        low=sampled(low),
        iou=answer.iou_scores[0, 0].numpy(),
    )
    print(path.name, path.stat().st_size, "bytes", float(embedding.std()))


if __name__ == "__main__":
    main()
