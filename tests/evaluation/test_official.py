"""`selftest --official` on a hub of our own, with seeded weights and the reference's numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.config import MODELS
from sam2_mlx.evaluation.published import OFFICIAL, published_numbers
from tests.checkpoints.torch_files import write_model
from tests.evaluation.local_hub import Hub, local_hub
from tests.parity import scenarios
from tests.parity.image_cases import CASES, PICTURE
from tests.parity.meta_shapes import meta_shapes
from tests.parity.seeded_weights import seeded_state
from tests.parity.stage_inputs import sample_positions

pytestmark = pytest.mark.slow
GOLDENS = Path(__file__).parents[1] / "parity" / "goldens"
REPOSITORY = "facebook/sam2.1-hiera-tiny"
SIDE, STEP = 256, scenarios.STRIDE
RUN = "from sam2_mlx.__main__ import main; sys.exit(main(sys.argv[1:]))"
FAULTS = {
    "another resizing of pictures": """
import sam2_mlx.transforms as transforms
transforms.resize_image = lambda image, size: transforms.resize_frame(image, size) / np.float32(255)
""",
    "another choice of masks": """
from sam2_mlx.model.mask_decoder import MaskDecoder
choose = MaskDecoder.single
def single(self, candidates):
    self.stability_threshold = 0.0
    return choose(self, candidates)
MaskDecoder.single = single
""",
    "rotary positions by columns": """
import sam2_mlx.ops.rope as rope
make = rope.axial_table
rope.axial_table = lambda side, *more: (
    make(side, *more).reshape(side, side, -1).swapaxes(0, 1).reshape(side * side, -1)
)
""",
}


def picture_rows() -> list[dict[str, Any]]:
    """Prompts of the reference's golden, with what it gave at places of its own choice."""
    golden = np.load(GOLDENS / f"image_tiny_{SIDE}.npz")
    rows = []
    for name in ("one_click", "one_click_single", "several_clicks", "box"):
        case = CASES[name]
        row: dict[str, Any] = {"on": "drawn", "multimask": case.get("multimask_output", True)}
        if "box" in case:
            row["box"] = list(case["box"])
        if "point_coords" in case:
            pairs = zip(case["point_coords"], case["point_labels"], strict=True)
            row["points"] = [[*point, label] for point, label in pairs]
        iou = golden[f"{name}.iou"]
        shape = (len(iou), SIDE // 4, SIDE // 4)
        positions = sample_positions(f"{name}.low_res", int(np.prod(shape)))
        masks, rows_at, columns = np.unravel_index(positions, shape)
        best = masks == iou.argmax()
        row["iou"] = iou.tolist()
        row["at"] = np.stack([rows_at, columns], 1)[best][:9].tolist()
        row["logits"] = golden[f"{name}.low_res"][best][:9].tolist()
        rows.append(row)
    return rows


def clip_row() -> list[dict[str, Any]]:
    """Two objects on ten frames of the reference's golden; its first two answers are prompts'."""
    golden = np.load(GOLDENS / "video_two_objects_10_frames.npz")
    places = [[STEP // 2 + STEP * r, STEP // 2 + STEP * c] for r in (3, 9, 20) for c in (5, 14, 30)]
    tracked = golden["logits"][3:].reshape(10, 2, *golden["logits"].shape[1:])
    values = tracked[:4, :, [[3], [9], [20]], [5, 14, 30]].reshape(4, 2, 9)
    points = [[*scenarios.DISC, 1]]
    scenario = next(s for s in scenarios.SCENARIOS if s.name == "two_objects_10_frames")
    boxed = scenario.steps[1]
    second: dict[str, Any] = {"box": list(boxed.box)} if boxed.box else {}
    if boxed.points:
        pairs = zip(boxed.points, boxed.labels, strict=True)
        second["points"] = [[*point, label] for point, label in pairs]
    return [
        {"points": points, "at": places, "frames": values[:, 0].tolist()},
        {**second, "at": places, "frames": values[:, 1].tolist()},
    ]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path]]:
    """A hub with seeded weights, a picture and a clip, and the table of what they give."""
    folder = tmp_path_factory.mktemp("hub")
    config = MODELS["tiny"].with_image_size(SIDE)
    weights = write_model(folder / "weights.pt", seeded_state(meta_shapes(config), 0, 6.0))
    Image.fromarray(PICTURE).save(folder / "drawn.png")
    scenario = next(s for s in scenarios.SCENARIOS if s.name == "two_objects_10_frames")
    first, *rest = map(Image.fromarray, scenario.clip().frames)
    first.save(folder / "clip.png", save_all=True, append_images=rest, duration=40)
    table = {
        "source": "the reference with seeded weights",
        "files": {
            "drawn": {"repository": "some/pictures", "kind": "dataset", "file": "a/drawn.png"},
            "clip": {"repository": "some/pictures", "kind": "dataset", "file": "clip.png"},
        },
        "models": {
            "tiny": {
                "repository": REPOSITORY,
                "image_size": SIDE,
                "pictures": picture_rows(),
                "clip": {"on": "clip", "resized_as": "frame", "rows": [clip_row()]},
            }
        },
        "limits": {"clip": 0.005},
    }
    (folder / "table.json").write_text(json.dumps(table))
    with local_hub() as hub:
        hub.files = {
            f"{REPOSITORY}/resolve/main/sam2.1_hiera_tiny.pt": weights,
            "datasets/some/pictures/resolve/main/a/drawn.png": folder / "drawn.png",
            "datasets/some/pictures/resolve/main/clip.png": folder / "clip.png",
        }
        yield hub, folder / "table.json"


def selftest(
    served: tuple[Hub, Path], cache: Path, fault: str = "", own: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the command against the hub, with caches of its own; the table is one's own or not."""
    hub, table = served
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(cache / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "SAM2_MLX_CACHE": str(cache / "ours"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    if not own:
        fault += f"\nimport sam2_mlx.evaluation.published as p; p.OFFICIAL = p.Path({str(table)!r})"
    command = [sys.executable, "-c", f"import sys, numpy as np\n{fault}\n{RUN}"]
    command += ["selftest", "--official", "tiny", *(["--table", str(table)] if own else [])]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


def test_the_right_weights_pass_and_are_fetched_once(served: Any, cache: Path) -> None:
    done = selftest(served, cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 16 agree" in done.stdout and "FAILED" not in done.stdout
    asked = served[0].asked
    assert asked == 3
    outcomes = cache / "ours" / "official.json"
    assert not outcomes.exists()  # of a table of one's own nothing goes into a report
    served[0].cut_at = 0  # as good as no network
    try:
        again = selftest(served, cache, own=False)
    finally:
        served[0].cut_at = None
    assert again.returncode == 0 and served[0].asked == asked
    ((key, outcome),) = json.loads(outcomes.read_text()).items()
    assert key.startswith("tiny, sam2_mlx ") and " at 256 on the " in key
    assert (outcome["total"], outcome["off"]) == (16, []) and 0 < outcome["worst_of_limit"] <= 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(served: Any, cache: Path, fault: str) -> None:
    done = selftest(served, cache, FAULTS[fault], own=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout and " are off" in done.stdout
    (outcome,) = json.loads((cache / "ours" / "official.json").read_text()).values()
    assert outcome["off"] and outcome["worst_of_limit"] > 1


def test_an_interrupted_download_is_one_line_and_goes_on(served: Any, tmp_path: Path) -> None:
    served[0].cut_at = 50_000_000
    try:
        done = selftest(served, tmp_path)
    finally:
        served[0].cut_at = None
    if done.returncode:  # where the client does not go on by itself
        assert done.returncode == 2 and "could not download" in done.stderr, done.stderr
        assert selftest(served, tmp_path).returncode == 0


def test_without_a_network_it_is_one_line(served: Any, tmp_path: Path) -> None:
    class Nobody:
        address = "http://127.0.0.1:9"

    done = selftest((Nobody(), served[1]), tmp_path)  # type: ignore[arg-type]
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no connection to Hugging Face" in done.stderr


def test_the_table_of_the_package_is_complete() -> None:
    table = json.loads(OFFICIAL.read_text())
    for name in table["models"]:
        numbers = published_numbers(name)
        rows = numbers.clip["rows"] if numbers.clip else []
        names = {row["on"] for row in numbers.pictures} | ({numbers.clip["on"]} if rows else set())
        assert names <= numbers.files.keys() and len(numbers.pictures) >= 4
        for each in (each for row in rows for each in row):
            assert {"points", "box", "mask_of"} & each.keys()
            assert all(np.shape(values) == (2, 2) for values in each.get("frames", ()))
    with pytest.raises(ValueError, match="numbers for tiny, edgetam"):
        published_numbers("huge")
