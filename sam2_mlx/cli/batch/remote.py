"""What runs on a Dask worker: tasks, in a process that stays with its model, and files in pieces.

The process is one of its own, so that a clip that kills a decoder kills no Dask worker.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sam2_mlx
from sam2_mlx.cli.batch.jobs import digest_clip
from sam2_mlx.cli.batch.pieces import check_name, list_result, read_piece, write_piece
from sam2_mlx.cli.batch.pool import Pool, Task
from sam2_mlx.files import writing_failed

# One model and one task at a time, however many threads a Dask worker has.
_lock = threading.Lock()
_pools: dict[str, Pool] = {}


@dataclass(frozen=True)
class Run:
    """What the tasks of a run have in common.

    Attributes:
        name: that no other run has.
        model: as for `Pool`.
        mark: a file in the folder of results; who has it there shares that folder.
        facts: what the model must be; empty where a worker shall say it.
    """

    name: str
    model: dict[str, Any]
    mark: Path
    facts: dict[str, Any] = field(default_factory=dict)


def version() -> str:
    """The version of this package that the worker has."""
    return sam2_mlx.__version__


def describe(run: Run) -> dict[str, Any]:
    """The `worker`, and the `facts` of its model, or `unfit`: why it has none."""
    with _lock:
        return {"worker": _worker().address} | _model(run)


def do_task(run: Run, task: Task) -> dict[str, Any]:
    """Do a task.

    Returns:
        `worker`, its address, and what came of it. `unfit`: why this worker does no tasks of the
        run; `needs`: it lacks the clip; `died`: how the process with the model ended; else the
        answer, with `seconds`, and with `place` and `files` where results are to be fetched.
    """
    with _lock:
        return {"worker": _worker().address} | (_unfit(run) or _do(run, task))


def receive(place: list[str], piece: tuple[str, int, bytes], dask_worker: Any) -> None:
    """Put a piece of a file into a folder of a run; Dask gives the worker.

    Raises:
        FileError: if it cannot be written; the folder is gone then.
    """
    folder = _scratch(dask_worker, *place)
    name, offset, content = piece
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_piece(folder / check_name(name), offset, content)
    except OSError as problem:
        shutil.rmtree(folder, ignore_errors=True)
        raise writing_failed(folder, problem) from problem


def hand_over(place: list[str], offset: int, dask_worker: Any) -> bytes:
    """A piece of a result: of a file, or of a file in a folder."""
    return read_piece(_scratch(dask_worker, *place), offset)


def forget(place: list[str], dask_worker: Any) -> None:
    """Remove what is here of a run, or of one of its tasks."""
    shutil.rmtree(_scratch(dask_worker, *place), ignore_errors=True)


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def _scratch(worker: Any, *names: str) -> Path:
    """A place in the worker's own folder, which Dask removes with the worker."""
    return Path(worker.local_directory, "sam2-mlx", *map(check_name, names))


def _model(run: Run) -> dict[str, Any]:
    """The `facts` of the model that is loaded now, or `unfit`."""
    key = repr(sorted(run.model.items()))
    try:
        if key not in _pools:
            _drop_model()
            _pools[key] = Pool(run.model, 1)
        return {"facts": _pools[key].facts}
    except (ValueError, OSError) as problem:
        return {"unfit": str(problem)}


def _drop_model() -> None:
    while _pools:
        _pools.popitem()[1].close()


def _unfit(run: Run) -> dict[str, Any]:
    model = _model(run)
    if "unfit" in model or model["facts"] == run.facts:
        return model if "unfit" in model else {}
    names = [name for name, fact in model["facts"].items() if fact != run.facts.get(name)]
    return {"unfit": f"the first worker has other {' and '.join(names)}"}


def _do(run: Run, task: Task) -> dict[str, Any]:
    sent = _scratch(_worker(), run.name, task.digest)
    if not (_is_shared(task.clip) and _has(task.clip, task)):
        clip = sent / check_name(task.clip.name)
        if not _has(clip, task):
            return {"needs": True}
        task = replace(task, clip=clip)
    place = "" if not task.outputs or _is_shared(run.mark) else uuid.uuid4().hex
    try:
        if place:
            for name in task.outputs.values():
                check_name(name)
            task = replace(task, folder=_scratch(_worker(), run.name, place))
            task.folder.mkdir(parents=True)
        answer = _in_process(run, task)
        if place:
            files = {name: list_result(task.folder / name) for name in task.outputs.values()}
            answer |= {"place": place, "files": files}
        return answer
    except (ValueError, OSError) as problem:
        _drop_model()
        return {"unfit": str(problem)}
    finally:
        shutil.rmtree(sent, ignore_errors=True)


def _is_shared(path: Path) -> bool:
    return path.exists()


def _has(clip: Path, task: Task) -> bool:
    try:
        return digest_clip(clip, task.parts) == task.digest
    except (ValueError, OSError):
        return False


def _in_process(run: Run, task: Task) -> dict[str, Any]:
    worker = _worker()
    tasks = iter([task])
    (pool,) = _pools.values()

    def tell(name: str, done: int, total: int) -> None:
        worker.log_event(run.name, (name, done, total))

    for outcome in pool.run(lambda: next(tasks, None), tell):
        answer = outcome.answer or {"died": outcome.reason}
        return answer | {"seconds": outcome.seconds}
    return {"died": "its worker gave no answer"}
