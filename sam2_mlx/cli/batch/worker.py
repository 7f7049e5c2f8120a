"""A process that does one clip after another with a model that it loads once.

It reads messages from standard input and writes messages to standard output, one JSON object a
line. First comes the model, `{"model", "dtype", "image_size", "follow", "device"}`, and the answer
says what it is. Then come tasks, as for `do_task`; while one is done, `{"frames", "of"}` says how
far it is, and at the end comes what `do_task` returns.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import sam2_mlx  # noqa: F401 - before anything imports MLX
from sam2_mlx.cli.errors import ERROR, INVALID, NOTE, guarded
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.process import Interrupted, be_command
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.ops.device import set_default
from sam2_mlx.ops.dtypes import dtype_name

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam

# Seconds between two words on how far a task is.
_PACE = 0.5


def main() -> int:
    """Do tasks until standard input ends; returns the exit code."""
    # What libraries print must not come between the messages.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        return guarded(lambda: _work(channel))


def do_task(task: dict[str, Any], model: Any, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Do one task with a model.

    Args:
        task: `command`, `input`, and `outputs` by option. For `video` also `arguments` of that
            command and `prompts` as in a prompts file; for `everything` `search`, which are
            `EverythingOptions`, and `info` for the document; for `eval` as `score_task` has it.
        model: a `Sam`; None where the task needs none.
        tell: called after each frame with frames done and frames in all.

    Returns:
        `code`, `error` and `notes` as the command said them; for `everything` also `masks`, how
        many there are; for `eval` `score`.
    """
    if task["command"] == "video":
        return _follow(task, model, tell)
    answer: dict[str, Any] = {"code": 0, "error": "", "notes": []}
    try:
        if task["command"] == "everything":
            return answer | {"masks": _find_everything(task, model)}
        from sam2_mlx.cli.evaluate_sequence import score_task

        return answer | {"score": score_task(task, model, tell)}
    # Damaged files; the messages of these are for the user.
    except (ValueError, OSError) as problem:
        return answer | {"code": INVALID, "error": " ".join(str(problem).split())}


def _find_everything(task: dict[str, Any], model: Sam) -> int:
    from sam2_mlx.cli.everything_options import EverythingOptions
    from sam2_mlx.cli.everything_picture import write_everything
    from sam2_mlx.media import load_picture

    picture = Path(task["input"])
    places = {option: Path(file) for option, file in task["outputs"].items()}
    return write_everything(
        model,
        load_picture(picture),
        picture.name,
        EverythingOptions(**task["search"]),
        **places,
        info=task["info"],
    )


def _follow(task: dict[str, Any], model: Sam, tell: Callable[[int, int], None]) -> dict[str, Any]:
    from sam2_mlx.cli.video import parser
    from sam2_mlx.cli.video_job import Host
    from sam2_mlx.cli.video_plan import run

    said = io.StringIO()
    host = Host(lambda choice: model, lambda unit, total: _Bar(total, tell), _Dropping)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(said), redirect_stderr(said):
        outputs = (f"{option}={file}" for option, file in task["outputs"].items())
        arguments = [task["input"], *task["arguments"], *outputs]
        if task["prompts"]:
            file = Path(folder) / "prompts"
            file.write_text(json.dumps({"prompts": task["prompts"]}))
            arguments += ["--prompts", str(file)]
        try:
            code = guarded(lambda: run(parser().parse_args(arguments), host))
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    lines = said.getvalue().replace(f"{folder}/prompts", "prompts").splitlines()
    errors = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    notes = [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]
    return {"code": code, "error": errors[-1] if errors else "", "notes": notes}


def model_facts(model: Sam) -> dict[str, Any]:
    """What a model is called, and how it reckons."""
    return {
        "model": model.config.name,
        "dtype": dtype_name(model.dtype),
        "image_size": model.config.image_size,
    }


def describe(model: Sam) -> dict[str, Any]:
    """What a result depends on, as far as the model goes: the numbers themselves are counted."""
    import mlx.core as mx
    import numpy as np
    from mlx.utils import tree_flatten

    digest = hashlib.sha256()
    for name, array in sorted(dict(tree_flatten(model.parameters())).items()):
        numbers = array.view(mx.uint8) if array.dtype == mx.bfloat16 else array
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(np.array(numbers)).data)
    facts = {"weights": digest.hexdigest(), "version": sam2_mlx.__version__}
    return model_facts(model) | facts


def _work(channel: IO[str]) -> int:
    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        asked = json.loads(sys.stdin.readline() or "null")
        if asked is None:
            return 0
        device, name = asked.pop("device"), asked.pop("model")
        if device != "auto":
            set_default(device)
        choice = ModelChoice(name, **asked)
        model = load_model(choice)
        say(describe(model))
    except (ValueError, OSError, ImportError) as problem:
        say({"error": " ".join(str(problem).split())})
        return 2
    import mlx.core as mx

    for line in sys.stdin:
        answer = do_task(json.loads(line), model, _Teller(say))
        say(answer)
        if answer["code"] > 128:
            return int(answer["code"])
        mx.clear_cache()
    return 0


class _Dropping(StopSignals):
    """A signal does not wait for the end of the frame: what was written of a clip is dropped."""

    def __enter__(self) -> _Dropping:
        return self


class _Bar:
    """Stands in for a bar on the screen."""

    def __init__(self, total: int, tell: Callable[[int, int], None]) -> None:
        self._frames, self._total, self._tell = 0, total, tell

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def update(self) -> None:
        self._frames += 1
        self._tell(self._frames, self._total)


class _Teller:
    """Tells how far a task is, twice a second, as long as somebody listens."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self._last = 0.0
        self._parent = os.getppid()

    def __call__(self, frames: int, total: int) -> None:
        if os.getppid() != self._parent:
            # Whoever asked for it is gone, and whoever comes next will ask again.
            raise Interrupted(signal.SIGHUP)
        if time.monotonic() - self._last > _PACE:
            self._last = time.monotonic()
            self._say({"frames": frames, "of": total})


if __name__ == "__main__":
    be_command(main)
