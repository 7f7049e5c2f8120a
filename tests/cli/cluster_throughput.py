"""How much two Dask workers do in the time of one: `python -m tests.cli.cluster_throughput`.

Two clusters on this machine, of one worker and of two with one lane each, which take the same clips
in turn; prints a row for docs/scaling.md. Models are loaded before the clock starts. Also says how
much processor time all processes took: where that is more with two workers, they are in each
other's way, and where it is more than one core with one worker, two cannot do twice as much.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import tempfile
from pathlib import Path

from tests.cli.cluster_campaign import Machines, draw_jobs, start_batch

_TICKS = 100  # a second, in /proc


def main() -> None:
    """Measure, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    # Seconds by the clock, and of the processor.
    taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        jobs = draw_jobs(place, [args.frames] * args.clips)
        clusters: dict[int, Machines] = {}
        try:
            for count in taken:
                (place / str(count)).mkdir()
                clusters[count] = Machines(place / str(count))
                for _ in range(count):
                    clusters[count].start_worker()
                clusters[count].wait_for_workers(count)
            for turn in range(args.rounds + 1):
                for count, machines in clusters.items():
                    seconds = _seconds(jobs, place / "out", machines)
                    if turn:
                        taken[count].append(seconds)
        finally:
            for machines in clusters.values():
                machines.close()
    for count, turns in taken.items():
        clock, processor = (statistics.median(values) for values in zip(*turns, strict=True))
        print(f"{count} worker(s): {clock:.1f} s by the clock, {processor:.1f} s of processor")
    ratios = [one[0] / two[0] for one, two in zip(*taken.values(), strict=True)]
    listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"two do {statistics.median(ratios):.2f} times as much as one ({listed})")


def _seconds(jobs: Path, out: Path, machines: Machines) -> tuple[float, float]:
    """What the report says that the clips took, and the processor time of all processes."""
    more = ["--image-size", "256", "--dask", machines.address]
    before = _processor(machines)
    said, problem = start_batch(jobs, out, *more).communicate()
    assert "failed" not in said, said + problem
    seconds = json.loads((out / "report.json").read_text())["seconds"]
    shutil.rmtree(out)
    return float(seconds), _processor(machines) - before


def _processor(machines: Machines) -> float:
    """Processor time of a cluster so far, and of commands that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = sum(_with_children(process.pid) for process in machines.processes)
    return ended.ru_utime + ended.ru_stime + alive / _TICKS


def _with_children(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for file in tasks for child in file.read_text().split()]
    return sum(map(int, fields[11:13])) + sum(map(_with_children, children))


if __name__ == "__main__":
    main()
