"""Exports: what the session has, in every form, by the writers of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam2_mlx import TrackingSession
from sam2_mlx.media.mask_writer import read_npz_masks
from sam2_mlx.media.reader import open_frames
from sam2_mlx.ops import rle
from sam2_mlx.ops.edges import refined_masks
from tests.serving.app import Refused
from tests.serving.conftest import FRAMES, Served, click, opened
from tests.tiny import tiny_model


def exported(app: Served, session: int, format: str, path: Path, **fields: Any) -> Path:
    events, result = app.job(
        "export", session=session, job=9, format=format, path=str(path), **fields
    )
    assert events[-1][0] == {"event": "progress", "job": 9, "stage": "export", "fraction": 1.0}
    assert result["path"] == str(path)
    return path


def follow(app: Served, clip: Path) -> tuple[int, np.ndarray]:
    session = opened(app, path=str(clip), memory="full")
    click(app, session, frame=0)
    app.call("prompt", session=session, object=7, frame=0, prompt={"box": [50, 20, 80, 60]})
    events, _ = app.job("propagate", session=session, job=1, credit=FRAMES)
    return session, np.stack([app.masks(*event) for event in events])


def test_masks_in_every_form_are_those_of_the_session(
    app: Served, clip: Path, tmp_path: Path
) -> None:
    session, masks = follow(app, clip)
    npz = exported(app, session, "npz", tmp_path / "m.npz")
    assert read_npz_masks(npz, 5)[0] == (1, 7)
    assert all((read_npz_masks(npz, i)[1] == masks[i]).all() for i in range(FRAMES))
    coco = json.loads(exported(app, session, "coco", tmp_path / "m.json").read_text())
    assert (rle.decode(coco["annotations"][-1]["segmentation"]) == masks[-1, 1]).all()
    folder = exported(app, session, "masks", tmp_path / "palette")
    values = np.array(Image.open(folder / "004.png"))
    assert ((values == 7) == masks[4, 1]).all()
    some = exported(app, session, "npz", tmp_path / "s.npz", objects=[7], first=2, last=3)
    with np.load(some) as data:
        assert data["frames"].tolist() == [2, 3] and data["object_ids"].tolist() == [7]
    lines = exported(app, session, "scores", tmp_path / "s.jsonl").read_text().splitlines()
    assert len(lines) == FRAMES and json.loads(lines[3])["objects"][1]["area"] == masks[3, 1].sum()


def test_refined_edges_are_those_of_the_picture(app: Served, clip: Path, tmp_path: Path) -> None:
    session, masks = follow(app, clip)
    refined = exported(app, session, "npz", tmp_path / "r.npz", edges="refined", last=3)
    tracking = TrackingSession(tiny_model(), source := open_frames(clip), memory="full")
    tracking.prompt(1, points=[[20, 30]], labels=[1], frame=0)
    tracking.prompt(7, box=[50, 20, 80, 60], frame=0)
    for shown in tracking.propagate(length=3):
        logits = np.array(shown.coarse[:, 0], np.float32)
        wanted = refined_masks(logits, source.read(shown.frame))
        written = read_npz_masks(refined, shown.frame)[1]
        assert (written == wanted).all() and (written != masks[shown.frame]).any()
    source.close()


def test_outlines_for_yolo_cover_the_masks(app: Served, clip: Path, tmp_path: Path) -> None:
    import cv2

    session, masks = follow(app, clip)
    folder = exported(app, session, "yolo", tmp_path / "m.yolo")
    data = (folder / "data.yaml").read_text()
    assert "names:\n  0: object 1\n  1: object 7\n" in data
    drawn = np.zeros((2, 64, 96), np.uint8)
    for line in (folder / "labels" / "005.txt").read_text().splitlines():
        place, *numbers = line.split()
        ring = np.array(numbers, float).reshape(-1, 2) * (96, 64) - 0.5
        cv2.fillPoly(drawn[int(place)], [ring.round().astype(np.int32)], 1)
    # Holes are filled, and parts of one or two pixels have no outline.
    assert (drawn.astype(bool) | ~masks[5]).mean() > 0.99
    # It is replaced as long as nobody put anything into it.
    exported(app, session, "yolo", folder)
    (folder / "labels" / "mine.txt").touch()
    with pytest.raises(Refused, match="holds other files"):
        exported(app, session, "yolo", folder)


def test_clips_in_every_form(app: Served, clip: Path, tmp_path: Path) -> None:
    session, masks = follow(app, clip)
    for format, name in (("video", "v.mp4"), ("webm-alpha", "v.webm"), ("prores4444", "v.mov")):
        with open_frames(exported(app, session, format, tmp_path / name, last=2)) as frames:
            assert (frames.num_frames, frames.width, frames.height) == (3, 96, 64)
    folder = exported(app, session, "png-sequence", tmp_path / "png", first=3, last=4)
    alpha = np.array(Image.open(folder / "00000.png"))[..., 3]
    assert ((alpha > 0) == masks[3].any(axis=0)).mean() > 0.9


def test_an_export_waits_for_nobody_and_leaves_nothing_when_it_is_cancelled(
    app: Served, clip: Path, tmp_path: Path
) -> None:
    session, _ = follow(app, clip)
    number = app.post("export", session=session, job=9, format="npz", path=str(tmp_path / "m.npz"))
    # The session is changed meanwhile; what is written is what it was.
    other = app.post("remove", session=session, object=1)
    answers = {}
    while len(answers) < 2:
        answer, _ = app.read()
        if "id" in answer:
            answers[answer["id"]] = answer["result"]
    assert answers[other] == {"removed": True} and list(answers) == [other, number]
    assert read_npz_masks(tmp_path / "m.npz", FRAMES - 1)[0] == (1, 7)
    app.post("export", session=session, job=9, format="video", path=str(tmp_path / "v.mp4"))
    app.tell("cancel", job=9)
    while "id" not in (answer := app.read()[0]):
        pass
    assert answer["result"]["ended"] == "cancelled"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.npz"]


def test_what_cannot_be_exported(app: Served, clip: Path, tmp_path: Path) -> None:
    session = opened(app, path=str(clip))
    wanted = {"format": "npz", "path": str(tmp_path / "m.npz")}
    with pytest.raises(Refused, match="bad_state: nothing to export"):
        app.job("export", session=session, job=1, **wanted)
    click(app, session, frame=0)
    with pytest.raises(Refused, match="no frame 99"):
        app.job("export", session=session, job=1, last=99, **wanted)
    with pytest.raises(Refused, match="bad_state"):
        app.job("export", session=opened(app), job=1, **wanted)
    (tmp_path / "no.npz").mkdir()
    with pytest.raises(Refused, match="is a folder"):
        app.job("export", session=session, job=1, format="npz", path=str(tmp_path / "no.npz"))
