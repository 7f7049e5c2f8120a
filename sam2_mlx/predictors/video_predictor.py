"""SAM2VideoPredictor: the reference's methods, over a tracking session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.device import at_home
from sam2_mlx.ops.masks import without_overlap
from sam2_mlx.predictors.clips import open_clip
from sam2_mlx.predictors.inference_state import InferenceState
from sam2_mlx.predictors.overrides import TRACKING
from sam2_mlx.predictors.torch_like import TorchLike, TorchModule, as_array
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.results import FrameMasks
from sam2_mlx.tracking.session import TrackingSession

_Masks = tuple[int, list[int], Any]

# Attributes of the reference's predictor that would be set without effect.
_FIXED = frozenset(
    "num_maskmem max_obj_ptrs_in_encoder non_overlap_masks_for_mem_enc multimask_output_in_sam "
    "use_obj_ptrs_in_encoder sigmoid_scale_for_mem_enc sigmoid_bias_for_mem_enc "
    "use_mask_input_as_output_without_sam directly_add_no_mem_embed pred_obj_scores".split()
)


class Scores(NamedTuple):
    """How sure the model is of the masks of a frame.

    Attributes:
        iou: float32 (O,), predicted IoU in [0, 1].
        presence: float32 (O,), logits; above zero the object is in the picture.
    """

    iou: np.ndarray
    presence: np.ndarray


class _Option:
    """An option of tracking under the reference's name; one that is set holds from then on."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._field = TRACKING[name]

    def __get__(self, predictor: Any, owner: type | None = None) -> Any:
        return self if predictor is None else getattr(predictor.options, self._field)

    def __set__(self, predictor: SAM2VideoPredictor, value: Any) -> None:
        predictor.options = replace(predictor.options, **{self._field: value})


class SAM2VideoPredictor(TorchModule):
    """Segments and follows objects in a video.

    The state that `init_state` returns is a `TrackingSession` with memory "full"; every method
    takes it first, as in the reference. Masks are NumPy arrays that answer to torch's methods.

    Args:
        model: a model with a memory, or a predictor that has one.
        fill_hole_area: background regions of at most this many low-resolution pixels are
            filled in the masks; 0 leaves them.
        non_overlap_masks: each pixel is given to one object only.
        clear_non_cond_mem_around_input: a prompt makes the object forget the frames around it.
        add_all_frames_to_correct_as_cond: a corrected frame counts as a prompted one.
        max_cond_frames_in_attn: prompted frames a frame attends to; -1 is all.
        memory_temporal_stride_for_eval: distance between recent memories, in frames.
        binarize_mask_from_pts_for_mem_enc: prompted frames are remembered as the mask shown.

    Attributes:
        model: the model.
        options: all of them, as `TrackingOptions`; each is an attribute of its own too, and one
            that is set holds from then on, for videos that are open already as well.

    Source: sam2/sam2_video_predictor.py, SAM2VideoPredictor.
    """

    fill_hole_area = _Option()
    non_overlap_masks = _Option()
    clear_non_cond_mem_around_input = _Option()
    add_all_frames_to_correct_as_cond = _Option()
    max_cond_frames_in_attn = _Option()
    memory_temporal_stride_for_eval = _Option()
    binarize_mask_from_pts_for_mem_enc = _Option()

    def __init__(  # noqa: PLR0913 - the reference's options
        self,
        model: Any,
        *,
        fill_hole_area: float = 8,
        non_overlap_masks: bool = False,
        clear_non_cond_mem_around_input: bool = False,
        add_all_frames_to_correct_as_cond: bool = False,
        max_cond_frames_in_attn: int = -1,
        memory_temporal_stride_for_eval: int = 1,
        binarize_mask_from_pts_for_mem_enc: bool = True,
    ) -> None:
        self.model: Sam = getattr(model, "model", model)
        self.options = TrackingOptions(
            fill_hole_area=fill_hole_area,
            non_overlap_masks=non_overlap_masks,
            clear_memory_around_prompts=clear_non_cond_mem_around_input,
            corrections_become_prompts=add_all_frames_to_correct_as_cond,
            max_prompted_frames=max_cond_frames_in_attn,
            memory_stride=memory_temporal_stride_for_eval,
            binarise_prompted_masks=binarize_mask_from_pts_for_mem_enc,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED:
            raise AttributeError(f"{name} is the model's and cannot be set here")
        super().__setattr__(name, value)

    @property
    def options(self) -> TrackingOptions:
        """How objects are followed."""
        return self._options

    @options.setter
    def options(self, options: TrackingOptions) -> None:
        # Raises if an option does not fit the model.
        TrackingSession(self.model, options=options)
        self._options = options

    def eval(self) -> SAM2VideoPredictor:
        """Itself; it never trains."""
        return self

    def parameters(self) -> Iterator[Any]:
        """All weights, one after the other."""
        weights: Any = tree_flatten(self.model.parameters())
        return (TorchLike.of(weight) for _, weight in weights)

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
        """Load a model by name, Hugging Face id or path.

        Args:
            model_id: such as "tiny", "facebook/sam2.1-hiera-tiny", a folder or a file.
            kwargs: those of `build_sam2`, and the options of this class.
        """
        from sam2_mlx.predictors.build_model import tracking_options, with_own_options

        kwargs.pop("vos_optimized", None)
        asked = ("hydra_overrides_extra", "apply_postprocessing")
        tracking = tracking_options(**{key: kwargs[key] for key in asked if key in kwargs})
        return with_own_options(cls, model_id, {**tracking, **kwargs})

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video.

        Args:
            video_path: a video file, a folder of frames, an array uint8 (T, H, W, 3), a list of
                arrays (H, W, 3) or PIL images, or any object with `read(i)`, `num_frames`,
                `width` and `height`.
            offload_video_to_cpu: without effect; memory is shared by CPU and GPU.
            offload_state_to_cpu: without effect, likewise.
            async_loading_frames: without effect; frames are read when they are needed.

        Returns:
            The state of this video.

        Raises:
            FileNotFoundError, ValueError: if there is no such file or it cannot be read.
            TypeError: if it is nothing that has frames.
        """
        del offload_video_to_cpu, offload_state_to_cpu, async_loading_frames
        source = open_clip(video_path)
        return InferenceState(self.model, source, memory="full", options=self.options)

    def stream(self) -> TrackingSession:
        """A session for a camera: frames are handed to `step`, memory does not grow."""
        return TrackingSession(self.model, options=self.options)

    @at_home
    def add_new_points_or_box(  # noqa: PLR0913 - the reference's arguments
        self,
        inference_state: TrackingSession,
        frame_idx: int,
        obj_id: int,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> _Masks:
        """Add points and/or a box for an object on a frame.

        Args:
            inference_state: the video.
            frame_idx: index of the frame.
            obj_id: the object; a new id adds a new object.
            points: (P, 2) as (x, y).
            labels: (P,), 1 on the object and 0 not on it.
            clear_old_points: replace the points given for this frame before.
            normalize_coords: coordinates are pixels of the video; else fractions of its size.
            box: (x0, y0, x1, y1).

        Returns:
            The frame, all object ids, and float32 logits (O, 1, H, W) at the video's size.

        Raises:
            ValueError: on malformed or impossible prompts, or a box that is to be added to old
                points.
        """
        if box is not None and not clear_old_points:
            raise ValueError("a box comes before any point: use clear_old_points=True with a box")
        state = self._ready(inference_state)
        size = state.frame_size if normalize_coords else None
        points, labels, box = map(as_array, (points, labels, box))
        prompt = Prompt.from_points(points, labels, box, size)
        return _reference(state.add(obj_id, frame_idx, prompt, keep_points=not clear_old_points))

    def add_new_points(self, *args: Any, **kwargs: Any) -> _Masks:
        """The reference's older name of `add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    @at_home
    def add_new_mask(
        self, inference_state: TrackingSession, frame_idx: int, obj_id: int, mask: Any
    ) -> _Masks:
        """Give an object's mask on a frame.

        Args:
            inference_state: the video.
            frame_idx: index of the frame.
            obj_id: the object; a new id adds a new object.
            mask: (H, W) of any size: bool, numbers of which those above one half are the object,
                or logits, some of them negative.

        Returns:
            As `add_new_points_or_box`.
        """
        prompt = Prompt.from_mask(as_array(mask))
        return _reference(self._ready(inference_state).add(obj_id, frame_idx, prompt))

    def propagate_in_video_preflight(self, inference_state: TrackingSession) -> None:
        """Remember all prompts given so far; `propagate_in_video` does it by itself.

        Raises:
            RuntimeError: if there is no object, or one without a prompt.
        """
        self._ready(inference_state).commit()
        inference_state.require_prompts()

    @at_home
    def propagate_in_video(
        self,
        inference_state: TrackingSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        *,
        with_scores: bool = False,
    ) -> Iterator[Any]:
        """Follow all objects through the video.

        Args:
            inference_state: the video.
            start_frame_idx: first frame; the earliest prompted one by default.
            max_frame_num_to_track: frames to follow after the first; all by default.
            reverse: go backwards.
            with_scores: give `Scores` too.

        Yields:
            The frame, all object ids, float32 logits (O, 1, H, W) at the video's size, and the
            scores if they are wanted.

        Raises:
            RuntimeError: if there is no object, or one without a prompt.
        """
        state = self._ready(inference_state)
        for masks in state.propagate(start_frame_idx, max_frame_num_to_track, reverse):
            scores = (Scores(np.array(masks.iou), np.array(masks.presence)),) if with_scores else ()
            yield *_reference(masks), *scores

    @at_home
    def clear_all_prompts_in_frame(
        self,
        inference_state: TrackingSession,
        frame_idx: int,
        obj_id: int,
        need_output: bool = True,
    ) -> _Masks | None:
        """Remove an object's prompts on a frame.

        Args:
            inference_state: the video.
            frame_idx: index of the frame.
            obj_id: the object.
            need_output: whether to return the masks that are left.

        Returns:
            As `add_new_points_or_box`, or None.
        """
        self._ready(inference_state).clear(obj_id, frame_idx)
        return _reference(inference_state.masks_on(frame_idx)) if need_output else None

    def reset_state(self, inference_state: TrackingSession) -> None:
        """Remove all objects and prompts."""
        self._ready(inference_state).reset()

    @at_home
    def remove_object(
        self,
        inference_state: TrackingSession,
        obj_id: int,
        strict: bool = False,
        need_output: bool = True,
    ) -> tuple[list[int], list[tuple[int, Any]]]:
        """Remove an object; the others are not touched.

        Args:
            inference_state: the video.
            obj_id: the object.
            strict: complain about an unknown object.
            need_output: whether to return the masks left on the frames it was prompted on.

        Returns:
            The object ids left, and (frame, logits) of each frame the object was prompted on.

        Raises:
            RuntimeError: if the object is unknown and `strict`.
        """
        if obj_id not in self._ready(inference_state).object_ids:
            if strict:
                raise RuntimeError(
                    f"there is no object {obj_id}; objects: {list(inference_state.object_ids)}"
                )
            return list(inference_state.object_ids), []
        frames = inference_state.prompted_frames(obj_id)
        inference_state.remove(obj_id)
        left = list(inference_state.object_ids)
        if not need_output or not left:
            return left, []
        return left, [(frame, _logits(inference_state.masks_on(frame))) for frame in frames]

    def _ready(self, state: TrackingSession) -> TrackingSession:
        """The state, following by the options as they are now."""
        if not isinstance(state, TrackingSession):
            raise TypeError(
                f"inference_state is what init_state(...) gives; got {type(state).__name__}"
            )
        if state.options != self._options:
            state.options = self._options
        return state

    def _apply_non_overlapping_constraints(self, pred_masks: Any) -> Any:
        return TorchLike.of(without_overlap(mx.array(as_array(pred_masks))))


def _logits(masks: FrameMasks) -> Any:
    logits = TorchLike.of(masks.logits)
    # What the memory holds must not be written to from outside.
    return logits.copy() if masks.logits is masks.coarse else logits


def _reference(masks: FrameMasks) -> _Masks:
    return masks.frame, list(masks.object_ids), _logits(masks)
