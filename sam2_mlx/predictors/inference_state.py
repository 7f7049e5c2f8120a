"""The state of a video, which also answers to the keys of the reference's dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import mlx.core as mx
import numpy as np

from sam2_mlx.media.frame_source import Frames
from sam2_mlx.predictors.torch_like import HOST, TorchLike
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.tracking.tracked_object import TrackedObject
from sam2_mlx.transforms import normalise, resize_frame


class InferenceState(TrackingSession):
    """A tracking session over a clip; `state["num_frames"]` and the like read from it.

    Source: sam2/sam2_video_predictor.py, SAM2VideoPredictor.init_state.
    """

    def __getitem__(self, key: str) -> Any:
        if key not in _KEYS:
            raise KeyError(f"{key!r} is not kept; what can be read is {', '.join(sorted(_KEYS))}")
        return _KEYS[key](self)

    def __contains__(self, key: object) -> bool:
        return key in _KEYS

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default where it is not kept."""
        return self[key] if key in self else default

    def keys(self) -> list[str]:
        """All keys that can be read."""
        return list(_KEYS)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def _images(self) -> ModelFrames:
        assert self.source is not None
        return ModelFrames(self.source, self.model.config.image_size)

    def _by_object(self, describe: Callable[[TrackedObject], Any]) -> dict[int, Any]:
        return {index: describe(one) for index, one in enumerate(self._objects.values())}

    def _points(self) -> dict[int, Any]:
        side = self.model.config.image_size
        return self._by_object(
            lambda one: {
                frame: {
                    "point_coords": prompt.points.astype(np.float32) * side,
                    "point_labels": prompt.labels,
                }
                for frame, prompt in one.prompts.items()
                if prompt.mask is None
            }
        )

    def _masks(self) -> dict[int, Any]:
        return self._by_object(
            lambda one: {
                frame: prompt.mask
                for frame, prompt in one.prompts.items()
                if prompt.mask is not None
            }
        )

    def _passed(self) -> dict[int, Any]:
        return self._by_object(
            lambda one: {frame: {"reverse": back} for frame, back in one.tracked.items()}
        )


class ModelFrames(Sequence[Any]):
    """The frames as the model takes them; each is read when it is asked for.

    Attributes:
        shape: (T, 3, S, S).
    """

    def __init__(self, source: Frames, side: int) -> None:
        self._source = source
        self.shape = (source.num_frames, 3, side, side)

    def __len__(self) -> int:
        return self.shape[0]

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Any: ...
    def __getitem__(self, index: int | slice) -> Any:
        """float32 (3, S, S), normalised; of a slice, several of them stacked."""
        if isinstance(index, slice):
            return np.stack([self[i] for i in range(len(self))[index]])
        pixels = resize_frame(self._source.read(range(len(self))[index]), self.shape[2])
        return TorchLike.of(normalise(pixels, mx.float32)).permute(2, 0, 1)


_KEYS: dict[str, Callable[[InferenceState], Any]] = {
    "images": InferenceState._images,
    "num_frames": lambda state: state.num_frames,
    "video_height": lambda state: state.frame_size[0],
    "video_width": lambda state: state.frame_size[1],
    "obj_ids": lambda state: list(state.object_ids),
    "obj_id_to_idx": lambda state: {one: i for i, one in enumerate(state.object_ids)},
    "obj_idx_to_id": lambda state: dict(enumerate(state.object_ids)),
    "point_inputs_per_obj": InferenceState._points,
    "mask_inputs_per_obj": InferenceState._masks,
    "frames_tracked_per_obj": InferenceState._passed,
    "device": lambda state: HOST,
    "storage_device": lambda state: HOST,
    "offload_video_to_cpu": lambda state: False,
    "offload_state_to_cpu": lambda state: False,
}
