"""What people look at: what a click would take, scores along a clip, everything on a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_mlx import SAM2AutomaticMaskGenerator
from sam2_mlx.media.reader import open_frames
from tests.serving.app import Refused
from tests.serving.conftest import FRAMES, Served, click, opened
from tests.tiny import tiny_model

CLICK: dict[str, Any] = {"points": [[20, 30]], "labels": [1]}
ELSEWHERE: dict[str, Any] = {"points": [[70, 40]], "labels": [1]}


def test_hovering_shows_what_a_click_gives_and_notes_nothing(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip), memory="full")
    hovered = app.call("hover", session=session, frame=2, prompt=CLICK)
    assert app.call("scores", session=session)[0] == {"objects": []}
    clicked = click(app, session, frame=2)
    assert (app.masks(*hovered) == app.masks(*clicked)).all()
    other = app.call("hover", session=session, frame=2, prompt=ELSEWHERE)
    assert [one["object"] for one in other[0]["objects"]] == [2]
    more = {**ELSEWHERE, "keep_points": True}
    corrected = app.call("hover", session=session, frame=2, object=1, prompt=more)
    assert [one["object"] for one in corrected[0]["objects"]] == [1]
    # As if nobody had looked.
    again = app.call("masks", session=session, frame=2)
    assert (app.masks(*again) == app.masks(*clicked)).all()
    answer = app.call("prompt", session=session, object=1, frame=2, prompt=more)
    assert (app.masks(*answer) == app.masks(*corrected)).all()
    with pytest.raises(Refused, match="bad_request: points must lie in"):
        app.call("hover", session=session, frame=2, prompt={"points": [[2000, 0]]})


def test_scores_are_those_of_the_frames(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip), memory="full")
    click(app, session, frame=2)
    app.call("prompt", session=session, object=5, frame=2, prompt=ELSEWHERE)
    events, _ = app.job("propagate", session=session, job=1, credit=FRAMES)
    facts, blob = app.call("scores", session=session)
    assert [(one["object"], one["frames"], one["prompted"]) for one in facts["objects"]] == [
        (1, FRAMES - 2, [2]),
        (5, FRAMES - 2, [2]),
    ]
    table = np.frombuffer(blob, "<u4").reshape(2, 3, FRAMES - 2)
    assert table[0, 0].tolist() == [event["frame"] for event, _ in events]
    for place, name in ((1, "iou"), (2, "presence")):
        wanted = [[one[name] for one in event["objects"]] for event, _ in events]
        assert np.allclose(table[:, place].view("<f4").T, wanted, atol=1e-3)


def test_everything_on_a_frame_is_that_of_its_picture(app: Served, clip: Path) -> None:
    options = {
        "points_per_side": 4,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.0,
        "min_mask_region_area": 0,
    }
    session = opened(app, path=str(clip))
    answer = app.call("everything", session=session, frame=3, options=options)
    with open_frames(clip) as source:
        records = SAM2AutomaticMaskGenerator(tiny_model(), **options).generate(source.read(3))
    assert len(records) > 1
    assert (app.masks(*answer) == np.stack([one["segmentation"] for one in records])).all()
    with pytest.raises(Refused, match="bad_state: a stream"):
        app.call("everything", session=opened(app), frame=0)
