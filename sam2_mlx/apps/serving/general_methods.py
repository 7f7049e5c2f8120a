"""Methods that are about the worker itself: greeting, model, shared memory, jobs."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import mlx.core as mx

import sam2_mlx
from sam2_mlx.apps.fields import Refusal, choice, integer, path_name, text
from sam2_mlx.apps.serving.conversation import MAX_CREDIT, MAX_MAPS, Answer, Conversation, Job
from sam2_mlx.apps.serving.maps import MAX_MAP, SharedMap
from sam2_mlx.apps.serving.masks import MASK_ENCODINGS
from sam2_mlx.apps.serving.messages import MAX_BLOB, MAX_JSON, Message
from sam2_mlx.apps.serving.method import NUMBER, PROTOCOL, Engine, Stop, method
from sam2_mlx.apps.serving.pixels import PIXEL_FORMATS
from sam2_mlx.ops.cpu.allocator import keep_freed_memory
from sam2_mlx.ops.device import device_kind
from sam2_mlx.ops.dtypes import dtype_name

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

# MLX keeps freed buffers of every shape it has met; without a limit they add up.
_CACHE_BYTES = 2**30


@method(protocol=integer(0, 2**31), app=text().otherwise())
def hello(engine: Engine, conversation: Conversation, protocol: int, app: str | None) -> Answer:
    """Agree on the protocol, and say what there is."""
    if protocol != PROTOCOL:
        raise Refusal(
            "protocol", f"this worker speaks protocol {PROTOCOL}, the app {protocol}; update one"
        )
    facts = {
        "protocol": PROTOCOL,
        "version": sam2_mlx.__version__,
        "mlx": version("mlx"),
        "device": device_kind(),
        "pid": os.getpid(),
        "limits": {"json": MAX_JSON, "blob": MAX_BLOB, "map": MAX_MAP},
        "pixel_formats": PIXEL_FORMATS,
        "mask_encodings": MASK_ENCODINGS,
        "methods": engine.method_names,
        "model": None if engine.model is None else _model_facts(engine.model),
        "opened": None if engine.opened is None else str(engine.opened),
    }
    return facts, b""


@method(immediate=True)
def ping(engine: Engine, app: Conversation) -> Answer:
    """Say that the process lives, whatever it is at."""
    return {"waiting": len(app.waiting), "jobs": len(app.jobs)}, b""


@method(immediate=True, job=NUMBER)
def cancel(engine: Engine, app: Conversation, job: int) -> Answer:
    """End a job after the frame at hand; one that has ended is no mistake."""
    if job in app.jobs:
        app.jobs[job].cancelled = True
    return {}, b""


@method(immediate=True, job=NUMBER, frames=integer(1, MAX_CREDIT))
def credit(engine: Engine, app: Conversation, job: int, frames: int) -> Answer:
    """Allow a job so many frames more."""
    if job in app.jobs:
        app.jobs[job].credit = min(app.jobs[job].credit + frames, MAX_CREDIT)
    return {}, b""


@method(
    model=path_name("model"),
    dtype=choice("auto", "float32", "float16", "bfloat16").otherwise("auto"),
    image_size=integer(32, 4096).otherwise(),
    device=choice("auto", "gpu", "cpu").otherwise("auto"),
    job=NUMBER.otherwise(),
)
def load_model(
    engine: Engine,
    app: Conversation,
    model: str,
    dtype: str,
    image_size: int | None,
    device: str,
    job: Job | None,
) -> Answer:
    """Load a model, downloaded if need be; sessions that are open keep theirs."""
    # With what downloads need they take 50 ms to import, for which a greeting should not wait.
    from sam2_mlx.checkpoints.hub import DownloadError, reporting
    from sam2_mlx.checkpoints.load import load

    keep_freed_memory()
    mx.set_cache_limit(_CACHE_BYTES)
    try:
        with reporting(_Progress(app, job).report):
            engine.model = load(model, dtype=dtype, image_size=image_size, device=device)
    except DownloadError as problem:
        raise Refusal("download", str(problem)) from problem
    except (ValueError, FileNotFoundError) as problem:
        raise Refusal("bad_model", str(problem)) from problem
    return _model_facts(engine.model), b""


@method(map=NUMBER, path=text())
def map_(engine: Engine, app: Conversation, map: int, path: str) -> Answer:
    """Open a file that the app maps; it may be deleted as soon as this is answered."""
    if map in app.maps or len(app.maps) >= MAX_MAPS:
        problem = f"map {map} is in use" if map in app.maps else f"{MAX_MAPS} maps are in use"
        raise Refusal("bad_map", f"{problem}; end one with unmap first")
    app.maps[map] = SharedMap.open(path)
    return {"bytes": app.maps[map].size}, b""


@method(map=NUMBER)
def unmap(engine: Engine, app: Conversation, map: int) -> Answer:
    """Let go of a map."""
    app.map(map).close()
    del app.maps[map]
    return {}, b""


@method(session=NUMBER)
def close(engine: Engine, app: Conversation, session: int) -> Answer:
    """Forget a session; one that is not there is no mistake."""
    if session in app.sessions:
        app.sessions.pop(session).close()
    return {}, b""


@method()
def stats(engine: Engine, app: Conversation) -> Answer:
    """Memory in use, and what is open."""
    sessions = []
    for number, session in app.sessions.items():
        tracking = getattr(session, "tracking", None)
        if tracking is not None:
            objects = list(tracking.object_ids)
            entry = {"frame": tracking.frame, "objects": objects, "bytes": tracking.nbytes}
            sessions.append({"session": number, **entry})
    facts = {
        "active_bytes": mx.get_active_memory(),
        "peak_bytes": mx.get_peak_memory(),
        "cache_bytes": mx.get_cache_memory(),
        "processor_seconds": round(sum(os.times()[:2]), 3),
        "sessions": sessions,
        "maps": list(app.maps),
    }
    return facts, b""


@method()
def shutdown(engine: Engine, app: Conversation) -> Answer:
    """End the worker."""
    raise Stop


class _Progress:
    """Tells an app how far a download is, once a hundredth, and ends it when it is cancelled."""

    def __init__(self, app: Conversation, job: Job | None) -> None:
        self._app = app
        self._job = job
        self._told = -1

    def report(self, done: int, total: int) -> None:
        """So many bytes of so many are there.

        Raises:
            Refusal: `cancelled`.
        """
        if self._app.ended or (self._job is not None and self._job.cancelled):
            raise Refusal("cancelled", "the download was cancelled; it goes on when asked again")
        hundredths = 100 * done // max(total, 1)
        if self._job is None or hundredths == self._told:
            return
        self._told = hundredths
        event = {"event": "progress", "job": self._job.number, "stage": "download"}
        self._app.send(Message({**event, "fraction": min(hundredths, 100) / 100}))


def _model_facts(model: Sam) -> dict[str, Any]:
    config = model.config
    return {
        "name": config.name,
        "image_size": config.image_size,
        "mask_size": config.mask_size,
        "dtype": dtype_name(model.dtype),
        "device": model.home or device_kind(),
        "video": config.follows,
    }
