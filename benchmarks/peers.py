"""One tracked frame in one system: a worker that waits for orders on its standard input.

Each line "run OBJECTS" is answered by one JSON line. The systems are never imported together:
every worker is a process of its own with the system's own environment.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SIZE, GRID, MEMORIES, POINTERS = 1024, 64, 7, 16
FIRST, LAST = 5, 21  # a frame with 7 memories and 16 pointers behind it


def _timed(stages: list[tuple[str, Callable[[], Any]]]) -> dict[str, Any]:
    """Run stages one after the other; seconds on the clock and of the processors."""
    times: dict[str, Any] = {}
    total, cpu = time.perf_counter(), time.process_time()
    for name, stage in stages:
        begin = time.perf_counter()
        stage()
        times[name] = time.perf_counter() - begin
    times["seconds"] = time.perf_counter() - total
    times["cpu_seconds"] = time.process_time() - cpu
    return times


def _preload_blas() -> None:
    # The same library for every system on MLX; `sam2_mlx` does this on import.
    import sam2_mlx  # noqa: F401


def _count_primitives(outputs: list[Any]) -> int:
    """Operations of an unevaluated graph; a compiled group is one."""
    import mlx.core as mx

    text = io.StringIO()
    mx.export_to_dot(text, *outputs)
    return text.getvalue().count("shape=rectangle")


class Ours:
    """This package."""

    def __init__(self) -> None:
        from sam2_mlx._allocator import keep_freed_memory

        keep_freed_memory()
        import mlx.core as mx
        from mlx.utils import tree_map

        from sam2_mlx.config import MODELS
        from sam2_mlx.model.folding import fold, folding_wanted
        from sam2_mlx.model.sam import Sam

        mx.random.seed(0)
        model = Sam(MODELS["tiny"])
        model.update(tree_map(lambda p: 0.02 * mx.random.normal(p.shape), model.parameters()))
        model = fold(model) if folding_wanted() else model
        mx.eval(model.parameters())
        self.mx, self.model = mx, model
        self.pixels = mx.random.normal((1, SIZE, SIZE, 3))
        self.tokens = mx.random.normal((MEMORIES, GRID * GRID, 64)).astype(mx.bfloat16)
        self.pointers = mx.random.normal((POINTERS, 256))
        mx.eval(self.pixels, self.tokens, self.pointers)

    def _memory(self, objects: int) -> Any:
        def batch(array: Any) -> Any:
            return self.mx.broadcast_to(array[None], (objects, *array.shape))

        spatial = [(batch(tokens), slot) for slot, tokens in enumerate(self.tokens)]
        pointers = [(batch(p), float(d)) for d, p in enumerate(self.pointers)]
        return self.model.memory.gather(spatial, pointers, POINTERS - 1)

    def run(self, objects: int) -> dict[str, Any]:
        """Encode, track, remember."""
        mx, model, kept = self.mx, self.model, {}
        mx.reset_peak_memory()

        def encode() -> None:
            kept["features"] = model.encode_image(self.pixels)
            mx.eval(kept["features"].arrays())

        def track() -> None:
            kept["mask"] = model.track(kept["features"], self._memory(objects))
            mx.eval(kept["mask"].arrays())

        def remember() -> None:
            mx.eval(model.remember(kept["features"], kept["mask"], binarise=False))

        times = _timed([("encode", encode), ("track", track), ("remember", remember)])
        return {**times, "peak_bytes": mx.get_peak_memory()}

    def primitives(self) -> int:
        """Operations of one frame's graph."""
        features = self.model.encode_image(self.pixels)
        mask = self.model.track(features, self._memory(1))
        return _count_primitives(
            [*mask.arrays(), self.model.remember(features, mask, binarise=False)]
        )


class MlxSam:
    """The package mlx-sam 0.3.0, from a folder on PYTHONPATH."""

    def __init__(self) -> None:
        _preload_blas()
        import mlx.core as mx
        from mlx.utils import tree_map
        from mlx_sam import config as configs
        from mlx_sam.models.segmenter import Sam2ImageSegmenter

        mx.random.seed(0)
        model = Sam2ImageSegmenter(configs.SAM2_1_HIERA_TINY_IMAGE_ENCODER)
        model.update(tree_map(lambda p: 0.02 * mx.random.normal(p.shape), model.parameters()))
        mx.eval(model.parameters())
        self.mx, self.model = mx, model
        self.pixels = mx.random.normal((1, 3, SIZE, SIZE))
        self.maps = [mx.random.normal((1, 64, GRID, GRID)) for _ in range(LAST - FIRST)]
        self.places = mx.random.normal((1, 64, GRID, GRID))
        self.pointers = [mx.random.normal((1, 256)) for _ in range(LAST - FIRST)]
        mx.eval(self.pixels, self.maps, self.places, self.pointers)

    def _memories(self) -> dict[int, dict[str, Any]]:
        frames = range(FIRST, LAST)
        return {
            t: {
                "frame_idx": t,
                "maskmem_features": tokens,
                "maskmem_pos_enc": self.places,
                "obj_ptr": pointer,
            }
            for t, tokens, pointer in zip(frames, self.maps, self.pointers, strict=True)
        }

    def _track(self, encoded: Any) -> Any:
        memories = self._memories()
        prompted = {FIRST: memories.pop(FIRST)}
        mixed = self.model.condition_with_memories(
            encoded, memories=memories, cond_memories=prompted, current_frame_idx=LAST
        )
        seen = {**encoded, "vision_features": mixed}
        return self.model.predict_from_encoded(
            seen, None, None, multimask_output=False, add_no_mem_embed=False
        )

    def _remember(self, encoded: Any, found: Any) -> Any:
        masks, presence = found["low_res_masks"], found["object_score_logits"]
        features = encoded["vision_features"]
        return self.model.encode_memory(features, masks, presence)["vision_features"]

    def run(self, objects: int) -> dict[str, Any]:
        """Encode once, then track and remember object after object, as it does."""
        mx, kept = self.mx, {}
        mx.reset_peak_memory()

        def encode() -> None:
            kept["encoded"] = self.model.encode_image(self.pixels)
            mx.eval(kept["encoded"])

        def track() -> None:
            for _ in range(objects):
                kept["found"] = self._track(kept["encoded"])
                mx.eval(kept["found"])

        def remember() -> None:
            for _ in range(objects):
                mx.eval(self._remember(kept["encoded"], kept["found"]))

        times = _timed([("encode", encode), ("track", track), ("remember", remember)])
        return {**times, "peak_bytes": mx.get_peak_memory()}

    def primitives(self) -> int:
        """Operations of one frame's graph."""
        encoded = self.model.encode_image(self.pixels)
        found = self._track(encoded)
        return _count_primitives([*found.values(), self._remember(encoded, found)])


class Torch:
    """The reference on the CPU."""

    def __init__(self) -> None:
        import torch

        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        self._library = library  # the definitions live as long as it does
        from sam2.build_sam import build_sam2

        torch.manual_seed(0)
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
        self.torch = torch
        self.model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu")
        self.pixels = torch.randn(1, 3, SIZE, SIZE)
        places = torch.randn(1, 64, GRID, GRID)
        self.records = {
            t: {
                "maskmem_features": torch.randn(1, 64, GRID, GRID).to(torch.bfloat16),
                "maskmem_pos_enc": [places],
                "obj_ptr": torch.randn(1, 256),
            }
            for t in range(FIRST, LAST)
        }

    def run(self, objects: int) -> dict[str, Any]:
        """Encode once, then object after object, as it does."""
        model, kept = self.model, {}
        recent = {t: record for t, record in self.records.items() if t != FIRST}
        memory = {
            "cond_frame_outputs": {FIRST: self.records[FIRST]},
            "non_cond_frame_outputs": recent,
        }

        def encode() -> None:
            found = model.forward_image(self.pixels)
            kept["features"] = model._prepare_backbone_features(found)

        def track() -> None:
            _, features, places, sizes = kept["features"]
            for _ in range(objects):
                kept["found"] = model._track_step(
                    LAST, False, features, places, sizes, None, None, memory, 100, False, None
                )[1]

        def remember() -> None:
            _, features, _, sizes = kept["features"]
            for _ in range(objects):
                model._encode_new_memory(features, sizes, kept["found"][4], kept["found"][6], False)

        with self.torch.inference_mode():
            return _timed([("encode", encode), ("track", track), ("remember", remember)])

    def primitives(self) -> int | None:
        """Not counted."""
        return None


SYSTEMS: dict[str, Any] = {"ours": Ours, "mlx-sam": MlxSam, "torch": Torch}


def main() -> None:
    """Serve orders until the input ends."""
    system = SYSTEMS[sys.argv[1]]()
    for line in sys.stdin:
        order, _, argument = line.strip().partition(" ")
        if order == "run":
            answer = system.run(int(argument))
        else:
            answer = {"primitives": system.primitives()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
