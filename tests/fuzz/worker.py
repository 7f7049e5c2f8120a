"""One process that spoils files and uses them, and tells what came of it.

`python -m tests.fuzz.worker` reads a kind and a case's number from each line of stdin, makes the
file from them, uses it, and answers with a line of JSON. A case that hangs or crashes ends the
process.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.kinds import KINDS, Kind

CPU_SECONDS = 20
GROWTH_MB = 500
_CEILING = 4 * 2**30


def main() -> None:
    """Do the cases that come on stdin."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + _CEILING, hard))
    for line in sys.stdin:
        kind, case = line.split()
        with tempfile.TemporaryDirectory() as name:
            outcome, detail = do_case(KINDS[kind], int(case), Path(name))
        print(json.dumps([outcome, detail]), file=answers, flush=True)


def do_case(kind: Kind, case: int, folder: Path) -> tuple[str, str]:
    """Make one spoiled file and use it.

    Args:
        kind: of the file.
        case: its number; the same number gives the same file.
        folder: an empty folder to work in.

    Returns:
        `loaded`, `refused`, `traceback`, `slow`, `grew` or `executed`, and the details.
    """
    (folder / "file").mkdir()
    path = kind.spoil(random.Random(case), folder / "file")
    before, home = _status("VmRSS"), os.getcwd()
    _forget_peak()
    begin = time.process_time()
    limits = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(begin) + CPU_SECONDS + 1, limits[1]))
    os.chdir(folder)
    try:
        outcome, detail = _used(kind, path)
    finally:
        os.chdir(home)
        resource.setrlimit(resource.RLIMIT_CPU, limits)
    seconds = time.process_time() - begin
    growth = (_status("VmHWM") - before) / 2**20
    if any(folder.rglob("executed")):
        return "executed", detail
    if growth > GROWTH_MB:
        return "grew", f"{growth:.0f} MB; {detail}"
    if seconds > CPU_SECONDS:
        return "slow", f"{seconds:.0f} s; {detail}"
    return outcome, detail


def _used(kind: Kind, path: Path) -> tuple[str, str]:
    try:
        kind.use(path)
    except (ValueError, OSError) as problem:
        # What a command prints: one line, and nothing that a terminal would obey.
        text = str(problem)
        clean = text.isprintable() and len(text) < 3000
        return ("refused" if clean else "traceback"), f"{type(problem).__name__}: {text[:300]!r}"
    except Exception as problem:
        return "traceback", f"{type(problem).__name__}: {str(problem)[:300]!r}"
    return "loaded", ""


def _status(key: str) -> int:
    """Bytes of memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except OSError:
        return 0


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


if __name__ == "__main__":
    main()
