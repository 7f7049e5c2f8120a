"""What one suite of Swift tests runs both engines against: frames, a bundle, and Python's masks.

python -m tests.exporting.swift_fixture FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sam2_mlx import FrameMasks, TrackingSession, load
from sam2_mlx.apps.exporting.bundle import export_bundle
from sam2_mlx.media.reader import open_frames
from sam2_mlx.ops import rle

DEMO = Path(__file__).parents[2] / "sam2_mlx" / "assets" / "demo.mp4"
FRAMES = 24


def main(folder: Path) -> None:
    """Write everything."""
    folder.mkdir(exist_ok=True)
    model = load("nano")
    export_bundle(model, folder / "nano")
    with open_frames(DEMO) as source:
        pictures = [np.array(source.read(index)) for index in range(FRAMES)]
        backwards = TrackingSession(model, source)
        prompt: dict[str, Any] = {"box": [60, 60, 190, 170]}
        shown = backwards.prompt(1, frame=12, **prompt)
        clip = [
            {"prompt": {"object": 1, **prompt}, "frame": 12, "masks": counts(shown)},
            *({"frame": one.frame, "masks": counts(one)} for one in _all(backwards)),
        ]
    (folder / "frames.rgb").write_bytes(np.stack(pictures).tobytes())
    height, width = pictures[0].shape[:2]
    script = {"width": width, "height": height, "frames": FRAMES, "clip": clip}
    script["stream"] = stream(TrackingSession(model), pictures)
    (folder / "script.json").write_text(json.dumps(script))


def _all(session: TrackingSession) -> list[FrameMasks]:
    return list(session.propagate(12, 12, reverse=True))


def stream(session: TrackingSession, pictures: list[np.ndarray]) -> list[dict[str, Any]]:
    """Steps and prompts of every kind, each with the masks that are shown then."""
    mask = np.zeros(pictures[0].shape[:2], bool)
    mask[255:300, 225:285] = True
    prompts: dict[int, list[dict[str, Any]]] = {
        0: [
            {"object": 1, "points": [[105, 118]], "labels": [1]},
            {"object": 1, "points": [[105, 118], [300, 300]], "labels": [1, 0]},
        ],
        3: [{"object": 2, "box": [450, 150, 590, 250], "points": [[520, 196]], "labels": [1]}],
        5: [{"object": 9, "mask": mask}],
        16: [{"object": 1, "points": [[170, 120], [20, 20]], "labels": [1, 0]}],
    }
    steps = []
    for index, picture in enumerate(pictures):
        steps.append({"frame": index, "masks": counts(session.step(picture))})
        for prompt in prompts.get(index, []):
            arguments = {key: value for key, value in prompt.items() if key != "object"}
            shown = session.prompt(prompt["object"], **arguments)
            given = {**prompt}
            if "mask" in prompt:
                given["mask"] = rle.mask_to_counts(prompt["mask"]).tolist()
            steps.append({"prompt": given, "frame": index, "masks": counts(shown)})
    return steps


def counts(shown: FrameMasks) -> dict[str, list[int]]:
    """Run lengths by object."""
    pairs = zip(shown.object_ids, shown.masks, strict=True)
    return {str(name): rle.mask_to_counts(mask).tolist() for name, mask in pairs}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
