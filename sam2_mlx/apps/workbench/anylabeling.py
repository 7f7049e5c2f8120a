"""The routes of X-AnyLabeling-Server: clicks and boxes on a picture that is sent along."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
from PIL import Image

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.workbench.inside import InsideApp
from sam2_mlx.media.frame_source import MAX_PIXELS
from sam2_mlx.media.pictures import DAMAGE, load_picture, quiet

MODEL = "sam2_mlx"
_FINENESS = 0.001
"""Of the outline's length: how far a simpler outline may be off."""

# What the program sends. Of others some would start programs to be read.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")

_WIDGETS = (
    "add_point",
    "add_neg_point",
    "add_pos_rect",
    "button_run",
    "button_clear",
    "button_finish_object",
    "mask_fineness_slider",
    "mask_fineness_value_label",
)


class AnyLabeling:
    """Answers X-AnyLabeling.

    Args:
        app: speaks to the worker.
    """

    def __init__(self, app: InsideApp) -> None:
        self._app = app

    def health(self) -> dict[str, Any]:
        """That there is somebody."""
        now = datetime.now(timezone.utc).isoformat()
        return {"status": "healthy", "models_loaded": 1, "timestamp": now}

    def models(self) -> dict[str, Any]:
        """The one model, and what the program shows for it."""
        facts = self._app.call("hello", protocol=1)[0]["model"]
        name = facts["name"] if facts else "no model"
        widgets = [{"name": one, "value": None} for one in _WIDGETS]
        about = {"display_name": f"sam2_mlx {name}", "widgets": widgets, "params": facts or {}}
        # A picture without marks has nothing to say, so a folder cannot be run through.
        return {"success": True, "data": {MODEL: {**about, "batch_processing_mode": None}}}

    def info(self, model: str) -> dict[str, Any]:
        """More of one model."""
        if model != MODEL:
            return _failed("MODEL_NOT_FOUND", f"there is {MODEL} only")
        return {"success": True, "data": {"model_id": MODEL, **self.models()["data"][MODEL]}}

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """The outline of what the marks are on."""
        if request.get("model") != MODEL:
            return _failed("MODEL_NOT_FOUND", f"there is {MODEL} only")
        try:
            data = _bytes_of(str(request.get("image") or ""))
            image = _decoded(data)
        except (*DAMAGE, Image.DecompressionBombError) as problem:
            return _failed("INVALID_IMAGE", str(problem))
        params = request.get("params") or {}
        try:
            shapes = self._shapes(hashlib.sha256(data).hexdigest(), image, params)
        except (Refusal, KeyError, TypeError, ValueError) as problem:
            return _failed("INFERENCE_ERROR", str(problem))
        # The outline is that of all marks so far.
        return {"success": True, "data": {"shapes": shapes, "description": "", "replace": True}}

    def _shapes(self, key: str, image: np.ndarray, params: dict[str, Any]) -> list[dict[str, Any]]:
        prompt = _prompt(params.get("marks") or [])
        if not prompt:
            return []
        height, width = image.shape[:2]
        layout = {"format": "RGB", "width": width, "height": height, "stride": 3 * width}
        with self._app.turn:
            facts = self._app.picture(key, image.tobytes(), pixels=layout)
            plane, iou = self._app.best_mask(facts, prompt)
        fineness = float(params.get("epsilon_factor", _FINENESS))
        rings = _rings(plane, fineness)
        shape = {"label": "AUTOLABEL_OBJECT", "shape_type": "polygon", "score": iou}
        return [{**shape, "points": ring} for ring in rings]


def _bytes_of(text: str) -> bytes:
    """The bytes of a data address, or of base64 alone."""
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)
    except binascii.Error as problem:
        raise ValueError(f"the picture is not base64: {problem}") from problem


def _decoded(data: bytes) -> np.ndarray:
    with quiet():
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it has {image.width}x{image.height} pixels; make it smaller")
        return load_picture(image)


def _prompt(marks: list[dict[str, Any]]) -> dict[str, Any]:
    """Points and the last box, as the worker takes them."""
    points = [mark for mark in marks if mark["type"] == "point"]
    boxes = [mark["data"] for mark in marks if mark["type"] == "rectangle"]
    prompt: dict[str, Any] = {}
    if points:
        prompt["points"] = [mark["data"] for mark in points]
        prompt["labels"] = [int(mark.get("label", 1)) for mark in points]
    if boxes:
        x0, y0, x1, y1 = boxes[-1]
        prompt["box"] = [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]
    return prompt


def _rings(plane: np.ndarray, fineness: float) -> list[list[list[float]]]:
    """The outer borders of a mask, closed: the first point comes again as the last one."""
    rings, _ = cv2.findContours(plane, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = []
    for ring in rings:
        simple = cv2.approxPolyDP(ring, fineness * cv2.arcLength(ring, True), True).reshape(-1, 2)
        if len(simple) > 2:
            points = [[float(x), float(y)] for x, y in simple]
            outlines.append([*points, points[0]])
    return outlines


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message}}
