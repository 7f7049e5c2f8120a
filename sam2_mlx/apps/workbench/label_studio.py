"""Label Studio's routes for backends: a brush on pictures, boxes through videos."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.access import Access
from sam2_mlx.apps.workbench.brush_rle import brush_rle
from sam2_mlx.apps.workbench.inside import InsideApp

_MAX_CONFIG = 2**18
_TRACKING_SECONDS = 60.0
"""Label Studio waits for 100 seconds."""

_DEFAULT_LABEL = "object"


@dataclass(frozen=True)
class Control:
    """A tag of a project's configuration that draws on a picture or a video.

    Attributes:
        tag: `BrushLabels` or `VideoRectangle`.
        name: its name.
        target: the name of the picture or the video.
        key: under which a task has its address.
    """

    tag: str
    name: str
    target: str
    key: str

    @classmethod
    def read(cls, config: str) -> Control:
        """The first tag of a configuration that can be answered.

        Raises:
            Refusal: `bad_request` if there is none.
        """
        if len(config) > _MAX_CONFIG or "<!" in config.replace("<!--", ""):
            raise Refusal("bad_request", "the labelling configuration is too long, or has entities")
        try:
            tags = list(ElementTree.fromstring(config).iter())
        except ElementTree.ParseError as problem:
            raise Refusal("bad_request", f"the labelling configuration: {problem}") from problem
        keys = {tag.get("name"): (tag.get("value") or "").lstrip("$") for tag in tags}
        for tag in tags:
            if tag.tag in ("BrushLabels", "VideoRectangle") and keys.get(tag.get("toName")):
                target = str(tag.get("toName"))
                return cls(tag.tag, str(tag.get("name")), target, keys[target])
        raise Refusal("bad_request", "needs BrushLabels on an Image, or VideoRectangle on a Video")


class LabelStudio:
    """Answers Label Studio.

    Args:
        app: speaks to the worker.
        access: which files may be read; addresses are looked for in its folders.
    """

    def __init__(self, app: InsideApp, access: Access) -> None:
        self._app = app
        self._access = access

    @property
    def version(self) -> str:
        """The name of the model."""
        model = self._app.call("hello", protocol=1)[0]["model"]
        return f"sam2_mlx {model['name']}" if model else "sam2_mlx"

    def health(self) -> dict[str, Any]:
        """That there is somebody."""
        return {"status": "UP", "model_class": "sam2_mlx"}

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        """A project's configuration fits, and the model's name."""
        Control.read(str(request.get("schema") or ""))
        return {"model_version": self.version}

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Masks for clicks and boxes on a picture; boxes of a video for those drawn on it.

        Raises:
            Refusal: for what cannot be answered.
        """
        context = (request.get("params") or {}).get("context") or {}
        drawn = context.get("result") or []
        tasks = request.get("tasks") or []
        results = []
        if drawn and tasks:
            control = Control.read(str(request.get("label_config") or ""))
            path = self._file(str(tasks[0]["data"][control.key]))
            answer = self._brush if control.tag == "BrushLabels" else self._boxes
            results = [answer(control, path, drawn)]
        version = self.version
        return {
            "results": [{**one, "model_version": version} for one in results],
            "model_version": version,
        }

    def _file(self, address: str) -> str:
        """The file behind an address of Label Studio: `/data/local-files/?d=...` and its like."""
        parts = urlsplit(address)
        if parts.scheme not in ("", "file"):
            raise Refusal("forbidden", f"{address} is on a network; use local files")
        place = parse_qs(parts.query).get("d", [parts.path])[0]
        place = place.removeprefix("/data/")
        for root in self._access.roots:
            if (root / place).is_file():
                return self._access.read(str(root / place))
        return self._access.read(place)

    def _brush(self, control: Control, path: str, drawn: list[dict[str, Any]]) -> dict[str, Any]:
        with self._app.turn:
            session = self._app.picture(path, path=path)
            size = session["width"], session["height"]
            prompt = _picture_prompt(drawn, size)
            plane, iou = self._app.best_mask(session, prompt)
        runs = brush_rle(plane > 0)
        value = {"format": "rle", "rle": runs, "brushlabels": [_label(drawn[0])]}
        result = {
            "id": f"{drawn[0].get('id', 'mask')}-brush",
            "from_name": control.name,
            "to_name": control.target,
            "type": "brushlabels",
            "original_width": size[0],
            "original_height": size[1],
            "image_rotation": 0,
            "value": value,
            "score": iou,
        }
        return {"result": [result], "score": iou}

    def _boxes(self, control: Control, path: str, drawn: list[dict[str, Any]]) -> dict[str, Any]:
        with self._app.turn:
            facts, _ = self._app.call("open", path=path)
            session = facts["session"]
            try:
                return self._follow(control, facts, drawn)
            finally:
                self._app.call("close", session=session)

    def _follow(
        self, control: Control, facts: dict[str, Any], drawn: list[dict[str, Any]]
    ) -> dict[str, Any]:
        session, size = facts["session"], (facts["width"], facts["height"])
        rate = facts["frame_rate"][0] / facts["frame_rate"][1]
        keys: dict[int, list[dict[str, Any]]] = {}
        for number, one in enumerate(drawn, 1):
            keys[number] = sorted(one["value"]["sequence"], key=lambda key: int(key["frame"]))
            for key in keys[number]:
                fields: dict[str, Any] = {"object": number, "frame": int(key["frame"]) - 1}
                prompt = {"box": _box(key, size)}
                self._app.call("prompt", session=session, prompt=prompt, **fields)
        boxes: dict[int, list[dict[str, Any]]] = {number: [] for number in keys}
        scores = []
        for event in self._events(session):
            for one in event["objects"]:
                drawn_on = {int(key["frame"]) - 1 for key in keys[one["object"]]}
                if event["frame"] not in drawn_on and event["frame"] > min(drawn_on):
                    boxes[one["object"]].append(_key(event["frame"], one, size, rate))
                    scores.append(one["iou"])
        results = []
        for number, one in enumerate(drawn, 1):
            sequence = sorted([*keys[number], *boxes[number]], key=lambda key: int(key["frame"]))
            value = {**one["value"], "sequence": sequence}
            value |= {"framesCount": facts["frames"], "duration": facts["frames"] / rate}
            where = {"from_name": control.name, "to_name": control.target}
            kind = {"id": one.get("id", str(number)), "type": "videorectangle"}
            results.append({**kind, **where, "value": value})
        return {"result": results, "score": float(np.mean(scores)) if scores else 0.0}

    def _events(self, session: int) -> Iterator[dict[str, Any]]:
        fields: dict[str, Any] = {"job": 0, "credit": 10**6, "masks": {"encoding": "rle"}}
        events = self._app.follow("propagate", seconds=_TRACKING_SECONDS, session=session, **fields)
        return (facts for facts, _ in events if "event" in facts)


def _picture_prompt(drawn: list[dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """Clicks and the last box, as the worker takes them."""
    prompt: dict[str, Any] = {"points": [], "labels": []}
    for one in drawn:
        value = one["value"]
        if one["type"].startswith("keypoint"):
            prompt["points"].append([value["x"] * size[0] / 100, value["y"] * size[1] / 100])
            prompt["labels"].append(int(one.get("is_positive", 1)))
        elif one["type"].startswith("rectangle"):
            prompt["box"] = _box(value, size)
    if not prompt["points"]:
        del prompt["points"], prompt["labels"]
    if not prompt:
        raise Refusal("bad_request", "nothing was drawn that is a point or a box")
    return prompt


def _box(value: dict[str, Any], size: tuple[int, int]) -> list[float]:
    """Pixels of what Label Studio has in percent."""
    left, top = value["x"] * size[0] / 100, value["y"] * size[1] / 100
    right, bottom = left + value["width"] * size[0] / 100, top + value["height"] * size[1] / 100
    return [left, top, right, bottom]


def _key(frame: int, one: dict[str, Any], size: tuple[int, int], rate: float) -> dict[str, Any]:
    """The box of an object on a frame; an object that is not there is switched off."""
    x0, y0, x1, y1 = one["box"]
    return {
        "frame": frame + 1,
        "enabled": one["area"] > 0,
        "rotation": 0,
        "x": 100 * x0 / size[0],
        "y": 100 * y0 / size[1],
        "width": 100 * (x1 - x0) / size[0],
        "height": 100 * (y1 - y0) / size[1],
        "time": round(frame / rate, 6),
    }


def _label(one: dict[str, Any]) -> str:
    """The label that something was drawn with."""
    labels = one["value"].get(one["type"])
    return str(labels[0]) if isinstance(labels, list) and labels else _DEFAULT_LABEL
