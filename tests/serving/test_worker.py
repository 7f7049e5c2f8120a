"""Requests and jobs over the protocol, with a tiny model: masks equal to the session's own."""

from __future__ import annotations

import json
import random
import struct
import threading
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from PIL import Image

from sam2_mlx import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, TrackingSession
from sam2_mlx.checkpoints import hub
from sam2_mlx.media.reader import open_frames
from sam2_mlx.ops import rle
from sam2_mlx.serving.conversation import MAX_WAITING
from tests.serving.app import Refused, rgb
from tests.serving.conftest import Served
from tests.tiny import ToyClip, tiny_model

FRAMES = 8
HELLO = {"protocol": 1}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures."""
    folder = tmp_path_factory.mktemp("clip")
    toy = ToyClip(FRAMES)
    for index in range(FRAMES):
        Image.fromarray(toy.read(index)).save(folder / f"{index:03}.png")
    return folder


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


@pytest.fixture(scope="module")
def followed(clip: Path) -> list[np.ndarray]:
    """What the session says of the clip."""
    with open_frames(clip) as source:
        session = TrackingSession(tiny_model(), source)
        session.prompt(1, points=[[20, 30]], labels=[1], frame=0)
        return [shown.masks for shown in session.propagate()]


def click(app: Served, session: int, **fields: Any) -> tuple[dict[str, Any], bytes]:
    prompt = {"points": [[20, 30]], "labels": [1]}
    return app.call("prompt", session=session, object=1, prompt=prompt, **fields)


def opened(app: Served, **fields: Any) -> int:
    return int(app.call("open", **fields)[0]["session"])


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


def test_it_never_runs_ahead_of_its_credit(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    number = app.post("propagate", session=session, job=1, credit=2)
    assert [app.read()[0]["frame"] for _ in range(2)] == [0, 1]
    # The third frame waits for credit; other requests do not wait for it.
    other = opened(app)
    assert other == session + 1
    app.tell("credit", job=1, frames=100)
    frames = [app.read()[0].get("frame") for _ in range(FRAMES - 1)]
    assert frames == [*range(2, FRAMES), None]
    assert number


def test_what_is_about_a_busy_session_waits_for_the_end_of_its_job(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    job = app.post("propagate", session=session, job=1, credit=1)
    assert app.read()[0]["frame"] == 0
    reset = app.post("reset", session=session)
    assert app.call("ping")[0] == {"waiting": 1, "jobs": 1}
    app.tell("cancel", job=1)
    assert app.read()[0] == {"id": job, "result": {"ended": "cancelled", "frames": 1}}
    assert app.read()[0] == {"id": reset, "result": {}}


def test_a_job_may_be_cancelled_before_its_turn(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    first = app.post("propagate", session=session, job=1, credit=0)
    second = app.post("propagate", session=session, job=2)
    app.tell("cancel", job=2)
    app.tell("cancel", job=1)
    ends = [app.read()[0] for _ in range(2)]
    assert ends == [
        {"id": number, "result": {"ended": "cancelled", "frames": 0}} for number in (first, second)
    ]
    # Numbers of jobs that have ended may be used again.
    _, result = app.job("propagate", session=session, job=1)
    assert result["ended"] == "done"


def test_a_thousand_random_cancels(app: Served) -> None:
    """Of a job that only counts; the next test has the real one."""
    dice = random.Random(3)
    for turn in range(1000):
        cancel_at_random(app, dice, "count", job=turn)
    assert app.call("ping")[0] == {"waiting": 0, "jobs": 0}


def test_a_cancelled_session_goes_on(app: Served, clip: Path, followed: list[np.ndarray]) -> None:
    dice = random.Random(4)
    session = opened(app, path=str(clip), memory="full")
    click(app, session, frame=0)
    for turn in range(30):
        cancel_at_random(app, dice, "propagate", job=turn, session=session, start=0)
    events, _ = app.job("propagate", session=session, job=0, start=0)
    assert all(
        (app.masks(*event) == wanted).all() for event, wanted in zip(events, followed, strict=True)
    )


def cancel_at_random(app: Served, dice: random.Random, method: str, **fields: Any) -> None:
    credit, cancel_after, events = dice.randrange(1, 5), dice.randrange(4), 0
    number = app.post(method, credit=credit, **fields)
    if not cancel_after:
        app.tell("cancel", job=fields["job"])
    while "event" in (answer := app.read()[0]):
        events += 1
        if events == cancel_after:
            app.tell("cancel", job=fields["job"])
        else:
            app.tell("credit", job=fields["job"], frames=1)
        assert events <= 2 * cancel_after + credit
    assert answer["id"] == number and answer["result"]["frames"] == events
    assert events or not cancel_after


def test_two_jobs_take_turns(app: Served) -> None:
    for job in (1, 2):
        app.post("count", job=job, credit=0)
    assert app.call("ping")[0]["jobs"] == 2
    for job in (1, 2):
        app.tell("credit", job=job, frames=50)
    jobs = [app.read()[0]["job"] for _ in range(100)]
    # One may be a few ahead before the other has credit; then they alternate.
    assert abs(jobs[:60].count(1) - jobs[:60].count(2)) < 20
    assert jobs.count(1) == jobs.count(2) == 50


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


@pytest.fixture
def slow_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> threading.Event:
    """A hub that sends half a file and goes on when it is told to."""
    go_on = threading.Event()

    def download(repository: str, filename: str, *, force_download: bool, tqdm_class: Any) -> str:
        with tqdm_class(total=1000, unit="B") as bar:
            bar.update(500)
            go_on.wait(20)
            for _ in range(250):
                bar.update(2)
        return str(tmp_path / "model.safetensors")

    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "_probe", lambda repository: None)
    return go_on


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_download_tells_how_far_it_is(
    app: Served, slow_hub: threading.Event, cancelled: bool
) -> None:
    number = app.post("load_model", model="tiny", job=8)
    half = {"event": "progress", "job": 8, "stage": "download", "fraction": 0.5}
    assert app.read()[0] == half
    # It is still at it, and answers.
    assert app.call("ping")[0] == {"waiting": 0, "jobs": 1}
    if cancelled:
        app.tell("cancel", job=8)
        app.call("ping")
    slow_hub.set()
    events = []
    while "event" in (answer := app.read()[0]):
        events.append(answer["fraction"])
    assert answer["id"] == number
    # The file that was fetched is none.
    assert answer["error"]["code"] == ("cancelled" if cancelled else "bad_model")
    assert events == ([] if cancelled else [one / 100 for one in range(51, 101)])


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
    ("set_picture", {}, "bad_request: give a picture by path or by pixels"),
    ("set_picture", {"path": __file__}, "bad_media"),
    ("load_model", {"model": "/nowhere/model.pt"}, "bad_model"),
    ("load_model", {"model": "nano", "image_size": 33}, "bad_model"),
    ("load_model", {"model": "nano", "dtype": "int8"}, "bad_request"),
    ("restore", {"path": "/nowhere.safetensors"}, "not_found"),
    ("save", {"session": 1, "path": "/tmp/session.txt"}, "bad_request"),
    ("map", {"map": 1, "path": "/dev/zero"}, "bad_map"),
    ("unmap", {"map": 1}, "bad_map"),
    ("shut_down", {}, "unknown_method"),
    ("_run", {}, "unknown_method"),
]


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


def test_too_many_requests_are_told_so(app: Served, clip: Path) -> None:
    session = opened(app, path=str(clip))
    click(app, session, frame=0)
    app.post("propagate", session=session, job=1, credit=1)
    assert app.read()[0]["frame"] == 0
    # Each of them waits for the job, which waits for credit.
    for _ in range(MAX_WAITING):
        app.post("reset", session=session)
    with pytest.raises(Refused, match="busy"):
        app.call("reset", session=session)
    app.tell("cancel", job=1)
    assert app.read()[0]["result"]["ended"] == "cancelled"
    assert all(app.read()[0]["result"] == {} for _ in range(MAX_WAITING))


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
