"""`sam2-mlx bench`: how fast, how much memory, how much work, and the least time it could take."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sam2_mlx.cli.arguments import OneLineParser

WHAT = ("image", "encoder", "frame", "clip")

_EXAMPLES = """\
what is measured
  image    one picture and one click, from the picture to the masks
  encoder  the image encoder alone
  frame    one tracked frame (encode, track, remember) at 1 and 7 memories, 16 pointers
  clip     the bundled clip from the file to masks, a frame

examples
  sam2-mlx bench
  sam2-mlx bench --model tiny --what frame --objects 1 4 8
  sam2-mlx bench --model all --rounds 0          (count only; nothing is run)
  sam2-mlx bench --against torch --torch-python VENV/bin/python --model tiny
"""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments after `bench`.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, OSError: for a mistake in the arguments.
    """
    options = _parser().parse_args(argv)
    _check(options)
    return _against(options) if options.against else _measure(options)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="sam2-mlx bench",
        description="Measure this package on this machine, and count its work.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default="nano", help="a name, a folder, a file, or all (default: nano)")
    add("--what", nargs="+", choices=WHAT, help="what to measure (default: all of it)")
    add("--dtype", default="auto", help="auto, float32, float16 or bfloat16")
    add("--image-size", type=int, metavar="PIXELS", help="input size; the model's own by default")
    add("--objects", type=int, nargs="+", default=[1, 4, 8], help="of a frame and a clip")
    add("--rounds", type=int, default=3, help="measured runs of each (default 3); 0 only counts")
    add("--frames", type=int, default=24, help="of the clip (default 24)")
    add("--chip", default="M2 Max", help="say the least time for this Apple chip (M2 Max)")
    add("--json", action="store_true", help="print the JSON line only")
    add(
        "--against", nargs="+", default=[], metavar="SYSTEM", help="mlx-sam, torch: a frame in turn"
    )
    add("--mlx-sam", default="", metavar="FOLDER", help="where the wheel of mlx-sam was unpacked")
    add("--torch-python", default=sys.executable, metavar="PYTHON", help="one that has torch")
    return parser


def _check(options: argparse.Namespace) -> None:
    from sam2_mlx.cli.bench.side_by_side import PEERS

    if options.rounds < 0 or options.frames < 1 or min(options.objects) < 1:
        raise ValueError(
            "--objects and --frames start at 1, --rounds at 0; got "
            f"{options.objects}, {options.frames} and {options.rounds}"
        )
    unknown = [system for system in options.against if system not in PEERS]
    if unknown:
        raise ValueError(f"--against takes {', '.join(PEERS)}; got {unknown[0]!r}")


def _measure(options: argparse.Namespace) -> int:
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory

    keep_freed_memory()
    from sam2_mlx.cli.bench.chips import find_chip, this_machine
    from sam2_mlx.cli.bench.models import find_model, model_names
    from sam2_mlx.cli.bench.record import cases, record
    from sam2_mlx.cli.bench.report import describe, header, row, title

    gpu = find_chip(options.chip)
    names = model_names(options.model)
    ask = {"dtype": options.dtype, "image_size": options.image_size}
    ask["counted_only"] = options.rounds == 0
    first = find_model(names[0], **ask)  # before anything is measured, if it is a mistake
    chips = (this_machine(), gpu)
    report: dict[str, Any] = {**describe(chips), "results": []}
    _say(options, title(report))
    for index, name in enumerate(names):
        model, origin = find_model(name, **ask) if index else first
        size = model.config.image_size
        kind = str(model.dtype).rpartition(".")[2]
        about = {"model": name, "weights": origin, "dtype": kind, "image_size": size}
        _say(options, ("\n" if index else "") + f"{name} at {size}, {kind}, {origin}")
        _say(options, header(gpu))
        wanted = [what for what in options.what or WHAT if model.memory or what in WHAT[:2]]
        for what, case in cases(wanted, options.objects, options.frames):
            found = {**about, **record(what, case, model, options.rounds, chips)}
            report["results"].append(found)
            _say(options, row(found, gpu))
        del model
    print(json.dumps(report))
    return 0


def _against(options: argparse.Namespace) -> int:
    from sam2_mlx.cli.bench.report import describe
    from sam2_mlx.cli.bench.side_by_side import check_peers, compare, render, start

    if options.what not in (None, ["frame"]):
        raise ValueError(f"--against runs a frame; got --what {' '.join(options.what)}")
    if options.dtype not in ("auto", "float32"):
        raise ValueError(f"--against runs in float32; got {options.dtype!r}")
    spec = {"model": options.model, "image_size": options.image_size or 1024}
    peers = (list(dict.fromkeys(options.against)), options.mlx_sam, options.torch_python, spec)
    check_peers(*peers)
    report: dict[str, Any] = {**describe(None), **spec, "dtype": "float32", "comparisons": []}
    for objects in options.objects:
        results = compare(start(*peers), objects, max(options.rounds, 1))
        report["comparisons"].append({"objects": objects, **results})
        _say(
            options,
            f"one tracked frame of {spec['model']} at {spec['image_size']}, float32, seeded random "
            f"weights, 7 memories, 16 pointers, objects: {objects}",
        )
        _say(options, render(results))
    print(json.dumps(report))
    return 0


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text, flush=True)
