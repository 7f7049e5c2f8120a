"""Paths as people write them: home, addresses, patterns in folders with brackets."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sam2_mlx.media import MediaError, load_picture, open_frames


def test_a_pattern_in_a_folder_with_brackets(tmp_path: Path) -> None:
    for folder in ("take [1]", "take 1"):
        (tmp_path / folder).mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / "take [1]" / f"{number}.png")
    for pattern in ("take [1]/*.png", "take [1]/[12].png", "take [1]/%d.png"):
        with open_frames(tmp_path / pattern) as frames:
            assert [int(frame[0, 0, 0]) for frame in frames] == [1, 2]
    # Where no folder has that name it is a pattern too.
    Image.new("RGB", (8, 6), (9, 0, 0)).save(tmp_path / "take 1" / "9.png")
    (tmp_path / "take [1]").rename(tmp_path / "other")
    with open_frames(tmp_path / "take [1]" / "*.png") as frames:
        assert [int(frame[0, 0, 0]) for frame in frames] == [9]


def test_paths_as_people_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    assert load_picture("~/a.png").shape == (6, 8, 3)
    with open_frames("~/a.png") as frames:
        assert frames.num_frames == 1
    for opened in (load_picture, open_frames):
        with pytest.raises(FileNotFoundError, match="no file"):
            opened("~no-such-user/a.png")
        with pytest.raises(MediaError, match="https://example.org/a.png is an address; download"):
            opened("https://example.org/a.png")
