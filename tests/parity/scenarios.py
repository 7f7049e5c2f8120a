"""Video scenarios that both predictors play, and the player. NumPy only.

Both predictors have the same method names, so one player serves both sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tests.parity.scenes import Clip, draw_clip

HEIGHT, WIDTH = 192, 256
"""Size of the clips: not square, and small."""

STRIDE = 6
"""Every sixth row and column of the logits is kept."""

HARD_LIMIT = 5e-3
"""Of the largest magnitude of a mask's logits, for the 99th percentile of the error."""


@dataclass(frozen=True)
class Step:
    """One call on a predictor.

    Attributes:
        kind: points, mask, propagate, clear, remove or reset.
        frame: prompted frame, or the first frame to propagate from (None: the predictor's choice).
        object_id: the object.
        points: clicks in pixels of the clip.
        labels: 1 on the object, 0 off it.
        box: x0, y0, x1, y1 in pixels of the clip.
        keep_old: add to the earlier clicks of that frame.
        length: frames to propagate.
        reverse: propagate backwards.
    """

    kind: str
    frame: int | None = None
    object_id: int = 1
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    keep_old: bool = False
    length: int | None = None
    reverse: bool = False


@dataclass(frozen=True)
class Scenario:
    """A clip, a model and what is done to it.

    Attributes:
        name: file name of the golden.
        steps: the calls, in order.
        model: name of the configuration.
        frames: length of the clip.
        image_size: side of the model's input.
        seed: seed of the weights.
        present: bias of the object score (see `seeded_weights`).
        options: attributes set on the predictor.
    """

    name: str
    steps: tuple[Step, ...]
    model: str = "tiny"
    frames: int = 8
    image_size: int = 256
    seed: int = 0
    present: float = 6.0
    options: dict[str, Any] = field(default_factory=dict)

    def clip(self) -> Clip:
        """The clip that is tracked."""
        return draw_clip(self.frames, HEIGHT, WIDTH, seed=3)

    def to_json(self) -> str:
        """The scenario as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """The scenario that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "steps": tuple(Step(**step) for step in values["steps"])})


@dataclass(frozen=True)
class Event:
    """What a predictor returned: from one prompt, or for one propagated frame.

    Attributes:
        step: index of the step it belongs to.
        frame: the frame.
        object_ids: ids in the predictor's order.
        logits: (O, 1, H, W) float32.
        presence: (O,) object scores, NaN where unknown.
        iou: (O,) predicted IoU of the chosen mask, NaN where unknown.
    """

    step: int
    frame: int
    object_ids: tuple[int, ...]
    logits: np.ndarray
    presence: np.ndarray
    iou: np.ndarray


Probe = Callable[[Any, int, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]
"""(state, frame, object ids) -> (presence, iou)."""


def play(predictor: Any, state: Any, scenario: Scenario, probe: Probe) -> list[Event]:
    """Play a scenario.

    Args:
        predictor: a video predictor, ours or the reference's.
        state: what its `init_state` returned for the scenario's clip.
        scenario: the calls.
        probe: reads presence and predicted IoU, which the methods do not return.

    Returns:
        One event per prompt and per propagated frame.
    """
    masks = scenario.clip().masks
    events: list[Event] = []

    def record(step: int, frame: int, ids: Any, logits: Any) -> None:
        object_ids = tuple(int(i) for i in ids)
        presence, iou = probe(state, int(frame), object_ids)
        values = np.array(logits, dtype=np.float32)
        events.append(Event(step, int(frame), object_ids, values, presence, iou))

    for index, step in enumerate(scenario.steps):
        for frame, ids, logits in _call(predictor, state, step, masks):
            record(index, frame, ids, logits)
    return events


def _call(predictor: Any, state: Any, step: Step, masks: np.ndarray) -> Any:
    if step.kind == "points":
        yield predictor.add_new_points_or_box(
            state,
            frame_idx=step.frame,
            obj_id=step.object_id,
            points=np.array(step.points, np.float32) if step.points else None,
            labels=np.array(step.labels, np.int32) if step.points else None,
            clear_old_points=not step.keep_old,
            box=None if step.box is None else np.array(step.box, np.float32),
        )
    elif step.kind == "mask":
        mask = masks[step.frame, step.object_id - 1]
        yield predictor.add_new_mask(state, frame_idx=step.frame, obj_id=step.object_id, mask=mask)
    elif step.kind == "propagate":
        yield from predictor.propagate_in_video(
            state,
            start_frame_idx=step.frame,
            max_frame_num_to_track=step.length,
            reverse=step.reverse,
        )
    elif step.kind == "clear":
        yield predictor.clear_all_prompts_in_frame(state, step.frame, step.object_id)
    elif step.kind == "remove":
        ids, updated = predictor.remove_object(state, step.object_id)
        for frame, logits in updated:
            yield frame, ids, logits
    elif step.kind == "reset":
        predictor.reset_state(state)
    else:
        raise ValueError(f"unknown kind of step {step.kind!r}")


def pack(logits: np.ndarray) -> np.ndarray:
    """(O, 1, H, W) logits to the full masks as bits, (O, H*W/8) uint8."""
    return np.packbits(logits.reshape(len(logits), -1) > 0, axis=1)


def thin(logits: np.ndarray) -> np.ndarray:
    """(O, 1, H, W) logits to the kept (O, h, w) ones."""
    return logits[:, 0, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


DISC, BOX = (88.0, 92.0), (166.0, 108.0)
"""A pixel on each shape of frame 0."""


def click(frame: int, object_id: int = 1, **more: Any) -> Step:
    """One click on the shape of that object (1: disc, 2: rectangle)."""
    at = DISC if object_id == 1 else BOX
    return Step("points", frame, object_id, points=(at,), labels=(1,), **more)


def correct(frame: int, object_id: int = 1) -> Step:
    """A click off and one on the object, added to what was there."""
    points, labels = ((40.0, 150.0), (100.0, 100.0)), (0, 1)
    return Step("points", frame, object_id, points=points, labels=labels, keep_old=True)


SEVERAL = Step("points", 0, 1, points=((80.0, 90.0), (104.0, 80.0), (30.0, 30.0)), labels=(1, 1, 0))
BOXED = Step("points", 0, 2, box=(125.0, 76.0, 206.0, 138.0))
ALL = Step("propagate")

SCENARIOS = tuple(
    [
        Scenario("click_12_frames", (click(0), ALL), frames=12),
        Scenario("two_objects_20_frames", (SEVERAL, BOXED, ALL), frames=20),
        Scenario("two_objects_10_frames", (click(0), BOXED, ALL), frames=10),
        Scenario("mask_prompt", (Step("mask", 0, 1), ALL)),
        Scenario("mask_then_click", (Step("mask", 0, 2), correct(0, 2), ALL), frames=5),
        Scenario("box_with_click", (
            Step("points", 0, 1, points=(DISC,), labels=(1,), box=(45.0, 45.0, 130.0, 135.0)),
            ALL,
        ), frames=5),
        Scenario("second_click", (click(0), correct(0), ALL), frames=6),
        Scenario("second_click_replaces", (click(0), SEVERAL, ALL), frames=4),
        Scenario("correction", (click(0), ALL, correct(4), ALL)),
        Scenario("correction_as_prompted", (click(0), ALL, correct(4), ALL),
                 options={"add_all_frames_to_correct_as_cond": True}),
        Scenario("mask_correction", (click(0), ALL, Step("mask", 3, 1), ALL), frames=6),
        Scenario("correction_then_onward", (
            click(0), ALL, correct(4), Step("propagate", 5),
        ), frames=10),
        Scenario("correction_clears_around", (
            click(0), ALL, correct(4), Step("propagate", 5),
        ), frames=10,
                 options={"clear_non_cond_mem_around_input": True}),
        Scenario("reverse", (click(7), Step("propagate", 7, reverse=True))),
        Scenario("reverse_after_forward", (
            click(4), Step("propagate", 4), Step("propagate", 4, reverse=True),
        ), frames=9),
        Scenario("come_and_go", (Step("mask", 0, 1), click(0, 2), ALL), frames=10, present=-2.35),
        Scenario("object_added_later", (
            click(0), Step("propagate", 0, length=3), click(4, 2), Step("propagate", 4),
        )),
        Scenario("object_removed", (
            click(0), BOXED, Step("propagate", 0, length=3), Step("remove", object_id=1),
            Step("propagate", 3),
        )),
        Scenario("prompt_cleared", (
            click(0), click(3), Step("clear", 3, 1), ALL,
        ), frames=6),
        Scenario("prompt_cleared_later", (
            click(0), click(3), ALL, Step("clear", 3, 1), Step("propagate", 3),
        ), frames=6),
        Scenario("start_again", (
            click(0), Step("propagate", 0, length=2), Step("reset"), click(1, 2), ALL,
        ), frames=5),
        Scenario("non_overlap", (click(0), click(0, 2), ALL), frames=6,
                 options={"non_overlap_masks": True}),
        Scenario("stride_2", (click(0), ALL), frames=14,
                 options={"memory_temporal_stride_for_eval": 2}),
        Scenario("nearest_two_prompts", (
            click(0), click(3), click(6), click(9), ALL,
        ), frames=12, options={"max_cond_frames_in_attn": 2}),
        Scenario("version_2_0", (click(0), BOXED, ALL), model="2.0-tiny", frames=10),
        Scenario("version_2_0_come_and_go", (Step("mask", 0, 1), ALL), model="2.0-tiny",
                 present=-2.35),
        Scenario("version_2_0_reverse", (click(7), Step("propagate", 7, reverse=True)),
                 model="2.0-tiny"),
        Scenario("small", (click(0), BOXED, ALL), model="small", frames=4),
        Scenario("base_plus", (click(0), BOXED, ALL), model="base_plus", frames=4),
        Scenario("large", (click(0), ALL), model="large", frames=3),
        Scenario("version_2_0_large", (click(0), ALL), model="2.0-large", frames=3),
        Scenario("size_512", (click(0), ALL), image_size=512, frames=4),
        Scenario("size_1024", (click(0), ALL), image_size=1024, frames=3),
        Scenario("nano_trained", (click(0), BOXED, ALL), model="nano", frames=10),
    ]
)  # fmt: skip
"""Every scenario with a golden; `nano` uses the trained weights that the package brings."""
