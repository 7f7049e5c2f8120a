"""Runs the torch reference beside ours and says where, stage by stage, they first part.

Usage:

    python -m tests.parity.compare --oracle-python PYTHON [--config tiny] [--image-size 256]
        [--checkpoint FILE.pt] [--frames 10] [--dtype float32]

PYTHON is the interpreter of an environment with torch, torchvision and sam2; reference_model.py
says how to make one. Without a checkpoint both sides use seeded weights, nano the bundled ones.
Exit code 1 means that the two part.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sam2_mlx  # noqa: F401  (puts a fast BLAS under MLX first)

# isort: split
import mlx.core as mx
import numpy as np

from sam2_mlx.checkpoints.load import load
from sam2_mlx.model.folding import folding_wanted
from sam2_mlx.model.sam import Sam
from tests.overlap import mask_iou
from tests.parity import ours
from tests.parity.scenarios import ALL, BOXED, Scenario, click
from tests.parity.stage_inputs import make_inputs

STAGE_TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
VIDEO_TOLERANCE = {"float32": 5e-3, "float16": 5e-2, "bfloat16": 2e-1}
"""As a part of the largest magnitude."""


def main(argv: list[str]) -> int:
    """Compare and print; 0 when all stages and frames agree."""
    arguments = _parser().parse_args(argv)
    steps = (click(0), BOXED, ALL)
    scenario = Scenario("compare", steps, arguments.config, arguments.frames, arguments.image_size)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "reference.npz"
        _run_reference(arguments, scenario, output)
        with np.load(output) as arrays:
            reference = dict(arrays)
    model = _our_model(arguments)
    parted = _compare_stages(model, reference, arguments)
    if arguments.frames:
        parted += _compare_video(model, reference, scenario, arguments)
    print(f"they first part at: {parted[0]}" if parted else "no stage parts")
    return 1 if parted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--oracle-python", required=True, help="Python with torch and sam2")
    parser.add_argument("--config", default="tiny", help="tiny, 2.0-large, nano, ...")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--checkpoint", help="official .pt; seeded weights without one")
    parser.add_argument("--frames", type=int, default=10, help="0 compares the stages only")
    parser.add_argument("--dtype", default="float32", choices=sorted(STAGE_TOLERANCE))
    return parser


def _run_reference(arguments: Any, scenario: Scenario, output: Path) -> None:
    command = [arguments.oracle_python, "-m", "tests.parity.oracle"]
    command += ["--config", arguments.config]
    command += ["--image-size", str(arguments.image_size)]
    command += ["--scenario", scenario.to_json(), "--output", str(output)]
    if arguments.checkpoint:
        command += ["--checkpoint", arguments.checkpoint]
    subprocess.run(command, check=True)


def _our_model(arguments: Any) -> Sam:
    config = ours.seeded_config(arguments.config, arguments.image_size)
    dtype = getattr(mx, arguments.dtype)
    if arguments.checkpoint:
        return load(Path(arguments.checkpoint), config=config, dtype=dtype)
    if arguments.config == "nano":
        return load("nano", dtype=dtype, image_size=arguments.image_size)
    return ours.seeded_model(config, dtype=dtype, folded=folding_wanted())


def _compare_stages(model: Sam, reference: dict[str, np.ndarray], arguments: Any) -> list[str]:
    found = ours.stages(model, make_inputs(arguments.image_size))
    tolerance, parted = STAGE_TOLERANCE[arguments.dtype], []
    print(f"{'stage':26s} {'shape':>20s} {'largest':>9s} {'error':>9s} {'relative':>9s}")
    for key, expected in sorted(reference.items()):
        if not key.startswith("stage/"):
            continue
        name = key.split("/", 2)[2]
        if name not in found:
            print(f"{name:26s} folded away; SAM2_MLX_FOLD=0 shows it")
            continue
        if found[name].shape != expected.shape:
            print(f"{name:26s} {found[name].shape} instead of {expected.shape}")
            parted.append(name)
            continue
        error, scale = float(np.abs(found[name] - expected).max()), float(np.abs(expected).max())
        apart = not error <= tolerance * scale
        mark = "  <- parts" if apart else ""
        shape = "x".join(map(str, expected.shape))
        print(f"{name:26s} {shape:>20s} {scale:9.3g} {error:9.1e} {error / scale:9.1e}{mark}")
        if apart:
            parted.append(name)
    return parted


def _compare_video(
    model: Sam, reference: dict[str, np.ndarray], scenario: Scenario, arguments: Any
) -> list[str]:
    tolerance, parted = VIDEO_TOLERANCE[arguments.dtype], []
    print(f"{'frame':>26s} {'99th percentile, relative':>28s} {'own spread':>12s} {'IoU':>8s}")
    for index, event in enumerate(ours.run_video(model, scenario)):
        expected, moved = reference[f"video/{index:03d}"], reference[f"moved/{index:03d}"]
        scale = np.abs(expected).max()
        error = np.percentile(np.abs(event.logits - expected), 99) / scale
        spread = np.percentile(np.abs(moved - expected), 99) / scale
        overlap = mask_iou(event.logits > 0, expected > 0)
        presence = reference[f"video_presence/{index:03d}"]
        same = ((event.presence > 0) == (presence > 0))[np.isfinite(presence)].all()
        mark = "" if error <= tolerance and same else "  <- parts"
        label = f"prompt {event.step} " if event.step < len(scenario.steps) - 1 else ""
        print(f"{label + str(event.frame):>26s} {error:28.1e} {spread:12.1e} {overlap:8.5f}{mark}")
        if mark:
            parted.append(f"frame {event.frame}")
    return parted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
