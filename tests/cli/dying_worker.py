"""A batch worker that dies of clips with `dies` in their names, and takes its time with `slow`."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from sam2_mlx.cli.batch import worker
from sam2_mlx.cli.process import be_command

do_task = worker.do_task


def _do_task(task: dict[str, Any], model: Any, tell: Any) -> dict[str, Any]:
    if "dies" in task.get("sequence", task["input"]):
        os.kill(os.getpid(), signal.SIGKILL)
    if "slow" in task["input"]:
        time.sleep(3)
    return do_task(task, model, tell)


if __name__ == "__main__":
    worker.do_task = _do_task
    be_command(worker.main)
