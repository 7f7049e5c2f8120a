"""SAM2AutomaticMaskGenerator: everything in a picture, without a prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.ops import rle
from sam2_mlx.ops.crops import crop_boxes, layer_grids, non_max_suppression, touches_crop
from sam2_mlx.ops.device import at_home
from sam2_mlx.ops.masks import Box, mask_boxes, remove_small_regions
from sam2_mlx.predictors.enlarged_masks import enlarge_masks
from sam2_mlx.predictors.enlarger import Enlarger
from sam2_mlx.predictors.found_masks import OUTPUT_MODES, FoundMasks, segmentation, to_xywh
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.predictors.look import Look, as_picture, encode_pictures, without_small_regions
from sam2_mlx.prompts import Prompt, whole_number

# Masks are enlarged to the picture's size a few at a time: this many logits at most.
_ENLARGED_AT_ONCE = 2**25
# More than a point for each cell of the finest features.
_MAX_SIDE = 512
_NUMBERS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "stability_score_offset",
    "mask_threshold",
    "box_nms_thresh",
    "crop_nms_thresh",
    "crop_overlap_ratio",
    "min_mask_region_area",
)
"""Options that are numbers, whole or not."""


@dataclass(frozen=True)
class PointMasks:
    """All masks of the first point, then of the second, ...; still on the device.

    Attributes:
        logits: float32 (N, S/4, S/4).
        iou: float32 (N,), predicted IoU.
        points: float32 (N, 2), the point of each mask, in pixels of the picture.
    """

    logits: mx.array
    iou: mx.array
    points: np.ndarray


class SAM2AutomaticMaskGenerator:
    """Segments everything: asks for masks on a grid of points and keeps the good, distinct ones.

    Args:
        model: the model, as `sam2_mlx.load` or `build_sam2` gives it, or a predictor that has one.
        points_per_side: the grid has its square of points; None if `point_grids` are given.
        points_per_batch: points that the decoder answers at once; memory grows with it.
        pred_iou_thresh: masks need a predicted IoU above it; 0 keeps all.
        stability_score_thresh: masks need this stability score at least; 0 keeps all.
        stability_score_offset: shift of the threshold that the stability score is measured with.
        mask_threshold: logits above it are the object.
        box_nms_thresh: of masks whose boxes have a higher IoU, the best stays.
        crop_n_layers: ask again on crops of the picture: 2x2 in the first layer, 4x4 in the next.
        crop_nms_thresh: as `box_nms_thresh`, between crops; the smaller crop's mask stays.
        crop_overlap_ratio: overlap of the first layer's crops, as a share of the shorter side.
        crop_n_points_downscale_factor: each layer's grid has this many times fewer points a side.
        point_grids: a grid for each layer, (N, 2) as (x, y) in [0, 1], in place of
            `points_per_side`.
        min_mask_region_area: holes and specks of at most this many low-resolution pixels (a
            quarter of the model input's side) are removed.
        output_mode: "binary_mask", "uncompressed_rle" or "coco_rle".
        use_m2m: refine each mask once by asking again with the mask itself.
        multimask_output: three masks a point instead of one.

    Attributes:
        predictor: an image predictor of the same model, for prompts of one's own.

    Raises:
        ValueError: on options that contradict each other or an unknown output mode.

    Source: sam2/automatic_mask_generator.py, SAM2AutomaticMaskGenerator.
    """

    def __init__(  # noqa: PLR0913 - the reference's arguments
        self,
        model: Any,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
    ) -> None:
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.mask_threshold = mask_threshold
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self.use_m2m = use_m2m
        self.multimask_output = multimask_output
        self._check()
        self.predictor = SAM2ImagePredictor(
            model, max_hole_area=min_mask_region_area, max_sprinkle_area=min_mask_region_area
        )
        self.model = self.predictor.model
        self.point_grids = _grids(
            points_per_side, point_grids, crop_n_layers, crop_n_points_downscale_factor
        )

    def _check(self) -> None:
        if self.output_mode not in OUTPUT_MODES:
            raise ValueError(
                f"output_mode is one of {', '.join(OUTPUT_MODES)}; got {self.output_mode!r}"
            )
        if self.points_per_batch < 1:
            raise ValueError(f"points_per_batch must be at least 1; got {self.points_per_batch}")
        for name in _NUMBERS:
            value = getattr(self, name)
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"{name} must be a number; got {value!r}")

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """Load a model by name, Hugging Face id or path.

        Args:
            model_id: such as "tiny", "facebook/sam2.1-hiera-tiny", a folder or a file.
            kwargs: `dtype`, `image_size`, and the options of this class.
        """
        from sam2_mlx.predictors.build_model import with_own_options

        return with_own_options(cls, model_id, kwargs)

    @at_home
    def generate(self, image: Any, upright: bool | None = None) -> list[dict[str, Any]]:
        """Find everything in a picture.

        Args:
            image: a picture, as for `SAM2ImagePredictor.set_image`.
            upright: likewise.

        Returns:
            One record a mask, the best first:
            `segmentation`: bool (H, W), or a record of run lengths, by `output_mode`;
            `area`: pixels of the mask;
            `bbox`: [x, y, width, height], width and height being those of the reference, that
            is one less than the number of columns and rows;
            `predicted_iou`: the model's own estimate of the mask's quality;
            `point_coords`: [[x, y]], the point that was asked for;
            `stability_score`: IoU of the mask at a higher and a lower threshold;
            `crop_box`: [x, y, width, height] of the crop that it was found in.

        Raises:
            TypeError, ValueError: if it is not a picture.
            FileNotFoundError: if the path does not exist.
        """
        picture = as_picture(image, upright)
        size = (picture.shape[0], picture.shape[1])
        crops, layers = crop_boxes(size, self.crop_n_layers, self.crop_overlap_ratio)
        parts = [
            self._masks_of_crop(picture, crop, self.point_grids[layer])
            for crop, layer in zip(crops, layers, strict=True)
        ]
        masks = FoundMasks.join(parts)
        if len(crops) > 1 and len(masks):
            x0, y0, x1, y1 = masks.crops.T
            smaller_first = 1 / ((x1 - x0) * (y1 - y0))
            masks = masks.take(
                non_max_suppression(masks.boxes, smaller_first, self.crop_nms_thresh)
            )
        return [masks.record(index, size, self.output_mode) for index in range(len(masks))]

    @staticmethod
    def postprocess_small_regions(
        records: Sequence[dict[str, Any]], min_area: float, nms_thresh: float = 0.7
    ) -> list[dict[str, Any]]:
        """Remove holes and islands from finished masks, and duplicates that this makes.

        Args:
            records: as `generate` returns them, in any output mode.
            min_area: regions of fewer pixels of the picture are removed.
            nms_thresh: of masks whose boxes have a higher IoU, one stays.

        Returns:
            Records in the same form; masks that needed no change come first.

        Source: SAM2AutomaticMaskGenerator.postprocess_small_regions.
        """
        cleaned = [_without_small_regions(record, min_area) for record in records]
        boxes = np.array([_to_corners(record["bbox"]) for record, _ in cleaned], np.float32)
        unchanged = np.array([not changed for _, changed in cleaned], np.float32)
        best = non_max_suppression(boxes, unchanged, nms_thresh)
        return [cleaned[index][0] for index in best]

    def _masks_of_crop(self, picture: np.ndarray, crop: Box, grid: np.ndarray) -> FoundMasks:
        """The masks of one crop, without duplicates among themselves."""
        x0, y0, x1, y1 = crop
        part = np.ascontiguousarray(picture[y0:y1, x0:x1])
        look = Look(self.model, part.shape[:2], encode_pictures(self.model, [part]))
        enlarger = Enlarger(*look.matrices)
        points = (grid * np.array([[x1 - x0, y1 - y0]])).astype(np.float32)
        size = (picture.shape[0], picture.shape[1])
        parts: list[FoundMasks] = []
        for batch in self._answers(look, points):
            parts.extend(self._good_masks(enlarger, batch, crop, size))
        masks = FoundMasks.join(parts)
        return masks.take(non_max_suppression(masks.boxes, masks.iou, self.box_nms_thresh))

    def _answers(self, look: Look, points: np.ndarray) -> Iterator[PointMasks]:
        """The masks of the points (N, 2), in pixels of the crop, one batch after the other.

        Each next batch is under way while the caller works on the one before.
        """
        before = None
        for start in range(0, len(points), self.points_per_batch):
            batch = points[start : start + self.points_per_batch]
            masks = masks_of_points(look, batch, self.multimask_output)
            if self.use_m2m:
                masks = self._refined(look, masks)
            mx.async_eval(masks.logits, masks.iou)
            if before is not None:
                yield before
            before = masks
        if before is not None:
            yield before

    def _refined(self, look: Look, masks: PointMasks) -> PointMasks:
        """Each mask asked for again, with the mask itself as a prompt."""
        logits = self.model.mask_decoder.limited(masks.logits)[:, None]
        parts: list[PointMasks] = []
        for start in range(0, len(masks.points), self.points_per_batch):
            part = slice(start, start + self.points_per_batch)
            refined = masks_of_points(look, masks.points[part], False, logits[part])
            # One at a time: together their activations would not fit.
            mx.eval(refined.logits, refined.iou)
            parts.append(refined)
        return PointMasks(
            mx.concatenate([part.logits for part in parts]),
            mx.concatenate([part.iou for part in parts]),
            masks.points,
        )

    def _good_masks(
        self, enlarger: Enlarger, batch: PointMasks, crop: Box, size: tuple[int, int]
    ) -> Iterator[FoundMasks]:
        """The masks of a batch that pass every filter, a few at a time."""
        passed = np.arange(len(batch.points))
        iou = np.array(batch.iou)
        if self.pred_iou_thresh > 0:
            passed = passed[iou > self.pred_iou_thresh]
        if not len(passed):
            return
        area, threshold = self.min_mask_region_area, self.mask_threshold
        logits = without_small_regions(batch.logits[mx.array(passed)], area, area)
        offset = self.stability_score_offset
        for part in enlarge_masks(enlarger, logits, threshold, offset, _ENLARGED_AT_ONCE):
            if self.stability_score_thresh > 0:
                stable = part.stability >= self.stability_score_thresh
                part = part.take(np.flatnonzero(stable))
            boxes = part.boxes()
            inside = np.flatnonzero(~touches_crop(boxes, crop, size))
            # Only masks that stay leave the device.
            chosen, boxes = part.take(inside), boxes[inside]
            index = passed[chosen.index]
            yield FoundMasks(
                chosen.counts(crop, size),
                (boxes + np.array([*crop[:2], *crop[:2]])).astype(np.float32),
                iou[index],
                chosen.stability,
                batch.points[index] + np.array(crop[:2], np.float32),
                np.tile(np.array(crop, np.float32), (len(index), 1)),
            )


def masks_of_points(
    look: Look, points: np.ndarray, multimask: bool, earlier: mx.array | None = None
) -> PointMasks:
    """Ask for the masks of single points on an object; nothing is computed yet.

    Args:
        look: the picture.
        points: float32 (B, 2) as (x, y) in its pixels.
        multimask: three masks a point instead of one.
        earlier: float32 (B, 1, S/4, S/4), an earlier answer to each, or None.
    """
    labels = np.ones((len(points), 1), np.int32)
    prompt = Prompt.from_points(points[:, None], labels, size=look.size)
    answer = look.answer(replace(prompt, logits=earlier), multimask)
    return PointMasks(
        answer.logits.flatten(0, 1),
        answer.iou.flatten(),
        np.repeat(points, answer.iou.shape[1], axis=0),
    )


def _grids(
    side: int | None, grids: Sequence[np.ndarray] | None, layers: int, downscale: int
) -> list[np.ndarray]:
    if (side is None) == (grids is None):
        raise ValueError("give points_per_side or point_grids, and None for the other")
    if grids is None:
        side = whole_number("points_per_side", side)
        if side > _MAX_SIDE:
            raise ValueError(f"points_per_side must be at most {_MAX_SIDE}; got {side}")
        return layer_grids(side, whole_number("crop_n_layers", layers), downscale)
    layered = [np.asarray(grid, np.float64) for grid in grids]
    for grid in layered:
        if grid.ndim != 2 or grid.shape[1] != 2:
            raise ValueError(f"a grid of points needs shape (N, 2); got {grid.shape}")
    if len(layered) <= layers:
        raise ValueError(
            f"need a grid of points for the picture and each layer of crops, {layers + 1} in all; "
            f"got {len(layered)}"
        )
    return layered


def _without_small_regions(record: dict[str, Any], area: float) -> tuple[dict[str, Any], bool]:
    form, mode = record["segmentation"], "binary_mask"
    if isinstance(form, dict):
        mode = "coco_rle" if isinstance(form["counts"], (str, bytes)) else "uncompressed_rle"
    mask = rle.decode(form) if isinstance(form, dict) else np.asarray(form, bool)
    mask, filled = remove_small_regions(mask, area, "holes")
    mask, removed = remove_small_regions(mask, area, "islands")
    if not filled and not removed:
        return record, False
    counts = rle.mask_to_counts(mask)
    size = (mask.shape[0], mask.shape[1])
    box = np.array(mask_boxes(mx.array(mask[None])))[0]
    changed = {
        "segmentation": segmentation(counts, size, mode),
        "area": int(counts[1::2].sum()),
        "bbox": to_xywh(box),
    }
    return {**record, **changed}, True


def _to_corners(bbox: Sequence[float]) -> list[float]:
    x, y, width, height = bbox
    return [x, y, x + width, y + height]
