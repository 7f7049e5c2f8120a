"""An app within the server, for those who ask over HTTP: methods are called and awaited."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.messages import Blob, Message
from sam2_mlx.apps.serving.worker import Worker

_SECONDS = 600.0

Answer = tuple[dict[str, Any], Blob]


class InsideApp:
    """Speaks to the worker as any other app does.

    Args:
        worker: runs the requests, on another thread.

    Attributes:
        turn: held by who has a request of several parts.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._requests: queue.Queue[Message] = queue.Queue()
        self._answers: queue.Queue[Message] = queue.Queue()
        self._count = 0
        self._thread: threading.Thread | None = None
        self._picture: tuple[str, dict[str, Any]] | None = None
        self.turn = threading.RLock()

    def receive(self, room: Callable[[], int]) -> Message:
        """The next request; see `Channel`."""
        return self._requests.get()

    def send(self, message: Message) -> None:
        """Take an answer or an event; see `Channel`."""
        self._answers.put(message)

    def call(self, method: str, blob: Blob = b"", **fields: Any) -> Answer:
        """The result of a method, and its blob.

        Raises:
            Refusal: what the worker refused, or `busy` if it takes too long.
        """
        *_, answer = self.follow(method, blob, **fields)
        return answer

    def picture(self, key: str, blob: Blob = b"", **fields: Any) -> dict[str, Any]:
        """The session of a picture, encoded once as long as the same one is asked for.

        Args:
            key: tells pictures apart.
            blob: of `set_picture`.
            fields: of `set_picture`.

        Raises:
            Refusal: see `call`.
        """
        with self.turn:
            if self._picture is None or self._picture[0] != key:
                session = None if self._picture is None else self._picture[1]["session"]
                facts, _ = self.call("set_picture", blob, session=session, **fields)
                self._picture = key, facts
            return self._picture[1]

    def best_mask(
        self, session: dict[str, Any], prompt: dict[str, Any]
    ) -> tuple[np.ndarray, float]:
        """The mask of a prompt on a picture; of a single click the best of several.

        Args:
            session: of `picture`.
            prompt: as `predict` takes it.

        Returns:
            uint8 (H, W), 255 on the object and 0 beside it, and its predicted IoU.

        Raises:
            Refusal: see `call`.
        """
        alone = "box" not in prompt and len(prompt["points"]) == 1
        facts, blob = self.call(
            "predict",
            session=session["session"],
            prompt=prompt,
            multimask=alone,
            masks={"encoding": "gray8"},
        )
        best = max(facts["objects"], key=lambda one: float(one["iou"]))
        height, width = session["height"], session["width"]
        plane = np.frombuffer(blob, np.uint8, height * width, best["offset"])
        return plane.reshape(height, width), best["iou"]

    def follow(
        self, method: str, blob: Blob = b"", seconds: float = _SECONDS, **fields: Any
    ) -> Iterator[Answer]:
        """The events of a job, and in the end its result.

        Args:
            method: of the worker.
            blob: of the request.
            seconds: after which the job is cancelled.
            fields: of the request.

        Raises:
            Refusal: see `call`.
        """
        with self.turn:
            self._start()
            self._count += 1
            end, number = time.monotonic() + seconds, self._count
            if "job" in fields:
                # Events of another one, which nobody waited for, are told apart by it.
                fields["job"] = number
            request = {"id": number, "method": method, **fields}
            self._requests.put(Message(request, blob))
            while True:
                answer = self._next()
                if answer.fields.get("id") == number:
                    break
                if answer.fields.get("job") == number:
                    yield answer.fields, answer.blob or b""
                    if time.monotonic() > end:
                        end = math.inf
                        self._requests.put(Message({"method": "cancel", "job": fields["job"]}))
            if "error" in answer.fields:
                error = answer.fields["error"]
                raise Refusal(error["code"], error["message"])
            yield answer.fields["result"], answer.blob or b""

    def _next(self) -> Message:
        try:
            return self._answers.get(timeout=_SECONDS)
        except queue.Empty:
            raise Refusal("busy", "the worker does not answer") from None

    def _start(self) -> None:
        if self._thread is None:
            listen = self._worker.listen
            self._thread = threading.Thread(target=listen, args=(self,), daemon=True, name="tools")
            self._thread.start()
