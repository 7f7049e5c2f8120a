"""Methods for single pictures: thin over the image predictor and the mask generator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam2_mlx.apps.fields import Refusal, flag, integer, number, part, path_name
from sam2_mlx.apps.serving.conversation import Answer, Conversation, Picture
from sam2_mlx.apps.serving.masks import MASKS, MaskForm, encode_planes
from sam2_mlx.apps.serving.messages import Blob
from sam2_mlx.apps.serving.method import NUMBER, Engine, method
from sam2_mlx.apps.serving.pixels import PIXELS, PixelLayout
from sam2_mlx.apps.serving.video_methods import FRAME, POINTED, Pointed
from sam2_mlx.media.reader import load_picture
from sam2_mlx.ops import rle
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip that is open.

    Attributes:
        session: the clip's number.
        frame: the frame's.
    """

    session: int
    frame: int


@method(
    session=NUMBER.otherwise(),
    path=path_name().otherwise(),
    pixels=PIXELS.otherwise(),
    clip=part(ClipFrame, session=NUMBER, frame=FRAME).otherwise(),
)
def set_picture(
    engine: Engine,
    app: Conversation,
    blob: Blob,
    session: int | None,
    path: str | None,
    pixels: PixelLayout | None,
    clip: ClipFrame | None,
) -> Answer:
    """Encode a picture; a session that is named shows it from now on."""
    if sum(one is not None for one in (path, pixels, clip)) != 1:
        raise Refusal("bad_request", "give a picture by path, by pixels or by clip, one of them")
    if path is not None:
        image = load_picture(path)
    elif pixels is not None:
        image = app.image(pixels, blob)
    else:
        assert clip is not None
        image = _frame(app, clip)
    predictor = SAM2ImagePredictor(engine.loaded())
    predictor.set_image(image)
    picture = Picture(predictor, image)
    if session is None:
        session = app.add(picture)
    else:
        app.picture(session)
        app.sessions[session] = picture
    return {"session": session, "width": image.shape[1], "height": image.shape[0]}, b""


def _frame(app: Conversation, clip: ClipFrame) -> np.ndarray:
    frames = app.video(clip.session).viewer
    if frames is None:
        raise Refusal("bad_state", "a stream keeps no frames; give the picture by pixels")
    return frames.image(clip.frame)


@method(
    session=NUMBER,
    prompt=POINTED,
    multimask=flag().otherwise(True),
    refine=integer(0, 2).otherwise(),
    masks=MASKS,
)
def predict(
    engine: Engine,
    app: Conversation,
    session: int,
    prompt: Pointed,
    multimask: bool,
    refine: int | None,
    masks: MaskForm,
) -> Answer:
    """Masks for a prompt on a picture; `refine` goes on from a mask of the last answer."""
    picture = app.picture(session)
    if prompt.mask is not None or prompt.keep_points:
        raise Refusal("bad_request", "a picture is prompted with points and a box; see refine")
    previous = None
    if refine is not None:
        if picture.logits is None or refine >= len(picture.logits):
            raise Refusal("bad_state", f"the last answer has no mask {refine} to refine")
        previous = picture.logits[refine : refine + 1]
    enlarged, iou, logits = picture.predictor.predict(
        prompt.points, prompt.all_labels, prompt.box, previous, multimask
    )
    picture.logits = logits
    entries = [{"object": place, "iou": round(float(one), 4)} for place, one in enumerate(iou)]
    return _deliver(app, picture.image.shape[:2], entries, list(enlarged > 0), masks)


_OPTIONS = part(
    dict,
    points_per_side=integer(1, 256).otherwise(),
    points_per_batch=integer(1, 1024).otherwise(),
    pred_iou_thresh=number(0, 1).otherwise(),
    stability_score_thresh=number(0, 1).otherwise(),
    box_nms_thresh=number(0, 1).otherwise(),
    crop_n_layers=integer(0, 3).otherwise(),
    min_mask_region_area=integer(0, 2**31).otherwise(),
)


@method(
    session=NUMBER,
    frame=integer(0, 2**31).otherwise(),
    options=_OPTIONS.otherwise(),
    masks=MASKS,
)
def everything(
    engine: Engine,
    app: Conversation,
    session: int,
    frame: int | None,
    options: dict[str, Any] | None,
    masks: MaskForm,
) -> Answer:
    """Masks of everything in a picture, or on a frame of a clip, the best first."""
    if frame is None:
        picture = app.picture(session)
        image, model = picture.image, picture.predictor.model
    else:
        tracking = app.video(session).tracking
        if tracking.source is None:
            raise Refusal("bad_state", "a stream has no frames to go back to; use set_picture")
        image, model = tracking.source.read(frame), tracking.model
    chosen = {name: value for name, value in (options or {}).items() if value is not None}
    # Run lengths: hundreds of masks of a large picture would fill the memory.
    generator = SAM2AutomaticMaskGenerator(model, output_mode="uncompressed_rle", **chosen)
    records = generator.generate(image)
    entries = [
        {
            "object": place,
            "iou": round(float(one["predicted_iou"]), 4),
            "stability": round(float(one["stability_score"]), 4),
        }
        for place, one in enumerate(records)
    ]
    planes = (rle.decode(one["segmentation"]) for one in records)
    return _deliver(app, image.shape[:2], entries, planes, masks)


def _deliver(
    app: Conversation,
    size: tuple[int, ...],
    entries: list[dict[str, Any]],
    planes: Iterable[np.ndarray],
    form: MaskForm,
) -> Answer:
    if form.encoding == "low8":
        raise Refusal("mask_encoding", "low8 is for videos; ask for another encoding")
    extents, data = encode_planes(planes, form.encoding)
    height, width = size
    facts = {
        "encoding": form.encoding,
        "width": width,
        "height": height,
        "objects": [{**entry, **extent} for entry, extent in zip(entries, extents, strict=True)],
    }
    return app.deliver(facts, data, form)
