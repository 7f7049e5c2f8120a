"""One tracked frame (encode, track, remember) of SAM 2.1 tiny at 1024, beside other systems.

Seven memories, 16 pointers (64 tokens), float32, one process a system, runs in turn, so that a
noisy machine is noisy to all. Prints a table for people and one JSON line for scripts.

    python benchmarks/tracked_frame.py
    python benchmarks/tracked_frame.py --against mlx-sam --mlx-sam FOLDER
    python benchmarks/tracked_frame.py --against torch --torch-python VENV/bin/python

mlx-sam asks for Python 3.14 but runs on others from a folder where its wheel was unpacked. The
torch reference needs an environment of its own; tests/parity/oracle.py says which. The same, with
other models and sizes: `sam2-mlx bench --against ...`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

SPEC = {"model": "tiny", "image_size": 1024}


def main() -> int:
    """Run, print, compare."""
    # Also from a checkout that is not installed.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from sam2_mlx.cli.bench.side_by_side import PEERS, check_peers, compare, render, start

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", nargs="*", default=[], choices=PEERS)
    parser.add_argument("--mlx-sam", default="", help="folder with the unpacked wheel")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peers = (options.against, options.mlx_sam, options.torch_python, SPEC)
    try:
        check_peers(*peers)
        results = compare(start(*peers), options.objects, options.rounds)
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(render(results))
    print(json.dumps({"machine": platform.processor(), "objects": options.objects, **results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
