"""`sam2-mlx selftest`: every custom kernel against plain MLX, at real sizes, on this machine.

Without Metal the plain-MLX twins are compared with numpy instead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sam2_mlx.cli.arguments import DTYPES, CommandParser, file_path


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0 if everything agrees, else 1."""
    options = _parser().parse_args(argv)
    from sam2_mlx.ops.precision import hold_float32

    hold_float32()
    if options.bundle is not None:
        return _check(options.bundle)
    if options.official is not None:
        from sam2_mlx.cli.official import check_official

        return check_official(options.official, options.table)
    from sam2_mlx.cli.kernel_cases import compare

    failed = compare([options.dtype] if options.dtype else DTYPES, options.quick)
    if failed:
        print(f"{len(failed)} of the comparisons failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print("everything agrees")
    return 0


def _check(folder: Path) -> int:
    from sam2_mlx.apps.exporting.bundle import check_bundle, read_bundle

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
    parser.add_argument(
        "--official",
        metavar="MODEL",
        nargs="?",
        const="tiny",
        help="fetch official weights and pictures instead, and compare with numbers that others "
        "published (tiny, edgetam, sam1-vit-b; default tiny)",
    )
    parser.add_argument(
        "--table", metavar="FILE", type=file_path, help="numbers for --official in a file of yours"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; speed means little")
    return parser
