"""Runs the public evaluators on the drawn datasets and stores their numbers.

    python -m tests.evaluation.make_public_numbers DAVIS2017_EVALUATION SAM2/sav_dataset \
        tests/evaluation/data/public_numbers.json

The two arguments are checkouts of github.com/davisvideochallenge/davis2017-evaluation and of
github.com/facebookresearch/sam2; the Python needs numpy, opencv-python, pillow, scikit-image,
scipy and tqdm.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.evaluation.drawn_datasets import draw_davis, draw_late, draw_sav


def davis_numbers(folder: Path) -> dict:
    import numpy as np
    from davis2017.evaluation import DAVISEvaluation

    draw_davis(folder / "davis", folder / "found")
    evaluation = DAVISEvaluation(str(folder / "davis"), "semi-supervised", "val")
    result = evaluation.evaluate(str(folder / "found"))
    numbers: dict = {"objects": {}}
    for measure in ("J", "F"):
        for key in ("M", "R", "D"):
            numbers[f"{measure}-{key}"] = float(np.mean(result[measure][key]))
        numbers["objects"][measure] = {
            name: float(value) for name, value in result[measure]["M_per_object"].items()
        }
    return numbers


def sav_numbers(folder: Path) -> dict:
    draw_sav(folder / "sav", folder / "found")
    return _meta_numbers(folder / "sav" / "Annotations_6fps", folder / "found")


def late_numbers(folder: Path) -> dict:
    """DAVIS layout, scored by Meta's evaluator."""
    draw_late(folder / "davis", folder / "found")
    return _meta_numbers(folder / "davis" / "Annotations", folder / "found")


def _meta_numbers(annotations: Path, found: Path) -> dict:
    from utils.sav_benchmark import benchmark

    both, region, edge, objects = benchmark(
        [str(annotations)], [str(found)], num_processes=1, verbose=False
    )
    return {
        "J&F": float(both[0]),
        "J": float(region[0]),
        "F": float(edge[0]),
        "objects": {
            name: [{str(key): float(value) for key, value in part.items()} for part in parts]
            for name, parts in objects[0].items()
        },
    }


def main(davis: str, sav: str, target: str) -> int:
    sys.path[:0] = [davis, sav]
    numbers = {}
    for name, work in (("davis", davis_numbers), ("sav", sav_numbers), ("late", late_numbers)):
        with tempfile.TemporaryDirectory() as folder:
            numbers[name] = work(Path(folder))
    Path(target).write_text(json.dumps(numbers, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
