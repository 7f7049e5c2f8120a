"""Requests and jobs over the protocol, with a tiny model: masks equal to the session's own."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_mlx import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, TrackingSession
from sam2_mlx.ops import rle
from tests.serving.app import Refused, rgb
from tests.serving.conftest import FRAMES, Served, click, opened
from tests.tiny import ToyClip, tiny_model

HELLO = {"protocol": 1}


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    toy = ToyClip(FRAMES)
    return [toy.read(index) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def streamed(images: list[np.ndarray]) -> list[np.ndarray]:
    """What the session says of a stream with two objects, the second one added on frame 3."""
    session, masks = TrackingSession(tiny_model()), []
    for index, image in enumerate(images):
        shown = session.step(image)
        if index == 0:
            shown = session.prompt(1, points=[[20, 30]], labels=[1])
        if index == 3:
            shown = session.prompt(5, box=[20, 15, 60, 50])
        masks.append(shown.masks)
    return masks


def test_hello_says_what_there_is(app: Served) -> None:
    facts, _ = app.call("hello", app="a test", **HELLO)
    assert facts["protocol"] == 1 and "BGRA" in facts["pixel_formats"]
    assert {"step", "propagate", "cancel"} <= set(facts["methods"])
    with pytest.raises(Refused, match="protocol: .* speaks protocol 1, the app 2"):
        app.call("hello", protocol=2)


def test_a_stream_is_followed_as_by_the_session(
    app: Served, images: list[np.ndarray], streamed: list[np.ndarray]
) -> None:
    session = opened(app)
    for index, image in enumerate(images):
        answer = app.step(session, image)
        if index == 0:
            answer = click(app, session)
        if index == 3:
            box = {"box": [20, 15, 60, 50]}
            answer = app.call("prompt", session=session, object=5, prompt=box)
        assert answer[0]["frame"] == index
        assert (app.masks(*answer) == streamed[index]).all()
    assert [entry["object"] for entry in answer[0]["objects"]] == [1, 5]


def test_a_clip_is_followed_as_by_the_session(
    app: Served, clip: Path, followed: list[np.ndarray]
) -> None:
    facts, _ = app.call("open", path=str(clip))
    assert facts["frames"] == FRAMES and (facts["width"], facts["height"]) == (96, 64)
    click(app, facts["session"], frame=0)
    events, result = app.job("propagate", session=facts["session"], job=3, credit=2)
    assert result == {"ended": "done", "frames": FRAMES}
    for (event, blob), wanted in zip(events, followed, strict=True):
        assert event["job"] == 3 and (app.masks(event, blob) == wanted).all()
    again = app.call("masks", session=facts["session"], frame=FRAMES - 1)
    assert (app.masks(*again) == followed[-1]).all()


def test_a_mask_is_a_prompt(app: Served, images: list[np.ndarray]) -> None:
    session = opened(app)
    app.step(session, images[0])
    mask = np.zeros((64, 96), bool)
    mask[20:44, 10:34] = True
    prompt = {"mask": {"width": 96, "height": 64}}
    packed = np.packbits(mask, axis=1).tobytes()
    facts, blob = app.call("prompt", packed, session=session, object=2, prompt=prompt)
    found = app.masks(facts, blob)[0]
    assert (found & mask).sum() > 0.8 * (found | mask).sum()
    with pytest.raises(Refused, match="bad_frame: a mask of 96 x 64 has 768 bytes"):
        app.call("prompt", packed[:-1], session=session, object=2, prompt=prompt)


def test_frames_and_masks_may_pass_through_a_map(
    app: Served, tmp_path: Path, images: list[np.ndarray], streamed: list[np.ndarray]
) -> None:
    path = tmp_path / "shared"
    size = images[0].nbytes
    path.touch(0o600)
    path.write_bytes(bytes(2 * size))
    assert app.call("map", map=4, path=str(path))[0] == {"bytes": 2 * size}
    session = opened(app)
    for image in images[:2]:
        with open(path, "r+b") as file:
            file.seek(100)
            file.write(image.tobytes())
        pixels = {**rgb(image), "map": 4, "offset": 100}
        form = {"map": 4, "offset": size + 200}
        facts, blob = app.call("step", session=session, pixels=pixels, masks=form)
        if not facts["objects"]:
            facts, blob = click(app, session, masks=form)
        assert blob == b"" and facts["map"] == 4 and facts["bytes"] == 64 * 12
        with open(path, "rb") as file:
            file.seek(facts["offset"])
            found = app.masks(facts, file.read(facts["bytes"]))
        assert (found == streamed[facts["frame"]]).all()
    with pytest.raises(Refused, match="bad_frame"):
        app.call("step", session=session, pixels={**rgb(images[0]), "map": 4, "offset": 2 * size})
    app.call("unmap", map=4)
    with pytest.raises(Refused, match="bad_map"):
        app.call("step", session=session, pixels={**rgb(images[0]), "map": 4})


@pytest.fixture(scope="module")
def predicted(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Masks of a click, those refined from the second of them, and how many masks all are."""
    predictor = SAM2ImagePredictor(tiny_model())
    predictor.set_image(images[0])
    first, _, low = predictor.predict([[20, 30]], [1])
    second, _, _ = predictor.predict([[20, 30], [50, 20]], [1, 0], mask_input=low[1:2])
    loose = {"points_per_side": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    everything = SAM2AutomaticMaskGenerator(tiny_model(), **loose).generate(images[0])
    return first, second, len(everything)


def test_a_picture_is_asked_about(
    app: Served, images: list[np.ndarray], predicted: tuple[np.ndarray, np.ndarray, int]
) -> None:
    image = images[0]
    facts, _ = app.call("set_picture", image.tobytes(), pixels=rgb(image))
    session = facts["session"]
    answer = app.call("predict", session=session, prompt={"points": [[20, 30]]})
    assert (app.masks(*answer) == predicted[0]).all()
    prompt = {"points": [[20, 30], [50, 20]], "labels": [1, 0]}
    answer = app.call("predict", session=session, prompt=prompt, refine=1)
    assert (app.masks(*answer) == predicted[1]).all()
    loose = {"points_per_side": 3, "pred_iou_thresh": 0, "stability_score_thresh": 0}
    facts, blob = app.call("everything", session=session, options=loose, masks={"encoding": "rle"})
    assert len(facts["objects"]) == predicted[2]
    for entry in facts["objects"]:
        counts = np.frombuffer(blob, "<u4", entry["bytes"] // 4, entry["offset"])
        assert rle.counts_to_mask(counts, (64, 96)).sum() == entry["area"]
    with pytest.raises(Refused, match="no_session"):
        app.step(session, image)


def test_a_session_is_saved_and_restored(
    app: Served, tmp_path: Path, images: list[np.ndarray], streamed: list[np.ndarray]
) -> None:
    session = opened(app)
    app.step(session, images[0])
    click(app, session)
    for image in images[1:3]:
        app.step(session, image)
    path = str(tmp_path / "session.safetensors")
    app.call("save", session=session, path=path)
    app.call("close", session=session)
    facts, _ = app.call("restore", path=path)
    assert facts["frame"] == 2 and facts["objects"] == [1] and facts["session"] != session
    answer = app.step(facts["session"], images[3])
    assert answer[0]["frame"] == 3
    # On frame 3 the other session then got its second object.
    assert (app.masks(*answer)[0] == streamed[3][0]).all()


def test_the_rest(app: Served, images: list[np.ndarray]) -> None:
    session = opened(app, options={"non_overlap_masks": True, "max_prompted_frames": 3})
    app.step(session, images[0])
    click(app, session)
    facts, _ = app.call("stats")
    assert facts["sessions"][0]["objects"] == [1] and facts["active_bytes"] > 0
    app.call("clear", session=session, object=1, frame=0)
    assert app.call("remove", session=session, object=1)[0] == {"removed": True}
    assert app.call("remove", session=session, object=1)[0] == {"removed": False}
    app.call("close", session=session)
    app.call("close", session=session)
    assert app.call("stats")[0]["sessions"] == []
    assert app.call("shutdown")[0] == {}
    with pytest.raises(EOFError):
        app.read()


BAD = [
    ("step", {"session": 1}, "bad_request: the field pixels is missing"),
    ("step", {"session": 9, "pixels": rgb(np.zeros((2, 2, 3)))}, "no_session"),
    ("step", {"session": 1, "pixels": rgb(np.zeros((2, 2, 3)))}, "bad_frame: the frame needs 12"),
    ("step", {"session": 1, "pixels": []}, "bad_request: pixels must be an object; got a list"),
    ("open", {"memory": "endless"}, "bad_request: memory must be one of rolling, full"),
    ("open", {"path": "/nowhere/clip.mp4"}, "not_found"),
    ("open", {"path": __file__}, "bad_media"),
    ("open", {"path": "a\0b"}, "bad_request"),
    ("open", {"path": ""}, "bad_request"),
    ("open", {"options": {"fill_hole_area": "8"}}, "bad_request: options.fill_hole_area"),
    ("open", {"options": {"colour": 8}}, "unknown field options.colour"),
    ("open", {"options": {"max_prompted_frames": 1}}, "bad_request"),
    ("prompt", {"session": 1, "object": 1, "prompt": {"points": [[1, 2]]}}, "bad_state"),
    ("prompt", {"session": 1, "object": 1.5, "prompt": {}}, "object must be an integer"),
    ("prompt", {"session": 1, "object": 1, "prompt": {"points": [[1]]}}, r"prompt.points\[0\]"),
    ("prompt", {"session": 1, "object": 1, "prompt": {"points": "1,2"}}, "prompt.points"),
    ("prompt", {"session": 1, "object": 1, "prompt": {"labels": [7]}}, "prompt.labels"),
    ("prompt", {"session": 1, "object": 1, "prompt": {"box": [1, 2, 3, 1e99]}}, "prompt.box"),
    ("propagate", {"session": 1, "job": 1}, "bad_state"),
    ("propagate", {"session": 1}, "the field job is missing"),
    ("propagate", {"session": 1, "job": -1}, "job must be an integer"),
    ("masks", {"session": 1, "frame": 0, "masks": {"encoding": "png"}}, "mask_encoding"),
    ("predict", {"session": 1, "prompt": {}}, "no_session"),
    ("set_picture", {}, "bad_request: give a picture by path, by pixels or by clip"),
    ("set_picture", {"path": __file__}, "bad_media"),
    ("load_model", {"model": "/nowhere/model.pt"}, "bad_model"),
    ("load_model", {"model": "nano", "image_size": 33}, "bad_model"),
    ("load_model", {"model": "nano", "dtype": "int8"}, "bad_request"),
    ("load_model", {"model": "nano", "device": "tpu"}, "bad_request"),
    ("restore", {"path": "/nowhere.safetensors"}, "not_found"),
    ("save", {"session": 1, "path": "/tmp/session.txt"}, "bad_request"),
    ("map", {"map": 1, "path": "/dev/zero"}, "bad_map"),
    ("unmap", {"map": 1}, "bad_map"),
    ("shut_down", {}, "unknown_method"),
    ("_run", {}, "unknown_method"),
]


def test_a_model_runs_where_it_was_asked_to(app: Served) -> None:
    facts, _ = app.call("load_model", model="nano", device="cpu")
    assert facts["device"] == "cpu" and app.worker._engine.model.home == "cpu"


def test_a_bad_request_is_answered_and_changes_nothing(
    app: Served, images: list[np.ndarray], streamed: list[np.ndarray]
) -> None:
    session = opened(app)
    for method, fields, message in BAD:
        with pytest.raises(Refused, match=message):
            app.call(method, **fields)
    for number in (None, "1", -1, 1.5, True, 2**60):
        app.write(json.dumps({"method": "stats", "id": number}).encode())
        assert app.read()[0]["error"]["code"] == "bad_request"
    app.write(b'{"id":5,"method":["stats"]}')
    assert app.read()[0]["error"]["code"] == "unknown_method"
    app.write(b"[1, 2")
    assert app.read()[0]["error"]["message"].startswith("the message is not JSON")
    app.step(session, images[0])
    assert (app.masks(*click(app, session)) == streamed[0]).all()


def test_lengths_out_of_range_end_the_conversation(app: Served) -> None:
    app.write_raw(struct.pack("<II", 2**31, 2**31))
    answer, _ = app.read()
    assert answer["id"] is None and answer["error"]["code"] == "protocol"
    with pytest.raises(EOFError):
        app.read()


def test_noise_never_ends_the_worker(app: Served) -> None:
    dice = random.Random(11)
    words = ["step", "session", "pixels", 1, -1, 2**70, 1e308, None, True, [], {}, [[0, 1]], "bits"]
    names = ["session", "object", "frame", "prompt", "pixels", "masks", "path", "job", "length"]

    def noise(depth: int = 0) -> Any:
        if depth < 2 and dice.random() < 0.4:
            return {dice.choice(names): noise(depth + 1) for _ in range(dice.randrange(4))}
        return dice.choice(words)

    opened(app)
    methods = ["step", "prompt", "masks", "predict", "open", "clear", "map", "restore", "save"]
    for _ in range(500):
        fields = {name: noise() for name in dice.sample(names, dice.randrange(5))}
        app.post(dice.choice(methods), bytes(dice.randrange(50)), **fields)
        answer, _ = app.read()
        assert "result" in answer or answer["error"]["code"] != "failed", (fields, answer)
    assert app.call("ping")[0]["waiting"] == 0


def test_a_frame_of_a_clip_is_a_picture(app: Served, clip: Path, images: list[np.ndarray]) -> None:
    session = opened(app, path=str(clip))
    for index in (5, 2):
        facts, _ = app.call("set_picture", clip={"session": session, "frame": index})
        blob = app.call("predict", session=facts["session"], prompt={"points": [[20, 30]]})[1]
        facts, _ = app.call("set_picture", images[index].tobytes(), pixels=rgb(images[index]))
        assert (
            blob == app.call("predict", session=facts["session"], prompt={"points": [[20, 30]]})[1]
        )
    with pytest.raises(Refused, match="bad_state: a stream keeps no frames"):
        app.call("set_picture", clip={"session": opened(app), "frame": 0})
