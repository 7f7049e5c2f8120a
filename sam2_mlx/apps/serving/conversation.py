"""One app: what it opened, what it asked for, and what may be done for it next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.maps import SharedMap
from sam2_mlx.apps.serving.masks import MaskForm
from sam2_mlx.apps.serving.messages import MAX_BLOB, Blob, Message
from sam2_mlx.apps.serving.peek import PeekFrames
from sam2_mlx.apps.serving.pixels import PixelLayout, to_rgb
from sam2_mlx.files import StagedFile
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor
from sam2_mlx.tracking.saved_session import save_session
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.tracking.tracked_object import SessionState

MAX_WAITING = 64
"""Requests of one app that wait for their turn."""

_SAVE_SECONDS, _SAVE_SHARE = 30.0, 0.05
MAX_SESSIONS = 64
MAX_MAPS = 64
MAX_SNAPSHOTS = 100
MAX_CREDIT = 10**6

_Kind = TypeVar("_Kind")
Answer = tuple[dict[str, Any], Blob]
Work = Generator[Answer, None, dict[str, Any] | None]
"""What is left of a job: yields the masks of a frame, or another event, at a time; in the end more
facts for its result."""


@dataclass
class Video:
    """A video or a stream that is followed.

    Attributes:
        tracking: the session.
        source: its frames; None for a stream.
        snapshots: earlier states of the session by number, the oldest first.
        viewer: its frames for looking at; None for a stream.
        saving_to: the file of its project that has what was followed, or None.
    """

    tracking: TrackingSession
    source: FrameSource | None = None
    snapshots: dict[int, SessionState] = field(default_factory=dict)
    viewer: PeekFrames | None = None
    saving_to: Path | None = None
    _next_save: float = 0.0

    def __post_init__(self) -> None:
        if self.source is not None:
            self.viewer = PeekFrames(self.source)

    def save(self) -> None:
        """Save what was followed with the project, where there is one."""
        if self.saving_to is None:
            return
        begin = time.monotonic()
        save_session(self.tracking, self.saving_to)
        end = time.monotonic()
        self._next_save = end + max(_SAVE_SECONDS, (end - begin) / _SAVE_SHARE)

    def save_now_and_then(self) -> None:
        """Save what was followed, if that was long ago: so much is lost if the process is killed.

        It takes a twentieth of the time at most.
        """
        if self.saving_to is not None and time.monotonic() > self._next_save:
            self.save()

    def close(self) -> None:
        """Let go of the file."""
        if self.source is not None:
            self.source.close()
        if self.viewer is not None:
            self.viewer.close()


@dataclass
class Upload:
    """A file that an app sends in parts.

    Attributes:
        name: what it will be called.
        size: bytes that it will have.
        staged: where it is written until then.
        received: bytes that are there.
    """

    name: str
    size: int
    staged: StagedFile
    received: int = 0

    def write(self, data: Blob) -> None:
        """Take the next part."""
        with open(self.staged.path, "ab") as file:
            file.write(data)
        self.received += len(data)

    def finish(self) -> Path:
        """Give the file its name."""
        self.staged.commit()
        return self.staged.target

    def close(self) -> None:
        """Drop what was sent."""
        self.staged.discard()


@dataclass
class Picture:
    """A picture that is asked about.

    Attributes:
        predictor: has encoded it.
        image: uint8 (H, W, 3) RGB.
        logits: (C, S/4, S/4) of the masks predicted last, for refining; None before.
    """

    predictor: SAM2ImagePredictor
    image: np.ndarray
    logits: np.ndarray | None = None

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Job:
    """Work that gives masks frame by frame, or takes long.

    Attributes:
        number: the app's.
        credit: frames that the app can take.
        cancelled: whether it is to end.
        session: whose requests wait until it has ended.
        request: id of the request that began it.
        work: what is left to do; None before it has begun.
        frames: whose masks were given.
    """

    number: int
    credit: int = 0
    cancelled: bool = False
    session: int | None = None
    request: int | None = None
    work: Work | None = None
    frames: int = 0

    @property
    def ready(self) -> bool:
        """Whether a frame can be worked on, or the end be told."""
        return self.work is not None and (self.credit > 0 or self.cancelled)


@dataclass
class Request:
    """A request that waits for its turn; the attributes are those of the message."""

    number: int
    method: str
    fields: dict[str, Any]
    blob: Blob
    job: Job | None = None

    @property
    def session(self) -> int | None:
        """The session that it is about; its fields are checked when its turn comes."""
        number = self.fields.get("session")
        return number if isinstance(number, int) else None


@dataclass
class Conversation:
    """What one app has open and asked for.

    Attributes:
        send: gives it a message.
        sessions: videos and pictures by number.
        maps: by the app's numbers.
        waiting: requests in the order they came.
        jobs: by the app's numbers, from when they were asked for until they have ended.
        ended: the app is gone.
        upload: the file that it is sending, or None.
    """

    send: Callable[[Message], None]
    sessions: dict[int, Video | Picture] = field(default_factory=dict)
    maps: dict[int, SharedMap] = field(default_factory=dict)
    waiting: deque[Request] = field(default_factory=deque)
    jobs: dict[int, Job] = field(default_factory=dict)
    ended: bool = False
    upload: Upload | None = None
    _aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "aside"))
    _beside: deque[Callable[[], None]] = field(default_factory=deque)
    _opened: int = 0
    _job_was_last: bool = False

    @property
    def num_waiting(self) -> int:
        """Requests that have no answer yet, but for those that are being worked on."""
        return len(self.waiting) + len(self._beside)

    def do_aside(self, work: Callable[[], None]) -> None:
        """Do something on a thread beside the one that runs requests, in the order it came."""
        self._beside.append(work)
        with suppress(RuntimeError):  # the conversation was closed
            self._aside.submit(lambda: self._beside.popleft()())

    def room(self) -> int:
        """Bytes of a blob that can be taken in beside those that wait."""
        return MAX_BLOB - sum(len(request.blob) for request in list(self.waiting))

    def take(self) -> Request | Job | None:
        """What is to be done next: a request or a frame of a job, in turn; None to wait.

        Requests keep their order, but those about a session that a job is busy with wait for it.
        """
        job = next((job for job in self.jobs.values() if job.ready), None)
        busy = {job.session for job in self.jobs.values() if job.work is not None} - {None}
        request = next((one for one in self.waiting if one.session not in busy), None)
        if request is not None and (job is None or self._job_was_last):
            self._job_was_last = False
            self.waiting.remove(request)
            return request
        if job is not None:
            self._job_was_last = True
            # Behind the others, so that they have their turn.
            self.jobs[job.number] = self.jobs.pop(job.number)
        return job

    def add(self, session: Video | Picture) -> int:
        """Keep a session; returns its number, which is not used again.

        Raises:
            Refusal: `bad_state` if there are too many.
        """
        if len(self.sessions) >= MAX_SESSIONS:
            session.close()
            raise Refusal("bad_state", f"{MAX_SESSIONS} sessions are open; close one first")
        self._opened += 1
        self.sessions[self._opened] = session
        return self._opened

    def video(self, number: int) -> Video:
        """A video by number; a refusal `no_session` where there is none."""
        return self._session(number, Video, "video or stream")

    def picture(self, number: int) -> Picture:
        """A picture by number; a refusal `no_session` where there is none."""
        return self._session(number, Picture, "picture")

    def _session(self, number: int, kind: type[_Kind], name: str) -> _Kind:
        session = self.sessions.get(number)
        if not isinstance(session, kind):
            raise Refusal("no_session", f"no {name} has the number {number}; open one first")
        return session

    def map(self, number: int) -> SharedMap:
        """A map by number; a refusal `bad_map` where there is none."""
        if number not in self.maps:
            raise Refusal("bad_map", f"no map {number}; tell of it with the method map first")
        return self.maps[number]

    def image(self, layout: PixelLayout, blob: Blob) -> np.ndarray:
        """The picture of a request, uint8 (H, W, 3) RGB.

        Raises:
            Refusal: `bad_frame` if there are fewer bytes than it needs.
        """
        length = layout.length
        if layout.map is not None:
            return to_rgb(layout, self.map(layout.map).read(layout.offset, length))
        if layout.offset + length > len(blob):
            raise Refusal(
                "bad_frame",
                f"the frame needs {layout.offset + length} bytes; the blob has {len(blob)}",
            )
        return to_rgb(layout, memoryview(blob)[layout.offset :])

    def deliver(self, facts: dict[str, Any], blob: bytes, form: MaskForm) -> Answer:
        """Masks as an answer: with a blob, or in the map that was asked for."""
        if form.map is None:
            return facts, blob
        self.map(form.map).write(form.offset, blob)
        return {**facts, "map": form.map, "offset": form.offset, "bytes": len(blob)}, b""

    def close(self) -> None:
        """Let go of everything; call it on the thread that runs requests."""
        self.waiting.clear()
        self._aside.shutdown(cancel_futures=True)
        for job in self.jobs.values():
            if job.work is not None:
                job.work.close()
        sending = () if self.upload is None else (self.upload,)
        for one in (*self.sessions.values(), *self.maps.values(), *sending):
            one.close()
        self.jobs.clear()
        self.sessions.clear()
        self.maps.clear()
