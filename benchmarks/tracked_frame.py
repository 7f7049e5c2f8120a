"""One tracked frame (encode, track, remember), beside other systems.

Seven memories, 16 pointers (64 tokens), float32, seeded weights, one process a system, runs in
turn, so that a noisy machine is noisy to all. Prints a table for people and a JSON line for
scripts.

    python -m benchmarks.tracked_frame
    python -m benchmarks.tracked_frame --model small --image-size 512 --objects 1 8
    python -m benchmarks.tracked_frame --against edgetam
    python -m benchmarks.tracked_frame --model edgetam --objects 1 8
    python -m benchmarks.tracked_frame --against mlx-sam --mlx-sam FOLDER
    python -m benchmarks.tracked_frame --against torch --torch-python VENV/bin/python

mlx-sam asks for Python 3.14 but runs on others from a folder where its wheel was unpacked. The
torch reference needs an environment of its own; tests/parity/oracle.py says which.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.side_by_side import PEERS, check_peers, compare, render, start
from sam2_mlx.cli.bench.command import this_setup


def main(argv: list[str] | None = None) -> int:
    """Run, print, compare; 2 for a mistake in the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny", help="of SAM 2.1, or edgetam (default: tiny)")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--objects", type=int, nargs="+", default=[1], help="followed at once")
    parser.add_argument("--rounds", type=int, default=3, help="measured runs (default 3)")
    parser.add_argument("--against", nargs="*", default=[], choices=PEERS)
    parser.add_argument("--mlx-sam", default="", metavar="FOLDER", help="the unpacked wheel")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON")
    options = parser.parse_args(argv)
    spec = {"model": options.model, "image_size": options.image_size}
    against = list(dict.fromkeys(options.against))
    peers = (against, options.mlx_sam, options.torch_python, spec)
    try:
        if min(options.rounds, *options.objects) < 1:
            raise ValueError(
                f"--objects and --rounds start at 1; got {options.objects} and {options.rounds}"
            )
        check_peers(*peers)
        for objects in options.objects:
            results = compare(start(*peers), objects, options.rounds)
            print(f"{spec['model']} at {spec['image_size']}, objects: {objects}")
            print(render(results), flush=True)
            print(json.dumps({**this_setup(), **spec, "objects": objects, **results}), flush=True)
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
