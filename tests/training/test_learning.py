"""The training itself, where torch and the reference are there: losses, runs, stops and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from training import sprites, train  # noqa: E402
from training.losses import LossWeights, Meter, mask_loss  # noqa: E402
from training.prompts import anywhere, box_prompt, correction, middles  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

PLAN = """
model: nano
seed: 3
average: 0.9
stages:
  - {name: pictures, scratch: true, size: 64, steps: 30, rate: 1.0e-3, dense: 1.0, balanced: 1.0,
     focal: 5.0, mixes: [{share: 1.0, clips: 4, objects: 3, frames: 1}]}
  - {name: clips, size: 64, steps: 4, rate: 5.0e-4, true_memory: 0.5, start_memory: true,
     mixes: [{share: 0.5, clips: 2, objects: 2, frames: 3},
             {share: 0.5, clips: 1, objects: 2, frames: 7}]}
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    sprites.build(None, drawn=8, grounds=2).save(path)
    return path


@pytest.fixture()
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def discs() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    return torch.stack(
        [(rows - 20) ** 2 + (columns - 30) ** 2 < 100, (rows - 5) ** 2 + (columns - 60) ** 2 < 30]
    )


def test_clicks_and_boxes_lie_in_their_masks() -> None:
    truth = discs()
    for points in (middles(truth), anywhere(truth)):
        for mask, (x, y) in zip(truth, points.long().tolist(), strict=True):
            assert mask[y, x]
    assert middles(truth)[0].tolist() == [30, 20]
    box = box_prompt(truth, np.random.default_rng(0))
    assert box["point_labels"].tolist() == [[2, 3], [2, 3]]
    assert (box["point_coords"][0] - torch.tensor([[21.0, 11.0], [39.0, 29.0]])).abs().max() < 10


def test_corrections_lie_in_the_error_and_have_its_sign() -> None:
    truth = discs()
    found = torch.zeros_like(truth)
    found[1, 30:50, 20:40] = True
    found[1] |= truth[1]
    prompt = {
        "point_coords": torch.zeros(2, 1, 2),
        "point_labels": torch.ones(2, 1, dtype=torch.int32),
    }
    more = correction(prompt, truth, found)
    assert more["point_labels"].tolist() == [[1, 1], [1, 0]]
    x, y = more["point_coords"][0, 1].long().tolist()
    assert truth[0, y, x]
    x, y = more["point_coords"][1, 1].long().tolist()
    assert found[1, y, x] and not truth[1, y, x]


def test_only_the_best_mask_and_all_ious_are_taught() -> None:
    truth = discs()
    logits = torch.zeros(2, 3, 16, 16)
    logits[:, 1] = torch.nn.functional.interpolate(truth[:, None].float(), size=16)[:, 0] * 8 - 4
    logits.requires_grad_()
    iou = torch.full((2, 3), 0.5, requires_grad=True)
    presence = torch.zeros(2, 1, requires_grad=True)
    weights, meter = LossWeights(side=16), Meter()
    mask_loss(logits, iou, presence, truth, weights, meter, "a").backward()
    assert logits.grad is not None and iou.grad is not None and presence.grad is not None
    assert (logits.grad[:, [0, 2]] == 0).all() and (logits.grad[:, 1] != 0).any()
    assert (iou.grad != 0).all() and (presence.grad < 0).all()
    assert meter.means()["a best J"] > 0.7


def test_without_the_object_only_the_presence_is_taught() -> None:
    truth = torch.zeros(1, 64, 64, dtype=torch.bool)
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    iou = torch.full((1, 1), 0.5, requires_grad=True)
    presence = torch.zeros(1, 1, requires_grad=True)
    mask_loss(logits, iou, presence, truth, LossWeights(side=16), Meter(), "a").backward()
    assert logits.grad is not None and (logits.grad == 0).all()
    assert presence.grad is not None and (presence.grad > 0).all()


@pytest.mark.slow
def test_a_run_goes_through_its_stages(tmp_path: Path, bank: Path, plan: Path) -> None:
    folder = tmp_path / "run"
    argv = ["--config", str(plan), "--bank", str(bank), "--out", str(folder), "--threads", "1"]
    assert train.main(argv) == 0
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["pictures", "clips"]
    assert lines[1]["step"] == 4 and "tracked J" in lines[1]
    stored = torch.load(folder / "clips.pt", weights_only=True)
    first = torch.load(folder / "pictures.pt", weights_only=True)
    assert set(stored) == {"model"}
    changed = [k for k, v in stored["model"].items() if not torch.equal(v, first["model"][k])]
    assert any(name.startswith("memory_attention") for name in changed)
    argv = ["--config", str(plan), "--bank", str(bank), "--out", str(tmp_path / "again")]
    argv += ["--from", str(folder / "clips.pt"), "--threads", "1"]
    assert train.main(argv) == 0
    assert not (tmp_path / "again" / "pictures.pt").exists()


@pytest.mark.slow
def test_a_stopped_run_goes_on(tmp_path: Path, bank: Path, plan: Path, monkeypatch) -> None:
    folder = tmp_path / "run"
    argv = ["--config", str(plan), "--bank", str(bank), "--out", str(folder), "--threads", "1"]
    monkeypatch.setattr(train, "_SAVE_SECONDS", 0)
    assert train.main(argv) == 0
    state = torch.load(folder / "state.pt", weights_only=True)
    assert state["stage"] == 1 and state["step"] == 4
    state["step"] = 2
    torch.save(state, folder / "state.pt")
    assert train.main([*argv, "--resume"]) == 0
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last["stage"] == "clips" and last["step"] == 4


def test_wrong_paths_are_said(tmp_path: Path, plan: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        train.main(["--config", str(plan), "--bank", "nothing.npz", "--out", str(tmp_path)])
    assert "nothing.npz is not a file" in capsys.readouterr().err
