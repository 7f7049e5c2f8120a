"""How much two Dask workers do in the time of one: `python -m tests.cli.cluster_throughput`.

Two clusters on this machine, of one worker and of two with one lane each, which take the same clips
in turn; prints a row for docs/scaling.md. Models are loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from tests.cli.cluster_campaign import Machines, draw_jobs, start_batch


def main() -> None:
    """Measure, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        jobs = draw_jobs(place, [args.frames] * args.clips)
        clusters = {}
        for count in (1, 2):
            (place / str(count)).mkdir()
            clusters[count] = Machines(place / str(count))
            for _ in range(count):
                clusters[count].start_worker()
            clusters[count].wait_for_workers(count)
        try:
            seconds: dict[int, list[float]] = {count: [] for count in clusters}
            for turn in range(args.rounds + 1):
                for count, machines in clusters.items():
                    taken = _seconds(jobs, place / "out", machines.address)
                    if turn:
                        seconds[count].append(taken)
        finally:
            for machines in clusters.values():
                machines.close()
    one, two = (statistics.median(seconds[count]) for count in clusters)
    ratios = [f"{a / b:.2f}" for a, b in zip(*seconds.values(), strict=True)]
    print(f"one worker {one:.1f} s, two {two:.1f} s; times as fast: {', '.join(ratios)}")


def _seconds(jobs: Path, out: Path, address: str) -> float:
    """What the report says that the clips took."""
    more = ["--image-size", "256", "--dask", address]
    said, problem = start_batch(jobs, out, *more).communicate()
    assert "failed" not in said, said + problem
    seconds = json.loads((out / "report.json").read_text())["seconds"]
    shutil.rmtree(out)
    return float(seconds)


if __name__ == "__main__":
    main()
