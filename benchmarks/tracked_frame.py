"""One tracked frame (encode, track, remember) of SAM 2.1 tiny at 1024, beside other systems.

Seven memories, 16 pointers (64 tokens), float32, one process a system, runs in turn, so that a
noisy machine is noisy to all. Prints a table for people and one JSON line for scripts.

    python benchmarks/tracked_frame.py
    python benchmarks/tracked_frame.py --against mlx-sam --mlx-sam FOLDER
    python benchmarks/tracked_frame.py --against torch --torch-python VENV/bin/python

mlx-sam asks for Python 3.14 but runs on others from a folder where its wheel was unpacked. The
torch reference needs an environment of its own; tests/parity/oracle.py says which.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Worker:
    """A system in a process of its own.

    Args:
        system: its name in peers.py.
        python: the interpreter.
        folders: what its PYTHONPATH holds.
    """

    def __init__(self, system: str, python: str, folders: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        self._process = subprocess.Popen(
            [python, str(HERE / "peers.py"), system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, order: str) -> dict[str, Any]:
        """Send an order and wait for its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a worker ended with code {self._process.wait()}")
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def start(options: argparse.Namespace) -> dict[str, Worker]:
    """Start ours and the systems asked for."""
    root = str(HERE.parent)
    workers = {"ours": Worker("ours", sys.executable, [root])}
    for system in options.against:
        if system == "torch":
            workers[system] = Worker(system, options.torch_python, [])
        else:
            workers[system] = Worker(system, sys.executable, [root, options.mlx_sam])
    return workers


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest run by the clock, with the least processor time of all."""
    fastest = min(runs, key=lambda run: run["seconds"])
    return {**fastest, "cpu_seconds": min(run["cpu_seconds"] for run in runs)}


def main() -> None:
    """Run, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", nargs="*", default=[], choices=["mlx-sam", "torch"])
    parser.add_argument("--mlx-sam", default="", help="folder with the unpacked wheel")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    workers = start(options)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for round_number in range(options.rounds + 1):
        for name, worker in workers.items():
            run = worker.ask(f"run {options.objects}")
            if round_number:  # the first one warms up
                runs[name].append(run)
    results = {name: best(found) for name, found in runs.items()}
    for name, worker in workers.items():
        results[name]["primitives"] = worker.ask("primitives")["primitives"]
        worker.close()
    print(
        f"{'system':<10}{'encode':>9}{'track':>9}{'remember':>9}{'frame s':>9}{'cpu s':>9}", end=""
    )
    print(f"{'peak MB':>9}{'primitives':>12}{'times ours':>12}")
    for name, found in results.items():
        peak = f"{found['peak_bytes'] / 1e6:.0f}" if "peak_bytes" in found else "-"
        stages = "".join(
            f"{found[key]:>9.2f}" for key in ("encode", "track", "remember", "seconds")
        )
        ratio = found["seconds"] / results["ours"]["seconds"]
        print(f"{name:<10}{stages}{found['cpu_seconds']:>9.2f}{peak:>9}", end="")
        print(f"{found['primitives'] or '-':>12}{ratio:>12.2f}")
    print(json.dumps({"machine": platform.processor(), "objects": options.objects, **results}))


if __name__ == "__main__":
    main()
