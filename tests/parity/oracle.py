"""Writes what the torch reference computes for one model; `compare.py` runs this."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from tests.parity.reference_model import build
from tests.parity.reference_stages import stages
from tests.parity.reference_video import run_video
from tests.parity.scenarios import Scenario
from tests.parity.stage_inputs import make_inputs


def main(argv: list[str]) -> int:
    """Write every stage and a short video of one model; `compare.py` calls this."""
    parser = argparse.ArgumentParser(description="Run the torch reference.")
    parser.add_argument("--config", required=True, help="a published name, or nano")
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--checkpoint", help="official .pt; seeded weights without one")
    parser.add_argument("--scenario", required=True, help="the scenario as JSON")
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args(argv)
    scenario = Scenario.from_json(arguments.scenario)
    model = build(arguments.config, arguments.image_size, checkpoint=arguments.checkpoint)
    arrays = dict(stages(model, make_inputs(arguments.image_size)))
    for index, name in enumerate(arrays.copy()):
        arrays[f"stage/{index:03d}/{name}"] = arrays.pop(name)
    if scenario.frames:
        for draw, run in enumerate(("video", "moved")):
            events, _ = run_video(model, scenario, draw)
            for index, event in enumerate(events):
                arrays[f"{run}/{index:03d}"] = event.logits
                arrays[f"{run}_presence/{index:03d}"] = event.presence
    np.savez(arguments.output, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
