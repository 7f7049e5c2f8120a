"""One tracked frame in one system: a worker that waits for orders on its standard input.

Started by its path, as other systems run in environments without this package:

    PYTHON peers.py SYSTEM '{"model": "tiny", "image_size": 1024}'

Each line "run OBJECTS" or "primitives" is answered by one JSON line. The systems are never
imported together: every worker is a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORIES, POINTERS = 7, 16
FIRST, LAST = 5, 21  # a frame with 7 memories and 16 pointers behind it


def run_stages(stages: list[tuple[str, Callable[[], Any]]]) -> dict[str, Any]:
    """Run stages one after the other.

    Args:
        stages: name and function of each.

    Returns:
        Seconds of each stage by name, `seconds` of all, and `cpu_seconds` of the processors.
    """
    times: dict[str, Any] = {}
    total, cpu = time.perf_counter(), time.process_time()
    for name, stage in stages:
        begin = time.perf_counter()
        stage()
        times[name] = time.perf_counter() - begin
    times["seconds"] = time.perf_counter() - total
    times["cpu_seconds"] = time.process_time() - cpu
    return times


def _load_blas() -> None:
    """The same BLAS for every system on MLX; this package loads it, and before MLX only."""
    import sam2_mlx  # noqa: F401


class Ours:
    """This package.

    Args:
        spec: `model`, a name, and `image_size`.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        from sam2_mlx.ops.cpu.allocator import keep_freed_memory

        keep_freed_memory()
        import mlx.core as mx

        from sam2_mlx.cli.bench.models import seeded_model
        from sam2_mlx.config import MODELS

        config = MODELS[spec["model"]].with_image_size(spec["image_size"])
        self._mx, self._model = mx, seeded_model(config, mx.float32)

    def run(self, objects: int) -> dict[str, Any]:
        """Encode, track, remember."""
        from sam2_mlx.cli.bench.timing import TrackedFrame

        stages = TrackedFrame(self._model, MEMORIES, objects).stages()
        self._mx.reset_peak_memory()
        return {**run_stages(stages), "peak_bytes": self._mx.get_peak_memory()}

    def primitives(self) -> int:
        """Operations of one frame's graph."""
        from benchmarks.graph import count_primitives
        from benchmarks.steps import frame_step

        return count_primitives(frame_step(self._model, MEMORIES, 1)())[0]


class MlxSam:
    """The package mlx-sam 0.3.0, from a folder on PYTHONPATH; always at 1024.

    Args:
        spec: `model`, a name.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        _load_blas()
        import mlx.core as mx
        from mlx.utils import tree_map
        from mlx_sam import config as configs  # type: ignore[import-not-found]
        from mlx_sam.models.segmenter import (  # type: ignore[import-not-found]
            Sam2ImageSegmenter,
        )

        mx.random.seed(0)
        name = f"SAM2_1_HIERA_{spec['model'].upper()}_IMAGE_ENCODER"
        model = Sam2ImageSegmenter(getattr(configs, name))
        model.update(tree_map(lambda p: 0.02 * mx.random.normal(p.shape), model.parameters()))
        mx.eval(model.parameters())
        side = spec["image_size"]
        self._mx, self._model, place = mx, model, (1, 64, side // 16, side // 16)
        self._pixels = mx.random.normal((1, 3, side, side))
        self._maps = [mx.random.normal(place) for _ in range(LAST - FIRST)]
        self._places = mx.random.normal(place)
        self._pointers = [mx.random.normal((1, 256)) for _ in range(LAST - FIRST)]
        mx.eval(self._pixels, self._maps, self._places, self._pointers)

    def _memories(self) -> dict[int, dict[str, Any]]:
        frames = range(FIRST, LAST)
        return {
            t: {
                "frame_idx": t,
                "maskmem_features": tokens,
                "maskmem_pos_enc": self._places,
                "obj_ptr": pointer,
            }
            for t, tokens, pointer in zip(frames, self._maps, self._pointers, strict=True)
        }

    def _track(self, encoded: Any) -> Any:
        memories = self._memories()
        prompted = {FIRST: memories.pop(FIRST)}
        mixed = self._model.condition_with_memories(
            encoded, memories=memories, cond_memories=prompted, current_frame_idx=LAST
        )
        conditioned = {**encoded, "vision_features": mixed}
        return self._model.predict_from_encoded(
            conditioned, None, None, multimask_output=False, add_no_mem_embed=False
        )

    def _remember(self, encoded: Any, prediction: Any) -> Any:
        masks, presence = prediction["low_res_masks"], prediction["object_score_logits"]
        features = encoded["vision_features"]
        return self._model.encode_memory(features, masks, presence)["vision_features"]

    def run(self, objects: int) -> dict[str, Any]:
        """Encode once, then track and remember object after object, as it does."""
        mx, state = self._mx, {}
        mx.reset_peak_memory()

        def encode() -> None:
            state["encoded"] = self._model.encode_image(self._pixels)
            mx.eval(state["encoded"])

        def track() -> None:
            for _ in range(objects):
                state["prediction"] = self._track(state["encoded"])
                mx.eval(state["prediction"])

        def remember() -> None:
            for _ in range(objects):
                mx.eval(self._remember(state["encoded"], state["prediction"]))

        times = run_stages([("encode", encode), ("track", track), ("remember", remember)])
        return {**times, "peak_bytes": mx.get_peak_memory()}

    def primitives(self) -> int:
        """Operations of one frame's graph."""
        from benchmarks.graph import count_primitives

        encoded = self._model.encode_image(self._pixels)
        prediction = self._track(encoded)
        return count_primitives([*prediction.values(), self._remember(encoded, prediction)])[0]


class Torch:
    """The reference on the CPU.

    Args:
        spec: `model`, a name, and `image_size`.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        import torch

        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        self._library = library  # the definitions live as long as it does
        from sam2.build_sam import build_sam2

        torch.manual_seed(0)
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
        letter = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}[spec["model"]]
        side = spec["image_size"]
        self._torch = torch
        self._model = build_sam2(
            f"configs/sam2.1/sam2.1_hiera_{letter}.yaml",
            None,
            device="cpu",
            hydra_overrides_extra=[f"++model.image_size={side}"],
        )
        place = (1, 64, side // 16, side // 16)
        self._pixels = torch.randn(1, 3, side, side)
        places = torch.randn(*place)
        self._records = {
            t: {
                "maskmem_features": torch.randn(*place).to(torch.bfloat16),
                "maskmem_pos_enc": [places],
                "obj_ptr": torch.randn(1, 256),
            }
            for t in range(FIRST, LAST)
        }

    def run(self, objects: int) -> dict[str, Any]:
        """Encode once, then object after object, as it does."""
        model, state = self._model, {}
        recent = {t: record for t, record in self._records.items() if t != FIRST}
        memory = {
            "cond_frame_outputs": {FIRST: self._records[FIRST]},
            "non_cond_frame_outputs": recent,
        }

        def encode() -> None:
            features = model.forward_image(self._pixels)
            state["features"] = model._prepare_backbone_features(features)

        def track() -> None:
            _, features, places, sizes = state["features"]
            for _ in range(objects):
                state["prediction"] = model._track_step(
                    LAST, False, features, places, sizes, None, None, memory, 100, False, None
                )[1]

        def remember() -> None:
            _, features, _, sizes = state["features"]
            for _ in range(objects):
                model._encode_new_memory(
                    features, sizes, state["prediction"][4], state["prediction"][6], False
                )

        with self._torch.inference_mode():
            return run_stages([("encode", encode), ("track", track), ("remember", remember)])

    def primitives(self) -> int | None:
        """Not counted."""
        return None


SYSTEMS: dict[str, Any] = {"ours": Ours, "mlx-sam": MlxSam, "torch": Torch}


def main() -> None:
    """Serve orders until the input ends."""
    # Python puts this file's folder first, where names of the package could hide others.
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    try:
        system = SYSTEMS[sys.argv[1]](json.loads(sys.argv[2]))
    except (ImportError, AttributeError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    for line in sys.stdin:
        order, _, argument = line.strip().partition(" ")
        if order == "run":
            answer = system.run(int(argument))
        else:
            answer = {"primitives": system.primitives()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
