"""Counts the work of a model from its traced graph, and says the least time that it could take.

    python -m benchmarks.count_work
    python -m benchmarks.count_work --model all --what encoder frame --dtype float16 --chip "M4 Max"

Nothing is run but a matrix product and an addition, for the rates of this machine. Prints a table
for people and one JSON line for scripts; docs/benchmarks.md says what the columns are.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import sam2_mlx  # noqa: F401  (before MLX, whose BLAS it chooses)

# isort: split
import mlx.core as mx

from benchmarks.chips import Chip, find_chip, this_machine
from benchmarks.gpu_form import as_on_gpu, hollow, hollow_model
from benchmarks.graph import count_primitives, count_work
from benchmarks.steps import make_step
from sam2_mlx.checkpoints.load import load, resolve_dtype
from sam2_mlx.cli.bench.command import case_name, cases, this_setup
from sam2_mlx.cli.bench.models import model_names
from sam2_mlx.config import MODELS, ModelConfig

WHAT = ("image", "encoder", "frame")
"""What is one graph; a clip is many."""

_COLUMNS = (
    ("GFLOP", "flops", 1e-9, 1),
    ("MB moved", "bytes", 1e-6, 0),
    ("primitives", "primitives", 1, 0),
    ("launches", "launches", 1, 0),
    ("floor ms", "roofline_s", 1e3, 1),
)


def main(argv: list[str] | None = None) -> int:
    """Count, print; 2 for a mistake in the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="nano", help="a name, a folder, a file, or all")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--chip", default="M2 Max", help="the Apple chip of the last column")
    options = parser.parse_args(argv)
    try:
        _print_counts(options)
    except (ValueError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


def _print_counts(options: argparse.Namespace) -> None:
    gpu, dtype = find_chip(options.chip), resolve_dtype(options.dtype)
    chips = (this_machine(), gpu)
    rates = {c.name: {"gflops": c.flops / 1e9, "gbytes": c.bandwidth / 1e9} for c in chips}
    report: dict[str, Any] = {**this_setup(), "rates": rates, "results": []}
    here = rates[chips[0].name]
    print(f"{here['gflops']:.0f} GFLOP/s, {here['gbytes']:.0f} GB/s ({chips[0].name})")
    for name in model_names(options.model):
        config = _config(name).with_image_size(options.image_size)
        kind = str(dtype).rpartition(".")[2]
        print(f"\n{name} at {config.image_size}, {kind}\n{_header(gpu)}")
        wanted = [what for what in options.what if config.follows or what != "frame"]
        for what, case in cases(wanted, options.objects, 0):
            counts = count(what, case, config, dtype, chips)
            about = {"model": name, "dtype": kind, "image_size": config.image_size}
            report["results"].append({**about, "what": what, **case, **counts})
            print(_row(case_name(what, case), counts, gpu), flush=True)
    print(json.dumps(report))


def _config(name: str) -> ModelConfig:
    return MODELS[name] if name in MODELS else load(name).config


def count(
    what: str,
    options: dict[str, int],
    config: ModelConfig,
    dtype: mx.Dtype,
    chips: tuple[Chip, Chip],
) -> dict[str, Any]:
    """Count one case in the form for this device, and in the form for an Apple GPU.

    Args:
        what: one of `WHAT`.
        options: for a frame, `memories` and `objects`.
        config: dimensions of the model.
        dtype: of its weights.
        chips: this machine, and the GPU to say the least time for.

    Returns:
        Plain values; `gpu` has those of the form for a GPU.
    """
    here, gpu = chips
    with as_on_gpu():
        counts = {**_count(what, options, config, dtype, gpu), "chip": gpu.name}
    with as_on_gpu(compiled=True):
        bare = hollow_model(config, dtype)
        compiled = count_primitives(make_step(what, bare, options, hollow)())
    counts |= dict(zip(("compiled_primitives", "compiled_launches"), compiled, strict=True))
    return {**_count(what, options, config, dtype, here), "gpu": counts}


def _count(
    what: str,
    options: dict[str, int],
    config: ModelConfig,
    dtype: mx.Dtype,
    chip: Chip,
) -> dict[str, Any]:
    bare = hollow_model(config, dtype)
    step = make_step(what, bare, options, hollow)
    work = count_work(step.function, step.arrays)
    primitives, launches = count_primitives(step())
    return {
        "flops": work.flops,
        "bytes": work.bytes,
        "primitives": primitives,
        "launches": launches,
        "roofline_s": work.seconds(chip.flops, chip.bandwidth),
    }


def _header(chip: Chip) -> str:
    heads = "".join(f"{head:>11}" for head, *_ in _COLUMNS)
    return f"{'what':<24}{heads}{'GPU launches':>14}{f'{chip.name} ms':>{len(chip.name) + 5}}"


def _row(name: str, counts: dict[str, Any], chip: Chip) -> str:
    cells = "".join(f"{counts[key] * scale:>11.{digits}f}" for _, key, scale, digits in _COLUMNS)
    gpu = counts["gpu"]
    launches = f"{gpu['launches']} > {gpu['compiled_launches']}"
    return f"{name:<24}{cells}{launches:>14}{1e3 * gpu['roofline_s']:>{len(chip.name) + 5}.1f}"


if __name__ == "__main__":
    sys.exit(main())
