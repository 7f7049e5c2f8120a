"""`sam2-mlx bench`: how fast, and how much memory, on this machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sam2_mlx import __version__
from sam2_mlx.cli.arguments import CommandParser

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

Counts of the work, and other systems beside this one: benchmarks/count_work.py and
benchmarks/tracked_frame.py of the repository.
"""

_COLUMNS = (
    ("median ms", "median_s", 1e3, 1),
    ("best ms", "best_s", 1e3, 1),
    ("peak MB", "peak_bytes", 1e-6, 0),
)
_WIDTH = 11


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0."""
    options = _parser().parse_args(argv)
    if min(options.rounds, options.frames, *options.objects) < 1:
        raise ValueError(
            "--objects, --frames and --rounds start at 1; got "
            f"{options.objects}, {options.frames} and {options.rounds}"
        )
    _measure(options)
    return 0


class _Elsewhere(argparse.Action):
    """An option that went with what it was for."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        parser.error(f"{option} is in the repository now: python -m benchmarks.{self.const}")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("bench", "Measure this package on this machine.", _EXAMPLES)
    add = parser.add_argument
    add("--model", default="nano", help="a name, a folder, a file, or all (default: nano)")
    add("--what", nargs="+", choices=WHAT, help="what to measure (default: all of it)")
    add("--dtype", default="auto", help="auto, float32, float16 or bfloat16")
    add("--image-size", type=int, metavar="PIXELS", help="input size; the model's own by default")
    add("--objects", type=int, nargs="+", default=[1, 4, 8], help="of a frame and a clip")
    add("--rounds", type=int, default=3, help="measured runs of each (default 3)")
    add("--frames", type=int, default=24, help="of the clip (default 24)")
    add("--json", action="store_true", help="print the JSON line only")
    moved: dict[str, Any] = {"action": _Elsewhere, "nargs": "*", "help": argparse.SUPPRESS}
    add("--chip", const="count_work", **moved)
    add("--against", const="tracked_frame", **moved)
    return parser


def _measure(options: argparse.Namespace) -> None:
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory
    from sam2_mlx.ops.cpu.rehearsal import compile_at_once

    keep_freed_memory()
    compile_at_once()
    from sam2_mlx.cli.bench.models import find_model, model_names
    from sam2_mlx.cli.bench.timing import make_run, measure
    from sam2_mlx.ops.profile import active

    names = model_names(options.model)
    size = options.image_size
    first = find_model(names[0], options.dtype, size)  # if it is a mistake, before measuring
    report: dict[str, Any] = {**this_setup(), "results": []}
    _say(options, _title(report))
    for index, name in enumerate(names):
        model, origin = find_model(name, options.dtype, size) if index else first
        kind = str(model.dtype).rpartition(".")[2]
        side = model.config.image_size
        about = {"model": name, "weights": origin, "dtype": kind, "image_size": side}
        about["profile"] = active().chosen()
        start = "\n" if index else ""
        tuned = f", tuned: {active()}" if active().chosen() else ""
        _say(options, f"{start}{name} at {side}, {kind}, {origin}{tuned}")
        _say(options, f"{'what':<28}" + "".join(f"{head:>{_WIDTH}}" for head, *_ in _COLUMNS))
        wanted = options.what or WHAT[: None if model.config.follows else 2]
        for what, case in cases(wanted, options.objects, options.frames):
            times = measure(make_run(what, model, case), options.rounds)
            report["results"].append({**about, "what": what, **case, **times})
            _say(options, f"{case_name(what, case):<28}" + _cells(times))
        del model
    print(json.dumps(report))


def cases(
    wanted: Sequence[str], objects: list[int], frames: int
) -> Iterator[tuple[str, dict[str, int]]]:
    """Every measurement that the options ask for.

    Args:
        wanted: some of "image", "encoder", "frame", "clip".
        objects: numbers of objects for a frame and a clip.
        frames: of the clip.

    Yields:
        One of `wanted`, with its options by name.
    """
    for what in wanted:
        if what == "frame":
            yield from ((what, {"memories": m, "objects": n}) for m in (1, 7) for n in objects)
        elif what == "clip":
            yield from ((what, {"objects": n, "frames": frames}) for n in objects)
        else:
            yield what, {}


def case_name(what: str, case: dict[str, int]) -> str:
    """A measurement in a few words."""
    parts = [f"{case[key]} {key[:3]}." for key in ("memories", "objects") if key in case]
    return ", ".join([what, *parts])


def this_setup() -> dict[str, Any]:
    """What the numbers were measured on, as plain values."""
    from sam2_mlx.ops import runtime

    about = runtime.describe()
    return {
        "version": __version__,
        "mlx": version("mlx"),
        "device": about["device"],
        "processor": about["device_name"] or _processor(),
        "cores": os.cpu_count(),
        "blas": about["blas"]["origin"],
    }


def _title(report: dict[str, Any]) -> str:
    return (
        f"sam2_mlx {report['version']}, MLX {report['mlx']} on the {report['device']}: "
        f"{report['cores']} cores, {report['processor']}"
    )


def _cells(times: dict[str, Any]) -> str:
    return "".join(
        f"{times[key] * scale:>{_WIDTH}.{digits}f}" for _, key, scale, digits in _COLUMNS
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text, flush=True)
