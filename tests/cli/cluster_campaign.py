"""Kills parts of a Dask cluster on this machine while it works through clips; `-h` says how.

    python -m tests.cli.cluster_campaign --clips 50 --seed 1

Two Dask workers, one of which shares no folder with the others. Every few seconds one of the
workers, the scheduler or the command itself is killed (`kill -9`; only what was started here).
Prints a row for docs/scaling.md. Fails if a result is missing, was made twice, or differs by a byte
from that of one undisturbed process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.media.media_clips import Recipe, make_clip

ROOT = Path(__file__).resolve().parents[2]
MODEL = ["--model", "nano", "--image-size", "64"]
ALONE = "import sam2_mlx.cli.batch.remote as remote\nremote._is_shared = lambda path: False\n"
"""What a worker runs when it starts, to be on a machine that shares no folder."""
PATIENCE = 120


class Machines:
    """A scheduler and workers, each a process.

    Args:
        folder: for what they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    @property
    def address(self) -> str:
        """The scheduler's."""
        return str(json.loads(self.file.read_text())["address"])

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """A scheduler that can be asked."""
        self.file.unlink(missing_ok=True)
        words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        process = self._start(*words, "--scheduler-file", str(self.file))
        wait_for(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"))
        return process

    def start_worker(self, code: str = "", place: Path | None = None) -> subprocess.Popen[bytes]:
        """A worker that runs some code when any of its Python processes starts."""
        folder = self.folder / f"worker-{len(self.processes)}"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        words = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self._start(*words, "--local-directory", str(place or folder), path=folder)

    def wait_for_workers(self, count: int) -> None:
        """Return when so many workers are there."""
        from distributed import Client

        with Client(self.address, timeout=PATIENCE) as client:
            client.wait_for_workers(count, timeout=PATIENCE)

    def close(self) -> None:
        """End them all."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _start(self, *words: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        paths = [str(place) for place in (path, ROOT) if place]
        kind, *rest = words
        settings = {
            "PYTHONPATH": os.pathsep.join(paths),
            "SAM2_MLX_LANES": "1",
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *rest],
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process


def wait_for(condition: Callable[[], object]) -> None:
    """Return when a condition holds.

    Raises:
        AssertionError: if it does not come to hold.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def draw_jobs(folder: Path, frames: list[int]) -> Path:
    """Clips of so many frames each, and the list of jobs over them."""
    lines = []
    for number, count in enumerate(frames):
        make_clip(folder / f"{number}.mp4", Recipe(frames=count, size=(64, 64)))
        point = [10 + number % 40, 12 + number // 40]
        lines.append({"clip": f"{number}.mp4", "prompts": [{"points": [point]}]})
    jobs = folder / "jobs.jsonl"
    jobs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return jobs


def start_batch(jobs: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "sam2_mlx", "batch", str(jobs), "--out", str(out), *MODEL, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SAM2_MLX_LANES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(out: Path) -> dict[str, bytes]:
    """The content of all results."""
    return {path.name: path.read_bytes() for path in out.glob("*_masked.mp4")}


def done(out: Path) -> Counter[str]:
    """How often each job was done."""
    file = out / "manifest.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    entries = [json.loads(line) for line in lines if line.startswith('{"name"')]
    return Counter(entry["name"] for entry in entries if entry["state"] == "done")


class Campaign:
    """One run over clips with kills.

    Args:
        folder: for everything.
        clips: how many.
        seed: of frames, victims and pauses.
        pause: the shortest and the longest time between two kills, in seconds.
        limit: how many kills there are at most.

    Attributes:
        kills: how often something was killed, by kind.
    """

    def __init__(
        self,
        folder: Path,
        clips: int,
        seed: int,
        pause: tuple[float, float],
        limit: int = 10**6,
    ) -> None:
        self._dice = random.Random(seed)
        self._limit = limit
        self._pause = pause
        frames = [self._dice.randint(2, 4) for _ in range(clips)]
        self._jobs = draw_jobs(folder, frames)
        self._whole, self._out = folder / "whole", folder / "out"
        self._machines = Machines(folder)
        self._codes = {"worker": "", "worker alone": ALONE}
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: Counter[str] = Counter()

    def run(self) -> dict[str, float]:
        """Do it; the seconds of the undisturbed run and of the one with kills.

        Raises:
            AssertionError: if a result is missing, was made twice, or is another one.
        """
        begin = time.monotonic()
        out, said = start_batch(self._jobs, self._whole, "--workers", "1").communicate()
        assert "Traceback" not in said and "failed" not in out, said
        between = time.monotonic()
        try:
            while self._one_command() != 0:
                pass
        finally:
            self._machines.close()
        expected = results(self._whole)
        assert results(self._out) == expected
        assert set(done(self._out).values()) == {1} and len(done(self._out)) == len(expected)
        return {"undisturbed": between - begin, "with kills": time.monotonic() - between}

    def _one_command(self) -> int:
        """Run the command until it ends or is killed; its exit code."""
        self._revive()
        process = start_batch(self._jobs, self._out, "--dask", self._machines.address)
        while True:
            try:
                out, said = process.communicate(timeout=self._dice.uniform(*self._pause))
            except subprocess.TimeoutExpired:
                if self._limit:
                    self._kill(process)
                continue
            assert "Traceback" not in said and process.returncode in (-9, 0, 2), out + said
            return process.returncode

    def _kill(self, command: subprocess.Popen[str]) -> None:
        victim = self._dice.choices(
            ["worker", "worker alone", "scheduler", "command"], [6, 6, 1, 2]
        )[0]
        self.kills[victim] += 1
        self._limit -= 1
        if victim == "command":
            command.kill()
        elif victim == "scheduler":
            self._machines.scheduler.kill()
        else:
            worker = self._workers[victim]
            worker.kill()
            worker.wait()
            self._revive()

    def _revive(self) -> None:
        if self._machines.scheduler.poll() is not None:
            for worker in self._workers.values():
                worker.kill()
                worker.wait()
            self._machines.scheduler = self._machines.start_scheduler()
        for kind, code in self._codes.items():
            worker = self._workers.get(kind)
            if worker is None or worker.poll() is not None:
                self._workers[kind] = self._machines.start_worker(code)


def main() -> None:
    """Run one campaign and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, nargs=2, default=(4, 10), help="between kills, in s")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), args.clips, args.seed, tuple(args.pause))
        seconds = campaign.run()
    kills = ", ".join(f"{count} {kind}" for kind, count in sorted(campaign.kills.items()))
    times = " | ".join(f"{value:.0f} s" for value in seconds.values())
    print(f"| {args.seed} | {args.clips} | {kills} | {times} | all once, equal |")


if __name__ == "__main__":
    main()
