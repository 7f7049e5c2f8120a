"""Encoding a picture and answering a point: SAM v1 ViT-B, MobileSAM and SAM 2.1 tiny.

    python -m benchmarks.image_models
    python -m benchmarks.image_models --against torch --torch-python VENV/bin/python

Random weights, float32, the same picture, through the predictors; encode includes resizing the
picture, predict enlarging three masks to its size. One process a system, runs in turn, so that a
noisy machine is noisy to all. Prints a table for people and one JSON line for scripts.

The torch side needs an environment of its own: tests/sam1/make_goldens.py says which for SAM v1
and MobileSAM, tests/parity/oracle.py for SAM 2.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

MODELS = ("sam1-vit-b", "mobile-sam", "tiny")
STAGES = ("encode", "predict")
_DEFINED: list[Any] = []  # operators of torch, gone with the object that defined them


def main() -> int:
    """Run, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--picture", help="a drawn one of 1800x1200 pixels by default")
    parser.add_argument("--against", choices=("torch",))
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=("ours", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, options.picture)
    pythons = {"ours": sys.executable}
    if options.against:
        pythons["torch"] = options.torch_python
    print("seconds (median of the rounds; the first one warms up)")
    print(
        f"{'model':12s}{'stage':10s}" + "".join(f"{name:>10s}" for name in pythons) + "     ratio"
    )
    results = {}
    for model in options.models:
        times = compare(pythons, model, options.picture, options.rounds)
        results[model] = times
        for stage in STAGES:
            seconds = [times[name][stage] for name in pythons]
            ratio = f"{seconds[-1] / seconds[0]:9.2f}x" if len(seconds) > 1 else ""
            print(f"{model:12s}{stage:10s}" + "".join(f"{s:10.3f}" for s in seconds) + ratio)
        sys.stdout.flush()
    print(json.dumps({"machine": platform.processor() or platform.machine(), "seconds": results}))
    return 0


def compare(
    pythons: dict[str, str], model: str, picture: str | None, rounds: int
) -> dict[str, dict[str, float]]:
    """Medians of each system's stages, the systems taking turns."""
    workers = {}
    for name, python in pythons.items():
        command = [python, "-m", "benchmarks.image_models", "--worker", name]
        command += ["--picture", picture] if picture else []
        workers[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    times: dict[str, dict[str, list[float]]] = {name: {s: [] for s in STAGES} for name in pythons}
    try:
        for number in range(rounds + 1):
            for name, worker in workers.items():
                assert worker.stdin is not None and worker.stdout is not None
                worker.stdin.write(f"{model}\n")
                worker.stdin.flush()
                line = worker.stdout.readline()
                if not line:
                    raise SystemExit(f"error: {name} ended; see above")
                if number:
                    for stage, seconds in json.loads(line).items():
                        times[name][stage].append(seconds)
    finally:
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()
    return {
        name: {stage: statistics.median(values) for stage, values in stages.items()}
        for name, stages in times.items()
    }


def work(system: str, name: str | None) -> int:
    """Answer each line, a model's name, with the seconds of the stages as a JSON line."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries that print
    make = our_predictor if system == "ours" else torch_predictor
    picture = drawn_picture() if name is None else read_picture(name)
    predictors: dict[str, Any] = {}
    point = np.array([[picture.shape[1] / 2, picture.shape[0] / 2]], np.float32)
    for line in sys.stdin:
        model = line.strip()
        if model not in predictors:
            predictors[model] = make(model)
        predictor, ready = predictors[model]
        begin = time.perf_counter()
        predictor.set_image(picture)
        ready(predictor)
        encoded = time.perf_counter()
        predictor.predict(point_coords=point, point_labels=np.array([1]), multimask_output=True)
        seconds = {"encode": encoded - begin, "predict": time.perf_counter() - encoded}
        print(json.dumps(seconds), file=answers, flush=True)
    return 0


def drawn_picture() -> np.ndarray:
    """uint8 (1200, 1800, 3): smooth colours with a box."""
    y, x = np.mgrid[0:1200, 0:1800]
    picture = np.stack([x // 8, 200 - y // 8, 60 + (x + y) // 20], axis=-1)
    picture[400:800, 600:1200] = (210, 60, 40)
    return picture.astype(np.uint8)


def read_picture(name: str) -> np.ndarray:
    """A picture file as RGB, in either environment."""
    from PIL import Image

    return np.array(Image.open(name).convert("RGB"))


def our_predictor(name: str) -> tuple[Any, Any]:
    """This package, and what waits until its features are there."""
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory

    keep_freed_memory()
    import mlx.core as mx
    from mlx.utils import tree_map

    from sam2_mlx.config import MODELS as CONFIGS
    from sam2_mlx.model.folding import fold, folding_wanted
    from sam2_mlx.model.sam import Sam
    from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor

    mx.random.seed(0)
    model = Sam(CONFIGS[name])
    model.update(tree_map(lambda p: 0.02 * mx.random.normal(p.shape), model.parameters()))
    model.eval()
    model = fold(model) if folding_wanted() else model
    mx.eval(model.parameters())
    return SAM2ImagePredictor(model), lambda p: mx.eval(p.get_image_embedding())


def torch_predictor(name: str) -> tuple[Any, Any]:
    """The reference's predictor; it does not work ahead, so there is nothing to wait for."""
    import torch

    if not _DEFINED:
        # A torchvision whose compiled operators do not load still imports when these are defined.
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DEFINED.append(library)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    if name == "sam1-vit-b":
        from segment_anything import (  # type: ignore[import-not-found]
            SamPredictor,
            sam_model_registry,
        )

        return SamPredictor(sam_model_registry["vit_b"]().eval()), lambda p: None
    if name == "mobile-sam":
        from mobile_sam import SamPredictor as MobilePredictor  # type: ignore[import-not-found]
        from mobile_sam import sam_model_registry as mobile_registry

        return MobilePredictor(mobile_registry["vit_t"]().eval()), lambda p: None
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu")
    return SAM2ImagePredictor(model), lambda p: None


if __name__ == "__main__":
    sys.exit(main())
