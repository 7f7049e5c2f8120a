"""The whole way with real weights: the command on the bundled clip, against the known masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_mlx.media import open_frames
from sam2_mlx.media.mask_writer import read_npz_masks
from tests.commands import video as main

TRUTH = Path(__file__).parent / "data" / "demo_masks.npz"


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


@pytest.mark.slow
def test_the_bundled_model_follows_the_bundled_clip(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(TRUTH) as data:
        frames, labels, clicks = data["frames"], data["labels"], data["clicks"]
    points = [text for number, x, y in clicks for text in ("--point", f"{number}:{x},{y}")]
    assert main(["demo", *points, "--model", "nano", "--save-masks", "masks.npz"]) == 0

    overlaps = []
    for frame, label in zip(frames, labels, strict=True):
        ids, masks = read_npz_masks("masks.npz", int(frame))
        found = zip(ids, masks, strict=True)
        overlaps.append([overlap(mask, label == number) for number, mask in found])
    mean = np.mean(overlaps, axis=0)
    # One click on the first frame; a fish passes in front of another half-way.
    assert (mean > 0.8).all(), mean
    assert mean.mean() > 0.85, mean
    assert np.min(overlaps) > 0.4, np.min(overlaps, axis=0)

    with open_frames("demo_masked.mp4") as written, open_frames("demo_masked.mp4") as again:
        assert written.num_frames == 120 and written.frame_rate == 24
        assert (written.width, written.height) == (640, 360)
        # The drawn fish are no longer the colour they were.
        with open_frames(Path(TRUTH).parents[3] / "sam2_mlx/assets/demo.mp4") as source:
            changed = np.abs(again.read(60).astype(int) - source.read(60)).sum(axis=2)
    fish = labels[frames == 60][0] > 0
    assert np.median(changed[fish]) > 60
    assert np.median(changed[~fish]) < 20
    said = capsys.readouterr()
    assert said.out.startswith("wrote demo_masked.mp4 and masks.npz with 120 frames")
    assert "small stand-in" in said.err
