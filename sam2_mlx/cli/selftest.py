"""`sam2-mlx selftest`: every custom kernel against plain MLX, at real sizes, on this machine.

Without Metal the plain-MLX twins are compared with numpy instead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sam2_mlx.cli.arguments import DTYPES, CommandParser


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0 if everything agrees, else 1."""
    options = _parser().parse_args(argv)
    if options.bundle is not None:
        return _check(options.bundle)
    from sam2_mlx.cli.kernel_cases import compare

    failed = compare([options.dtype] if options.dtype else DTYPES, options.quick)
    if failed:
        print(f"{len(failed)} of the comparisons failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print("everything agrees")
    return 0


def _check(folder: Path) -> int:
    from sam2_mlx.exporting.bundle import check_bundle, read_bundle

    for name, error in check_bundle(read_bundle(folder), folder).items():
        print(f"{name:8} off by {error:.1e} of its largest value")
    print("the bundle gives what its model gives")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "selftest",
        "Compare every custom Metal kernel with plain MLX on this machine, and the "
        "speed of both. Without Metal, compare plain MLX with numpy.",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="only this one")
    parser.add_argument(
        "--bundle", metavar="FOLDER", type=Path, help="prove a bundle of sam2-mlx export instead"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; speed means little")
    return parser
