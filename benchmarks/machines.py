"""Builds docs/machines.md from reports that `sam2-mlx report` wrote.

python -m benchmarks.machines            # from docs/machines/*.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sam2_mlx.files import read_json

ROOT = Path(__file__).resolve().parent.parent
_SHOWN = ("frame, 7 mem., 1 obj.", "frame, 7 mem., 8 obj.", "clip, 1 obj.", "image")
_HEAD = f"""# Machines

Reports that people sent (`sam2-mlx report`; nothing in them is personal), made into a table by
`python -m benchmarks.machines`. Times are medians in milliseconds, of one tracked frame with seven
memories, of a frame of the bundled clip from the file to its masks, and of a picture with a click.
In brackets the floor of a tracked frame: its products at the speed of float32 products there.
No row is an estimate; a Mac's is here once somebody sent one.

| machine | system, MLX | model, dtype | GFLOP/s | {" | ".join(_SHOWN)} | kernels | selftest |
|---|---|---|---|{"---|" * len(_SHOWN)}---|---|
"""


def main(argv: list[str] | None = None) -> int:
    """Write the page; 2 for a file that is no report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "machines")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "machines.md")
    options = parser.parse_args(argv)
    try:
        rows = [read_row(path) for path in sorted(options.folder.glob("*.json"))]
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    options.page.write_text(_HEAD + "".join(rows), encoding="utf-8")
    return 0


def read_row(path: Path) -> str:
    """The line of the table for one report.

    Raises:
        ValueError: if it is none.
    """
    try:
        report: Any = read_json(path)
        return row(report)
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ValueError(f"{path.name} is no file of `sam2-mlx report`: {problem}") from problem


def row(report: dict[str, Any]) -> str:
    """A report as a line of the table."""
    if report["format_version"] != 1:
        raise ValueError(f"its format has version {report['format_version']}, not 1")
    times = {each["what"]: each for each in report["bench"]}
    about = report["bench"][0]
    gigabytes = report["memory_bytes"] / 2**30
    failed = len(report["selftest"]["failed"])
    memory = f", {gigabytes:.0f} GiB" if gigabytes else ""
    cells = [
        f"{report['device_name'] or report['device']}{memory}, {report['cores']} cores",
        f"{report['system']}, {report['packages']['mlx']}",
        f"{about['model']} at {about['image_size']}, {about['dtype']}",
        f"{report['gflops']:.0f}",
        *(_cell(times.get(what)) for what in _SHOWN),
        report["kernels"],
        "; ".join([f"{failed} failed" if failed else "agrees", *_official(report)]),
    ]
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |\n"


def _official(report: dict[str, Any]) -> list[str]:
    """What `selftest --official` gave there: none in reports of earlier versions."""
    return [
        f"{key.partition(',')[0]}: {each['total'] - len(each['off'])} of {each['total']} published"
        for key, each in report.get("official", {}).items()
    ]


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return ""
    floor = f" ({1e3 * measured['floor_s']:.1f})" if "floor_s" in measured else ""
    return f"{1e3 * measured['median_s']:.1f}{floor}"


if __name__ == "__main__":
    sys.exit(main())
