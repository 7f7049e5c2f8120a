"""Breaks a copy of the package in small ways and says which test catches each: `make mutants`.

    python -m tests.mutants [ROOM ...]

ROOM is a folder of sam2_mlx, such as live; all of them without one. `faults/` holds the faults.
Fails when a fault survives its test, when its text is gone from the source, or when a test fails
without any fault.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.faults import FAULTS
from tests.faults.fault import Fault

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("sam2_mlx", "tests", "benchmarks", "demos", "pyproject.toml")
PATIENCE = 120
"""Seconds for one test; a fault that hangs is caught as well."""

PASSED, FAILED = 0, 1  # of pytest


def main(rooms: list[str]) -> int:
    """Try the faults; 0 when each is caught."""
    faults = [fault for fault in FAULTS if not rooms or fault.room in rooms]
    workers = min(2, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            copies.put(copy_of_the_tree(Path(folder) / str(number)))
        first = copies.get()
        whole = run_tests(first, sorted({fault.test for fault in faults}), patience=600)
        copies.put(first)
        if whole != PASSED:
            print("the tests fail without any fault; run them first")
            return 1
        with ThreadPoolExecutor(workers) as pool:
            verdicts = list(pool.map(lambda fault: _try_in_turn(fault, copies), faults))
    missed = [verdict for verdict in verdicts if not verdict]
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} faults are caught")
    return 1 if missed else 0


def copy_of_the_tree(target: Path) -> Path:
    """Copy what the tests need, without what Python has compiled."""
    target.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)
    return target


def _try_in_turn(fault: Fault, copies: SimpleQueue[Path]) -> bool:
    tree, start = copies.get(), time.monotonic()
    try:
        verdict = verdict_of(fault, tree)
    finally:
        copies.put(tree)
    seconds = time.monotonic() - start
    print(f"{verdict:<10}{seconds:5.0f} s  {fault.file}: {fault.what}", flush=True)
    return verdict == "caught"


def verdict_of(fault: Fault, tree: Path) -> str:
    """Break the tree, run the fault's test, and mend the tree.

    Args:
        fault: what to break.
        tree: a copy of the repository.

    Returns:
        "caught", "SURVIVES", "GONE" where the text does not stand once in the file, or "NO TEST".
    """
    path = tree / "sam2_mlx" / fault.file
    whole = path.read_text(encoding="utf-8") if path.is_file() else ""
    if whole.count(fault.text) != 1:
        return "GONE"
    path.write_text(whole.replace(fault.text, fault.replacement), encoding="utf-8")
    try:
        code = run_tests(tree, [fault.test], PATIENCE)
    finally:
        path.write_text(whole, encoding="utf-8")
    return {PASSED: "SURVIVES", FAILED: "caught"}.get(code, "NO TEST")


def run_tests(tree: Path, tests: list[str], patience: float) -> int:
    """Run tests in a tree.

    Args:
        tree: a copy of the repository.
        tests: files or single tests, from the tree's root.
        patience: seconds after which they count as failed.

    Returns:
        pytest's exit code.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # A source and the text compiled from it may be of one size and one second.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [*command, *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        return FAILED
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
