"""SAM2ImagePredictor: the reference's methods for single images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.model.image_encoder import ImageFeatures
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.device import at_home
from sam2_mlx.predictors.look import Look, as_picture, encode_pictures, without_small_regions
from sam2_mlx.predictors.torch_like import TorchLike, TorchModule, as_array
from sam2_mlx.prompts import Prompt

_Prediction = tuple[np.ndarray, np.ndarray, np.ndarray]


class SAM2ImagePredictor(TorchModule):
    """Encodes a picture once and answers any number of prompts on it.

    Args:
        sam_model: the model, as `sam2_mlx.load` or `build_sam2` gives it, or a predictor that has
            one.
        mask_threshold: logits above it are the object.
        max_hole_area: background regions of at most this many low-resolution pixels are filled.
        max_sprinkle_area: foreground regions of at most this many are removed.

    Source: sam2/sam2_image_predictor.py, SAM2ImagePredictor.
    """

    _encoded: ImageFeatures | None
    _orig_hw: list[tuple[int, ...]] | None

    def __init__(
        self,
        sam_model: Any,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> None:
        self.model: Sam = getattr(sam_model, "model", sam_model)
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:
        """Load a model by name, Hugging Face id or path.

        Args:
            model_id: such as "tiny", "facebook/sam2.1-hiera-tiny", a folder or a file.
            kwargs: those of `build_sam2`, and the options of this class.
        """
        from sam2_mlx.predictors.build_model import with_own_options

        return with_own_options(cls, model_id, kwargs)

    def set_image(self, image: Any, upright: bool | None = None) -> None:
        """Encode a picture; prompts refer to it from now on.

        Args:
            image: uint8 (H, W, 3) RGB array, a PIL image, or the path of a picture; grey arrays,
                arrays with alpha, and uint16 are taken too.
            upright: turn it as its orientation tag says; by default files are turned and PIL
                images are not, as in the reference.

        Raises:
            TypeError, ValueError: if it is not a picture.
            FileNotFoundError: if the path does not exist.
        """
        self.set_image_batch([image], upright)
        self._is_batch = False

    @at_home
    def set_image_batch(self, image_list: Sequence[Any], upright: bool | None = None) -> None:
        """Encode several pictures, of any sizes, for `predict_batch`.

        Args:
            image_list: pictures as for `set_image`.
            upright: likewise.

        Raises:
            TypeError, ValueError: if one is not a picture, or the list is empty.
        """
        if not isinstance(image_list, Sequence) or len(image_list) == 0:
            raise ValueError("set_image_batch needs a list of at least one picture")
        self.reset_predictor()
        pictures = [as_picture(image, upright) for image in image_list]
        self._encoded = encode_pictures(self.model, pictures)
        self._orig_hw = [picture.shape[:2] for picture in pictures]
        self._is_image_set = self._is_batch = True

    @at_home
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
            masks: float32 (C, H, W), 1 on the object and 0 beside it, or logits; (B, C, H, W) for
                several objects.
            iou: float32 (C,) predicted IoU, or (B, C).
            low_res: float32 (C, S/4, S/4) logits within +-32 (as they are from a first SAM), or
                (B, C, S/4, S/4).

        Raises:
            RuntimeError: if no picture was set.
            ValueError: on malformed or impossible prompts; see `Prompt.from_points`.
        """
        (look,) = self._looks(batch=False)
        prompt = self._prompt(look, point_coords, point_labels, box, mask_input, normalize_coords)
        return self._answer(look, prompt, multimask_output, return_logits)

    @at_home
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
        looks = self._looks(batch=True)
        count = len(looks)
        columns = []
        for values in (point_coords_batch, point_labels_batch, box_batch, mask_input_batch):
            if values is not None and len(values) != count:
                raise ValueError(
                    f"need one prompt a picture; got {len(values)} for {count} pictures"
                )
            columns.append([None] * count if values is None else values)
        results = []
        for look, coords, labels, box, logits in zip(looks, *columns, strict=True):
            prompt = self._prompt(look, coords, labels, box, logits, normalize_coords)
            results.append(self._answer(look, prompt, multimask_output, return_logits))
        masks, ious, low = zip(*results, strict=True)
        return list(masks), list(ious), list(low)

    def get_image_embedding(self) -> mx.array:
        """The image embedding, (B, S/16, S/16, C), channels last.

        Raises:
            RuntimeError: if no picture was set.
        """
        if self._encoded is None:
            raise RuntimeError("no picture yet: call set_image(...) first")
        return self._encoded.coarse

    def reset_predictor(self) -> None:
        """Forget the picture."""
        self._encoded = self._orig_hw = None
        self._is_image_set = self._is_batch = False

    # Programs keep what was encoded, and give it to another predictor.
    @property
    def _features(self) -> dict[str, Any] | None:
        if self._encoded is None:
            return None
        coarse, *fine = [TorchLike.of(x.transpose(0, 3, 1, 2)) for x in self._encoded.arrays()]
        return {"image_embed": coarse, "high_res_feats": fine}

    @_features.setter
    def _features(self, maps: dict[str, Any] | None) -> None:
        if maps is None:
            self._encoded = None
            return
        coarse, *fine = [
            mx.array(as_array(x)).transpose(0, 2, 3, 1).astype(self.model.dtype)
            for x in (maps["image_embed"], *maps["high_res_feats"])
        ]
        self._encoded = ImageFeatures(coarse, tuple(fine))

    def _looks(self, batch: bool) -> list[Look]:
        """The pictures that were set, if the way they are asked about fits."""
        encoded, sizes = self._encoded, self._orig_hw
        if not self._is_image_set or encoded is None or sizes is None:
            name = "set_image_batch" if batch else "set_image"
            raise RuntimeError(f"no picture yet: call {name}(...) first")
        if batch and not self._is_batch:
            raise RuntimeError("predict_batch follows set_image_batch(...); use predict instead")
        if not batch and len(sizes) > 1:
            raise RuntimeError("predict follows set_image(...); use predict_batch instead")
        return [
            Look(self.model, (height, width), encoded[index])
            for index, (height, width) in enumerate(sizes)
        ]

    def _prompt(
        self, look: Look, coords: Any, labels: Any, box: Any, logits: Any, in_pixels: bool
    ) -> Prompt:
        coords, labels, box, logits = map(as_array, (coords, labels, box, logits))
        prompt = Prompt()
        if coords is not None or labels is not None or box is not None or logits is None:
            prompt = Prompt.from_points(coords, labels, box, look.size if in_pixels else None)
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
            masks = (masks > threshold).astype(mx.float32)
        results = (masks, answer.iou, self.model.mask_decoder.limited(answer.logits))
        mx.eval(results)
        arrays = [np.array(result) for result in results]
        # One object comes without the batch axis, as in the reference.
        squeezed = [array[0] if array.shape[0] == 1 else array for array in arrays]
        return squeezed[0], squeezed[1], squeezed[2]
