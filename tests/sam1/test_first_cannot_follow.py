"""A first Segment Anything asked to follow objects: one line, and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from sam2_mlx.predictors.build_sam import build_sam2_video_predictor
from tests.commands import video
from tests.sam1.first_models import read_golden
from tests.sam1.seeded_first import seeded_first

SAYS = "SAM v1, which has no memory to follow objects with; use SAM 2 (--model tiny, or auto)"


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("frames").mkdir()
    for number in range(2):
        Image.fromarray(np.full((20, 30, 3), 90 + number, np.uint8)).save(f"frames/{number}.png")
    return tmp_path


def _save(name: str, path: Path) -> Path:
    _, shapes = read_golden(name)
    save_file({key: seeded_first(key, shape) for key, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize("what", [["--point", "3,4"], ["--everything"]])
@pytest.mark.parametrize("model", ["sam1-vit-b", "mobile-sam", "facebook/sam-vit-huge", "file"])
def test_the_video_command_says_what_to_use(
    frames: Path, model: str, what: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def download(*args: object) -> None:
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr("sam2_mlx.checkpoints.hub.download", download)
    if model == "file":
        model = str(_save("mobile", frames / "mobile_sam.safetensors"))
    assert video(["frames", *what, "--model", model]) == 2
    error = capsys.readouterr().err
    name = Path(model).name if Path(model).exists() else model
    assert f"sam2-mlx: error: {name} is {SAYS}" in error and error.count("\n") == 1
    left = {path.name for path in Path().iterdir()}
    assert left <= {"frames", "mobile_sam.safetensors"}


def test_the_video_predictor_does_too(frames: Path) -> None:
    path = _save("mobile", frames / "mobile_sam.safetensors")
    with pytest.raises(ValueError, match="mobile-sam has no memory .* load a SAM 2 model"):
        build_sam2_video_predictor(None, str(path))
