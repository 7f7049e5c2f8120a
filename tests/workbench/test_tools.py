"""Other people's tools: what they ask is answered in their own forms."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from sam2_mlx import SAM2ImagePredictor, TrackingSession
from sam2_mlx.apps.workbench.brush_rle import brush_rle
from sam2_mlx.media.reader import load_picture, open_frames
from tests.tiny import tiny_model
from tests.workbench.conftest import FRAMES, TOKEN, Workbench

BRUSH = """<View><Image name="img" value="$photo"/>
<BrushLabels name="tag" toName="img"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="img" smart="true"><Label value="Cat"/></KeyPointLabels></View>"""
VIDEO = """<View><Video name="vid" value="$clip"/><VideoRectangle name="box" toName="vid"/>
<Labels name="what" toName="vid"><Label value="Fish"/></Labels></View>"""
CLICK = {
    "id": "a1",
    "type": "keypointlabels",
    "is_positive": 1,
    "original_width": 96,
    "original_height": 64,
    "value": {"x": 100 * 20 / 96, "y": 100 * 30 / 64, "width": 0.5, "keypointlabels": ["Cat"]},
}


def ask(bench: Workbench, path: str, content: Any = None, token: str = TOKEN) -> httpx.Response:
    address = f"http://127.0.0.1:{bench.port}/tools/{token}{path}"
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(address) if content is None else client.post(address, json=content)


def decoded(numbers: list[int]) -> np.ndarray:
    """The bytes of a brush, by the description of the form."""
    bits = np.unpackbits(np.array(numbers, np.uint8))
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int("".join(map(str, bits[place - count : place])), 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        same, length = read(1), read(sizes[read(2)]) + 1
        values += [read(word)] * length if same else [read(word) for _ in range(length)]
    return np.array(values, np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_a_brush_has_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((70, 301)), (0, 0), 6 * seed + 0.1)
    mask = noise > np.quantile(noise, (0.5, 0.9, 0.2, 1.0)[seed])
    pixels = decoded(brush_rle(mask)).reshape(70, 301, 4)
    assert ((pixels == 255) == mask[..., None]).all() and set(np.unique(pixels)) <= {0, 255}


def test_the_brush_is_read_by_label_studio_itself() -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    mask = np.zeros((40, 50), bool)
    mask[5:20, 10:45] = True
    image = brush.decode_rle(brush_rle(mask)).reshape(40, 50, 4)
    assert ((image[..., 3] > 0) == mask).all()


def test_label_studio_gets_the_mask_of_a_click(bench: Workbench) -> None:
    picture = bench.clip / "003.png"
    assert ask(bench, "/label-studio/health").json()["status"] == "UP"
    setup = ask(bench, "/label-studio/setup", {"project": "1.1", "schema": BRUSH})
    assert setup.json() == {"model_version": "sam2_mlx toy"}
    task = {"id": 1, "data": {"photo": "/data/local-files/?d=clip/003.png"}}
    request = {"tasks": [task], "label_config": BRUSH, "params": {"context": {"result": [CLICK]}}}
    answer = ask(bench, "/label-studio/predict", request).json()
    (result,) = answer["results"][0]["result"]
    assert (result["from_name"], result["to_name"], result["type"]) == ("tag", "img", "brushlabels")
    assert result["value"]["brushlabels"] == ["Cat"] and result["value"]["format"] == "rle"
    predictor = SAM2ImagePredictor(tiny_model())
    predictor.set_image(load_picture(picture))
    masks, iou, _ = predictor.predict([[20, 30]], [1])
    pixels = decoded(result["value"]["rle"]).reshape(64, 96, 4)
    assert ((pixels[..., 3] > 0) == masks[iou.argmax()]).all()
    # Before anything is drawn there is nothing to say.
    nothing = ask(bench, "/label-studio/predict", {"tasks": [task], "label_config": BRUSH}).json()
    assert nothing["results"] == []


def test_label_studio_gets_boxes_through_a_video(bench: Workbench) -> None:
    box = {"x": 100 * 20 / 96, "y": 100 * 15 / 64, "width": 100 * 40 / 96, "height": 100 * 35 / 64}
    key = {"frame": 2, "enabled": True, "rotation": 0, "time": 0.04, **box}
    value = {"framesCount": 8, "duration": 0.3, "sequence": [key], "labels": ["Fish"]}
    drawn = {"id": "o1", "type": "videorectangle", "value": value}
    task = {"id": 1, "data": {"clip": str(bench.clip / "%03d.png")}}
    request = {"tasks": [task], "label_config": VIDEO, "params": {"context": {"result": [drawn]}}}
    answer = ask(bench, "/label-studio/predict", request).json()
    (result,) = answer["results"][0]["result"]
    assert (result["id"], result["from_name"], result["to_name"]) == ("o1", "box", "vid")
    sequence = result["value"]["sequence"]
    assert sequence[0] == key and [one["frame"] for one in sequence] == list(range(2, FRAMES + 1))
    with open_frames(bench.clip) as source:
        session = TrackingSession(tiny_model(), source)
        session.prompt(1, box=[20, 15, 60, 50], frame=1)
        *_, last = session.propagate()
    columns = np.flatnonzero(last.masks[0].any(axis=0))
    assert sequence[-1]["enabled"] and sequence[-1]["x"] == pytest.approx(100 * columns[0] / 96)
    assert result["value"]["labels"] == ["Fish"] and result["value"]["framesCount"] == FRAMES


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"tasks": [{"data": {"photo": "/etc/passwd"}}]}, 403, "no folder that was allowed"),
        ({"tasks": [{"data": {"photo": "http://127.0.0.1:9/x.png"}}]}, 403, "on a network"),
        ({"tasks": [{"data": {}}]}, 400, "not what was expected"),
        ({"tasks": "x"}, 400, "not what was expected"),
        ({"label_config": "<View/>"}, 400, "needs BrushLabels"),
        ({"label_config": "<!DOCTYPE a [<!ENTITY b 'c'>]><View/>"}, 400, "entities"),
        ({"params": {"context": {"result": [{"type": "choices", "value": {}}]}}}, 400, "a point"),
        ({"params": 7}, 400, "not what was expected"),
    ],
)
def test_what_label_studio_sends_is_not_trusted(
    bench: Workbench, changes: dict[str, Any], status: int, said: str
) -> None:
    task = {"id": 1, "data": {"photo": str(bench.clip / "003.png")}}
    request = {"tasks": [task], "label_config": BRUSH, "params": {"context": {"result": [CLICK]}}}
    answer = ask(bench, "/label-studio/predict", request | changes)
    assert answer.status_code == status and said in answer.json()["detail"]
    # The next one is another matter.
    assert ask(bench, "/label-studio/predict", request).status_code == 200


def test_tools_need_the_token_too(bench: Workbench) -> None:
    for token in ("wrong", "", TOKEN + "x"):
        assert ask(bench, "/health", token=token).status_code == 403
        assert ask(bench, "/v1/predict", {}, token=token).status_code == 403


def picture_of(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def test_x_anylabeling_gets_the_outline_of_its_marks(bench: Workbench) -> None:
    assert ask(bench, "/health").json()["status"] == "healthy"
    (name,) = ask(bench, "/v1/models").json()["data"]
    assert ask(bench, f"/v1/models/{name}/info").json()["data"]["model_id"] == name
    assert ask(bench, "/v1/models/other/info").json()["error"]["code"] == "MODEL_NOT_FOUND"
    image = picture_of(bench.clip / "003.png")
    marks = [{"type": "rectangle", "data": [60, 50, 20, 15], "label": 1}]
    params = {"marks": marks, "epsilon_factor": 0.0}
    request = {"model": name, "image": image, "params": params}
    data = ask(bench, "/v1/predict", request).json()["data"]
    predictor = SAM2ImagePredictor(tiny_model())
    predictor.set_image(load_picture(bench.clip / "003.png"))
    masks, iou, _ = predictor.predict(box=[20, 15, 60, 50], multimask_output=False)
    drawn = np.zeros((64, 96), np.uint8)
    for shape in data["shapes"]:
        assert shape["shape_type"] == "polygon" and shape["points"][0] == shape["points"][-1]
        cv2.fillPoly(drawn, [np.array(shape["points"], np.int32)], 1)
    assert 0 <= data["shapes"][0]["score"] <= 1
    rings = cv2.findContours(masks[0].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros((64, 96), np.uint8), rings[0], -1, 1, cv2.FILLED)
    assert (drawn == filled).mean() > 0.98
    point = {**request, "params": {"marks": [{"type": "point", "data": [20, 30], "label": 1}]}}
    assert ask(bench, "/v1/predict", point).json()["success"]
    nothing = ask(bench, "/v1/predict", {**request, "params": {}}).json()
    assert nothing["data"]["shapes"] == []


def test_what_x_anylabeling_sends_is_not_trusted(bench: Workbench) -> None:
    name = "sam2_mlx"
    image = picture_of(bench.clip / "003.png")
    bomb = io.BytesIO()
    Image.new("1", (20000, 20000)).save(bomb, "PNG")
    marks = [{"type": "point", "data": [5000, 3]}]
    for request, code in (
        ({"model": "other", "image": image}, "MODEL_NOT_FOUND"),
        ({"model": name, "image": "data:image/png;base64,AAAA"}, "INVALID_IMAGE"),
        ({"model": name, "image": "é"}, "INVALID_IMAGE"),
        ({"model": name, "image": base64.b64encode(bomb.getvalue()).decode()}, "INVALID_IMAGE"),
        ({"model": name, "image": image, "params": {"marks": marks}}, "INFERENCE_ERROR"),
        ({"model": name, "image": image, "params": {"marks": [{}]}}, "INFERENCE_ERROR"),
    ):
        assert ask(bench, "/v1/predict", request).json()["error"]["code"] == code
    assert ask(bench, "/v1/predict", [1]).status_code == 400
    assert json.loads(ask(bench, "/health").text)["models_loaded"] == 1
