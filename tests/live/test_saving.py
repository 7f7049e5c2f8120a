"""Recordings and masks of a live picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.live.objects import ObjectView
from sam2_mlx.live.saving import Recording, fresh_name, save_masks
from sam2_mlx.media import open_frames
from sam2_mlx.media.errors import MediaError


def test_a_recording_keeps_times(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.mp4", (32, 48))
    for moment in (5.0, 5.1, 5.1, 5.4):
        recording.add(np.zeros((32, 48, 3), np.uint8), moment)
    with pytest.raises(MediaError, match="from 48x32 to 24x16"):
        recording.add(np.zeros((16, 24, 3), np.uint8), 6)
    assert recording.finish() == 3
    with open_frames(tmp_path / "a.mp4") as source:
        assert [round(time, 3) for time in source.times] == [0, 0.1, 0.4]


def test_names_are_not_used_twice(tmp_path: Path) -> None:
    for _ in range(3):
        fresh_name(tmp_path, "masks", ".png").touch()
    assert len(list(tmp_path.iterdir())) == 3


def test_saved_masks_hold_ids(tmp_path: Path) -> None:
    first, second = np.zeros((2, 8, 8), bool)
    first[:4], second[3:6] = True, True
    save_masks(tmp_path / "m.png", [ObjectView(3, first), ObjectView(7, second)])
    values = np.array(Image.open(tmp_path / "m.png"))
    assert values[0, 0] == 3 and values[3, 0] == 7 and values[7, 7] == 0
