"""SAM2ImagePredictor: the reference's methods for single images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.regions import fill_holes, remove_sprinkles
from sam2_mlx.transforms import Framing

_Prediction = tuple[np.ndarray, np.ndarray, np.ndarray]
_FILL_MARGIN = 10.0


class SAM2ImagePredictor:
    """Encodes a picture once and answers any number of prompts on it.

    Args:
        sam_model: the model, as `sam2_mlx.load` or `build_sam2` gives it.
        mask_threshold: logits above it are the object.
        max_hole_area: background regions of at most this many low-resolution pixels are filled.
        max_sprinkle_area: foreground regions of at most this many are removed.

    Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor.
    """

    def __init__(
        self,
        sam_model: Sam,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> None:
        self.model = sam_model
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self._features: ImageFeatures | None = None
        self._framings: list[Framing] = []
        self._is_batch = False

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:
        """Load a model by name, Hugging Face id or path.

        Args:
            model_id: such as "tiny", "facebook/sam2.1-hiera-tiny", a folder or a file.
            kwargs: `dtype`, `image_size`, and the options of this class.

        Returns:
            A predictor.
        """
        from sam2_mlx.predictors.build_sam import build_sam2

        own = ("mask_threshold", "max_hole_area", "max_sprinkle_area")
        options = {key: kwargs.pop(key) for key in own if key in kwargs}
        return cls(build_sam2(None, model_id, **kwargs), **options)

    def set_image(self, image: Any) -> None:
        """Encode a picture; prompts refer to it from now on.

        Args:
            image: uint8 (H, W, 3) RGB array, a PIL image, or the path of a picture.

        Raises:
            TypeError, ValueError: if it is not a picture.
            FileNotFoundError: if the path does not exist.
        """
        self.set_image_batch([image])
        self._is_batch = False

    def set_image_batch(self, image_list: Sequence[Any]) -> None:
        """Encode several pictures, of any sizes, for `predict_batch`.

        Args:
            image_list: pictures as for `set_image`.

        Raises:
            TypeError, ValueError: if one is not a picture, or the list is empty.
        """
        if not isinstance(image_list, Sequence) or len(image_list) == 0:
            raise ValueError("set_image_batch needs a list of at least one picture")
        self.reset_predictor()
        pictures = [_as_picture(image) for image in image_list]
        framings = [Framing.of(picture, self.model.config) for picture in pictures]
        pairs = zip(framings, pictures, strict=True)
        pixels = [framing.pixels(picture, self.model.dtype) for framing, picture in pairs]
        features = self.model.encode_image(mx.concatenate(pixels))
        coarse = features.coarse
        if self.model.memory is not None:
            # Single images are frames without a past.
            coarse = self.model.memory.without_memory(coarse)
        self._features = ImageFeatures(coarse, features.fine)
        mx.eval(self._features.arrays())
        self._framings = framings
        self._is_batch = True

    def predict(  # noqa: PLR0913 - the reference's arguments
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> _Prediction:
        """Predict masks for a prompt on the picture.

        Args:
            point_coords: (N, 2) as (x, y) in pixels, or (B, N, 2) for B objects at once.
            point_labels: (N,) or (B, N): 1 on the object, 0 not on it.
            box: (4,) as (x0, y0, x1, y1) in pixels, or (B, 4) for B objects at once.
            mask_input: (1, S/4, S/4) logits of an earlier prediction, or (B, 1, S/4, S/4).
            multimask_output: three masks for an ambiguous prompt instead of one.
            return_logits: logits instead of a binary mask.
            normalize_coords: coordinates are pixels; else fractions of the picture's size.

        Returns:
            masks: (C, H, W) bool, or float32 logits; (B, C, H, W) for several objects.
            iou: float32 (C,) predicted IoU, or (B, C).
            low_res: float32 (C, S/4, S/4) logits within +-32 (as they are from a first SAM), or
                (B, C, S/4, S/4).

        Raises:
            RuntimeError: if no picture was set.
            ValueError: on malformed prompts.
        """
        self._require(batch=False)
        prompt = _Prompt(point_coords, point_labels, box, mask_input)
        return self._predict(prompt, multimask_output, return_logits, normalize_coords, 0)

    def predict_batch(  # noqa: PLR0913 - the reference's arguments
        self,
        point_coords_batch: Sequence[Any] | None = None,
        point_labels_batch: Sequence[Any] | None = None,
        box_batch: Sequence[Any] | None = None,
        mask_input_batch: Sequence[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Predict masks on every picture of a batch.

        Args:
            point_coords_batch: one `point_coords` a picture.
            point_labels_batch: one `point_labels` a picture.
            box_batch: one `box` a picture.
            mask_input_batch: one `mask_input` a picture.
            multimask_output: as in `predict`.
            return_logits: as in `predict`.
            normalize_coords: as in `predict`.

        Returns:
            Lists of masks, predicted IoUs and low-resolution logits, one entry a picture.

        Raises:
            RuntimeError: if no batch was set.
            ValueError: on malformed prompts, or another number of prompts than pictures.
        """
        self._require(batch=True)
        given = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        for values in given:
            if values is not None and len(values) != len(self._framings):
                raise ValueError(
                    f"need one prompt a picture; got {len(values)} for "
                    f"{len(self._framings)} pictures"
                )
        results = []
        for index in range(len(self._framings)):
            prompt = _Prompt(*(None if values is None else values[index] for values in given))
            results.append(
                self._predict(prompt, multimask_output, return_logits, normalize_coords, index)
            )
        masks, ious, low = zip(*results, strict=True)
        return list(masks), list(ious), list(low)

    def get_image_embedding(self) -> mx.array:
        """The image embedding, (B, S/16, S/16, C), channels last.

        Raises:
            RuntimeError: if no picture was set.
        """
        if self._features is None:
            raise RuntimeError("no picture yet: call set_image(...) first")
        return self._features.coarse

    def reset_predictor(self) -> None:
        """Forget the picture."""
        self._features, self._framings, self._is_batch = None, [], False

    def _require(self, batch: bool) -> None:
        if self._features is None:
            name = "set_image_batch" if batch else "set_image"
            raise RuntimeError(f"no picture yet: call {name}(...) first")
        if batch and not self._is_batch:
            raise RuntimeError("predict_batch follows set_image_batch(...); use predict instead")
        if not batch and self._is_batch and len(self._framings) > 1:
            raise RuntimeError("predict follows set_image(...); use predict_batch instead")

    def _predict(
        self, prompt: _Prompt, multimask: bool, logits_wanted: bool, pixels: bool, index: int
    ) -> _Prediction:
        assert self._features is not None
        features, framing = self._features[index], self._framings[index]
        model = self.model
        coords, labels = prompt.points(framing, pixels)
        masks_in = prompt.mask(model.config.mask_size)
        if coords is not None and labels is not None:
            padded = model.config.pad_boxes or not prompt.has_box
            tokens = model.prompt_encoder.points(mx.array(coords), mx.array(labels), padded)
        else:
            batch = 1 if masks_in is None else masks_in.shape[0]
            tokens = mx.zeros((batch, 0, model.config.hidden_dim), model.dtype)
        candidates = model.decode_masks(features.coarse, features.fine, tokens, masks_in)
        decoder = model.mask_decoder
        chosen = decoder.multimask(candidates) if multimask else decoder.single(candidates)
        low = chosen.logits.astype(mx.float32)
        rows, columns = framing.mask_matrices(low.shape[-1])
        masks = rows @ self._without_small_regions(low) @ columns.T
        if not logits_wanted:
            masks = masks > self.mask_threshold
        results = (masks, chosen.iou.astype(mx.float32), decoder.limited(low))
        mx.eval(results)
        arrays = [np.array(result) for result in results]
        # One object comes without the batch axis, as in the reference.
        squeezed = [array[0] if array.shape[0] == 1 else array for array in arrays]
        return squeezed[0], squeezed[1], squeezed[2]

    def _without_small_regions(self, low: mx.array) -> mx.array:
        if self.max_hole_area <= 0 and self.max_sprinkle_area <= 0:
            return low
        threshold, logits = self.mask_threshold, np.array(low)
        if self.max_hole_area > 0:
            fill_holes(logits, self.max_hole_area, threshold + _FILL_MARGIN, threshold)
        if self.max_sprinkle_area > 0:
            value = threshold - _FILL_MARGIN
            remove_sprinkles(logits, self.max_sprinkle_area, value, threshold)
        return mx.array(logits)


class _Prompt:
    """Raw prompts of one picture, checked when they are turned into model coordinates."""

    def __init__(self, coords: Any, labels: Any, box: Any, mask: Any) -> None:
        if (coords is None) != (labels is None):
            raise ValueError("point_coords and point_labels belong together; got only one of them")
        self._coords = None if coords is None else np.asarray(coords, np.float32)
        self._labels = None if labels is None else np.asarray(labels).astype(np.int32)
        self._box = None if box is None else np.asarray(box, np.float32)
        self._mask = None if mask is None else np.asarray(mask, np.float32)
        self._check()

    def _check(self) -> None:
        if self._coords is not None and self._labels is not None:
            if self._coords.ndim == 2:
                self._coords, self._labels = self._coords[None], self._labels[None]
            shape = self._coords.shape
            if len(shape) != 3 or shape[2] != 2 or self._labels.shape != shape[:2]:
                raise ValueError(
                    "points need shape (N, 2) with labels (N,), or (B, N, 2) with (B, N); "
                    f"got points {shape} and labels {self._labels.shape}"
                )
        if self._box is not None and (self._box.size == 0 or self._box.shape[-1] != 4):
            raise ValueError(
                "box needs 4 numbers (x0, y0, x1, y1) in pixels, or shape (B, 4); "
                f"got shape {self._box.shape}"
            )
        for values in (self._coords, self._box, self._mask):
            if values is not None and not np.isfinite(values).all():
                raise ValueError("prompts must be finite numbers; got NaN or infinity")

    @property
    def has_box(self) -> bool:
        """Whether there is a box."""
        return self._box is not None

    def points(
        self, framing: Framing, in_pixels: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Points and boxes as (B, P, 2) in model pixels and their labels (B, P)."""
        coords, labels = self._coords, self._labels
        if self._box is not None:
            corners = self._box.reshape(-1, 2, 2)
            kinds = np.tile(np.array([[2, 3]], np.int32), (len(corners), 1))
            if coords is None or labels is None:
                coords, labels = corners, kinds
            elif len(coords) != len(corners):
                raise ValueError(
                    f"need as many boxes as sets of points; got {len(corners)} and {len(coords)}"
                )
            else:
                coords = np.concatenate([corners, coords], axis=1)
                labels = np.concatenate([kinds, labels], axis=1)
        if coords is None:
            return None, None
        return framing.coords(coords, in_pixels), labels

    def mask(self, side: int) -> mx.array | None:
        """The mask prompt as (B, 1, side, side)."""
        if self._mask is None:
            return None
        mask = self._mask[None] if self._mask.ndim == 3 else self._mask
        if mask.ndim != 4 or mask.shape[1:] != (1, side, side):
            raise ValueError(
                f"mask_input needs shape (1, {side}, {side}), the low-resolution logits of an "
                f"earlier prediction; got {self._mask.shape}"
            )
        return mx.array(mask)


def _as_picture(image: Any) -> np.ndarray:
    if isinstance(image, np.ndarray):
        from sam2_mlx.transforms import check_picture

        return check_picture(image)
    from sam2_mlx.media.reader import load_picture

    return load_picture(image)
