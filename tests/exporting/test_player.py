"""A bundle without Python: a C++ program plays tapes, and every mask is that of the session."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx import FrameMasks, TrackingOptions, TrackingSession
from sam2_mlx.apps.exporting.bundle import TIERS
from sam2_mlx.media.reader import open_frames
from sam2_mlx.model.sam import Sam
from sam2_mlx.tracking.memory_schedule import MemorySchedule
from sam2_mlx.transforms import resize_frame
from tests.exporting.tape import Tape

DEMO = Path(__file__).parents[2] / "sam2_mlx" / "assets" / "demo.mp4"
SIDE, WIDTH, HEIGHT = 256, 640, 360
FRAMES = 42
# Relative to the largest logit; the goldens of the video predictor allow as much.
LIMIT = 5e-3


@pytest.fixture(scope="session")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    root = Path(mx.__file__).parent
    if compiler is None or not (root / "include").is_dir():
        pytest.skip("needs a C++ compiler and MLX's headers")
    program = tmp_path_factory.mktemp("player") / "player"
    source = str(Path(__file__).with_name("player.cpp"))
    library = ["-L", str(root / "lib"), "-lmlx", f"-Wl,-rpath,{root / 'lib'}"]
    command = [compiler, "-std=c++20", "-O1", f"-I{root / 'include'}", source, *library]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    with open_frames(DEMO) as source:
        return [np.array(source.read(index)) for index in range(FRAMES)]


def play(
    player: Path, bundle: Path, folder: Path, tape: Tape, arrays: dict[str, np.ndarray], span: int
) -> tuple[int, float, int, int]:
    """Masks compared, how far logits are off, pixels that flipped, pixels."""
    lines = [f"span {span}", *(f"tier {spatial} {pointers}" for spatial, pointers in TIERS)]
    (folder / "tape").write_text("\n".join([*lines, *tape.lines]) + "\n")
    data = {name: mx.array(array) for name, array in arrays.items()}
    mx.save_safetensors(str(folder / "data.safetensors"), data)
    command = [player, bundle, folder / "tape", folder / "data.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    compared, worst, largest, flipped, pixels = done.stdout.split()
    print(done.stdout, file=sys.stderr)
    return int(compared), float(worst) / float(largest), int(flipped), int(pixels)


def scaled(x: float, y: float, label: int = 1) -> tuple[float, float, int]:
    return x / WIDTH * SIDE, y / HEIGHT * SIDE, label


@pytest.mark.slow
def test_a_stream_with_every_kind_of_prompt(
    player: Path, nano: Sam, nano_bundle: Path, tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    session = TrackingSession(nano, options=TrackingOptions(fill_hole_area=0))
    tape = Tape(MemorySchedule(max_prompted=8))
    logits: list[np.ndarray] = []
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[250:300, 220:290] = True
    small = np.zeros((SIDE, SIDE), bool)
    small[180:210, 90:120] = True

    def note(shown: FrameMasks, *names: int) -> None:
        for name in names:
            logits.append(np.array(shown.coarse)[shown.object_ids.index(name), 0])

    for index, picture in enumerate(pictures):
        tape.frame(index)
        shown = session.step(picture)
        note(shown, *shown.object_ids)
        if index == 0:
            tape.click(1, [scaled(105, 118)])
            note(session.prompt(1, points=[[105, 118]], labels=[1]), 1)
            # Once more, with the first answer fed back.
            tape.click(1, [scaled(105, 118), scaled(300, 300, 0)])
            points = {"points": [[105, 118], [300, 300]], "labels": [1, 0]}
            note(session.prompt(1, **points), 1)
        if index == 3:
            tape.click(2, [scaled(450, 150, 2), scaled(590, 250, 3), scaled(520, 196)])
            box = {"box": [450, 150, 590, 250], "points": [[520, 196]], "labels": [1]}
            note(session.prompt(2, **box), 2)
        if index == 5:
            tape.mask(3, 0)
            note(session.prompt(3, mask=small), 3)
        if index in (20, 33):
            # A correction: with the memory of what was tracked.
            tape.click(1, [scaled(170, 120), scaled(20, 20, 0)])
            points = {"points": [[170, 120], [20, 20]], "labels": [1, 0]}
            note(session.prompt(1, **points), 1)
    arrays = {
        "frames": np.stack([resize_frame(picture, SIDE) for picture in pictures]),
        "masks": small[None].astype(np.float32),
        "logits": np.stack(logits),
    }
    found = play(player, nano_bundle, tmp_path, tape, arrays, span=15)
    compared, error, flipped, pixels = found
    assert compared == len(logits) > 100
    assert error < LIMIT and flipped <= 1e-4 * pixels, found
    assert (arrays["logits"] > 0).mean() > 0.005


@pytest.mark.slow
def test_a_clip_backwards(
    player: Path, nano: Sam, nano_bundle: Path, tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    with open_frames(DEMO) as source:
        session = TrackingSession(nano, source, options=TrackingOptions(fill_hole_area=0))
        session.prompt(1, box=[60, 60, 190, 170], frame=30)
        answers = [session.masks_on(30), *session.propagate(30, 30, reverse=True)]
    tape = Tape(MemorySchedule(clip_length=120), reverse=True)
    tape.frame(30)
    tape.click(1, [scaled(60, 60, 2), scaled(190, 170, 3)])
    for index in range(29, -1, -1):
        tape.frame(index)
    # The prompted frame is shown again first.
    logits = np.stack([np.array(one.coarse)[0, 0] for one in [answers[0], *answers[2:]]])
    arrays = {
        "frames": np.stack([resize_frame(picture, SIDE) for picture in pictures]),
        "logits": logits,
    }
    found = play(player, nano_bundle, tmp_path, tape, arrays, span=15)
    compared, error, flipped, pixels = found
    assert compared == 31 and error < LIMIT and flipped <= 1e-4 * pixels, found


@pytest.mark.slow
def test_a_wrong_memory_is_noticed(
    player: Path, nano: Sam, nano_bundle: Path, tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    session = TrackingSession(nano, options=TrackingOptions(fill_hole_area=0))
    tape, logits = Tape(MemorySchedule(memories=3)), []
    for index, picture in enumerate(pictures[:8]):
        tape.frame(index)
        shown = session.step(picture)
        if index == 0:
            tape.click(1, [scaled(105, 118)])
            shown = session.prompt(1, points=[[105, 118]], labels=[1])
        logits.append(np.array(shown.coarse)[0, 0])
    arrays = {
        "frames": np.stack([resize_frame(picture, SIDE) for picture in pictures]),
        "logits": np.stack(logits),
    }
    # Another schedule than the session's, and other slots.
    assert play(player, nano_bundle, tmp_path, tape, arrays, span=15)[1] > LIMIT
