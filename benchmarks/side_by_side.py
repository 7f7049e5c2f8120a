"""This package beside other systems: one process each, runs in turn, the same BLAS.

A noisy machine is then noisy to all, so the ratio means more than the times.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

PEERS = ("mlx-sam", "torch", "edgetam")
"""What can be compared with: other systems, and a model of this one."""

MODELS = ("tiny", "small", "base_plus", "large")
"""The models that they have."""

_FIXED_SIZE = 1024  # of mlx-sam
_ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """A system in a process of its own.

    Args:
        system: its name in peers.py.
        python: the interpreter.
        folders: what its PYTHONPATH holds.
        spec: the model, for the system.
    """

    def __init__(self, system: str, python: str, folders: list[str], spec: dict[str, Any]) -> None:
        self._system = system
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("peers.py")), system, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, order: str) -> dict[str, Any]:
        """Send an order and wait for its answer.

        Raises:
            ValueError: the system cannot run, or its process has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # what it said before it ended is still to be read
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ValueError(f"{self._system} ended with code {self._process.wait()}")
        result: dict[str, Any] = json.loads(answer)
        if "error" in result:
            raise ValueError(f"{self._system} cannot run: {result['error']}")
        return result

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def check_peers(against: list[str], mlx_sam: str, torch_python: str, spec: dict[str, Any]) -> None:
    """Say what is wrong before anything is started.

    Args:
        against: some of `PEERS`.
        mlx_sam: the folder where its wheel was unpacked.
        torch_python: an interpreter with torch and the reference.
        spec: `model` and `image_size`.

    Raises:
        ValueError: a folder or an interpreter that is not one, or a model that they do not have.
    """
    alone = not {"mlx-sam", "torch"} & {*against}
    if spec["model"] not in MODELS and not (alone and spec["model"] == "edgetam"):
        raise ValueError(
            f"other systems run {', '.join(MODELS)}, with seeded weights; got {spec['model']!r}"
        )
    if "mlx-sam" in against:
        if not (Path(mlx_sam) / "mlx_sam").is_dir() or not mlx_sam:
            raise ValueError(
                f"no package mlx_sam in {mlx_sam or 'the folder'}; unpack its wheel and name the "
                "folder: --mlx-sam FOLDER"
            )
        if spec["image_size"] != _FIXED_SIZE:
            raise ValueError(f"mlx-sam runs at {_FIXED_SIZE} only; got {spec['image_size']}")
    if "torch" in against and shutil.which(torch_python) is None:
        raise ValueError(
            f"no interpreter {torch_python}; name one that has torch and the reference: "
            "--torch-python PYTHON"
        )


def start(
    against: list[str], mlx_sam: str, torch_python: str, spec: dict[str, Any]
) -> dict[str, Worker]:
    """Start ours and the systems asked for; arguments as for `check_peers`."""
    root = str(_ROOT)
    workers = {"ours": Worker("ours", sys.executable, [root], spec)}
    for system in against:
        if system == "torch":
            workers[system] = Worker(system, torch_python, [], spec)
        elif system == "edgetam":
            workers[system] = Worker("ours", sys.executable, [root], {**spec, "model": system})
        else:
            workers[system] = Worker(system, sys.executable, [root, mlx_sam], spec)
    return workers


def compare(workers: dict[str, Worker], objects: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Run every system in turn, and close it.

    Args:
        workers: name -> system, ours first.
        objects: followed at once.
        rounds: measured runs of each; one more warms up.

    Returns:
        By name: seconds of the stages and of the fastest run, `cpu_seconds`, `peak_bytes`,
        `primitives`, and `times_ours`.
    """
    try:
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
        for round_number in range(rounds + 1):
            for name, worker in workers.items():
                run = worker.ask(f"run {objects}")
                if round_number:  # the first one warms up
                    runs[name].append(run)
        results = {name: _best(result) for name, result in runs.items()}
        for name, worker in workers.items():
            results[name]["primitives"] = worker.ask("primitives")["primitives"]
    finally:
        for worker in workers.values():
            worker.close()
    for result in results.values():
        result["times_ours"] = result["seconds"] / results["ours"]["seconds"]
    return results


def render(results: dict[str, dict[str, Any]]) -> str:
    """The results of `compare` as a table."""
    lines = [
        f"{'system':<10}{'encode':>9}{'track':>9}{'remember':>9}{'frame s':>9}{'cpu s':>9}"
        f"{'peak MB':>9}{'primitives':>12}{'times ours':>12}"
    ]
    for name, result in results.items():
        peak = f"{result['peak_bytes'] / 1e6:.0f}" if "peak_bytes" in result else "-"
        stages = "".join(
            f"{result[key]:>9.2f}" for key in ("encode", "track", "remember", "seconds")
        )
        lines.append(
            f"{name:<10}{stages}{result['cpu_seconds']:>9.2f}{peak:>9}"
            f"{result['primitives'] or '-':>12}{result['times_ours']:>12.2f}"
        )
    return "\n".join(lines)


def _best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest run by the clock, with the least processor time of all."""
    fastest = min(runs, key=lambda run: run["seconds"])
    return {**fastest, "cpu_seconds": min(run["cpu_seconds"] for run in runs)}
