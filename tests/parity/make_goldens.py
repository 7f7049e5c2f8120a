"""Makes every golden with the torch reference, and a record of how.

Usage, with the Python of an environment made as reference_model.py says:

    python -m tests.parity.make_goldens [PATTERN]

PATTERN chooses goldens by name; the record of the others is kept.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity.image_cases import answer_cases
from tests.parity.meta_shapes import meta_shapes
from tests.parity.mistakes import MISTAKES
from tests.parity.our_files import our_config
from tests.parity.reference_model import build, image_predictor, resize_image
from tests.parity.reference_stages import stages
from tests.parity.reference_video import PERTURBATION, load_frames, run_video
from tests.parity.scenarios import HARD_LIMIT, SCENARIOS, Event, Scenario, pack, thin
from tests.parity.scenes import draw_picture
from tests.parity.stage_inputs import make_inputs, sampled

FOLDER = Path(__file__).parent / "goldens"
DRAWS = 3
"""Runs with perturbed pixels that a video's spread is taken from."""

STAGE_MODELS = (
    *((name, 256) for name in ("tiny", "small", "base_plus", "large")),
    *((f"2.0-{name}", 256) for name in ("tiny", "small", "base_plus", "large")),
    ("tiny", 512),
    ("tiny", 1024),
    ("tiny", 224),
    ("nano", 256),
)
IMAGE_MODELS = (("tiny", 256), ("2.0-tiny", 256), ("tiny", 1024), ("nano", 256))
RESIZES = ((37, 53, 32), (300, 420, 256), (20, 30, 64), (64, 64, 64))
"""Height, width and target side of the pictures whose resizing is checked."""


class Maker:
    """Builds models and writes goldens.

    Args:
        pattern: names of the goldens to make.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.record: dict[str, Any] = {}

    def wanted(self, name: str) -> bool:
        """Whether a golden was asked for."""
        return fnmatch.fnmatch(name, self.pattern)

    def build(self, model: str, image_size: int, seed: int = 0, present: float = 6.0) -> Any:
        """A reference model, checked against our own list of parameters."""
        built = build(model, image_size, seed=seed, present=present)
        theirs = {name: tuple(value.shape) for name, value in built.state_dict().items()}
        if theirs != meta_shapes(our_config(model)):
            raise SystemExit(f"meta_shapes.py does not list the parameters of {model}")
        return built

    def write(self, name: str, arrays: dict[str, np.ndarray], **facts: Any) -> None:
        """Write one golden and remember its facts."""
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        self.record[name] = {**facts, "hole_filling": False, "bytes": path.stat().st_size}
        print(f"{name:40s} {path.stat().st_size:8d} bytes  {facts}", flush=True)

    def stages(self, model: str, image_size: int) -> None:
        """Every stage of the network on one picture."""
        built = self.build(model, image_size)
        exact = stages(built, make_inputs(image_size))
        moved = stages(built, make_inputs(image_size, perturb=PERTURBATION))
        spreads = {k: float(np.abs(exact[k] - moved[k]).max()) for k in exact}
        scales = {k: float(np.abs(v).max()) for k, v in exact.items()}
        for mask in ("masks", "single_mask", "tracked_mask"):
            _check_mask(f"{model} {mask}", exact[mask])
        arrays = {k: sampled(k, v) for k, v in exact.items()}
        arrays["_scales"] = np.array(list(scales.values()), np.float32)
        arrays["_spreads"] = np.array(list(spreads.values()), np.float32)
        arrays["_sizes"] = np.array([v.size for v in exact.values()])
        worst = max(spreads[k] / scales[k] for k in exact)
        name = f"stages_{model}_{image_size}"
        self.write(name, arrays, model=model, image_size=image_size, seed=0, spread=_short(worst))

    def images(self, model: str, image_size: int) -> None:
        """Every case of the image predictor."""
        predictor = image_predictor(self.build(model, image_size))
        answers = answer_cases(predictor, lambda value: value.permute(0, 2, 3, 1).numpy())
        arrays = {key: sampled(key, value) for key, value in answers.items()}
        for key, value in answers.items():
            arrays[f"_scale.{key}"] = np.abs(value).max()
        covered = {k: round(float((v > 0).mean()), 3) for k, v in answers.items() if "masks" in k}
        self.write(
            f"image_{model}_{image_size}",
            arrays,
            model=model,
            image_size=image_size,
            seed=0,
            covered=covered,
        )

    def video(self, scenario: Scenario) -> None:
        """One scenario, with the reference's own spread per frame and object."""
        built = self.build(scenario.model, scenario.image_size, scenario.seed, scenario.present)
        events, gap = run_video(built, scenario)
        moved = [run_video(built, scenario, draw)[0] for draw in range(1, DRAWS + 1)]
        arrays = {
            "events": np.array([(e.step, e.frame, len(e.object_ids)) for e in events], np.int32),
            "ids": np.array([i for e in events for i in e.object_ids], np.int32),
            "logits": np.concatenate([thin(e.logits) for e in events]),
            "bits": np.concatenate([pack(e.logits) for e in events]),
            "presence": np.concatenate([e.presence for e in events]),
            "iou": np.concatenate([e.iou for e in events]),
            "scales": np.concatenate([_peaks(e.logits) for e in events]),
            "spreads": np.max([_apart(events, run) for run in moved], axis=0),
        }
        present = arrays["presence"] > 0
        covered = [float((row > 0).mean()) for row in arrays["logits"][present]]
        if not scenario.name.startswith("nano") and not 0.02 < min(covered) <= max(covered) < 0.98:
            raise SystemExit(f"{scenario.name}: an empty or full mask proves nothing ({covered})")
        relative = arrays["spreads"] / arrays["scales"]
        known = np.abs(arrays["presence"][np.isfinite(arrays["presence"])])
        self.write(
            f"video_{scenario.name}",
            arrays,
            model=scenario.model,
            image_size=scenario.image_size,
            seed=scenario.seed,
            present=scenario.present,
            frames=scenario.frames,
            options=scenario.options,
            spread=_short(relative.max()),
            covered=[round(min(covered), 3), round(max(covered), 3)],
            absent=int((~present).sum()),
            smallest_presence=_short(known.min()),
            smallest_iou_lead=_short(gap),
        )

    def resizing(self) -> None:
        """Both ways in which the reference makes pictures square."""
        arrays = {}
        for height, width, side in RESIZES:
            picture, key = draw_picture(height, width, seed=7), f"{height}x{width}_{side}"
            image = resize_image(picture, side)
            frame = load_frames(picture[None], side)[0].permute(1, 2, 0).numpy()
            arrays[f"image_{key}"] = sampled(f"image_{key}", image)
            arrays[f"frame_{key}"] = sampled(f"frame_{key}", frame)
        self.write("resizing", arrays)

    def mistakes(self) -> None:
        """How far deliberate mistakes move the masks of one scenario."""
        scenario = next(s for s in SCENARIOS if s.name == "two_objects_10_frames")
        built = self.build(scenario.model, scenario.image_size)
        right, _ = run_video(built, scenario)
        found = {}
        for mistake in MISTAKES:
            with mistake(built):
                wrong, _ = run_video(built, scenario)
            relative = [
                (differences(r, w) / _peaks(r.logits)).max()
                for r, w in zip(right, wrong, strict=True)
            ]
            found[mistake.__name__] = _short(max(relative))
        if min(found.values()) <= HARD_LIMIT:
            raise SystemExit(f"a golden must show each of these mistakes; it has {found}")
        self.record["mistakes"] = {"scenario": scenario.name, "moved": found}
        print(found)


def differences(one: Event, other: Event) -> np.ndarray:
    """99th percentile of the absolute difference of each object's logits."""
    gap = np.abs(one.logits - other.logits).reshape(len(one.logits), -1)
    return np.percentile(gap, 99, axis=1).astype(np.float32)


def _apart(events: list[Event], others: list[Event]) -> np.ndarray:
    return np.concatenate([differences(e, o) for e, o in zip(events, others, strict=True)])


def _peaks(logits: np.ndarray) -> np.ndarray:
    return np.abs(logits).reshape(len(logits), -1).max(axis=1)


def _check_mask(name: str, logits: np.ndarray) -> None:
    covered = float((logits > 0).mean())
    if name.startswith("nano") or 0.02 < covered < 0.98:
        return
    raise SystemExit(f"{name}: an empty or full mask proves nothing ({covered:.3f} is covered)")


def _short(value: Any) -> float:
    return float(f"{float(value):.2e}")


def main(argv: list[str]) -> int:
    """Make the goldens that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="*")
    arguments = parser.parse_args(argv)
    FOLDER.mkdir(exist_ok=True)
    maker = Maker(arguments.pattern)
    for model, size in STAGE_MODELS:
        if maker.wanted(f"stages_{model}_{size}"):
            maker.stages(model, size)
    for model, size in IMAGE_MODELS:
        if maker.wanted(f"image_{model}_{size}"):
            maker.images(model, size)
    for scenario in SCENARIOS:
        if maker.wanted(f"video_{scenario.name}"):
            maker.video(scenario)
    if maker.wanted("resizing"):
        maker.resizing()
    if maker.wanted("mistakes"):
        maker.mistakes()
    _write_record(maker.record)
    return 0


def _write_record(made: dict[str, Any]) -> None:
    path = FOLDER / "provenance.json"
    record = json.loads(path.read_text()) if path.exists() else {"goldens": {}}
    record["made_by"] = {
        "torch": torch.__version__,
        **{name: importlib.metadata.version(name) for name in ("sam2", "torchvision", "numpy")},
        "machine": platform.machine(),
        "notes": [
            "CPU, float32. The reference fills holes only with CUDA: no golden has holes filled.",
            "spread: 99th percentile of |difference| over the largest magnitude, the worst of "
            f"{DRAWS} runs of the reference with pixels moved by {PERTURBATION}; for stages the "
            "maximum of one such run.",
            "clear_non_cond_mem_around_input calls a method that the reference lacks; the golden "
            "supplies one that forgets the frames around but keeps the prompted one.",
            "The image predictor's feature sizes were set for input sizes other than 1024.",
        ],
    }
    record["goldens"] = dict(sorted({**record["goldens"], **made}.items()))
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
