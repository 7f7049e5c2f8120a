"""What docs/migrating.md shows runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.dropin.conftest import LENGTH


def test_the_blocks_run(
    repository: Path, frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(frames[0]).save(tmp_path / "photo.jpg")
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), code, 24, (640, 360))
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()
    monkeypatch.chdir(tmp_path)
    text = (repository / "docs" / "migrating.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    results = []
    for block in blocks:
        names: dict[str, Any] = {}
        exec(compile(block, "migrating.md", "exec"), names)
        results.append(names)
    same, picture, boxed, both = results
    assert same["frame"] == LENGTH - 1 and same["masks"][1].any()
    assert picture["best"].any() and picture["best"].shape == (360, 640)
    assert boxed["boxed"].shape == (1, 360, 640)
    assert both["frame"] == LENGTH - 1 and both["masks"].shape == (1, 1, 360, 640)
