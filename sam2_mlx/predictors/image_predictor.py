"""SAM2ImagePredictor: the reference's methods for single images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.media.pictures import load_picture
from sam2_mlx.model.sam import Sam
from sam2_mlx.predictors.look import Look, without_small_regions
from sam2_mlx.prompts import Prompt

_Prediction = tuple[np.ndarray, np.ndarray, np.ndarray]


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
        self._looks: list[Look] = []
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
            image: uint8 (H, W, 3) RGB array, a PIL image, or the path of a picture; grey arrays,
                arrays with alpha, and uint16 are taken too.

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
        self._looks = Look.at(self.model, *(load_picture(image) for image in image_list))
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
            ValueError: on malformed or impossible prompts; see `Prompt.from_points`.
        """
        self._require(batch=False)
        prompt = self._prompt(
            self._looks[0], point_coords, point_labels, box, mask_input, normalize_coords
        )
        return self._answer(self._looks[0], prompt, multimask_output, return_logits)

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
        count = len(self._looks)
        columns = []
        for values in (point_coords_batch, point_labels_batch, box_batch, mask_input_batch):
            if values is not None and len(values) != count:
                raise ValueError(
                    f"need one prompt a picture; got {len(values)} for {count} pictures"
                )
            columns.append([None] * count if values is None else values)
        results = []
        for look, coords, labels, box, logits in zip(self._looks, *columns, strict=True):
            prompt = self._prompt(look, coords, labels, box, logits, normalize_coords)
            results.append(self._answer(look, prompt, multimask_output, return_logits))
        masks, ious, low = zip(*results, strict=True)
        return list(masks), list(ious), list(low)

    def get_image_embedding(self) -> mx.array:
        """The image embedding, (B, S/16, S/16, C), channels last.

        Raises:
            RuntimeError: if no picture was set.
        """
        if not self._looks:
            raise RuntimeError("no picture yet: call set_image(...) first")
        return mx.concatenate([look.features.coarse for look in self._looks])

    def reset_predictor(self) -> None:
        """Forget the picture."""
        self._looks, self._is_batch = [], False

    def _require(self, batch: bool) -> None:
        if not self._looks:
            name = "set_image_batch" if batch else "set_image"
            raise RuntimeError(f"no picture yet: call {name}(...) first")
        if batch and not self._is_batch:
            raise RuntimeError("predict_batch follows set_image_batch(...); use predict instead")
        if not batch and self._is_batch and len(self._looks) > 1:
            raise RuntimeError("predict follows set_image(...); use predict_batch instead")

    def _prompt(
        self, look: Look, coords: Any, labels: Any, box: Any, logits: Any, in_pixels: bool
    ) -> Prompt:
        prompt = Prompt()
        if coords is not None or labels is not None or box is not None or logits is None:
            size = look.framing.size if in_pixels else None
            prompt = Prompt.from_points(coords, labels, box, size)
        if logits is not None:
            prompt = prompt.improving(logits, self.model.config.mask_size)
        return prompt

    def _answer(
        self, look: Look, prompt: Prompt, multimask: bool, logits_wanted: bool
    ) -> _Prediction:
        answer, threshold = look.answer(prompt, multimask), self.mask_threshold
        cleaned = without_small_regions(
            answer.logits, self.max_hole_area, self.max_sprinkle_area, threshold
        )
        masks = look.enlarge(cleaned)
        if not logits_wanted:
            masks = masks > threshold
        results = (masks, answer.iou, self.model.mask_decoder.limited(answer.logits))
        mx.eval(results)
        arrays = [np.array(result) for result in results]
        # One object comes without the batch axis, as in the reference.
        squeezed = [array[0] if array.shape[0] == 1 else array for array in arrays]
        return squeezed[0], squeezed[1], squeezed[2]
