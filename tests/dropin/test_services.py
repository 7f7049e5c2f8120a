"""Programs that keep several videos open and answer from threads."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from sam2_mlx.build_sam import build_sam2_video_predictor

from sam2_mlx.ops import rle
from tests.dropin.conftest import CHECKPOINT, CONFIG, FISH, LENGTH


class Backend:
    """Meta's demo backend: sessions by id, one lock, masks as run lengths."""

    def __init__(self) -> None:
        self.predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT, device="cpu")
        self.sessions: dict[str, dict[str, Any]] = {}
        self.lock = Lock()

    def start(self, path: str) -> str:
        with contextlib.nullcontext(), self.lock:
            name = str(uuid.uuid4())
            state = self.predictor.init_state(path, offload_video_to_cpu=False)
            self.sessions[name] = {"canceled": False, "state": state}
            return name

    def add_points(self, session: str, number: int, points: Any, labels: Any) -> Any:
        with self.lock:
            frame, ids, masks = self.predictor.add_new_points_or_box(
                inference_state=self.sessions[session]["state"],
                frame_idx=0,
                obj_id=number,
                points=points,
                labels=labels,
                clear_old_points=True,
                normalize_coords=False,
            )
            return frame, self.run_lengths(ids, (masks > 0)[:, 0].cpu().numpy())

    def add_mask(self, session: str, number: int, mask: np.ndarray) -> Any:
        with self.lock:
            frame, ids, masks = self.predictor.add_new_mask(
                inference_state=self.sessions[session]["state"],
                frame_idx=0,
                obj_id=number,
                mask=mask > 0,
            )
            return frame, self.run_lengths(ids, (masks > 0)[:, 0].cpu().numpy())

    def remove(self, session: str, number: int) -> Any:
        with self.lock:
            state = self.sessions[session]["state"]
            left, updated = self.predictor.remove_object(state, number)
            return [
                (frame, self.run_lengths(left, (masks > 0)[:, 0].cpu().numpy()))
                for frame, masks in updated
            ]

    def clear_frame(self, session: str, number: int) -> Any:
        with self.lock:
            state = self.sessions[session]["state"]
            frame, ids, masks = self.predictor.clear_all_prompts_in_frame(state, 0, number)
            return frame, self.run_lengths(ids, (masks > 0)[:, 0].cpu().numpy())

    def propagate(self, session: str, start: int) -> Iterator[Any]:
        with self.lock:
            for reverse in (False, True):
                for outputs in self.predictor.propagate_in_video(
                    inference_state=self.sessions[session]["state"],
                    start_frame_idx=start,
                    max_frame_num_to_track=None,
                    reverse=reverse,
                ):
                    if self.sessions[session]["canceled"]:
                        return
                    frame, ids, masks = outputs
                    yield frame, self.run_lengths(ids, (masks > 0)[:, 0].cpu().numpy())

    def statistics(self) -> list[str]:
        return [
            f"{session['state']['num_frames']} frames, {len(session['state']['obj_ids'])} objects"
            for session in self.sessions.values()
        ]

    @staticmethod
    def run_lengths(ids: list[int], masks: np.ndarray) -> dict[int, dict[str, Any]]:
        return {
            number: rle.encode(np.array(mask, dtype=np.uint8, order="F"))
            for number, mask in zip(ids, masks, strict=True)
        }


def test_a_demo_backend(folder) -> None:
    backend = Backend()
    one, other = backend.start(folder), backend.start(folder)
    frame, masks = backend.add_points(one, 0, [[FISH[0] / 640, FISH[1] / 360]], [1])
    assert frame == 0 and rle.decode(masks[0]).any()
    mask = rle.decode(masks[0]).astype(np.uint8)
    backend.add_mask(one, 1, mask)
    backend.add_mask(other, 0, mask)
    assert backend.statistics() == [f"{LENGTH} frames, 2 objects", f"{LENGTH} frames, 1 objects"]
    found = list(backend.propagate(one, 2))
    assert [frame for frame, _ in found] == [2, 3, 4, 2, 1, 0]
    assert set(found[0][1]) == {0, 1}
    ((frame, masks),) = backend.remove(one, 0)
    assert frame == 0 and set(masks) == {1}
    _, masks = backend.clear_frame(other, 0)
    assert not rle.decode(masks[0]).any()
    stream = backend.propagate(one, 0)
    next(stream)
    backend.sessions[one]["canceled"] = True
    assert list(stream) == []


def test_each_call_from_another_thread(folder) -> None:
    """A web server: whichever thread is free takes the request; results are read in a third."""
    backend = Backend()

    def elsewhere(function: Any, *args: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *args).result()

    session = elsewhere(backend.start, folder)
    state = backend.sessions[session]["state"]
    _, _, logits = elsewhere(
        lambda: backend.predictor.add_new_points_or_box(state, 0, 1, points=[FISH], labels=[1])
    )
    assert (logits > 0).any()
    steps = backend.predictor.propagate_in_video(state)
    masks = []
    for _ in range(LENGTH):
        _, _, logits = elsewhere(next, steps)
        masks.append(elsewhere(lambda array: (array > 0).sum().item(), logits))
    assert min(masks) > 0
    assert [m for _, _, m in _in_one_thread(folder)] == masks


def _in_one_thread(folder: str) -> list[tuple[int, list[int], int]]:
    predictor = build_sam2_video_predictor(CONFIG, CHECKPOINT, device="cpu")
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, points=[FISH], labels=[1])
    return [
        (frame, ids, int((logits > 0).sum()))
        for frame, ids, logits in predictor.propagate_in_video(state)
    ]
