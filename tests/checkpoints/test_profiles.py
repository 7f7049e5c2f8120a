"""The profile beside the weights: when it holds, and what of it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.checkpoints import profiles
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.load import BUNDLED_FOLDER, load, profile_place
from sam2_mlx.ops.cpu import lanes
from sam2_mlx.ops.device import on_gpu
from sam2_mlx.ops.metal import verdicts
from sam2_mlx.ops.profile import Profile, active, read_profile, use
from sam2_mlx.ops.traces import compile_wanted

CHOICES = {"lanes": 3, "blas_threads": 1, "scores": 2**20, "compile": True}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SAM2_MLX_PROFILE", "1")
    for name in ("SAM2_MLX_LANES", "SAM2_MLX_COMPILE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    use(Profile())
    yield
    use(Profile())


def write(choices: Any, name: str | Path = "nano", size: int | None = None) -> Path:
    place = profile_place(name)
    key = profiles.profile_key(load(name, image_size=size))
    verdicts.keep(place, key, {"choices": choices})
    return place


def test_it_holds_for_its_size_alone() -> None:
    write(CHOICES)
    assert active() == Profile()
    load("nano")
    assert active() == Profile(**CHOICES)
    assert compile_wanted() and lanes.lane_count() in (1, 3)
    load("nano", image_size=64)
    assert active() == Profile() and compile_wanted() == on_gpu()


@pytest.mark.parametrize("setting", ["SAM2_MLX_LANES", "OPENBLAS_NUM_THREADS"])
def test_the_environment_goes_before_it(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(CHOICES)
    load("nano")
    monkeypatch.setenv(setting, "1")
    monkeypatch.setenv("SAM2_MLX_COMPILE", "0")
    use(Profile(**active().chosen()))  # type: ignore[arg-type]
    assert lanes.lane_count() == 1 and not compile_wanted()


def test_it_can_be_ignored(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    write(CHOICES)
    monkeypatch.setenv("SAM2_MLX_PROFILE", "0")
    load("nano")
    assert active() == Profile()
    monkeypatch.setenv("SAM2_MLX_PROFILE", "no")
    with pytest.raises(ValueError, match="SAM2_MLX_PROFILE is 0 or 1; got 'no'"):
        load("nano")


def test_another_machine_or_version_is_another_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    write(CHOICES)
    for target, name in ((verdicts, "platform_key"), (profiles, "usable_cores")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, lambda: 17)
            load("nano")
            assert active() == Profile()
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "__version__", "0.0.0")
        load("nano")
        assert active() == Profile()


def test_masks_are_the_same() -> None:
    picture = mx.array(np.random.default_rng(0).random((1, 256, 256, 3), dtype=np.float32))

    def coarse() -> np.ndarray:
        return np.array(load("nano").encode_image(picture).coarse)

    plain = coarse()
    write({"lanes": 2, "blas_threads": 1, "scores": 2**18, "compile": False})
    np.testing.assert_allclose(coarse(), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"lanes": 0},
        {"lanes": 10**6},
        {"lanes": True},
        {"lanes": 2.0},
        {"scores": 10**12},
        {"blas_threads": "2"},
        {"compile": 1},
        {"lanes": None},
        {"command": "rm"},
        ["lanes"],
        "lanes",
        None,
    ],
)
def test_what_cannot_be_is_not_believed(values: Any, capsys: Any) -> None:
    with pytest.raises(ValueError, match=r"whole number|true or false|choices are"):
        read_profile(values)
    write(values)
    load("nano")
    assert active() == Profile()
    assert main(["info"]) == 0
    assert "profile   nano, sam2_mlx" in (said := capsys.readouterr().out)
    assert "cannot be used" in said


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": ' * 5000])
def test_a_damaged_file(text: str) -> None:
    place = write(CHOICES)
    place.write_text(text)
    load("nano")
    assert active() == Profile()


def test_where_it_lies(tmp_path: Path) -> None:
    assert profile_place("nano") == tmp_path / "cache" / "models" / "nano" / "profile.json"
    assert profile_place("tiny").parent.name == "facebook--sam2.1-hiera-tiny"
    own = tmp_path / "own"
    convert_checkpoint(BUNDLED_FOLDER, own)
    assert write(CHOICES, own) == own / "profile.json"
    load(own)
    assert active().lanes == 3
    # It is one of ours when the folder is made anew, and of a file it has the name.
    convert_checkpoint(BUNDLED_FOLDER, own, overwrite=True)
    file = tmp_path / "mine.safetensors"
    (own / "model.safetensors").rename(file)
    assert profile_place(file) == tmp_path / "mine.profile.json"


def test_info_shows_it(capsys: Any) -> None:
    write(CHOICES)
    assert main(["info", "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["profiles"]
    assert line.startswith("nano, sam2_mlx ")
    assert line.endswith("lanes 3, BLAS threads 1, scores held 1048576, compiled true")


def test_bench_says_so(capsys: Any) -> None:
    write({"lanes": 2}, size=64)
    assert main(["bench", "--what", "encoder", "--rounds", "1", "--image-size", "64"]) == 0
    said = capsys.readouterr().out
    assert "bundled weights, tuned: lanes 2" in said and '"profile": {"lanes": 2}' in said
    # A model without weights has no profile.
    assert main(["bench", "--model", "tiny", "--what", "encoder", "--image-size", "32"]) == 0
    assert "tuned" not in capsys.readouterr().out
