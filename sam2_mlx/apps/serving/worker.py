"""Who does what when: one thread runs requests, others listen to apps."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.access import Access
from sam2_mlx.apps.serving.conversation import MAX_WAITING, Conversation, Job, Request
from sam2_mlx.apps.serving.messages import Message, ProtocolError
from sam2_mlx.apps.serving.method import NUMBER, Engine, Method, Stop
from sam2_mlx.apps.serving.methods import METHODS
from sam2_mlx.media.errors import MediaError


class Channel(Protocol):
    """What a door offers: messages of one app, in and out."""

    def receive(self, room: Callable[[], int]) -> Message | None:
        """The next message; see `MessageStream.receive`."""

    def send(self, message: Message) -> None:
        """Send a message; may be called from any thread."""


class Worker:
    """Runs the requests of apps one after the other, and their jobs a frame at a time.

    MLX's streams belong to threads, so one thread, which calls `run`, does all of its work. Each
    app is listened to on a thread of its own, which calls `listen`; `cancel`, `credit` and `ping`
    are done there at once.

    Args:
        engine: the model that the apps share.
        methods: what apps may ask for.
    """

    def __init__(
        self, engine: Engine | None = None, methods: Mapping[str, Method] = METHODS
    ) -> None:
        self._engine = engine or Engine(tuple(methods))
        self._methods = methods
        self._changed = threading.Condition()
        self._apps: list[Conversation] = []
        self._stopping = False

    @property
    def access(self) -> Access:
        """Which files the apps may name."""
        return self._engine.access

    def listen(self, channel: Channel) -> None:
        """Take requests from an app until it is gone."""
        app = Conversation(channel.send)
        with self._changed:
            self._apps.append(app)
        try:
            while not self._stopping:
                try:
                    message = channel.receive(app.room)
                except Refusal as refusal:
                    _refuse(app, None, refusal)
                    continue
                if message is None:
                    break
                self._accept(app, message)
        except ProtocolError as problem:
            _refuse(app, None, Refusal("protocol", str(problem)))
        except OSError:
            pass  # gone without a goodbye
        with self._changed:
            app.ended = True
            for job in app.jobs.values():
                job.cancelled = True
            self._changed.notify_all()

    def run(self) -> None:
        """Run requests until `stop` is called, or one asks for it; on the thread MLX belongs to."""
        try:
            while (turn := self._next()) is not None:
                app, task = turn
                if task is not None:
                    self._run(app, task)
                else:
                    app.close()
        except Stop:
            pass
        finally:
            self._stopping = True
            for app in self._apps:
                app.close()

    def stop(self) -> None:
        """Let `run` return after the frame or the request at hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _accept(self, app: Conversation, message: Message) -> None:
        """Put a request in its place, or do it at once."""
        fields = dict(message.fields)
        number, name = fields.pop("id", None), fields.pop("method", None)
        try:
            method = self._methods.get(name) if isinstance(name, str) else None
            if method is None:
                raise Refusal("unknown_method", f"no method {name!r:.60}; hello tells which")
            if method.immediate:
                values = self._engine.read(fields, method.schema)
                with self._changed:
                    result = method.run(self._engine, app, **values)
                    self._changed.notify_all()
                if number is not None:
                    _answer(app, NUMBER.reader("id", number), *result)
                return
            number = NUMBER.reader("id", number)
            if message.blob is None or app.num_waiting >= MAX_WAITING:
                raise Refusal("busy", "too many requests wait; wait for an answer first")
            request = Request(number, name, fields, message.blob)
            if method.aside:
                app.do_aside(lambda: self._run(app, request))
                return
            with self._changed:
                request.job = _new_job(app, fields.get("job")) if method.uses_job else None
                app.waiting.append(request)
                self._changed.notify_all()
        except Refusal as refusal:
            _refuse(app, number if type(number) is int else None, refusal)

    def _next(self) -> tuple[Conversation, Request | Job | None] | None:
        """The app whose turn it is and what to do for it; None as task where it is gone."""
        with self._changed:
            while not self._stopping:
                for app in self._apps:
                    task = None if app.ended else app.take()
                    if task is None and not app.ended:
                        continue
                    # Behind the others.
                    self._apps.remove(app)
                    if not app.ended:
                        self._apps.append(app)
                    return app, task
                self._changed.wait()
        return None

    def _run(self, app: Conversation, task: Request | Job) -> None:
        number = task.number if isinstance(task, Request) else task.request
        assert number is not None
        try:
            finished = self._begin(app, task) if isinstance(task, Request) else _advance(app, task)
            if finished:
                _end_job(app, task)
                _answer(app, number, *finished)
        except Stop:
            _answer(app, number, {}, b"")
            raise
        # The edge of the process: whatever went wrong is the app's to know, and the next request
        # is another matter.
        except Exception as problem:
            _end_job(app, task)
            _refuse(app, number, as_refusal(problem))

    def _begin(self, app: Conversation, request: Request) -> tuple[dict[str, Any], Any] | None:
        """Run a request; None where it has begun a job."""
        method = self._methods[request.method]
        values = self._engine.read(request.fields, method.schema)
        if method.uses_job:
            values["job"] = request.job
        if method.uses_blob:
            values["blob"] = request.blob
        result = method.run(self._engine, app, **values)
        if isinstance(result, tuple):
            return result
        assert request.job is not None
        request.job.work, request.job.request = result, request.number
        request.job.session = request.session if method.holds_session else None
        return None


def _advance(app: Conversation, job: Job) -> tuple[dict[str, Any], Any] | None:
    """Work on one frame of a job; its result once it has ended."""
    assert job.work is not None
    if job.cancelled:
        job.work.close()
        return {"ended": "cancelled", "frames": job.frames}, b""
    try:
        facts, blob = next(job.work)
    except StopIteration as end:
        return {"ended": "done", "frames": job.frames, **(end.value or {})}, b""
    job.credit -= 1
    job.frames += 1
    _send(app, Message({"event": "masks", "job": job.number, **facts}, blob))
    return None


def _end_job(app: Conversation, task: Request | Job) -> None:
    job = task.job if isinstance(task, Request) else task
    if job is not None:
        app.jobs.pop(job.number, None)


def _new_job(app: Conversation, number: Any) -> Job | None:
    if number is None:
        return None
    number = NUMBER.reader("job", number)
    if number in app.jobs:
        raise Refusal("bad_request", f"job {number} has not ended; take another number")
    app.jobs[number] = Job(number)
    return app.jobs[number]


def as_refusal(problem: Exception) -> Refusal:
    """What an app is told of an error."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, MemoryError) or "allocate" in text or "Insufficient Memory" in text:
        return Refusal("out_of_memory", text)
    if isinstance(problem, FileNotFoundError):
        return Refusal("not_found", text)
    if isinstance(problem, MediaError):
        return Refusal("bad_media", text)
    if isinstance(problem, (ValueError, TypeError, IndexError)):
        return Refusal("bad_request", text)
    # MLX begins its own messages with the name of a function in brackets.
    if isinstance(problem, RuntimeError) and not text.startswith("["):
        return Refusal("bad_state", text)
    if not isinstance(problem, OSError):
        traceback.print_exception(problem, file=sys.stderr)
    return Refusal("failed", f"{type(problem).__name__}: {text}")


def _answer(app: Conversation, number: int, result: dict[str, Any], blob: Any) -> None:
    try:
        _send(app, Message({"id": number, "result": result}, blob))
    except ValueError as problem:
        _refuse(app, number, Refusal("failed", str(problem)))


def _refuse(app: Conversation, number: int | None, refusal: Refusal) -> None:
    error = {"code": refusal.code, "message": str(refusal)}
    _send(app, Message({"id": number, "error": error}))


def _send(app: Conversation, message: Message) -> None:
    try:
        app.send(message)
    except OSError:
        app.ended = True  # the one who listens finds out too
