"""Spoiled files, many of them: `python -m tests.fuzz`, which `make fuzz` runs for ten minutes.

Half of the cases are the same in every run, half are new; the seed of the new ones is printed,
and `--seed` does them again. Cases are done in other processes, with limits on time and memory.
Exit code 1 if one ended in a traceback, a hang, a crash, a growth over 500 MB, or ran something.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import CPU_SECONDS

OUTCOMES = ("loaded", "refused", "traceback", "slow", "grew", "died", "executed")
_GOOD = ("loaded", "refused")
_WALL_SECONDS = 10 * CPU_SECONDS


class Worker:
    """A process that does cases, started again when one ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def do(self, kind: str, case: int) -> tuple[str, str]:
        """Do a case; returns its outcome and details."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{kind} {case}\n")
        process.stdin.flush()
        watch = threading.Timer(_WALL_SECONDS, process.kill)
        watch.start()
        answer = process.stdout.readline()
        watch.cancel()
        if answer:
            outcome, detail = json.loads(answer)
            return outcome, detail
        code = self.close()
        # 9: by the watch, 24: by the limit on processor time.
        return ("slow" if code in (-9, -24) else "died"), f"ended with {code}"

    def close(self) -> int:
        """End the process; returns its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            process.communicate()
        except BrokenPipeError:
            pass  # it has ended already
        return process.wait()


def cases(start: int, seed: int) -> Iterator[int]:
    """Numbers of cases: the same ones as always and new ones, in turn."""
    for number in count():
        yield start + number
        yield seed + number


def campaign(
    kind: str, numbers: Iterator[int], most: int, end: float
) -> tuple[Counter[str], list[str]]:
    """Do cases of one kind.

    Args:
        kind: its name.
        numbers: of the cases.
        most: how many cases.
        end: when to stop, on the monotonic clock.

    Returns:
        How often each outcome came, and a line for each bad one.
    """
    worker, outcomes, bad = Worker(), Counter[str](), []
    for _, case in zip(range(most), numbers, strict=False):
        if time.monotonic() > end:
            break
        outcome, detail = worker.do(kind, case)
        outcomes[outcome] += 1
        if outcome not in _GOOD:
            bad.append(f"{kind} --case {case}: {outcome}: {detail}")
            print(bad[-1], flush=True)
    worker.close()
    return outcomes, bad


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all")
    parser.add_argument("--seconds", type=float, default=560, help="for all of it (560)")
    parser.add_argument("--cases", type=int, default=10**9, help="of each kind, at most")
    parser.add_argument("--seed", type=int, default=secrets.randbits(40), help="of the new cases")
    parser.add_argument("--start", type=int, default=0, help="number of the first known case (0)")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=2, help="kinds at the same time (2)")
    args = parser.parse_args()
    kinds = args.kinds or list(KINDS)
    if args.case is not None:
        print(*(f"{kind}: {': '.join(Worker().do(kind, args.case))}" for kind in kinds), sep="\n")
        return 0
    print(f"seed {args.seed}", flush=True)
    begin = time.monotonic()
    rounds = -(-len(kinds) // args.jobs)

    def run(kind: str) -> tuple[Counter[str], list[str]]:
        end = time.monotonic() + args.seconds / rounds
        return campaign(kind, cases(args.start, args.seed), args.cases, end)

    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(run, kinds))
    print(f"{'':14}", *(f"{name:>10}" for name in ("cases", *OUTCOMES)))
    for kind, (outcomes, _) in zip(kinds, results, strict=True):
        numbers = (outcomes.total(), *(outcomes[name] for name in OUTCOMES))
        print(f"{kind:14}", *(f"{number:10}" for number in numbers))
    print(f"seed {args.seed}, {time.monotonic() - begin:.0f} s")
    return 1 if any(bad for _, bad in results) else 0


if __name__ == "__main__":
    sys.exit(main())
